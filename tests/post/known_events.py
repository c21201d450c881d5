"""Recordings of known events: what every atom does to its neighbors is set, then written down."""

from __future__ import annotations

import numpy as np
from memory_buffer import N_FEATURES, MemoryBuffer

from strdyn_live.neighbors import NeighborLists

NEIGHBORS = 40  # that stay, of every atom
EXCHANGED = 6  # of them in one hop: 12 changes of 80 and what vibrates
SWINGING = 4  # that are there in three of ten frames


def recording(sets, structure=None, steps=None, seed=0) -> MemoryBuffer:
    """Write down sets of neighbors, [frame][atom], and spectra of the structures."""
    n_frames, n_atoms = len(sets), len(sets[0])
    rng = np.random.default_rng(seed)
    structure = np.zeros((n_frames, n_atoms), np.int64) if structure is None else structure
    spectra = (1.0 + 0.4 * rng.normal(size=(structure.max() + 1, N_FEATURES)))[structure]
    spectra = spectra + rng.normal(0.0, 0.01, spectra.shape)
    spectra /= np.linalg.norm(spectra, axis=2, keepdims=True)
    lists = [
        NeighborLists.from_counts(
            np.array([len(each) for each in frame]),
            np.array([i for each in frame for i in sorted(each)], dtype=np.int64),
        )
        for frame in sets
    ]
    steps = np.arange(n_frames) * 500 if steps is None else np.asarray(steps)
    return MemoryBuffer(steps, spectra.astype(np.float32), lists)


def sets_of(hops, rng=None, undone_after=0):
    """Return sets of neighbors of atoms that vibrate, if there is an `rng`, and that hop.

    ``hops[k, i]``: atom i exchanges `EXCHANGED` neighbors for new ones between the frames k and
    k + 1, and takes them back `undone_after` frames later, if that is above 0.
    """
    n_frames, n_atoms = hops.shape
    kept = [set(range(NEIGHBORS)) for _ in range(n_atoms)]
    back: dict[tuple[int, int], set[int]] = {}
    fresh, frames = 10**6, []
    for k in range(n_frames):
        there = np.zeros((n_atoms, SWINGING), bool)
        if rng is not None:
            there = rng.random((n_atoms, SWINGING)) < 0.3
        frames.append(
            [
                ids | {1000 + j for j in np.flatnonzero(extra).tolist()}
                for ids, extra in zip(kept, there, strict=True)
            ]
        )
        for i in range(n_atoms):
            if (k, i) in back:
                kept[i] = back.pop((k, i))
            elif hops[k, i]:
                if undone_after:
                    back[k + undone_after, i] = set(kept[i])
                gone = sorted(kept[i])[:EXCHANGED]
                kept[i] = kept[i] - set(gone) | set(range(fresh, fresh + EXCHANGED))
                fresh += EXCHANGED
    return frames
