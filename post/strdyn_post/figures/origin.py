"""Where the dynamics comes from: events by environment of SOAP, and over a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.quantities import factor_text, length_unit, percent

from .style import GRID, INK, MUTED, draw_mark, dress, explain_empty, new_axes

if TYPE_CHECKING:
    from strdyn_post.results import AnalysisResult

__all__ = ["plot_foretelling", "plot_hazard", "plot_origin"]


def plot_origin(result: AnalysisResult, *, ax: Any = None) -> Any:
    """Draw the share of the lasting changes of neighbors that start from each environment of SOAP.

    Parameters
    ----------
    result : AnalysisResult
        Its `origin` is drawn.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        One bar for each environment with its 95 % interval; the open bar is the share of all
        observations that it holds. The number is the ratio of both: the rate relative to the mean.
    """
    ax = new_axes(ax, (6.4, 3.0))
    if result.origin is None or not result.origin.n_events:
        explain_empty(ax, "no lasting change of neighbors was seen")
        dress(ax)
        return ax
    found, names = result.origin.environments, result.names["soap"]
    for place, k in enumerate(names.order):
        color = names.colors[k]
        ends = 100 * np.array([found.low[k], found.high[k]])
        open_bar = 100 * found.observations[k]
        ax.barh(place, 100 * found.events[k], height=0.62, color=color, zorder=2)
        ax.barh(place, open_bar, height=0.62, fill=False, edgecolor=INK, linewidth=1.3, zorder=4)
        ax.plot(ends, [place, place], color=INK, zorder=5)
        draw_mark(ax, -5.0, place, names.marks[k], color, size=8)
        if not found.n_observations[k]:
            continue
        hazard, low, high = (
            factor_text(each[k]) for each in (found.hazard, found.hazard_low, found.hazard_high)
        )
        text = f"{percent(found.events[k])} % · {hazard} × ({low} to {high})"
        ax.text(103, place, text, fontsize=8, color=INK, va="center")
    ax.set(xlim=(0, 100), ylim=(len(names.order) - 0.4, -0.6), xlabel="share [%]")
    dress(ax)
    title = "Where lasting changes of neighbors start"
    ax.set_title(title, loc="left", color=INK, size=10.5, weight="bold")
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    return ax


def plot_hazard(
    result: AnalysisResult, over: str = "neighbors", *, units: str | None = None, ax: Any = None
) -> Any:
    """Draw how often lasting changes start, relative to the mean, over a number before them.

    Parameters
    ----------
    result : AnalysisResult
        Its `origin` is drawn.
    over : {"neighbors", "depth"}
        Number of neighbors, or depth below the surface.
    units : str, optional
        LAMMPS `units` of the run.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        One disk for each bin of about equally many observations, at their mean, with its 95 %
        interval. The line is the whole bin.
    """
    ax = new_axes(ax, (4.2, 3.2))
    found = None if result.origin is None else getattr(result.origin, over)
    length = length_unit(units)
    about = {
        "neighbors": "number of neighbors",
        "depth": f"depth below the surface{f' [{length}]' if length else ''}",
    }[over]
    ax.set(title=f"Rate over the {about.partition(' [')[0]}", xlabel=f"{about}, before the event")
    if found is None or not found.n_events.sum():
        explain_empty(ax, "no lasting change of neighbors was seen")
        dress(ax)
        return ax
    ax.axhline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    ax.hlines(found.hazard, found.edges[:-1], found.edges[1:], color=GRID, linewidth=4, zorder=1)
    ax.vlines(found.mean, found.hazard_low, found.hazard_high, color=INK, linewidth=1.3, zorder=2)
    ax.plot(found.mean, found.hazard, "o", color=INK, markersize=5, zorder=3)
    ax.set_ylabel("events per observation / mean")
    ax.set_ylim(0, None)
    dress(ax)
    return ax


def plot_foretelling(result: AnalysisResult, *, ax: Any = None) -> Any:
    """Draw how often events happen where structure foretells them with some probability.

    Parameters
    ----------
    result : AnalysisResult
        Its `foretelling` is drawn.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Disks on the line: the predictions are right on average.
    """
    ax = new_axes(ax, (4.2, 3.2))
    ax.set(title="Are the predictions right?", xlabel="predicted events per observation")
    ax.set_ylabel("events per observation")
    found = result.foretelling
    if found is None:
        explain_empty(ax, "too few lasting changes of neighbors")
        dress(ax)
        return ax
    top = 1.1 * max(found.predicted.max(), found.observed.max())
    ax.plot([0, top], [0, top], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    ax.plot(found.predicted, found.observed, "o", color=INK, markersize=5, zorder=3)
    ax.set(xlim=(0, top), ylim=(0, top))
    dress(ax)
    return ax
