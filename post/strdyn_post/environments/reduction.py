"""PCA of a data set that is read in chunks: float64 moments, float32 scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Components
from strdyn_live.moments import Moments
from strdyn_post.errors import AnalysisError

if TYPE_CHECKING:
    from strdyn_post.config import AnalysisConfig

__all__ = ["Moments", "Pca", "fit_pcas", "project"]

Key = TypeVar("Key")


@dataclass(frozen=True)
class Pca(Components):
    """Principal components of a data set, with the variance along all of them.

    Attributes
    ----------
    mean, weights, components
        See `Components`.
    explained_variance : (n_features,) float64 ndarray
        Variance along every component, decreasing, also of those that are not kept.
    """

    explained_variance: NDArray[np.float64]

    @property
    def explained_variance_ratio(self) -> NDArray[np.float64]:
        """Share of every component in the variance, (n_features,)."""
        total = self.explained_variance.sum()
        return self.explained_variance / total if total > 0.0 else self.explained_variance

    @classmethod
    def fit(
        cls,
        moments: Moments,
        *,
        lens_weight: float | None,
        variance: float,
        n_components: int | None = None,
    ) -> Pca:
        """Diagonalise the covariance.

        Parameters
        ----------
        moments : Moments
            Of χ.
        lens_weight : float or None
            Factor of δ; None leaves the column out: SOAP alone.
        variance : float
            Keep the fewest components that reach this share.
        n_components : int, optional
            Keep this number instead.

        Raises
        ------
        AnalysisError
            If all rows are equal, or fewer than `n_components` columns exist.
        """
        from scipy.linalg import eigh
        from threadpoolctl import threadpool_limits

        n_features = len(moments.origin) - (lens_weight is None)
        weights = np.ones(n_features)
        if lens_weight is not None:
            weights[-1] = lens_weight
        covariance = moments.covariance[:n_features, :n_features] * np.outer(weights, weights)
        with threadpool_limits(1, "blas"):  # the matrix is small: threads would mostly wait
            values, vectors = eigh(covariance)
        values, vectors = values[::-1].clip(0.0), vectors[:, ::-1].T
        if values.sum() <= 0.0:
            raise AnalysisError(
                f"all {moments.n_rows} spectra are equal: there is nothing to tell apart. "
                "Check that the atoms move and that the frames differ."
            )
        if n_components is None:
            share = np.cumsum(values) / values.sum()
            # the full sum may differ from 1 by a rounding error
            n_components = int(np.searchsorted(share, min(variance, share[-1]))) + 1
        elif n_components > n_features:
            raise AnalysisError(
                f"n_components = {n_components}, but a row has {n_features} features: expected at "
                "most this number. Set a smaller n_components."
            )
        components = vectors[:n_components]
        largest = np.abs(components).argmax(axis=1)
        signs = np.sign(components[np.arange(n_components), largest])
        return cls(
            moments.mean[:n_features], weights, components * signs[:, None], np.asarray(values)
        )


def fit_pcas(moments: Moments, config: AnalysisConfig) -> dict[str, Pca]:
    """Return the PCA of SOAP alone and that of SOAP&LENS, from the same rows."""
    weights = {"soap": None, "soap_lens": config.lens_weight}
    return {
        name: Pca.fit(
            moments, lens_weight=weight, variance=config.variance, n_components=config.n_components
        )
        for name, weight in weights.items()
    }


def project(
    pcas: Mapping[Key, Pca], chi: NDArray[np.float64]
) -> dict[Key, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return scores and residuals of the same rows by each `Pca.transform`."""
    return {key: pca.transform(chi) for key, pca in pcas.items()}
