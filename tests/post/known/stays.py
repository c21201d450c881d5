"""Stays of model recordings, and of δ that is smoothed."""

from __future__ import annotations

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.kinetics.filter_null import filter_null
from strdyn_post.kinetics.stays import Stays, find_stays
from strdyn_post.signal.frames import Frames
from strdyn_post.signal.series import Series
from strdyn_post.signal.smoothing import smooth


def frames_of(n_frames: int, n_atoms: int) -> Frames:
    """Frames without a gap, 500 steps apart."""
    steps = 500 * np.arange(n_frames, dtype=np.int64)
    return Frames(steps, steps * 0.002, 0 * steps, np.arange(1, n_atoms + 1))


def stays_of_labels(labels: np.ndarray) -> Stays:
    """Stays without a null."""
    return find_stays(labels, int(labels.max()) + 1, np.zeros(len(labels), np.int64))


def stays_of_delta(delta: np.ndarray, limit: float, window: int = 9) -> Stays:
    """Stays below and above a limit of smoothed δ."""
    config = AnalysisConfig(smoothing_window=window)
    series = Series(delta, frames_of(*delta.shape))
    smoothed, _ = smooth(series, config)
    null = filter_null(
        series, smoothed.frames, config, lambda values, _: (values > limit).astype(np.int32)
    )
    labels = (smoothed.values > limit).astype(np.int32)
    return find_stays(labels, 2, smoothed.frames.stretches, null)
