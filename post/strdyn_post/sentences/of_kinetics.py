"""Sentences on moves between environments: number, memory, drift, balance, merging."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from strdyn_post.findings import ATTENTION, FINE, UNKNOWN, Finding
from strdyn_post.kinetics.stays import RESOLVED
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
        if not n_kinds:
            texts.append(f"{speaker.title(route)} has no moves: nothing can be said about rates.")
            continue
        text = f"{speaker.title(route)} has {n_moves:,} moves of {n_kinds} kinds."
        rare = [each for each in moves if each.severity == ATTENTION]
        if rare:
            named = [f"{speaker.move(each)} ({_events(each)})" for each in rare]
            text += (
                f" {len(rare)} {'kind has' if len(rare) == 1 else 'kinds have'} fewer than "
                f"{moves[0].values['few']} independent events: {a_few(named, 4)}. These "
                "probabilities are rough."
            )
        else:
            text += f" Every kind has at least {moves[0].values['events']} events."
        texts.append(text)
    return " ".join(texts)


def _events(move: Finding) -> str:
    """Return the number of events, and for how many independent ones they count if for fewer."""
    events, effective = move.values["events"], move.values.get("effective", math.inf)
    return str(events) if effective > events - 1 else f"{events}, worth {effective:.1f}"


def _slow_moves(found: Sequence[Finding], speaker: Speaker) -> str:
    return (
        "These rates change over times as long as the run, so that their mean is not known: "
        f"{_of_routes(found, speaker, speaker.move)}. Their intervals are wide. Record a longer "
        "run."
    )


def _memory(found: Sequence[Finding], speaker: Speaker) -> str:
    poor = [each for each in found if each.severity == ATTENTION]
    blind = [each for each in found if each.severity == UNKNOWN]
    texts = []
    if poor:
        why = "Where atoms go depends on where they came from"
        if all(each.values["returns"] for each in poor):
            why = "Atoms that have just moved often move back"
        texts.append(
            f"The moves are not Markovian at this lag. {why}, so the probabilities hold for this "
            "lag only and are not rates. A longer lag, or frames further apart, may help."
        )
    if blind:
        named = "; ".join(
            f"{speaker.title(each.route)}, "
            + a_few([speaker.name(each.route, label) for label in each.environments])
            for each in blind
        )
        texts.append(
            f"There are too few moves, or frames, to tell whether the moves have a memory: {named}."
        )
    if not texts:
        texts.append(
            "The moves over longer lags follow from those at the shortest lag, within chance."
        )
    usable = [speaker.title(each.route) for each in found if each.values.get("rates")]
    if usable:
        texts.append(
            f"The probabilities of {' and '.join(usable)} can be used as rates: recrossings hardly "
            "change them, and all stays are resolved."
        )
    values = ", ".join(
        f"{each.values['difference']:.2f} ({speaker.title(each.route)})" for each in found
    )
    texts.append(
        f"The counted and the predicted probability to stay differ by up to {values}."
        f"{_would_have_been_seen('A difference', found, speaker, '{:.2f}'.format)}"
    )
    return " ".join(texts)


def _stays(found: Sequence[Finding], speaker: Speaker) -> str:
    return " ".join(_stays_of(each, speaker) for each in found)


def _stays_of(finding: Finding, speaker: Speaker) -> str:
    """Return the stays of one route: those that are resolved, and why the others are not."""
    values, m = finding.values, finding.values["frames"]
    texts = []
    if m > 1:
        text = (
            f"{values['n_committed']:,} moves are committed: the atom stays for at least {m} "
            "frames before and after."
        )
        if values["undone"] is not None:
            text += f" {share(values['undone'])} of all moves are undone in fewer than {m} frames."
        texts.append(text)
    by_verdict: dict[str, list[str]] = {}
    for label, row in zip(finding.environments, values["environments"], strict=True):
        told = f"{speaker.name(finding.route, label)}{_stay(row, m, speaker)}"
        by_verdict.setdefault(row["verdict"], []).append(told)
    for verdict, intro in _VERDICTS.items():
        if verdict in by_verdict:
            texts.append(f"{intro.format(m=m)}: {'; '.join(by_verdict[verdict])}.")
    if values["window"] > 1:
        texts.append(f"The smoothing window is {_frames(values['window'], speaker)}.")
    return " ".join(texts)


_VERDICTS = {
    RESOLVED: "Mean stays, resolved",
    "short": "Not resolved, because most visits are shorter than {m} frames",
    "recrossed": "Not resolved, because visits of {m} frames still end more often than later ones",
    "frames": "Not resolved, because the stay is only a few frames",
    "window": "Not resolved, because the stay is within the smoothing window",
    "null": "Not resolved, because stays are nearly as long with δ shuffled before smoothing",
    "few": "Cannot tell, because there are too few independent committed moves",
    "slow": "Cannot tell, because the rates change over times as long as the run",
    "unsure": "Cannot tell, because too few visits show whether recrossings are left",
    "wide": "Cannot tell, because the interval begins below what can be resolved",
}
"""What a verdict on stays says, in the order in which it is read."""


def _stay(row: Mapping[str, Any], m: int, speaker: Speaker) -> str:
    """Return the stay of an environment, as far as it is known, with the one by all moves."""
    beside = []
    if m > 1:
        raw = "never left" if row["raw"] is None else _frames(row["raw"], speaker)
        beside.append(f"by all moves {raw}")
    verdict = row["verdict"]
    if verdict == "short":
        beside.append(f"{share(row['short'])} of its observations are in such visits")
    elif verdict == "null":
        null = "never left" if row["null"] is None else _frames(row["null"], speaker)
        beside.append(f"shuffled {null}")
    elif verdict == "few":
        beside.append(f"{row['exits']:,} moves away, worth {row['effective']:.1f}")
    told, last = "", "; ".join(beside)
    if row["low"] is not None:
        low = _frames(row["low"], speaker)
        told = f", more than {low}"
        if row["stay"] is None and m > 1 and row["raw"] is not None and row["low"] <= row["raw"]:
            # recrossings only shorten stays
            return f", more than the {_frames(row['raw'], speaker)} by all moves"
        if row["stay"] is not None:
            high = None if row["high"] is None else _frames(row["high"], speaker)
            upper = f"more than {low}" if high is None else f"{low} to {high}"
            told = f", {_frames(row['stay'], speaker)}"
            last = "; ".join([f"{upper} with 95 % confidence", *beside])
    return f"{told} ({last})" if last else told


def _frames(frames: float, speaker: Speaker) -> str:
    """Return a number of frames as a time."""
    return speaker.time(float(f"{frames * speaker.interval:.3g}"))


def _drift(found: Sequence[Finding], speaker: Speaker) -> str:
    drifting = [each for each in found if each.severity == ATTENTION]
    blind = [each for each in found if each.severity == UNKNOWN]
    texts = []
    if drifting:
        named = [
            f"{speaker.title(each.route)}, {speaker.name(each.route, each.environments[0])}: "
            f"{share(each.values['early'])} to {share(each.values['late'])}"
            for each in drifting
        ]
        texts.append(
            "The run is not stationary: from its first to its second half, shares change by more "
            f"than a tenth and by more than {CLEAR:g} standard errors. {'; '.join(named)}."
        )
    if blind:
        texts.append(
            "It cannot be told whether these shares change: "
            f"{_of_routes(blind, speaker, lambda each: _blind_share(each, speaker))}. Record a "
            "longer run."
        )
    if not texts:
        texts.append(
            "Every environment has the same share in both halves of the run, within a tenth of "
            f"this share or {CLEAR:g} standard errors."
        )
    return " ".join(texts) + _would_have_been_seen("A change of a share", found, speaker, share)


def _blind_share(each: Finding, speaker: Speaker) -> str:
    """Return an environment with its shares, and the change that would have been seen."""
    smallest = each.values["smallest"]
    would = "no change" if smallest is None or smallest >= 1.0 else f"from {share(smallest)} on"
    return (
        f"{speaker.name(each.route, each.environments[0])} ({share(each.values['early'])} and "
        f"{share(each.values['late'])}; {would} would have been seen)"
    )


def _balance(found: Sequence[Finding], speaker: Speaker) -> str:
    tilted = [each for each in found if each.severity == ATTENTION]
    blind = [each for each in found if each.severity == UNKNOWN]
    texts = []
    if tilted:
        named = [
            f"{speaker.title(each.route)}, {speaker.move(each)}: {each.values['there']:,}, back "
            f"{each.values['back']:,}"
            for each in tilted
        ]
        texts.append(
            "More atoms go one way than back, beyond chance: the system is not in equilibrium. "
            f"{'; '.join(named)}."
        )
    if blind:
        pairs = [each for each in blind if each.environments]
        text = "There are too few independent moves to tell whether as many atoms go both ways"
        if pairs:
            text += ": " + _of_routes(
                pairs,
                speaker,
                lambda each: (
                    f"{speaker.move(each)} ({each.values['there']:,}, back {each.values['back']:,})"
                ),
            )
        none = [speaker.title(each.route) for each in blind if not each.environments]
        if none:
            text += f"{'; ' if pairs else ': '}{', '.join(none)}"
        texts.append(f"{text}.")
    if not texts:
        texts.append(
            "Between any two environments, equally many atoms go both ways, within chance."
        )
    seen = _would_have_been_seen(
        "A surplus of one way", found, speaker, lambda x: f"{share(x)} of the moves"
    )
    return " ".join(texts) + seen


def _of_routes(found: Sequence[Finding], speaker: Speaker, say: Callable[[Finding], str]) -> str:
    """Return the first few findings of every route in words."""
    return "; ".join(
        f"{speaker.title(route)}, {a_few([say(each) for each in group], 3)}"
        for route, group in groupby(found, key=lambda each: each.route)
    )


def _would_have_been_seen(
    effect: str, found: Sequence[Finding], speaker: Speaker, say: Callable[[float], str]
) -> str:
    """Return the smallest effect that the passed checks would have seen; empty if none passed."""
    known = [
        f"{say(each.values['smallest'])} ({speaker.title(each.route)})"
        for each in found
        if each.severity == FINE and each.values.get("smallest") is not None
    ]
    return f" {effect} by more than {', '.join(known)} would have been seen." if known else ""


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
    text = (
        f"{cuts} the same {n} environments of {speaker.title(found[0].route)}; so do "
        f"{share(values['support'])} of the bootstrap resamples."
    )
    if found[0].severity == UNKNOWN:
        text += (
            " But one of the clusters before merging was left too rarely to tell where its atoms "
            f"go: its moves count for {values['exits']:.1f} independent ones."
        )
    return text


SAY: dict[str, Say] = {
    "no_moves": _no_moves,
    "silent_environments": _silent_environments,
    "rare_moves": _rare_moves,
    "slow_moves": _slow_moves,
    "stays": _stays,
    "memory": _memory,
    "drift": _drift,
    "balance": _balance,
    "merge": _merge,
}
