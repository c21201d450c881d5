"""How atoms move between environments: the matrix, and the dendrogram of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.limits import FEW_EVENTS
from strdyn_post.names import Names
from strdyn_post.quantities import percent
from strdyn_post.routes import Route

from .style import GRID, INK, MUTED, axes_of, draw_mark, dress, explain_empty

__all__ = ["plot_dendrogram", "plot_transition_matrix"]


def plot_dendrogram(
    route: Route, names: Names | None = None, *, cut: float = 1.0, ax: Any = None
) -> Any:
    """Draw the dendrogram of the rows of the transition matrix, and its cut.

    Parameters
    ----------
    route : Route
        Leaves are its clusters *before* merging, in the colours of the merged environments.
    names : Names, optional
    cut : float
        Correlation distance below which clusters merge. Any cut in the grey band gives the same
        environments.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    ax, names = axes_of(route, names, ax)
    mapping = np.arange(route.n_clusters) if route.merged is None else route.merged.mapping
    dress(ax)
    if route.n_clusters < 2:
        explain_empty(ax, f"{route.n_clusters or 'no'} cluster: nothing to merge")
        return ax

    members = [{label} for label in range(route.n_clusters)]
    for left, right, *_ in route.linkage:
        members.append(members[int(left)] | members[int(right)])

    def link_color(node: int) -> str:
        groups = {int(mapping[label]) for label in members[node]}
        return names.colors[groups.pop()] if len(groups) == 1 else MUTED

    tree = dendrogram(route.linkage, no_plot=True, link_color_func=link_color)
    bridges = [
        list(zip(xs, ys, strict=True))
        for xs, ys in zip(tree["icoord"], tree["dcoord"], strict=True)
    ]
    ax.add_collection(LineCollection(bridges, colors=tree["color_list"], linewidths=2.0))
    legs = [leg for bridge in bridges for leg in (bridge[:2], bridge[:1:-1])]
    top = max(1.08 * float(route.linkage[-1, 2]), 1.15 * cut)
    for place, label in enumerate(tree["leaves"]):
        group, x = int(mapping[label]), 10 * place + 5
        color = names.colors[group]
        height = min(high for (foot, low), (_, high) in legs if foot == x and low == 0)
        ax.plot([x, x], [0, min(height, cut)], color=color, linewidth=2.6)
        draw_mark(ax, x, -0.045 * top, names.marks[group], color, size=7.5)
    if route.checks is not None and route.merged is not None:
        low, high = np.clip(route.checks.merge_cuts, 0.0, top)
        ax.axhspan(low, high, color=GRID, linewidth=0, alpha=0.55, zorder=0)
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
    ax.set(
        xlim=(0, 10 * route.n_clusters),
        ylim=(-0.10 * top, top),
        xticks=[],
        ylabel="distance (1 − correlation)",
    )
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    dress(ax)
    ax.spines["bottom"].set_visible(False)
    ax.spines["left"].set_bounds(0, top)
    return ax


def plot_transition_matrix(route: Route, names: Names | None = None, *, ax: Any = None) -> Any:
    """Draw the probabilities to go from row to column within one lag, with the number of events.

    Probabilities in percent; below them their 95 % interval if the route has checks, and the
    number of moves. For a move that was never seen: the upper limit of its probability. Cells with
    fewer than `FEW_EVENTS` independent moves are in italics.

    Parameters
    ----------
    route : Route
    names : Names, optional
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    shown = route.final
    n = shown.n_clusters
    ax, names = axes_of(route, names, ax, (0.75 * n + 1.2, 0.75 * n + 1.0))
    if n == 0:
        explain_empty(ax, "no environment")
        dress(ax, frame=False)
        return ax
    order = names.order
    cells = np.ix_(order, order)
    probabilities, counts = np.asarray(shown.transition_matrix)[cells], shown.counts[cells]
    bounds: list[Any] = []
    rare, moves = counts < FEW_EVENTS, counts
    if route.checks is not None:
        rare, moves = route.checks.few_events[cells], route.checks.events[cells]
        bounds = [route.checks.low[cells], route.checks.high[cells]]
    # a root scale: 0.1 % is visible, and 90 % differs from 99 %
    alpha = 0.88 * probabilities**0.4
    image = np.ones((n, n, 4)) * [0.10, 0.30, 0.55, 1.0]
    image[..., 3] = np.where(counts > 0, alpha, 0.0)
    ax.imshow(image, interpolation="nearest", aspect="equal")
    large, small = (9.5, 6.2) if n <= 6 else (8.0, 5.4) if n <= 9 else (6.5, 0.0)
    for a, b in np.ndindex(n, n):
        interval = [_bound(float(bound[a, b])) for bound in bounds]
        probability = percent(float(probabilities[a, b]))
        events = f"{moves[a, b]:,}" if a != b else ""
        lines, ink = [(0.0, probability, large)], MUTED if rare[a, b] else INK
        if not counts[a, b]:
            # an environment without any counted pair has no limit
            known = small and interval and counts[a].any()
            lines = [(0.0, f"< {interval[1]}", small)] if known else []
        elif small and interval:
            lines = [
                (-0.24, probability, large),
                (0.06, "–".join(interval), small),
                (0.30, events, small),
            ]
        elif small:
            lines = [(-0.13, probability, large), (0.24, events, small)]
        for down, words, size in lines:
            if not words:  # no events: to stay is no move
                continue
            ax.text(
                b,
                a + down,
                words,
                ha="center",
                va="center",
                fontsize=size,
                color="#FFFFFF" if counts[a, b] and alpha[a, b] > 0.5 else ink,
                fontstyle="italic" if rare[a, b] and counts[a, b] else "normal",
            )
    for k, label in enumerate(order):
        draw_mark(ax, -0.78, k, names.marks[label], names.colors[label])
        draw_mark(ax, k, -0.78, names.marks[label], names.colors[label])
    ax.set(xlim=(-1.1, n - 0.5), ylim=(n - 0.5, -1.1))
    ax.set_xlabel("to", loc="center")
    ax.set_ylabel("from", loc="center")
    dress(ax, frame=False)
    for k in range(n + 1):
        ax.plot([-0.5, n - 0.5], [k - 0.5] * 2, color=MUTED, linewidth=0.4, alpha=0.5)
        ax.plot([k - 0.5] * 2, [-0.5, n - 0.5], color=MUTED, linewidth=0.4, alpha=0.5)
    return ax


def _bound(share: float) -> str:
    """Return a bound in percent, small ones with one digit: it must fit into a cell."""
    return f"{100 * share:.1g}" if 1e-5 <= share < 1e-4 else percent(share)
