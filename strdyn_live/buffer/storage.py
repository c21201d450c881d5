"""The few file operations the guarantee rests on: whole writes, fsync, atomic names."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

__all__ = ["PART", "Bytes", "read_at", "sync_data", "sync_folder", "write_all", "write_file"]

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


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Read up to `size` bytes at `offset`; less only at the end of the file."""
    pieces = []
    while size > 0:
        # Linux reads at most 2 GiB at once
        piece = os.pread(descriptor, size, offset)
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, pieces: Sequence[Bytes], *, exclusive: bool = False) -> None:
    """Write a file that appears under its name only when whole and durable.

    Parameters
    ----------
    path : Path
        Name of the finished file; what stood there is replaced.
    pieces : sequence of bytes-like
        Content.
    exclusive : bool
        Fail with FileExistsError if someone else is writing this file or has written it.
    """
    part = path.with_name(path.name + PART)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if exclusive else os.O_TRUNC)
    descriptor = os.open(part, flags, 0o666)
    try:
        try:
            if exclusive and path.exists():
                raise FileExistsError(errno.EEXIST, "it exists", str(path))
            write_all(descriptor, pieces)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    sync_folder(path.parent)
