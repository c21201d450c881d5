"""Sentences on the length of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.quantities import factor_text

from .speaker import Say, Speaker

__all__ = ["SAY"]

_FAR_LONGER = 100.0


def _length(found: Sequence[Finding], speaker: Speaker) -> str:
    values = found[0].values
    texts = [
        {
            FINE: "The run is long enough to say where the dynamics comes from and whether the "
            "shares of the environments are steady.",
            ATTENTION: "The system changes during this run.",
        }.get(found[0].severity, "The run is too short for some questions.")
    ]
    parts = (("events", _events), ("shares", _shares), ("moves", _moves))
    texts += [say(values[name], values["span"], speaker) for name, say in parts if name in values]
    if "shares" not in values:
        texts.append("No transition could be counted.")
    return " ".join(text for text in texts if text)


def _events(values: Mapping[str, Any], span: float, speaker: Speaker) -> str:
    n = factor_text(values["effective"])
    if values["enough"]:
        return f"It has {n} independent lasting changes of neighbors; {values['needed']} suffice."
    if not values["effective"]:
        return "No lasting change of neighbors was seen, so its rate is not known."
    return (
        f"There are only {n} independent lasting changes of neighbors. {values['needed']} are "
        f"needed to say where the dynamics comes from: {_longer(values, span, speaker)}."
    )


def _shares(values: Mapping[str, Any], span: float, speaker: Speaker) -> str:
    texts = []
    if values["n_drifting"]:
        texts.append(
            f"{_counted(values['n_drifting'])} from its first to its second half: the numbers "
            "below are means of this run, not of a steady state."
        )
    if not values["enough"]:
        texts.append(
            f"In {values['n_short']} of {values['n_judged']} environments, a share that changes by "
            f"{100 * values['needed']:.0f} % would not have been seen: "
            f"{_longer(values, span, speaker)}."
        )
    return " ".join(texts)


def _counted(n: int) -> str:
    one = "The share of one environment changes"
    return one if n == 1 else f"The shares of {n} environments change"


def _moves(values: Mapping[str, Any], span: float, speaker: Speaker) -> str:
    if values["enough"]:
        return ""
    return (
        f"Rates of {values['n_short']} of {values['n_kinds']} kinds of moves are rough (fewer than "
        f"{values['needed']} independent events): {_longer(values, span, speaker)} for all of them."
    )


def _longer(values: Mapping[str, Any], span: float, speaker: Speaker) -> str:
    factor = values["factor"]
    if factor is None:
        return "how long a run must be for it is not known"
    if factor > _FAR_LONGER:
        return f"more than {_FAR_LONGER:.0f} times this run would be needed"
    # rounded up to two digits
    step = 0.1 if factor < 10.0 else 1.0
    factor = step * math.ceil(factor / step)
    return (
        f"about {factor_text(factor)} times this run would be needed "
        f"({speaker.time(float(f'{factor * span:.2g}'))})"
    )


SAY: dict[str, Say] = {"length": _length}
