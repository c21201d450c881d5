"""Clustering by a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Mixture, Scores, predict
from strdyn_post.config import AnalysisConfig

from .clusters import Clustering, agreement_finding, possible_clusters, uniform_sample

__all__ = ["Mixtures", "cluster_by_mixture", "fit_mixtures"]


@dataclass(frozen=True)
class Mixtures:
    """The best of several fits of a mixture of Gaussians.

    Attributes
    ----------
    best : Mixture
        The fit of largest likelihood.
    agreements : (n_init - 1,) float64 ndarray
        Adjusted Rand index between its labels and those of the other fits, which are sorted by
        decreasing likelihood.
    bic : float
        Its Bayesian information criterion on the rows that were fitted; smaller is better.
    """

    best: Mixture
    agreements: NDArray[np.float64]
    bic: float

    @property
    def agreement(self) -> float | None:
        """Agreement with the second best fit; if it is low, the best fit was found by chance."""
        return float(self.agreements[0]) if len(self.agreements) else None


def fit_mixtures(scores: Scores, n_clusters: int, config: AnalysisConfig) -> Mixtures:
    """Fit mixtures of Gaussians from `n_init` starting points.

    Parameters
    ----------
    scores : (n_rows, n_components) ndarray of float
        Rows; at most `max_fit_rows` of them are fitted.
    n_clusters : int
        Number of Gaussians.
    config : AnalysisConfig
        `n_init`, `max_fit_rows`, `seed`.

    Returns
    -------
    Mixtures
    """
    from sklearn.metrics import adjusted_rand_score
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    rows = uniform_sample(scores, config.max_fit_rows, config.seed).astype(np.float64)
    with threadpool_limits(1, "openmp"):  # the order of a sum over threads is not fixed
        fits = [
            GaussianMixture(n_clusters, random_state=config.seed + k, reg_covar=1e-9).fit(rows)
            for k in range(config.n_init)
        ]
        fits.sort(key=lambda fit: -fit.lower_bound_)
        labels = fits[0].predict(rows)
        agreements = [float(adjusted_rand_score(labels, fit.predict(rows))) for fit in fits[1:]]
        bic = float(fits[0].bic(rows))
    order = fits[0].means_[:, 0].argsort(kind="stable")
    best = Mixture(fits[0].means_[order], fits[0].covariances_[order], fits[0].weights_[order])
    return Mixtures(best, np.array(agreements), bic)


def cluster_by_mixture(scores: Scores, config: AnalysisConfig) -> Clustering:
    """Cluster by the likeliest mixture of Gaussians of several starting points."""
    n_clusters, fewer = possible_clusters(
        uniform_sample(scores, config.max_fit_rows, config.seed), config.n_clusters
    )
    found = fit_mixtures(scores, n_clusters, config)
    remedy = 'a larger n_init, fewer n_clusters, or method = "hdbscan"'
    return Clustering(
        labels=predict(found.best, scores),
        n_clusters=n_clusters,
        model=found.best,
        agreement=found.agreement,
        findings=(
            *fewer,
            *agreement_finding(found.agreement, "starting point of the fit", remedy),
        ),
    )
