"""One job writes a buffer at a time; a second one is told who holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from pathlib import Path

from .errors import BufferError, explain
from .storage import open_regular, write_all

__all__ = ["NAME", "Lock"]

NAME = "lock"

_held: set[tuple[int, int]] = set()  # by this process: device and number of each lock file
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class Lock:
    """The right to write a buffer, held until `release` or the death of the process.

    The kernel keeps the lock, so it ends with its holder. Some parallel file systems have no locks.
    There the process named in the file decides: on this host it holds the lock if it still runs; on
    another host it is taken to run.

    Raises
    ------
    BufferError
        If another process holds it, with its host and number.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        try:
            self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
        except BufferError:
            raise
        except OSError as error:
            raise explain(f"cannot write to {folder}", error) from error
        try:
            found = os.fstat(self._descriptor)
            self._identity = (found.st_dev, found.st_ino)
            if found.st_nlink > 1:
                raise BufferError(
                    f"{path} is a hard link to another file, which would be emptied: delete it."
                )
            if self._identity in _held:
                raise BufferError(
                    f"{folder} is being written by another Recorder of this process: close that "
                    "one first (its `close()`, or the end of its `with`), or record to another "
                    "file."
                )
            host, pid = _read_holder(self._descriptor)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken = False
            except OSError as error:
                if error.errno not in {*_NO_LOCKS, errno.EWOULDBLOCK}:
                    raise
                taken = error.errno == errno.EWOULDBLOCK or _seems_alive(host, pid)
            if taken:
                holder = f"process {pid} on host {host}" if host else "another process"
                raise BufferError(
                    f"{folder} is being written by {holder}: end that job first, or record to "
                    f"another file. If that host has crashed, delete {path}."
                )
            self._write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}) + "\n")
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BufferError):
                raise
            raise explain(f"cannot write {path}", error) from error
        _held.add(self._identity)

    def release(self) -> None:
        """Let others write."""
        if self._descriptor >= 0:
            _held.discard(self._identity)
            with contextlib.suppress(OSError):
                self._write("")
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, text: str) -> None:
        # never deleted: two processes could then hold locks on two files of this name
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        write_all(self._descriptor, [text.encode()])


def _read_holder(descriptor: int) -> tuple[str, int]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        host, pid = str(holder["host"]), int(holder["pid"])
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        return "", 0
    return (host, pid) if 0 < pid < 2**31 else ("", 0)


def _seems_alive(host: str, pid: int) -> bool:
    if not host:
        return False
    if host != socket.gethostname():
        return True
    if pid == os.getpid():  # it had our number, and is dead: our own locks are in _held
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
