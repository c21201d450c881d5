"""The icosahedron of 309 gold atoms as LAMMPS data: python icosahedron.py > au309.data.

Four closed shells around an atom (Mackay, Acta Cryst. 15, 916 (1962)): shell n has 10 n² + 2 atoms.
"""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

SHELLS, DISTANCE, BOX = 4, 2.905, 40.0  # -, Å between neighbors on a shell, half of the box in Å


def icosahedron(n_shells: int = SHELLS, distance: float = DISTANCE) -> NDArray[np.float64]:
    """Return the positions of all atoms, (n_atoms, 3) [Å], the inner ones first."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    signs = [(a, b) for a in (-0.5, 0.5) for b in (-0.5 * golden, 0.5 * golden)]
    corners = np.array(
        [corner for a, b in signs for corner in ((0, a, b), (a, b, 0), (b, 0, a))]
    )  # edges of length 1
    faces = [
        corners[list(three)]
        for three in combinations(range(12), 3)
        if all(
            np.isclose(np.linalg.norm(p - q), 1.0) for p, q in combinations(corners[list(three)], 2)
        )
    ]
    shells = [np.zeros((1, 3))]
    for n in range(1, n_shells + 1):
        weights = [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]
        points = np.concatenate([np.array(weights) @ face for face in faces])
        # faces share their edges and corners
        _, first = np.unique(points.round(6) + 0.0, axis=0, return_index=True)
        shells.append(points[np.sort(first)])
    return distance * np.concatenate(shells)


def data() -> str:
    """Return the particle in a box that it does not fill."""
    atoms = [
        f"{k} 1 {x:.10f} {y:.10f} {z:.10f}" for k, (x, y, z) in enumerate(icosahedron().tolist(), 1)
    ]
    box = [f"{-BOX} {BOX} {axis}lo {axis}hi" for axis in "xyz"]
    head = ["Gold, icosahedron, by icosahedron.py of strdyn-live", ""]
    counts = [f"{len(atoms)} atoms", "1 atom types", "", *box, "", "Atoms # atomic", ""]
    return "\n".join([*head, *counts, *atoms]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(data())
