"""SOAP and SOAP&LENS with other smallest clusters: what appears and what disappears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments
from strdyn_post.environments.matching import match_labels
from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.routes import Route
from strdyn_post.routes.fitting import Rows, fit_route
from strdyn_post.signal.series import Series

__all__ = ["SizePoint", "cluster_size_scan"]

_CLUSTERED = ("soap", "soap_lens")


@dataclass(frozen=True)
class SizePoint:
    """The environments at one `min_cluster_size`, compared with those at the size in use.

    Attributes
    ----------
    min_cluster_size : int
    soap_clusters, chi_clusters : int
        Clusters of SOAP and of SOAP&LENS, before merging.
    soap_noise, chi_noise : float
        Share of noise.
    soap_kept, chi_kept : tuple of float
        For every environment at the size in use: the share of all observations in the environment
        that corresponds to it; 0 if there is none.
    soap_new, chi_new : int
        Number of environments that correspond to none at the size in use.
    soap_new_share, chi_new_share : float
        Share of all observations in these.
    """

    min_cluster_size: int
    soap_clusters: int
    chi_clusters: int
    soap_noise: float
    chi_noise: float
    soap_kept: tuple[float, ...]
    chi_kept: tuple[float, ...]
    soap_new: int
    chi_new: int
    soap_new_share: float
    chi_new_share: float


def cluster_size_scan(
    routes: Mapping[str, Route], delta: Series, config: AnalysisConfig
) -> tuple[tuple[SizePoint, ...], list[Finding]]:
    """Cluster SOAP and SOAP&LENS again with `scan_cluster_sizes`.

    Parameters
    ----------
    routes : mapping of str to Route
        With ``soap`` and ``soap_lens``: the point at `min_cluster_size`.
    delta : Series
        Smoothed δ of the same rows.
    config : AnalysisConfig
        Everything but the size.

    Returns
    -------
    points : tuple of SizePoint
        By increasing size.
    found : list of Finding
        For each route: whether all its environments are found at all sizes; empty if the size in
        use is the only one.
    """
    points = []
    for size in sorted({*config.scan_cluster_sizes, config.min_cluster_size}):
        at_size = replace(config, min_cluster_size=size)
        numbers: dict[str, object] = {}
        for name, prefix in zip(_CLUSTERED, ("soap", "chi"), strict=True):
            used = route = routes[name]
            if size != config.min_cluster_size:
                rows = route.scores.reshape(-1, route.n_components)
                clusters = cluster_environments(rows, at_size)
                route = fit_route(name, delta, Rows(rows), route.fit.pca, clusters, at_size)
            compared = _compare(route, used)
            numbers |= {f"{prefix}_{key}": value for key, value in compared.items()}
        points.append(SizePoint(size, **numbers))  # type: ignore[arg-type]
    found = [_judge(name, points) for name in _CLUSTERED if len(points) > 1]
    return tuple(points), found


def _compare(route: Route, used: Route) -> dict[str, object]:
    """Compare the environments at another size with those at the size in use."""
    shares = route.final.populations / route.final.labels.size
    n_here, n_used = route.final.n_clusters, used.final.n_clusters
    match = match_labels(route.final.labels, used.final.labels, n_here, n_used)
    kept = np.zeros(n_used)
    kept[match[match >= 0]] = shares[match >= 0]
    return {
        "clusters": route.n_clusters,
        "noise": float(route.fit.noise_share),
        "kept": tuple(kept.tolist()),
        "new": int((match < 0).sum()),
        "new_share": float(shares[match < 0].sum()),
    }


def _judge(name: str, points: list[SizePoint]) -> Finding:
    """Say which environments disappear at one of the sizes, and where."""
    kept = np.array([point.soap_kept if name == "soap" else point.chi_kept for point in points])
    sizes = [point.min_cluster_size for point in points]
    lost = np.flatnonzero((kept == 0).any(axis=0)).tolist()
    missing = [
        [size for size, share in zip(sizes, kept[:, k], strict=True) if not share] for k in lost
    ]
    return Finding(
        "cluster_sizes",
        ATTENTION if lost else FINE,
        name,
        environments=tuple(lost),
        values={"sizes": sizes, "missing": missing},
    )
