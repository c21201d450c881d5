"""Sealed segments: immutable HDF5 files in the layout of H5MD; a packed buffer is one of them.

Positions are stored as float64 although that is more than most analyses need: a frame then has
the same bytes, and the same checksums, in the tail log, in its segment and in a packed file, and a
restart can be compared with what is stored; they are 2 % of the spectra. Spectra and positions
are contiguous: written and read without a copy, and a flipped bit costs one frame, not a chunk of
them; their checksums are those of the record headers, kept in ``/strdyn/record``.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

from .document import Document, Origin, header_json, read_header
from .errors import BufferError, DamageError
from .record import HEADER_SIZE, Record, crc_neighbors
from .storage import ForgivingFile

__all__ = ["Segment", "Sizes", "write_frames"]

# HDF5 1.10 (2016) and later. Older structures have no checksums: a flipped bit in them can send
# the library anywhere.
_VERSIONS = ("v110", "v110")
_CHUNK_BYTES = 2 * 2**20
_CACHE_BYTES = 16 * 2**20
_PARTICLES = "particles/all"

# LAMMPS unit style: length and time, as H5MD spells them
_UNITS = {
    "metal": ("Angstrom", "ps"),
    "real": ("Angstrom", "fs"),
    "si": ("m", "s"),
    "cgs": ("cm", "s"),
    "electron": ("bohr", "fs"),
    "micro": ("um", "us"),
    "nano": ("nm", "ns"),
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the frames of a segment together: frames, neighbors, bytes of a neighbor ID."""

    n_frames: int
    n_pairs: int
    id_size: int

    @classmethod
    def of(cls, records: Iterable[Record]) -> Sizes:
        """Add up some frames."""
        records = list(records)
        return cls(
            len(records),
            sum(record.n_pairs for record in records),
            max(record.id_size for record in records),
        )


