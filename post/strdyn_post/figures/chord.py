"""The chord diagram: populations as arcs, fluxes as chords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import CLEAR
from strdyn_post.names import Names
from strdyn_post.routes import Route

from .style import MUTED, PAPER, axes_of, draw_mark, dress, explain_empty

__all__ = ["chord_geometry", "plot_chord"]


def plot_chord(route: Route, names: Names | None = None, *, ax: Any = None) -> Any:
    """Draw populations as arcs and fluxes as chords between them.

    The share of an arc that a chord covers is the probability to leave along it within one lag.
    If the chords are thin they are enlarged by a factor, which is written below. A chord has the
    colour of the environment that sends more than it gets back. It is pale if the two directions
    agree within chance (`CLEAR` standard errors), or if nothing was checked.

    Parameters
    ----------
    route : Route
    names : Names, optional
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patches import PathPatch, Wedge

    ax, names = axes_of(route, names, ax, (3.8, 3.8))
    shown = route.final
    order = names.order
    colors = [names.colors[label] for label in order]
    counts = np.asarray(shown.counts)[np.ix_(order, order)]
    probabilities = np.asarray(shown.transition_matrix)[np.ix_(order, order)]
    excess = np.zeros(counts.shape)
    if route.checks is not None:
        excess = route.checks.imbalance[np.ix_(order, order)]
    arcs, chords, factor = chord_geometry(np.asarray(shown.populations)[order], probabilities)
    # thick chords first: a thin one stays visible on top
    for a, b in sorted(chords, key=lambda pair: -counts[pair] - counts[pair[::-1]]):
        forth, back = int(counts[a, b]), int(counts[b, a])
        clear = abs(excess[a, b]) > CLEAR
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
        draw_mark(ax, x, y, names.marks[label], names.colors[label])
    if not chords:
        explain_empty(ax, "no transitions")
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
        Smallest angle of an arc [rad].

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
    floor = min(smallest, room / max(n, 1) / 2)
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


def _arc_points(span: Span, radius: float) -> NDArray[np.float64]:
    angles = np.linspace(*span, max(2, int(abs(span[1] - span[0]) / 0.03) + 2))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _chord_path(first: Span, second: Span, radius: float = 0.9) -> Any:
    """Return the closed path of a chord: one arc, across, the other arc, and back."""
    from matplotlib.path import Path

    one, two = _arc_points(first, radius), _arc_points(second, radius)
    codes = [Path.MOVETO, *[Path.LINETO] * (len(one) - 1), *[Path.CURVE4] * 3]
    codes += [*[Path.LINETO] * (len(two) - 1), *[Path.CURVE4] * 3]
    pull = 0.25
    points = [*one, pull * one[-1], pull * two[0], *two, pull * two[-1], pull * one[0], one[0]]
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
