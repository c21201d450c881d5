"""What a frame costs in the buffer: append + commit + seal, against h5py and against its SOAP.

``python benchmarks/bench_buffer.py [folder] [--large]``: the folder is on the disk to be measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from strdyn_live.buffer import BufferWriter, open_buffer
from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists
from strdyn_live.soap import Soap

N_FRAMES = 40
SQUEEZED = {"shuffle": True, "compression": "gzip", "compression_opts": 1, "fletcher32": True}


def make_frames(n_atoms: int, n_neighbors: int, n_different: int = 4) -> list[Frame]:
    """Return frames with the statistics of Cu: full mantissas, neighbor IDs that are near."""
    rng = np.random.default_rng(0)
    soap = rng.random((n_atoms, 324), dtype=np.float32)
    soap /= np.linalg.norm(soap, axis=1, keepdims=True)
    frames = []
    for step in range(n_different):
        near = np.arange(n_atoms)[:, None] + rng.integers(1, 12, (n_atoms, n_neighbors)).cumsum(1)
        near = np.sort(near % n_atoms)
        lists = NeighborLists.from_counts(
            np.full(n_atoms, n_neighbors, dtype=np.int64), near.ravel().astype(np.int64)
        )
        cell = np.eye(3) * 50.0
        positions = rng.uniform(0, 50, (n_atoms, 3))
        frames.append(Frame(step, float(step), cell, np.zeros(3), positions, soap, lists))
    return frames


def at(frame: Frame, step: int) -> Frame:
    return Frame(
        step,
        float(step),
        frame.cell,
        frame.origin,
        frame.positions,
        frame.soap,
        frame.neighbors,
    )


def writer(folder: Path, n_atoms: int) -> BufferWriter:
    config = LiveConfig(r_cut=6.0, elements=("Cu",), file=str(folder / "bench.sdl"))
    ids, species = np.arange(1, n_atoms + 1), np.zeros(n_atoms, dtype=int)
    return BufferWriter(config, atom_ids=ids, species=species, units="metal")


def time_buffer(folder: Path, frames: list[Frame]) -> tuple[float, float, float]:
    """Return seconds per frame, of the slowest append without a seal, and of the slowest seal."""
    out = writer(folder, len(frames[0].positions))
    n_sealed, appends, seals = 0, [], []
    start = time.perf_counter()
    for step in range(N_FRAMES):
        before = time.perf_counter()
        out.append(at(frames[step % len(frames)], step))
        seconds = time.perf_counter() - before
        n_segments = len(list((folder / "bench.sdl").glob("seg-*")))
        (seals if n_segments > n_sealed else appends).append(seconds)
        n_sealed = n_segments
    before = time.perf_counter()
    out.close()
    seals.append(time.perf_counter() - before)
    seconds = (time.perf_counter() - start) / N_FRAMES
    shutil.rmtree(folder / "bench.sdl")
    return seconds, max(appends), max(seals)


def time_h5py(folder: Path, frames: list[Frame], everything: bool, squeeze: bool = False) -> float:
    """Append the spectra (and the rest, perhaps compressed) to one HDF5 file, flush, fsync."""
    n_atoms = len(frames[0].positions)
    n_pairs = len(frames[0].neighbors.ids)
    start = time.perf_counter()
    path = folder / "bench.h5"
    with h5py.File(path, "w") as file:
        soap = file.create_dataset(
            "soap", (0, n_atoms, 324), "f4", chunks=(1, n_atoms, 324), maxshape=(None, n_atoms, 324)
        )
        rest = [
            file.create_dataset(name, (0, n), dtype, chunks=(1, n), maxshape=(None, n), **how)
            for name, n, dtype, how in (
                ("positions", 3 * n_atoms, "f8", {}),
                ("ids", n_pairs, "i4", SQUEEZED if squeeze else {}),
            )
        ]
        with open(path, "rb") as descriptor:
            for step in range(N_FRAMES):
                frame = frames[step % len(frames)]
                soap.resize(step + 1, axis=0)
                soap[step] = frame.soap
                if everything:
                    ids = frame.neighbors.ids
                    coded = np.diff(ids, prepend=0) if squeeze else ids
                    for target, values in zip(rest, (frame.positions, coded), strict=True):
                        target.resize(step + 1, axis=0)
                        target[step] = values.ravel()
                file.flush()
                os.fsync(descriptor.fileno())
    seconds = (time.perf_counter() - start) / N_FRAMES
    path.unlink()
    return seconds


def time_soap(n_atoms: int) -> float:
    """Return seconds for the spectra of a frame with the default backend, from 300 atoms of it."""
    config = LiveConfig(r_cut=6.0, elements=("Cu",), file="unused.sdl")
    soap = Soap(config.species, config.r_cut, backend=config.backend)
    cell = 3.615
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * cell
    shifts = np.stack(np.meshgrid(*[np.arange(9)] * 3), axis=-1).reshape(-1, 1, 3) * cell
    positions = (sites + shifts).reshape(-1, 3)
    inside = np.argsort(np.linalg.norm(positions - positions.mean(axis=0), axis=1))[:300]
    species = np.zeros(len(positions), dtype=int)
    soap.compute(positions, species, inside[:2])
    start = time.perf_counter()
    soap.compute(positions, species, inside)
    return (time.perf_counter() - start) / 300 * n_atoms


def time_reading(folder: Path, frames: list[Frame]) -> float:
    """Return seconds per frame for reading the spectra back, checked."""
    out = writer(folder, len(frames[0].positions))
    for step in range(N_FRAMES):
        out.append(at(frames[step % len(frames)], step))
    out.close()
    with open_buffer(folder / "bench.sdl") as buf:
        start = time.perf_counter()
        for k in range(N_FRAMES):
            buf.soap(k)
        seconds = (time.perf_counter() - start) / N_FRAMES
    shutil.rmtree(folder / "bench.sdl")
    return seconds


def large(folder: Path) -> None:
    """Write and read one frame of a million atoms."""
    n_atoms = 10**6
    frames = make_frames(n_atoms, 80, n_different=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.perf_counter()
    out = writer(folder, n_atoms)
    out.append(frames[0])
    out.close()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"1 000 000 atoms: {seconds:.1f} s, {before:.1f} GiB before, {peak:.1f} GiB at most")
    with open_buffer(folder / "bench.sdl") as buf:
        start = time.perf_counter()
        same = np.array_equal(buf.soap(0), frames[0].soap)
        print(f"read back in {time.perf_counter() - start:.1f} s, equal: {same}")
    shutil.rmtree(folder / "bench.sdl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=".")
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        if given.large:
            large(folder)
            return
        frames = make_frames(2400, 80)
        n_bytes = sum(a.nbytes for a in (frames[0].soap, frames[0].positions)) + 4 * 2400 * 81
        print(f"2400 atoms x 324 components, {n_bytes / 2**20:.1f} MiB a frame, {N_FRAMES} frames")
        rounds = [
            (
                time_h5py(folder, frames, everything=False),
                time_h5py(folder, frames, everything=True),
                time_h5py(folder, frames, everything=True, squeeze=True),
                *time_buffer(folder, frames),
            )
            for _ in range(3)
        ]
        spectra, everything, squeezed, buffer, append, seal = (
            min(times) for times in zip(*rounds, strict=True)
        )
        soap = time_soap(2400)
        print(f"h5py, spectra only, flush + fsync       {1e3 * spectra:7.1f} ms a frame")
        print(f"h5py, the same rows, flush + fsync      {1e3 * everything:7.1f} ms a frame")
        print(f"h5py, the same, neighbor IDs compressed {1e3 * squeezed:7.1f} ms a frame")
        print(f"buffer, append + commit + seal          {1e3 * buffer:7.1f} ms a frame")
        print(f"  of the same rows in h5py              {buffer / everything:7.2f} times")
        print(f"  of the same, compressed, in h5py      {buffer / squeezed:7.2f} times")
        print(f"  slowest append without / with a seal  {append:.3f} s / {seal:.3f} s")
        print(f"SOAP of a frame (default backend)       {1e3 * soap:7.1f} ms")
        print(f"  the buffer is                         {100 * buffer / soap:7.1f} % of it")
        print(
            f"reading the spectra, checked            {1e3 * time_reading(folder, frames):7.1f} ms"
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