def write_frames(
    file: ForgivingFile,
    document: Document,
    origin: Origin,
    sizes: Sizes,
    frames: Iterable[tuple[Record, Frame]],
    damage: Sequence[str] = (),
) -> None:
    """Write frames to an HDF5 file, one after the other.

    Parameters
    ----------
    file : ForgivingFile
        Where to; an error of the disk is found there.
    document, origin : Document, Origin
        What the frames share and where they come from.
    sizes : Sizes
        Of all frames.
    frames : iterable of (Record, Frame)
        Sorted by step; the checksums of the records are kept.
    damage : sequence of str
        What could not be read between these frames, in words.
    """
    start, stop = origin.rows
    shape = (sizes.n_frames, stop - start)
    with h5py.File(file, "w", libver=_VERSIONS) as hdf:
        create = hdf.create_group(_PARTICLES).create_dataset
        steps = create("step", shape[:1], "<i8")
        times = create("time", shape[:1], "<f8")
        edges = create("box/edges/value", (*shape[:1], 3, 3), "<f8")
        corner = create("box/origin/value", (*shape[:1], 3), "<f8")
        position = create("position/value", (*shape, 3), "<f8")
        soap = create("soap/value", (*shape, document.n_features), "<f4")
        count = create("neigh/count", shape, "<u4")
        offset = create("neigh/offset", (sizes.n_frames + 1,), "<i8")
        squeezed: dict[str, Any] = {}
        if sizes.n_pairs:
            chunk = min(sizes.n_pairs, _CHUNK_BYTES // sizes.id_size)
            squeezed = {"chunks": (chunk,), "shuffle": True, "fletcher32": True}
            squeezed |= {"compression": "gzip", "compression_opts": 1}
        ids = create("neigh/id", (sizes.n_pairs,), f"<i{sizes.id_size}", **squeezed)
        headers = hdf.create_dataset("strdyn/record", (sizes.n_frames, HEADER_SIZE), "u1")
        index = np.zeros((sizes.n_frames, HEADER_SIZE), dtype=np.uint8)
        boxes = np.zeros((sizes.n_frames, 4, 3))
        clock: list[tuple[int, float]] = []
        ends = np.zeros(sizes.n_frames + 1, dtype=np.int64)
        for row, (record, frame) in enumerate(frames):
            file.check()
            index[row] = np.frombuffer(record.to_bytes(), dtype=np.uint8)
            boxes[row] = [*record.cell, record.origin]
            ends[row + 1] = ends[row] + record.n_pairs
            position[row] = frame.positions
            soap[row] = frame.soap
            count[row] = frame.neighbors.counts
            ids[ends[row] : ends[row + 1]] = _differences(frame.neighbors).astype(ids.dtype)
            clock.append((record.step, record.time))
        headers[...], offset[...] = index, ends
        steps[...], times[...] = zip(*clock, strict=True)
        edges[...], corner[...] = boxes[:, :3], boxes[:, 3]
        _describe(hdf, document, origin, damage)


class Segment:
    """A segment, or a packed buffer, for reading.

    Attributes
    ----------
    path : Path
        The file.
    origin, document : Origin, Document
        Where the frames come from and what they share.
    records : dict of int to Record
        Headers by row; damaged ones are left out and named in `damage`.
    damage : list of str
        What is known to be damaged or lost, in words.

    Raises
    ------
    BufferError
        If the file is damaged.
    FileNotFoundError
        If it has gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self.records: dict[int, Record] = {}
        with self._reading("its index"):
            hdf = self._opened()
            self.origin, self.document = read_header(hdf["strdyn/header"][()], path.name)
            self.damage = [text.decode() for text in hdf["strdyn/damage"][()]]
            self._ends: NDArray[np.int64] = hdf[_PARTICLES]["neigh/offset"][()]
            headers = [header.tobytes() for header in hdf["strdyn/record"][()]]
            times = zip(hdf[_PARTICLES]["step"][()], hdf[_PARTICLES]["time"][()], strict=True)
        for row, (header, time) in enumerate(zip(headers, times, strict=True)):
            record = Record.from_bytes(header)
            if record is None:
                self.damage.append(f"{path.name}: the record of frame {row} is damaged")
                continue
            self.records[row] = record
            if (record.step, record.time) != time:  # other programs read these; we do not
                self.damage.append(f"{path.name}: step or time of step {record.step} has changed")

    def positions(self, row: int) -> NDArray[np.float64]:
        """Return the positions of one frame, checked."""
        with self._reading("positions", row):
            values: NDArray[np.float64] = self._opened()[_PARTICLES]["position/value"][row]
            self._check(row, 1, zlib.crc32(values.data))
        return values

    def soap(self, row: int) -> NDArray[np.float32]:
        """Return the spectra of one frame, checked."""
        with self._reading("spectra", row):
            values: NDArray[np.float32] = self._opened()[_PARTICLES]["soap/value"][row]
            self._check(row, 2, zlib.crc32(values.data))
        return values

    def neighbors(self, row: int) -> NeighborLists:
        """Return the neighbor lists of one frame, checked."""
        with self._reading("neighbor lists", row):
            group, record = self._opened()[_PARTICLES]["neigh"], self.records[row]
            counts = group["count"][row]
            lists = NeighborLists.from_counts(counts.astype(np.int64), np.empty(0, np.int64))
            start, stop = self._ends[row : row + 2]
            if stop - start != record.n_pairs or lists.offsets[-1] != record.n_pairs:
                raise ValueError("the number of neighbors does not fit")
            ids = _undo_differences(lists.offsets, group["id"][start:stop])
            self._check(row, 3, crc_neighbors(counts, ids.astype(f"<i{record.id_size}")))
        return NeighborLists(lists.offsets, ids)

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._file is not None:
            with contextlib.suppress(Exception):  # nothing was written
                self._file.close()
            self._file = None

    def _opened(self) -> Any:
        if self._file is None:
            try:
                self._file = h5py.File(self.path, "r", rdcc_nbytes=_CACHE_BYTES)
            except OSError:  # HDF5 asks for locks, which some file systems do not have
                self._file = h5py.File(self.path, "r", rdcc_nbytes=_CACHE_BYTES, locking=False)
        return self._file

    def _check(self, row: int, part: int, crc: int) -> None:
        if crc != self.records[row].crcs[part]:
            raise ValueError("wrong checksum")

    @contextlib.contextmanager
    def _reading(self, what: str, row: int | None = None) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, BufferError):
            raise
        except Exception as error:  # a damaged HDF5 file raises whatever it likes
            self.close()
            of_step = "" if row is None else f" of step {self.records[row].step}"
            raise DamageError(
                f"{self.path}: {what}{of_step} cannot be read, the file is damaged ({error}). "
                "Put back a copy, or go on without it: `strdyn pack` leaves it out."
            ) from error


def _describe(file: Any, document: Document, origin: Origin, damage: Sequence[str]) -> None:
    """Write what does not depend on the frames: H5MD's names, units, settings, provenance."""
    from strdyn_live import __version__

    config = document.config
    rows = slice(*origin.rows)
    particles = file[_PARTICLES]
    length, time = _UNITS.get(document.units, ("", ""))
    for name in ("position", "soap", "box/edges", "box/origin"):
        particles[name]["step"] = particles["step"]  # hard links: one fact, one place
        particles[name]["time"] = particles["time"]
    particles["id"] = document.atom_ids[rows].astype("<i8")
    particles["species"] = document.species[rows].astype("<i4")
    particles["box"].attrs["dimension"] = 3
    particles["box"].attrs["boundary"] = _texts(
        "periodic" if periodic else "none" for periodic in document.periodic
    )
    if length:
        particles["time"].attrs["unit"] = _text(time)
        for name in ("position", "box/edges", "box/origin"):
            particles[name]["value"].attrs["unit"] = _text(length)
    soap = particles["soap/value"].attrs
    soap["SOAPengine"] = _text("strdyn-live")
    soap["l_max"], soap["n_max"] = config.l_max, config.n_max
    soap["r_cut"], soap["sigma"] = config.r_cut, config.sigma
    soap["species"] = _texts(config.species)
    soap["centersIndexes"] = document.atom_ids[rows] - 1
    soap["normalized"] = True
    soap["packing"] = _text("n<=n' of same-species blocks, those with n<n' times sqrt(2)")
    particles["neigh"].attrs["r_cut"] = config.lens_r_cut
    particles["neigh/id"].attrs["coding"] = _text("differences within each atom's list")

    h5md = file.create_group("h5md")
    h5md.attrs["version"] = np.array([1, 1])
    h5md.create_group("author").attrs["name"] = _text("unknown")
    h5md.create_group("creator").attrs["name"] = _text("strdyn-live")
    h5md["creator"].attrs["version"] = _text(__version__)
    strdyn = file["strdyn"]
    strdyn["header"] = np.bytes_(header_json(origin, document))
    strdyn["damage"] = _texts(damage)


def _text(text: str) -> np.bytes_:
    return np.bytes_(text.encode())


def _texts(texts: Iterable[str]) -> NDArray[np.bytes_]:
    # fixed length: the heap that HDF5 keeps strings of variable length in has no checksum
    return np.array([text.encode() for text in texts], dtype=np.bytes_)


def _differences(lists: NeighborLists) -> NDArray[np.int64]:
    """Return the first ID of every list, then the step from each to the next: small numbers."""
    differences = np.diff(lists.ids, prepend=0)
    starts = lists.offsets[:-1][lists.counts > 0]
    differences[starts] = lists.ids[starts]
    return differences


def _undo_differences(offsets: NDArray[np.int64], stored: NDArray[Any]) -> NDArray[np.int64]:
    sums = np.zeros(len(stored) + 1, dtype=np.int64)
    np.cumsum(stored, out=sums[1:])
    before = np.repeat(sums[offsets[:-1]], np.diff(offsets))
    ids: NDArray[np.int64] = sums[1:] - before
    return ids
