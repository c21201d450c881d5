"""Neighbor lists by identity: which atom IDs lie around every center."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernel

__all__ = ["NeighborLists", "find_neighbors", "places_of_lists"]

_LISTS_AT_ONCE = 4096  # their places in memory are a few megabytes


@dataclass(frozen=True)
class NeighborLists:
    """Neighbor IDs of every center, one list after the other (CSR).

    Attributes
    ----------
    offsets : (n_centers + 1,) int64 ndarray
        ``ids[offsets[i]:offsets[i + 1]]`` are the neighbors of center `i`.
    ids : (n_pairs,) int64 ndarray
        Atom IDs; within a list sorted, each once, the center itself left out.
    """

    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, center: int) -> NDArray[np.int64]:
        """Return the neighbor IDs of one center."""
        center = range(len(self))[center]
        return self.ids[self.offsets[center] : self.offsets[center + 1]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of neighbors, shape (n_centers,)."""
        return np.diff(self.offsets)

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64], ids: NDArray[np.int64]) -> NeighborLists:
        """Build from the length of each list and the lists in a row."""
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        return cls(offsets, ids)

    @classmethod
    def none_of(cls, n_centers: int) -> NeighborLists:
        """Return empty lists."""
        return cls(np.zeros(n_centers + 1, dtype=np.int64), np.empty(0, dtype=np.int64))

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> NeighborLists:
        """Return the lists of some centers, in the order of `rows`: indices, or a mask."""
        if len(rows) == 0:
            rows = np.empty(0, dtype=np.intp)  # an empty list has another dtype
        rows = np.arange(len(self))[np.asarray(rows)]
        counts = self.counts[rows]
        taken = NeighborLists.from_counts(counts, np.empty(counts.sum(), dtype=np.int64))
        for some, places in places_of_lists(self.offsets[rows], counts):
            taken.ids[some] = self.ids[places]
        return taken


def places_of_lists(
    starts: NDArray[np.int64], counts: NDArray[np.integer[Any]]
) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Yield where the IDs of lists lie, some thousand lists at a time.

    Parameters
    ----------
    starts : (n_lists,) int64 ndarray
        Where each list begins in an array.
    counts : (n_lists,) int ndarray
        Number of its IDs.

    Yields
    ------
    slice
        Of the IDs, one list after the other.
    (n_ids,) int64 ndarray
        Their places in the array.

    Examples
    --------
    Two IDs from 7 on, then three from 1 on.

    >>> [(some, places.tolist()) for some, places in places_of_lists(np.array([7, 1]), [2, 3])]
    [(slice(0, 5, None), [7, 8, 1, 2, 3])]
    """
    offsets = np.concatenate([[0], np.cumsum(counts)])
    for first in range(0, len(starts), _LISTS_AT_ONCE):
        last = min(first + _LISTS_AT_ONCE, len(starts))
        begin, end = offsets[[first, last]].tolist()
        places = np.repeat(starts[first:last] - offsets[first:last], counts[first:last])
        places += np.arange(begin, end)
        yield slice(begin, end), places


def find_neighbors(
    positions: NDArray[np.float64],
    atom_ids: NDArray[np.int64],
    centers: NDArray[np.int64],
    environment: NDArray[np.bool_],
    r_cut: float,
) -> NeighborLists:
    """Find the neighbors of some atoms among a finite set that holds all their images.

    Parameters
    ----------
    positions : (n_local, 3) float64 ndarray
        Owned and ghost atoms as they lie; no box, no wrapping [length].
    atom_ids : (n_local,) int64 ndarray
        Atom IDs; images share the ID of their atom.
    centers : (n_centers,) int64 ndarray
        Rows of the centers.
    environment : (n_local,) bool ndarray
        Atoms that count as neighbors.
    r_cut : float
        A neighbor is closer than this [length].

    Returns
    -------
    NeighborLists
        Of the centers, in their order. An atom that is its own image is left out.

    Raises
    ------
    TypeError, ValueError
        For a wrong dtype, shape or value; the message names row and value.

    Examples
    --------
    Three atoms on a line, 2 apart: the one in the middle has two neighbors, the others one.

    >>> positions = np.array([[0.0, 0, 0], [2, 0, 0], [4, 0, 0]])
    >>> found = find_neighbors(positions, np.array([7, 8, 9]), np.arange(3), np.ones(3, bool), 3.0)
    >>> [ids.tolist() for ids in found]
    [[8], [7, 9], [8]]
    """
    counts, ids = kernel.find_neighbors(positions, atom_ids, centers, environment, r_cut)
    return NeighborLists.from_counts(counts, ids)
