"""Rows as bytes, one parcel for each rank that they go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .frame import Rows
from .neighbors import NeighborLists

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
    """Pack rows by receiver, with their spectra once more in memory.

    Parameters
    ----------
    rows : Rows
        Of this rank.
    receivers : (n_rows,) int ndarray
        The rank that each row goes to.
    n_ranks : int
        Number of all ranks.
    """
    row, lists = _row_of(rows), rows.frame.neighbors
    id_size = 4 if lists.ids.max(initial=0) < 2**31 else 8
    n_rows = np.bincount(receivers, minlength=n_ranks)
    n_pairs = np.bincount(receivers, weights=lists.counts, minlength=n_ranks).astype(np.int64)
    sizes = _HEADER + row.itemsize * n_rows + id_size * n_pairs
    units = np.where(n_rows > 0, -(-sizes // UNIT), 0)
    content = np.empty(UNIT * units.sum(), dtype=np.uint8)
    start = 0
    for receiver in np.flatnonzero(n_rows):
        parcel = content[start : start + UNIT * units[receiver]]
        start += len(parcel)
        # where all go to one rank nothing is copied twice
        one = n_rows[receiver] == len(receivers)
        part = rows if one else rows.take(np.flatnonzero(receivers == receiver))
        _fill(parcel, part, row, id_size)
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
    row = _row_of(like)
    blocks, ids = [np.empty(0, dtype=row)], [np.empty(0, dtype=np.int64)]
    n_rows = np.zeros(n_ranks, dtype=np.int64)
    for sender, parcel in parcels.items():
        n_rows[sender], n_pairs, id_size = parcel[:_HEADER].view(np.int64).tolist()
        end = _HEADER + int(n_rows[sender]) * row.itemsize
        blocks.append(parcel[_HEADER:end].view(row))
        ids.append(parcel[end : end + n_pairs * id_size].view(f"i{id_size}"))
    atom_ids = np.concatenate([block["id"] for block in blocks])
    order = np.argsort(atom_ids, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    spectra = np.empty((len(order), *like.frame.soap.shape[1:]), like.frame.soap.dtype)
    start = 0
    for block in blocks:  # straight to their places: there is room for them twice, not three times
        spectra[place[start : start + len(block)]] = block["soap"]
        start += len(block)

    def sorted_field(name: str) -> NDArray[np.generic]:
        field: NDArray[np.generic] = np.concatenate([block[name] for block in blocks])[order]
        return field

    lists = NeighborLists.from_counts(
        np.concatenate([block["n_neighbors"] for block in blocks]).astype(np.int64),
        np.concatenate(ids).astype(np.int64, copy=False),
    )
    frame = replace(
        like.frame,
        positions=sorted_field("position").astype(np.float64, copy=False),
        soap=spectra,
        neighbors=lists.take(order),
    )
    species = sorted_field("species").astype(np.int32, copy=False)
    return Rows(atom_ids[order], species, frame), order, n_rows


def _row_of(rows: Rows) -> np.dtype[np.void]:
    """Return the layout of a row."""
    soap = rows.frame.soap
    return np.dtype(
        [
            ("id", "i8"),
            ("position", "f8", 3),
            ("species", "i4"),
            ("n_neighbors", "i4"),
            ("soap", soap.dtype, soap.shape[1:]),
        ]
    )


def _fill(parcel: NDArray[np.uint8], rows: Rows, row: np.dtype[np.void], id_size: int) -> None:
    frame, n_rows = rows.frame, len(rows.atom_ids)
    lists = frame.neighbors
    n_pairs = int(lists.offsets[-1])
    parcel[:_HEADER].view(np.int64)[:] = n_rows, n_pairs, id_size
    end = _HEADER + n_rows * row.itemsize
    block = parcel[_HEADER:end].view(row)
    block["id"], block["position"], block["species"] = rows.atom_ids, frame.positions, rows.species
    block["n_neighbors"], block["soap"] = lists.counts, frame.soap
    parcel[end : end + n_pairs * id_size].view(f"i{id_size}")[:] = lists.ids[:n_pairs]
