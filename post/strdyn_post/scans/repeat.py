"""All repetitions that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.reduction import Moments
from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.kinetics.fast import fast_environments
from strdyn_post.recording import Recording
from strdyn_post.routes import Route
from strdyn_post.signal.frames import usual_spacing
from strdyn_post.signal.observations import Observations
from strdyn_post.work import Work

from .cluster_sizes import cluster_size_scan
from .interval_scan import interval_scan
from .intervals import advise
from .mixtures import mixture_scan
from .weights import weight_scan

__all__ = ["repeat"]

_FEW = 10  # frames: too few to leave some out


def repeat(
    recording: Recording,
    observed: Observations,
    moments: Moments,
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    work: Work,
) -> tuple[dict[str, Any], list[Finding]]:
    """Repeat the analysis where the settings ask for it.

    Parameters
    ----------
    recording : Recording
        With all frames that were recorded.
    observed : Observations
        Of the analysis.
    moments : Moments
        Of its rows of χ.
    routes : mapping of str to Route
        Of the analysis.
    config : AnalysisConfig
        `scan_weights`, `scan_cluster_sizes`, `scan_clusters`, `scan_intervals`, `scan_windows`.
    work : Work
        Maps the chunks.

    Returns
    -------
    points : dict
        ``weight_scan``, ``cluster_size_scan``, ``mixture_scan``, ``interval_scan`` of
        `AnalysisResult`, if asked for.
    found : list of Finding
        What could not be tried, and what the intervals advise.
    """
    scans: dict[str, Any] = {}
    found: list[Finding] = []
    if config.scan_weights:
        with work.stage("weights of LENS"):
            scans["weight_scan"] = weight_scan(
                observed.data, moments, routes, config, work.map_chunks
            )
    if config.scan_cluster_sizes:
        with work.stage("sizes of clusters"):
            scans["cluster_size_scan"], judged = cluster_size_scan(
                routes, observed.smoothed, config
            )
            found += judged
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
