"""The layout of ``results.h5``: one group for every route, then scans and findings."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Model, NearestRow, restore
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.branches import Branches
from strdyn_post.environments.description import Description
from strdyn_post.environments.reduction import Pca
from strdyn_post.errors import AnalysisError
from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.kinetics.checks import Checks
from strdyn_post.kinetics.event_model import EventModel
from strdyn_post.kinetics.foretelling import Foretelling
from strdyn_post.kinetics.hazards import Coordinate, Hazards
from strdyn_post.kinetics.origin import Origin
from strdyn_post.kinetics.partition import Partition
from strdyn_post.kinetics.stays import Stays
from strdyn_post.kinetics.surroundings import Surroundings
from strdyn_post.kinetics.transitions import count_moves
from strdyn_post.names import Names
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES, Merged, Route, RouteFit
from strdyn_post.routes.nulls import Nulls
from strdyn_post.scans.cluster_sizes import SizePoint
from strdyn_post.scans.intervals import IntervalPoint
from strdyn_post.scans.mixtures import MixturePoint
from strdyn_post.scans.weights import WeightPoint
from strdyn_post.signal.frames import Frames
from strdyn_post.signal.series import Series

__all__ = ["read_content", "write_content"]

_FORMATS = (1, 2)
# values of newer settings in results of earlier versions
_EARLIER = {"max_cluster_share": None, "merge_keep_dynamics": False, "n_init": 1}
# kinds of findings that only earlier versions have
_FORMER_KINDS = {"cutoff"}
_SCANS = {
    "weight_scan": WeightPoint,
    "interval_scan": IntervalPoint,
    "cluster_size_scan": SizePoint,
    "mixture_scan": MixturePoint,
}


def write_content(result: AnalysisResult, target: Any, user_block: int) -> None:
    """Write a result as HDF5 behind a user block [bytes]."""
    import h5py

    with h5py.File(target, "w", libver=("v108", "v110"), userblock_size=user_block) as file:
        file.attrs["format"] = _FORMATS[-1]
        file.attrs["flicker_share"] = result.flicker_share
        file.attrs["settings"] = json.dumps(
            {
                name: "none" if value is None else value
                for name, value in result.config.as_dict().items()
            }
        )
        for name in ("provenance", "timings"):
            file.attrs[name] = json.dumps(getattr(result, name))
        # an attribute holds at most 64 kB
        file["findings"] = json.dumps([line.as_dict() for line in result.lines], ensure_ascii=False)
        file["delta/value"] = result.delta.values
        _write_frames(file["delta"], result.delta.frames)
        for scan in _SCANS:
            points = getattr(result, scan)
            for item in fields(points[0]) if points else ():
                file[f"{scan}/{item.name}"] = [getattr(point, item.name) for point in points]
        if result.origin is not None:
            _write_origin(file.create_group("origin"), result.origin)
        if result.foretelling is not None:
            for item in fields(result.foretelling):
                file[f"foretelling/{item.name}"] = getattr(result.foretelling, item.name)
        if result.nulls is not None:
            _write_nulls(file.create_group("nulls"), result.nulls)
        if result.event_model is not None:
            for item in fields(result.event_model):
                file[f"event_model/{item.name}"] = getattr(result.event_model, item.name)
        for name, route in result.routes.items():
            group = file.create_group(name)
            _write_route(group, route)
            _write_names(group, result.names[name], result.descriptions.get(name))


def _write_frames(group: Any, frames: Frames) -> None:
    for name, value in (
        ("step", frames.steps),
        ("time", frames.times),
        ("stretch", frames.stretches),
        ("atom_id", frames.atom_ids),
    ):
        group[name] = value


def _write_origin(group: Any, origin: Origin) -> None:
    for item in fields(origin):
        value = getattr(origin, item.name)
        if isinstance(value, Hazards):
            for part in fields(value):
                group[f"{item.name}/{part.name}"] = getattr(value, part.name)
        elif value is not None:
            group[item.name] = value


def _write_route(group: Any, route: Route) -> None:
    fit = route.fit
    group.attrs["n_identities"] = fit.n_identities
    group.attrs["noise_share"] = fit.noise_share
    group.attrs["soft_share"] = fit.soft_share
    if fit.agreement is not None:
        group.attrs["agreement"] = fit.agreement
    _write_frames(group, route.frames)
    for name, value in (
        ("score", route.scores),
        ("explained_variance_ratio", route.explained_variance_ratio),
        ("linkage", fit.linkage),
        ("limit", fit.limits),
        ("identity", fit.identities),
        ("far", route.far),
    ):
        group[name] = value
    _write_partition(group, route, "")
    if route.merged is not None:
        group["merge_mapping"] = route.merged.mapping
        _write_partition(group, route.merged, "_merged")
    for folder, part in (
        ("pca", fit.pca),
        ("checks", route.checks),
        ("stays", route.stays),
        ("condensed_tree", fit.branches),
    ):
        for item in fields(part) if part is not None else ():
            group[f"{folder}/{item.name}"] = getattr(part, item.name)
    model = group.create_group("model")
    model.attrs["kind"] = fit.model.kind
    # for HDBSCAN* on all rows the fitted rows are `score` and `label`: no second copy
    rows = route.scores.reshape(-1, route.n_components)
    if not isinstance(fit.model, NearestRow) or not np.array_equal(fit.model.rows, rows):
        for item in fields(fit.model):
            model[item.name] = getattr(fit.model, item.name)


def _write_partition(group: Any, found: Partition, suffix: str) -> None:
    label = f"label{suffix}"
    group.create_dataset(label, data=found.labels, shuffle=True, compression="gzip")
    group[f"count_matrix{suffix}"] = found.counts
    group[f"transition_matrix{suffix}"] = found.transition_matrix
    group[f"flux{suffix}"] = found.fluxes
    group[f"population{suffix}"] = found.populations


def _write_names(group: Any, names: Names, described: Description | None) -> None:
    import h5py

    text = h5py.string_dtype()
    for name, values in (("mark", names.marks), ("name", names.names), ("color", names.colors)):
        group[name] = np.array(values, dtype=text)
    if described is not None:
        group["mean_neighbors"] = described.n_neighbors
        group["mean_depth"] = described.depth


def read_content(file: Any, run_id: str) -> AnalysisResult:
    """Read a result from an open file; a damaged file raises many kinds of errors."""
    import h5py

    with h5py.File(file, "r") as content:
        if content.attrs.get("format", "none") not in _FORMATS:
            raise AnalysisError(
                f"it has format {content.attrs.get('format', 'none')}, expected "
                f"{' or '.join(map(str, _FORMATS))}."
            )
        provenance = json.loads(content.attrs["provenance"])
        fitted = "model" not in provenance
        names = [name for name in ROUTES if name in content]
        return AnalysisResult(
            routes={name: _read_route(content[name], fitted=fitted) for name in names},
            config=AnalysisConfig.from_mapping(_EARLIER | json.loads(content.attrs["settings"])),
            delta=Series(
                content["delta/value"][()].astype(np.float64), _read_frames(content["delta"])
            ),
            findings=_read_findings(content),
            descriptions={
                name: Description(
                    content[name]["mean_neighbors"][()], content[name]["mean_depth"][()]
                )
                for name in names
                if "mean_neighbors" in content[name]
            },
            origin=_read_origin(content["origin"]) if "origin" in content else None,
            foretelling=_read_part(content, "foretelling", Foretelling),
            nulls=_read_nulls(content["nulls"]) if "nulls" in content else None,
            event_model=_read_part(content, "event_model", EventModel),
            **{scan: _read_points(content, scan, kind) for scan, kind in _SCANS.items()},
            flicker_share=float(content.attrs["flicker_share"]),
            provenance={**provenance, "run_id": run_id},
            timings=json.loads(content.attrs["timings"]),
        )


def _read_origin(group: Any) -> Origin:
    return Origin(
        lasting=int(group["lasting"][()]),
        survival=group["survival"][()],
        n_observations=int(group["n_observations"][()]),
        n_events=int(group["n_events"][()]),
        effective=float(group["effective"][()]),
        follows=group["follows"][()],
        levels=group["levels"][()],
        environments=_read_hazards(group, "environments", Hazards),
        neighbors=_read_hazards(group, "neighbors", Coordinate),
        depth=_read_hazards(group, "depth", Coordinate),
    )


def _read_hazards(group: Any, folder: str, kind: Any) -> Any:
    if folder not in group:
        return None
    stored = {name: value[()] for name, value in group[folder].items()}
    unknown = np.full(len(stored["n_events"]), np.nan)  # in results of an earlier version
    later = {"rate_low": unknown, "rate_high": unknown, "rate_slow": unknown > 0}
    return kind(**later | stored)


def _write_nulls(group: Any, nulls: Nulls) -> None:
    for item in fields(nulls):
        if item.name != "surroundings":
            group[item.name] = getattr(nulls, item.name)
    if nulls.surroundings is not None:
        for item in fields(nulls.surroundings):
            group[f"surroundings/{item.name}"] = getattr(nulls.surroundings, item.name)


def _read_nulls(group: Any) -> Nulls:
    stored = {name: value[()] for name, value in group.items() if name != "surroundings"}
    stored["cases"] = tuple(case.decode() for case in stored["cases"])
    for name in ("n_rows", "n_all", "min_cluster_size"):
        stored[name] = int(stored[name])
    if "surroundings" in group:
        found = {name: value[()] for name, value in group["surroundings"].items()}
        stored["surroundings"] = Surroundings(**found | {"gap": int(found["gap"])})
    return Nulls(**stored)


def _read_findings(content: Any) -> tuple[Finding, ...]:
    if "findings" not in content:  # results of an earlier version
        texts = json.loads(content.attrs["warnings"])
        return tuple(Finding("note", ATTENTION, values={"text": str(text)}) for text in texts)
    findings = []
    for line in json.loads(content["findings"][()]):
        if line["kind"] in _FORMER_KINDS:
            findings.append(Finding("note", line["severity"], values={"text": line["text"]}))
            continue
        findings += [
            Finding(
                kind=line["kind"],
                severity=found["severity"],
                route=found["route"],
                environments=tuple(each["label"] for each in found["environments"]),
                values=found["values"],
            )
            for found in line["findings"]
        ]
    return tuple(findings)


def _read_points(content: Any, scan: str, kind: Any) -> tuple[Any, ...]:
    if scan not in content:
        return ()
    columns = [content[scan][item.name][()].tolist() for item in fields(kind)]
    rows = zip(*columns, strict=True)
    return tuple(kind(*(tuple(v) if isinstance(v, list) else v for v in row)) for row in rows)


def _read_frames(group: Any) -> Frames:
    return Frames(*(group[name][()] for name in ("step", "time", "stretch", "atom_id")))


def _read_route(group: Any, *, fitted: bool) -> Route:
    labels, scores = group["label"][()], group["score"][()]
    merged = None
    if "merge_mapping" in group:
        merged = Merged(
            labels=group["label_merged"][()],
            counts=group["count_matrix_merged"][()],
            mapping=group["merge_mapping"][()],
        )
    counts = group["count_matrix"][()]
    rows = scores.reshape(-1, scores.shape[-1])
    fit = RouteFit(
        name=group.name.strip("/"),
        pca=_read_part(group, "pca", Pca),
        model=_read_model(group["model"], rows, labels),
        n_clusters=len(counts),
        linkage=group["linkage"][()],
        mapping=None if merged is None else merged.mapping,
        known=rows if fitted else rows[:0],
        limits=group["limit"][()],
        identities=group["identity"][()],
        n_identities=int(group.attrs.get("n_identities", len(group["identity"]))),
        noise_share=float(group.attrs["noise_share"]),
        soft_share=float(group.attrs["soft_share"]),
        agreement=float(group.attrs["agreement"]) if "agreement" in group.attrs else None,
        branches=_read_part(group, "condensed_tree", Branches),
    )
    return Route(
        fit=fit,
        frames=_read_frames(group),
        labels=labels,
        counts=counts,
        scores=scores,
        merged=merged,
        far=group["far"][()],
        checks=_read_checks(group),
        stays=_read_part(group, "stays", Stays),
    )


def _read_part(group: Any, folder: str, kind: Any) -> Any:
    if folder not in group:
        return None
    return kind(**{name: value[()] for name, value in group[folder].items()})


def _read_checks(group: Any) -> Checks | None:
    if "checks" not in group:
        return None
    stored = {name: value[()] for name, value in group["checks"].items()}
    if "events" not in stored:  # results of an earlier version
        suffix = "_merged" if "merge_mapping" in group else ""
        labels, n = group[f"label{suffix}"][()], len(stored["low"])
        stored |= {
            "events": count_moves(labels, n, int(stored["lags"][0]), group["stretch"][()]),
            "slow": np.zeros((n, n), np.bool_),
            "effective": np.full((n, n), np.nan),
            "seen_imbalance": np.full((n, n), np.nan),
            "seen_drift": np.full(n, np.nan),
            "merge_exits": np.full(1, np.nan),
        }
    return Checks(**stored)


def _read_model(group: Any, rows: NDArray[np.float32], labels: NDArray[np.int32]) -> Model:
    stored = {name: value[()] for name, value in group.items()}
    return restore(group.attrs["kind"], stored, rows, labels.ravel())
