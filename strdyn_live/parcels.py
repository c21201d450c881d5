"""Rows as bytes, one parcel for each rank that they go to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .frame import Rows
from .neighbors import NeighborLists, places_of_lists

__all__ = ["UNIT", "Parcels", "numbers_in", "pack_numbers", "pack_rows", "unpack_rows"]

UNIT = 64
"""Bytes that a parcel is a multiple of. MPI counts units in 32 bits: a parcel has up to 137 GB."""

_HEADER = 3 * 8  # rows, neighbors, bytes of a neighbor ID


@dataclass(frozen=True)
class Parcels:
    """Bytes for some ranks, one parcel after the other.

    Attributes
    ----------
    content : (UNIT * sum of units,) uint8 ndarray
        What is in them.
    units : (n_ranks,) int32 ndarray
        Size of the parcel of each rank.
    """

    content: NDArray[np.uint8]
    units: NDArray[np.int32]


def pack_numbers(numbers: Mapping[int, NDArray[np.float64]], n_ranks: int) -> Parcels:
    """Pack float64 numbers by receiver; none may be infinite."""
    units = np.zeros(n_ranks, dtype=np.int32)
    parts = []
    for receiver in sorted(numbers):
        values = numbers[receiver]
        n_units = -(-values.nbytes // UNIT)
        units[receiver] = n_units
        parts += [values, np.full(n_units * UNIT // 8 - len(values), np.inf)]
    content = np.concatenate([np.empty(0), *parts])
    return Parcels(content.view(np.uint8), units)


def numbers_in(parcels: Mapping[int, NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the numbers of some parcels, one parcel after the other."""
    parts = [parcel.view(np.float64) for parcel in parcels.values()]
    values = np.concatenate([np.empty(0), *parts])
    return values[values < np.inf]


def pack_rows(rows: Rows, receivers: NDArray[np.intp], n_ranks: int) -> Parcels:
    """Pack rows by receiver, each straight into its parcel.

    Parameters
    ----------
    rows : Rows
        Of this rank.
    receivers : (n_rows,) int ndarray
        The rank that each row goes to.
    n_ranks : int
        Number of all ranks.
    """
    frame, lists = rows.frame, rows.frame.neighbors
    id_size = 4 if lists.ids.max(initial=0) < 2**31 else 8
    n_rows = np.bincount(receivers, minlength=n_ranks)
    n_pairs = np.bincount(receivers, weights=lists.counts, minlength=n_ranks).astype(np.int64)
    sizes = _HEADER + _row_bytes(rows) * n_rows + id_size * n_pairs
    units = np.where(n_rows > 0, -(-sizes // UNIT), 0)
    content = np.empty(UNIT * units.sum(), dtype=np.uint8)
    start = 0
    for receiver in np.flatnonzero(n_rows):
        parcel = content[start : start + UNIT * units[receiver]]
        start += len(parcel)
        parcel[:_HEADER].view(np.int64)[:] = n_rows[receiver], n_pairs[receiver], id_size
        packed = _Columns.of(parcel, rows)
        sent = np.flatnonzero(receivers == receiver)
        packed.atom_ids[:] = rows.atom_ids[sent]
        packed.positions[:] = frame.positions[sent]
        packed.species[:] = rows.species[sent]
        packed.n_neighbors[:] = lists.counts[sent]
        np.take(frame.soap, sent, axis=0, out=packed.soap, mode="clip")  # "raise" makes a copy
        for some, places in places_of_lists(lists.offsets[sent], packed.n_neighbors):
            packed.neighbor_ids[some] = lists.ids[places]
    return Parcels(content, units.astype(np.int32))


def unpack_rows(
    parcels: Mapping[int, NDArray[np.uint8]], like: Rows, n_ranks: int
) -> tuple[Rows, NDArray[np.intp], NDArray[np.int64]]:
    """Unpack what `pack_rows` has packed.

    Parameters
    ----------
    parcels : mapping of int to uint8 ndarray
        By sender, in the order of ranks.
    like : Rows
        Rows of the same frame, with spectra of the same kind.
    n_ranks : int
        Number of all ranks.

    Returns
    -------
    Rows
        Sorted by atom ID.
    order : (n_rows,) int ndarray
        Of the rows as they have arrived, one rank after the other.
    n_rows : (n_ranks,) int64 ndarray
        Rows from each rank.
    """
    parts = [_Columns.of(parcel, like) for parcel in parcels.values()]
    n_rows = np.zeros(n_ranks, dtype=np.int64)
    n_rows[list(parcels)] = [len(part.atom_ids) for part in parts]
    parts.append(_Columns.of(np.zeros(_HEADER, np.uint8), like))  # so that there is one
    atom_ids = np.concatenate([part.atom_ids for part in parts])
    order = np.argsort(atom_ids, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    spectra = np.empty((len(order), *like.frame.soap.shape[1:]), like.frame.soap.dtype)
    counts = np.concatenate([part.n_neighbors for part in parts])[order].astype(np.int64)
    lists = NeighborLists.from_counts(counts, np.empty(counts.sum(), dtype=np.int64))
    start = 0
    for part in parts:  # straight to their places: there is room for them twice, not three times
        rows = place[start : start + len(part.soap)]
        spectra[rows] = part.soap
        for some, places in places_of_lists(lists.offsets[rows], part.n_neighbors):
            lists.ids[places] = part.neighbor_ids[some]
        start += len(part.soap)
    frame = replace(
        like.frame,
        positions=np.concatenate([part.positions for part in parts])[order],
        soap=spectra,
        neighbors=lists,
    )
    species = np.concatenate([part.species for part in parts])
    return Rows(atom_ids[order], species[order], frame), order, n_rows


class _Columns(NamedTuple):
    """What is in a parcel of rows, one column after the other."""

    atom_ids: NDArray[np.int64]
    positions: NDArray[np.float64]
    species: NDArray[np.int32]
    n_neighbors: NDArray[np.int32]
    soap: NDArray[np.float32]
    neighbor_ids: NDArray[np.int64] | NDArray[np.int32]

    @classmethod
    def of(cls, parcel: NDArray[np.uint8], like: Rows) -> _Columns:
        """Return the columns as they lie in a parcel whose header is filled."""
        n_rows, n_pairs, id_size = parcel[:_HEADER].view(np.int64).tolist()
        soap = like.frame.soap
        start = _HEADER

        def column(dtype: DTypeLike, *shape: int) -> NDArray[Any]:
            nonlocal start
            size = np.dtype(dtype).itemsize * math.prod(shape)
            start += size
            return parcel[start - size : start].view(dtype).reshape(shape)

        return cls(
            column(np.int64, n_rows),
            column(np.float64, n_rows, 3),
            column(np.int32, n_rows),
            column(np.int32, n_rows),
            column(soap.dtype, n_rows, *soap.shape[1:]),
            column(np.int64 if id_size == 8 else np.int32, n_pairs),
        )


def _row_bytes(rows: Rows) -> int:
    """Return the bytes of a row without its neighbor IDs."""
    soap = rows.frame.soap
    return 8 + 24 + 4 + 4 + soap.itemsize * math.prod(soap.shape[1:])
