"""δ over Δt, or over the smoothing window, with the fast environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.colors import HIGHLIGHT
from strdyn_post.quantities import time_axis
from strdyn_post.scans.intervals import IntervalPoint, in_use, recommended

from .style import INK, MUTED, PAPER, dress, explain_empty, new_axes

if TYPE_CHECKING:
    from strdyn_post.config import AnalysisConfig
    from strdyn_post.results import AnalysisResult

__all__ = ["plot_intervals"]


def plot_intervals(
    result: AnalysisResult, over: str = "interval", *, units: str | None = None, ax: Any = None
) -> Any:
    """Draw δ of all atoms as bands, and the mean δ of the fast environments as points.

    The first number of a point is the share of the fast environments in all observations. The
    second number is how many times as often as by chance they lie in one environment of SOAP. A
    filled disk shows motion; for a ring this place may be chance.

    Parameters
    ----------
    result : AnalysisResult
        Its `interval_scan` is drawn.
    over : {"interval", "window"}
        Draw over Δt at the window in use, or over the window at the Δt in use.
    units : str, optional
        LAMMPS `units` of the run.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax, (5.4, 3.9))
    config = result.config
    points = [each for each in result.interval_scan if _belongs(each, over, config)]
    values = np.array([getattr(point, over) for point in points], dtype=np.float64)
    if not points:
        explain_empty(ax, "no other Δt was tried: set scan_intervals = [1, 2, 5, 10]")
        dress(ax)
        return ax
    if over == "interval":
        values, symbol = time_axis(values, units)
        ax.set(xlabel=f"Δt between the frames compared ({symbol})", title="Which Δt?")
    else:
        ax.set(xlabel="smoothing window (frames)", title="Which smoothing window?")
    low, median, high, top = (
        np.array([getattr(point, f"delta_{name}") for point in points])
        for name in ("low", "median", "high", "top")
    )
    # the bands reach a little beyond the outer points, also if there is only one point
    ends = np.array([values[0] / 1.12, *values, values[-1] * 1.12])
    low, median, high, top = (np.pad(each, 1, mode="edge") for each in (low, median, high, top))
    grey = {"color": MUTED, "linewidth": 0}
    ax.fill_between(ends, high, top, alpha=0.18, label="all atoms: to 99.9 %", **grey)
    ax.fill_between(ends, low, high, alpha=0.42, label="all atoms: 5 to 95 %", **grey)
    ax.plot(ends, median, color=INK, linewidth=1.4, label="all atoms: median")
    under = False
    best = recommended(result.interval_scan, config)
    for k, (value, point, above) in enumerate(zip(values, points, top[1:-1], strict=True)):
        close = k > 0 and value < 1.4 * values[k - 1]  # no room beside the words before
        _draw_point(ax, value, point, above, below=close and not under)
        under = close and not under
        words = ["in use"] * in_use(point, config) + ["recommended"] * (point is best)
        if not words:
            continue
        color = HIGHLIGHT if point is best else MUTED
        at_right = value**2 > values[0] * values[-1]  # the axis is logarithmic
        ax.axvline(value, color=color, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        ax.annotate(
            ", ".join(words),
            (value, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if at_right else 4, -9),
            textcoords="offset points",
            ha="right" if at_right else "left",
            fontsize=8,
            color=color,
        )
    kinds = [(HIGHLIGHT, "fast: mean δ, share, × chance")]
    if any(point.n_fast and not point.shows_motion for point in points):
        kinds.append((PAPER, "fast, but its place may be chance"))
    for face, label in kinds:
        ax.plot([], [], "o", mfc=face, mec=HIGHLIGHT, mew=1.4, ms=7, label=label)
    style = {"frameon": False, "labelcolor": INK, "fontsize": 8}
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, **style)
    highest = max(top.max(), *(point.fast_delta for point in points), 1e-3)
    ax.set(xscale="log", xlim=(ends[0] / 1.05, ends[-1] * 1.2), ylim=(0, 1.3 * highest))
    ax.set_ylabel("δ (share of neighbors exchanged)")
    ax.set_xticks(values, [f"{value:.4g}" for value in values])
    dress(ax)
    ax.minorticks_off()
    return ax


def _belongs(point: IntervalPoint, over: str, config: AnalysisConfig) -> bool:
    if over == "interval":
        return point.window == config.smoothing_window
    return point.stride == config.stride


def _draw_point(ax: Any, value: float, point: IntervalPoint, above: float, *, below: bool) -> None:
    """Draw the fast environments with their numbers, or write that nothing is fast."""
    words, color, height, ground = "nothing\nfast", MUTED, above, PAPER
    if point.n_fast:
        face = HIGHLIGHT if point.shows_motion else PAPER
        ax.plot(value, point.fast_delta, "o", mfc=face, mec=HIGHLIGHT, mew=1.4, ms=8, zorder=5)
        words = f"{100 * point.fast_share:.2g} %\n{point.enrichment:.1f} ×"
        color, height, ground = INK, point.fast_delta, "none"
    ax.annotate(
        words,
        (value, height),
        xytext=(0, -7) if below and point.n_fast else (0, 7),
        textcoords="offset points",
        ha="center",
        va="top" if below and point.n_fast else "bottom",
        fontsize=8,
        color=color,
        zorder=6,
        bbox={"facecolor": ground, "edgecolor": "none", "pad": 1.0},
    )
