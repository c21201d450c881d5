"""Models that last: labels for rows never seen, and clusters that keep their identity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from strdyn_post.results import AnalysisResult, Route

__all__ = [
    "Bands",
    "Centers",
    "Labels",
    "Mixture",
    "Model",
    "NearestRow",
    "Scores",
    "far_rows",
    "fit_limits",
    "keep_identities",
    "match_labels",
]

Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.int32]

_QUANTILE = 0.999
_LIMIT_ROWS = 20_000


@dataclass(frozen=True)
class NearestRow:
    """Gives a row the label of the nearest fitted row: the model of HDBSCAN*.

    Fitted rows keep their labels.
    """

    rows: NDArray[np.float32]
    labels: Labels
    kind = "nearest_row"

    def nearest(self, scores: Scores) -> NDArray[np.intp]:
        """Return the nearest fitted row of (n_rows, n_components) scores."""
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(self.rows).query(scores, workers=-1)[1])

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, n_components) scores."""
        return np.asarray(self.labels[self.nearest(scores)])


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians: the most probable component."""

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
class Centers:
    """The nearest of some centers: the model of KMeans."""

    centers: NDArray[np.float64]
    kind = "centers"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, n_components) scores."""
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(self.centers).query(scores)[1], dtype=np.int32)


@dataclass(frozen=True)
class Bands:
    """Intervals of δ between increasing thresholds: the model of LENS alone."""

    thresholds: NDArray[np.float64]
    kind = "bands"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, 1) values: 0 below the first threshold."""
        return np.digitize(scores[:, 0], self.thresholds).astype(np.int32)


Model = NearestRow | Mixture | Centers | Bands


def match_labels(
    labels: ArrayLike, reference: ArrayLike, n_clusters: int, n_reference: int, least: float = 0.5
) -> NDArray[np.int32]:
    """Find which cluster of a reference each cluster is, by their members.

    The assignment (Hungarian method) maximises the summed overlap 2 |A ∩ B| / (|A| + |B|).

    Parameters
    ----------
    labels, reference : (n_rows,) array_like of int
        Two labellings of the same rows; negative is noise.
    n_clusters, n_reference : int
        Numbers of clusters.
    least : float
        Smallest overlap of a correspondence.

    Returns
    -------
    (n_clusters,) int32 ndarray
        Cluster of the reference, −1 where none corresponds.
    """
    from scipy.optimize import linear_sum_assignment

    labels, reference = np.asarray(labels).ravel(), np.asarray(reference).ravel()
    both = (labels >= 0) & (reference >= 0)
    common = np.bincount(
        labels[both].astype(np.int64) * n_reference + reference[both],
        minlength=n_clusters * n_reference,
    ).reshape(n_clusters, n_reference)
    sizes = np.bincount(labels[labels >= 0], minlength=n_clusters)
    others = np.bincount(reference[reference >= 0], minlength=n_reference)
    overlap = 2.0 * common / np.maximum(1, sizes[:, None] + others)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    match = np.full(n_clusters, -1, dtype=np.int32)
    close = overlap[rows, columns] >= least
    match[rows[close]] = columns[close]
    return match


def keep_identities(result: AnalysisResult, previous: AnalysisResult) -> AnalysisResult:
    """Give the environments of a new fit the identities of an earlier one.

    Environments that correspond on the rows (step, atom ID) of both keep their identity, so their
    colour and number; the others get identities never used before.

    Parameters
    ----------
    result, previous : AnalysisResult
        Of the same atoms, with some steps in common.

    Returns
    -------
    AnalysisResult
        `result` with other `Route.identities`; labels and counts stay as they are.
    """
    routes = {}
    for name, route in result.routes.items():
        old = previous.routes[name]
        _, rows, old_rows = np.intersect1d(route.steps, old.steps, return_indices=True)
        _, atoms, old_atoms = np.intersect1d(route.atom_ids, old.atom_ids, return_indices=True)
        match = match_labels(
            route.final.labels[np.ix_(rows, atoms)],
            old.final.labels[np.ix_(old_rows, old_atoms)],
            route.final.n_clusters,
            old.final.n_clusters,
        )
        identities = np.empty(len(match), dtype=np.int32)
        identities[match >= 0] = old.identities[match[match >= 0]]
        identities[match < 0] = old.n_identities + np.arange((match < 0).sum())
        n_identities = old.n_identities + int((match < 0).sum())
        routes[name] = replace(route, identities=identities, n_identities=n_identities)
    return replace(result, routes=routes)


def fit_limits(
    scores: NDArray[np.float32], residuals: NDArray[np.float32], seed: int
) -> NDArray[np.float64]:
    """Return how far rows of a fit lie from each other and from the plane of its PCA.

    Parameters
    ----------
    scores : (n_rows, n_components) float32 ndarray
        Fitted rows.
    residuals : (n_rows,) float32 ndarray
        Their distances to the plane of the components kept.
    seed : int
        Of the rows (20 000) that are measured.

    Returns
    -------
    (2,) float64 ndarray
        99.9 % quantiles of the distance to the nearest other row, and to the plane.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    rows = rng.choice(len(scores), min(len(scores), _LIMIT_ROWS), replace=False)
    nearest = cKDTree(scores).query(scores[rows], k=2)[0][:, -1] if len(scores) > 1 else [0.0]
    return np.quantile([nearest, residuals[rows]], _QUANTILE, axis=1)


def far_rows(
    fitted: Route, scores: NDArray[np.float32], residuals: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Mark rows unlike anything that a model was fitted to.

    Parameters
    ----------
    fitted : Route
        With the model.
    scores : (n_rows, n_components) float32 ndarray
        New rows in the components of `fitted`.
    residuals : (n_rows,) float32 ndarray
        Their distances to the plane of these components: a new structure may lie off it.

    Returns
    -------
    (n_rows,) bool ndarray
        Further than 99.9 % of the fitted rows, from all of them or from the plane.
    """
    from scipy.spatial import cKDTree

    known = fitted.scores.reshape(-1, fitted.n_components)
    distances = cKDTree(known).query(scores, workers=-1)[0]
    return np.asarray((distances > fitted.limits[0]) | (residuals > fitted.limits[1]))
