"""The file operations that the promises of a buffer rest on: whole writes, fsync, atomic names."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import DamageError

__all__ = [
    "PART",
    "Bytes",
    "ForgivingFile",
    "new_file",
    "new_suffix",
    "open_regular",
    "read_at",
    "read_small",
    "sync_data",
    "sync_folder",
    "write_all",
    "write_file",
]

Bytes: TypeAlias = bytes | memoryview

PART = ".part"  # suffix of a file that is not finished
_LARGEST_SMALL = 2**28  # bytes: a hundred times the IDs of ten million atoms
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

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


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file of a buffer; return its descriptor.

    Only regular files are opened. A pipe would let the reader wait, a device never ends; a symbolic
    link leads to a file that is not the buffer's, which would be shown to others or overwritten.

    Raises
    ------
    DamageError
        If something else has this name.
    OSError
        If the system refuses.
    """
    try:
        _require_regular(path, os.lstat(path).st_mode)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
    except DamageError:
        os.close(descriptor)
        raise
    return descriptor


def read_small(path: Path) -> bytes:
    """Return what a small file holds; DamageError for anything else, as `open_regular`."""
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        if size > _LARGEST_SMALL:
            raise DamageError(
                f"{path} has {size} bytes: no such file of a buffer is that large. Put back a copy."
            )
        return read_at(descriptor, size, 0).tobytes()
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ForgivingFile(io.FileIO):
    """A file that stores its first error until `check` raises it.

    After an error of the disk HDF5 crashes the process when it closes the file.
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

    Until then its name has a random ending, so that no other file has the same name.

    Parameters
    ----------
    path : Path
        Name of the finished file; what stood there is replaced.
    exclusive : bool
        Fail with FileExistsError if there is such a file when this one is finished.
    """
    part = path.with_name(path.name + new_suffix(PART))
    file = ForgivingFile(part, "x+b")
    try:
        with file:
            yield file
            file.check()
            os.fsync(file.fileno())
        if exclusive:
            _claim(part, path)
        else:
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


def new_suffix(kind: str) -> str:
    """Return an ending for a name of our own: 16 random digits, then the kind (`PART`)."""
    return f".{secrets.token_hex(8)}{kind}"


def _claim(part: Path, path: Path) -> None:
    """Give a finished file its name; FileExistsError if someone was faster."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it exists", str(path)) from None
        os.rename(part, path)
    else:
        with contextlib.suppress(OSError):  # recovery removes it
            os.unlink(part)


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise DamageError(
            f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'no file')}: expected a regular file. "
            "A buffer keeps its files in its own folder: put the file itself there."
        )
