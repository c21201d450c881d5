"""The text of a LAMMPS dump: the box, and a whole frame of atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .box import Box

__all__ = ["box_bounds", "dump_text"]

_PIECE = 4096  # atoms formatted at once


def box_bounds(box: Box) -> str:
    """Return the box section of a dump: the bounds of the (tilted) box.

    Parameters
    ----------
    box : Box
        First vector along x, second in the xy plane, as in LAMMPS.
    """
    cell, low = box.cell, box.origin
    flags = " ".join("pp" if each else "ff" for each in box.periodic)
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    high = low + np.diag(cell)
    if not (xy or xz or yz):
        rows = [f"{a!r} {b!r}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        return "\n".join([f"ITEM: BOX BOUNDS {flags}", *rows, ""])
    bounds = [
        (low[0] + min(0, xy, xz, xy + xz), high[0] + max(0, xy, xz, xy + xz), xy),
        (low[1] + min(0, yz), high[1] + max(0, yz), xz),
        (low[2], high[2], yz),
    ]
    rows = [" ".join(repr(float(value)) for value in row) for row in bounds]
    return "\n".join([f"ITEM: BOX BOUNDS xy xz yz {flags}", *rows, ""])


def dump_text(
    step: int,
    time: float,
    box: Box,
    columns: Sequence[tuple[str, str, NDArray[np.generic] | Sequence[str]]],
) -> str:
    """Return one frame of a dump.

    Parameters
    ----------
    step, time : int, float
        Timestep; time of the run.
    box : Box
    columns : sequence of (str, str, (n_atoms,) array_like)
        Name, format (such as ``%d``) and values of each column.
    """
    values = [column if isinstance(column, list) else list(column) for _, _, column in columns]
    n_atoms, line = len(values[0]), " ".join(form for _, form, _ in columns) + "\n"
    head = (
        f"ITEM: TIME\n{time!r}\nITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{n_atoms}\n"
        f"{box_bounds(box)}ITEM: ATOMS {' '.join(name for name, _, _ in columns)}\n"
    )
    pieces = [head]
    for start in range(0, n_atoms, _PIECE):
        rows = zip(*(column[start : start + _PIECE] for column in values), strict=True)
        cells = [cell for row in rows for cell in row]
        pieces.append(line * (len(cells) // len(columns)) % tuple(cells))
    return "".join(pieces)
