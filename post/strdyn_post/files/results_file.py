"""Results in a folder: ``results.h5``, and the settings in ``analysis.toml``.

A file that has changed since it was written is refused (see `strdyn_live.results_block`).
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

from strdyn_live.results_block import BLOCK, RESULTS, ResultsError, check_block, seal
from strdyn_post.errors import AnalysisError
from strdyn_post.results import AnalysisResult

from .folder import claim
from .results_check import check_result
from .results_layout import read_content, write_content

__all__ = ["load_results", "save_results"]


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
            write_content(result, file, BLOCK)
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
        try:
            run_id = check_block(path, file)
        except ResultsError as error:
            raise AnalysisError(str(error)) from error
        try:
            result = read_content(file, run_id or _name_of(file))
            check_result(result)
        except Exception as error:  # a wrong entry raises many kinds of errors
            said = str(error) or type(error).__name__
            raise AnalysisError(
                f"{path} is not as strdyn writes it: {said} Analyse the buffer again."
            ) from error
    return result


def _name_of(file: io.BufferedReader) -> str:
    """Return a run ID, made from the bytes, for results of format 1, which have none."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()[:32]
