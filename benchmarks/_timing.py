"""What the benchmarks share: the systems, and timing that compares like with like."""

from __future__ import annotations

import itertools
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc211, molecule
from numpy.typing import NDArray


def medians(calls: dict[str, Callable[[], Any]], n_runs: int = 7) -> dict[str, float]:
    """Median CPU seconds of every call. They take turns, so that all see the same machine."""
    for call in calls.values():
        call()  # compile, build tables, touch memory
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(n_runs):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def with_images(atoms: Atoms, reach: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions of all atoms and their images within `reach` of the cell, and whose they are."""
    cell = np.asarray(atoms.cell)
    pad = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)
    fractions = np.linalg.solve(cell.T, atoms.positions.T).T
    counts = np.where(atoms.pbc, np.ceil(pad), 0).astype(int)
    positions, rows = [atoms.positions], [np.arange(len(atoms))]
    for shift in itertools.product(*(range(-n, n + 1) for n in counts)):
        moved = fractions + shift
        near = ((moved > -pad) & (moved < 1.0 + pad)).all(axis=1)
        if any(shift) and near.any():
            positions.append(atoms.positions[near] + shift @ cell)
            rows.append(np.flatnonzero(near))
    return np.concatenate(positions), np.concatenate(rows)


def copper_slab() -> tuple[Atoms, NDArray[np.int64]]:
    """Make a Cu(211) slab of 2400 atoms at some temperature and name its 900 outermost atoms."""
    slab = fcc211("Cu", (15, 20, 8), vacuum=12.0)
    slab.pbc = (True, True, False)
    slab.positions += np.random.default_rng(0).normal(0.0, 0.08, slab.positions.shape)
    height = slab.positions[:, 2]
    return slab, np.argsort(-np.abs(height - height.mean()))[:900]


def copper(n_atoms: int) -> Atoms:
    """Make a periodic crystal of about so many atoms at some temperature."""
    crystal = bulk("Cu", cubic=True).repeat(max(1, round((n_atoms / 4) ** (1 / 3))))
    crystal.positions += np.random.default_rng(1).normal(0.0, 0.08, crystal.positions.shape)
    return crystal


def water(n_side: int) -> Atoms:
    """Make water at its density, molecules turned at random."""
    rng = np.random.default_rng(2)
    box = Atoms(cell=np.eye(3) * 3.1 * n_side, pbc=True)
    for corner in itertools.product(range(n_side), repeat=3):
        one = molecule("H2O")
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.translate(3.1 * np.array(corner) + rng.normal(0, 0.15, 3))
        box += one
    return box


def processor() -> str:
    """Name the processor."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
