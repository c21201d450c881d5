"""Neighbor lists of a whole periodic frame, for trajectories that another program has recorded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists, find_neighbors

__all__ = ["periodic_neighbors"]


def periodic_neighbors(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: Sequence[bool],
    centers: NDArray[np.int64],
    r_cut: float,
) -> NeighborLists:
    """Find the neighbors of some atoms among all atoms of a frame and their images.

    Parameters
    ----------
    positions : (n_all, 3) float64 ndarray
        All atoms, wrapped into the box or not [length].
    cell : (3, 3) float64 ndarray
        Box vectors as rows [length]; of any shape, also smaller than `r_cut`.
    periodic : (3,) sequence of bool
        Periodic directions.
    centers : (n_centers,) int64 ndarray
        Rows of the centers.
    r_cut : float
        A neighbor is closer than this [length].

    Returns
    -------
    NeighborLists
        Of the centers, in their order. An atom's ID is its row; its own images are left out.
    """
    around, rows = _with_images(positions, cell, np.asarray(periodic, dtype=np.bool_), r_cut)
    return find_neighbors(around, rows, centers, np.ones(len(rows), dtype=np.bool_), r_cut)


def _with_images(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    reach: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return all atoms, wrapped, then their images up to `reach` around the box; and their rows."""
    inverse = np.linalg.inv(cell)
    inside = positions @ inverse  # in units of the box vectors
    inside -= np.floor(inside) * periodic
    margin = reach * np.linalg.norm(inverse, axis=0) * periodic
    shifts = itertools.product(*(range(-n, n + 1) for n in np.ceil(margin).astype(int).tolist()))
    images, rows = [], []
    for shift in sorted(shifts, key=any):  # the box itself first
        moved = inside + shift
        near = ((moved >= -margin) & (moved <= 1.0 + margin)) | ~periodic
        rows.append(np.flatnonzero(near.all(axis=1)))
        images.append(moved[rows[-1]] @ cell)
    return np.concatenate(images), np.concatenate(rows)
