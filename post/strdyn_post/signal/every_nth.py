"""Every n-th frame of a buffer: record often, analyse at any multiple."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists

from .series import AnalysisError, find_stretches, iter_stretches

__all__ = ["EveryNth", "every_nth", "left_out", "n_comparable", "taken_frames"]


class EveryNth:
    """What an analysis reads of a buffer, with every n-th of its frames only.

    It pickles as the buffer and the stride, so it stays the same while the buffer grows.

    Attributes
    ----------
    buffer : Buffer
        With all frames.
    stride : int
        The n.
    frames : (n_taken,) int64 ndarray
        Where the frames taken are in the buffer (see `taken_frames`).
    steps, times, entries
        Of these frames; `entries` is None where the buffer has none.
    """

    def __init__(self, buffer: Any, stride: int) -> None:
        self.buffer = buffer
        self.stride = stride
        self.frames = taken_frames(buffer.steps, stride)
        self.steps: NDArray[np.int64] = np.asarray(buffer.steps, dtype=np.int64)[self.frames]
        self.times: NDArray[np.float64] = np.asarray(buffer.times, dtype=np.float64)[self.frames]
        entries = getattr(buffer, "entries", None)
        self.entries = None if entries is None else [entries[k] for k in self.frames.tolist()]

    def __reduce__(self) -> tuple[Any, ...]:
        return EveryNth, (self.buffer, self.stride)

    @property
    def path(self) -> Any:
        """Of the buffer."""
        return self.buffer.path

    @property
    def uuid(self) -> str:
        """Of the buffer."""
        return str(self.buffer.uuid)

    @property
    def config(self) -> Any:
        """Settings of the recording."""
        return self.buffer.config

    @property
    def units(self) -> str:
        """LAMMPS unit style."""
        return str(self.buffer.units)

    @property
    def atom_ids(self) -> NDArray[np.int64]:
        """Of the buffer, (n_atoms,)."""
        return np.asarray(self.buffer.atom_ids)

    def soap(self, k: int) -> NDArray[np.float32]:
        """Return the spectra of a frame taken, (n_atoms, n_features)."""
        return np.asarray(self.buffer.soap(int(self.frames[k])))

    def neighbors(self, k: int) -> NeighborLists:
        """Return the neighbor lists of a frame taken."""
        lists: NeighborLists = self.buffer.neighbors(int(self.frames[k]))
        return lists


def every_nth(buffer: Any, stride: int) -> Any:
    """Return the buffer with every n-th of its frames.

    Parameters
    ----------
    buffer : Buffer
        `steps`, `times`, `neighbors(k)`, `soap(k)`, … as an analysis reads them.
    stride : int
        1 returns the buffer itself.

    Raises
    ------
    AnalysisError
        If LENS would have no two frames so far apart, or would compare others.
    """
    if stride == 1 or len(buffer.steps) < 2:  # too few to analyse at any stride: LENS says so
        return buffer
    view = EveryNth(buffer, stride)
    _, interval = find_stretches(buffer.steps)
    distances = np.diff(view.steps)
    first, last = int(buffer.steps[0]), int(buffer.steps[-1])
    if not (distances == stride * interval).any():
        raise AnalysisError(
            f"stride = {stride}: no two frames are {stride * interval} steps apart. The buffer "
            f"holds steps {first} to {last}, a frame every {interval}: choose a smaller stride "
            f"(at most {(last - first) // interval}), or let the run go on."
        )
    _, usual = find_stretches(view.steps)
    if usual != stride * interval:
        raise AnalysisError(
            f"stride = {stride}: the buffer has so many gaps that most of its frames taken are "
            f"{usual} steps apart, expected {stride * interval}: choose a smaller stride."
        )
    return view


def taken_frames(steps: Any, stride: int) -> NDArray[np.int64]:
    """Return the frames on the grid of a stride.

    The grid is step ≡ first step (mod stride × usual distance), so a gap does not shift it. Frames
    between the usual steps (a run that went on at another phase) have a grid of their own, from
    the first of them.

    Parameters
    ----------
    steps : (n_frames,) array_like of int
        Increasing timesteps.
    stride : int

    Returns
    -------
    (n_taken,) int64 ndarray
        Their rows in `steps`.
    """
    steps = np.asarray(steps, dtype=np.int64)
    _, interval = find_stretches(steps)
    if not interval:
        return np.arange(len(steps))
    _, first, phase = np.unique(steps % interval, return_index=True, return_inverse=True)
    return np.flatnonzero((steps - steps[first][phase]) % (stride * interval) == 0)


def n_comparable(buffer: Any, stride: int) -> int:
    """Return how many frames a stride takes; 0 as long as LENS has no two of them to compare."""
    steps = np.asarray(buffer.steps, dtype=np.int64)
    taken = steps[taken_frames(steps, stride)]
    _, interval = find_stretches(steps)
    return len(taken) if (np.diff(taken) == stride * interval).any() else 0


def left_out(buffer: Any) -> list[str]:
    """Name the stretches of which a stride takes no frame: too short for LENS at this distance."""
    if not isinstance(buffer, EveryNth):
        return []
    steps = np.asarray(buffer.buffer.steps)
    taken = np.zeros(len(steps), dtype=np.bool_)
    taken[buffer.frames] = True
    stretches, _ = find_stretches(steps, buffer.buffer.times)
    lost = [rows for rows in iter_stretches(stretches) if not taken[rows].any()]
    if not lost:
        return []
    named = ", ".join(f"{steps[rows.start]} to {steps[rows.stop - 1]}" for rows in lost[:5])
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    return [
        f"stride = {buffer.stride} takes no frame of steps {named}{more}: these stretches between "
        "gaps are shorter than the distance of the frames compared."
    ]
