"""The whole analysis on one screen."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import strdyn_live

from .config import AnalysisConfig
from .environments.clustering import cluster_environments, cluster_lens
from .environments.reduction import Moments, Pca, fit_pcas, project
from .kinetics.checks import check_route, few_values_warning
from .palette import is_fast
from .progress import Clock, Progress
from .results import ROUTES, AnalysisResult, MixturePoint, Route, WeightPoint
from .routes import far_warnings, fit_route, label_route, never_merged
from .scans.interval_scan import interval_scan
from .scans.intervals import IntervalPoint, advise, time_text
from .scans.scans import mixture_scan, weight_scan
from .signal.dataset import Dataset
from .signal.every_nth import every_nth, left_out
from .signal.flicker import flicker_share
from .signal.lens_series import lens_series
from .signal.series import AnalysisError, find_stretches
from .signal.smoothing import smooth

__all__ = ["analyse"]

_NOT_OF_THE_FIT = {
    "lag",
    "names",
    "scan_clusters",
    "scan_intervals",
    "scan_weights",
    "scan_windows",
}


def analyse(
    buffer: Any,
    config: AnalysisConfig | None = None,
    progress: Progress | None = None,
    map_chunks: Callable[..., Iterable[Any]] = map,
    model: AnalysisResult | None = None,
) -> AnalysisResult:
    """Analyse a buffer along the three routes SOAP, LENS and SOAP&LENS.

    Crippa et al., Mach. Learn.: Sci. Technol. 4, 045044 (2023). All routes use the same frames,
    those for which χ exists, and the same parameters.

    Parameters
    ----------
    buffer : Buffer
        Of `strdyn_live.open_buffer`.
    config : AnalysisConfig, optional
        Settings; by default those of the paper's Cu(211), or of `model`.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    map_chunks : callable
        ``map``, or one of its kind that returns results in order: the `map` of an executor (of
        Dask: ``client.get_executor(pure=False).map``) spreads the chunks of the buffer over its
        workers. The results are the same, bit for bit.
    model : AnalysisResult, optional
        Label the frames with the components, clusters and merging of this result instead of
        fitting new ones. `Route.far` tells where they do not apply.

    Returns
    -------
    AnalysisResult

    Raises
    ------
    AnalysisError
        If the buffer holds too little to analyse; the message says what is missing.
    """
    config = config or (model.config if model else AnalysisConfig())
    if model is not None and "model" in model.provenance:
        raise AnalysisError(
            "the model was itself labelled by a model: give the results of the fit, those of "
            f"{model.provenance['model']}."
        )
    recorded, buffer = buffer, every_nth(buffer, config.stride)
    if model is not None:
        _check_model(model, buffer, config)
    clock = Clock(progress)
    with clock("lens"):
        delta = lens_series(buffer, map_chunks)
        smoothed, warnings = smooth(delta, config)
        flickers = flicker_share(buffer, map_chunks)
    data = Dataset.join(buffer, smoothed)
    n_chunks = len(data.chunks())

    with clock("pca", n_chunks):
        if model is None:
            origin = data.read(slice(0, 1)).mean(axis=0)
            parts = data.map(partial(Moments.of, origin=origin), map_chunks)
            moments = Moments.sum(clock.watch(parts))
            pcas = fit_pcas(moments, config)
        else:
            pcas = _pcas_of(model, buffer)
    with clock("scores", n_chunks):
        chunks = list(clock.watch(data.map(partial(project, pcas), map_chunks)))
        scores, residuals = (
            {name: np.concatenate([chunk[name][k] for chunk in chunks]) for name in pcas}
            for k in (0, 1)
        )
        scores["lens"] = smoothed.values.reshape(-1, 1).astype(np.float32)

    routes = {}
    for name in ROUTES:
        with clock(f"clusters of {name}"):
            rows = scores[name], residuals.get(name)
            if model is None:
                if name == "lens":
                    clusters = cluster_lens(rows[0], config)
                else:
                    clusters = cluster_environments(rows[0], config, smoothed.values.ravel())
                route = fit_route(name, smoothed, rows, pcas.get(name), clusters, config)
                warnings += [f"{name}: {text}" for text in clusters.warnings]
            else:
                route = label_route(model[name], smoothed, rows, config)
                warnings += far_warnings(route)
        with clock(f"checks of {name}"):
            apart = never_merged(name, route.labels, smoothed.values, route.n_clusters, config)
            checks, texts = check_route(route, config, apart)
            routes[name] = replace(route, checks=checks)
            warnings += [f"{name}: {text}" for text in texts]
    if config.method == "hdbscan" and model is None:
        text = few_values_warning(routes["soap_lens"], routes["soap"], smoothed.values)
        warnings += [] if text is None else [f"soap_lens: {text}"]
    scan: tuple[WeightPoint, ...] = ()
    if config.scan_weights and model is None:
        with clock("weights of LENS"):
            scan = weight_scan(data, moments, routes, config, map_chunks)
    mixtures: tuple[MixturePoint, ...] = ()
    if config.scan_clusters and model is None:
        with clock("numbers of clusters"):
            mixtures, texts = mixture_scan(routes["soap_lens"], smoothed, config)
            warnings += texts
    intervals: tuple[IntervalPoint, ...] = ()
    if (config.scan_intervals or config.scan_windows) and model is None:
        with clock("intervals of LENS"):
            intervals, texts = interval_scan(recorded, routes, delta, flickers, config, map_chunks)
            warnings += texts
    if model is None:
        warnings += _interval_warnings(buffer, routes, intervals, config)
    return AnalysisResult(
        routes=routes,
        config=config,
        delta=delta,
        weight_scan=scan,
        interval_scan=intervals,
        mixture_scan=mixtures,
        flicker_share=flickers,
        provenance=_provenance(recorded, buffer, config) | _provenance_of(model),
        warnings=[*_gap_warnings(buffer), *left_out(buffer), *warnings],
        timings=clock.seconds,
    )


def _pcas_of(model: AnalysisResult, buffer: Any) -> dict[str, Pca]:
    pcas = {name: route.pca for name, route in model.routes.items() if route.pca is not None}
    found, expected = np.shape(buffer.soap(0))[1], len(pcas["soap"].mean)
    if found != expected:
        raise AnalysisError(
            f"the model is for spectra of {expected} components, the buffer holds {found}: "
            "both must be recorded with the same elements, n_max and l_max."
        )
    return pcas


def _check_model(model: AnalysisResult, buffer: Any, config: AnalysisConfig) -> None:
    """Raise where frames or settings are not those that the model was fitted with."""
    fitted, asked = model.config.as_dict(), config.as_dict()
    for name in fitted.keys() - _NOT_OF_THE_FIT:
        if fitted[name] != asked[name]:
            raise AnalysisError(
                f"the model was fitted with {name} = {fitted[name]}, the settings say "
                f"{asked[name]}: leave them out (but for lag), or fit anew without the model."
            )
    expected, found = model.provenance.get("recording"), _recording(buffer)
    if expected not in (None, found):
        raise AnalysisError(
            f"the model was fitted to a recording with {expected}; this one has {found}: "
            "a model labels frames that were recorded alike."
        )


def _recording(buffer: Any) -> str:
    """Say in words what descriptors of two recordings must have in common."""
    config = buffer.config
    spacing = float(np.median(np.diff(buffer.times))) if len(buffer.times) > 1 else 0.0
    return (
        f"SOAP of {' '.join(config.species)} (r_cut {config.r_cut:g}, n_max {config.n_max}, "
        f"l_max {config.l_max}, sigma {config.sigma:g}), LENS within {config.lens_r_cut:g}, "
        f"a frame every {spacing:g} time units"
    )


def _gap_warnings(buffer: Any) -> list[str]:
    """Name the gaps: nothing is compared or counted across them."""
    steps = np.asarray(buffer.steps)
    stretches, interval = find_stretches(steps, buffer.times)
    gaps = np.flatnonzero(np.diff(stretches))
    if not len(gaps):
        return []
    unequal = np.diff(steps) == interval
    named = ", ".join(
        f"{steps[k]} to {steps[k + 1]}" + (" (the timestep was changed)" if unequal[k] else "")
        for k in gaps[:5]
    )
    more = f" and {len(gaps) - 5} more" if len(gaps) > 5 else ""
    return [
        f"frames follow each other every {interval} steps, except from step {named}{more}: "
        "no LENS, no smoothing and no transitions across."
    ]


def _interval_warnings(
    buffer: Any,
    routes: dict[str, Route],
    scan: tuple[IntervalPoint, ...],
    config: AnalysisConfig,
) -> list[str]:
    """Say if δ shows no atoms that move, and what would."""
    units = getattr(buffer, "units", None)
    if scan:
        advice = advise(scan, config, units)
        return [] if advice.fine else [advice.text]
    # a scan needs frames to leave out
    if is_fast(routes["soap_lens"], routes["lens"]).any() or len(buffer.steps) <= 10:
        return []
    spacing = time_text(float(np.median(np.diff(buffer.times))), units)
    return [
        f"no environment of SOAP & LENS is fast: δ of moving atoms does not stand out of thermal "
        f"flicker at {spacing}, or no atom moves on. scan_intervals = [1, 2, 5, 10] tells which "
        "distance of frames would show them."
    ]


def _provenance(buffer: Any, analysed: Any, config: AnalysisConfig) -> dict[str, Any]:
    steps = np.asarray(buffer.steps)
    packages = ("numpy", "scipy", "scikit-learn", "hdbscan", "fast_plscan")
    return {
        "buffer": str(Path(getattr(buffer, "path", "")).absolute()),
        "buffer_uuid": str(buffer.uuid),
        "recording": _recording(analysed),
        "n_frames": len(steps),
        "n_frames_taken": len(analysed.steps),
        "n_atoms": len(buffer.atom_ids),
        "first_step": int(steps[0]),
        "last_step": int(steps[-1]),
        "generations": sorted(getattr(buffer, "generations", {})),
        "seed": config.seed,
        "strdyn_live": strdyn_live.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _provenance_of(model: AnalysisResult | None) -> dict[str, Any]:
    return {} if model is None else {"model": model.provenance["buffer"]}
