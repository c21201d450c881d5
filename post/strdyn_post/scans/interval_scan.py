"""The analysis again at other Δt and other smoothing windows: which shows atoms that move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments
from strdyn_post.errors import AnalysisError
from strdyn_post.findings import ATTENTION, Finding, of_kind
from strdyn_post.kinetics.enrichment import find_sites
from strdyn_post.kinetics.fast import fast_environments
from strdyn_post.recording import Recording
from strdyn_post.routes import Route
from strdyn_post.routes.fitting import Rows, fit_route
from strdyn_post.routes.identities import match_environments
from strdyn_post.routes.reducing import project_rows, reduce_rows
from strdyn_post.signal.frames import usual_spacing
from strdyn_post.signal.observations import Observations, observe
from strdyn_post.work import Work

from .intervals import IntervalPoint

__all__ = ["comparable_size", "interval_scan"]

_SMALLEST = 20  # rows of a cluster


def interval_scan(
    recording: Recording,
    observed: Observations,
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    work: Work,
) -> tuple[tuple[IntervalPoint, ...], list[Finding]]:
    """Repeat SOAP and SOAP&LENS at `scan_intervals`, and at `scan_windows`.

    Parameters
    ----------
    recording : Recording
        With all frames that were recorded.
    observed : Observations
        Of the analysis.
    routes : mapping of str to Route
        Of the analysis: the point in use.
    config : AnalysisConfig
        Everything but the interval and the window; for `min_cluster_size` see
        `comparable_size`.
    work : Work
        Maps the chunks.

    Returns
    -------
    points : tuple of IntervalPoint
        By increasing Δt and window, that in use among them.
    found : list of Finding
        What could not be tried.
    """
    work = Work(map_chunks=work.map_chunks)  # the stages are those of the analysis
    used = (config.stride, config.smoothing_window)
    asked = {(stride, config.smoothing_window) for stride in config.scan_intervals}
    asked |= {(config.stride, window) for window in config.scan_windows} | {used}
    spacing = usual_spacing(recording.times)
    points, skipped = [], []
    for stride, window in sorted(asked):
        settings = replace(
            config,
            stride=stride,
            smoothing_window=window,
            min_cluster_size=comparable_size(config, stride),
        )
        try:
            if (stride, window) == used:
                seen, soap, chi = observed, routes["soap"], routes["soap_lens"]
            else:
                known = observed if stride == config.stride else None
                seen = observe(recording, settings, work, known)
                soap, chi = _fit(seen, settings, work)
        except AnalysisError as error:
            values = {"stride": stride, "window": window, "reason": str(error)}
            skipped.append(Finding("scan_skipped", ATTENTION, values=values))
            continue
        delta = seen.smoothed.values.astype(np.float32)
        flickers, interval = seen.events.flicker_share, stride * spacing
        points.append(_point(soap, chi, delta, flickers, interval, settings, routes["soap"]))
    return tuple(points), skipped


def comparable_size(config: AnalysisConfig, stride: int) -> int:
    """Return the `min_cluster_size` that is the same share of the rows at another stride.

    Not below 20, unless it was before. Tried on Cu(211) at 1000 K, frames 8 and 10 ps apart: with
    80 rows the fast atoms are not found at 8 ps, with 15 to 40 they are, and with 8 or 10 the
    structure breaks into 37 and 15 environments instead of 4 to 7.
    """
    size = config.min_cluster_size
    return max(min(size, _SMALLEST), round(size * config.stride / stride))


def _fit(observed: Observations, config: AnalysisConfig, work: Work) -> tuple[Route, Route]:
    """Return SOAP and SOAP&LENS as an analysis with these settings finds them."""
    for short in of_kind(observed.findings, "short_run"):
        raise AnalysisError(
            f"The longest stretch without a gap has {short.values['longest']} values of LENS, "
            f"smoothing_window = {config.smoothing_window} needs as many as its frames."
        )
    _, pcas = reduce_rows(observed, config, work)
    rows = project_rows(observed, pcas, work)
    soap, chi = (
        fit_route(
            name,
            observed.smoothed,
            Rows(rows[name].scores),
            pca,
            cluster_environments(rows[name].scores, config),
            config,
        )
        for name, pca in pcas.items()
    )
    return soap, chi


def _point(
    soap: Route,
    chi: Route,
    delta: NDArray[np.float32],
    flickers: float,
    interval: float,
    config: AnalysisConfig,
    reference: Route,
) -> IntervalPoint:
    low, median, high, top = np.quantile(delta, [0.05, 0.5, 0.95, 0.999]).tolist()
    fast = fast_environments(chi.final, delta)
    inside = np.isin(chi.final.labels, np.flatnonzero(fast))
    sites = find_sites(inside, soap.final.labels, soap.final.n_clusters)
    home = int(sites.shares.argmax()) if sites.shares.any() else -1
    return IntervalPoint(
        stride=config.stride,
        interval=interval,
        window=config.smoothing_window,
        min_cluster_size=config.min_cluster_size,
        n_rows=delta.size,
        delta_low=low,
        delta_median=median,
        delta_high=high,
        delta_top=top,
        flicker_share=flickers,
        soap_components=soap.n_components,
        chi_components=chi.n_components,
        soap_environments=soap.final.n_clusters,
        chi_environments=chi.final.n_clusters,
        n_fast=int(fast.sum()),
        fast_share=float(inside.mean()),
        fast_delta=float(delta[inside].mean()) if inside.any() else 0.0,
        fast_atoms=int(inside.any(axis=0).sum()),
        home=match_environments(soap, reference).get(home, -1),
        home_share=float(sites.expected[home]) if home >= 0 else 0.0,
        fast_at_home=float(sites.shares[home]) if home >= 0 else 0.0,
    )
