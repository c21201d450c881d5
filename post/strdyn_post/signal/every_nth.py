"""Every n-th frame of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.errors import AnalysisError
from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.recording import Recording

from .frame_view import FrameView
from .frames import find_stretches, iter_stretches

__all__ = ["EveryNth", "every_nth", "n_comparable", "skipped_stretches", "taken_frames"]


class EveryNth(FrameView):
    """A recording with every n-th of its frames only (see `taken_frames`).

    It pickles as recording and stride only, so its pickle stays the same while a buffer grows.

    Attributes
    ----------
    stride : int
        Every so many frames are taken.
    """

    def __init__(self, recording: Recording, stride: int) -> None:
        super().__init__(recording, taken_frames(recording.steps, stride))
        self.stride = stride

    def __reduce__(self) -> tuple[Any, ...]:
        return EveryNth, (self.recording, self.stride)


def every_nth(recording: Recording, stride: int) -> Recording:
    """Return the recording with every n-th of its frames.

    Parameters
    ----------
    recording : Recording
    stride : int
        1 returns the recording itself.

    Raises
    ------
    AnalysisError
        If no two frames are at this distance, or most of the frames taken are at another one.
    """
    if stride == 1 or len(recording.steps) < 2:  # too few at any stride: LENS raises
        return recording
    view = EveryNth(recording, stride)
    _, interval = find_stretches(recording.steps)
    distances = np.diff(view.steps)
    first, last = int(recording.steps[0]), int(recording.steps[-1])
    if not (distances == stride * interval).any():
        raise AnalysisError(
            f"stride = {stride}: no two frames are {stride * interval} steps apart. The buffer "
            f"holds steps {first} to {last}, a frame every {interval}: choose a smaller stride "
            f"(at most {(last - first) // interval}), or let the run go on."
        )
    _, usual = find_stretches(view.steps)
    if usual != stride * interval:
        raise AnalysisError(
            f"stride = {stride}: because of gaps in the buffer, most of the frames taken are "
            f"{usual} steps apart, expected {stride * interval}. Choose a smaller stride."
        )
    return view


def taken_frames(steps: Any, stride: int) -> NDArray[np.int64]:
    """Return the frames on the grid of a stride.

    The grid is step ≡ first step (mod stride × usual distance), so a gap does not shift it. A run
    may go on with steps between those of the grid. These frames have their own grid, which begins
    at the first of them.

    Parameters
    ----------
    steps : (n_frames,) array_like of int
        Increasing timesteps.
    stride : int

    Returns
    -------
    (n_taken,) int64 ndarray
        Their indices in `steps`.
    """
    steps = np.asarray(steps, dtype=np.int64)
    _, interval = find_stretches(steps)
    if not interval:
        return np.arange(len(steps))
    _, first, phase = np.unique(steps % interval, return_index=True, return_inverse=True)
    return np.flatnonzero((steps - steps[first][phase]) % (stride * interval) == 0)


def n_comparable(recording: Recording, stride: int) -> int:
    """Return how many frames a stride takes; 0 if no two of them can be compared by LENS."""
    steps = np.asarray(recording.steps, dtype=np.int64)
    taken = steps[taken_frames(steps, stride)]
    _, interval = find_stretches(steps)
    return len(taken) if (np.diff(taken) == stride * interval).any() else 0


def skipped_stretches(recording: Recording) -> list[Finding]:
    """Find the stretches of which a stride takes no frame, because they are too short."""
    if not isinstance(recording, EveryNth):
        return []
    steps = np.asarray(recording.recording.steps)
    taken = np.zeros(len(steps), dtype=np.bool_)
    taken[recording.rows] = True
    stretches, _ = find_stretches(steps, recording.recording.times)
    lost = [rows for rows in iter_stretches(stretches) if not taken[rows].any()]
    if not lost:
        return []
    bounds = [[int(steps[rows.start]), int(steps[rows.stop - 1])] for rows in lost]
    values = {"stride": recording.stride, "stretches": bounds}
    return [Finding("skipped_stretches", ATTENTION, values=values)]
