"""The headline numbers of an analysis, for the page and ``summary.json``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_live.results_block import mark
from strdyn_post.findings import Finding, of_kind
from strdyn_post.limits import FAR_SHARE, FEW_EVENTS
from strdyn_post.names import Names
from strdyn_post.quantities import finite, time_axis
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES, Route
from strdyn_post.scans.intervals import in_use, recommended
from strdyn_post.sentences import headline
from strdyn_post.signal.frames import usual_spacing
from strdyn_post.signal.regular import regular_frames

from .events import event_rows
from .kinetics import route_kinetics
from .nulls import null_numbers
from .origin import foretelling_numbers, origin_numbers

__all__ = ["summarise"]


def summarise(result: AnalysisResult, recording: Recording) -> dict[str, Any]:
    """Return the headline numbers as JSON types.

    Parameters
    ----------
    result : AnalysisResult
    recording : Recording
        The recording that was analysed.

    Returns
    -------
    dict
        ``run``, ``written_by`` (the ID of the analysis), ``headline``, ``findings`` (lines of text
        with their numbers), ``warnings`` (the texts that need attention), ``routes`` with their
        ``checks``, ``origin`` and ``foretelling`` (None if not known), ``nulls`` (None
        if there is nothing to test), ``environments``, ``new_environments``, ``hidden_dynamics``,
        ``weight_scan``, ``cluster_size_scan``, ``mixture_scan``, ``interval_scan`` with
        ``interval_advice``, ``events`` (those that the run acted on), shares, ``timings``.
        ``run.dt`` is the Δt of the analysed frames.
    """
    chi, names, units = result["soap_lens"], result.names, recording.units
    new = of_kind(result.findings, "new_environment")
    hidden = of_kind(result.findings, "merged_dynamics")
    return {
        "run": _run(result, recording),
        "written_by": mark(result.run_id),
        "headline": headline(result.findings, result.speaker),
        "findings": [line.as_dict() for line in result.lines],
        "warnings": result.warnings,
        "routes": {
            name: _route_numbers(result[name], names[name])
            | {"checks": route_kinetics(result[name], names[name], units)}
            for name in ROUTES
        },
        "origin": origin_numbers(result),
        "foretelling": foretelling_numbers(result),
        "nulls": null_numbers(result),
        "environments": _environment_rows(result),
        "new_environments": [_new_environment(each, names) for each in new],
        "hidden_dynamics": [
            {"route": each.route, **_called(names, each), **each.values} for each in hidden
        ],
        "weight_scan": [
            asdict(point) | {"in_use": point.weight == result.config.lens_weight}
            for point in result.weight_scan
        ],
        "cluster_size_scan": [
            asdict(point)
            | {
                "soap_kept": [*point.soap_kept],
                "chi_kept": [*point.chi_kept],
                "in_use": point.min_cluster_size == result.config.min_cluster_size,
            }
            for point in result.cluster_size_scan
        ],
        "mixture_scan": [
            asdict(point)
            | {
                "agreement": finite(point.agreement),
                "in_use": point.n_clusters == result.config.n_clusters,
            }
            for point in result.mixture_scan
        ],
        **_interval_numbers(result, names["soap"], units),
        "events": event_rows(recording),
        "flicker_share": finite(result.flicker_share),
        "keeps_dynamics": bool(result.config.merge_keep_dynamics),
        "far_share": float(chi.far.max(initial=0.0)),
        "n_far_frames": int((chi.far > FAR_SHARE).sum()),
        "labelled_by_model": "model" in result.provenance,
        "timings": {name: round(float(seconds), 3) for name, seconds in result.timings.items()},
    }


def _run(result: AnalysisResult, recording: Recording) -> dict[str, Any]:
    """Describe the recording, without its extra frames, and its analysed frames."""
    recording = regular_frames(recording)
    frames = result["soap_lens"].frames
    # a buffer may have grown since it was analysed
    n_frames = int(result.provenance.get("n_frames", len(recording.steps)))
    times = np.asarray(recording.times[:n_frames], dtype=np.float64)
    spacing, stride = usual_spacing(times), result.config.stride
    dt, dt_unit = time_axis(np.array([spacing * stride]), recording.units)
    every, every_unit = time_axis(np.array([spacing]), recording.units)
    span, span_unit = time_axis(np.array([times[-1] - times[0]]), recording.units)
    return {
        "buffer": Path(str(recording.config.file)).name,
        "uuid": str(recording.uuid),
        "elements": " ".join(recording.config.species),
        "n_atoms": frames.n_atoms,
        "n_frames": n_frames,
        "n_frames_taken": int(result.provenance.get("n_frames_taken", n_frames)),
        "n_frames_analysed": len(frames),
        "first_step": int(recording.steps[0]),
        "last_step": int(recording.steps[n_frames - 1]),
        "dt": float(f"{dt[0]:.6g}"),
        "dt_unit": dt_unit,
        "stride": stride,
        "recorded_every": float(f"{every[0]:.6g}"),
        "recorded_every_unit": every_unit,
        "span": float(f"{span[0]:.6g}"),
        "span_unit": span_unit,
        "lag": int(result.config.lag),
        "lens_r_cut": float(recording.config.lens_r_cut),
        "store": str(result.provenance.get("store", recording.config.store)),
        "soap_error": float(result.provenance.get("soap_error", 0.0)),
    }


def _route_numbers(route: Route, names: Names) -> dict[str, Any]:
    shown, fit = route.final, route.fit
    counts = np.asarray(shown.counts)
    moves = counts[~np.eye(len(counts), dtype=bool)]
    rare = (moves > 0) & (moves < FEW_EVENTS)
    if route.checks is not None:
        moves, rare = route.checks.events.ravel(), route.checks.few_events
    return {
        "n_clusters": int(route.n_clusters),
        "n_environments": int(shown.n_clusters),
        "n_components": int(route.n_components),
        "variance": float(np.sum(route.explained_variance_ratio[: route.n_components])),
        "noise_share": float(fit.noise_share),
        "left_out_share": float((route.labels < 0).mean()),
        "soft_share": float(fit.soft_share),
        "agreement": None if fit.agreement is None else float(fit.agreement),
        "n_rows": int(route.labels.size),
        "n_transitions": int(moves.sum()),
        "n_kinds": int((moves > 0).sum()),
        "n_rare_kinds": int(rare.sum()),
        "fewest_events": int(moves[moves > 0].min()) if (moves > 0).any() else 0,
        "environments": list(names.names),
        "marks": list(names.marks),
        "numbers": list(names.numbers),
        "colors": list(names.colors),
        "shares": [float(n) / route.labels.size for n in shown.populations],
    }


def _environment_rows(result: AnalysisResult) -> list[dict[str, Any]]:
    """Return one row for each environment of SOAP or SOAP&LENS, for the table of the page."""
    delta = result.smoothed_delta.values
    rows: dict[str, dict[str, Any]] = {}
    for route_name in ("soap", "soap_lens"):
        route, names = result[route_name], result.names[route_name]
        shown, described = route.final, result.descriptions.get(route_name)
        for label in names.order:
            row = rows.setdefault(
                names.marks[label],
                {
                    "name": names.names[label],
                    "mark": names.marks[label],
                    "number": names.numbers[label],
                    "color": names.colors[label],
                    "soap": None,
                    "soap_lens": None,
                },
            )
            inside = shown.labels == label
            row[route_name] = {
                "label": label,
                "share": float(shown.populations[label]) / route.labels.size,
                "delta": float(delta[inside].mean()) if inside.any() else None,
                "stays": float(shown.transition_matrix[label, label]),
                "neighbors": finite(described.n_neighbors[label]) if described else None,
                "depth": finite(described.depth[label]) if described else None,
            }
    return list(rows.values())


def _called(names: dict[str, Names], found: Finding) -> dict[str, Any]:
    of_route, label = names[found.route or ""], found.environments[0]
    return {
        "name": of_route.names[label],
        "mark": of_route.marks[label],
        "color": of_route.colors[label],
        "label": label,
    }


def _new_environment(found: Finding, names: dict[str, Names]) -> dict[str, Any]:
    """Return the numbers of a new environment, with names instead of labels."""
    soap, chi = names["soap"].names, names["soap_lens"].names
    entry = {**_called(names, found), **found.values}
    for key, called in (
        ("soap_environment", soap),
        ("soap_cluster_joins", soap),
        ("source", chi),
    ):
        if entry[key] is not None:
            entry[key] = called[entry[key]]
    sites = {site["label"]: site for site in entry["sites"]}
    entry["sites"] = [{"name": soap[k], **sites[k]} for k in names["soap"].order if k in sites]
    return entry


def _interval_numbers(result: AnalysisResult, soap: Names, units: str | None) -> dict[str, Any]:
    """Describe the scan over Δt and smoothing windows, and what it advises."""
    scan, config = result.interval_scan, result.config
    advice = [line for line in result.lines if line.kind == "interval"]
    if not scan or not advice:
        return {"interval_scan": [], "interval_advice": None}
    best = recommended(scan, config)
    rows = []
    for point in scan:
        (dt,), unit = time_axis(np.array([point.interval]), units)
        at_home = point.home if point.home >= 0 else None
        rows.append(
            asdict(point)
            | {
                "flicker_share": finite(point.flicker_share),
                "dt": float(f"{dt:.6g}"),
                "dt_unit": unit,
                "in_use": in_use(point, config),
                "recommended": point is best,
                "enrichment": point.enrichment,
                "shows_motion": point.shows_motion,
                "home_name": None if at_home is None else soap.names[at_home],
                "home_mark": None if at_home is None else soap.marks[at_home],
                "home_color": None if at_home is None else soap.colors[at_home],
            }
        )
    found = advice[0].findings[0]
    fine = bool(found.values["best"]) and bool(found.values["used"]["shows_motion"])
    change = found.values["change"]
    return {
        "interval_scan": rows,
        "interval_advice": {"fine": fine, "change": change, "text": advice[0].text},
    }
