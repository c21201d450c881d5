"""The regular frames of a recording that was dense while something happened."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.recording import Recording

from .frame_view import FrameView

__all__ = ["RegularFrames", "extra_frames", "regular_frames", "regular_rows"]


class RegularFrames(FrameView):
    """A recording without the extra frames of adaptive sampling.

    It pickles as recording only, so its pickle stays the same while a buffer grows.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording, regular_rows(recording))

    def __reduce__(self) -> tuple[Any, ...]:
        return RegularFrames, (self.recording,)


def regular_frames(recording: Recording) -> Recording:
    """Return the recording with its regular frames only: those that a fixed Δt parts.

    LENS is defined for a Δt, and transitions are counted at one lag.

    Parameters
    ----------
    recording : Recording
        Its optional attributes `intervals` and `every` say how far apart regular frames are
        [steps]: for each frame, or for all. Without them all frames are regular.

    Returns
    -------
    Recording
        The recording itself if it has no extra frames.
    """
    if len(regular_rows(recording)) == len(recording.steps):
        return recording
    return RegularFrames(recording)


def regular_rows(recording: Recording) -> NDArray[np.int64]:
    """Return the frames that are not extra ones.

    An extra frame is at a step that is no multiple of its regular interval, and closer to another
    frame than this interval.
    """
    steps = np.asarray(recording.steps, dtype=np.int64)
    intervals = getattr(recording, "intervals", None)
    if intervals is None:
        every = getattr(recording, "every", None)
        intervals = np.full(len(steps), 0 if every is None else every)
    intervals = np.asarray(intervals, dtype=np.int64)
    between = steps % np.maximum(intervals, 1) != 0
    far = np.iinfo(np.int64).max
    distances = np.diff(steps)
    nearest = np.minimum(np.append(distances, far), np.insert(distances, 0, far))
    return np.flatnonzero(~(between & (nearest < intervals)))


def extra_frames(recording: Recording) -> list[Finding]:
    """Find out how many frames of a recording are extra ones, and were left out."""
    if not isinstance(recording, RegularFrames):
        return []
    n_recorded, n_taken = len(recording.recording.steps), len(recording.rows)
    every = getattr(recording.recording, "every", None)
    values = {"extra": n_recorded - n_taken, "recorded": n_recorded, "every": every}
    return [Finding("extra_frames", ATTENTION, values=values)]
