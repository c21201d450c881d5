"""What the checks say about the numbers of the page, under the names that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.figures.style import time_axis

if TYPE_CHECKING:
    from strdyn_post.palette import Palette
    from strdyn_post.results import Route

__all__ = ["route_trust"]


def route_trust(route: Route, palette: Palette, units: str | None) -> dict[str, Any] | None:
    """Return the checks of a route as JSON types; None where nothing was checked or counted.

    Parameters
    ----------
    route : Route
    palette : Palette
        Names and marks of its environments.
    units : str or None
        LAMMPS `units` of the run.

    Returns
    -------
    dict or None
        ``rows`` with one entry for each environment in the order of the palette, ``rough`` moves,
        ``unbalanced`` pairs, ``memory``, whether chance explains it (``forgets``) or atoms that
        come back (``returns``), ``longest_lag``, ``merge_cuts``, ``merge_support``, ``merge_firm``.
    """
    checks, counts = route.checks, route.final.counts
    if checks is None or not counts.any():
        return None
    spacing = float(np.median(np.diff(route.times))) if len(route.times) > 1 else 1.0

    def row(label: int) -> dict[str, Any]:
        stay, left = float(checks.residence[label]) * spacing, np.isfinite(checks.residence[label])
        (time,), unit = time_axis(np.array([stay if left else 0.0]), units)
        return {
            "name": palette.names[label],
            "mark": palette.marks[label],
            "color": palette.colors[label],
            "residence": float(f"{time:.3g}") if left and counts[label].any() else None,
            "residence_unit": unit,
            "exits": int(checks.exits[label]),
            "early": float(checks.early[label]),
            "late": float(checks.late[label]),
            "drift": float(checks.drift[label]),
            "drifts": bool(checks.drifts[label]),
            "exchange": least_balanced(label),
        }

    def least_balanced(label: int) -> dict[str, Any] | None:
        moved = counts[label] + counts[:, label]
        moved[label] = 0
        if not moved.any():
            return None
        # of equally balanced ones that with most moves
        other = int(np.lexsort((moved, np.abs(checks.imbalance[label])))[-1])
        return {
            "mark": palette.marks[other],
            "n_out": int(counts[label, other]),
            "n_in": int(counts[other, label]),
            "excess": float(checks.imbalance[label, other]),
            "unbalanced": bool((checks.unbalanced | checks.unbalanced.T)[label, other]),
        }

    def moves(pairs: Any) -> list[dict[str, Any]]:
        return [
            {
                "source": palette.names[a],
                "target": palette.names[b],
                "n": int(counts[a, b]),
                "n_back": int(counts[b, a]),
            }
            for a, b in sorted(map(tuple, pairs), key=lambda pair: counts[pair])
        ]

    merged = route.merged is not None
    return {
        "rows": [row(label) for label in palette.order],
        "rough": moves(np.argwhere(checks.few_events)),
        "unbalanced": moves(np.argwhere(checks.unbalanced)),
        "memory": checks.memory,
        "forgets": not checks.remembers.any(),
        "returns": checks.returns,
        "longest_lag": int(checks.lags[-1]),
        "merge_cuts": [float(cut) if np.isfinite(cut) else None for cut in checks.merge_cuts]
        if merged
        else None,
        "merge_support": float(checks.merge_support[0]) if merged else None,
        "merge_firm": checks.firm_merge if merged else None,
    }
