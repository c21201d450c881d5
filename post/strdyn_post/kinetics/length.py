"""Whether the run is long enough for its questions, and if not, how long it would have to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from strdyn_post.findings import ATTENTION, FINE, UNKNOWN, Finding
from strdyn_post.limits import FEW_EVENTS, SEEN_CHANGE

from .checks import Checks
from .origin import Origin

__all__ = ["judge_length"]


def judge_length(origin: Origin, checks: Mapping[str, Checks], span: float) -> Finding:
    """Say for which questions the run is long enough.

    The number of independent events grows with the length of a run, and the smallest change that
    would have been seen falls with the square root of it.

    Parameters
    ----------
    origin : Origin
    checks : mapping of str to Checks
        Of SOAP and SOAP&LENS, where there are any.
    span : float
        Analysed time.

    Returns
    -------
    Finding
        Fine if there are enough independent events, and a change of any share would have been
        seen. Each question has a ``factor``: by how much the run would have to be longer; null if
        that is not known.
    """
    events = {
        "effective": origin.effective,
        "needed": FEW_EVENTS,
        **_longer([FEW_EVENTS / origin.effective if origin.effective else np.inf]),
    }
    values: dict[str, Any] = {"span": span, "events": events}
    if checks:
        shares, moves = _shares(checks), _moves(checks)
        values |= {"shares": shares, "moves": moves}
    drifts = bool(checks) and shares["n_drifting"] > 0
    enough = events["enough"] and bool(checks) and shares["enough"]
    severity = ATTENTION if drifts else FINE if enough else UNKNOWN
    return Finding("length", severity, values=values)


def _shares(checks: Mapping[str, Checks]) -> dict[str, Any]:
    """Return whether a change of every share would have been seen."""
    factors: list[float] = []
    n_drifting = 0
    for found in checks.values():
        share = np.maximum(found.early, found.late)
        judged = ~found.drifts & (share > 0.0)
        n_drifting += int(found.drifts.sum())
        factors += (found.seen_drift[judged] / (SEEN_CHANGE * share[judged])).tolist()
    return {
        "n_drifting": n_drifting,
        "n_judged": len(factors),
        "n_short": sum(factor > 1.0 for factor in factors),
        "needed": SEEN_CHANGE,
        **_longer(factor**2 for factor in factors),
    }


def _moves(checks: Mapping[str, Checks]) -> dict[str, Any]:
    """Return whether every kind of move that was seen has enough independent events."""
    factors = [
        FEW_EVENTS / max(1e-300, effective)
        for found in checks.values()
        for effective in found.effective[found.events > 0].tolist()
    ]
    n_short = sum(factor > 1.0 for factor in factors)
    return {
        "n_kinds": len(factors),
        "n_short": n_short,
        "needed": FEW_EVENTS,
        **_longer(factors),
    }


def _longer(factors: Iterable[float]) -> dict[str, Any]:
    """Return whether the run is long enough, and the factor by which it would have to be longer."""
    factor = max(factors, default=1.0)
    return {
        "enough": bool(factor <= 1.0),
        "factor": float(max(1.0, factor)) if np.isfinite(factor) else None,
    }
