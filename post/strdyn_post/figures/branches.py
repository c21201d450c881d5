"""The condensed tree of HDBSCAN*: its branches over the density, coloured by mean δ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.names import Names
from strdyn_post.routes import Route

from .style import INK, MUTED, axes_of, draw_mark, dress, explain_empty

if TYPE_CHECKING:
    from strdyn_post.environments.branches import Branches

__all__ = ["plot_branches"]

_MOST_LEAVES = 60


def plot_branches(
    route: Route,
    names: Names | None = None,
    *,
    limits: tuple[float, float] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the condensed tree, each branch in the colour of its mean δ.

    A branch of large δ is visible, also if it was not chosen as a cluster.

    Parameters
    ----------
    route : Route
        Fitted by HDBSCAN*.
    names : Names, optional
        Names of its environments: their marks stand at the branches that are clusters.
    limits : (float, float), optional
        δ at the ends of the colour scale; by default those of the branches drawn.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Width: number of rows, logarithmic. Small branches that are not clusters are left out.
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax, names = axes_of(route, names, ax, (7.0, 3.6))
    dress(ax)
    tree = route.fit.branches
    if tree is None or len(tree.parent) < 2:
        explain_empty(ax, "no condensed tree: the method is not HDBSCAN*, or no branch splits")
        return ax
    shown = _large_enough(tree)
    place = _places(tree, shown)
    first = tree.birth[1:][shown[1:]].min()
    birth = np.where(tree.parent < 0, 0.8 * first, tree.birth)
    death = np.maximum(_deaths(tree, shown), 1.04 * birth)  # a short branch is drawn as a line
    width = 0.06 + 0.36 * np.log(tree.size) / np.log(tree.size[0])
    boxes = [
        [(x - w, low), (x + w, low), (x + w, high), (x - w, high)]
        for x, w, low, high in zip(
            place[shown], width[shown], birth[shown], death[shown], strict=True
        )
    ]
    drawn = PolyCollection(
        boxes, array=tree.delta[shown], cmap="magma_r", edgecolors=MUTED, linewidths=0.4
    )
    drawn.set_clim(limits or (tree.delta[shown].min(), tree.delta[shown].max()))
    ax.add_collection(drawn)
    joins = [
        [(place[tree.parent[k]], birth[k]), (place[k], birth[k])]
        for k in np.flatnonzero(shown)
        if k
    ]
    ax.add_collection(LineCollection(joins, colors=MUTED, linewidths=0.8, zorder=0))
    mapping = np.arange(route.n_clusters) if route.merged is None else route.merged.mapping
    for k in np.flatnonzero(tree.cluster >= 0):
        label = int(mapping[tree.cluster[k]])
        x, w, color = place[k], width[k] + 0.06, names.colors[label]
        ax.plot(
            [x - w, x + w, x + w, x - w, x - w],
            [birth[k], birth[k], death[k], death[k], birth[k]],
            color=color,
            linewidth=1.8,
        )
        draw_mark(ax, x, birth[k] / 1.09, names.marks[label], color, size=7.5)
    ax.set(
        yscale="log",
        xlim=(place[shown].min() - 0.8, place[shown].max() + 0.8),
        ylim=(0.8 * first, 1.1 * death[shown].max()),
        ylabel="density λ [1/distance]",
    )
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.01, fraction=0.04)
    bar.set_label("mean δ", color=INK, fontsize=9)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8)
    bar.outline.set_visible(False)
    return ax


def _large_enough(tree: Branches) -> NDArray[np.bool_]:
    """Mark branches to draw, (n_branches,): clusters, their parents, and the largest others.

    The sibling of a drawn branch is drawn too, so that a split shows both parts.
    """
    is_leaf = ~np.isin(np.arange(len(tree.parent)), tree.parent)
    least = np.sort(tree.size[is_leaf])[::-1][:_MOST_LEAVES].min()
    kept = tree.size >= least
    kept[tree.cluster >= 0] = True
    for k in range(len(kept) - 1, 0, -1):  # children have larger numbers than their parents
        kept[tree.parent[k]] |= kept[k]
    lower_of_two = np.zeros(len(kept), dtype=bool)
    lower_of_two[tree.parent[1:][kept[1:]]] = True
    return np.asarray(kept | np.append(False, lower_of_two[tree.parent[1:]]))


def _deaths(tree: Branches, shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the densities at which branches end, with parts that are not drawn, (n_branches,)."""
    death = tree.death.copy()
    for k in range(len(death) - 1, 0, -1):  # children have larger numbers than their parents
        if not shown[k]:
            death[tree.parent[k]] = max(death[tree.parent[k]], death[k])
    return death


def _places(tree: Branches, shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return horizontal places, (n_branches,): leaves side by side, parents between their parts."""
    children: dict[int, list[int]] = {}
    for k in np.flatnonzero(shown)[1:].tolist():
        children.setdefault(int(tree.parent[k]), []).append(k)
    place = np.zeros(len(tree.parent))
    n_leaves, todo = 0, [(0, False)]
    while todo:
        branch, is_below_done = todo.pop()
        below = children.get(branch, [])
        if is_below_done:
            place[branch] = np.mean([place[k] for k in below])
        elif below:
            todo += [(branch, True), *((k, False) for k in below)]
        else:
            place[branch] = n_leaves
            n_leaves += 1
    return place
