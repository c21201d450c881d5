"""Sealed segments: immutable HDF5 files in the layout of H5MD; a packed buffer is one of them.

Positions are stored as float64 although that is more than most analyses need: a frame then has
the same bytes, and the same checksums, in the tail log, in its segment and in a packed file, and a
restart can be compared with what is stored; they are 2 % of the spectra. Spectra and positions
are contiguous: written and read without a copy, and a flipped bit costs one frame, not a chunk of
them; their checksums are those of the record headers, kept in ``/strdyn/record``.
"""

from __future__ import annotations

import contextlib
import errno
import os
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
from strdyn_live.version import __version__

from .document import Document, Origin, header_json, read_header
from .errors import AccessError, BufferError, DamageError, explain
from .record import HEADER_SIZE, Record, crc_neighbors
from .storage import ForgivingFile, open_regular

__all__ = ["Segment", "Sizes", "write_frames"]

# HDF5 1.10 (2016) and later. Older structures have no checksums: a flipped bit in them can send
# the library anywhere.
_VERSIONS = ("v110", "v110")
_CHUNK_BYTES = 2 * 2**20
_CACHE_BYTES = 16 * 2**20
_BLOCK_BYTES = 2**20  # of small frames written at once
_AHEAD_BYTES = 2**18  # of small frames read at once
_PARTICLES = "particles/all"
_POSITION, _SOAP = f"{_PARTICLES}/position/value", f"{_PARTICLES}/soap/value"
_COUNT, _OFFSET, _ID = (f"{_PARTICLES}/neigh/{name}" for name in ("count", "offset", "id"))
_STEP, _TIME = f"{_PARTICLES}/step", f"{_PARTICLES}/time"
_RECORD, _HEADER, _DAMAGE = (f"strdyn/{name}" for name in ("record", "header", "damage"))
_OUR_FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_DEFLATE_RATIO = 1100  # zlib cannot pack tighter than 1 : 1032

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
        create = hdf.create_dataset
        steps = create(_STEP, shape[:1], "<i8")
        times = create(_TIME, shape[:1], "<f8")
        edges = create(f"{_PARTICLES}/box/edges/value", (*shape[:1], 3, 3), "<f8")
        corner = create(f"{_PARTICLES}/box/origin/value", (*shape[:1], 3), "<f8")
        position = create(_POSITION, (*shape, 3), "<f8")
        soap = create(_SOAP, (*shape, document.n_features), "<f4")
        count = create(_COUNT, shape, "<u4")
        offset = create(_OFFSET, (sizes.n_frames + 1,), "<i8")
        squeezed: dict[str, Any] = {}
        chunk = max(1, min(sizes.n_pairs, _CHUNK_BYTES // sizes.id_size))
        if sizes.n_pairs:
            squeezed = {"chunks": (chunk,), "shuffle": True, "fletcher32": True}
            squeezed |= {"compression": "gzip", "compression_opts": 1}
        ids = create(_ID, (sizes.n_pairs,), f"<i{sizes.id_size}", **squeezed)
        headers = create(_RECORD, (sizes.n_frames, HEADER_SIZE), "u1")
        index = np.zeros((sizes.n_frames, HEADER_SIZE), dtype=np.uint8)
        boxes = np.zeros((sizes.n_frames, 4, 3))
        clock: list[tuple[int, float]] = []
        ends = np.zeros(sizes.n_frames + 1, dtype=np.int64)
        waiting = np.empty(0, dtype=ids.dtype)  # IDs of less than a chunk: each is packed once
        row = n_ids = 0
        for block in _blocks(frames):
            file.check()
            rows = slice(row, row + len(block))
            position[rows] = _stacked([frame.positions for _, frame in block])
            soap[rows] = _stacked([frame.soap for _, frame in block])
            count[rows] = _stacked([frame.neighbors.counts for _, frame in block])
            lists = [_differences(frame.neighbors).astype(ids.dtype) for _, frame in block]
            waiting = np.concatenate([waiting, *lists])
            n_whole = len(waiting) // chunk * chunk
            ids[n_ids : n_ids + n_whole] = waiting[:n_whole]
            waiting, n_ids = waiting[n_whole:], n_ids + n_whole
            for record, _ in block:
                index[row] = np.frombuffer(record.to_bytes(), dtype=np.uint8)
                boxes[row] = [*record.cell, record.origin]
                ends[row + 1] = ends[row] + record.n_pairs
                clock.append((record.step, record.time))
                row += 1
        ids[n_ids:] = waiting
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
    DamageError
        If the file is damaged, or leads to other files: HDF5 has links, external and virtual data
        sets, which would show what is in them.
    AccessError
        If the system does not let this process read it.
    FileNotFoundError
        If it has gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self._size = 0
        self._data: dict[str, Any] = {}
        self._ahead: dict[str, tuple[int, NDArray[Any]]] = {}
        self.records: dict[int, Record] = {}
        with self._reading("its index"):
            self.origin, self.document = read_header(self._opened(_HEADER)[()], path.name)
            self._check_shapes()
            self.damage = [text.decode() for text in self._opened(_DAMAGE)[()]]
            self._ends: NDArray[np.int64] = self._opened(_OFFSET)[()]
            headers = [header.tobytes() for header in self._opened(_RECORD)[()]]
            times = zip(self._opened(_STEP)[()], self._opened(_TIME)[()], strict=True)
        sizes = (self._n_rows, self.document.n_features)
        for row, (header, time) in enumerate(zip(headers, times, strict=True)):
            record = Record.from_bytes(header)
            if record is None or (record.n_atoms, record.n_features) != sizes:
                self.damage.append(f"{path.name}: the record of frame {row} is damaged")
                continue
            self.records[row] = record
            if (record.step, record.time) != time:  # other programs read these; we do not
                self.damage.append(f"{path.name}: step or time of step {record.step} has changed")

    def positions(self, row: int) -> NDArray[np.float64]:
        """Return the positions of one frame, checked."""
        with self._reading("positions", row):
            values: NDArray[np.float64] = self._row(_POSITION, row)
            self._check(row, 1, zlib.crc32(values.data))
        return values

    def soap(self, row: int) -> NDArray[np.float32]:
        """Return the spectra of one frame, checked."""
        with self._reading("spectra", row):
            values: NDArray[np.float32] = self._row(_SOAP, row)
            self._check(row, 2, zlib.crc32(values.data))
        return values

    def neighbors(self, row: int) -> NeighborLists:
        """Return the neighbor lists of one frame, checked."""
        with self._reading("neighbor lists", row):
            record, counts = self.records[row], self._row(_COUNT, row)
            lists = NeighborLists.from_counts(counts.astype(np.int64), np.empty(0, np.int64))
            start, stop = self._ends[row : row + 2].tolist()
            if start < 0 or not stop - start == record.n_pairs == lists.offsets[-1]:
                raise ValueError("the number of neighbors does not fit")
            ids = _undo_differences(lists.offsets, self._span(_ID, start, stop))
            self._check(row, 3, crc_neighbors(counts, ids.astype(f"<i{record.id_size}")))
        return NeighborLists(lists.offsets, ids)

    def close(self) -> None:
        """Close the file; reading opens it again."""
        self._data, self._ahead = {}, {}
        if self._file is not None:
            with contextlib.suppress(Exception):  # nothing was written
                self._file.close()
            self._file = None

    @property
    def _n_rows(self) -> int:
        start, stop = self.origin.rows
        return stop - start

    def _opened(self, name: str) -> Any:
        """Return a data set; the file is opened where it is not."""
        if self._file is None:
            descriptor = open_regular(self.path)  # it tells what hinders; HDF5 would wait for pipes
            self._size = os.fstat(descriptor).st_size
            os.close(descriptor)
            try:
                self._file = h5py.File(self.path, "r", rdcc_nbytes=_CACHE_BYTES)
            except OSError:  # HDF5 asks for locks, which some file systems do not have
                self._file = h5py.File(self.path, "r", rdcc_nbytes=_CACHE_BYTES, locking=False)
        if name not in self._data:
            self._data[name] = _own_data(self._file.id, name, self._size)
        return self._data[name]

    def _check_shapes(self) -> None:
        """Raise ValueError unless all fits together; what would need memory is read after that."""
        n_frames, n_rows = len(self._opened(_RECORD)), self._n_rows
        ids = self._opened(_ID)
        expected = {
            _RECORD: ((n_frames, HEADER_SIZE), "|u1"),
            _STEP: ((n_frames,), "<i8"),
            _TIME: ((n_frames,), "<f8"),
            _POSITION: ((n_frames, n_rows, 3), "<f8"),
            _SOAP: ((n_frames, n_rows, self.document.n_features), "<f4"),
            _COUNT: ((n_frames, n_rows), "<u4"),
            _OFFSET: ((n_frames + 1,), "<i8"),
            _ID: ((ids.size,), "<i8" if ids.dtype.itemsize == 8 else "<i4"),
        }
        for name, layout in expected.items():
            data = self._opened(name)
            if (data.shape, data.dtype.str) != layout:
                raise ValueError(f"{name} is {(data.shape, data.dtype.str)}, expected {layout}")

    def _row(self, name: str, row: int) -> NDArray[Any]:
        values: NDArray[Any] = self._span(name, row, row + 1)[0]
        return values

    def _span(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read some rows of a data set; where they are small those that follow as well."""
        data = self._opened(name)
        n_ahead = _AHEAD_BYTES * len(data) // max(1, data.nbytes)
        if 2 * (stop - start) > n_ahead:
            whole: NDArray[Any] = data[start:stop]
            return whole
        first, block = self._ahead.get(name, (0, np.empty(0)))
        if not (first <= start and stop <= first + len(block)):
            try:
                first, block = start, data[start : start + n_ahead]
            except Exception:  # damage that these rows may not have
                first, block = start, data[start:stop]
            self._ahead[name] = first, block
        return block[start - first : stop - first].copy()

    def _check(self, row: int, part: int, crc: int) -> None:
        if crc != self.records[row].crcs[part]:
            raise ValueError("wrong checksum")

    @contextlib.contextmanager
    def _reading(self, what: str, row: int | None = None) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, BufferError):
            self.close()
            raise
        except MemoryError as error:
            self.close()
            raise BufferError(
                f"{self.path}: {what} do not fit into the memory of this machine."
            ) from error
        except Exception as error:  # a damaged HDF5 file raises whatever it likes
            self.close()
            if isinstance(error, PermissionError):
                raise explain(f"cannot read {self.path}", error, kind=AccessError) from error
            if isinstance(error, OSError) and error.errno in _SHORT_OF:
                raise explain(f"cannot read {self.path}", error) from error
            of_step = "" if row is None else f" of step {self.records[row].step}"
            raise DamageError(
                f"{self.path}: {what}{of_step} cannot be read, the file is damaged ({error}). "
                "Put back a copy, or go on without it: `strdyn pack --partial` leaves it out."
            ) from error


def _own_data(file: Any, name: str, size: int) -> Any:
    """Return a data set; ValueError if it leads out of its file, or claims more than that holds.

    By the plain calls of HDF5: a buffer has thousands of segments, and each is tested when opened.
    """
    parts = name.split("/")
    for n in range(1, len(parts) + 1):
        path = "/".join(parts[:n]).encode()
        if not file.links.exists(path):
            raise ValueError(f"{name} is missing")
        if file.links.get_info(path).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{name} is a link")
    found = h5py.h5d.open(file, name.encode())
    given, kind = found.get_create_plist(), found.get_type()
    layout, stored = given.get_layout(), found.get_storage_size()
    of_numbers = kind.get_class() in {h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING}
    if layout == h5py.h5d.VIRTUAL or given.get_external_count() or not of_numbers:
        raise ValueError(f"{name} leads to data elsewhere")
    whole = layout == h5py.h5d.CONTIGUOUS and stored <= size
    if layout == h5py.h5d.CHUNKED and name == _ID:
        filters = {given.get_filter(i)[0] for i in range(given.get_nfilters())}
        chunk_bytes = given.get_chunk()[0] * kind.get_size()
        whole = filters <= _OUR_FILTERS and chunk_bytes <= _CHUNK_BYTES
        stored *= _DEFLATE_RATIO
    if not whole or found.get_space().get_simple_extent_npoints() * kind.get_size() > stored:
        raise ValueError(f"{name} claims more than is stored")
    return h5py.Dataset(found)


def _describe(file: Any, document: Document, origin: Origin, damage: Sequence[str]) -> None:
    """Write what does not depend on the frames: H5MD's names, units, settings, provenance."""
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


def _blocks(
    frames: Iterable[tuple[Record, Frame]],
) -> Iterator[list[tuple[Record, Frame]]]:
    """Take small frames together: a call of HDF5 costs more than such a frame."""
    block: list[tuple[Record, Frame]] = []
    size = 0
    for record, frame in frames:
        block.append((record, frame))
        size += record.size
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _stacked(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)


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
