"""The writing of a segment: frames into an immutable HDF5 file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from strdyn_live.frame import Frame
from strdyn_live.version import __version__

from .bases import StoredBasis
from .document import Document, Origin, header_json
from .layout import (
    BASES,
    CHUNK_BYTES,
    COUNT,
    ID,
    LIVE,
    OFFSET,
    PARTICLES,
    POSITION,
    RECORD,
    SOAP_ROW,
    STEP,
    TIME,
    differences,
    soap_name,
)
from .record import HEADER_SIZE, Record
from .storage import ForgivingFile

__all__ = ["Sizes", "write_frames"]

# HDF5 1.10 (2016) and later. Older structures have no checksums: a flipped bit in them can send
# the library anywhere.
_VERSIONS = ("v110", "v110")
_BLOCK_BYTES = 2**20  # of small frames written at once

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
    """Sizes of the frames of a segment together.

    Attributes
    ----------
    n_frames, n_pairs, id_size : int
        Frames, neighbors, bytes of a neighbor ID.
    n_of_columns : mapping of int to int
        Number of frames that hold so many numbers for each atom in place of a spectrum.
    """

    n_frames: int
    n_pairs: int
    id_size: int
    n_of_columns: Mapping[int, int]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Sizes:
        """Add up some frames."""
        records = list(records)
        return cls(
            len(records),
            sum(record.n_pairs for record in records),
            max(record.id_size for record in records),
            Counter(record.n_features for record in records),
        )


def write_frames(
    file: ForgivingFile,
    document: Document,
    origin: Origin,
    sizes: Sizes,
    frames: Iterable[tuple[Record, Frame]],
    damage: Sequence[str] = (),
    live: bytes = b"",
    bases: Sequence[StoredBasis] = (),
    filters: Mapping[str, Any] | None = None,
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
    live : bytes
        Lines of the logs of values, for a packed buffer.
    bases : sequence of StoredBasis
        Of scores in a packed buffer.
    filters : mapping, optional
        Options of h5py that compress spectra and scores.
    """
    start, stop = origin.rows
    shape = (sizes.n_frames, stop - start)
    with h5py.File(file, "w", libver=_VERSIONS) as hdf:
        create = hdf.create_dataset
        steps = create(STEP, shape[:1], "<i8")
        times = create(TIME, shape[:1], "<f8")
        edges = create(f"{PARTICLES}/box/edges/value", (*shape[:1], 3, 3), "<f8")
        corner = create(f"{PARTICLES}/box/origin/value", (*shape[:1], 3), "<f8")
        position = create(POSITION, (*shape, 3), "<f8")
        soap = _SoapSets(hdf, document, origin, sizes, filters or {})
        count = create(COUNT, shape, "<u4")
        offset = create(OFFSET, (sizes.n_frames + 1,), "<i8")
        squeezed: dict[str, Any] = {}
        chunk = max(1, min(sizes.n_pairs, CHUNK_BYTES // sizes.id_size))
        if sizes.n_pairs:
            squeezed = {"chunks": (chunk,), "shuffle": True, "fletcher32": True}
            squeezed |= {"compression": "gzip", "compression_opts": 1}
        ids = create(ID, (sizes.n_pairs,), f"<i{sizes.id_size}", **squeezed)
        headers = create(RECORD, (sizes.n_frames, HEADER_SIZE), "u1")
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
            soap.append(block)
            count[rows] = _stacked([frame.neighbors.counts for _, frame in block])
            lists = [differences(frame.neighbors).astype(ids.dtype) for _, frame in block]
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
        soap.finish(bases)
        _describe(hdf, document, origin, damage)
        if live:
            hdf[LIVE] = np.frombuffer(live, dtype=np.uint8)


class _SoapSets:
    """The data sets of spectra and of scores: one for each number of columns.

    Where all frames hold spectra it is one, as H5MD has it, and a frame has the same row as
    everywhere. Else `SOAP_ROW` tells the row.
    """

    def __init__(
        self,
        hdf: Any,
        document: Document,
        origin: Origin,
        sizes: Sizes,
        filters: Mapping[str, Any],
    ) -> None:
        self._hdf, self._document, self._origin = hdf, document, origin
        start, stop = origin.rows
        self._sets: dict[int, Any] = {}
        self._clocks: dict[int, list[tuple[int, float]]] = {}
        self._rows: list[int] = []
        for n_columns, n_frames in sorted(sizes.n_of_columns.items()):
            self._clocks[n_columns] = []
            if n_columns == 0:
                continue
            n_rows = max(1, min(stop - start, CHUNK_BYTES // (4 * n_columns)))
            chunked = {"chunks": (1, n_rows, n_columns), **filters} if filters else {}
            self._sets[n_columns] = hdf.create_dataset(
                soap_name(n_columns, document.n_features),
                (n_frames, stop - start, n_columns),
                "<f4",
                **chunked,
            )

    def append(self, block: list[tuple[Record, Frame]]) -> None:
        """Write frames that all have as many columns."""
        n_columns = block[0][0].n_features
        clock = self._clocks[n_columns]
        first = len(clock)
        clock += [(record.step, record.time) for record, _ in block]
        self._rows += range(first, len(clock))
        if n_columns:
            stacked = _stacked([frame.soap for _, frame in block])
            self._sets[n_columns][first : len(clock)] = stacked

    def finish(self, bases: Sequence[StoredBasis]) -> None:
        """Write what tells the frames of each set, and what their numbers are."""
        document, shared = self._document, self._hdf[PARTICLES]
        if set(self._clocks) != {document.n_features}:
            self._hdf[SOAP_ROW] = np.array(self._rows, dtype="<i8")
        known = {each.basis.n_scores: each.basis for each in bases}
        for n_columns, data in self._sets.items():
            group, (steps, times) = data.parent, zip(*self._clocks[n_columns], strict=True)
            if len(steps) == len(self._rows):
                group["step"], group["time"] = shared["step"], shared["time"]  # hard links
            else:
                group["step"] = np.array(steps, dtype="<i8")
                group["time"] = np.array(times, dtype="<f8")
            _describe_soap(data.attrs, document, self._origin)
            if n_columns == document.n_features:
                continue
            data.attrs["columns"] = _text("scores, then the norm of what they leave out")
            if n_columns - 1 in known:
                group["mean"] = known[n_columns - 1].mean
                group["components"] = known[n_columns - 1].components
        if bases:
            lines = b"".join(each.to_bytes() for each in bases)
            self._hdf[BASES] = np.frombuffer(lines, dtype=np.uint8)


def _describe(file: Any, document: Document, origin: Origin, damage: Sequence[str]) -> None:
    """Write what does not depend on the frames: H5MD's names, units, settings, provenance."""
    config = document.config
    rows = slice(*origin.rows)
    particles = file[PARTICLES]
    length, time = _UNITS.get(document.units, ("", ""))
    for name in ("position", "box/edges", "box/origin"):
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


def _describe_soap(attributes: Any, document: Document, origin: Origin) -> None:
    """Write what the components of a spectrum are."""
    config = document.config
    attributes["SOAPengine"] = _text("strdyn-live")
    attributes["l_max"], attributes["n_max"] = config.l_max, config.n_max
    attributes["r_cut"], attributes["sigma"] = config.r_cut, config.sigma
    attributes["species"] = _texts(config.species)
    attributes["centersIndexes"] = document.atom_ids[slice(*origin.rows)] - 1
    attributes["normalized"] = True
    attributes["packing"] = _text("n<=n' of same-species blocks, those with n<n' times sqrt(2)")


def _blocks(
    frames: Iterable[tuple[Record, Frame]],
) -> Iterator[list[tuple[Record, Frame]]]:
    """Take small frames of one kind together: a call of HDF5 costs more than such a frame."""
    block: list[tuple[Record, Frame]] = []
    size = 0
    for record, frame in frames:
        if block and record.n_features != block[0][0].n_features:
            yield block
            block, size = [], 0
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
