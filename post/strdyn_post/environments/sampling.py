"""A sample of many rows that keeps the rows of sparse regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Scores

__all__ = ["sample_rows"]


def sample_rows(scores: Scores, n_rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose rows; sparse regions keep all of their rows.

    The scores are counted in cubic cells (1/64 of the extent of the first component, up to four
    components). A cell of m rows keeps about c √m of them, or all if m ≤ c². The order of the
    densities stays the same, so clusters and the valleys between them stay. Rare environments lose
    no rows.

    Parameters
    ----------
    scores : (n_all, n_components) ndarray of float
        Scores.
    n_rows : int
        Approximate number of rows to choose.
    rng : numpy.random.Generator
        Generator for the choice within cells.

    Returns
    -------
    (about n_rows,) intp ndarray
        Indices of the chosen rows, increasing.
    """
    if n_rows >= len(scores):
        return np.arange(len(scores))
    low = scores.min(axis=0)
    edge = max(float(np.ptp(scores[:, 0])) / 64, np.finfo(np.float32).tiny)
    cells = np.zeros(len(scores), dtype=np.int64)
    for column in range(min(4, scores.shape[1])):
        index = ((scores[:, column] - low[column]) / edge).astype(np.int64)
        cells = cells * 65 + index.clip(0, 64)
    _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
    below, above = 0.0, float(np.sqrt(len(scores)))
    for _ in range(60):
        c = (below + above) / 2
        if np.minimum(counts, c * np.sqrt(counts)).sum() < n_rows:
            below = c
        else:
            above = c
    kept = np.minimum(1.0, below / np.sqrt(counts))[cell]
    return np.flatnonzero(rng.random(len(scores)) < kept)
