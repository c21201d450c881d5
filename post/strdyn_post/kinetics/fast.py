"""Which environments are fast: by δ of their atoms alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import FAST_OTHERS, FAST_QUARTILE

from .partition import Partition

__all__ = ["fast_environments"]


def fast_environments(found: Partition, delta: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Find the fast environments.

    Fast: in three quarters of its rows, δ is larger than in 95 % of all other rows.

    Parameters
    ----------
    found : Partition
        The environments.
    delta : (n_frames, n_atoms) ndarray of float
        Smoothed δ of their rows.

    Returns
    -------
    (n_clusters,) bool ndarray
    """
    fast = np.zeros(found.n_clusters, dtype=bool)
    for label in range(len(fast)):
        inside = found.labels == label
        if inside.any() and not inside.all():
            slowest = np.quantile(delta[inside], FAST_QUARTILE)
            fast[label] = slowest > np.quantile(delta[~inside], FAST_OTHERS)
    return fast
