"""Distances between fitted rows, and rows that are far from all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import FAR_QUANTILE

__all__ = ["far_rows", "fit_limits"]

_LIMIT_ROWS = 20_000


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
        Seed of the choice of the rows (20 000) that are measured.

    Returns
    -------
    (2,) float64 ndarray
        99.9 % quantiles of the distance to the nearest other row, and to the plane.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    rows = rng.choice(len(scores), min(len(scores), _LIMIT_ROWS), replace=False)
    nearest = cKDTree(scores).query(scores[rows], k=2)[0][:, -1] if len(scores) > 1 else [0.0]
    return np.quantile([nearest, residuals[rows]], FAR_QUANTILE, axis=1)


def far_rows(
    known: NDArray[np.float32],
    limits: NDArray[np.float64],
    scores: NDArray[np.float32],
    residuals: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Mark rows that are far from all rows of the fit.

    Parameters
    ----------
    known : (n_fitted, n_components) float32 ndarray
        Scores of the fitted rows.
    limits : (2,) float64 ndarray
        Of `fit_limits`.
    scores : (n_rows, n_components) float32 ndarray
        New rows in the same components.
    residuals : (n_rows,) float32 ndarray
        Their distances to the plane of these components.

    Returns
    -------
    (n_rows,) bool ndarray
        Whether a row is further than 99.9 % of the fitted rows from the others, or from the plane.
    """
    from scipy.spatial import cKDTree

    distances = cKDTree(known).query(scores, workers=-1)[0]
    return np.asarray((distances > limits[0]) | (residuals > limits[1]))
