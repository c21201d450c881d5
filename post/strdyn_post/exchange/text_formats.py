"""Results as text files: extended XYZ, LAMMPS dump, CSV."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from strdyn_live.box import Box
from strdyn_live.buffer.storage import ForgivingFile
from strdyn_live.dump_text import box_bounds
from strdyn_post.errors import AnalysisError
from strdyn_post.files.output import write_text
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES

from .labelled_frames import LabelledFrame, labelled_frames, values_of_atoms
from .objects import iter_ase

__all__ = ["ALWAYS", "write_csv", "write_dump", "write_extxyz"]

ALWAYS = (*ROUTES, "delta")
"""Columns of every file."""


def write_extxyz(result: AnalysisResult, recording: Recording, file: ForgivingFile) -> None:
    """Write extended XYZ into an open file."""
    from ase.io.extxyz import write_extxyz as write_frame

    columns = ["symbols", "positions", "id", *_columns(result)]
    for atoms in iter_ase(result, recording):
        text = io.StringIO()
        write_frame(text, [atoms], columns=columns)
        write_text(file, text.getvalue())


def write_dump(result: AnalysisResult, recording: Recording, file: ForgivingFile) -> None:
    """Write a LAMMPS dump into an open file."""
    write_text(file, f"ITEM: UNITS\n{recording.units}\n")
    for frame in labelled_frames(result, recording):
        lines = [
            f"ITEM: TIME\n{frame.time!r}\nITEM: TIMESTEP\n{frame.step}\n",
            f"ITEM: NUMBER OF ATOMS\n{len(frame.atom_ids)}\n",
            _box_bounds(frame.cell, frame.origin, recording.periodic),
            f"ITEM: ATOMS id type element x y z {' '.join(_columns(result))}\n",
        ]
        for row, atom_id in enumerate(frame.atom_ids):
            x, y, z = frame.positions[row]
            lines.append(
                f"{atom_id} {frame.types[row]} {frame.symbols[row]} "
                f"{x:.8g} {y:.8g} {z:.8g} {' '.join(_cells(frame, row))}\n"
            )
        write_text(file, "".join(lines))


def _box_bounds(
    cell: NDArray[np.float64], origin: NDArray[np.float64], periodic: tuple[bool, bool, bool]
) -> str:
    """Return the box section of a dump."""
    above = cell[np.triu_indices(3, 1)]
    if np.abs(above).max() > 1e-6 * np.abs(cell).max():
        raise AnalysisError(
            "a LAMMPS dump needs the first box vector along x and the second in the xy plane; "
            f"found {cell.tolist()}. Export to extxyz instead."
        )
    return box_bounds(Box(cell, origin, periodic))


def write_csv(result: AnalysisResult, recording: Recording, file: ForgivingFile) -> None:
    """Write a table into an open file."""
    names = (*result.names["soap_lens"].names, "")  # the last one is for noise
    write_text(file, f"step,time,atom_id,x,y,z,{','.join(_columns(result))},environment\n")
    for frame in labelled_frames(result, recording):
        lines = []
        for row, atom_id in enumerate(frame.atom_ids):
            x, y, z = frame.positions[row]
            lines.append(
                f"{frame.step},{frame.time!r},{atom_id},{x:.8g},{y:.8g},{z:.8g},"
                f"{','.join(_cells(frame, row))},{_quoted(names[frame.labels[row]])}\n"
            )
        write_text(file, "".join(lines))


def _columns(result: AnalysisResult) -> list[str]:
    return [*ROUTES, *values_of_atoms(result)]


def _cells(frame: LabelledFrame, row: int) -> list[str]:
    labels = [str(frame.numbers[name][row]) for name in ROUTES]
    return [*labels, *(f"{value[row]:.6g}" for value in frame.values.values())]


def _quoted(name: str) -> str:
    return f'"{name.replace(chr(34), 2 * chr(34))}"' if set(name) & set(',"') else name
