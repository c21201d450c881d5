"""Neighbor lists of a whole periodic frame, for trajectories that another program has recorded."""

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
    """Find the neighbors of some atoms among all atoms of a frame and their images.

    Parameters
    ----------
    positions : (n_all, 3) float64 ndarray
        All atoms, wrapped into the box or not [length].
    box : Box
        Of any shape, also smaller than `r_cut`.
    centers : (n_centers,) int64 ndarray
        Rows of the centers.
    r_cut : float
        A neighbor is closer than this [length].

    Returns
    -------
    NeighborLists
        Of the centers, in their order. An atom's ID is its row; its own images are left out.
    """
    around, rows = box.images(positions, r_cut)
    return find_neighbors(around, rows, centers, np.ones(len(rows), dtype=np.bool_), r_cut)
