"""The LENS signal in time, its histogram and the limits between its levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.names import Names
from strdyn_post.quantities import time_axis
from strdyn_post.routes import Route

from .style import INK, axes_of, dress

__all__ = ["plot_lens_series"]


def plot_lens_series(
    route: Route,
    names: Names | None = None,
    *,
    units: str | None = None,
    n_lines: int = 25,
    marked: Sequence[tuple[float, str]] = (),
    ax: Any = None,
) -> Any:
    """Draw δ(t) of all atoms as a density, some atoms as lines, and a histogram beside it.

    Parameters
    ----------
    route : Route
        The LENS route: scores (n_frames, n_atoms, 1) hold the smoothed δ.
    names : Names, optional
    units : str, optional
        LAMMPS `units` of the run.
    n_lines : int
        Number of atoms drawn as lines: half of them those of largest δ, half
        spread over the rest.
    marked : sequence of (float, str)
        Moments to mark above the series: time [time unit of the run] and name.
    ax : matplotlib Axes, optional
        The histogram is put at its right.

    Returns
    -------
    matplotlib Axes
        Of the series.
    """
    from matplotlib.collections import LineCollection

    ax, names = axes_of(route, names, ax, (9.0, 3.4))
    shown = route.final
    delta = np.asarray(route.scores[..., 0], dtype=np.float64)
    times, symbol = time_axis(route.times, units)
    top = max(1.05 * float(delta.max()), 1e-3)
    borders = np.linspace(0, top, 121)

    columns = [np.histogram(frame, borders)[0] for frame in delta]
    density = np.log1p(np.array(columns, dtype=np.float64).T)
    image = np.ones((*density.shape, 4)) * [0.42, 0.48, 0.55, 1.0]
    image[..., 3] = 0.55 * density / max(density.max(), 1.0)
    half = 0.5 * (times[1] - times[0]) if len(times) > 1 else 0.5
    extent = (times[0] - half, times[-1] + half, 0, top)
    ax.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="nearest")

    order = np.argsort(delta.max(axis=0))[::-1]
    lively, rest = order[: n_lines // 2], order[n_lines // 2 :]
    picked = np.concatenate([rest[:: max(len(rest) // (n_lines - n_lines // 2), 1)], lively])
    points = np.stack([np.broadcast_to(times[:, None], delta.shape), delta], axis=2)[:, picked]
    unbroken = np.diff(route.frames.stretches) == 0  # no line across a gap
    segments = np.stack([points[:-1], points[1:]], axis=2)[unbroken]
    ax.add_collection(
        LineCollection(
            list(segments.reshape(-1, 2, 2)),
            colors=names.rgb(shown.labels[:-1, picked][unbroken].ravel()),
            linewidths=0.8,
            alpha=0.8,
            rasterized=True,
        )
    )
    ax.set(
        xlim=extent[:2],
        ylim=(0, top),
        xlabel=f"time ({symbol})",
        ylabel="δ (share of neighbors exchanged)",
    )
    dress(ax)
    _mark_moments(ax, marked, route.times, times)

    side = ax.inset_axes((1.01, 0, 0.17, 1), sharey=ax)
    _draw_histogram(side, delta, shown.labels, borders, names)
    for threshold in band_limits(delta, shown.labels):
        for panel in (ax, side):
            panel.axhline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=4)
        side.annotate(
            f"{threshold:.2f}",
            (1.0, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=INK,
        )
    return ax


def _mark_moments(
    ax: Any, marked: Sequence[tuple[float, str]], at: NDArray[np.float64], shown: Any
) -> None:
    """Draw a triangle and a thin line at each moment of the series; names where there is room."""
    inside = sorted((time, name) for time, name in marked if at[0] <= time <= at[-1])
    if not inside:
        return
    where = np.interp([time for time, _ in inside], at, shown)
    above = ax.get_xaxis_transform()
    ax.plot(where, np.full(len(where), 1.02), "v", color=INK, ms=5, transform=above, clip_on=False)
    ax.vlines(where, 0, 1, color=INK, linewidth=0.6, linestyle=":", transform=above, zorder=3)
    title = ax.title  # above the names
    look = {"fontsize": title.get_fontsize(), "fontweight": title.get_fontweight()}
    ax.set_title(title.get_text(), pad=20, **look)
    room = 0.08 * (shown[-1] - shown[0])
    last = -np.inf
    for x, (_, name) in zip(where, inside, strict=True):
        if x - last < room:
            continue
        last = x
        ax.annotate(
            name,
            (x, 1.02),
            xycoords=above,
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
        )


def band_limits(delta: NDArray[np.float64], labels: NDArray[np.int32]) -> list[float]:
    """Return the limits of δ between levels, half way between two; none if the levels overlap."""
    spans = sorted(
        (float(delta[labels == label].min()), float(delta[labels == label].max()))
        for label in np.unique(labels[labels >= 0])
    )
    return [(low[1] + high[0]) / 2 for low, high in pairwise(spans) if low[1] <= high[0]]


def _draw_histogram(
    ax: Any, delta: NDArray[np.float64], labels: Any, borders: Any, names: Names
) -> None:
    """Draw the histogram of all levels, stacked, on a logarithmic scale."""
    middle = (borders[1:] + borders[:-1]) / 2
    height = borders[1] - borders[0]
    base = np.zeros(len(middle))
    for label in range(-1, len(names.colors)):
        counts = np.histogram(delta[labels == label], borders)[0]
        ax.barh(middle, counts, height, left=base, color=names.rgb(label), linewidth=0, zorder=2)
        base += counts
    ax.set_xscale("symlog", linthresh=1)
    # room for the values of the limits at the right of the bars
    ax.set_xlim(0, max(float(base.max()), 10) * 25)
    ax.set_xlabel("observations")
    dress(ax)
    ax.tick_params(labelleft=False, left=False)
    ax.spines["left"].set_visible(False)
    decades = int(np.log10(max(base.max(), 10)))
    ax.set_xticks([10**d for d in range(0, decades + 1, max(1, (decades + 1) // 2))])
    ax.minorticks_off()
