"""A part of many rows that keeps what is rare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .models import Scores

__all__ = ["sample_rows"]


def sample_rows(scores: Scores, n_rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose rows so that sparse regions keep all of theirs.

    The scores are counted in cubic cells (1/64 of the extent of the first component, up to four
    components). A cell of m rows keeps about c √m of them, or all where m ≤ c²: density keeps its
    order, so clusters and the valleys between them stay, while rare environments lose nothing.

    Parameters
    ----------
    scores : (n_all, n_components) ndarray of float
        Scores.
    n_rows : int
        About how many rows to choose.
    rng : numpy.random.Generator
        Of the choice within cells.

    Returns
    -------
    (about n_rows,) intp ndarray
        Increasing rows.
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
