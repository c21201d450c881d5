"""A buffer in memory with known states: what `strdyn_live.open_buffer` serves, made up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from strdyn_live import LiveConfig
from strdyn_live.neighbors import NeighborLists

N_FEATURES = 12


@dataclass
class MemoryBuffer:
    """The attributes and methods of a Buffer that an analysis uses."""

    steps: np.ndarray
    spectra: np.ndarray  # (n_frames, n_atoms, n_features)
    lists: list[NeighborLists]
    times: np.ndarray = None  # type: ignore[assignment]
    atom_ids: np.ndarray = None  # type: ignore[assignment]
    uuid: str = "00000000-0000-4000-8000-000000000000"
    units: str = "metal"
    path: str = "memory.sdl"
    config: LiveConfig = field(
        default_factory=lambda: LiveConfig(r_cut=6.0, elements="Cu", file="memory.sdl")
    )

    def __post_init__(self) -> None:
        n_atoms = self.spectra.shape[1]
        if self.times is None:
            self.times = self.steps * 0.005
        if self.atom_ids is None:
            self.atom_ids = np.arange(1, n_atoms + 1) * 2  # an ID is not a row
        self.species = np.zeros(n_atoms, dtype=np.int32)

    @property
    def periodic(self):
        return (True, True, True)

    def positions(self, _k):
        """Return a cubic lattice that fills the box: no surface."""
        side = int(np.ceil(self.spectra.shape[1] ** (1 / 3)))
        return 2.5 * np.argwhere(np.ones((side,) * 3))[: self.spectra.shape[1]]

    def box(self, _k):
        side = int(np.ceil(self.spectra.shape[1] ** (1 / 3)))
        return 2.5 * side * np.eye(3), np.zeros(3)

    def soap(self, k):
        return self.spectra[k]

    def neighbors(self, k: int) -> NeighborLists:
        return self.lists[k]

    def frames(self, rows) -> MemoryBuffer:
        """Return the buffer with some of its frames."""
        rows = np.arange(len(self.steps))[rows]
        return MemoryBuffer(
            self.steps[rows],
            self.spectra[rows],
            [self.lists[k] for k in rows],
            self.times[rows],
            self.atom_ids,
        )


def walk(matrix: np.ndarray, n_frames: int, n_atoms: int, rng: np.random.Generator) -> np.ndarray:
    """Return states of atoms that follow a transition matrix, (n_frames, n_atoms)."""
    states = np.empty((n_frames, n_atoms), dtype=np.int64)
    states[0] = rng.integers(len(matrix), size=n_atoms)
    cumulative = matrix.cumsum(axis=1)
    for k in range(1, n_frames):
        states[k] = (rng.random(n_atoms)[:, None] > cumulative[states[k - 1]]).sum(axis=1)
    return states.clip(0, len(matrix) - 1)


def make_buffer(
    states: np.ndarray,
    structure: np.ndarray,
    change: np.ndarray,
    seed: int = 0,
    noise: float = 0.01,
    n_neighbors: int = 20,
) -> MemoryBuffer:
    """Make spectra and neighbor lists of given states.

    ``structure[s]`` is the prototype spectrum that a state shows (two states may share one),
    ``change[s]`` how many of its neighbors an atom in this state swaps until the next frame;
    (n_frames, n_atoms) numbers say it for every atom.
    """
    rng = np.random.default_rng(seed)
    n_frames, n_atoms = states.shape
    prototypes = 1.0 + 0.4 * rng.normal(size=(structure.max() + 1, N_FEATURES))
    spectra = prototypes[structure[states]]
    spectra = spectra + rng.normal(0.0, noise, spectra.shape)
    spectra /= np.linalg.norm(spectra, axis=2, keepdims=True)
    neighbors = np.tile(np.arange(n_neighbors), (n_atoms, 1))
    lists, fresh = [], 10**6
    for k in range(n_frames):
        ids = np.sort(neighbors, axis=1).ravel().astype(np.int64)
        lists.append(NeighborLists.from_counts(np.full(n_atoms, n_neighbors), ids))
        for atom, swapped in enumerate(change[k] if change.ndim == 2 else change[states[k]]):
            at = rng.choice(n_neighbors, swapped, replace=False)
            neighbors[atom, at] = fresh + np.arange(swapped)
            fresh += swapped
    return MemoryBuffer(np.arange(n_frames) * 500, spectra.astype(np.float32), lists)


def make_hopping_buffer(
    n_frames: int = 241,
    n_atoms: int = 100,
    seed: int = 0,
    *,
    moves: bool = True,
    anywhere: bool = False,
) -> MemoryBuffer:
    """Make atoms that all swing neighbors across the cutoff, while some change them for good.

    Each atom keeps 60 neighbors and has 30 more, each there in half of the frames: δ of flicker is
    15 of 150 at any Δt, give or take 3. One atom in five looks like an edge. Ten of the edges (or
    of all atoms: `anywhere`) are mobile for a sixth of the run, and swap one neighbor for good in
    every frame: over one frame that adds 2 / 150 to δ, over 8 frames 16 / 150.
    """
    rng = np.random.default_rng(seed)
    prototypes = 1.0 + 0.15 * rng.normal(size=(2, N_FEATURES))
    edge = np.arange(n_atoms) % 5 == 0
    spectra = prototypes[edge.astype(int)] + rng.normal(0.0, 0.006, (n_frames, n_atoms, N_FEATURES))
    spectra /= np.linalg.norm(spectra, axis=2, keepdims=True)
    able = np.flatnonzero(np.arange(n_atoms) % (9 if anywhere else 10) == 0)[:10]
    length = n_frames // 6
    first = rng.integers(0, n_frames - length, len(able))
    lists, neighbors, fresh = [], np.tile(np.arange(60), (n_atoms, 1)), 10**6
    for k in range(n_frames):
        there = rng.random((n_atoms, 30)) < 0.5
        ids = [
            np.sort(np.concatenate([kept, 1000 + np.flatnonzero(extra)]))
            for kept, extra in zip(neighbors, there, strict=True)
        ]
        lists.append(NeighborLists.from_counts(60 + there.sum(axis=1), np.concatenate(ids)))
        for atom in able[moves & (first <= k) & (k < first + length)]:
            neighbors[atom, rng.integers(60)] = fresh
            fresh += 1
    return MemoryBuffer(np.arange(n_frames) * 500, spectra.astype(np.float32), lists)
