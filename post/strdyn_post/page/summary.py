"""The headline numbers of an analysis: what the page and summary.json show."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.figures.style import time_axis
from strdyn_post.figures.transitions import percent
from strdyn_post.files.folder import mark
from strdyn_post.kinetics.enrichment import find_sites
from strdyn_post.kinetics.merging import differ_in_dynamics
from strdyn_post.kinetics.uncertainty import FEW_EVENTS
from strdyn_post.palette import Palette, is_fast, make_palettes, match_environments, shared_rows
from strdyn_post.results import ROUTES
from strdyn_post.routes import FAR_SHARE
from strdyn_post.scans.intervals import advise, in_use

from .trust import route_trust

if TYPE_CHECKING:
    from strdyn_live.buffer import Buffer
    from strdyn_post.results import AnalysisResult, Route

__all__ = ["first_sentence", "summarise"]


def summarise(result: AnalysisResult, buffer: Buffer) -> dict[str, Any]:
    """Return the headline numbers as JSON types: what the page shows, and nothing else does.

    Parameters
    ----------
    result : Analysis
    buffer : Buffer

    Returns
    -------
    dict
        ``run``, ``written_by`` (the ID of the analysis), ``routes`` with their ``checks``,
        ``environments``, ``new_environments``, ``hidden_dynamics``, ``weight_scan``,
        ``mixture_scan``, ``interval_scan`` with ``interval_advice``, shares, ``warnings``,
        ``timings``. ``run.dt`` is the Δt of the frames analysed.
    """
    chi = result["soap_lens"]
    palettes = make_palettes({name: result[name] for name in ROUTES})
    # a buffer may have grown since it was analysed
    n_frames = int(result.provenance.get("n_frames", buffer.n_frames))
    times = np.asarray(buffer.times[:n_frames], dtype=np.float64)
    spacing = np.median(np.diff(times)) if len(times) > 1 else 0.0
    stride = result.config.stride
    dt, dt_unit = time_axis(np.array([spacing * stride]), buffer.units)
    every, every_unit = time_axis(np.array([spacing]), buffer.units)
    span, span_unit = time_axis(np.array([times[-1] - times[0]]), buffer.units)
    return {
        "run": {
            "buffer": Path(str(buffer.config.file)).name,
            "uuid": str(buffer.uuid),
            "elements": " ".join(buffer.config.species),
            "n_atoms": len(chi.atom_ids),
            "n_frames": n_frames,
            "n_frames_taken": int(result.provenance.get("n_frames_taken", n_frames)),
            "n_frames_analysed": len(chi.steps),
            "first_step": int(buffer.steps[0]),
            "last_step": int(buffer.steps[n_frames - 1]),
            "dt": float(f"{dt[0]:.6g}"),
            "dt_unit": dt_unit,
            "stride": stride,
            "recorded_every": float(f"{every[0]:.6g}"),
            "recorded_every_unit": every_unit,
            "span": float(f"{span[0]:.6g}"),
            "span_unit": span_unit,
            "lag": int(result.config.lag),
        },
        "written_by": mark(result.run_id),
        "routes": {
            name: _route_numbers(result[name], palettes[name])
            | {"checks": route_trust(result[name], palettes[name], buffer.units)}
            for name in ROUTES
        },
        "environments": _environment_rows(result, palettes),
        "new_environments": _new_environments(result, palettes),
        "hidden_dynamics": _hidden_dynamics(result, palettes),
        "weight_scan": [
            asdict(point) | {"in_use": point.weight == result.config.lens_weight}
            for point in result.weight_scan
        ],
        "mixture_scan": [
            asdict(point)
            | {
                "agreement": _number(point.agreement),
                "in_use": point.n_clusters == result.config.n_clusters,
            }
            for point in result.mixture_scan
        ],
        **_interval_numbers(result, palettes["soap"], buffer.units),
        "flicker_share": _number(result.flicker_share),
        "keeps_dynamics": bool(result.config.merge_keep_dynamics),
        "far_share": float(chi.far.max(initial=0.0)),
        "n_far_frames": int((chi.far > FAR_SHARE).sum()),
        "labelled_by_model": "model" in result.provenance,
        "warnings": [str(warning) for warning in result.warnings],
        "timings": {name: round(float(seconds), 3) for name, seconds in result.timings.items()},
    }


def first_sentence(summary: dict[str, Any]) -> str:
    """Return what SOAP&LENS adds to SOAP in one plain sentence; empty if it adds nothing."""
    if not summary["new_environments"]:
        return ""
    new, run = summary["new_environments"][0], summary["run"]
    text = (
        f"SOAP & LENS finds an environment that SOAP alone does not: {new['name']}, "
        f"{percent(new['share'])} % of all observations"
    )
    if new["soap_cluster_overlap"] is not None:
        text = f"SOAP & LENS keeps an environment apart that SOAP alone merges: {new['name']}"
    if new["dynamics"] != "fast":
        return f"{text}. It is not set apart by its dynamics."
    text += (
        f". In {run['dt']:g} {run['dt_unit']} its atoms exchange {percent(new['delta'])} % of "
        "their neighbors, those of the other environments at most "
        f"{percent(new['highest_other_delta'])} %"
    )
    if not new["soap_enriched"]:
        return f"{text}. It sits in the environments of SOAP as chance puts it."
    return (
        f"{text}; {percent(new['soap_share'])} % of it lies in {new['soap_environment']} of SOAP "
        f"alone, which holds {percent(new['soap_expected'])} % of all observations."
    )


def _route_numbers(route: Route, palette: Palette) -> dict[str, Any]:
    shown = route.final
    counts = np.asarray(shown.counts)
    between = ~np.eye(len(counts), dtype=bool)
    moves = counts[between]
    rare = (moves > 0) & (moves < FEW_EVENTS)
    if route.checks is not None:
        rare = route.checks.few_events[between]
    return {
        "n_clusters": int(route.n_clusters),
        "n_environments": int(shown.n_clusters),
        "n_components": int(route.n_components),
        "variance": float(np.sum(route.explained_variance_ratio[: route.n_components])),
        "noise_share": float(route.noise_share),
        "left_out_share": float((route.labels < 0).mean()),
        "soft_share": float(route.soft_share),
        "agreement": None if route.agreement is None else float(route.agreement),
        "n_rows": int(route.labels.size),
        "n_transitions": int(moves.sum()),
        "n_kinds": int((moves > 0).sum()),
        "n_rare_kinds": int(rare.sum()),
        "fewest_events": int(moves[moves > 0].min()) if (moves > 0).any() else 0,
        "environments": list(palette.names),
        "colors": list(palette.colors),
        "shares": [float(n) / route.labels.size for n in shown.populations],
    }


def _environment_rows(result: AnalysisResult, palettes: dict[str, Palette]) -> list[dict[str, Any]]:
    """One row for each environment of SOAP or SOAP&LENS: its share, speed and how long it stays."""
    delta = result["lens"].scores[..., 0]
    rows: dict[str, dict[str, Any]] = {}
    for name in ("soap", "soap_lens"):
        route, palette = result[name], palettes[name]
        shown = route.final
        for label in palette.order:
            key = palette.names[label]
            row = rows.setdefault(
                key,
                {
                    "name": key,
                    "mark": palette.marks[label],
                    "color": palette.colors[label],
                    "soap": None,
                    "soap_lens": None,
                },
            )
            inside = shown.labels == label
            row[name] = {
                "label": label,
                "share": float(shown.populations[label]) / route.labels.size,
                "delta": float(delta[inside].mean()) if inside.any() else None,
                "stays": float(shown.transition_matrix[label, label]),
            }
    return list(rows.values())


def _new_environments(result: AnalysisResult, palettes: dict[str, Palette]) -> list[dict[str, Any]]:
    """Describe what SOAP&LENS finds and SOAP alone does not: where its atoms come from and go."""
    chi, soap = result["soap_lens"], result["soap"]
    shown, palette = chi.final, palettes["soap_lens"]
    known = match_environments(chi, soap)
    kept = _kept_apart(chi, soap)
    labels, soap_labels = shared_rows(chi, soap)
    delta = result["lens"].scores[..., 0]
    fast = is_fast(chi, result["lens"])
    means = [
        float(delta[labels == k].mean()) if shown.populations[k] else 0.0
        for k in range(shown.n_clusters)
    ]
    found = []
    for label in (k for k in palette.order if k not in known and shown.populations[k]):
        inside = labels == label
        sites = find_sites(inside, soap_labels, soap.final.n_clusters, result.config.seed)
        # a fast environment is compared with those that are not
        others = (k for k in range(len(means)) if k != label and not (fast[label] and fast[k]))
        highest = max((means[k] for k in others), default=0.0)
        entry: dict[str, Any] = {
            "name": palette.names[label],
            "mark": palette.marks[label],
            "color": palette.colors[label],
            "label": label,
            "n_rows": int(inside.sum()),
            "n_atoms": int(inside.any(axis=0).sum()),
            "share": float(inside.mean()),
            "delta": means[label],
            "highest_other_delta": highest,
            # nothing is called dynamic whose LENS signal is not above that of all others
            "dynamics": "fast" if fast[label] else "higher" if means[label] > highest else "none",
            "soap_environment": None,
            "soap_share": None,
            "soap_expected": None,
            "soap_enriched": False,
            "sites": [],
            "soap_rest_delta": None,
            "soap_cluster_overlap": None,
            "soap_cluster_joins": None,
            "source": None,
        }
        if label in kept:
            joined, entry["soap_cluster_overlap"] = kept[label]
            entry["soap_cluster_joins"] = palettes["soap"].names[joined]
        if sites.shares.any():
            home = int(sites.shares.argmax())
            rest = (soap_labels == home) & ~inside
            entry["soap_environment"] = palettes["soap"].names[home]
            entry["soap_share"] = float(sites.shares[home])
            entry["soap_share_low"] = float(sites.low[home])
            entry["soap_share_high"] = float(sites.high[home])
            entry["soap_expected"] = float(sites.expected[home])
            entry["soap_enriched"] = bool(sites.low[home] > sites.expected[home])
            entry["sites"] = [
                {
                    "name": palettes["soap"].names[k],
                    "share": float(sites.shares[k]),
                    "low": float(sites.low[k]),
                    "high": float(sites.high[k]),
                    "expected": float(sites.expected[k]),
                }
                for k in palettes["soap"].order
            ]
            entry["soap_rest_delta"] = float(delta[rest].mean()) if rest.any() else None
        into = np.array(shown.counts[:, label])
        into[label] = 0
        if into.any():
            source = int(into.argmax())
            entry["source"] = palette.names[source]
            for way, a, b in (("in", source, label), ("out", label, source)):
                entry[f"n_{way}"] = int(shown.counts[a, b])
                entry[f"p_{way}"] = float(shown.transition_matrix[a, b])
                if chi.checks is not None:
                    entry[f"p_{way}_low"] = float(chi.checks.low[a, b])
                    entry[f"p_{way}_high"] = float(chi.checks.high[a, b])
        found.append(entry)
    return sorted(found, key=lambda entry: entry["dynamics"] != "fast")  # the finding comes first


def _hidden_dynamics(result: AnalysisResult, palettes: dict[str, Palette]) -> list[dict[str, Any]]:
    """List the environments whose merge joined clusters that differ in δ beyond their spread."""
    delta = result["lens"].scores[..., 0].astype(np.float64)
    found = []
    for name in ("soap_lens", "soap"):
        route, palette = result[name], palettes[name]
        if route.merged is None:
            continue
        differ = differ_in_dynamics(route.labels, delta, route.n_clusters)
        for label in palette.order:
            members = np.flatnonzero(route.merged.mapping == label)
            if differ[np.ix_(members, members)].any():
                clusters = [route.labels == k for k in members]
                found.append(
                    {
                        "route": name,
                        "name": palette.names[label],
                        "mark": palette.marks[label],
                        "color": palette.colors[label],
                        "share": float(route.final.populations[label]) / route.labels.size,
                        "delta": float(delta[route.final.labels == label].mean()),
                        "clusters": [
                            {
                                "share": float(inside.mean()),
                                "delta": float(delta[inside].mean()),
                                "spread": float(delta[inside].std()),
                            }
                            for inside in clusters
                        ],
                    }
                )
    return found


def _kept_apart(chi: Route, soap: Route) -> dict[int, tuple[int, float]]:
    """Find what SOAP has as a cluster that it merges: the environment it joins, and the overlap.

    The limit is that of `match_environments`.
    """
    if soap.merged is None:
        return {}
    clusters = replace(soap, merged=None)
    labels, of_soap = shared_rows(chi, clusters)
    mapping = soap.merged.mapping
    kept = {}
    for label, cluster in match_environments(chi, clusters).items():
        if (mapping == mapping[cluster]).sum() > 1:
            inside, there = labels == label, of_soap == cluster
            overlap = 2 * (inside & there).sum() / (inside.sum() + there.sum())
            kept[label] = int(mapping[cluster]), float(overlap)
    return kept


def _interval_numbers(result: AnalysisResult, soap: Palette, units: str | None) -> dict[str, Any]:
    """Describe the scan over Δt and smoothing windows, and what it advises."""
    scan, config = result.interval_scan, result.config
    if not scan:
        return {"interval_scan": [], "interval_advice": None}
    advice = advise(scan, config, units)
    rows = []
    for point in scan:
        (dt,), unit = time_axis(np.array([point.interval]), units)
        rows.append(
            asdict(point)
            | {
                "flicker_share": _number(point.flicker_share),
                "dt": float(f"{dt:.6g}"),
                "dt_unit": unit,
                "in_use": in_use(point, config),
                "recommended": point is advice.point,
                "enrichment": point.enrichment,
                "shows_motion": point.shows_motion,
                "home_name": soap.names[point.home] if point.home >= 0 else None,
                "home_mark": soap.marks[point.home] if point.home >= 0 else None,
                "home_color": soap.colors[point.home] if point.home >= 0 else None,
            }
        )
    return {
        "interval_scan": rows,
        "interval_advice": {"fine": advice.fine, "change": advice.change, "text": advice.text},
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
