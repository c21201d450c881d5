"""A trajectory to SOAP and LENS: `collect` against dynsight, on the same file and the same cores.

    python bench_collect.py [PYTHON OF AN ENVIRONMENT WITH dynsight]

dynsight needs an older NumPy, so it has an environment of its own (python -m venv peer;
peer/bin/pip install dynsight). The box is orthogonal and atoms lie in [0, L): dynsight ignores
angles and boundaries. Times are of the work alone, after imports and one call that compiles. Ours
includes the reading, the buffer on disk with its checksums, and LENS from it.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _timing import copper, processor

from strdyn_live.lens import lens
from strdyn_live.soap import Soap
from strdyn_post import collect

N_FRAMES, R_CUT, N_RUNS = 12, 6.0, 3
GOAL = 10

PEER = """
import logging, sys, time
logging.disable()
import numpy as np
from pathlib import Path
from dynsight.trajectory import Trj
folder, r_cut, n_jobs = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
trj = Trj.init_from_xtc(folder / "run.xtc", folder / "run.gro")
trj.universe.atoms.types = trj.universe.atoms.names  # of GRO it guesses CU
trj.with_slice(slice(0, 2)).get_lens(r_cut=r_cut)  # numba compiles
trj.with_slice(slice(0, 2)).get_soap(r_cut=r_cut, n_max=8, l_max=8, n_jobs=n_jobs)
start = time.perf_counter()
soap = trj.get_soap(r_cut=r_cut, n_max=8, l_max=8, n_jobs=n_jobs).dataset
middle = time.perf_counter()
delta = trj.get_lens(r_cut=r_cut, n_jobs=n_jobs).dataset
print("SECONDS", middle - start, time.perf_counter() - middle)
np.save(folder / "soap.npy", soap)
np.save(folder / "delta.npy", delta)
"""


def write_trajectory(folder: Path, n_atoms: int) -> int:
    """Write warm copper that diffuses a little, to the 0.01 Å that XTC keeps."""
    import MDAnalysis

    crystal = copper(n_atoms)
    lengths = np.diag(np.array(crystal.cell))
    steps = np.random.default_rng(7).normal(0.0, 0.12, (N_FRAMES, len(crystal), 3)).cumsum(axis=0)
    frames = np.round((crystal.positions + steps) % lengths, 2) % np.round(lengths, 2)
    universe = MDAnalysis.Universe.empty(len(crystal), trajectory=True)
    for name in ("names", "types"):
        universe.add_TopologyAttr(name, ["Cu"] * len(crystal))
    universe.add_TopologyAttr("resnames", ["CU"])
    universe.add_TopologyAttr("resids", [1])
    universe.load_new(
        np.float32(frames), dimensions=np.tile([*np.round(lengths, 2), 90, 90, 90], (N_FRAMES, 1))
    )
    universe.atoms.write(str(folder / "run.gro"))
    with MDAnalysis.Writer(str(folder / "run.xtc"), len(crystal)) as writer:
        for _ in universe.trajectory:
            writer.write(universe.atoms)
    return len(crystal)


def ours(folder: Path, number: int, threads: int):
    """Return buffer, δ and seconds of `collect` and of LENS."""
    start = time.perf_counter()
    buf = collect(
        folder / "run.xtc",
        folder / f"{number}.sdl",
        topology=folder / "run.gro",
        r_cut=R_CUT,
        elements="Cu",
        threads=threads,
    )
    middle = time.perf_counter()
    lists = [buf.neighbors(k) for k in range(buf.n_frames)]
    delta = np.array([lens(a, b) for a, b in itertools.pairwise(lists)]).T
    return buf, delta, (middle - start, time.perf_counter() - middle)


def theirs(python: str, folder: Path, threads: int) -> tuple[float, float]:
    """Return seconds of SOAP and of LENS; the numbers are in files."""
    words = [python, "-W", "ignore", "-c", PEER, str(folder), str(R_CUT), str(threads)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    soap, delta = (float(word) for word in done.stdout.split("SECONDS")[1].split()[:2])
    return soap, delta


def exact_delta(folder: Path) -> np.ndarray:
    """Return δ of every atom between frames, from whole hundredths of an Å, all pairs."""
    import MDAnalysis

    universe = MDAnalysis.Universe(str(folder / "run.gro"), str(folder / "run.xtc"))
    length = np.int64(round(100 * float(universe.dimensions[0])))
    before, found = None, []
    for _ in universe.trajectory:
        places = np.round(100 * np.float64(universe.atoms.positions)).astype(np.int64)
        squared = np.zeros((len(places), len(places)), np.int64)
        for axis in range(3):
            apart = np.abs(places[:, None, axis] - places[None, :, axis])
            squared += np.minimum(apart, length - apart) ** 2
        near = squared < round(100 * R_CUT) ** 2
        np.fill_diagonal(near, val=False)
        if before is not None:
            found.append((near ^ before).sum(axis=1) / (near.sum(axis=1) + before.sum(axis=1)))
        before = near
    return np.array(found).T


def compare(n_atoms: int, threads: int, python: str | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_atoms = write_trajectory(folder, n_atoms)
        ours(folder, -1, threads)  # touch memory
        mine, other = [], []
        for run in range(N_RUNS):
            buf, delta, seconds = ours(folder, run, threads)
            mine.append(sum(seconds))
            if python is not None:
                other.append(sum(theirs(python, folder, threads)))
        rate = N_FRAMES / statistics.median(mine)
        line = f"{n_atoms} atoms, {threads} cores: ours {rate:6.1f} frames/s"
        if python is None:
            print(line)
            return
        peer = N_FRAMES / statistics.median(other)
        soap = Soap.of(buf.config)
        expected = np.load(folder / "soap.npy")  # (n_atoms, n_frames, n_features) or transposed
        if len(expected) != N_FRAMES:
            expected = expected.transpose(1, 0, 2)
        expected = expected * soap.isometry
        expected /= np.linalg.norm(expected, axis=2, keepdims=True)
        error = max(np.abs(buf.soap(k) - expected[k]).max() for k in range(N_FRAMES))
        exact = exact_delta(folder)
        # a file in single precision does not say on which side of r_cut a pair at r_cut lies
        wrong, also = (
            int((np.abs(each.reshape(exact.shape) - exact) > 1e-12).sum())
            for each in (delta, np.load(folder / "delta.npy"))
        )
        print(
            f"{line}, dynsight {peer:5.2f} ({rate / peer:4.1f} ×, goal {GOAL} ×); SOAP: largest "
            f"difference {error:.0e} of the norm; δ of {exact.size}: {wrong} are not exact, of "
            f"dynsight {also}"
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    peer = sys.argv[1] if len(sys.argv) > 1 else None
    if peer is None:
        print("dynsight is skipped: give the Python of an environment that has it")
    print(f"{processor()}; r_cut {R_CUT:g} Å, n = l = 8; medians of {N_RUNS} runs in turn")
    for cores in sorted({1, len(os.sched_getaffinity(0))}):
        compare(2048, cores, peer)
