"""Sentences on where the dynamics comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strdyn_post.findings import UNKNOWN, Finding
from strdyn_post.limits import EVENT_SHARE
from strdyn_post.quantities import factor_text

from .speaker import Say, Speaker, share

__all__ = ["SAY"]

Values = Mapping[str, Any]


def _origin(found: Sequence[Finding], speaker: Speaker) -> str:
    values = found[0].values
    names = [speaker.name("soap", label) for label in found[0].environments]
    rows = list(zip(names, values["environments"], strict=True))
    if values["verdict"] == "cannot_tell":
        return _cannot_tell(values)
    if values["verdict"] == "even":
        name, row = rows[0]
        return (
            "No environment of SOAP has more of the lasting changes of neighbors than chance "
            f"explains. The largest rate is that of {name}: {_rate(row)}. {_counted(values)}"
        )
    name, row = rows[0]
    text = (
        f"{share(row['events'])} of the lasting changes of neighbors start from {name}, which "
        f"holds {share(row['observations'])} of all observations: {_rate(row)}."
    )
    more = [
        f"{name} ({share(row['events'])} of the changes, {share(row['observations'])} of all "
        f"observations, {_rate(row)})"
        for name, row in rows[1:]
    ]
    if more:
        text += f" Also above the mean: {'; '.join(more)}."
    return f"{text} {_counted(values)}"


def _rate(row: Values) -> str:
    low, high = (factor_text(row[end]) for end in ("low", "high"))
    return f"{factor_text(row['hazard'])} times the mean ({low} to {high} with 95 % confidence)"


def _counted(values: Values) -> str:
    n, worth = values["n_events"], values["effective"]
    text = (
        f"There are {n:,} such events: an atom changes more than "
        f"{100 * EVENT_SHARE:g} % of its neighbors from one frame to the next, for at least "
        f"{values['lasting']} frames."
    )
    if worth > 0.95 * n:
        return f"{text} They are independent of each other."
    return (
        f"{text} They count as {factor_text(worth)} independent events, because the same atoms "
        "move again, or atoms move together."
    )


def _cannot_tell(values: Values) -> str:
    text = "The run cannot tell in which structure the lasting changes of neighbors start: "
    if values["n_environments"] < 2:
        return f"{text}SOAP has fewer than two environments, so there is nothing to compare."
    if not values["n_observations"]:
        return (
            f"{text}no gapless stretch is long enough to see whether a change lasts. Record more "
            "frames."
        )
    if not values["n_events"]:
        seen = "none was seen"
    else:
        n, worth = values["n_events"], factor_text(values["effective"])
        seen = f"{n:,} {'was' if n == 1 else 'were'} seen, and count as {worth} independent events"
    return (
        f"{text}{seen}. At least {values['few']} are needed. Record a longer run. If atoms change "
        "their neighbors slowly, a longer Δt (stride) may also help."
    )


def _foretelling(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    if "auc" not in values:
        return (
            "There are too few lasting changes of neighbors to say how much structure foretells "
            f"them: at least {values['few']} are needed in each half of the run and of the atoms."
        )
    pairs = (
        "An atom that is about to have one gets a larger prediction than one that is not in "
        f"{_range(values['auc'])} of all pairs (AUC; {_whole(values['environment_auc']['mean'])} "
        "from the environment alone; 50 % by chance)."
    )
    if found[0].severity == UNKNOWN:
        return (
            "Structure is not shown to foretell the lasting changes of neighbors. "
            f"{pairs} This may be chance."
        )
    return (
        f"Structure foretells the lasting changes of neighbors. {pairs} The prediction explains "
        f"{_range(values['information'])} of the information in the events. The "
        f"{_whole(values['most_likely_share'])} of the observations with the largest prediction "
        f"hold {_range(values['most_likely'])} of the events. If the events of every atom are "
        f"shuffled in time, {_whole(values['shuffled_auc']['mean'])} of the pairs remain: so much "
        "follows from where an atom is during the whole run."
    )


def _range(values: Values) -> str:
    low, high = (f"{100 * values[end]:.0f}" for end in ("low", "high"))
    return f"{_whole(values['mean'])} ({low} to {high} %)"


def _whole(value: float) -> str:
    return f"{100 * value:.0f} %"


SAY: dict[str, Say] = {"foretelling": _foretelling, "origin": _origin}
