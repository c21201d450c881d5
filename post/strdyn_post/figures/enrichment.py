"""Where an environment sits among those of SOAP alone, against what chance would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.kinetics.enrichment import find_sites
from strdyn_post.palette import Palette, make_palettes, shared_rows

from .style import INK, draw_mark, dress, new_axes
from .transitions import percent

if TYPE_CHECKING:
    from strdyn_post.results import Route

__all__ = ["plot_sites"]


def plot_sites(
    route: Route,
    soap: Route,
    label: int,
    palettes: dict[str, Palette] | None = None,
    *,
    ax: Any = None,
) -> Any:
    """Draw in which environments of SOAP alone the observations of an environment are.

    Parameters
    ----------
    route, soap : routes of one result
        SOAP&LENS and SOAP.
    label : int
        Final label of the environment of `route`.
    palettes : dict of str to Palette, optional
        Of both routes.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        One bar for each environment of SOAP with its 95 % interval; the open bar is the share of
        all observations that this environment holds.
    """
    ax = new_axes(ax, (4.2, 2.6))
    palettes = palettes or make_palettes({"soap": soap, route.name: route})
    ours, of_soap = shared_rows(route, soap)
    sites = find_sites(ours == label, of_soap, soap.final.n_clusters)
    palette, order = palettes["soap"], palettes["soap"].order
    for place, k in enumerate(order):
        color, chance = palette.colors[k], 100 * sites.expected[k]
        ax.barh(place, 100 * sites.shares[k], height=0.62, color=color, zorder=2)
        ax.barh(place, chance, height=0.62, fill=False, edgecolor=INK, linewidth=1.3, zorder=4)
        ax.plot(100 * np.array([sites.low[k], sites.high[k]]), [place, place], color=INK, zorder=5)
        draw_mark(ax, -5.5, place, palette.marks[k], color, size=8)
        text = f"{percent(sites.shares[k])} % · by chance {percent(sites.expected[k])} %"
        ax.text(103, place, text, fontsize=8, color=INK, va="center")
    name = palettes[route.name].names[label]
    ax.set(xlim=(0, 100), ylim=(len(order) - 0.4, -0.6), xlabel="share of its observations [%]")
    dress(ax)
    ax.set_title(f"Where SOAP puts the {name}", loc="left", color=INK, size=10.5, weight="bold")
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    return ax
