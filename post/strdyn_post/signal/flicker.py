"""Flicker: neighbors that cross the cutoff and come back; LENS counts both changes."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists
from strdyn_post.recording import Recording
from strdyn_post.work import MapChunks

from .frames import find_stretches
from .same_frames import KnownFrames

__all__ = ["changes", "flicker_share"]

_FRAMES_PER_CHUNK = 32


def changes(before: NeighborLists, now: NeighborLists) -> NDArray[np.int64]:
    """Return the neighbors that were added or lost between two frames.

    Parameters
    ----------
    before, now : NeighborLists
        Lists of the same centers.

    Returns
    -------
    (n_changes,) int64 ndarray
        Index of the center and ID of the neighbor as one number, center · 2⁴⁰ + ID.
    """
    return np.setxor1d(_pairs(before), _pairs(now), assume_unique=True)


def flicker_share(recording: Recording, map_chunks: MapChunks = map) -> float:
    """Return the share of all changes of neighbors that the next frame undoes.

    Near 1: LENS shows atoms that vibrate at the cutoff. Near 0: it shows atoms that move to a new
    place. NaN if the recording has no three successive frames, or no change.
    """
    stretches, _ = find_stretches(recording.steps, recording.times)
    same = np.diff(stretches) == 0
    middle = np.flatnonzero(same[:-1] & same[1:]) + 1
    chunks = np.split(middle, range(_FRAMES_PER_CHUNK, len(middle), _FRAMES_PER_CHUNK))
    known = [
        (chunk, KnownFrames.of(recording, np.unique(chunk[:, None] + [-1, 0, 1])))
        for chunk in chunks
    ]
    counted = sum(map_chunks(partial(_count, recording), known), np.zeros(2, dtype=np.int64))
    return float(counted[1] / counted[0]) if counted[0] else float("nan")


def _count(recording: Recording, chunk: tuple[NDArray[np.int64], KnownFrames]) -> NDArray[np.int64]:
    """Count the changes before the frames of a chunk, and how many the next frame undoes."""
    middle, known = chunk
    known.check(recording)
    lists: dict[int, NeighborLists] = {}
    changed: dict[int, NDArray[np.int64]] = {}
    counted = np.zeros(2, dtype=np.int64)
    for k in middle.tolist():
        lists = {j: lists.get(j) or recording.neighbors(j) for j in (k - 1, k, k + 1)}
        changed = {
            j: changed[j] if j in changed else changes(lists[j - 1], lists[j]) for j in (k, k + 1)
        }
        # a neighbor that changes twice is back in its first state
        undone = np.intersect1d(changed[k], changed[k + 1], assume_unique=True)
        counted += len(changed[k]), len(undone)
    return counted


def _pairs(lists: NeighborLists) -> NDArray[np.int64]:
    """Return (center, neighbor ID) of every pair as one number; IDs are below 2⁴⁰."""
    return (np.repeat(np.arange(len(lists)), lists.counts) << 40) + lists.ids
