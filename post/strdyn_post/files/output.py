"""Files that appear only when they are complete; errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from strdyn_live.buffer.storage import PART, ForgivingFile, sync_folder
from strdyn_post.errors import OutputError

__all__ = [
    "cannot_write",
    "check_not_in_buffer",
    "is_ours",
    "new_file",
    "write_text",
]

_ELSEWHERE = "or give another place (-o)"
_REMEDIES = {
    errno.ENOSPC: f"Free space on this file system, {_ELSEWHERE}.",
    errno.EDQUOT: f"The disk quota is used up: free space, {_ELSEWHERE}.",
    errno.EFBIG: f"The limit on the size of a file is reached: raise `ulimit -f`, {_ELSEWHERE}.",
    errno.EROFS: f"The file system is read-only: mount it writable, {_ELSEWHERE}.",
    errno.EACCES: f"Give this user the right to write there, {_ELSEWHERE}.",
    errno.EPERM: f"Give this user the right to write there, {_ELSEWHERE}.",
    errno.ENOENT: f"The folder is not there: make it, {_ELSEWHERE}.",
    errno.ENOTDIR: "A part of this path is a file: give another place (-o).",
}


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Return the error for an output, with the message of the system and a remedy."""
    remedy = _REMEDIES.get(error.errno or 0, f"Check the storage, {_ELSEWHERE}.")
    return OutputError(f"cannot write {path}: {error.strerror or error}. {remedy}")


@contextlib.contextmanager
def new_file(
    path: Path, prefix: str = ".strdyn-", *, durable: bool = True
) -> Iterator[ForgivingFile]:
    """Write a file that appears under its name only when it is complete.

    Parameters
    ----------
    path : Path
        Name of the finished file. An existing file or link of this name is replaced.
    prefix : str
        First part of the name of the unfinished file; the rest is random.
    durable : bool
        Wait until the file is on the disk. False for files that can be drawn again.

    Raises
    ------
    OutputError
        If the file cannot be written; no part of it is left.
    """
    part = path.with_name(f"{prefix}{secrets.token_hex(8)}{PART}")
    try:
        file = ForgivingFile(part, "x+b")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with file:
            yield file
            try:
                file.check()
                if durable:
                    os.fsync(file.fileno())
                os.replace(part, path)
                if durable:
                    sync_folder(path.absolute().parent)
            except OSError as error:
                raise cannot_write(path, error) from error
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        # if the disk did not take all bytes, HDF5 fails later: the disk is the cause
        if file.error is not None and not isinstance(error, OutputError | KeyboardInterrupt):
            raise cannot_write(path, file.error) from error
        raise


def write_text(file: ForgivingFile, text: str) -> None:
    """Write text as UTF-8, with escapes for names of files that are not; raise errors at once."""
    file.write(text.encode("utf-8", "backslashreplace"))
    file.check()


def is_ours(path: Path, sign: str) -> bool:
    """Whether a file has a sign of strdyn near its beginning."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return sign.encode() in file.read(8192)
    except OSError:
        return False


def check_not_in_buffer(path: Path) -> None:
    """Raise OutputError for an output inside a buffer."""
    try:
        place = path.resolve()
    except (OSError, RuntimeError) as error:  # links that lead to each other
        raise OutputError(f"cannot write {path}: {error}. Give another place (-o).") from None
    for folder in (place, *place.parents):
        is_buffer = (folder / "config.json").is_file() and any(folder.glob("gen-*.json"))
        if is_buffer or folder.suffix == ".sdl":
            raise OutputError(
                f"cannot write {path}: {folder} is a buffer, which holds frames and nothing else. "
                "Give another place (-o)."
            )
