"""Sealed segments: immutable HDF5 files in the layout of H5MD; a packed buffer is one of them.

Positions are stored as float64 although that is more than most analyses need: a frame then has
the same bytes, and the same checksums, in the tail log, in its segment and in a packed file, and a
restart can be compared with what is stored; they are 2 % of the spectra.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

from .document import Document, Origin, header_json, read_header
from .errors import BufferError, DamageError
from .record import PARTS, crc_box, crc_neighbors, encode, id_size

__all__ = ["Segment", "build_segment", "write_frames"]

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


def build_segment(
    document: Document, origin: Origin, frames: Sequence[Frame], damage: Sequence[str] = ()
) -> memoryview:
    """Return the bytes of a segment; nothing is written to disk.

    HDF5 never sees the disk: it does not survive an error of it.
    """
    image = io.BytesIO()
    n_pairs = sum(len(frame.neighbors.ids) for frame in frames)
    width = max(id_size(frame.neighbors.ids) for frame in frames)
    write_frames(image, document, origin, frames, len(frames), n_pairs, width, damage)
    return image.getbuffer()


def write_frames(
    target: BinaryIO | Path,
    document: Document,
    origin: Origin,
    frames: Iterable[Frame],
    n_frames: int,
    n_pairs: int,
    width: int,
    damage: Sequence[str] = (),
) -> None:
    """Write frames to an HDF5 file, one after the other.

    Parameters
    ----------
    target : file object or Path
        Where to.
    document, origin : Document, Origin
        What the frames share and where they come from.
    frames : iterable of Frame
        Sorted by step.
    n_frames, n_pairs : int
        Number of frames, and of neighbors in all of them.
    width : int
        Bytes of a neighbor ID, 4 or 8.
    damage : sequence of str
        What could not be read between these frames, in words.
    """
    start, stop = origin.rows
    n_atoms, n_features = stop - start, document.n_features
    with h5py.File(target, "w", libver=_VERSIONS, rdcc_nbytes=_CACHE_BYTES) as file:
        particles = file.create_group(_PARTICLES)
        steps = particles.create_dataset("step", (n_frames,), "<i8")
        times = particles.create_dataset("time", (n_frames,), "<f8")

        def create(name: str, shape: tuple[int, ...], dtype: str, **how: Any) -> Any:
            if 0 not in shape:
                how |= {"fletcher32": True, "chunks": _chunks(shape, np.dtype(dtype).itemsize)}
            else:
                how = {}
            return particles.create_dataset(name, shape, dtype, **how)

        position = create("position/value", (n_frames, n_atoms, 3), "<f8")
        soap = create("soap/value", (n_frames, n_atoms, n_features), "<f4")
        edges = create("box/edges/value", (n_frames, 3, 3), "<f8")
        corner = create("box/origin/value", (n_frames, 3), "<f8")
        squeezed = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
        count = create("neigh/count", (n_frames, n_atoms), "<u4", **squeezed)
        ids = create("neigh/id", (n_pairs,), f"<i{width}", **squeezed)
        offset = create("neigh/offset", (n_frames + 1,), "<i8")
        crc = file.create_dataset("strdyn/crc", (n_frames, len(PARTS)), "<u4")
        n_done = 0
        for row, frame in enumerate(frames):
            record, _ = encode(frame)
            steps[row], times[row], crc[row] = record.step, record.time, record.crcs
            edges[row], corner[row] = record.cell, record.origin
            position[row] = frame.positions
            soap[row] = frame.soap
            lists = frame.neighbors
            count[row] = lists.counts
            ids[n_done : n_done + len(lists.ids)] = _differences(lists)
            n_done += len(lists.ids)
            offset[row + 1] = n_done
        _describe(file, document, origin, damage)


class Segment:
    """A segment, or a packed buffer, for reading.

    Attributes
    ----------
    path : Path
        The file.
    origin, document : Origin, Document
        Where the frames come from and what they share.
    steps, times : (n_frames,) int64 and float64 ndarray
        Of the frames.
    cells, origins : (n_frames, 3, 3) and (n_frames, 3) float64 ndarray
        Boxes [length].
    intact : (n_frames,) bool ndarray
        Whether step, time and box have the right checksum; the others are named in `damage`.
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
        with self._reading("the index"):
            file = self._opened()
            particles = file[_PARTICLES]
            self.origin, self.document = read_header(file["strdyn/header"][()], path.name)
            self.steps: NDArray[np.int64] = particles["step"][()]
            self.times: NDArray[np.float64] = particles["time"][()]
            self.cells: NDArray[np.float64] = particles["box/edges/value"][()]
            self.origins: NDArray[np.float64] = particles["box/origin/value"][()]
            self._offsets: NDArray[np.int64] = particles["neigh/offset"][()]
            self._crcs: NDArray[np.uint32] = file["strdyn/crc"][()]
            self.damage = [text.decode() for text in file["strdyn/damage"][()]]
            crcs = [crc_box(*box) for box in self._boxes()]
        self.intact: NDArray[np.bool_] = self._crcs[:, 0] == crcs
        for row in np.flatnonzero(~self.intact):
            self.damage.append(f"{path.name}: step, time or box of frame {row} is damaged")

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
            group = self._opened()[_PARTICLES]["neigh"]
            counts = group["count"][row]
            start, stop = self._offsets[row : row + 2]
            lists = NeighborLists.from_counts(counts.astype(np.int64), np.empty(0, np.int64))
            if not 0 <= start <= stop or lists.offsets[-1] != stop - start:
                raise ValueError("the number of neighbors does not fit")
            ids = _undo_differences(lists.offsets, group["id"][start:stop])
            self._check(row, 3, crc_neighbors(counts, ids.astype(f"<i{id_size(ids)}")))
        return NeighborLists(lists.offsets, ids)

    def n_pairs(self, row: int) -> int:
        """Return the number of neighbors of all atoms in one frame."""
        return int(self._offsets[row + 1] - self._offsets[row])

    def frame(self, row: int) -> Frame:
        """Return one whole frame, checked."""
        return Frame(
            int(self.steps[row]),
            float(self.times[row]),
            self.cells[row],
            self.origins[row],
            self.positions(row),
            self.soap(row),
            self.neighbors(row),
        )

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._file is not None:
            with contextlib.suppress(Exception):  # nothing was written
                self._file.close()
            self._file = None

    def _opened(self) -> Any:
        if self._file is None:
            self._file = h5py.File(self.path, "r", locking=False, rdcc_nbytes=_CACHE_BYTES)
        return self._file

    def _boxes(self) -> Iterator[tuple[int, float, NDArray[np.float64], NDArray[np.float64]]]:
        return zip(self.steps, self.times, self.cells, self.origins, strict=True)

    def _check(self, row: int, part: int, crc: int) -> None:
        if crc != self._crcs[row, part]:
            raise ValueError("wrong checksum")

    @contextlib.contextmanager
    def _reading(self, what: str, row: int | None = None) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, BufferError):
            raise
        except Exception as error:  # a damaged HDF5 file raises whatever it likes
            self.close()
            of_step = "" if row is None else f" of step {self.steps[row]}"
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
    strdyn["crc"].attrs["parts"] = _texts(PARTS)
    strdyn["header"] = np.bytes_(header_json(origin, document))
    strdyn["damage"] = _texts(damage)


def _text(text: str) -> np.bytes_:
    return np.bytes_(text.encode())


def _texts(texts: Iterable[str]) -> NDArray[np.bytes_]:
    # fixed length: the heap that HDF5 keeps strings of variable length in has no checksum
    return np.array([text.encode() for text in texts], dtype=np.bytes_)


def _chunks(shape: tuple[int, ...], item_size: int) -> tuple[int, ...]:
    """Return chunks of about 2 MiB: several frames, one, or an even part of one."""
    row_bytes = item_size * int(np.prod(shape[1:]))
    if row_bytes <= _CHUNK_BYTES or len(shape) == 1:
        return (min(shape[0], max(1, _CHUNK_BYTES // row_bytes)), *shape[1:])
    n_parts = -(-row_bytes // _CHUNK_BYTES)
    return (1, -(-shape[1] // n_parts), *shape[2:])


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
