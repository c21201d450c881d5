"""Rates over inverse temperature, with Arrhenius's law."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.kinetics.arrhenius import BOLTZMANN
from strdyn_post.quantities import time_unit
from strdyn_post.temperature import Temperatures

from .style import INK, MUTED, dress, explain_empty, new_axes

__all__ = ["plot_arrhenius"]


def plot_arrhenius(found: Temperatures, *, events: bool = True, ax: Any = None) -> Any:
    """Draw rates over inverse temperature, with 95 % intervals, and the laws through them.

    Parameters
    ----------
    found : Temperatures
        Of `compare_temperatures`.
    events : bool
        Draw lasting changes of neighbors by environment of SOAP; else the moves to and from
        environments that only SOAP&LENS has.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax, (5.6, 4.2))
    chosen = [each for each in found.processes if each.events == events]
    ax.set_title("Lasting changes of neighbors" if events else "Moves between environments")
    if not chosen:
        explain_empty(ax, "no rate is known at two temperatures")
        dress(ax)
        return ax
    boltzmann, energy = BOLTZMANN[found.units]
    for place, process in enumerate(chosen):
        law, color = process.law, process.color
        x, known = 1000.0 / law.temperature, law.rate > 0.0
        # processes that start from the same environment differ by marker and line
        same = sum(each.color == color for each in chosen[:place])
        marker, line = "osD^v"[same % 5], ("-", "--", ":", "-.", (0, (6, 2)))[same % 5]
        error = np.abs([law.rate - law.low, law.high - law.rate])[:, known]
        ax.errorbar(
            x[known], law.rate[known], error, fmt=marker, ms=5.5, capsize=2, color=color, zorder=3
        )
        label = process.name
        if not np.isnan(law.barrier):
            ends = np.array([x.min(), x.max()])
            rates = law.prefactor * np.exp(-law.barrier * ends / 1000.0 / boltzmann)
            ax.plot(ends, rates, linestyle=line, linewidth=1.3, color=color, zorder=2)
            bounds = f"{law.barrier_low:.2f} to {law.barrier_high:.2f}"
            label += f": {law.barrier:.2f} {energy} ({bounds})"
        ax.plot([], [], marker=marker, ms=5.5, linestyle=line, color=color, label=label)
    rates = np.concatenate([each.law.rate[each.law.rate > 0.0] for each in chosen])
    temperatures = chosen[0].law.temperature
    ax.set(
        yscale="log",
        ylim=(0.2 * rates.min(), 4.0 * rates.max()),
        xlabel="1000 / T" + ("" if found.units == "lj" else " (1/K)"),
        ylabel=f"rate per atom (1/{time_unit(found.units)})",
    )
    top = ax.secondary_xaxis("top", functions=(_inverse, _inverse))
    top.set_xticks(temperatures, [f"{each:g}" for each in temperatures])
    top.set_xlabel("temperature" + ("" if found.units == "lj" else " (K)"), color=INK, size=9.5)
    top.tick_params(colors=MUTED, labelcolor=INK, labelsize=8.5)
    top.spines["top"].set_color(MUTED)
    dress(ax, grid=True)
    below = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.16)}
    ax.legend(frameon=False, labelcolor=INK, fontsize=8, **below)
    return ax


def _inverse(x: Any) -> Any:
    with np.errstate(divide="ignore"):
        return 1000.0 / np.asarray(x, dtype=np.float64)
