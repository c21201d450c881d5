"""Sentences on what LENS adds to SOAP, and on the Δt that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strdyn_post.findings import Finding
from strdyn_post.limits import ENRICHED, GOES, MOSTLY

from .speaker import Say, Speaker, a_few, share

__all__ = ["SAY", "details", "doubt"]

Values = Mapping[str, Any]


def doubt(finding: Finding, speaker: Speaker) -> str:
    """Return why a new environment proves nothing; empty if it is evidence, or is none.

    What is true of several environments is told once.
    """
    values = finding.values
    if finding.kind != "new_environment" or values.get("verdict", "evidence") == "evidence":
        return ""
    return _not_evidence("it", {**values, "share": 0.0}, speaker)


def _new_environment(found: Sequence[Finding], speaker: Speaker) -> str:
    values, label = found[0].values, found[0].environments[0]
    name = speaker.name("soap_lens", label)
    if values.get("verdict", "evidence") != "evidence":
        others = [
            f"{speaker.name('soap_lens', each.environments[0])} ({share(each.values['share'])})"
            for each in found[1:]
        ]
        alike = f" The same holds for {a_few(others, 10)}." if others else ""
        return _not_evidence(name, values, speaker) + alike
    if values["soap_cluster_overlap"] is None:
        text = (
            f"SOAP & LENS finds an environment that SOAP alone does not find: {name}, with "
            f"{share(values['share'])} of all observations"
        )
    else:
        text = f"SOAP & LENS keeps an environment that SOAP alone merges with others: {name}"
    side_by_side = _side_by_side(values, speaker)
    if values.get("reason") == "surroundings" and values["dynamics"] != "fast":
        return (
            f"{text}. In {speaker.time(speaker.interval)} its atoms exchange "
            f"{share(values['delta'])} of their neighbors. It is a place in space: {side_by_side}."
        )
    if values["dynamics"] != "fast" and "verdict" in values:
        return (
            f"{text}. It does not stand apart by its dynamics alone, but it does not appear if δ "
            "is shuffled, replaced by noise or left out."
        )
    if values["dynamics"] != "fast":
        return f"{text}. It does not stand apart by its dynamics."
    text += (
        f". In {speaker.time(speaker.interval)} its atoms exchange {share(values['delta'])} of "
        "their neighbors; the atoms of the other environments exchange at most "
        f"{share(values['highest_other_delta'])}"
    )
    place = _place_of(values)
    if place is None:
        text += ". It lies in the environments of SOAP as by chance"
        if values.get("reason") == "surroundings":
            text += f", but it is a place in space: {side_by_side}"
        return f"{text}."
    home = speaker.name("soap", place["label"])
    puts = f"puts {share(place['share'])} of it into {home}"
    if place["share"] <= MOSTLY:
        puts = f"spreads it over its environments: {share(place['share'])} of it lies in {home}"
    return f"{text}. SOAP alone {puts}, which holds {share(place['expected'])} of all observations."


def _side_by_side(values: Values, speaker: Speaker) -> str:
    """Say how many neighbors of an environment were in it before."""
    found = values.get("surroundings")
    if found is None:
        return ""
    return (
        f"of the neighbors of its atoms {share(found['share'])} were in it themselves "
        f"{speaker.time(speaker.interval * found['gap'])} before, and structure alone explains "
        f"{share(found['expected'])}"
    )


def _not_evidence(name: str, values: Values, speaker: Speaker) -> str:
    """Say why an environment proves nothing about dynamics."""
    text = (
        f"SOAP & LENS has an environment that is not one of SOAP: {name}, with "
        f"{share(values['share'])} of all observations. "
    )
    reason, runs = values["reason"], values["recovered"]

    def counted(*cases: str) -> str:
        some, many = (sum(runs.get(case, [0, 0])[k] for case in cases) for k in (0, 1))
        return f"{some} of {many} runs"

    if values["verdict"] == "not_from_delta":
        without = {
            "noise": "δ is replaced by noise",
            "jitter": "δ is left out and the spectra change by a thousandth of their spread",
        }[reason]
        return (
            f"{text}It appears also if {without} ({counted(reason)}): it is a finer division by "
            "structure, and depends on chance. Dynamics does not make it."
        )
    if values["verdict"] == "by_chance":
        text += (
            "Such an environment appears also if δ is shuffled over all observations "
            f"({counted('shuffled')})"
        )
        if values["dynamics"] == "fast":
            text += ", and it lies in the environments of SOAP as by chance"
        text += ": the values of δ make it, wherever they are. It is not evidence."
        if values.get("surroundings") is not None:
            text += f" Nor is it a place in space: {_side_by_side(values, speaker)}."
        return text
    if reason == "reference":
        why = (
            f"it is not found again among the {values['n_taken']:,} of {values['n_all']:,} "
            "observations that are taken for the test. Record a longer run."
        )
    elif reason == "place":
        why = (
            f"a fast environment appears also if δ is shuffled ({counted('shuffled')}), and "
            f"{values['n_atoms']} different atoms are too few to tell whether the place of this "
            "one is chance. Record a longer run, or more atoms."
        )
    elif reason == "surroundings":
        around = _side_by_side(values, speaker)
        why = (
            f"such an environment appears also if δ is shuffled ({counted('shuffled')}), and the "
            "run cannot tell whether this one is a place in space"
            f"{f' ({around})' if around else ''}. Record a longer run, or more atoms."
        )
    elif reason == "sometimes":
        why = (
            f"it appears also in {counted('shuffled', 'noise', 'jitter')} in which δ is shuffled, "
            "replaced or left out. Record a longer run."
        )
    else:
        why = (
            "it should appear in each half of the atoms alone, but does so in "
            f"{counted('half_of_atoms')}. Record a longer run, or more atoms."
        )
    return f"{text}Whether dynamics makes it cannot be told: {why}"


def _place_of(values: Values) -> Values | None:
    """Return the environment of SOAP that holds more of a new one than chance explains."""
    label = values["soap_environment"] if values["soap_enriched"] else None
    if "verdict" in values:
        label = values["place"]
    return next((site for site in values["sites"] if site["label"] == label), None)


def details(finding: Finding, speaker: Speaker) -> str:
    """Say more about a new environment: where SOAP alone puts it, and from where atoms enter it."""
    values = finding.values
    parts = [f"{values['n_atoms']} different atoms are in it at some time."]
    if values["dynamics"] != "fast":
        parts = [
            f"It holds {share(values['share'])} of all observations; {values['n_atoms']} different "
            "atoms are in it at some time."
        ]
    parts += [_of_soap(values, speaker), _without_speed(values, speaker)]
    around = values.get("surroundings")
    if around is not None and around["is_place"] and values["reason"] != "surroundings":
        parts.append(f"It is a place in space: {_side_by_side(values, speaker)}.")
    parts += [_sometimes_lost(values), _ways(values, speaker)]
    return " ".join(part for part in parts if part)


def _of_soap(values: Values, speaker: Speaker) -> str:
    fast = values["dynamics"] == "fast"
    if values["soap_cluster_overlap"] is not None:
        joined = speaker.name("soap", values["soap_cluster_joins"])
        return (
            f"SOAP alone has it as a cluster (overlap {share(values['soap_cluster_overlap'])}), "
            f"but merges this cluster into {joined}, because their atoms go to the same places."
        )
    if values["soap_environment"] is None:
        return ""
    place = _place_of(values)
    site = place or next(
        each for each in values["sites"] if each["label"] == values["soap_environment"]
    )
    home = speaker.name("soap", site["label"])
    low, high = share(site["low"]), share(site["high"])
    shuffled, chance = values.get("shuffled_sites"), ""
    if shuffled and any(shuffled):
        chance = f"; with δ shuffled it is {share(shuffled[site['label']])}"
    if fast and place:
        origin = "The dynamics comes from there."
        if site["share"] <= MOSTLY:
            origin = "It stands out, but most of the dynamics comes from elsewhere."
        return (
            f"The share in {home} is between {low} and {high} with 95 % confidence: "
            f"{site['share'] / site['expected']:.1f} times as much as by chance{chance}. {origin}"
        )
    text = (
        f"SOAP alone puts {share(site['share'])} of it into {home} ({low} to {high} with 95 % "
        f"confidence), which holds {share(site['expected'])} of all observations"
    )
    if fast and "verdict" in values:
        return f"{text}{chance}."
    if values["soap_enriched"]:
        return f"{text}: {site['share'] / site['expected']:.1f} times as much as by chance."
    text += ": no more than by chance."
    if fast:
        text += (
            " Such an environment also appears if δ has nothing to do with structure: it is not "
            "evidence."
        )
    return text


def _sometimes_lost(values: Values) -> str:
    """Say which small changes of the settings lose an environment that is evidence."""
    if values.get("verdict") != "evidence":
        return ""
    lost = [
        word for word in ("fewer", "more") if values["recovered"].get(f"one_{word}", [1, 1])[0] == 0
    ]
    return f"With one component {' or '.join(lost)} it is not found." if lost else ""


def _without_speed(values: Values, speaker: Speaker) -> str:
    if values["dynamics"] == "fast":
        return ""
    against = "against"
    if values["soap_rest_delta"] is not None:
        home = speaker.name("soap", values["soap_environment"])
        against += f" {values['soap_rest_delta']:.3f} in the rest of {home} and"
    means = (
        f"mean δ {values['delta']:.3f}, {against} at most {values['highest_other_delta']:.3f} in "
        "the other environments"
    )
    if values["dynamics"] == "higher":
        return (
            f"Its atoms exchange somewhat more neighbors than others ({means}), but the values "
            "overlap: dynamics alone does not distinguish it."
        )
    if values["dynamics"] == "between":
        return (
            f"Its δ lies between those of the other environments: mean {values['delta']:.3f}, "
            f"against {values['lowest_other_delta']:.3f} to {values['highest_other_delta']:.3f}."
        )
    text = f"Its atoms exchange no more neighbors than others: {means}."
    if values["soap_cluster_overlap"] is None and (values["soap_share"] or 0) > MOSTLY:
        home = speaker.name("soap", values["soap_environment"])
        text += f" Read it as a finer division of {home}."
    return text


def _ways(values: Values, speaker: Speaker) -> str:
    if values["source"] is None:
        return ""

    def way(which: str) -> str:
        bounds = ""
        if f"p_{which}_low" in values:
            low, high = values[f"p_{which}_low"], values[f"p_{which}_high"]
            bounds = f"{share(low)} to {share(high)} with 95 % confidence, "
        return f"{bounds}{values[f'n_{which}']:,} events"

    lag = speaker.time(speaker.interval * values["lag"])
    source = speaker.name("soap_lens", values["source"])
    enter = "Atoms enter it"
    if "source_share" in values:
        enter = f"{share(values['source_share'])} of the moves into it come"
    return (
        f"{enter} from {source}, with probability {share(values['p_in'])} per {lag} "
        f"({way('in')}). They return there with probability {share(values['p_out'])} "
        f"({way('out')})."
    )


def _nothing_new(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    if not values["n_environments"]:
        return (
            "SOAP & LENS finds no environment at all. A smaller min_cluster_size or more frames "
            "may help."
        )
    return (
        "SOAP & LENS finds no environment that SOAP alone does not find: each holds mostly the "
        "same observations as one of SOAP."
    )


def _lost_environment(found: Sequence[Finding], speaker: Speaker) -> str:
    values = found[0].values
    name = speaker.name("soap", found[0].environments[0])
    goes = [
        f"{share(each['share'])} of it in {speaker.name('soap_lens', each['label'])}"
        for each in values["goes"]
        if each["share"] >= GOES
    ]
    there = f" SOAP & LENS puts {' and '.join(goes)}." if goes else ""
    return (
        f"SOAP & LENS loses an environment that SOAP alone finds: {name}, with "
        f"{share(values['share'])} of all observations, has no counterpart.{there}"
    )


def _merged_dynamics(found: Sequence[Finding], speaker: Speaker) -> str:
    finding = found[0]
    values, name = finding.values, speaker.name(finding.route, finding.environments[0])
    parts = [
        f"{share(cluster['share'])} of all observations with mean δ {cluster['delta']:.3f}"
        for cluster in sorted(values["clusters"], key=lambda cluster: cluster["delta"])
    ]
    return (
        f"Before merging, {name} of {speaker.title(finding.route)} is {len(parts)} clusters with "
        f"different dynamics: {', '.join(parts)}. Their atoms go to the same places, so the merge "
        f"joins them (mean δ {values['delta']:.3f}). merge_keep_dynamics = true keeps such "
        "clusters of SOAP & LENS apart."
    )


def _interval(found: Sequence[Finding], speaker: Speaker) -> str:
    values = found[0].values
    used, best = values["used"], values["best"]
    if best is None:
        return _none_does(values, speaker)
    if not values["change"]:
        return f"A Δt of {_named(used, used, speaker)} shows the motion: {_reason(best)}."
    if used["shows_motion"]:
        return (
            f"A Δt of {_named(used, best, speaker)} shows the motion: {_reason(used)}. "
            f"{_named(best, used, speaker)} would show it too ({values['change']}) and follows the "
            "moves more closely."
        )
    where = _named(used, best, speaker)
    problem = (
        f"The fast atoms at a Δt of {where} {_place(used)}"
        if used["n_fast"]
        else f"δ of moving atoms is not clearly above the thermal flicker at a Δt of {where}"
    )
    return (
        f"{problem}. {_named(best, used, speaker)} would show the motion: set {values['change']}. "
        f"There {_reason(best)}."
    )


def _named(point: Values, other: Values, speaker: Speaker) -> str:
    """Name a point by its Δt, and by its window if the other point has another window."""
    time = speaker.time(point["interval"])
    if point["window"] == other["window"]:
        return time
    return f"{time} with a window of {point['window']}"


def _reason(point: Values) -> str:
    one = point["n_fast"] == 1
    return (
        f"{'a fast environment' if one else str(point['n_fast']) + ' fast environments'} of SOAP & "
        f"LENS {'stands' if one else 'stand'} apart ({_rough(point['fast_share'])} of all "
        f"observations, {point['fast_atoms']} atoms, mean δ {point['fast_delta']:.2f}), and "
        f"{_rough(point['fast_at_home'])} of {'it is' if one else 'them are'} in one environment "
        f"of SOAP that holds {_rough(point['home_share'])} of all observations: "
        f"{point['enrichment']:.1f} times as much as by chance"
    )


def _place(point: Values) -> str:
    """Say why the place of fast atoms is not evidence."""
    if point["enrichment"] < ENRICHED:
        return "lie in the environments of SOAP as by chance"
    return f"are too few ({point['fast_atoms']} atoms): their place may be chance"


def _none_does(values: Values, speaker: Speaker) -> str:
    tried = f"Δt of {', '.join(speaker.time(each) for each in values['intervals'])}"
    if len(values["windows"]) > 1:
        tried += f"; windows of {', '.join(map(str, values['windows']))} frames"
    fast = values["most_fast"]
    found = (
        f"fast atoms appear (at {speaker.time(fast['interval'])}), but they {_place(fast)}"
        if fast["n_fast"]
        else "δ of moving atoms is not clearly above the thermal flicker"
    )
    remedy = "Either no atom moves to a new place within these times, or too few atoms do"
    if values["least_rows"] is not None:
        remedy += f" (a cluster needs {values['least_rows']} observations)"
    remedy += ". A longer Δt may show more"
    if min(values["windows"]) > 1:
        remedy += ", or a shorter window (scan_windows = [1])"
    return f"None of the tried settings shows motion ({tried}): {found}. {remedy}."


def _rough(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


SAY: dict[str, Say] = {
    "new_environment": _new_environment,
    "nothing_new": _nothing_new,
    "lost_environment": _lost_environment,
    "merged_dynamics": _merged_dynamics,
    "interval": _interval,
}
