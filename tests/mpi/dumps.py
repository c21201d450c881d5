"""Read the text dumps that LAMMPS wrote beside a buffer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Snapshot:
    """All atoms of one step, sorted by ID."""

    step: int
    cell: NDArray[np.float64]
    origin: NDArray[np.float64]
    periodic: NDArray[np.bool_]
    atom_ids: NDArray[np.int64]
    types: NDArray[np.int64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]


def read_dump(path: Path) -> dict[int, Snapshot]:
    """Return the snapshots by step."""
    snapshots = {}
    for text in path.read_text().split("ITEM: TIMESTEP\n")[1:]:
        lines = text.splitlines()
        step, n_atoms = int(lines[0]), int(lines[2])
        boundary = [word for word in lines[3].split() if len(word) == 2 and word[0] in "pfsm"]
        box = np.array([[float(word) for word in line.split()] for line in lines[4:7]])
        xy, xz, yz = box[:, 2] if box.shape[1] == 3 else (0.0, 0.0, 0.0)
        # a dump holds the bounding box of a triclinic cell
        low = box[:, 0] - [min(0, xy, xz, xy + xz), min(0, yz), 0]
        high = box[:, 1] - [max(0, xy, xz, xy + xz), max(0, yz), 0]
        cell = np.diag(high - low)
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
        columns = np.array(
            [[float(word) for word in line.split()] for line in lines[8 : 8 + n_atoms]]
        )
        snapshots[step] = Snapshot(
            step=step,
            cell=cell,
            origin=low,
            periodic=np.array([word[0] == "p" for word in boundary]),
            atom_ids=columns[:, 0].astype(np.int64),
            types=columns[:, 1].astype(np.int64),
            positions=columns[:, 2:5],
            velocities=columns[:, 5:8],
        )
    return snapshots
