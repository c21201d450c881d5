"""The alluvial chart: environments at chosen times, and the atoms that move between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from strdyn_post.colors import NOISE
from strdyn_post.names import Names
from strdyn_post.quantities import time_axis
from strdyn_post.routes import Route

from .style import axes_of, dress

__all__ = ["plot_alluvial"]


def plot_alluvial(
    route: Route,
    names: Names | None = None,
    *,
    frames: Sequence[int] | None = None,
    units: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the environments at chosen times and the atoms that move between them (fig. 4e).

    Parameters
    ----------
    route : Route
    names : Names, optional
    frames : sequence of int, optional
        Indices into ``route.steps``; by default five, evenly spread.
    units : str, optional
        LAMMPS `units` of the run.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patches import PathPatch, Rectangle

    ax, names = axes_of(route, names, ax, (9.0, 3.4))
    shown = route.final
    n = shown.n_clusters
    if frames is None:
        frames = sorted({int(k) for k in np.linspace(0, len(route.steps) - 1, 5)})
    # from bottom to top: noise, then the environments, the first one on top
    stack = [-1, *reversed(names.order)]
    place = np.empty(n + 1, dtype=np.int64)
    place[stack] = np.arange(n + 1)
    labels = place[shown.labels[list(frames)]]
    sizes = np.array([np.bincount(row, minlength=n + 1) for row in labels])
    gap = 0.015 * labels.shape[1]
    bottoms = np.cumsum(sizes + gap, axis=1) - sizes - gap
    colors = [(*names.colors, NOISE)[label] for label in stack]
    for column in range(len(frames)):
        for label in range(n + 1):
            if sizes[column, label]:
                ax.add_patch(
                    Rectangle(
                        (column - 0.04, bottoms[column, label]),
                        0.08,
                        sizes[column, label],
                        color=colors[label],
                        linewidth=0,
                        zorder=3,
                    )
                )
    for column in range(len(frames) - 1):
        flow = np.zeros((n + 1, n + 1), dtype=np.int64)
        np.add.at(flow, (labels[column], labels[column + 1]), 1)
        left = bottoms[column][:, None] + np.cumsum(flow, axis=1) - flow
        right = bottoms[column + 1][None, :] + np.cumsum(flow, axis=0) - flow
        for a, b in np.argwhere(flow):
            band = _band_path(column + 0.04, left[a, b], column + 0.96, right[a, b], flow[a, b])
            ax.add_patch(
                PathPatch(
                    band,
                    facecolor=colors[a],
                    edgecolor=colors[a],
                    linewidth=0.3,
                    alpha=0.30 if a == b else 0.65,
                )
            )
    times, symbol = time_axis(route.times, units)
    ax.set_xticks(range(len(frames)), [f"{times[k]:.4g} {symbol}" for k in frames])
    top = float((bottoms[:, -1] + sizes[:, -1]).max())
    ax.set(xlim=(-0.12, len(frames) - 0.88), ylim=(0, top), yticks=[])
    dress(ax)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _band_path(x0: float, y0: float, x1: float, y1: float, height: float) -> Any:
    from matplotlib.path import Path

    middle = (x0 + x1) / 2
    points = [
        (x0, y0),
        (middle, y0),
        (middle, y1),
        (x1, y1),
        (x1, y1 + height),
        (middle, y1 + height),
        (middle, y0 + height),
        (x0, y0 + height),
        (x0, y0),
    ]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.LINETO]
    return Path(points, codes)
