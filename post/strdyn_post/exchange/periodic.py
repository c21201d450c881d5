"""Neighbor lists of a whole periodic frame, for trajectories of other programs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strdyn_live.box import Box
from strdyn_live.neighbors import NeighborLists, find_neighbors

__all__ = ["periodic_neighbors"]


def periodic_neighbors(
    positions: NDArray[np.float64],
    box: Box,
    centers: NDArray[np.int64],
    r_cut: float,
) -> NeighborLists:
    """Find the neighbors of the centers among all atoms of a frame and their images.

    Parameters
    ----------
    positions : (n_all, 3) float64 ndarray
        Positions of all atoms, wrapped into the box or not [length].
    box : Box
        Box of any shape, also smaller than `r_cut`.
    centers : (n_centers,) int64 ndarray
        Rows of the centers.
    r_cut : float
        A neighbor is closer than this [length].

    Returns
    -------
    NeighborLists
        Lists of the centers, in their order. The ID of an atom is its row. Images of a center are
        left out of its own list.
    """
    around, rows = box.images(positions, r_cut)
    return find_neighbors(around, rows, centers, np.ones(len(rows), dtype=np.bool_), r_cut)
