"""One frame as bytes with checksums: the same in the tail log and in a segment."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

from .errors import BufferError, DamageError
from .storage import Bytes

__all__ = ["HEADER_SIZE", "Record", "check_frame", "encode", "frame_bytes"]

_MAGIC = b"SDLFRAME"
_BOX = struct.Struct("<qd12d")  # step, time, cell, origin
_SIZES = struct.Struct("<IIQI")  # n_atoms, n_features, n_pairs, bytes of an atom ID
_CRCS = struct.Struct("<4I")
_CRC = struct.Struct("<I")
_FAILED = "The simulation has failed: look at the log before this step."
HEADER_SIZE = len(_MAGIC) + _BOX.size + _SIZES.size + _CRCS.size + _CRC.size


@dataclass(frozen=True)
class Record:
    """Header of a stored frame.

    Attributes
    ----------
    step, time : int, float
        Of the frame.
    cell, origin : (3, 3) and (3,) float64 ndarray
        Box vectors as rows, corner of the box [length].
    n_atoms, n_features, n_pairs : int
        Sizes of the payload; `n_features` numbers for each atom are a spectrum, or scores and
        residual, or none.
    id_size : int
        4 or 8: bytes of a neighbor ID, the fewest that hold all IDs of the frame.
    crcs : tuple of int
        CRC32 of box, positions, spectra and neighbors: a reader of one part checks that part.
    """

    step: int
    time: float
    cell: NDArray[np.float64]
    origin: NDArray[np.float64]
    n_atoms: int
    n_features: int
    n_pairs: int
    id_size: int
    crcs: tuple[int, int, int, int]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Bytes of positions, spectra, neighbors."""
        return (
            24 * self.n_atoms,
            4 * self.n_atoms * self.n_features,
            4 * self.n_atoms + self.id_size * self.n_pairs,
        )

    @property
    def size(self) -> int:
        """Bytes of header and payload."""
        return HEADER_SIZE + sum(self.sizes)

    def to_bytes(self) -> bytes:
        """Return the header with its own CRC at the end."""
        body = (
            _MAGIC
            + _pack_box(self.step, self.time, self.cell, self.origin)
            + _SIZES.pack(self.n_atoms, self.n_features, self.n_pairs, self.id_size)
            + _CRCS.pack(*self.crcs)
        )
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, header: bytes) -> Record | None:
        """Read a header; None if it is cut off or damaged, or none, or makes no sense."""
        body, end = header[: HEADER_SIZE - _CRC.size], header[HEADER_SIZE - _CRC.size : HEADER_SIZE]
        if not body.startswith(_MAGIC) or end != _CRC.pack(zlib.crc32(body)):
            return None
        step, time, *box = _BOX.unpack_from(body, len(_MAGIC))
        sizes = _SIZES.unpack_from(body, len(_MAGIC) + _BOX.size)
        crcs = _CRCS.unpack_from(body, len(_MAGIC) + _BOX.size + _SIZES.size)
        cell, origin = np.array(box[:9]).reshape(3, 3), np.array(box[9:])
        n_atoms, n_features, n_pairs, id_size = sizes
        if step < 0 or id_size not in (4, 8):
            return None
        return cls(step, time, cell, origin, n_atoms, n_features, n_pairs, id_size, crcs)

    @staticmethod
    def find(data: bytes, start: int) -> int | None:
        """Return the offset of the next intact header in `data`, if there is one."""
        while (start := data.find(_MAGIC, start)) >= 0:
            if Record.from_bytes(data[start : start + HEADER_SIZE]) is not None:
                return start
            start += 1
        return None

    def decode_positions(self, payload: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return (n_atoms, 3) float64."""
        return payload.view("<f8").astype(np.float64, copy=False).reshape(self.n_atoms, 3)

    def decode_soap(self, payload: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n_atoms, n_features) float32."""
        flat = payload.view("<f4").astype(np.float32, copy=False)
        return flat.reshape(self.n_atoms, self.n_features)

    def decode_neighbors(self, payload: NDArray[np.uint8]) -> NeighborLists:
        """Return the neighbor lists."""
        counts = payload[: 4 * self.n_atoms].view("<u4").astype(np.int64)
        ids = payload[4 * self.n_atoms :].view(f"<i{self.id_size}").astype(np.int64)
        lists = NeighborLists.from_counts(counts, ids)
        if lists.offsets[-1] != len(ids):
            raise DamageError(f"step {self.step}: the number of neighbors does not fit")
        return lists


def encode(frame: Frame) -> tuple[Record, list[Bytes]]:
    """Return the header of a frame and its payload; nothing is copied that needs no conversion."""
    positions = np.ascontiguousarray(frame.positions, dtype="<f8")
    soap = np.ascontiguousarray(frame.soap, dtype="<f4")
    counts = np.ascontiguousarray(frame.neighbors.counts, dtype="<u4")
    ids = np.ascontiguousarray(frame.neighbors.ids, dtype=f"<i{id_size(frame.neighbors.ids)}")
    record = Record(
        int(frame.step),
        float(frame.time),
        np.asarray(frame.cell, dtype=np.float64),
        np.asarray(frame.origin, dtype=np.float64),
        soap.shape[0],
        soap.shape[1],
        len(ids),
        ids.itemsize,
        (
            zlib.crc32(_pack_box(frame.step, frame.time, frame.cell, frame.origin)),
            zlib.crc32(positions.data),
            zlib.crc32(soap.data),
            crc_neighbors(counts, ids),
        ),
    )
    return record, [positions.data, soap.ravel().data, counts.data, ids.data]


def frame_bytes(n_atoms: int, n_features: int, n_neighbors: float) -> int:
    """Return the bytes of a frame with so many neighbors per atom, before it is sealed."""
    return HEADER_SIZE + round(n_atoms * (24 + 4 * n_features + 4 + 4 * n_neighbors))


def id_size(ids: NDArray[np.int64]) -> int:
    """Return the bytes that every atom ID of a frame fits into: 4 or 8."""
    if len(ids) == 0 or (ids.min() >= 0 and ids.max() < 2**31):
        return 4
    return 8


def crc_neighbors(counts: NDArray[Any], ids: NDArray[Any]) -> int:
    """Return the CRC32 of the part ``neighbors``, from arrays as they are stored."""
    return zlib.crc32(ids.data, zlib.crc32(counts.data))


def check_frame(frame: Frame, atom_ids: NDArray[np.int64], n_columns: int, file: str) -> None:
    """Raise BufferError unless a frame has the right shapes and every number in it is finite."""
    n_atoms = len(atom_ids)
    if frame.step < 0:
        raise BufferError(
            f"step {frame.step} was not written to {file}: expected no step below 0. Put "
            "'reset_timestep 0' before the run."
        )
    found = (frame.positions.shape, frame.soap.shape, len(frame.neighbors))
    expected = ((n_atoms, 3), (n_atoms, n_columns), n_atoms)
    if found != expected or frame.neighbors.offsets[-1] != len(frame.neighbors.ids):
        raise BufferError(
            f"step {frame.step} was not written to {file}: positions, spectra and neighbor lists "
            f"have the shapes {found}, expected {expected}. Were atoms lost or added during the "
            "run? Describe a group that keeps its atoms."
        )
    if not (np.isfinite(frame.time) and _finite(frame.cell) and _finite(frame.origin)):
        raise BufferError(
            f"step {frame.step} was not written to {file}: its time or box is not finite. {_FAILED}"
        )
    for what, values, hint in (
        ("position", frame.positions, _FAILED),
        ("spectrum", frame.soap, "Check that the atom has neighbors, and none at distance 0."),
    ):
        if not _finite(values):
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise BufferError(
                f"step {frame.step} was not written to {file}: the {what} of atom ID "
                f"{atom_ids[row]} is not finite. {hint}"
            )


def _finite(values: NDArray[Any]) -> bool:
    # NaN and infinity both show in the extremes, which need no array of booleans
    return values.size == 0 or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _pack_box(
    step: int, time: float, cell: NDArray[np.float64], origin: NDArray[np.float64]
) -> bytes:
    return _BOX.pack(step, time, *np.ravel(cell), *np.ravel(origin))
