"""How atoms move between environments: dendrogram, matrix, chord diagram, alluvial chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.palette import NOISE, Palette

from .style import INK, MUTED, PAPER, TITLES, draw_mark, dress, new_axes, time_axis

if TYPE_CHECKING:
    from strdyn_post.results import Route

__all__ = [
    "FEW_EVENTS",
    "plot_alluvial",
    "plot_chord",
    "plot_dendrogram",
    "plot_transition_matrix",
]

FEW_EVENTS = 10
"""A probability that rests on fewer observed transitions than this is marked."""


def plot_dendrogram(
    route: Route, palette: Palette | None = None, *, cut: float = 1.0, ax: Any = None
) -> Any:
    """Draw how alike the clusters are in where their atoms go, and where the tree is cut.

    Parameters
    ----------
    route : route of a result
        Leaves are its clusters *before* merging, in the colours of the merged ones.
    palette : Palette, optional
    cut : float
        Correlation distance below which clusters merge.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from scipy.cluster.hierarchy import dendrogram

    ax = new_axes(ax)
    palette = palette or Palette.of(route)
    mapping = np.arange(route.n_clusters) if route.merged is None else route.merged.mapping
    ax.set_title(TITLES.get(route.name, route.name))
    dress(ax)
    if route.n_clusters < 2:
        _say(ax, f"{route.n_clusters or 'no'} cluster: nothing to merge")
        return ax

    members = [{label} for label in range(route.n_clusters)]
    for left, right, *_ in route.linkage:
        members.append(members[int(left)] | members[int(right)])

    def link_color(node: int) -> str:
        groups = {int(mapping[label]) for label in members[node]}
        return palette.colors[groups.pop()] if len(groups) == 1 else MUTED

    tree = dendrogram(route.linkage, ax=ax, link_color_func=link_color, no_labels=True)
    top = max(1.08 * float(route.linkage[-1, 2]), 1.15 * cut)
    for lines in ax.collections:
        lines.set(linewidth=2.0, capstyle="round")
    legs = [
        (x, height)
        for xs, ys in zip(tree["icoord"], tree["dcoord"], strict=True)
        for x, low, height in ((xs[0], ys[0], ys[1]), (xs[3], ys[3], ys[2]))
        if low == 0
    ]
    heights = {round((x - 5) / 10): height for x, height in legs}
    for place, label in enumerate(tree["leaves"]):
        group = int(mapping[label])
        color, x = palette.colors[group], 10 * place + 5
        ax.plot([x, x], [0, min(heights[place], cut)], color=color, linewidth=2.6)
        draw_mark(ax, x, -0.045 * top, palette.marks[group], color, size=7.5)
    ax.axhline(cut, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate(
        f"cut\n{cut:g}",
        (1, cut),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=INK,
    )
    ax.set(ylim=(-0.10 * top, top), ylabel="distance (1 − correlation)")
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    dress(ax)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(bottom=False)
    ax.spines["left"].set_bounds(0, top)
    return ax


def plot_transition_matrix(route: Route, palette: Palette | None = None, *, ax: Any = None) -> Any:
    """Draw the probabilities to go from row to column within one lag, with what they rest on.

    Probabilities in percent; below them the number of observed transitions, or, where the route
    has ``intervals`` (n_clusters, n_clusters, 2), the confidence interval. Cells of fewer than
    `FEW_EVENTS` transitions are set in grey: they are hardly more than an observation.

    Parameters
    ----------
    route : route of a result
    palette : Palette, optional
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    palette = palette or Palette.of(route)
    shown = route.final
    n = shown.n_clusters
    ax = new_axes(ax, (0.75 * n + 1.2, 0.75 * n + 1.0))
    ax.set_title(TITLES.get(route.name, route.name))
    if n == 0:
        _say(ax, "no environment")
        dress(ax, frame=False)
        return ax
    order = palette.order
    cells = np.ix_(order, order)
    probabilities, counts = np.asarray(shown.transition_matrix)[cells], shown.counts[cells]
    intervals = getattr(shown, "intervals", None)
    intervals = None if intervals is None else np.asarray(intervals)[cells]
    # a root scale: one in a thousand is seen, and 90 % differs from 99 %
    alpha = 0.88 * probabilities**0.4
    image = np.ones((n, n, 4)) * [0.10, 0.30, 0.55, 1.0]
    image[..., 3] = np.where(counts > 0, alpha, 0.0)
    ax.imshow(image, interpolation="nearest", aspect="equal")
    large, small = (9.5, 7.0) if n <= 6 else (8.0, 5.6) if n <= 9 else (6.5, 0.0)
    for a, b in np.argwhere(counts > 0):
        few = counts[a, b] < FEW_EVENTS
        color = "#FFFFFF" if alpha[a, b] > 0.5 else MUTED if few else INK
        below = f"{counts[a, b]:,}" if intervals is None else _interval(intervals[a, b])
        style = "italic" if few else "normal"
        ax.text(
            b,
            a - (0.13 if small else 0),
            percent(probabilities[a, b]),
            ha="center",
            va="center",
            fontsize=large,
            color=color,
            fontstyle=style,
        )
        if small:
            ax.text(
                b,
                a + 0.24,
                below,
                ha="center",
                va="center",
                fontsize=small,
                color=color,
                fontstyle=style,
            )
    for k, label in enumerate(order):
        draw_mark(ax, -0.78, k, palette.marks[label], palette.colors[label])
        draw_mark(ax, k, -0.78, palette.marks[label], palette.colors[label])
    ax.set(xlim=(-1.1, n - 0.5), ylim=(n - 0.5, -1.1))
    ax.set_xlabel("to", loc="center")
    ax.set_ylabel("from", loc="center")
    dress(ax, frame=False)
    for k in range(n + 1):
        ax.plot([-0.5, n - 0.5], [k - 0.5] * 2, color=MUTED, linewidth=0.4, alpha=0.5)
        ax.plot([k - 0.5] * 2, [-0.5, n - 0.5], color=MUTED, linewidth=0.4, alpha=0.5)
    return ax


def percent(share: float) -> str:
    """Return a share as percent with the digits that matter: 98.1, 0.38, 0.002."""
    value = 100 * share
    if value >= 99.95:
        return "100" if value >= 99.9995 else f"{value:.3f}".rstrip("0")
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}" if value >= 1e-3 else "<0.001"


def plot_chord(route: Route, palette: Palette | None = None, *, ax: Any = None) -> Any:
    """Draw populations as arcs and fluxes as chords between them.

    The share of an arc that a chord covers is the probability to leave along it within one lag,
    times the factor written below where the fluxes are thin. A chord has the colour of the
    environment that sends more than it gets back; it is pale where the two directions agree
    within what chance makes of such counts (difference below 2√(N_ab + N_ba)).

    Parameters
    ----------
    route : route of a result
    palette : Palette, optional
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patches import PathPatch, Wedge

    ax = new_axes(ax, (3.8, 3.8))
    palette = palette or Palette.of(route)
    shown = route.final
    order = palette.order
    colors = [palette.colors[label] for label in order]
    counts = np.asarray(shown.counts)[np.ix_(order, order)]
    probabilities = np.asarray(shown.transition_matrix)[np.ix_(order, order)]
    arcs, chords, factor = chord_geometry(np.asarray(shown.populations)[order], probabilities)
    # thick chords first: a thin one stays visible on top
    for a, b in sorted(chords, key=lambda pair: -counts[pair] - counts[pair[::-1]]):
        forth, back = int(counts[a, b]), int(counts[b, a])
        clear = abs(forth - back) > 2 * np.sqrt(forth + back)
        color = colors[a if forth >= back else b]
        ax.add_patch(
            PathPatch(
                _chord_path(*chords[a, b]),
                facecolor=color,
                edgecolor=color,
                linewidth=0.5,
                alpha=0.85 if clear else 0.45,
                zorder=2,
            )
        )
    for (start, stop), color in zip(arcs, colors, strict=True):
        ax.add_patch(
            Wedge(
                (0, 0),
                1.0,
                *np.degrees([start, stop]),
                width=0.085,
                facecolor=color,
                edgecolor=PAPER,
                linewidth=0.8,
                zorder=3,
            )
        )
    middles = _spread([(start + stop) / 2 for start, stop in arcs], 0.26)
    for label, angle in zip(order, middles, strict=True):
        x, y = 1.15 * np.cos(angle), 1.15 * np.sin(angle)
        draw_mark(ax, x, y, palette.marks[label], palette.colors[label])
    if not chords:
        _say(ax, "no transitions")
    elif factor > 1:
        ax.text(
            0.5,
            -0.02,
            f"chords ×{factor}",
            ha="center",
            va="top",
            fontsize=8,
            color=MUTED,
            transform=ax.transAxes,
        )
    ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    ax.set_title(TITLES.get(route.name, route.name))
    dress(ax, frame=False)
    return ax


Span = tuple[float, float]


def chord_geometry(
    populations: Any, probabilities: Any, gap: float = 0.05, smallest: float = 0.05
) -> tuple[list[Span], dict[tuple[int, int], tuple[Span, Span]], int]:
    """Lay out a chord diagram on the unit circle.

    Parameters
    ----------
    populations : (n_clusters,) array_like
        Rows in each environment; arcs are proportional to them.
    probabilities : (n_clusters, n_clusters) array_like
        Transition matrix; the end of chord (a, b) on arc a covers the share [a, b] of it.
    gap : float
        Angle between arcs [rad].
    smallest : float
        Angle that even the rarest environment gets [rad].

    Returns
    -------
    arcs : list of (float, float)
        Start and end angle of each arc [rad], clockwise from the top.
    chords : dict
        (a, b) with a < b → the span on arc a and the span on arc b.
    factor : int
        Shares are drawn this many times larger: 1, or the largest of 2, 5, 10, ... that fits.
    """
    populations = np.asarray(populations, dtype=np.float64)
    leaving = np.array(probabilities, dtype=np.float64)
    np.fill_diagonal(leaving, 0.0)
    n = len(populations)
    room = 2 * np.pi - n * gap * (n > 1)
    floor = min(smallest, room / n / 2)
    shares = populations / max(populations.sum(), 1.0)
    lengths = floor + (room - n * floor) * shares
    stops = np.cumsum(lengths + gap)
    arcs = [
        (float(np.pi / 2 - stop + gap), float(np.pi / 2 - stop + gap + length))
        for stop, length in zip(stops, lengths, strict=True)
    ]
    most = float(leaving.sum(axis=1).max(initial=0.0))
    factor = 1
    for candidate in (f * 10**e for e in range(7) for f in (1, 2, 5)):
        if candidate * most <= 0.9:
            factor = candidate

    spans: dict[tuple[int, int], Span] = {}
    for a in range(n):
        widths = factor * leaving[a] * lengths[a]
        start = (arcs[a][0] + arcs[a][1] - widths.sum()) / 2
        # arcs run clockwise, so the next one's chord starts at the low end: chords do not cross
        for b in [(a + k) % n for k in range(1, n)]:
            spans[a, b] = (float(start), float(start + widths[b]))
            start += widths[b]
    chords = {
        (a, b): (spans[a, b], spans[b, a])
        for a in range(n)
        for b in range(a + 1, n)
        if leaving[a, b] > 0 or leaving[b, a] > 0
    }
    return arcs, chords, factor


def plot_alluvial(
    route: Route,
    palette: Palette | None = None,
    *,
    frames: Sequence[int] | None = None,
    units: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the environments at chosen times and the atoms that move between them (fig. 4e).

    Parameters
    ----------
    route : route of a result
    palette : Palette, optional
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

    ax = new_axes(ax, (9.0, 3.4))
    palette = palette or Palette.of(route)
    shown = route.final
    n = shown.n_clusters
    if frames is None:
        frames = sorted({int(k) for k in np.linspace(0, len(route.steps) - 1, 5)})
    # from bottom to top: noise, then the environments so that the first is on top
    stack = [-1, *reversed(palette.order)]
    place = np.empty(n + 1, dtype=np.int64)
    place[stack] = np.arange(n + 1)
    labels = place[shown.labels[list(frames)]]
    sizes = np.array([np.bincount(row, minlength=n + 1) for row in labels])
    gap = 0.015 * labels.shape[1]
    bottoms = np.cumsum(sizes + gap, axis=1) - sizes - gap
    colors = [(*palette.colors, NOISE)[label] for label in stack]
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
    ax.set_title(TITLES.get(route.name, route.name))
    dress(ax)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _interval(bounds: Any) -> str:
    return f"{percent(bounds[0])} – {percent(bounds[1])}"


def _say(ax: Any, words: str) -> None:
    ax.text(
        0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=9, color=MUTED
    )
    ax.set(xticks=[], yticks=[])


def _arc_points(span: Span, radius: float) -> NDArray[np.float64]:
    angles = np.linspace(*span, max(2, int(abs(span[1] - span[0]) / 0.03) + 2))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _chord_path(first: Span, second: Span, radius: float = 0.9) -> Any:
    """Return the closed path: along one arc, over to the other, along it, and back."""
    from matplotlib.path import Path

    one, two = _arc_points(first, radius), _arc_points(second, radius)
    codes = [Path.MOVETO, *[Path.LINETO] * (len(one) - 1), *[Path.CURVE4] * 3]
    codes += [*[Path.LINETO] * (len(two) - 1), *[Path.CURVE4] * 3]
    pull = 0.25
    points = [*one, pull * one[-1], pull * two[0], *two, pull * two[-1], pull * one[0], one[0]]
    return Path(points, codes)


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


def _spread(angles: Sequence[float], least: float) -> list[float]:
    """Move angles apart until neighbors on the circle differ by at least `least`."""
    placed = np.array(angles, dtype=np.float64)
    if len(placed) < 2:
        return list(angles)
    if len(placed) * least > 2 * np.pi:
        least = 2 * np.pi / len(placed)
    for _ in range(200):
        gaps = placed - np.roll(placed, -1)  # clockwise: each is above the next
        gaps[-1] += 2 * np.pi
        short = np.maximum(least - gaps, 0)
        if short.max() < 1e-6:
            break
        placed += 0.5 * short - 0.5 * np.roll(short, 1)
    return [float(angle) for angle in placed]
