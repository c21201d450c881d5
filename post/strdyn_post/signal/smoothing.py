"""Smoothing of LENS: Savitzky–Golay along time, per atom, never across a gap."""

from __future__ import annotations

import numpy as np

from strdyn_post.config import AnalysisConfig

from .series import AnalysisError, Series, iter_stretches

__all__ = ["smooth"]


def smooth(series: Series, config: AnalysisConfig) -> tuple[Series, list[str]]:
    """Smooth a series and trim the ends at which the filter extrapolates.

    Parameters
    ----------
    series : Series
        δ of every atom.
    config : AnalysisConfig
        `smoothing_window` frames, `smoothing_order`, `trim`.

    Returns
    -------
    smoothed : Series
        Clipped to [0, 1], with the steps and IDs that survive. A stretch shorter than the window
        is dropped; if every stretch is, the series comes back as it was.
    warnings : list of str
        What the reader of a result must know.

    Notes
    -----
    Savitzky and Golay, Anal. Chem. 36, 1627 (1964); the paper uses order 2 and 20 (Cu) or 100
    frames. The value of an even window belongs half a frame later than its frame.
    """
    from scipy.signal import savgol_filter

    window = config.smoothing_window
    if window == 1:
        return series, []
    warnings = []
    if window % 2 == 0:
        warnings.append(
            f"smoothing_window = {window} is even: the smoothed LENS of a frame belongs half a "
            f"frame later. smoothing_window = {window + 1} has no shift."
        )
    slices = list(iter_stretches(series.stretches))
    if not slices:
        raise AnalysisError("there is no δ to smooth: the series holds no frame.")
    lengths = [rows.stop - rows.start for rows in slices]
    if max(lengths) < window:
        warnings.append(
            f"too few frames for smoothing_window = {window}: the longest gapless stretch has "
            f"{max(lengths)} values of LENS. LENS was neither smoothed nor trimmed; record "
            f"{2 * window + 1} frames or more, or choose a shorter window."
        )
        return series, warnings

    margin = window // 2 if config.trim == "half_window" else 0
    values = np.empty_like(series.values)
    kept = np.zeros(len(series.steps), dtype=np.bool_)
    for rows, length in zip(slices, lengths, strict=True):
        if length < window:
            warnings.append(
                f"steps {series.steps[rows.start]} to {series.steps[rows.stop - 1]} are left out: "
                f"{length} frames between gaps, smoothing_window = {window} needs {window}."
            )
            continue
        smoothed = savgol_filter(series.values[rows], window, config.smoothing_order, axis=0)
        values[rows] = smoothed.clip(0.0, 1.0)
        # a stretch of one window keeps its middle
        kept[rows.start + margin : max(rows.stop - margin, rows.start + margin + 1)] = True
    return Series(values, series.steps, series.times, series.atom_ids, series.stretches).take(
        kept
    ), warnings
