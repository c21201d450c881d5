"""Count what every rank calls in each frame: counting_driver.py OUTPUT KEY=VALUE ..."""

import json
import sys

from mpi4py import MPI

# isort: split
from counting import Counting, Counts
from lammps import lammps
from systems import SYSTEMS

from strdyn_live import Recorder, lammps_io

output, *changes = sys.argv[1:]
counts = Counts()
ranks_of = lammps_io.Ranks


def counted(comm=None):
    return ranks_of(None if comm is None else Counting(comm, counts))


lammps_io.Ranks = counted
frames = []


class Watched(Recorder):
    """Notes after every call of LAMMPS what was called in it."""

    def _record(self):
        counts.names.clear(), counts.handed.clear(), counts.receivers.clear()
        super()._record()
        frames.append([list(counts.names), list(counts.handed), list(counts.receivers)])


system = SYSTEMS["gas"]
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
lmp.commands_string(system.script)
lmp.command(f"comm_modify cutoff {system.comm_cutoff}")
settings = {**system.settings, "file": f"{output}.sdl", **dict(c.split("=") for c in changes)}
with Watched(**settings).attach(lmp, every=10):
    start = [list(counts.names), list(counts.handed), list(counts.receivers)]
    lmp.command("run 20")
found = MPI.COMM_WORLD.gather({"start": start, "frames": frames})
if MPI.COMM_WORLD.rank == 0:
    with open(f"{output}.json", "w") as file:
        json.dump(found, file)
