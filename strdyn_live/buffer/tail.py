"""The tail log: frames appended and made durable one by one, until they are sealed."""

from __future__ import annotations

import contextlib
import errno
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
from .storage import Bytes, open_regular, read_at, sync_data, sync_folder, write_all

__all__ = ["Tail", "TailWriter"]

_PREAMBLE = struct.Struct("<8sQI")  # magic, length and CRC32 of the header text; then its own CRC
_PREAMBLE_SIZE = _PREAMBLE.size + 4
_MAGIC = b"SDLTAIL1"
_SAFE = "The frames before it are safe."
_BLOCK_BYTES = 4 * 2**20  # read at once; what a header declares may be larger than the memory
_LARGEST_HEADER = 2**28
_LARGEST_UNCHECKED = 2**30


class TailWriter:
    """An open tail log.

    `append` returns when the frame is durable; if it fails, the log ends where it ended before.
    After a failed fsync the kernel may drop the data, and a second fsync then reports success. Such
    a log is `broken`: it takes no more frames, and those in it stay good.
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
    started : bool
        Whether the first bytes are there; without them nothing of the file can be read.
    origin, document : Origin, Document
        Where the frames come from and what they share, of a log that has started.
    records : dict of int to Record
        Headers of the frames by row, oldest first.
    damage : list of str
        What cannot be read, in words.
    torn : int
        Bytes at the end that are no whole record: being written, or never committed.

    Raises
    ------
    DamageError
        If it is no regular file.
    """

    origin: Origin
    document: Document

    def __init__(self, path: Path, *, check: bool = True) -> None:
        self.path = path
        self._check_all = check
        self._descriptor = open_regular(path)
        self._restart()
        try:
            self.scan()
        except BaseException:
            self.close()
            raise

    def _restart(self) -> None:
        self.started = False
        self.records: dict[int, Record] = {}
        self.damage: list[str] = []
        self.torn = 0
        self._offsets: list[int] = []
        self._end = 0

    def scan(self) -> None:
        """Look for frames that have come since the last scan."""
        size = os.fstat(self._descriptor).st_size
        # the writer may have taken a frame back; what looked damaged may have been on its way
        if self.damage or (self.records and not self._is_intact(self._last, self._offsets[-1])):
            self._restart()
        if not self.started:
            self._read_preamble(size)
        if not self.started:
            return
        self.torn = 0
        while self._end < size:
            header = self._read(HEADER_SIZE, self._end)
            record = Record.from_bytes(header)
            if record is not None and not self._fits(record):
                self._name_damage(f"step {record.step} has the sizes of another buffer")
                self._end += HEADER_SIZE
            elif record is not None and self._end + record.size <= size:
                checked = self._check_all or record.size > _LARGEST_UNCHECKED
                if not checked or self._is_intact(record, self._end):
                    self.records[len(self.records)] = record
                    self._offsets.append(self._end)
                else:
                    self._name_damage(f"step {record.step} has a wrong checksum")
                self._end += record.size
            elif not self._skip_damage(size, is_record=record is not None):
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
        if not intact or length > _LARGEST_HEADER:
            length = 0
        text = self._read(length, _PREAMBLE_SIZE)
        if magic != _MAGIC or zlib.crc32(text) != crc:
            if self._has_data(0, size):
                self.damage = [f"{self.path.name}: its preamble is damaged, and so all it holds"]
            return
        self.origin, self.document = read_header(text, str(self.path))
        self.started = True
        self._end = _PREAMBLE_SIZE + length

    def _fits(self, record: Record) -> bool:
        start, stop = self.origin.rows
        return record.n_atoms == stop - start and self.document.allows(record.n_features)

    def _is_intact(self, record: Record, offset: int) -> bool:
        if self._read(HEADER_SIZE, offset) != record.to_bytes():
            return False
        offset += HEADER_SIZE
        for size, crc in zip(record.sizes, record.crcs[1:], strict=True):
            found = 0
            for start in range(offset, offset + size, _BLOCK_BYTES):
                block = read_at(self._descriptor, min(_BLOCK_BYTES, offset + size - start), start)
                found = zlib.crc32(block.data, found)
            if found != crc:
                return False
            offset += size
        return True

    def _skip_damage(self, size: int, is_record: bool) -> bool:
        """Go to the next intact header; return False if none is left.

        A record at the very end that is cut off, or a part of a header, is no damage: it was being
        written, and is not committed.
        """
        found = self._find_header(self._end + 1, size)
        if found is None:
            self.torn = size - self._end
            cut_off = is_record or self.torn < HEADER_SIZE
            # zeros: pages that were never written before a power loss
            if not cut_off and self._has_data(self._end, size):
                self._name_damage("the rest cannot be read: damaged, or cut off while written")
            return False
        self._name_damage(f"{found - self._end} bytes cannot be read")
        self._end = found
        return True

    def _find_header(self, start: int, size: int) -> int | None:
        while size - start >= HEADER_SIZE:
            start = self._next_data(start, size)
            block = self._read(min(_BLOCK_BYTES, size - start), start)
            found = Record.find(block, 0)
            if found is not None:
                return start + found
            start += max(1, len(block) - HEADER_SIZE + 1)
        return None

    def _has_data(self, start: int, size: int) -> bool:
        """Return whether anything but zeros lies between two offsets."""
        while start < size:
            start = self._next_data(start, size)
            block = self._read(min(_BLOCK_BYTES, size - start), start)
            if block.strip(b"\0"):
                return True
            start += max(1, len(block))
        return False

    def _next_data(self, start: int, size: int) -> int:
        """Skip what was never written: a sparse file may be larger than any disk."""
        try:
            return os.lseek(self._descriptor, start, os.SEEK_DATA)
        except OSError as error:  # without data after it, or a file system that does not tell
            return size if error.errno == errno.ENXIO else start

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
