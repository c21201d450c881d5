"""What is gained by scores and by compression: bytes and time of a frame, and the error.

``python benchmarks/bench_store.py [BUFFER]``: the frames of a buffer with spectra in full, or those
of a copper surface of 900 atoms that are displaced at random.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from _timing import copper_slab, processor, with_images
from threadpoolctl import threadpool_limits

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.buffer import Buffer, BufferWriter, pack
from strdyn_live.buffer.compression import COMPRESSIONS
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists
from strdyn_live.parallel import Ranks
from strdyn_live.reduction import Reduction
from strdyn_live.soap import Soap

N_FRAMES = 12


def made_up() -> Iterator[Frame]:
    """Describe a slab whose atoms are displaced at random, more independent than those of a run."""
    slab, centers = copper_slab()
    soap, rng = Soap("Cu", r_cut=6.0), np.random.default_rng(0)
    places = slab.positions.copy()
    for step in range(N_FRAMES):
        slab.positions = places + rng.normal(0.0, 0.05, places.shape)
        positions, _ = with_images(slab, soap.reach)
        spectra = soap.compute(positions, np.zeros(len(positions), int), centers)
        spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
        nothing = NeighborLists.none_of(len(centers))
        yield Frame(
            step,
            float(step),
            np.asarray(slab.cell),
            np.zeros(3),
            slab.positions[centers],
            spectra.astype(np.float32),
            nothing,
        )


def record(frames: list[Frame], config: LiveConfig) -> tuple[Buffer, float, float, list[str]]:
    """Write frames; return the buffer, seconds to reduce and to append one, and what was said."""
    reduction, alone, notes = Reduction(config), Ranks(), []
    n_atoms = len(frames[0].positions)
    writer = BufferWriter(
        config, atom_ids=np.arange(1, n_atoms + 1), species=np.zeros(n_atoms, int), units="metal"
    )
    reduce, append = [], []
    with writer:
        for frame in frames:
            start = time.perf_counter()
            stored = reduction.of_frame(frame, alone)
            reduced = time.perf_counter()
            writer.append(stored)
            append.append(time.perf_counter() - reduced)
            reduce.append(reduced - start)
            reduction.resume(config.file, frame, alone)
            notes += reduction.take_notes()
    return open_buffer(config.file), reduce[-1], append[-1], notes


def size(path: Path) -> int:
    """Return the bytes of a file, or of the files of a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def error(found: Buffer, frames: list[Frame]) -> tuple[float, float]:
    """Return root mean square and largest distance of the spectra in the last frame."""
    off = np.linalg.norm(found.soap(-1).astype(np.float64) - frames[-1].soap, axis=1)
    return float(np.sqrt((off**2).mean())), float(off.max())


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("buffer", nargs="?")
    given = parser.parse_args().buffer
    if given is None:
        config, frames = LiveConfig(r_cut=6.0, elements="Cu", file="x.sdl"), list(made_up())
    else:
        with open_buffer(given) as stored:
            config, frames = stored.config, [stored.frame(k) for k in range(stored.n_frames)]
    frames = [replace(frame, step=k, time=float(k)) for k, frame in enumerate(frames)]
    n_atoms, n_features = frames[0].soap.shape
    print(f"{processor()}: {len(frames)} frames of {n_atoms} atoms, {n_features} components\n")
    print(
        "store      columns  bytes/atom  reduce µs/atom  append ms   rms error  largest  promised"
    )
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for store in ("full", "pca 16", "pca 32", "pca 64"):
            path = Path(folder) / f"{store}.sdl"
            changed = replace(config, file=str(path), store=store)
            buf, reduce, append, notes = record(frames, changed)
            columns = buf.stored_soap(-1).shape[1]
            rms, largest = error(buf, frames)
            print(
                f"{store:<10} {columns:>7} {4 * columns:>11} {1e6 * reduce / n_atoms:>15.2f} "
                f"{1e3 * append:>10.1f} {rms:>11.1e} {largest:>8.1e} {buf.soap_error:>9.1e}"
            )
            for note in notes:
                print(f"           {note}")
        print("\ncompressed   store     ratio   largest error of a number   pack s")
        for name in (None, *COMPRESSIONS):
            for store in ("full", "pca 32"):
                source = Path(folder) / f"{store}.sdl"
                packed = Path(folder) / f"{name}-{store}.h5"
                start = time.perf_counter()
                pack(source, packed, compress=name)
                seconds = time.perf_counter() - start
                before, after = open_buffer(source), open_buffer(packed)
                off = np.abs(after.stored_soap(-1) - before.stored_soap(-1)).max()
                ratio = size(source) / size(packed)
                print(f"{name!s:<12} {store:<8} {ratio:>6.2f} {off:>27.1e} {seconds:>8.2f}")


if __name__ == "__main__":
    main()
