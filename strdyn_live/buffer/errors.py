"""What can go wrong with a buffer, said with the file, the step and the remedy."""

from __future__ import annotations

import errno

__all__ = [
    "APPEND",
    "FORCE",
    "AccessError",
    "BufferError",
    "BufferWarning",
    "DamageError",
    "OtherWriterError",
    "explain",
]


class BufferError(OSError):
    """A buffer cannot be written or read; the message names file, step and remedy."""


class OtherWriterError(BufferError):
    """Another writer has failed, and says itself why."""

    is_echo = True  # `Ranks` tells of the other error


class DamageError(BufferError):
    """What is stored there has changed since it was written."""


class AccessError(BufferError):
    """The system does not let this process read a file; its content may be intact."""


class BufferWarning(UserWarning):
    """A part of a buffer is damaged, missing or not yet sealed; everything else is served."""


APPEND = "append=True"
FORCE = "append='force'"

_GO_ON = f"then go on with {APPEND}"
_VANISHED = f"The folder was deleted, moved or unmounted: put it back, {_GO_ON}."
_RIGHTS = "Give this user the right to read and write there."
_STORAGE = f"The storage reported an error: check the device and the kernel log, {_GO_ON}."
_REMEDIES = {
    errno.ENOSPC: f"Free space on this file system (`strdyn prune` may help), {_GO_ON}.",
    errno.EDQUOT: f"The disk quota is used up: free space or ask for more, {_GO_ON}.",
    errno.EROFS: f"The file system is read-only: mount it writable, {_GO_ON}.",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOENT: _VANISHED,
    errno.ESTALE: _VANISHED,
    errno.ENOTDIR: "A part of this path is a file, not a folder: give another path.",
    errno.EEXIST: f"Something else has this name: move it away, {_GO_ON}.",
    errno.EISDIR: f"A folder has this name: move it away, {_GO_ON}.",
    errno.ELOOP: "A symbolic link has this name: give the path that it stands for.",
    errno.ENAMETOOLONG: "The file system takes no name of this length: give a shorter one.",
    errno.EFBIG: f"No larger file is allowed here: raise `ulimit -f`, {_GO_ON}.",
    errno.ENOMEM: f"This machine has no memory left: ask for more, {_GO_ON}.",
    errno.EMFILE: "Too many open files: raise `ulimit -n`.",
    errno.ENFILE: "Too many open files on this machine.",
}


def explain(
    failed: str, error: OSError, kept: str = "", kind: type[BufferError] = BufferError
) -> BufferError:
    """Return the BufferError for a failed system call.

    Parameters
    ----------
    failed : str
        What could not be done, with the file and the step.
    error : OSError
        What the system said.
    kept : str, optional
        What is safe nevertheless.
    kind : type, optional
        Class of the error.
    """
    code = error.errno or 0
    remedy = _REMEDIES.get(code, _STORAGE)
    said = error.strerror or str(error)
    return kind(" ".join(text for text in (f"{failed}: {said}.", kept, remedy) if text))
