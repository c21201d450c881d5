"""The writing of a segment: frames into an immutable HDF5 file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from strdyn_live.frame import Frame
from strdyn_live.version import __version__

from .document import Document, Origin, header_json
from .layout import (
    CHUNK_BYTES,
    COUNT,
    ID,
    LIVE,
    OFFSET,
    PARTICLES,
    POSITION,
    RECORD,
    SOAP,
    STEP,
    TIME,
    differences,
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
    live: bytes = b"",
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
        soap = create(SOAP, (*shape, document.n_features), "<f4")
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
            soap[rows] = _stacked([frame.soap for _, frame in block])
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
        _describe(hdf, document, origin, damage)
        if live:
            hdf[LIVE] = np.frombuffer(live, dtype=np.uint8)


def _describe(file: Any, document: Document, origin: Origin, damage: Sequence[str]) -> None:
    """Write what does not depend on the frames: H5MD's names, units, settings, provenance."""
    config = document.config
    rows = slice(*origin.rows)
    particles = file[PARTICLES]
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
