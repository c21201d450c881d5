"""Results for other programs: OVITO, ASE, MDAnalysis, spreadsheets, cpctools, chemiscope."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from strdyn_live.buffer.storage import ForgivingFile
from strdyn_post.errors import OutputError
from strdyn_post.files.output import check_not_in_buffer, is_ours, new_file
from strdyn_post.provenance import check_same_run
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult

from .chemiscope import chemiscope_data
from .objects import to_ase, to_mda
from .soapify import CREATOR, write_soapify, write_soapify_into
from .text_formats import ALWAYS, write_csv, write_dump, write_extxyz

__all__ = ["FORMATS", "check_output", "export", "to_ase", "to_mda", "write_soapify"]

_Path = str | os.PathLike[str]


def export(result: AnalysisResult, recording: Recording, to: str, path: _Path) -> Path:
    """Write a result in the format of another program.

    One column for each route holds the environments as numbers (`Names.numbers`): a mark that is a
    number stays this number, A is 101, B is 102; −1 is noise. The column `delta` is the smoothed
    δ. Every file holds the frames of the result, with the atoms by their IDs.

    Parameters
    ----------
    result : AnalysisResult
    recording : Recording
        The recording that was analysed.
    to : {"extxyz", "dump", "csv", "chemiscope", "soapify"}
        Extended XYZ (OVITO, ASE), LAMMPS dump (OVITO, LAMMPS), CSV, the explorer's data (open it
        at chemiscope.org), trajectory and spectra in the HDF5 layout of cpctools.
    path : path
        The file to write. An older export of this format is replaced; any other file is not.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the format is unknown; an `AnalysisError` if the result is of another recording.
    OutputError
        If the file cannot be written, or another file has this name.
    ImportError
        If the format needs a package that is not installed.
    """
    check_same_run(result, recording)
    path = check_output(to, path)
    with new_file(path) as file:
        FORMATS[to].write(result, recording, file)
    return path


def check_output(to: str, path: _Path) -> Path:
    """Return the path; raise the errors of `export` that follow from format and file alone."""
    if to not in FORMATS:
        raise ValueError(f"unknown format {to!r}: expected one of {', '.join(FORMATS)}.")
    path = Path(path)
    check_not_in_buffer(path)
    if path.is_dir() or not path.name:
        raise OutputError(f"cannot write {path}: it is a folder. Give the name of a file (-o).")
    if os.path.lexists(path) and not is_ours(path, FORMATS[to].sign):
        raise OutputError(
            f"cannot write {path}: it exists, and strdyn did not write it as {to}. "
            "Move it away, or give another file (-o)."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write {path}: its folder does not exist, or you have no write permission "
            "there. Give another file (-o)."
        )
    return path


def _write_chemiscope(result: AnalysisResult, recording: Recording, file: ForgivingFile) -> None:
    text = json.dumps(chemiscope_data(result, recording), separators=(",", ":"))
    # no time stamp: the same analysis makes the same file
    with gzip.GzipFile(CREATOR, "wb", 9, cast("BinaryIO", file), mtime=0) as packed:
        packed.write(text.encode())


def _write_soapify(_result: AnalysisResult, recording: Recording, file: ForgivingFile) -> None:
    write_soapify_into(file, recording)


class _Format(NamedTuple):
    write: Callable[[AnalysisResult, Recording, ForgivingFile], None]
    sign: str
    """Text near the beginning of every file of this format that strdyn writes."""


FORMATS = {
    "extxyz": _Format(write_extxyz, ":soap:I:1:lens:I:1:soap_lens:I:1:delta:R:1"),
    "dump": _Format(write_dump, " ".join(ALWAYS)),
    "csv": _Format(write_csv, ",".join(ALWAYS)),
    "chemiscope": _Format(_write_chemiscope, CREATOR),
    "soapify": _Format(_write_soapify, CREATOR),
}
