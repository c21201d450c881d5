"""Events: changes of neighbors that last, found in the neighbor lists without smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists
from strdyn_post.limits import EVENT_SHARE, LEVELLED, LONGEST_LASTING
from strdyn_post.recording import Recording
from strdyn_post.work import MapChunks

from .frames import Frames, find_stretches, iter_stretches
from .same_frames import KnownFrames

__all__ = ["Events", "changes", "find_events", "lasting_frames"]

_ROWS_PER_CHUNK = 65536
_FRAMES_PER_CHUNK = (16, 64)

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Lasting changes of neighbors of every atom, from each frame to the next.

    A change from frame k to k + 1 lasts if the neighbor did not change in the m − 1 intervals
    before it, and does not in the m − 1 intervals after it. So a neighbor that leaves and comes
    back within m frames counts neither when it leaves nor when it comes back.

    Attributes
    ----------
    frames : Frames
        Frames k that have a next frame, as those of δ.
    share : (n_frames, n_atoms) float64 ndarray
        Number of lasting changes / (|C_k| + |C_k+1|), where C are the neighbors of an atom. Never
        above δ; 0 without neighbors.
    known : (n_frames,) bool ndarray
        Frames that are far enough from the ends of their gapless stretch.
    n_neighbors : (n_frames, n_atoms) int64 ndarray
        |C_k|.
    lasting : int
        m (see `lasting_frames`).
    survival : (n,) float64 ndarray
        Share of the changes that last for m = 1, 2, … frames; NaN if nothing changes.
    flicker_share : float
        Share of all changes of neighbors that the next frame undoes. Near 1: LENS shows atoms that
        vibrate at the cutoff. Near 0: it shows atoms that move to a new place. NaN if the recording
        has no three successive frames, or no change.
    """

    frames: Frames
    share: NDArray[np.float64]
    known: NDArray[np.bool_]
    n_neighbors: Int
    lasting: int
    survival: NDArray[np.float64]
    flicker_share: float

    @property
    def happened(self) -> NDArray[np.bool_]:
        """Whether an atom has an event from this frame to the next, (n_frames, n_atoms)."""
        return (self.share > EVENT_SHARE) & self.known[:, None]


