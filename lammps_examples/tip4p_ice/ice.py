"""Ice Ih of TIP4P/Ice as LAMMPS data, from the oxygen lattice and hydrogen bonds of GenIce.

Usage: genice2 1h --rep 2 3 7 --seed 1 --format gromacs | python ice.py > ice.data

GenIce chooses which two of the four neighbors of a molecule its protons point to (proton disorder
under the ice rules, no net dipole). The shape of its molecules is another one: this program keeps
the oxygens and the plane and bisector of each molecule, gives it the geometry of TIP4P/Ice
(Abascal, Sanz, García Fernández, Vega, J. Chem. Phys. 122, 234511 (2005)), and the cell the
size that ice has in this model at 268 K and 1 bar.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

OH, HOH, Q_H = 0.9572, 104.52, 0.5897  # Å, degrees, e; the site M is 0.1577 Å from O (motion.lmp)
# a√3, c and 2a at 268 K and 1 bar, measured with this model: the 16 molecules of GenIce's cell
CELL = np.array([7.873, 7.379, 9.091])

Float = NDArray[np.float64]


def read_gro(text: str) -> tuple[Float, Float]:
    """Return positions (n_molecules, 3: O, H, H; 3) and edges (3,) of a .gro file [Å]."""
    lines = text.splitlines()
    n_atoms = int(lines[1])
    atoms = [[float(line[k : k + 8]) for k in (20, 28, 36)] for line in lines[2 : 2 + n_atoms]]
    names = [line[10:15].strip() for line in lines[2 : 2 + n_atoms]]
    edges = [float(word) for word in lines[2 + n_atoms].split()]
    if len(edges) != 3 or [name[0] for name in names] != ["O", "H", "H"] * (n_atoms // 3):
        raise SystemExit(
            "expected molecules of three atoms, O H H, in a box with right angles. "
            "Call genice2 1h with --water tip3p."
        )
    return 10.0 * np.reshape(atoms, (-1, 3, 3)), 10.0 * np.array(edges)


def rigid(molecules: Float, edges: Float) -> Float:
    """Return the molecules with the model's distances and angle, O in place."""
    oxygen = molecules[:, 0]
    arms = molecules[:, 1:] - oxygen[:, None]
    arms -= edges * np.round(arms / edges)
    arms /= np.linalg.norm(arms, axis=2, keepdims=True)
    bisector, across = arms[:, 0] + arms[:, 1], arms[:, 0] - arms[:, 1]
    half = np.radians(HOH / 2.0)
    along = OH * np.cos(half) * bisector / np.linalg.norm(bisector, axis=1, keepdims=True)
    aside = OH * np.sin(half) * across / np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack([oxygen, oxygen + along + aside, oxygen + along - aside], axis=1)


def data(text: str) -> str:
    """Return the LAMMPS data of a .gro file of GenIce's 1h."""
    molecules, edges = read_gro(text)
    n_cells = np.round(edges / CELL)
    if len(molecules) != 16 * n_cells.prod():
        raise SystemExit(f"expected cells of 16 molecules, found {len(molecules)} in {edges} Å.")
    oxygen = molecules[:, :1]
    molecules = molecules + oxygen * (n_cells * CELL / edges - 1.0)
    edges = n_cells * CELL
    n = len(molecules)
    positions = rigid(molecules, edges).reshape(-1, 3).tolist()
    head = [
        "Ice Ih, geometry of TIP4P/Ice, by GenIce and ice.py of strdyn-live",
        f"{3 * n} atoms",
        f"{2 * n} bonds",
        f"{n} angles",
        "2 atom types",
        "1 bond types",
        "1 angle types",
        *(f"0 {edge:.6f} {axis}lo {axis}hi" for edge, axis in zip(edges, "xyz", strict=True)),
    ]
    atoms = [
        f"{k + 1} {k // 3 + 1} {1 if k % 3 == 0 else 2} {-2 * Q_H if k % 3 == 0 else Q_H:.4f} "
        f"{x:.8f} {y:.8f} {z:.8f}"
        for k, (x, y, z) in enumerate(positions)
    ]
    first = [3 * k + 1 for k in range(n)]
    bonds = [f"{2 * k + j} 1 {o} {o + j}" for k, o in enumerate(first) for j in (1, 2)]
    angles = [f"{k + 1} 1 {o + 1} {o} {o + 2}" for k, o in enumerate(first)]
    sections = {"Atoms # full": atoms, "Bonds": bonds, "Angles": angles}
    body = [line for name, rows in sections.items() for line in ("", name, "", *rows)]
    return "\n".join([*head, *body]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(data(sys.stdin.read()))
