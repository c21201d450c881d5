"""Smoothing of LENS: Savitzky–Golay along time, for each atom, not across a gap."""

from __future__ import annotations

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.errors import AnalysisError
from strdyn_post.findings import ATTENTION, Finding

from .frames import iter_stretches
from .series import Series

__all__ = ["smooth"]


def smooth(series: Series, config: AnalysisConfig) -> tuple[Series, list[Finding]]:
    """Smooth a series, and trim the ends, where the filter extrapolates.

    Parameters
    ----------
    series : Series
        δ of every atom.
    config : AnalysisConfig
        `smoothing_window` frames, `smoothing_order`, `trim`.

    Returns
    -------
    smoothed : Series
        Clipped to [0, 1], with the steps that are left. A stretch shorter than the window is
        dropped; if every stretch is shorter, the series is returned unchanged.
    found : list of Finding
        `even_window`, `short_run`, `short_stretch`.

    Raises
    ------
    AnalysisError
        If the series holds no frame.

    Notes
    -----
    Savitzky and Golay, Anal. Chem. 36, 1627 (1964); the paper uses order 2 and 20 (Cu) or 100
    frames. With an even window a value belongs half a frame later than its frame.
    """
    from scipy.signal import savgol_filter

    window = config.smoothing_window
    if window == 1:
        return series, []
    found = []
    if window % 2 == 0:
        found.append(Finding("even_window", ATTENTION, values={"window": window}))
    slices = list(iter_stretches(series.frames.stretches))
    if not slices:
        raise AnalysisError(
            "there is no δ to smooth: the series holds no frame. Record more frames."
        )
    lengths = [rows.stop - rows.start for rows in slices]
    if max(lengths) < window:
        values = {"window": window, "longest": max(lengths)}
        return series, [*found, Finding("short_run", ATTENTION, values=values)]

    margin = window // 2 if config.trim == "half_window" else 0
    smoothed = np.empty_like(series.values)
    kept = np.zeros(len(series.frames), dtype=np.bool_)
    for rows, length in zip(slices, lengths, strict=True):
        if length < window:
            first, last = series.frames.steps[[rows.start, rows.stop - 1]].tolist()
            values = {"first": first, "last": last, "length": length, "window": window}
            found.append(Finding("short_stretch", ATTENTION, values=values))
            continue
        filtered = savgol_filter(series.values[rows], window, config.smoothing_order, axis=0)
        smoothed[rows] = filtered.clip(0.0, 1.0)
        # a stretch of one window keeps its middle
        kept[rows.start + margin : max(rows.stop - margin, rows.start + margin + 1)] = True
    return Series(smoothed, series.frames).take(kept), found
