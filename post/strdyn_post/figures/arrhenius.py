"""Rates over inverse temperature, with Arrhenius's law."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.kinetics.arrhenius import BOLTZMANN
from strdyn_post.quantities import time_unit
from strdyn_post.temperature import Temperatures

from .style import INK, MUTED, PAPER, dress, explain_empty, new_axes

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
        law = process.law
        x = 1000.0 / law.temperature
        known = law.rate > 0.0
        mfc = process.color if place % 2 == 0 else PAPER
        style = {"color": process.color, "zorder": 3}
        error = np.abs([law.rate - process.low, process.high - law.rate])[:, known]
        # moves from the same environment differ by the fill of their markers and by their lines
        ax.errorbar(x[known], law.rate[known], error, fmt="o", mfc=mfc, ms=5.5, capsize=2, **style)
        ends = np.array([x.min(), x.max()])
        label = process.name
        if not np.isnan(law.barrier):
            line = law.prefactor * np.exp(-law.barrier * ends / 1000.0 / boltzmann)
            ax.plot(ends, line, "-" if place % 2 == 0 else "--", linewidth=1.2, **style)
            label += (
                f": {law.barrier:.2f} {energy} ({law.barrier_low:.2f} to {law.barrier_high:.2f})"
            )
        ax.plot(
            [], [], "o-" if place % 2 == 0 else "o--", mfc=mfc, color=process.color, label=label
        )
    temperatures = chosen[0].law.temperature
    ax.set(
        yscale="log",
        xlabel="1000 / T" + ("" if found.units == "lj" else " (1/K)"),
        ylabel=f"rate per atom (1/{time_unit(found.units)})",
    )
    top = ax.secondary_xaxis("top", functions=(_inverse, _inverse))
    top.set_xticks(temperatures, [f"{each:g}" for each in temperatures])
    top.set_xlabel("temperature" + ("" if found.units == "lj" else " (K)"), color=INK, size=9.5)
    top.tick_params(colors=MUTED, labelcolor=INK, labelsize=8.5)
    top.spines["top"].set_color(MUTED)
    ax.legend(frameon=False, labelcolor=INK, fontsize=8, loc="best")
    dress(ax, grid=True)
    return ax


def _inverse(x: Any) -> Any:
    with np.errstate(divide="ignore"):
        return 1000.0 / np.asarray(x, dtype=np.float64)
