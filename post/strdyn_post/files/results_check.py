"""Checks of a result that was read from a file, before it is used."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np

from strdyn_live.models import Bands, Mixture, NearestMean, NearestRow
from strdyn_post.environments.branches import Branches
from strdyn_post.environments.reduction import Pca
from strdyn_post.errors import AnalysisError
from strdyn_post.findings import SEVERITIES
from strdyn_post.kinetics.checks import Checks
from strdyn_post.kinetics.foretelling import Foretelling
from strdyn_post.kinetics.hazards import Hazards
from strdyn_post.kinetics.origin import Origin
from strdyn_post.kinetics.partition import Partition
from strdyn_post.kinetics.stays import Stays
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES, Route
from strdyn_post.routes.nulls import CASES, Nulls
from strdyn_post.scans.cluster_sizes import SizePoint
from strdyn_post.scans.intervals import IntervalPoint, in_use
from strdyn_post.scans.mixtures import MixturePoint
from strdyn_post.signal.frames import Frames

__all__ = ["check_result"]

_INTEGER, _FLOAT, _BOOL = "iu", "f", "b"


def check_result(result: AnalysisResult) -> None:
    """Raise AnalysisError if parts of a result do not fit together; the message names the part."""
    missing = [name for name in ROUTES if name not in result.routes]
    if missing:
        raise AnalysisError(f"it has no group {', '.join(missing)}.")
    _check_words(result)
    _check_frames("delta", result.delta.frames)
    _numbers("delta/value", result.delta.values, (len(result.delta.frames), None))
    _check_scan(result)
    _check_mixtures(result.mixture_scan)
    _check_sizes(result)
    first = result["soap"]
    for name, route in result.routes.items():
        _check_frames(name, route.frames)
        for part in ("steps", "times", "stretches", "atom_ids"):
            if not np.array_equal(getattr(route.frames, part), getattr(first.frames, part)):
                raise AnalysisError(f"{name} and soap differ in their {part}.")
        _check_route(name, route)
    _check_descriptions(result)
    if result.origin is not None:
        n_levels = result["lens"].final.n_clusters
        _check_origin(result.origin, first.final.n_clusters, n_levels)
    if result.foretelling is not None:
        _check_foretelling(result.foretelling)
    if result.nulls is not None:
        _check_nulls(result.nulls, result["soap_lens"].final.n_clusters, first.final.n_clusters)
    if result.event_model is not None:
        shape = (first.n_components,)
        _numbers("event_model/coefficients", result.event_model.coefficients, shape)
        for part in ("intercept", "interval"):
            _numbers(f"event_model/{part}", getattr(result.event_model, part), (1,))
    _check_findings(result)
    if not np.array_equal(result.delta.frames.atom_ids, first.atom_ids):
        raise AnalysisError("delta and soap differ in their atom_ids.")


def _check_descriptions(result: AnalysisResult) -> None:
    for name, found in result.descriptions.items():
        shape = (result[name].final.n_clusters,)
        _numbers(f"{name}/mean_neighbors", found.n_neighbors, shape, finite=False)
        _numbers(f"{name}/mean_depth", found.depth, shape, finite=False)


def _check_origin(origin: Origin, n: int, n_levels: int) -> None:
    if origin.lasting < 2 or not math.isfinite(origin.effective):
        raise AnalysisError(f"origin holds {origin.lasting} frames, {origin.effective} events.")
    _numbers("origin/survival", origin.survival, (None,), finite=False)
    for name, counts, shape in (
        ("follows", origin.follows, (n, n)),
        ("levels", origin.levels, (n_levels, n)),
    ):
        _within(f"origin/{name}", _numbers(f"origin/{name}", counts, shape, _INTEGER), math.inf)
    _check_hazards("origin/environments", origin.environments, n)
    for name, found in (("neighbors", origin.neighbors), ("depth", origin.depth)):
        if found is not None:
            n_bins = len(np.atleast_1d(found.edges)) - 1
            _check_hazards(f"origin/{name}", found, n_bins)
            edges = _numbers(f"origin/{name}/edges", found.edges, (n_bins + 1,))
            _numbers(f"origin/{name}/mean", found.mean, (n_bins,))
            if n_bins < 1 or (np.diff(edges) < 0).any():
                raise AnalysisError(f"origin/{name}/edges do not increase.")


def _check_foretelling(found: Foretelling) -> None:
    n_folds, n_bins = len(np.atleast_1d(found.auc)), len(np.atleast_1d(found.predicted))
    if n_folds < 2:
        raise AnalysisError(f"foretelling holds {n_folds} folds.")
    for item in fields(found):
        length = n_bins if item.name in ("predicted", "observed") else n_folds
        _numbers(f"foretelling/{item.name}", getattr(found, item.name), (length,))


def _check_nulls(nulls: Nulls, n: int, n_of_soap: int) -> None:
    unknown = sorted(set(nulls.cases) - set(CASES))
    if unknown or nulls.n_rows < 1:
        raise AnalysisError(f"nulls holds {nulls.n_rows} rows, and cases {', '.join(unknown)}.")
    n_runs = len(nulls.cases)
    _numbers("nulls/fast", nulls.fast, (n,), _BOOL)
    for name, values, shape in (
        ("overlap", nulls.overlap, (n_runs, n)),
        ("shares", nulls.shares, (n,)),
        ("fast_share", nulls.fast_share, (n_runs,)),
        ("sites", nulls.sites, (n_runs, n_of_soap)),
    ):
        _within(f"nulls/{name}", _numbers(f"nulls/{name}", values, shape), 1.0)
    if nulls.surroundings is not None:
        for name in ("shares", "expected", "errors", "high"):
            values = getattr(nulls.surroundings, name)
            _numbers(f"nulls/surroundings/{name}", values, (n,), finite=False)


def _check_hazards(name: str, found: Hazards, n: int) -> None:
    for part in ("n_observations", "n_events"):
        counts = _numbers(f"{name}/{part}", getattr(found, part), (n,), _INTEGER)
        _within(f"{name}/{part}", counts, math.inf)
    for part in ("observations", "events", "low", "high"):
        _within(f"{name}/{part}", _numbers(f"{name}/{part}", getattr(found, part), (n,)), 1.0)
    _numbers(f"{name}/rate_slow", found.rate_slow, (n,), _BOOL)
    for part in ("rate_low", "rate_high"):
        _numbers(f"{name}/{part}", getattr(found, part), (n,), finite=False)
    _numbers(f"{name}/effective", found.effective, (n,))


def _check_findings(result: AnalysisResult) -> None:
    for found in result.findings:
        if found.severity not in SEVERITIES:
            raise AnalysisError(f"a finding has the severity {found.severity!r}.")
        if found.route is not None and found.route not in result.routes:
            raise AnalysisError(f"a finding is of the route {found.route!r}.")
        n = 0 if found.route is None else result[found.route].final.n_clusters
        if not all(isinstance(label, int) and 0 <= label < n for label in found.environments):
            raise AnalysisError(
                f"a finding names environments {found.environments}, but there are {n}."
            )
    try:
        _ = result.lines
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise AnalysisError(f"a finding lacks a number: {error!r}.") from error


def _check_words(result: AnalysisResult) -> None:
    """Check what was stored as JSON."""
    kinds = {
        "buffer": str,
        "buffer_uuid": str,
        "recording": str,
        "model": str,
        "n_frames": int,
        "n_frames_taken": int,
        "n_atoms": int,
        "first_step": int,
        "last_step": int,
        "generations": list,
    }
    for name, value in result.provenance.items():
        _expect(f"provenance {name}", value, kinds.get(name, object))
    if result.provenance.get("n_frames", 1) < 1:
        raise AnalysisError("provenance n_frames is below 1.")
    _expect("timings", result.timings, dict)
    for stage, seconds in result.timings.items():
        _expect(f"timing of {stage}", seconds, float | int)


def _check_scan(result: AnalysisResult) -> None:
    points, n_soap = result.interval_scan, result["soap"].final.n_clusters
    for point in points:
        for item in fields(IntervalPoint):
            name, value = f"interval_scan/{item.name}", getattr(point, item.name)
            _expect(name, value, int if item.type == "int" else float)
            share = item.name.startswith(("delta_", "fast_", "home_")) and item.type == "float"
            most = 1.0 + 1e-6 if share else math.inf
            if not (-1 <= value <= most or (item.name == "flicker_share" and math.isnan(value))):
                raise AnalysisError(f"{name} is {value!r}.")
        if not (point.stride > 0 and point.window > 0 and -1 <= point.home < n_soap):
            raise AnalysisError(f"interval_scan has an impossible point: {point}.")
    if points and sum(in_use(point, result.config) for point in points) != 1:
        raise AnalysisError("interval_scan must hold the point in use exactly once.")


def _check_mixtures(points: tuple[MixturePoint, ...]) -> None:
    for point in points:
        numbers = (point.bic, point.fastest_share, point.fastest_delta)
        _expect("mixture_scan/n_clusters", point.n_clusters, int)
        if point.n_clusters < 1 or not all(map(math.isfinite, numbers)):
            raise AnalysisError(f"mixture_scan has an impossible point: {point}.")


def _check_sizes(result: AnalysisResult) -> None:
    points, in_use = result.cluster_size_scan, result.config.min_cluster_size
    n_kept = {
        f"{p}_kept": result[r].final.n_clusters for p, r in (("soap", "soap"), ("chi", "soap_lens"))
    }
    for point in points:
        for item in fields(SizePoint):
            name, value = f"cluster_size_scan/{item.name}", getattr(point, item.name)
            if item.name in n_kept:
                shares = _numbers(name, np.asarray(value, dtype=np.float64), (n_kept[item.name],))
            else:
                _expect(name, value, int if item.type == "int" else float)
                shares = np.array([value] if item.type == "float" else [])
            if not ((shares >= 0) & (shares <= 1 + 1e-6)).all() or np.min(value, initial=0) < 0:
                raise AnalysisError(f"{name} is {value!r}.")
    if points and [point.min_cluster_size for point in points].count(in_use) != 1:
        raise AnalysisError("cluster_size_scan must hold the size in use exactly once.")


def _check_frames(name: str, frames: Frames) -> None:
    n_frames, n_atoms = len(np.atleast_1d(frames.steps)), len(np.atleast_1d(frames.atom_ids))
    if not n_frames or not n_atoms:
        raise AnalysisError(f"{name} holds {n_frames} frames of {n_atoms} atoms.")
    _numbers(f"{name}/step", frames.steps, (n_frames,), _INTEGER)
    _numbers(f"{name}/time", frames.times, (n_frames,))
    _numbers(f"{name}/stretch", frames.stretches, (n_frames,), _INTEGER)
    _numbers(f"{name}/atom_id", frames.atom_ids, (n_atoms,), _INTEGER)
    if (np.diff(frames.steps) <= 0).any() or (np.diff(frames.stretches) < 0).any():
        raise AnalysisError(f"the steps or stretches of {name} do not increase.")
    if len(np.unique(frames.atom_ids)) != n_atoms:
        raise AnalysisError(f"{name} has an atom ID twice.")


def _check_route(name: str, route: Route) -> None:
    shape, n_clusters = (len(route.steps), len(route.atom_ids)), route.n_clusters
    scores = _numbers(f"{name}/score", route.scores, (*shape, None))
    k = scores.shape[2]
    if k == 0:
        raise AnalysisError(f"{name}/score has no component.")
    _check_partition(name, route, shape)
    linkage = _numbers(f"{name}/linkage", route.fit.linkage, (max(0, n_clusters - 1), 4))
    _within(f"{name}/linkage", linkage[:, :2], 2 * n_clusters - 1)
    n_final = n_clusters
    if route.merged is not None:
        n_final = route.merged.n_clusters
        _check_partition(f"{name} merged", route.merged, shape)
        mapping = _numbers(f"{name}/merge_mapping", route.merged.mapping, (n_clusters,), _INTEGER)
        _within(f"{name}/merge_mapping", mapping, n_final)
    identities = _numbers(f"{name}/identity", route.fit.identities, (n_final,), _INTEGER)
    _within(f"{name}/identity", identities, route.fit.n_identities)
    _numbers(f"{name}/limit", route.fit.limits, (2,), finite=False)
    _within(f"{name}/far", _numbers(f"{name}/far", route.far, shape[:1]), 1.0)
    shares = (route.fit.noise_share, route.fit.soft_share, route.fit.agreement or 0.0)
    if not all(math.isfinite(share) for share in shares):
        raise AnalysisError(f"a share of {name} is not finite: {shares}.")
    if (route.fit.pca is None) != (name == "lens"):
        raise AnalysisError(f"{name} has {'no' if route.fit.pca is None else 'a'} pca.")
    if route.fit.pca is not None:
        _check_pca(name, route.fit.pca, k)
    _check_model(name, route, k)
    if route.fit.branches is not None:
        _check_branches(f"{name}/condensed_tree", route.fit.branches, n_clusters)
    if route.checks is not None:
        _check_checks(name, route.checks, n_final)
    if route.stays is not None:
        _check_stays(name, route.stays, n_final)


def _check_partition(name: str, found: Partition, shape: tuple[int, int]) -> None:
    n_clusters = len(found.counts)
    counts = _numbers(f"counts of {name}", found.counts, (n_clusters, n_clusters), _INTEGER)
    _within(f"counts of {name}", counts, np.iinfo(np.int64).max)
    labels = _numbers(f"labels of {name}", found.labels, shape, _INTEGER)
    _within(f"labels of {name}", labels, n_clusters, least=-1)


def _check_pca(name: str, pca: Pca, n_components: int) -> None:
    n_features = len(np.atleast_1d(pca.mean))
    for part in ("mean", "weights", "explained_variance"):
        _numbers(f"{name}/pca/{part}", getattr(pca, part), (n_features,))
    _numbers(f"{name}/pca/components", pca.components, (n_components, n_features))


def _check_model(name: str, route: Route, k: int) -> None:
    model, n = route.fit.model, route.n_clusters
    name = f"{name}/model"
    match model:
        case NearestRow():
            rows = _numbers(name, model.rows, (None, k))
            labels = _numbers(f"{name}/labels", model.labels, (len(rows),), _INTEGER)
            _within(f"{name}/labels", labels, n, least=-1)
        case Mixture():
            _numbers(name, model.means, (n, k))
            _numbers(name, model.covariances, (n, k, k))
            _numbers(name, model.shares, (n,))
        case NearestMean():
            _numbers(name, model.means, (n, k))
        case Bands():
            _numbers(name, model.thresholds, (max(0, n - 1),))


def _check_branches(name: str, tree: Branches, n_clusters: int) -> None:
    n = len(np.atleast_1d(tree.parent))
    for part in ("parent", "size", "cluster"):
        _numbers(f"{name}/{part}", getattr(tree, part), (n,), _INTEGER)
    for part in ("birth", "death", "delta"):
        _numbers(f"{name}/{part}", getattr(tree, part), (n,))
    if not n or tree.parent[0] != -1 or (tree.parent[1:] >= np.arange(1, n)).any():
        raise AnalysisError(f"{name}/parent does not name parents before their children.")
    _within(f"{name}/parent", tree.parent[1:], n)
    _within(f"{name}/cluster", tree.cluster, n_clusters, least=-1)
    if tree.size.min() < 1:
        raise AnalysisError(f"{name}/size holds a branch without rows.")


def _check_checks(name: str, checks: Checks, n: int) -> None:
    n_lags = len(np.atleast_1d(checks.lags))
    shapes = {
        **dict.fromkeys(("low", "high", "effective", "imbalance", "seen_imbalance"), (n, n)),
        "timescales": (n_lags, max(0, n - 1)),
        **dict.fromkeys(("stay", "predicted_stay"), (n_lags, n)),
        **dict.fromkeys(("residence", "early", "late", "drift", "seen_drift"), (n,)),
        "merge_cuts": (2,),
        "merge_support": (1,),
        "merge_exits": (1,),
    }
    for part, shape in shapes.items():
        _numbers(f"{name}/checks/{part}", getattr(checks, part), shape, finite=False)
    for part in ("few_events", "slow"):
        _numbers(f"{name}/checks/{part}", getattr(checks, part), (n, n), _BOOL)
    _numbers(f"{name}/checks/events", checks.events, (n, n), _INTEGER)
    _numbers(f"{name}/checks/exits", checks.exits, (n,), _INTEGER)
    lags = _numbers(f"{name}/checks/lags", checks.lags, (n_lags,), _INTEGER)
    if not n_lags or (np.diff(lags, prepend=0) <= 0).any():
        raise AnalysisError(f"{name}/checks/lags do not increase.")


def _check_stays(name: str, stays: Stays, n: int) -> None:
    if stays.frames < 1 or stays.window < 1:
        raise AnalysisError(f"{name}/stays holds {stays.frames} frames, window {stays.window}.")
    undone = _numbers(f"{name}/stays/undone", stays.undone, (None,), finite=False)
    if len(undone) < stays.frames:
        raise AnalysisError(f"{name}/stays/undone holds {len(undone)} of {stays.frames} frames.")
    for part in ("left_low", "left_high", "raw", "short", "effective", "null", "structural"):
        _numbers(f"{name}/stays/{part}", getattr(stays, part), (n,), finite=False)
    _numbers(f"{name}/stays/slow", stays.slow, (n,), _BOOL)
    for part in ("low", "high"):
        _within(
            f"{name}/stays/{part}",
            _numbers(f"{name}/stays/{part}", getattr(stays, part), (n, n)),
            1.0,
        )
    counts = _numbers(f"{name}/stays/counts", stays.counts, (n, n), _INTEGER)
    _within(f"{name}/stays/counts", counts, np.iinfo(np.int64).max)


def _numbers(
    name: str,
    value: Any,
    shape: tuple[int | None, ...],
    kinds: str = _FLOAT,
    *,
    finite: bool = True,
) -> Any:
    """Return the value as an array; raise if shape (None: any length) or kind differs."""
    array = np.asarray(value)
    fits = array.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds:
        kind = {_INTEGER: "integers", _FLOAT: "floating-point numbers", _BOOL: "booleans"}[kinds]
        wanted = " × ".join("any" if length is None else str(length) for length in shape)
        raise AnalysisError(
            f"{name} holds {array.dtype} of shape {array.shape}, expected {wanted} {kind}."
        )
    if finite and kinds == _FLOAT and not np.isfinite(array).all():
        raise AnalysisError(f"{name} holds a number that is not finite.")
    return array


def _within(name: str, values: Any, most: float, least: float = 0) -> None:
    """Raise for a value below `least` or above `most` (reached by floating-point numbers only)."""
    top = most if values.dtype.kind == "f" else most - 1
    if values.size and (values.min() < least or values.max() > top):
        raise AnalysisError(
            f"{name} holds {values.min()} to {values.max()}, expected {least} to {top}."
        )


def _expect(name: str, value: Any, kind: Any) -> None:
    if not isinstance(value, kind):
        raise AnalysisError(f"{name} is {value!r}.")
