"""Small frames of random numbers that follow from their step, and writers for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_live.basis import Basis
from strdyn_live.buffer import BufferWriter
from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

IDS = np.array([3, 4, 8, 15, 16, 23, 42])
SPECIES = np.array([0, 1, 1, 0, 1, 1, 1])


def settings(path: Path, **changes: Any) -> LiveConfig:
    given = {"r_cut": 6.0, "elements": "H O", "n_max": 2, "l_max": 1, "file": path / "run.sdl"}
    return LiveConfig(**{**given, **changes})


def writer(path: Path, /, **changes: Any) -> BufferWriter:
    """Open a writer; words that are no setting go to BufferWriter."""
    names = {field.name for field in dataclasses.fields(LiveConfig)}
    config = {name: changes.pop(name) for name in list(changes) if name in names}
    given = {"atom_ids": IDS, "species": SPECIES, "units": "real"}
    return BufferWriter(settings(path, **config), **{**given, **changes})


N_FEATURES = 20  # H-H and O-O: 2 × (l_max + 1) × 3; H-O: 2 × 4


def make_frame(step: int, n_atoms: int = len(IDS), wide: bool = False) -> Frame:
    """Return a frame of random numbers that follow from its step."""
    rng = np.random.default_rng(step)
    soap = rng.normal(size=(n_atoms, N_FEATURES)).astype(np.float32)
    soap /= np.linalg.norm(soap, axis=1, keepdims=True)
    lists = [
        np.sort(rng.choice(2**40 if wide else 500, size=rng.integers(0, 6), replace=wide))
        for _ in range(n_atoms)
    ]
    neighbors = NeighborLists.from_counts(
        np.array([len(ids) for ids in lists]), np.concatenate(lists).astype(np.int64)
    )
    cell = np.diag([10.0, 11.0, 12.0]) + np.tril(rng.normal(size=(3, 3)), -1)
    positions = rng.uniform(-1, 12, (n_atoms, 3))
    return Frame(step, step * 0.5, cell, rng.normal(size=3), positions, soap, neighbors)


def make_basis() -> Basis:
    """Return a basis of 5 random directions."""
    rng = np.random.default_rng(5)
    directions = np.linalg.qr(rng.normal(size=(N_FEATURES, 5)))[0].T
    return Basis(rng.normal(size=N_FEATURES) / 5, directions, bound=2.0)


def make_reduced(step: int) -> Frame:
    """Return a frame as a run with ``store pca 3`` does.

    In full up to step 3, then by scores, and from step 16 on by those of a basis that has grown in
    the frame of step 15.
    """
    frame = make_frame(step)
    if step < 4 or step == 15:
        return frame
    basis = make_basis() if step > 15 else make_basis().first(3)
    return dataclasses.replace(frame, soap=basis.project(frame.soap), basis=basis)


def same(found: Frame, expected: Frame) -> bool:
    """Return whether two frames are the same bit by bit."""
    arrays = [
        (getattr(found, name), getattr(expected, name))
        for name in ("cell", "origin", "positions", "soap")
    ]
    arrays += [
        (getattr(found.neighbors, name), getattr(expected.neighbors, name))
        for name in ("offsets", "ids")
    ]
    return (found.step, found.time) == (expected.step, expected.time) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in arrays
    )