def find_events(recording: Recording, map_chunks: MapChunks = map) -> Events:
    """Find the changes of neighbors that last.

    Parameters
    ----------
    recording : Recording
        With at least two frames.
    map_chunks : callable
        ``map`` or one of its kind.

    Returns
    -------
    Events
    """
    steps = np.asarray(recording.steps, dtype=np.int64)
    times = np.asarray(recording.times, dtype=np.float64)
    atom_ids = np.asarray(recording.atom_ids, dtype=np.int64)
    stretches, _ = find_stretches(steps, times)
    before = np.flatnonzero(np.diff(stretches) == 0)
    least, most = _FRAMES_PER_CHUNK
    size = min(most, max(least, _ROWS_PER_CHUNK // max(1, len(atom_ids))))
    chunks, room = [], []
    for rows in iter_stretches(stretches):
        n = rows.stop - rows.start - 1  # intervals
        room.append(1 + np.minimum(np.arange(n), np.arange(n)[::-1]))
        for first in range(rows.start, rows.stop - 1, size):
            last = min(first + size, rows.stop - 1)
            around = np.arange(
                max(rows.start, first - LONGEST_LASTING + 1),
                min(rows.stop, last + LONGEST_LASTING),
            )
            chunks.append((first, last, KnownFrames.of(recording, around)))
    found = list(map_chunks(partial(_changes_of, recording), chunks))
    space = np.concatenate(room)
    n_neighbors, pairs = (np.concatenate([each[k] for each in found]) for k in (0, 1))
    n_changes = np.concatenate([each[2] for each in found])
    starts = np.cumsum([0, *(len(each[0]) for each in found)]) * len(atom_ids)
    row = np.concatenate([each[3] + start for each, start in zip(found, starts, strict=False)])
    gap = np.concatenate([each[4] for each in found])
    n_followed, n_undone = np.sum([each[5] for each in found], axis=0).tolist()

    longest = max(
        m for m in range(1, LONGEST_LASTING + 1) if m == 1 or 2 * (space >= m).sum() >= len(space)
    )
    whole = space >= longest
    last_for = [int(n_changes[whole].sum())]
    counted = gap[whole[row // max(1, len(atom_ids))]]
    last_for += [int((counted >= m).sum()) for m in range(2, longest + 1)]
    survival = np.array(last_for) / last_for[0] if last_for[0] else np.full(longest, np.nan)
    lasting = lasting_frames(survival)
    n_lasting = np.bincount(row[gap >= lasting], minlength=pairs.size).reshape(pairs.shape)
    return Events(
        frames=Frames(steps, times, stretches, atom_ids).take(before),
        share=n_lasting / np.maximum(1, pairs),
        known=space >= lasting,
        n_neighbors=n_neighbors,
        lasting=lasting,
        survival=survival,
        flicker_share=n_undone / n_followed if n_followed else float("nan"),
    )


def lasting_frames(survival: NDArray[np.float64]) -> int:
    """Return for how many frames m a change must last.

    Vibration undoes most changes within few frames, so the share of the changes that last for m
    frames falls fast with m, and then levels. The smallest m counts, from 2 on, at which one more
    frame takes away less than `LEVELLED` of all changes; the largest m if there is none.

    Parameters
    ----------
    survival : (n,) float64 ndarray
        Share of the changes that last for 1, 2, … frames.

    Returns
    -------
    int
        At least 2.

    Examples
    --------
    The fourth frame takes away 0.04.

    >>> lasting_frames(np.array([1.0, 0.2, 0.06, 0.02, 0.01]))
    3
    """
    levelled = ~(-np.diff(survival[1:]) >= LEVELLED)  # also if nothing changes
    return 2 + int(levelled.argmax() if levelled.any() else max(0, len(survival) - 2))


def changes(before: NeighborLists, now: NeighborLists) -> Int:
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


def _changes_of(
    recording: Recording, chunk: tuple[int, int, KnownFrames]
) -> tuple[Int, Int, Int, Int, Int, Int]:
    """Find the changes after the frames `first` to `last` − 1; each list is read once.

    Returns
    -------
    n_neighbors, pairs : (n_frames, n_atoms) int64 ndarray
        Number of neighbors in a frame; in this frame and the next.
    n_changes : (n_frames,) int64 ndarray
    row, gap : (n,) int64 ndarray
        Of each change that lasts for 2 frames or more: atom and frame, and for how many frames it
        lasts, at most `LONGEST_LASTING`.
    flicker : (2,) int64 ndarray
        Number of changes that have a next interval, and of those that it undoes.
    """
    first, last, known = chunk
    known.check(recording)
    counts, changed = [], []
    lists = recording.neighbors(known.numbers[0])
    for k in known.numbers[1:]:
        following = recording.neighbors(k)
        counts.append(lists.counts)
        changed.append(changes(lists, following))
        lists = following
    counts.append(lists.counts)
    start, n = first - known.numbers[0], last - first
    n_changes = np.array([len(each) for each in changed])
    code = np.concatenate(changed)
    # by neighbor, and in time for each of them; a sort that is stable keeps the order in time
    order = np.argsort(code, kind="stable")
    code, time = code[order], np.repeat(np.arange(len(changed)), n_changes)[order]
    far = LONGEST_LASTING
    distance = np.where(np.diff(code) == 0, np.minimum(far, np.diff(time)), far)
    after, previous = np.append(distance, far), np.insert(distance, 0, far)
    inside = (time >= start) & (time < start + n)
    followed = inside & (time < len(changed) - 1)
    flicker = np.array([followed.sum(), (followed & (after == 1)).sum()])
    gap = np.minimum(after, previous)
    lasts = inside & (gap > 1)
    sizes = np.array(counts)
    n_neighbors = sizes[start : start + n]
    return (
        n_neighbors,
        n_neighbors + sizes[start + 1 : start + n + 1],
        n_changes[start : start + n],
        (time[lasts] - start) * sizes.shape[1] + (code[lasts] >> 40),
        gap[lasts],
        flicker,
    )


def _pairs(lists: NeighborLists) -> Int:
    """Return (center, neighbor ID) of every pair as one number; IDs are below 2⁴⁰."""
    return (np.repeat(np.arange(len(lists)), lists.counts) << 40) + lists.ids
