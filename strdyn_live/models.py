"""Models of a fit: principal components, and what labels rows that were not fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bands",
    "Components",
    "Labels",
    "Mixture",
    "Model",
    "NearestMean",
    "NearestRow",
    "Scores",
    "predict",
    "restore",
]

Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.int32]

_ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class Components:
    """Principal components of the first n_features columns of χ, with a weight for δ.

    Attributes
    ----------
    mean : (n_features,) float64 ndarray
        Subtracted from every row.
    weights : (n_features,) float64 ndarray
        Factor of every column, after the subtraction.
    components : (n_components, n_features) float64 ndarray
        Unit vectors; the entry of largest magnitude is positive in each.
    """

    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    components: NDArray[np.float64]

    @property
    def n_components(self) -> int:
        """Number of components kept."""
        return len(self.components)

    def transform(
        self, chi: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Project rows of χ, of which few are copied at a time.

        Returns
        -------
        scores : (n_rows, n_components) float32 ndarray
        residuals : (n_rows,) float32 ndarray
            Distances to the plane of the components kept.
        """
        scores = np.empty((len(chi), len(self.components)), dtype=np.float32)
        residuals = np.empty(len(chi), dtype=np.float32)
        for start in range(0, len(chi), _ROWS_AT_ONCE):
            few = slice(start, start + _ROWS_AT_ONCE)
            rows = (chi[few, : len(self.mean)] - self.mean) * self.weights
            found: NDArray[Any] = rows @ self.components.T
            squares = (rows**2).sum(axis=1) - (found**2).sum(axis=1)
            scores[few], residuals[few] = found, np.sqrt(squares.clip(0.0))
        return scores, residuals


@dataclass(frozen=True)
class NearestRow:
    """Model of HDBSCAN*: a row has the label of the nearest fitted row.

    Fitted rows keep their labels.

    Attributes
    ----------
    rows : (n_fitted, n_components) float32 ndarray
        Scores of the fitted rows.
    labels : (n_fitted,) int32 ndarray
        Their labels; −1 is noise.
    """

    rows: NDArray[np.float32]
    labels: Labels
    kind = "nearest_row"

    @cached_property
    def tree(self) -> Any:
        """The fitted rows as a `scipy.spatial.cKDTree`."""
        from scipy.spatial import cKDTree

        return cKDTree(self.rows)

    def nearest(self, scores: Scores) -> NDArray[np.intp]:
        """Return the nearest fitted row of (n_rows, n_components) scores."""
        found = np.empty(len(scores), dtype=np.intp)
        for rows in _chunks(len(scores)):
            found[rows] = self.tree.query(scores[rows], workers=-1)[1]
        return found

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, n_components) scores."""
        return np.asarray(self.labels[self.nearest(scores)])


@dataclass(frozen=True)
class Mixture:
    """Mixture of Gaussians: a row has the label of the most probable one.

    Attributes
    ----------
    means : (n_clusters, n_components) float64 ndarray
    covariances : (n_clusters, n_components, n_components) float64 ndarray
    shares : (n_clusters,) float64 ndarray
        Weights of the Gaussians; their sum is 1.
    """

    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    shares: NDArray[np.float64]
    kind = "mixture"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, n_components) scores."""
        best = np.full(len(scores), -np.inf)
        labels = np.zeros(len(scores), dtype=np.int32)
        for k, (mean, covariance, share) in enumerate(
            zip(self.means, self.covariances, self.shares, strict=True)
        ):
            root = np.linalg.cholesky(covariance)
            whitened = np.linalg.solve(root, (scores - mean).T)
            log = np.log(share) - np.log(np.diag(root)).sum() - 0.5 * (whitened**2).sum(axis=0)
            labels[log > best] = k
            best = np.maximum(best, log)
        return labels


@dataclass(frozen=True)
class NearestMean:
    """Model of KMeans: a row has the label of the nearest mean.

    Attributes
    ----------
    means : (n_clusters, n_components) float64 ndarray
    """

    means: NDArray[np.float64]
    kind = "nearest_mean"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, n_components) scores."""
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(self.means).query(scores)[1], dtype=np.int32)


@dataclass(frozen=True)
class Bands:
    """Model of LENS alone: intervals of δ between thresholds.

    Attributes
    ----------
    thresholds : (n_clusters - 1,) float64 ndarray
        Increasing values of δ.
    """

    thresholds: NDArray[np.float64]
    kind = "bands"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, 1) values: 0 below the first threshold."""
        return np.digitize(scores[:, 0], self.thresholds).astype(np.int32)


Model = NearestRow | Mixture | NearestMean | Bands
_KINDS: Mapping[str, type[Model]] = {
    kind.kind: kind for kind in (NearestRow, Mixture, NearestMean, Bands)
}


def restore(
    kind: str, stored: Mapping[str, Any], rows: NDArray[np.float32], labels: Labels
) -> Model:
    """Return a model from the arrays that are stored of it.

    Parameters
    ----------
    kind : str
        ``Model.kind``.
    stored : mapping of str to ndarray
        Its arrays; empty for HDBSCAN* if all rows were fitted.
    rows : (n_rows, n_components) float32 ndarray
        Scores of all fitted rows.
    labels : (n_rows,) int32 ndarray
        Their labels.
    """
    if kind == "centers":  # the name of an earlier version
        return NearestMean(stored["centers"])
    return _KINDS[kind](**(stored or {"rows": rows, "labels": labels}))


def predict(model: Model, scores: Scores) -> Labels:
    """Label (n_rows, n_components) scores, a million at a time."""
    if isinstance(model, NearestRow):
        return model.predict(scores)
    return np.concatenate([model.predict(scores[rows]) for rows in _chunks(len(scores))])


def _chunks(n_rows: int) -> list[slice]:
    """Return the rows a million at a time."""
    return [slice(start, start + 1_000_000) for start in range(0, n_rows, 1_000_000)]
