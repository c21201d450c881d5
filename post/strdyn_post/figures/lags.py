"""Implied timescales and the probability to stay, over the lag."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.names import Names
from strdyn_post.quantities import time_axis
from strdyn_post.routes import Route

from .style import GRID, INK, MUTED, PAPER, axes_of, dress, explain_empty, new_axes

__all__ = ["plot_persistence", "plot_timescales"]


def plot_timescales(route: Route, *, units: str | None = None, ax: Any = None) -> Any:
    """Draw the implied timescales −lag / ln ``|λ|`` over the lag, both logarithmic.

    Flat curve: the process is Markovian at this lag. Rising curve: atoms that leave come back.
    Grey: times shorter than the lag cannot be resolved.

    Parameters
    ----------
    route : Route
        With checks.
    units : str, optional
        LAMMPS `units` of the run.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.ticker import LogLocator

    ax = new_axes(ax)
    ax.set_title(route.title)
    checks = route.checks
    if checks is None or not np.isfinite(checks.timescales).any():
        explain_empty(ax, "no timescale: fewer than two environments exchange atoms")
        dress(ax)
        return ax
    lags, symbol = _lag_times(route, units)
    scale = lags[0] / checks.lags[0]
    for k, curve in enumerate(checks.timescales.T * scale):
        ax.plot(lags, curve, "o-", color=INK, alpha=0.9 / (1 + 0.5 * k), linewidth=1.4, ms=4)
    ax.set(xscale="log", yscale="log", xlabel=f"lag ({symbol})", ylabel=f"timescale ({symbol})")
    low = min(float(np.nanmin(checks.timescales)) * scale, lags[0])
    high = float(np.nanmax(checks.timescales)) * scale
    ax.fill_between(lags, 0.5 * low, lags, color=GRID, linewidth=0, zorder=0)
    ax.set_ylim(0.7 * low, 2 * high)
    _few_ticks(ax.xaxis, lags)
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 50 * low else (1.0,)))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    dress(ax)
    ax.minorticks_off()
    return ax


def plot_persistence(
    route: Route, names: Names | None = None, *, units: str | None = None, ax: Any = None
) -> Any:
    """Draw the probability to be in the same environment after a lag (Chapman–Kolmogorov test).

    Disks: counted at this lag. Lines: predicted from the moves at the shortest lag, for a
    Markovian process.

    Parameters
    ----------
    route : Route
        With checks.
    names : Names, optional
    units : str, optional
        LAMMPS `units` of the run.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax, names = axes_of(route, names, ax)
    checks = route.checks
    if checks is None or not route.final.n_clusters:
        explain_empty(ax, "no environment")
        dress(ax)
        return ax
    lags, symbol = _lag_times(route, units)
    for label in names.order:
        color = names.colors[label]
        ax.plot(lags, checks.predicted_stay[:, label], color=color, linewidth=1.6, zorder=2)
        style = {"mfc": color, "mec": PAPER, "mew": 0.6, "ms": 6}
        ax.plot(lags, checks.stay[:, label], "o", zorder=3, **style)
    ax.plot([], [], "o", color=MUTED, label="counted")
    ax.plot([], [], color=MUTED, label="without memory")
    ax.legend(loc="lower left", frameon=False, labelcolor=INK, fontsize=8)
    ax.set(xscale="log", ylim=(0, 1.04), xlabel=f"lag ({symbol})", ylabel="probability to be there")
    _few_ticks(ax.xaxis, lags)
    dress(ax)
    ax.minorticks_off()
    return ax


def _lag_times(route: Route, units: str | None) -> tuple[Any, str]:
    spacing = route.frames.spacing or 1.0
    return time_axis(np.asarray(route.checks.lags * spacing), units) if route.checks else ([], "")


def _few_ticks(axis: Any, lags: Any) -> None:
    """Label every other lag with its plain number."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    shown = lags[:: 2 if len(lags) > 4 else 1]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_major_formatter(FixedFormatter([f"{lag:.3g}" for lag in shown]))
