"""Whether the levels of LENS are separated by gaps of δ, or cut out of one hump."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.limits import CLEAR, DIP

__all__ = ["judge_levels"]

_BINS = 80


def judge_levels(delta: NDArray[np.floating[Any]], thresholds: NDArray[np.float64]) -> Finding:
    """Say which thresholds of δ lie in a gap of its distribution.

    A gap: between the largest peaks of both levels, the histogram of δ falls below `DIP` of the
    smaller peak, and by more than chance. Where there is none, the levels differ by degree, and
    another number of levels would cut elsewhere.

    Parameters
    ----------
    delta : (n_rows,) ndarray of float
        Smoothed δ.
    thresholds : (n_levels - 1,) float64 ndarray
        Increasing.

    Returns
    -------
    Finding
    """
    from scipy.ndimage import gaussian_filter1d

    ends = np.quantile(delta, [0.0005, 0.9995])
    low, high = min(ends[0], thresholds[0]), max(ends[1], thresholds[-1])
    width = (high - low) / _BINS or 1.0
    # one more bin at both ends, so that a peak there falls on either side
    edges = low + width * np.arange(-1, _BINS + 2)
    sigma = 1.5
    counts = gaussian_filter1d(np.histogram(delta, edges)[0].astype(np.float64), sigma)
    limits = np.clip(np.searchsorted(edges, thresholds), 1, len(counts) - 1)
    limits = np.concatenate([[0], limits, [len(counts)]])
    without = []
    for k in range(1, len(limits) - 1):
        a, b, c = limits[k - 1 : k + 2].tolist()
        left = a + int(counts[a : max(b, a + 1)].argmax())
        right = b + int(counts[b : max(c, b + 1)].argmax())
        valley, peak = counts[left : right + 1].min(), min(counts[left], counts[right])
        # the filter averages over 2 √π σ bins
        chance = CLEAR * np.sqrt((peak + valley) / (2.0 * np.sqrt(np.pi) * sigma))
        if valley > DIP * peak or peak - valley < chance:
            without.append(float(thresholds[k - 1]))
    values = {"without": without, "n_levels": len(thresholds) + 1}
    return Finding("levels", ATTENTION if without else FINE, values=values)
