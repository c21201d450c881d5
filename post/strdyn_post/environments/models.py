"""Models that last: labels for rows that were never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bands",
    "Labels",
    "Mixture",
    "Model",
    "NearestMean",
    "NearestRow",
    "Scores",
    "predict",
]

Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.int32]


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
class NearestMean:
    """Gives a row the label of the nearest mean: the model of KMeans."""

    means: NDArray[np.float64]
    kind = "nearest_mean"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, n_components) scores."""
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(self.means).query(scores)[1], dtype=np.int32)


@dataclass(frozen=True)
class Bands:
    """Intervals of δ between increasing thresholds: the model of LENS alone."""

    thresholds: NDArray[np.float64]
    kind = "bands"

    def predict(self, scores: Scores) -> Labels:
        """Return the labels of (n_rows, 1) values: 0 below the first threshold."""
        return np.digitize(scores[:, 0], self.thresholds).astype(np.int32)


Model = NearestRow | Mixture | NearestMean | Bands


def predict(model: Model, scores: Scores) -> Labels:
    """Label (n_rows, n_components) scores, a million at a time."""
    chunks = range(0, len(scores), 1_000_000)
    return np.concatenate([model.predict(scores[k : k + 1_000_000]) for k in chunks])
