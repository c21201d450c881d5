"""The whole analysis on one screen: observe, fit, label, judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .config import AnalysisConfig
from .environments.clustering import cluster_environments, cluster_lens
from .environments.description import describe_environments
from .environments.pieces import pieces_of_equal_delta
from .environments.reduction import Moments
from .errors import AnalysisError
from .findings import ATTENTION, Finding, of_route
from .judgement import judge
from .kinetics.fast import fast_environments
from .provenance import describe_origin, describe_recording
from .recording import Recording
from .results import AnalysisResult, Fit
from .routes import ROUTES, Route
from .routes.fitting import checked, fit_route, label_route
from .routes.reducing import project_rows, reduce_rows
from .scans.interval_scan import interval_scan
from .scans.intervals import advise
from .scans.mixtures import mixture_scan
from .scans.weights import weight_scan
from .signal.frames import usual_spacing
from .signal.observations import Observations, observe
from .work import MapChunks, Progress, Work

__all__ = ["analyse", "fit", "label"]

_NOT_OF_THE_FIT = {
    *("lag", "names", "scan_weights", "scan_intervals", "scan_windows", "scan_clusters"),
}
_FEW = 10  # frames: too few to leave some out


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
    config, work = config or AnalysisConfig(), Work(progress, map_chunks)
    observed = _observe(recording, config, work)
    fitted = _fit(observed, config, work)
    routes = _check(fitted.routes, observed, config, work)
    scans, found = _scan(recording, observed, fitted.moments, routes, config, work)
    found = [*observed.findings, *fitted.findings, *found]
    return _conclude(recording, observed, routes, config, work, found, **scans)


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
    config, work = config or AnalysisConfig(), Work(progress, map_chunks)
    observed = _observe(recording, config, work)
    routes = _fit(observed, config, work).routes
    fits = {name: route.fit for name, route in routes.items()}
    return Fit(fits, config, str(recording.path), describe_recording(observed.recording))


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
    config, work = config or fit.config, Work(progress, map_chunks)
    _check_settings(fit, config)
    observed = _observe(recording, config, work)
    _check_descriptors(fit, observed.recording)
    pcas = {name: each.pca for name, each in fit.routes.items() if each.pca is not None}
    rows = project_rows(observed, pcas, work)
    routes = {}
    for name in ROUTES:
        with work.stage(f"clusters of {name}"):
            routes[name] = label_route(fit[name], observed.smoothed, rows[name], config)
    routes = _check(routes, observed, config, work)
    return _conclude(
        recording, observed, routes, config, work, [*observed.findings], model=fit.source
    )


def _observe(recording: Recording, config: AnalysisConfig, work: Work) -> Observations:
    with work.stage("lens"):
        return observe(recording, config, work)


@dataclass(frozen=True)
class _Fitted:
    """The fitted frames along the three routes, the moments of χ, and what the fit found."""

    routes: dict[str, Route]
    moments: Moments
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
    return _Fitted(routes, moments, found)


def _check(
    routes: Mapping[str, Route], observed: Observations, config: AnalysisConfig, work: Work
) -> dict[str, Route]:
    found = {}
    for name, route in routes.items():
        with work.stage(f"checks of {name}"):
            found[name] = checked(route, observed.smoothed.values, config)
    return found


def _scan(
    recording: Recording,
    observed: Observations,
    moments: Moments,
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    work: Work,
) -> tuple[dict[str, Any], list[Finding]]:
    """Repeat the analysis where the settings ask for it; return the points and what they say."""
    scans: dict[str, Any] = {}
    found: list[Finding] = []
    if config.scan_weights:
        with work.stage("weights of LENS"):
            scans["weight_scan"] = weight_scan(
                observed.data, moments, routes, config, work.map_chunks
            )
    if config.scan_clusters:
        with work.stage("numbers of clusters"):
            scans["mixture_scan"], skipped = mixture_scan(
                routes["soap_lens"], observed.smoothed, config
            )
            found += skipped
    if config.scan_intervals or config.scan_windows:
        with work.stage("intervals of LENS"):
            points, skipped = interval_scan(recording, observed, routes, config, work)
        scans["interval_scan"] = points
        found += [*skipped, advise(points, config)]
    elif len(observed.recording.steps) > _FEW:
        fast = fast_environments(routes["soap_lens"].final, routes["lens"].scores[..., 0])
        if not fast.any():
            spacing = usual_spacing(observed.recording.times)
            found.append(Finding("nothing_fast", ATTENTION, values={"interval": spacing}))
    return scans, found


def _conclude(
    recording: Recording,
    observed: Observations,
    routes: dict[str, Route],
    config: AnalysisConfig,
    work: Work,
    found: list[Finding],
    model: str | None = None,
    **scans: Any,
) -> AnalysisResult:
    """Describe the environments, judge the numbers, and put everything together."""
    labels = {name: (route.final.labels, route.final.n_clusters) for name, route in routes.items()}
    with work.stage("description"):
        frames = observed.smoothed.frames
        descriptions = describe_environments(observed.recording, frames, labels, work.map_chunks)
    judged = judge(
        routes,
        config,
        n_taken=len(observed.recording.steps),
        flicker_share=observed.flicker_share,
        labelled=model is not None,
    )
    return AnalysisResult(
        routes=routes,
        config=config,
        delta=observed.delta,
        findings=(*found, *judged),
        descriptions=descriptions,
        flicker_share=observed.flicker_share,
        provenance=describe_origin(recording, observed.recording, config.seed)
        | ({} if model is None else {"model": model}),
        timings=work.seconds,
        **scans,
    )


def _check_settings(fit: Fit, config: AnalysisConfig) -> None:
    """Raise where the settings are not those of the fit."""
    fitted, asked = fit.config.as_dict(), config.as_dict()
    for name in fitted.keys() - _NOT_OF_THE_FIT:
        if fitted[name] != asked[name]:
            raise AnalysisError(
                f"the fit was made with {name} = {fitted[name]}, the settings say "
                f"{asked[name]}: leave them out (but for lag and names), or fit anew."
            )


def _check_descriptors(fit: Fit, recording: Recording) -> None:
    """Raise where the frames were recorded otherwise than those of the fit."""
    pca = fit["soap"].pca
    found, expected = np.shape(recording.soap(0))[1], 0 if pca is None else len(pca.mean)
    if found != expected:
        raise AnalysisError(
            f"the fit is for spectra of {expected} components, the buffer holds {found}: "
            "both must be recorded with the same elements, n_max and l_max."
        )
    here = describe_recording(recording)
    if fit.recording not in ("", here):
        raise AnalysisError(
            f"the fit is of a recording with {fit.recording}; this one has {here}: "
            "a fit labels frames that were recorded alike."
        )
