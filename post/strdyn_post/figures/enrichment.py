"""Where the observations of an environment are in SOAP alone, compared with chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.kinetics.enrichment import find_sites
from strdyn_post.names import Names, name_environments
from strdyn_post.quantities import percent
from strdyn_post.routes import Route, shared_rows

from .style import INK, draw_mark, dress, new_axes

__all__ = ["plot_sites"]


def plot_sites(
    route: Route,
    soap: Route,
    label: int,
    names: dict[str, Names] | None = None,
    *,
    ax: Any = None,
) -> Any:
    """Draw in which environments of SOAP alone the observations of an environment are.

    Parameters
    ----------
    route, soap : Route
        SOAP&LENS and SOAP of one result.
    label : int
        Final label of the environment of `route`.
    names : dict of str to Names, optional
        Names of both routes.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        One bar for each environment of SOAP with its 95 % interval; the open bar is the share of
        all observations that this environment holds.
    """
    ax = new_axes(ax, (4.2, 2.6))
    names = names or name_environments({"soap": soap, route.name: route})
    ours, of_soap = shared_rows(route, soap)
    sites = find_sites(ours == label, of_soap, soap.final.n_clusters)
    of_soap_names = names["soap"]
    order = of_soap_names.order
    for place, k in enumerate(order):
        color, chance = of_soap_names.colors[k], 100 * sites.expected[k]
        ax.barh(place, 100 * sites.shares[k], height=0.62, color=color, zorder=2)
        ax.barh(place, chance, height=0.62, fill=False, edgecolor=INK, linewidth=1.3, zorder=4)
        ax.plot(100 * np.array([sites.low[k], sites.high[k]]), [place, place], color=INK, zorder=5)
        draw_mark(ax, -5.5, place, of_soap_names.marks[k], color, size=8)
        text = f"{percent(sites.shares[k])} % · by chance {percent(sites.expected[k])} %"
        ax.text(103, place, text, fontsize=8, color=INK, va="center")
    name = names[route.name].names[label]
    ax.set(xlim=(0, 100), ylim=(len(order) - 0.4, -0.6), xlabel="share of its observations [%]")
    dress(ax)
    ax.set_title(f"Where SOAP puts the {name}", loc="left", color=INK, size=10.5, weight="bold")
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    return ax
