"""LENS along the trajectory: δ of every atom from each frame to the next."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from strdyn_live.lens import lens
from strdyn_live.neighbors import NeighborLists
from strdyn_post.errors import AnalysisError
from strdyn_post.recording import Recording
from strdyn_post.work import MapChunks

from .frames import Frames, find_stretches
from .same_frames import KnownFrames
from .series import Series

__all__ = ["lens_series"]

_INTERVALS_PER_CHUNK = 32


def lens_series(recording: Recording, map_chunks: MapChunks = map) -> Series:
    """Return δ between successive frames.

    Parameters
    ----------
    recording : Recording
    map_chunks : callable
        ``map``, or another map that returns results in order (see `analyse`).

    Returns
    -------
    Series
        ``values[k]`` in [0, 1] is δ from frame k to the next frame. It has the step of frame k, and
        pairs with the spectrum of frame k. A frame before a gap has no value.

    Raises
    ------
    AnalysisError
        If there are fewer than two frames, or a time is not finite.
    """
    steps = np.asarray(recording.steps, dtype=np.int64)
    times = np.asarray(recording.times, dtype=np.float64)
    if len(steps) < 2:
        raise AnalysisError(
            f"the buffer holds {len(steps)} frame{'s'[: len(steps) != 1]}; LENS compares each "
            "frame with the next one, so at least 2 are needed: let the run go on."
        )
    if not np.isfinite(times).all():
        row = int(np.argmin(np.isfinite(times)))
        raise AnalysisError(
            f"the frame of step {steps[row]} has the time {times[row]}, expected a finite number. "
            "Without it, Δt is not known. Leave this frame out."
        )
    stretches, _ = find_stretches(steps, times)
    before = np.flatnonzero(np.diff(stretches) == 0)
    chunks = np.split(before, range(_INTERVALS_PER_CHUNK, len(before), _INTERVALS_PER_CHUNK))
    known = [(chunk, KnownFrames.of(recording, np.union1d(chunk, chunk + 1))) for chunk in chunks]
    values = np.concatenate(list(map_chunks(partial(_deltas, recording), known)))
    atom_ids = np.asarray(recording.atom_ids, dtype=np.int64)
    return Series(values, Frames(steps, times, stretches, atom_ids).take(before))


def _deltas(
    recording: Recording, chunk: tuple[NDArray[np.int64], KnownFrames]
) -> NDArray[np.float64]:
    """Return δ of the frames of a chunk, (n_frames, n_atoms); each list is read once."""
    before, known = chunk
    known.check(recording)
    values = []
    lists: dict[int, NeighborLists] = {}
    for k in before.tolist():
        lists = {j: lists.get(j) or recording.neighbors(j) for j in (k, k + 1)}
        values.append(lens(lists[k], lists[k + 1]))
    return np.array(values)
