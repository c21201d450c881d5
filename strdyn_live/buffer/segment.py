"""A sealed segment: an immutable HDF5 file, for reading; a packed buffer is one of them."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists

from .bases import StoredBasis
from .compression import BLOSC2, require_filters
from .document import read_header
from .errors import AccessError, BufferError, DamageError, explain
from .layout import (
    BASES,
    CHUNK_BYTES,
    COUNT,
    DAMAGE,
    HEADER,
    ID,
    LIVE,
    OFFSET,
    POSITION,
    RECORD,
    SOAP,
    SOAP_ROW,
    STEP,
    TIME,
    soap_name,
    undo_differences,
)
from .record import HEADER_SIZE, Record, crc_neighbors
from .storage import open_regular

__all__ = ["Segment"]

_CACHE_BYTES = 16 * 2**20
_AHEAD_BYTES = 2**18  # of small frames read at once
_OUR_FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_DEFLATE_RATIO = 1100  # zlib cannot pack tighter than 1 : 1032
_BLOSC2_RATIO = 100_000
_ROW_BYTES = 2**23  # more than the longest spectrum


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
    bases : list of StoredBasis
        Of the scores in a packed buffer.

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
            self.origin, self.document = read_header(self._opened(HEADER)[()], path.name)
            self._check_shapes()
            self.damage = [text.decode() for text in self._opened(DAMAGE)[()]]
            self._ends: NDArray[np.int64] = self._opened(OFFSET)[()]
            self._soap_rows = self._read_soap_rows()
            self.bases = self._read_bases()
            headers = [header.tobytes() for header in self._opened(RECORD)[()]]
            times = zip(self._opened(STEP)[()], self._opened(TIME)[()], strict=True)
        n_rows, allows = self._n_rows, self.document.allows
        for row, (header, time) in enumerate(zip(headers, times, strict=True)):
            record = Record.from_bytes(header)
            if record is None or record.n_atoms != n_rows or not allows(record.n_features):
                self.damage.append(f"{path.name}: the record of frame {row} is damaged")
                continue
            self.records[row] = record
            if (record.step, record.time) != time:  # other programs read these; we do not
                self.damage.append(f"{path.name}: step or time of step {record.step} has changed")

    def positions(self, row: int) -> NDArray[np.float64]:
        """Return the positions of one frame, checked."""
        with self._reading("positions", row):
            values: NDArray[np.float64] = self._row(POSITION, row)
            self._check(row, 1, zlib.crc32(values.data))
        return values

    def soap(self, row: int) -> NDArray[np.float32]:
        """Return the spectra of one frame, checked."""
        with self._reading("spectra", row):
            values = self._read_soap(row, self.records[row].n_features)
            self._check(row, 2, zlib.crc32(values.data))
        return values

    def neighbors(self, row: int) -> NeighborLists:
        """Return the neighbor lists of one frame, checked."""
        with self._reading("neighbor lists", row):
            record, counts = self.records[row], self._row(COUNT, row)
            lists = NeighborLists.from_counts(counts.astype(np.int64), np.empty(0, np.int64))
            start, stop = self._ends[row : row + 2].tolist()
            if start < 0 or not stop - start == record.n_pairs == lists.offsets[-1]:
                raise ValueError("the number of neighbors does not fit")
            ids = undo_differences(lists.offsets, self._span(ID, start, stop))
            self._check(row, 3, crc_neighbors(counts, ids.astype(f"<i{record.id_size}")))
        return NeighborLists(lists.offsets, ids)

    def live(self) -> bytes:
        """Return the lines of the logs of values in a packed buffer; empty without them."""
        with self._reading("live values"):
            self._opened(HEADER)
            if LIVE not in self._file:
                return b""
            lines: bytes = self._opened(LIVE)[()].tobytes()
        return lines

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

    def _read_soap(self, row: int, n_columns: int) -> NDArray[np.float32]:
        n_rows, n_features = self._n_rows, self.document.n_features
        if n_columns == 0:
            return np.empty((n_rows, 0), dtype=np.float32)
        name = soap_name(n_columns, n_features)
        data = self._opened(name)
        if (data.shape[1:], data.dtype.str) != ((n_rows, n_columns), "<f4"):
            raise ValueError(f"{name} is {(data.shape, data.dtype.str)}")
        values: NDArray[np.float32] = self._row(name, int(self._soap_rows[row]))
        return values

    def _read_soap_rows(self) -> NDArray[np.int64]:
        """Return the row of every frame in its data set of spectra or scores."""
        n_frames = len(self._opened(RECORD))
        self._opened(HEADER)
        if SOAP_ROW not in self._file:
            return np.arange(n_frames)
        rows: NDArray[np.int64] = self._opened(SOAP_ROW)[()]
        if (rows.shape, rows.dtype.str) != ((n_frames,), "<i8"):
            raise ValueError(f"{SOAP_ROW} is {(rows.shape, rows.dtype.str)}")
        return rows

    def _read_bases(self) -> list[StoredBasis]:
        if BASES not in self._file:
            return []
        bases = []
        for line in self._opened(BASES)[()].tobytes().splitlines():
            name = f"{self.path.name}: a basis"
            try:
                bases.append(StoredBasis.from_bytes(line, name, self.document.n_features))
            except DamageError as error:
                self.damage.append(str(error))
        return bases

    def _check_shapes(self) -> None:
        """Raise ValueError unless all fits together; what would need memory is read after that."""
        n_frames, n_rows = len(self._opened(RECORD)), self._n_rows
        ids = self._opened(ID)
        expected = {
            RECORD: ((n_frames, HEADER_SIZE), "|u1"),
            STEP: ((n_frames,), "<i8"),
            TIME: ((n_frames,), "<f8"),
            POSITION: ((n_frames, n_rows, 3), "<f8"),
            COUNT: ((n_frames, n_rows), "<u4"),
            OFFSET: ((n_frames + 1,), "<i8"),
            ID: ((ids.size,), "<i8" if ids.dtype.itemsize == 8 else "<i4"),
        }
        if self.document.config.store == "full":
            expected[SOAP] = ((n_frames, n_rows, self.document.n_features), "<f4")
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
        except (FileNotFoundError, BufferError, ImportError):
            self.close()
            raise
        except MemoryError as error:
            self.close()
            raise BufferError(
                f"{self.path}: {what} do not fit into the memory of this machine. Read it on a "
                "machine with more memory."
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
    if layout == h5py.h5d.CHUNKED and (name == ID or "/soap" in name):
        filters = {given.get_filter(i)[0] for i in range(given.get_nfilters())}
        chunk_bytes = math.prod(given.get_chunk()) * kind.get_size()
        whole = filters <= {*_OUR_FILTERS, BLOSC2} and chunk_bytes <= max(CHUNK_BYTES, _ROW_BYTES)
        stored *= _BLOSC2_RATIO if BLOSC2 in filters else _DEFLATE_RATIO
        if whole and BLOSC2 in filters:
            require_filters()
    if not whole or found.get_space().get_simple_extent_npoints() * kind.get_size() > stored:
        raise ValueError(f"{name} claims more than is stored")
    return h5py.Dataset(found)
