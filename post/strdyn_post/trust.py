"""What the checks say about the numbers of the page, under the names that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .figures.style import time_axis

if TYPE_CHECKING:
    from .checks import Checks
    from .palette import Palette
    from .results import Route

__all__ = ["CLEAR", "SUPPORT", "memory", "route_trust"]

CLEAR = 3.0
"""A difference of more standard errors than this is called one."""
CHANGE = 0.1
"""A share drifts if it also changes by more than this part of itself."""
MEMORY = 0.1
"""Moves have a memory if probabilities differ by more than this, and beyond chance."""
SUPPORT = 0.8
"""A merge is firm if this share of the resampled counts makes it."""


def route_trust(route: Route, palette: Palette, units: str | None) -> dict[str, Any] | None:
    """Return the checks of a route as JSON types; None where nothing was checked.

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
        come back (``returns``), ``longest_lag``, ``merge_cuts``, ``merge_support``.
    """
    checks, counts = route.checks, route.final.counts
    if checks is None:
        return None
    spacing = float(np.median(np.diff(route.times))) if len(route.times) > 1 else 1.0

    def row(label: int) -> dict[str, Any]:
        stay, left = float(checks.residence[label]) * spacing, np.isfinite(checks.residence[label])
        early, late = float(checks.early[label]), float(checks.late[label])
        (time,), unit = time_axis(np.array([stay if left else 0.0]), units)
        return {
            "name": palette.names[label],
            "mark": palette.marks[label],
            "color": palette.colors[label],
            "residence": float(f"{time:.3g}") if left and counts[label].any() else None,
            "residence_unit": unit,
            "exits": int(checks.exits[label]),
            "early": early,
            "late": late,
            "drift": float(checks.drift[label]),
            "drifts": bool(
                abs(checks.drift[label]) > CLEAR and abs(late - early) > CHANGE * max(early, late)
            ),
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
    beyond = checks.stay - checks.predicted_stay
    # each visit says once how long atoms stay, however many frames it takes
    chance = np.sqrt(checks.predicted_stay * (1.0 - checks.predicted_stay) / (checks.exits + 1))
    remembers = np.abs(beyond) > np.maximum(MEMORY, CLEAR * chance)
    return {
        "rows": [row(label) for label in palette.order],
        "rough": moves(np.argwhere(checks.few_events)),
        "unbalanced": moves(np.argwhere(checks.imbalance > CLEAR)),
        "memory": memory(checks),
        "forgets": not remembers.any(),
        "returns": bool((beyond[remembers] > 0.0).all()),
        "longest_lag": int(checks.lags[-1]),
        "merge_cuts": [float(cut) if np.isfinite(cut) else None for cut in checks.merge_cuts]
        if merged
        else None,
        "merge_support": float(checks.merge_support[0]) if merged else None,
    }


def memory(checks: Checks) -> float:
    """Return by how much probabilities to stay differ, at most, from those without memory."""
    return float(np.abs(checks.stay - checks.predicted_stay).max(initial=0.0))
