"""The tail log: frames appended and made durable one by one, until they are sealed."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists

from .document import Document, Origin, read_header
from .errors import DamageError, explain
from .record import HEADER_SIZE, Record
from .storage import Bytes, read_at, sync_data, sync_folder, write_all

__all__ = ["Tail", "TailWriter"]

_PREAMBLE = struct.Struct("<8sQI")  # magic, length and CRC32 of the header text; then its own CRC
_PREAMBLE_SIZE = _PREAMBLE.size + 4
_MAGIC = b"SDLTAIL1"
_SAFE = "The frames before it are safe."


class TailWriter:
    """An open tail log.

    `append` returns when the frame is durable; if it fails, the log ends where it ended before.
    After a failed fsync the kernel may forget what it could not write, and a second fsync then
    lies: such a log is `broken`, it takes no more frames; those it has stay good.
    """

    def __init__(self, path: Path, header: bytes, step: int) -> None:
        self.path = path
        self.broken = False
        failed = f"cannot write step {step} to {path}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise explain(failed, error, _SAFE) from error
        try:
            preamble = _PREAMBLE.pack(_MAGIC, len(header), zlib.crc32(header))
            preamble += zlib.crc32(preamble).to_bytes(4, "little")
            self.size = write_all(self._descriptor, [preamble, header])
            os.fsync(self._descriptor)
            sync_folder(path.parent)
        except OSError as error:
            self.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise explain(failed, error, _SAFE) from error

    def append(self, pieces: Sequence[Bytes], step: int) -> int:
        """Append a record and make it durable; return its size in bytes."""
        syncing = False
        try:
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            size = write_all(self._descriptor, pieces)
            syncing = True
            sync_data(self._descriptor)
            if not os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
                raise FileNotFoundError(2, "another file has taken its name")
        except BaseException as error:
            self.broken = syncing
            self.truncate(self.size)
            if not isinstance(error, OSError):
                raise
            failed = f"cannot write step {step} to {self.path}"
            raise explain(failed, error, _SAFE) from error
        self.size += size
        return size

    def truncate(self, size: int) -> None:
        """Take back what lies after `size`; if that fails too, the log is broken."""
        self.size = size
        try:
            os.ftruncate(self._descriptor, size)
        except OSError:
            self.broken = True

    def close(self) -> None:
        """Close the file; every frame in it is durable already."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class Tail:
    """A tail log as a reader sees it, possibly while it grows.

    Parameters
    ----------
    path : Path
        The file.
    check : bool
        Test the checksums of all frames found, not of their headers only.

    Attributes
    ----------
    origin, document : Origin or None, Document or None
        None while the first bytes are being written.
    records : dict of int to Record
        Headers of the frames by row, oldest first.
    damage : list of str
        What cannot be read, in words.
    torn : int
        Bytes at the end that are no whole record: being written, or never committed.
    """

    def __init__(self, path: Path, *, check: bool = True) -> None:
        self.path = path
        self._check_all = check
        self.origin: Origin | None = None
        self.document: Document | None = None
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._restart()
        try:
            self.scan()
        except BaseException:
            self.close()
            raise

    def _restart(self) -> None:
        self.records: dict[int, Record] = {}
        self.damage: list[str] = []
        self.torn = 0
        self._offsets: list[int] = []
        self._end = 0

    def scan(self) -> None:
        """Look for frames that have come since the last scan."""
        size = os.fstat(self._descriptor).st_size
        if self.origin is None:
            self._read_preamble(size)
        if self.origin is None:
            return
        if self.records and not self._is_intact(self._last, self._offsets[-1]):
            self._restart()  # the writer has taken a frame back
            self._read_preamble(size)
        elif self.damage:
            self._restart()  # what looked damaged may have been on its way
            self._read_preamble(size)
        self.torn = 0
        while self._end < size:
            header = self._read(HEADER_SIZE, self._end)
            record = Record.from_bytes(header)
            if record is not None and self._end + record.size <= size:
                if not self._check_all or self._is_intact(record, self._end):
                    self.records[len(self.records)] = record
                    self._offsets.append(self._end)
                else:
                    self._name_damage(f"step {record.step} has a wrong checksum")
                self._end += record.size
            elif record is not None or len(header) < HEADER_SIZE:
                self.torn = size - self._end
                return
            elif not self._skip_damage(size):
                return

    def positions(self, row: int) -> NDArray[np.float64]:
        """Return the positions of one frame, checked."""
        return self.records[row].decode_positions(self._part(row, 1))

    def soap(self, row: int) -> NDArray[np.float32]:
        """Return the spectra of one frame, checked."""
        return self.records[row].decode_soap(self._part(row, 2))

    def neighbors(self, row: int) -> NeighborLists:
        """Return the neighbor lists of one frame, checked."""
        return self.records[row].decode_neighbors(self._part(row, 3))

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_preamble(self, size: int) -> None:
        start = self._read(_PREAMBLE_SIZE, 0)
        self.torn = size
        if len(start) < _PREAMBLE_SIZE:
            return
        magic, length, crc = _PREAMBLE.unpack_from(start)
        intact = zlib.crc32(start[: _PREAMBLE.size]) == int.from_bytes(start[-4:], "little")
        if intact and size < _PREAMBLE_SIZE + length:
            return
        text = self._read(length, _PREAMBLE_SIZE) if intact else b""
        if magic != _MAGIC or zlib.crc32(text) != crc:
            if self._read(size, 0).strip(b"\0"):
                self.damage = [f"{self.path.name}: its preamble is damaged, and so all it holds"]
            return
        self.origin, self.document = read_header(text, self.path.name)
        self._end = _PREAMBLE_SIZE + length

    def _is_intact(self, record: Record, offset: int) -> bool:
        if self._read(HEADER_SIZE, offset) != record.to_bytes():
            return False
        offset += HEADER_SIZE
        for size, crc in zip(record.sizes, record.crcs[1:], strict=True):
            payload = read_at(self._descriptor, size, offset)
            if len(payload) < size or zlib.crc32(payload.data) != crc:
                return False
            offset += size
        return True

    def _skip_damage(self, size: int) -> bool:
        """Go to the next intact header; return False if none is left."""
        rest = self._read(size - self._end, self._end)
        found = Record.find(rest, 1)
        if found is None:
            self.torn = size - self._end
            if rest.strip(b"\0"):  # zeros: pages that were never written before a power loss
                self._name_damage("the rest cannot be read: damaged, or cut off while written")
            return False
        self._name_damage(f"{found} bytes cannot be read")
        self._end += found
        return True

    def _name_damage(self, what: str) -> None:
        after = f" after step {self._last.step}" if self.records else ""
        self.damage.append(f"{self.path.name}, byte {self._end}{after}: {what}")

    @property
    def _last(self) -> Record:
        return self.records[len(self.records) - 1]

    def _read(self, size: int, offset: int) -> bytes:
        return read_at(self._descriptor, size, offset).tobytes()

    def _part(self, row: int, part: int) -> NDArray[np.uint8]:
        record = self.records[row]
        offset = self._offsets[row] + HEADER_SIZE + sum(record.sizes[: part - 1])
        payload = read_at(self._descriptor, record.sizes[part - 1], offset)
        if zlib.crc32(payload.data) != record.crcs[part]:
            raise DamageError(f"{self.path}: step {record.step} has a wrong checksum")
        return payload
