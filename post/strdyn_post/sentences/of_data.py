"""Sentences on the recording, on LENS and its smoothing, on scans and names."""

from __future__ import annotations

from collections.abc import Sequence

from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.limits import FEW_FRAMES

from .speaker import Say, Speaker, a_few, share

__all__ = ["SAY"]


def _frames(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    taken = f" that stride = {values['stride']} takes" if values["stride"] != 1 else ""
    text = f"Only {values['analysed']} of {values['taken']} frames{taken} enter the analysis."
    if values["analysed"] < values["taken"]:
        text += (
            " The others have no next frame to compare with, or smoothing leaves them out, at both "
            "ends of the run and at gaps."
        )
    return f"{text} Record at least {FEW_FRAMES} frames."


def _extra_frames(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    at = f", which are every {values['every']} steps" if values["every"] else ""
    lie = "lies" if values["extra"] == 1 else "lie"
    return (
        f"{values['extra']} of {values['recorded']} recorded frames {lie} between the regular "
        f"ones{at}, because of adaptive sampling or at the start of a run. They are left out, as "
        "LENS and transitions need one Δt. They stay in the buffer."
    )


def _stored_spectra(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    how = "were rounded when they were packed"
    if values["reduced"]:
        how = (
            f"of {values['reduced']} of {values['recorded']} frames are stored by "
            f"{values['n_scores']} scores or fewer"
        )
    text = (
        f"Spectra {how}. Each is within {values['bound']:.2g} of the spectrum that was computed, "
        "whose norm is 1, and so are its scores. "
    )
    small = f"the smallest component that is kept has a spread of {values['spread']:.2g}"
    if found[0].severity == ATTENTION:
        return (
            f"{text}But {small}: environments that differ by as little may be blurred. Record with "
            "more scores (store), or in full."
        )
    return f"{text}This is little: {small}."


def _gaps(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    gaps = [
        f"{a} to {b}" + (" (the timestep was changed)" if changed else "")
        for (a, b), changed in zip(values["gaps"], values["timestep_changed"], strict=True)
    ]
    return (
        f"Frames follow each other every {values['interval']} steps, except from step "
        f"{a_few(gaps)}. LENS, smoothing and transitions do not cross these gaps."
    )


def _skipped_stretches(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    named = a_few([f"{a} to {b}" for a, b in values["stretches"]])
    return (
        f"stride = {values['stride']} takes no frame of steps {named}. These stretches between "
        "gaps are shorter than the distance between the frames compared."
    )


def _vibration(found: Sequence[Finding], speaker: Speaker) -> str:
    values = found[0].values
    text = (
        f"The next frame undoes {share(values['undone'])} of all changes of neighbors. Vibration "
        f"alone gives 50 %, or less if it is slow. So at least {share(values['share'])} of the "
        "changes do not last: vibration at the cutoff or, in a liquid, neighbors that come back."
    )
    if found[0].severity == ATTENTION:
        text += (
            f" A mean δ between frames {speaker.time(speaker.interval)} apart counts them as well; "
            "lasting changes of neighbors leave them out."
        )
    return text


def _even_window(found: Sequence[Finding], _: Speaker) -> str:
    window = found[0].values["window"]
    return (
        f"smoothing_window = {window} is even: each smoothed LENS value belongs half a frame later "
        f"than its frame. smoothing_window = {window + 1} has no shift."
    )


def _short_run(found: Sequence[Finding], _: Speaker) -> str:
    window, longest = (found[0].values[name] for name in ("window", "longest"))
    return (
        f"There are too few frames for smoothing_window = {window}: the longest stretch "
        f"without a gap has {longest} values of LENS. LENS was neither smoothed nor trimmed. "
        f"Record {2 * window + 1} frames or more, or choose a shorter window."
    )


def _short_stretch(found: Sequence[Finding], _: Speaker) -> str:
    first, last, length, window = (
        found[0].values[name] for name in ("first", "last", "length", "window")
    )
    return (
        f"Steps {first} to {last} are left out: this stretch between gaps has {length} frames, but "
        f"smoothing_window = {window} needs {window}."
    )


def _levels(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    if not values["without"]:
        return "δ has a gap between any two levels of LENS."
    cuts = " and ".join(f"{each:.3f}" for each in values["without"])
    return (
        f"δ has no gap at {cuts}, where k-means separates levels of LENS: the cut goes through one "
        "hump, or through its tail. These levels differ by degree, and another lens_clusters would "
        "cut elsewhere."
    )


def _constant_lens(found: Sequence[Finding], _: Speaker) -> str:
    return (
        f"LENS is constant (δ = {found[0].values['delta']:g} everywhere): no atom changes its "
        "neighbors more than another. Record frames further apart, or check lens_r_cut."
    )


def _nothing_fast(found: Sequence[Finding], speaker: Speaker) -> str:
    return (
        "No environment of SOAP & LENS is fast. Either δ of moving atoms is not clearly above the "
        f"thermal flicker at a Δt of {speaker.time(found[0].values['interval'])}, or no atom moves "
        "to a new place. Set scan_intervals = [1, 2, 5, 10] to look for a Δt that shows motion."
    )


def _scan_skipped(found: Sequence[Finding], _: Speaker) -> str:
    stride, window, reason = (found[0].values[name] for name in ("stride", "window", "reason"))
    return f"The scan did not try stride {stride} with window {window}. {reason}"


def _scan_clusters_skipped(found: Sequence[Finding], _: Speaker) -> str:
    asked, possible = found[0].values["asked"], found[0].values["possible"]
    return (
        f"scan_clusters: {asked} clusters were not tried, because the observations have "
        f"only {possible} different values."
    )


def _unknown_name(found: Sequence[Finding], speaker: Speaker) -> str:
    mark, name, route = found[0].values["mark"], found[0].values["name"], found[0].route
    known = speaker.names.get(route or "")
    marks = ", ".join(known.marks[label] for label in known.order) if known else ""
    return (
        f"[names] gives {mark} of {speaker.title(route)} the name “{name}”, but there is no such "
        f"environment: expected one of {marks}. Correct the mark in [names]."
    )


def _note(found: Sequence[Finding], _: Speaker) -> str:
    return str(found[0].values["text"])


SAY: dict[str, Say] = {
    "frames": _frames,
    "extra_frames": _extra_frames,
    "stored_spectra": _stored_spectra,
    "gaps": _gaps,
    "skipped_stretches": _skipped_stretches,
    "vibration": _vibration,
    "even_window": _even_window,
    "short_run": _short_run,
    "short_stretch": _short_stretch,
    "constant_lens": _constant_lens,
    "levels": _levels,
    "nothing_fast": _nothing_fast,
    "scan_skipped": _scan_skipped,
    "scan_clusters_skipped": _scan_clusters_skipped,
    "unknown_name": _unknown_name,
    "note": _note,
}
