"""The few file operations the guarantee rests on: whole writes, fsync, atomic names."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PART",
    "Bytes",
    "ForgivingFile",
    "new_file",
    "read_at",
    "sync_data",
    "sync_folder",
    "write_all",
    "write_file",
]

Bytes: TypeAlias = bytes | memoryview

PART = ".part"  # suffix of a file that is not finished

sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def write_all(descriptor: int, pieces: Sequence[Bytes]) -> int:
    """Write pieces at the current offset, going on after short writes; return their size."""
    views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    size = sum(len(view) for view in views)
    while views:
        n_written = os.writev(descriptor, views)
        if n_written == 0:
            raise OSError(errno.EIO, "the file takes no more bytes")
        while views and n_written >= len(views[0]):
            n_written -= len(views.pop(0))
        if n_written:
            views[0] = views[0][n_written:]
    return size


def read_at(descriptor: int, size: int, offset: int) -> NDArray[np.uint8]:
    """Read up to `size` bytes at `offset`; less only at the end of the file."""
    data = np.empty(size, dtype=np.uint8)
    n_read = 0
    while n_read < size:  # Linux reads at most 2 GiB at once
        n = os.preadv(descriptor, [data[n_read:].data], offset + n_read)
        if n == 0:
            break
        n_read += n
    return data[:n_read]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ForgivingFile(io.FileIO):
    """A file that keeps its first error to itself, until asked.

    HDF5 does not survive an error of the disk: it crashes the process when it closes the file.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or remember why not."""
        if self.error is None:
            try:
                write_all(self.fileno(), [data])
            except OSError as error:
                self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Change the length, or remember why not."""
        if self.error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def flush(self) -> None:
        """Do nothing: there is no memory to flush."""

    def check(self) -> None:
        """Raise what went wrong."""
        if self.error is not None:
            raise self.error


@contextlib.contextmanager
def new_file(path: Path, *, exclusive: bool = False) -> Iterator[ForgivingFile]:
    """Write a file that appears under its name only when whole and durable.

    Parameters
    ----------
    path : Path
        Name of the finished file; what stood there is replaced.
    exclusive : bool
        Fail with FileExistsError if someone else is writing this file or has written it.
    """
    part = path.with_name(path.name + PART)
    file = ForgivingFile(part, "x+b" if exclusive else "w+b")
    try:
        with file:
            if exclusive and path.exists():
                raise FileExistsError(errno.EEXIST, "it exists", str(path))
            yield file
            file.check()
            os.fsync(file.fileno())
        os.rename(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        if file.error is not None and error is not file.error:
            raise file.error from error
        raise
    sync_folder(path.absolute().parent)


def write_file(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Write a small file as `new_file` does."""
    with new_file(path, exclusive=exclusive) as file:
        file.write(content)
