"""The kinetics of a route for the page: mean stays, shares in both halves of the run, moves."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.kinetics.stays import NOT_RESOLVED, RESOLVED, Stays
from strdyn_post.names import Names
from strdyn_post.quantities import finite, time_axis
from strdyn_post.routes import Route

__all__ = ["route_kinetics"]


def route_kinetics(route: Route, names: Names, units: str | None) -> dict[str, Any] | None:
    """Return the checks of a route as JSON types; None if nothing was checked or counted.

    Parameters
    ----------
    route : Route
    names : Names
        Names and marks of its environments.
    units : str or None
        LAMMPS `units` of the run.

    Returns
    -------
    dict or None
        ``rows`` with one entry for each environment in the order of the names (``stay`` with its
        interval: committed; ``residence``: by all moves), ``committed_frames``, share of the moves
        ``undone`` within 1, 2, … frames, ``committed_moves`` with their rates, ``rough`` moves,
        ``unbalanced`` pairs, ``memory``, whether chance explains it (``forgets``), whether atoms
        that come back do (``returns``), ``longest_lag``, ``merge_cuts``, ``merge_support``,
        ``merge_firm``.
    """
    checks, counts, stays = route.checks, route.final.counts, route.stays
    if checks is None or not counts.any():
        return None
    events = checks.events
    spacing = route.frames.spacing or 1.0

    def row(label: int) -> dict[str, Any]:
        stay, left = float(checks.residence[label]) * spacing, np.isfinite(checks.residence[label])
        (time,), unit = time_axis(np.array([stay if left else 0.0]), units)
        return {
            "name": names.names[label],
            "mark": names.marks[label],
            "color": names.colors[label],
            "residence": float(f"{time:.3g}") if left and counts[label].any() else None,
            "residence_unit": unit,
            "exits": int(checks.exits[label]),
            **(_committed(stays, label, spacing, units) if stays else {}),
            "early": float(checks.early[label]),
            "late": float(checks.late[label]),
            "drift": float(checks.drift[label]),
            "drifts": bool(checks.drifts[label]),
            "exchange": least_balanced(label),
        }

    def least_balanced(label: int) -> dict[str, Any] | None:
        moved = events[label] + events[:, label]
        if not moved.any():
            return None
        # of equally balanced pairs the one with most moves
        other = int(np.lexsort((moved, np.abs(checks.imbalance[label])))[-1])
        return {
            "mark": names.marks[other],
            "n_out": int(events[label, other]),
            "n_in": int(events[other, label]),
            "excess": float(checks.imbalance[label, other]),
            "unbalanced": bool((checks.unbalanced | checks.unbalanced.T)[label, other]),
        }

    def moves(pairs: Any) -> list[dict[str, Any]]:
        return [
            {
                "source": names.names[a],
                "target": names.names[b],
                "n": int(events[a, b]),
                "n_back": int(events[b, a]),
            }
            for a, b in sorted(map(tuple, pairs), key=lambda pair: events[pair])
        ]

    merged = route.merged is not None
    return {
        "rows": [row(label) for label in names.order],
        "committed_frames": None if stays is None else int(stays.frames),
        "undone": [] if stays is None else [finite(each) for each in stays.undone],
        "committed_moves": [] if stays is None else _rates(stays, names, spacing, units),
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


def _committed(stays: Stays, label: int, spacing: float, units: str | None) -> dict[str, Any]:
    """Return the committed stay of an environment; times are None if they are not known."""
    times = [float(each[label]) * spacing for each in stays.given]
    known = next((time for time in times if np.isfinite(time)), 1.0)
    (scaled,), unit = time_axis(np.array([known]), units)
    stay, low, high = (
        float(f"{time * scaled / known:.3g}") if np.isfinite(time) else None for time in times
    )
    verdict = stays.verdicts[label]
    return {
        "stay": stay,
        "stay_low": low,
        "stay_high": high,
        "stay_unit": unit,
        "stay_exits": int(stays.exits[label]),
        "stay_effective": float(stays.effective[label]),
        "short": finite(stays.short[label]),
        "verdict": verdict,
        "resolved": "yes"
        if verdict == RESOLVED
        else "no"
        if verdict in NOT_RESOLVED
        else "cannot tell",
    }


def _rates(stays: Stays, names: Names, spacing: float, units: str | None) -> list[dict[str, Any]]:
    """Return the committed moves, per observation and time unit of the run."""
    _, unit = time_axis(np.ones(1), units)
    rates, low, high = (each / spacing for each in (stays.probabilities, stays.low, stays.high))
    verdicts = stays.verdicts
    return [
        {
            "source": names.names[a],
            "target": names.names[b],
            "n": int(stays.counts[a, b]),
            "rate": float(rates[a, b]),
            "rate_low": float(low[a, b]),
            "rate_high": float(high[a, b]),
            "rate_unit": f"per {unit}",
            "resolved": verdicts[a] == RESOLVED,
        }
        for a in names.order
        for b in names.order
        if a != b and stays.counts[a, b]
    ]
