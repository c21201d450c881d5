"""Sentences on moves between environments: number, memory, drift, balance, merging."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.limits import CLEAR

from .speaker import Say, Speaker, a_few, share

__all__ = ["SAY"]


def _no_moves(found: Sequence[Finding], _: Speaker) -> str:
    lag, longest = found[0].values["lag"], found[0].values["longest"]
    return (
        f"No transition was counted at lag = {lag}: the longest stretch without a gap allows a lag "
        f"of {longest}. No cluster is merged, and the kinetics is not known. Set a smaller lag, or "
        "record more frames."
    )


def _silent_environments(found: Sequence[Finding], speaker: Speaker) -> str:
    names = [speaker.name(found[0].route, label) for label in found[0].environments]
    return f"No transition was counted from {a_few(names)}: it is not known where these atoms go."


def _rare_moves(found: Sequence[Finding], speaker: Speaker) -> str:
    texts = []
    for route, group in groupby(found, key=lambda each: each.route):
        moves = list(group)
        n_moves, n_kinds = moves[0].values["n_moves"], moves[0].values["n_kinds"]
        text = f"{speaker.title(route)} has {n_moves:,} moves of {n_kinds} kinds."
        rare = [each for each in moves if each.severity == ATTENTION]
        if rare:
            named = [f"{speaker.move(each)} ({each.values['events']})" for each in rare]
            text += (
                f" {len(rare)} {'kind has' if len(rare) == 1 else 'kinds have'} fewer than "
                f"{moves[0].values['few']} events: {a_few(named, 4)}. These probabilities are "
                "rough."
            )
        elif n_kinds:
            text += f" Every kind has at least {moves[0].values['events']} events."
        texts.append(text)
    return " ".join(texts)


def _memory(found: Sequence[Finding], speaker: Speaker) -> str:
    poor = [each for each in found if each.severity == ATTENTION]
    text = (
        "The moves over longer lags follow from those at the shortest lag, within chance: the "
        "probabilities can be used as rates."
    )
    if poor:
        why = "Where atoms go depends on where they came from"
        if all(each.values["returns"] for each in poor):
            why = "Atoms that have just moved often move back"
        text = (
            f"The moves are not Markovian at this lag. {why}, so the probabilities hold for this "
            "lag only and are not rates. A longer lag, or frames further apart, may help."
        )
    values = ", ".join(
        f"{each.values['difference']:.2f} ({speaker.title(each.route)})" for each in found
    )
    return f"{text} The counted and the predicted probability to stay differ by up to {values}."


def _drift(found: Sequence[Finding], speaker: Speaker) -> str:
    drifting = [each for each in found if each.environments]
    if not drifting:
        return (
            "Every environment has the same share in both halves of the run, within a tenth of "
            f"this share or {CLEAR:g} standard errors."
        )
    named = [
        f"{speaker.title(each.route)}, {speaker.name(each.route, each.environments[0])}: "
        f"{share(each.values['early'])} to {share(each.values['late'])}"
        for each in drifting
    ]
    return (
        "The run is not stationary: from its first to its second half, shares change by more than "
        f"a tenth and by more than {CLEAR:g} standard errors. {'; '.join(named)}."
    )


def _balance(found: Sequence[Finding], speaker: Speaker) -> str:
    tilted = [each for each in found if each.environments]
    if not tilted:
        return "Between any two environments, equally many atoms go both ways, within chance."
    named = [
        f"{speaker.title(each.route)}, {speaker.move(each)}: {each.values['there']:,}, back "
        f"{each.values['back']:,}"
        for each in tilted
    ]
    return (
        "More atoms go one way than back, beyond chance: the system is not in equilibrium. "
        f"{'; '.join(named)}."
    )


def _merge(found: Sequence[Finding], speaker: Speaker) -> str:
    values = found[0].values
    low, high, n = values["low"], values["high"], values["n_environments"]
    if low is None and high is None:
        cuts = "Any cut gives"
    elif low is None:
        cuts = f"Any cut up to {high:.2f} gives"
    elif high is None:
        cuts = f"Any cut above {low:.2f} gives"
    else:
        cuts = f"Any cut between {low:.2f} and {high:.2f} gives"
    return (
        f"{cuts} the same {n} environments of {speaker.title(found[0].route)}; so do "
        f"{share(values['support'])} of the bootstrap resamples."
    )


SAY: dict[str, Say] = {
    "no_moves": _no_moves,
    "silent_environments": _silent_environments,
    "rare_moves": _rare_moves,
    "memory": _memory,
    "drift": _drift,
    "balance": _balance,
    "merge": _merge,
}
