"""Results in a folder: ``results.h5``, and the settings in ``analysis.toml``.

``results.h5`` is an HDF5 file behind a block of 512 bytes (a user block, which HDF5 readers skip).
The block holds the run ID and the SHA-256 of all other bytes. A file that has changed since it was
written is refused.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from functools import partial
from pathlib import Path

from strdyn_post.errors import AnalysisError
from strdyn_post.results import AnalysisResult

from .folder import RESULTS, claim, mark
from .results_check import check_result
from .results_layout import read_content, write_content

__all__ = ["load_results", "save_results"]

_FORMAT = 2
_BLOCK = 512  # bytes
_HEAD = re.compile(rb"(strdyn run ([0-9a-f]{32})\nformat (\d+)\n)sha256 ([0-9a-f]{64})\n\0*")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def save_results(result: AnalysisResult, directory: str | os.PathLike[str]) -> Path:
    """Write ``results.h5`` and ``analysis.toml`` into a folder.

    Each file appears only when it is complete. The settings go into ``analysis.used.toml`` if
    ``analysis.toml`` is a file of the user.

    Returns
    -------
    Path
        Path of ``results.h5``.

    Raises
    ------
    OutputError
        If the folder cannot be written, or another analysis is writing it.
    """
    with claim(directory) as folder:
        with folder.new_file(RESULTS) as file:
            write_content(result, file, _BLOCK)
            file.check()
            seal(file, result.run_id)
        folder.write_settings(result)
    return Path(folder) / RESULTS


def load_results(path: str | Path) -> AnalysisResult:
    """Read the results of an analysis.

    Parameters
    ----------
    path : str or Path
        The folder, or its ``results.h5``.

    Raises
    ------
    AnalysisError
        If there are no results, or they have changed since they were written, or another version
        wrote them. Results of format 1 have no checksum: changes in them are not found.
    """
    path = Path(path)
    path = path / RESULTS if path.is_dir() else path
    if not path.is_file():
        raise AnalysisError(f"no results at {path}: `strdyn analyse BUFFER -o DIR` writes them.")
    with path.open("rb") as file:
        run_id = _check_bytes(path, file)
        try:
            result = read_content(file, run_id or _name_of(file))
            check_result(result)
        except Exception as error:  # a wrong entry raises many kinds of errors
            said = str(error) or type(error).__name__
            raise AnalysisError(
                f"{path} is not as strdyn writes it: {said} Analyse the buffer again."
            ) from error
    return result


def seal(file: io.FileIO, run_id: str, version: int = _FORMAT) -> None:
    """Write the block in front of an HDF5 file that is open for reading and writing."""
    head = f"{mark(run_id)}\nformat {version}\n".encode()
    block = head + f"sha256 {_digest(file, head)}\n".encode()
    file.seek(0)
    file.write(block.ljust(_BLOCK, b"\0"))


def _digest(file: io.FileIO | io.BufferedReader, head: bytes) -> str:
    file.seek(_BLOCK)
    return hashlib.file_digest(file, partial(hashlib.sha256, head)).hexdigest()


def _check_bytes(path: Path, file: io.BufferedReader) -> str | None:
    """Compare with the checksum; return the run ID, None for format 1."""
    start = file.read(_BLOCK)
    if start.startswith(_HDF5):
        return None
    found = _HEAD.fullmatch(start)
    if found is None:
        raise AnalysisError(
            f"{path} is not a file of results, or its beginning is damaged. Analyse the buffer "
            "again."
        )
    if _digest(file, found[1]) != found[4].decode():
        raise AnalysisError(
            f"{path} has changed since it was written: its checksum differs. Replace it by an "
            "intact copy, or analyse the buffer again."
        )
    if int(found[3]) != _FORMAT:
        raise AnalysisError(
            f"{path} has format {int(found[3])}, this version reads 1 and {_FORMAT}: use the "
            "version that wrote it, or analyse the buffer again."
        )
    return found[2].decode()


def _name_of(file: io.BufferedReader) -> str:
    """Return a run ID, made from the bytes, for results of format 1, which have none."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()[:32]
