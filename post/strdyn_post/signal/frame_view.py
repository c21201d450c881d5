"""Some of the frames of a recording, as a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists
from strdyn_post.recording import Recording

__all__ = ["FrameView"]


class FrameView:
    """A recording with some of its frames only.

    Those who choose the frames say in `__reduce__` how, so that a pickle stays the same while a
    buffer grows.

    Parameters
    ----------
    recording : Recording
        With all frames.
    rows : (n_taken,) int64 ndarray
        Indices of the frames taken.

    Attributes
    ----------
    recording, rows
        As given.
    steps, times, entries
        Of the frames taken; `entries` is None if the recording has none.
    generations, atom_ids, species, config, units, uuid, path, periodic, soap_error
        Of the recording.
    n_scores_of : (n_taken,) int64 ndarray
        Number of scores that each frame is stored by, 0 for spectra in full.
    """

    def __init__(self, recording: Recording, rows: NDArray[np.int64]) -> None:
        self.recording = recording
        self.rows = rows
        self.steps: NDArray[np.int64] = np.asarray(recording.steps, dtype=np.int64)[rows]
        self.times: NDArray[np.float64] = np.asarray(recording.times, dtype=np.float64)[rows]
        entries = getattr(recording, "entries", None)
        self.entries = None if entries is None else [entries[k] for k in rows.tolist()]
        self.generations = getattr(recording, "generations", {})
        self.atom_ids = np.asarray(recording.atom_ids)
        self.species = np.asarray(recording.species)
        self.config = recording.config
        self.units = str(recording.units)
        self.uuid = str(recording.uuid)
        self.path = recording.path
        self.periodic = recording.periodic
        self.soap_error = float(getattr(recording, "soap_error", 0.0))
        n_scores = getattr(recording, "n_scores_of", None)
        self.n_scores_of = np.zeros(len(rows), np.int64) if n_scores is None else n_scores[rows]

    def soap(self, k: int, /) -> NDArray[np.floating[Any]]:
        """Return the spectra of a frame taken, (n_atoms, n_features)."""
        return np.asarray(self.recording.soap(int(self.rows[k])))

    def neighbors(self, k: int, /) -> NeighborLists:
        """Return the neighbor lists of a frame taken."""
        return self.recording.neighbors(int(self.rows[k]))

    def positions(self, k: int, /) -> NDArray[np.floating[Any]]:
        """Return the positions of a frame taken, (n_atoms, 3) [length]."""
        return np.asarray(self.recording.positions(int(self.rows[k])))

    def box(self, k: int, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the box vectors of a frame taken as rows, (3, 3), and its origin [length]."""
        return self.recording.box(int(self.rows[k]))
