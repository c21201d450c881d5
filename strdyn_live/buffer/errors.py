"""What can go wrong with a buffer, said with the file, the step and the remedy."""

from __future__ import annotations

import errno

__all__ = ["BufferError", "BufferWarning", "DamageError", "explain"]


class BufferError(OSError):
    """A buffer cannot be written or read; the message names file, step and remedy."""


class DamageError(BufferError):
    """What is stored there has changed since it was written."""


class BufferWarning(UserWarning):
    """A part of a buffer is damaged, missing or not yet sealed; everything else is served."""


_GO_ON = "then go on with append=yes"
_VANISHED = f"The folder was deleted, moved or unmounted: put it back, {_GO_ON}."
_REMEDIES = {
    errno.ENOSPC: f"Free space on this file system (`strdyn prune` may help), {_GO_ON}.",
    errno.EDQUOT: f"The disk quota is used up: free space or ask for more, {_GO_ON}.",
    errno.EROFS: f"The file system is read-only: mount it writable, {_GO_ON}.",
    errno.EACCES: "Give this user the right to read and write there.",
    errno.EPERM: "Give this user the right to read and write there.",
    errno.ENOENT: _VANISHED,
    errno.ESTALE: _VANISHED,
    errno.ENOTDIR: _VANISHED,
    errno.EMFILE: "Too many open files: raise `ulimit -n`.",
    errno.ENFILE: "Too many open files on this machine.",
}
_STORAGE = f"The storage reported an error: check the device and the kernel log, {_GO_ON}."


def explain(failed: str, error: OSError, kept: str = "") -> BufferError:
    """Return the BufferError for a failed system call.

    Parameters
    ----------
    failed : str
        What could not be done, with the file and the step.
    error : OSError
        What the system said.
    kept : str, optional
        What is safe nevertheless.
    """
    code = error.errno or 0
    remedy = _REMEDIES.get(code, _STORAGE)
    said = error.strerror or str(error)
    return BufferError(" ".join(text for text in (f"{failed}: {said}.", kept, remedy) if text))
