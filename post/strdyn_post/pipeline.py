"""The whole analysis on one screen: observe, fit, label, judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from strdyn_live.models import Labels

from .config import AnalysisConfig
from .environments.clustering import cluster_environments, cluster_lens
from .environments.description import depth_series, describe_environments
from .environments.pieces import pieces_of_equal_delta
from .environments.reduction import Moments
from .findings import Finding, of_route
from .judgement import judge
from .kinetics.event_model import EventModel
from .kinetics.foretelling import fit_events, foretell
from .kinetics.origin import Origin, find_origin
from .provenance import (
    check_descriptors,
    check_settings,
    describe_origin,
    describe_recording,
)
from .recording import Recording
from .results import AnalysisResult, Fit
from .routes import ROUTES, Route
from .routes.fitting import checked, fit_route, label_route
from .routes.nulls import Nulls
from .routes.reducing import project_rows, reduce_rows
from .routes.staying import stays_of
from .scans.null_runs import find_nulls
from .scans.repeat import repeat
from .signal.observations import Observations, observe
from .signal.regular import regular_frames
from .signal.stored import require_spectra, stored_spectra
from .work import MapChunks, Progress, Work

__all__ = ["analyse", "fit", "label"]


def analyse(
    recording: Recording,
    config: AnalysisConfig | None = None,
    *,
    progress: Progress | None = None,
    map_chunks: MapChunks = map,
) -> AnalysisResult:
    """Analyse a recording along the three routes SOAP, LENS and SOAP&LENS: fit, then label.

    Crippa et al., Mach. Learn.: Sci. Technol. 4, 045044 (2023). All routes use the same frames,
    those for which χ exists, and the same parameters.

    Parameters
    ----------
    recording : Recording
        Such as `strdyn_live.open_buffer` returns.
    config : AnalysisConfig, optional
        Settings; by default those of the paper's Cu(211).
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    map_chunks : callable
        ``map``, or one of its kind that returns results in order: the `map` of an executor (of
        Dask: ``client.get_executor(pure=False).map``) spreads the chunks of the recording over its
        workers. The results are the same, bit for bit.

    Returns
    -------
    AnalysisResult

    Raises
    ------
    AnalysisError
        If the recording holds too little to analyse; the message says what is missing.
    """
    recording = regular_frames(recording)
    config, work = config or AnalysisConfig(), Work(progress, map_chunks)
    observed = _observe(recording, config, work)
    fitted = _fit(observed, config, work)
    routes = _check(fitted.routes, observed, config, work)
    scans, found = repeat(recording, observed, fitted.moments, routes, config, work)
    with work.stage("nulls"):
        nulls = find_nulls(observed.data, fitted.moments, routes, config, work.map_chunks)
    found = [*observed.findings, *fitted.findings, *found]
    return _conclude(
        recording,
        observed,
        routes,
        config,
        work,
        found,
        event_model=fitted.event_model,
        nulls=nulls,
        **scans,
    )


def fit(
    recording: Recording,
    config: AnalysisConfig | None = None,
    *,
    progress: Progress | None = None,
    map_chunks: MapChunks = map,
) -> Fit:
    """Learn components, clusters and merging from a recording, to label other frames with them.

    Parameters
    ----------
    recording, config, progress, map_chunks
        As of `analyse`.

    Returns
    -------
    Fit
        Also had from a finished analysis, as ``result.fit``.
    """
    recording = regular_frames(recording)
    config, work = config or AnalysisConfig(), Work(progress, map_chunks)
    observed = _observe(recording, config, work)
    fitted = _fit(observed, config, work)
    fits = {name: route.fit for name, route in fitted.routes.items()}
    described = describe_recording(observed.recording)
    return Fit(fits, config, str(recording.path), described, fitted.event_model)


def label(
    fit: Fit,
    recording: Recording,
    config: AnalysisConfig | None = None,
    *,
    progress: Progress | None = None,
    map_chunks: MapChunks = map,
) -> AnalysisResult:
    """Label frames with the components, clusters and merging of a fit.

    Parameters
    ----------
    fit : Fit
        Of `fit`, or ``result.fit``.
    recording, progress, map_chunks
        As of `analyse`.
    config : AnalysisConfig, optional
        Those of the fit; `lag` and `names` may differ.

    Returns
    -------
    AnalysisResult
        `Route.far` says where the fit does not apply.

    Raises
    ------
    AnalysisError
        If frames or settings are not those that the fit is for.
    """
    recording = regular_frames(recording)
    config, work = config or fit.config, Work(progress, map_chunks)
    check_settings(fit, config)
    observed = _observe(recording, config, work)
    check_descriptors(fit, observed.recording)
    pcas = {name: each.pca for name, each in fit.routes.items() if each.pca is not None}
    rows = project_rows(observed, pcas, work)
    routes = {}
    for name in ROUTES:
        with work.stage(f"clusters of {name}"):
            routes[name] = label_route(fit[name], observed.smoothed, rows[name], config)
    routes = _check(routes, observed, config, work)
    return _conclude(
        recording,
        observed,
        routes,
        config,
        work,
        [*observed.findings],
        model=fit.source,
        event_model=fit.event_model,
    )


def _observe(recording: Recording, config: AnalysisConfig, work: Work) -> Observations:
    require_spectra(recording)
    with work.stage("lens"):
        return observe(recording, config, work)


@dataclass(frozen=True)
class _Fitted:
    """The fitted frames along the three routes, the moments of χ, and what the fit found."""

    routes: dict[str, Route]
    moments: Moments
    event_model: EventModel | None
    findings: list[Finding]


def _fit(observed: Observations, config: AnalysisConfig, work: Work) -> _Fitted:
    """Find components, clusters and merging of the rows observed."""
    moments, pcas = reduce_rows(observed, config, work)
    rows = project_rows(observed, pcas, work)
    delta, routes, found = observed.smoothed, {}, []
    for name in ROUTES:
        with work.stage(f"clusters of {name}"):
            if name == "lens":
                clusters = cluster_lens(rows[name].scores, config)
            else:
                clusters = cluster_environments(rows[name].scores, config, delta.values.ravel())
            routes[name] = fit_route(name, delta, rows[name], pcas.get(name), clusters, config)
            found += of_route(clusters.findings, name)
    if config.method == "hdbscan":
        chi, n_of_soap = routes["soap_lens"], routes["soap"].n_clusters
        pieces = pieces_of_equal_delta(chi.labels, delta.values, chi.n_clusters, n_of_soap)
        found += of_route(pieces, "soap_lens")
    with work.stage("events"):
        soap = routes["soap"]
        event_model = fit_events(observed.events, soap.frames, soap.scores, config.seed)
    return _Fitted(routes, moments, event_model, found)


def _check(
    routes: Mapping[str, Route], observed: Observations, config: AnalysisConfig, work: Work
) -> dict[str, Route]:
    found = {}
    for name, route in routes.items():
        with work.stage(f"checks of {name}"):
            stays = stays_of(route, observed.delta, observed.smoothed, config)
            found[name] = checked(replace(route, stays=stays), observed.smoothed.values, config)
    return found


def _conclude(
    recording: Recording,
    observed: Observations,
    routes: dict[str, Route],
    config: AnalysisConfig,
    work: Work,
    found: list[Finding],
    model: str | None = None,
    nulls: Nulls | None = None,
    **scans: Any,
) -> AnalysisResult:
    """Describe the environments, judge the numbers, and put everything together."""
    labels = {name: (route.final.labels, route.final.n_clusters) for name, route in routes.items()}
    with work.stage("description"):
        frames = observed.smoothed.frames
        descriptions = describe_environments(observed.recording, frames, labels, work.map_chunks)
    with work.stage("origin"):
        origin = _origin(observed, labels, work)
        foretelling = foretell(
            observed.events, frames, routes["soap"].scores, labels["soap"], config.seed
        )
    judged = judge(
        routes,
        config,
        origin=origin,
        foretelling=foretelling,
        n_taken=len(observed.recording.steps),
        flicker_share=observed.events.flicker_share,
        labelled=model is not None,
        nulls=nulls,
    )
    soap = routes["soap"]
    if soap.fit.pca is not None:
        variances = soap.fit.pca.explained_variance
        found = [*found, *stored_spectra(recording, variances, soap.n_components)]
    return AnalysisResult(
        routes=routes,
        config=config,
        delta=observed.delta,
        findings=(*found, *judged),
        descriptions=descriptions,
        origin=origin,
        foretelling=foretelling,
        nulls=nulls,
        flicker_share=observed.events.flicker_share,
        provenance=describe_origin(recording, observed.recording, config.seed)
        | ({} if model is None else {"model": model}),
        timings=work.seconds,
        **scans,
    )


def _origin(observed: Observations, labels: Mapping[str, tuple[Labels, int]], work: Work) -> Origin:
    """Find in which structure the lasting changes of neighbors begin."""
    events, data = observed.events, observed.data
    counts = events.n_neighbors[np.searchsorted(events.frames.steps, data.delta.frames.steps)]
    depth = depth_series(observed.recording, data.frames, counts, work.map_chunks)
    return find_origin(events, data.delta.frames, labels["soap"], labels["lens"], depth)
