"""The block in front of ``results.h5``, which shows whether the file has changed.

``results.h5`` is an HDF5 file behind a block of 512 bytes (a user block, which HDF5 readers skip).
The block holds the run ID and the SHA-256 of all other bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
from functools import partial
from pathlib import Path

__all__ = ["BLOCK", "RESULTS", "ResultsError", "check_block", "mark", "seal"]

RESULTS = "results.h5"
BLOCK = 512  # bytes

_FORMAT = 2
_HEAD = re.compile(rb"(strdyn run ([0-9a-f]{32})\nformat (\d+)\n)sha256 ([0-9a-f]{64})\n\0*")
_HDF5 = b"\x89HDF\r\n\x1a\n"


class ResultsError(ValueError):
    """A file of results cannot be used; the message says what was found and how to mend it."""


def mark(run_id: str) -> str:
    """Return the mark that every file of an analysis has near its beginning."""
    return f"strdyn run {run_id}"


def seal(file: io.FileIO, run_id: str, version: int = _FORMAT) -> None:
    """Write the block in front of an HDF5 file that is open for reading and writing."""
    head = f"{mark(run_id)}\nformat {version}\n".encode()
    block = head + f"sha256 {_digest(file, head)}\n".encode()
    file.seek(0)
    file.write(block.ljust(BLOCK, b"\0"))


def check_block(path: Path, file: io.BufferedReader) -> str | None:
    """Compare a file with the checksum in its block.

    Returns
    -------
    str or None
        The run ID; None for format 1, which has no block.

    Raises
    ------
    ResultsError
        If it is no file of results, has changed since it was written, or has another format.
    """
    start = file.read(BLOCK)
    if start.startswith(_HDF5):
        return None
    found = _HEAD.fullmatch(start)
    if found is None:
        raise ResultsError(
            f"{path} is not a file of results, or its beginning is damaged. Analyse the buffer "
            "again."
        )
    if _digest(file, found[1]) != found[4].decode():
        raise ResultsError(
            f"{path} has changed since it was written: its checksum differs. Replace it by an "
            "intact copy, or analyse the buffer again."
        )
    if int(found[3]) != _FORMAT:
        raise ResultsError(
            f"{path} has format {int(found[3])}, this version reads 1 and {_FORMAT}: use the "
            "version that wrote it, or analyse the buffer again."
        )
    return found[2].decode()


def _digest(file: io.FileIO | io.BufferedReader, head: bytes) -> str:
    file.seek(BLOCK)
    return hashlib.file_digest(file, partial(hashlib.sha256, head)).hexdigest()
