"""The analysis again at other Δt and other smoothing windows: which shows atoms that move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments
from strdyn_post.environments.reduction import Moments, fit_pcas, project
from strdyn_post.kinetics.enrichment import find_sites
from strdyn_post.palette import fast_environments, match_environments
from strdyn_post.results import Route
from strdyn_post.routes import fit_route
from strdyn_post.signal.dataset import Dataset
from strdyn_post.signal.every_nth import every_nth
from strdyn_post.signal.flicker import flicker_share
from strdyn_post.signal.lens_series import lens_series
from strdyn_post.signal.series import AnalysisError, Series
from strdyn_post.signal.smoothing import smooth

from .intervals import IntervalPoint

__all__ = ["comparable_size", "interval_scan"]

_SMALLEST = 20  # rows of a cluster


def interval_scan(
    buffer: Any,
    routes: Mapping[str, Route],
    delta: Series,
    flickers: float,
    config: AnalysisConfig,
    map_chunks: Callable[..., Iterable[Any]] = map,
) -> tuple[tuple[IntervalPoint, ...], list[str]]:
    """Repeat SOAP and SOAP&LENS at `scan_intervals`, and at `scan_windows`.

    Parameters
    ----------
    buffer : Buffer
        With all frames that were recorded.
    routes : mapping of str to Route
        Of the analysis: the point in use.
    delta : Series
        δ of the analysis before smoothing.
    flickers : float
        `flicker_share` of the analysis.
    config : AnalysisConfig
        Everything but the interval and the window; for `min_cluster_size` see
        `comparable_size`.
    map_chunks : callable
        As in `analyse`.

    Returns
    -------
    points : tuple of IntervalPoint
        By increasing Δt and window, that in use among them.
    warnings : list of str
        What could not be tried.
    """
    used = (config.stride, config.smoothing_window)
    asked = {(stride, config.smoothing_window) for stride in config.scan_intervals}
    asked |= {(config.stride, window) for window in config.scan_windows} | {used}
    spacing = float(np.median(np.diff(buffer.times)))
    points, warnings = [], []
    for stride, window in sorted(asked):
        settings = replace(
            config,
            stride=stride,
            smoothing_window=window,
            min_cluster_size=comparable_size(config, stride),
        )
        try:
            if (stride, window) == used:
                found = routes["soap"], routes["soap_lens"], routes["lens"].scores[..., 0], flickers
            else:
                view, known = every_nth(buffer, stride), stride == config.stride
                raw = delta if known else lens_series(view, map_chunks)
                share = flickers if known else flicker_share(view, map_chunks)
                found = (*_fit(view, raw, settings, map_chunks), share)
        except AnalysisError as error:
            warnings.append(f"scan: stride {stride}, window {window} was not tried. {error}")
            continue
        points.append(_point(found, stride * spacing, settings, routes["soap"]))
    return tuple(points), warnings


def comparable_size(config: AnalysisConfig, stride: int) -> int:
    """Return the `min_cluster_size` that is the same share of the rows at another stride.

    Not below 20, unless it was before. Tried on Cu(211) at 1000 K, frames 8 and 10 ps apart: with
    80 rows the fast atoms are not found at 8 ps, with 15 to 40 they are, and with 8 or 10 the
    structure breaks into 37 and 15 environments instead of 4 to 7.
    """
    size = config.min_cluster_size
    return max(min(size, _SMALLEST), round(size * config.stride / stride))


def _fit(
    buffer: Any,
    raw: Series,
    config: AnalysisConfig,
    map_chunks: Callable[..., Iterable[Any]],
) -> tuple[Route, Route, NDArray[np.float32]]:
    """Return SOAP, SOAP&LENS and the smoothed δ, as `analyse` finds them."""
    delta, warnings = smooth(raw, config)
    if config.smoothing_window > 1 and delta is raw:
        raise AnalysisError(warnings[-1])
    data = Dataset.join(buffer, delta)
    origin = data.read(slice(0, 1)).mean(axis=0)
    moments = Moments.sum(data.map(partial(Moments.of, origin=origin), map_chunks))
    pcas = fit_pcas(moments, config)
    chunks = list(data.map(partial(project, pcas), map_chunks))
    soap, chi = (
        fit_route(name, delta, (scores, None), pca, cluster_environments(scores, config), config)
        for name, pca in pcas.items()
        for scores in [np.concatenate([chunk[name][0] for chunk in chunks])]
    )
    return soap, chi, delta.values.astype(np.float32)


def _point(
    found: tuple[Route, Route, NDArray[np.float32], float],
    interval: float,
    config: AnalysisConfig,
    reference: Route,
) -> IntervalPoint:
    soap, chi, delta, flickers = found
    low, median, high, top = np.quantile(delta, [0.05, 0.5, 0.95, 0.999]).tolist()
    fast = fast_environments(chi.final, delta)
    inside = np.isin(chi.final.labels, np.flatnonzero(fast))
    sites = find_sites(inside, soap.final.labels, soap.final.n_clusters, config.seed)
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
