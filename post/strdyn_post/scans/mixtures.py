"""SOAP&LENS as a mixture of other numbers of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strdyn_live.models import predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clusters import possible_clusters
from strdyn_post.environments.mixtures import fit_mixtures
from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.routes import Route
from strdyn_post.signal.series import Series

__all__ = ["MixturePoint", "mixture_scan"]


@dataclass(frozen=True)
class MixturePoint:
    """SOAP&LENS as a mixture of so many Gaussians.

    Attributes
    ----------
    n_clusters : int
        Number of Gaussians.
    bic : float
        Bayesian information criterion of the likeliest of the fits; smaller is better.
    agreement : float
        Adjusted Rand index between this and the second likeliest fit; NaN for one start.
    fastest_share, fastest_delta : float
        Share of the observations in the cluster of largest mean δ, and that δ.
    """

    n_clusters: int
    bic: float
    agreement: float
    fastest_share: float
    fastest_delta: float


def mixture_scan(
    route: Route, delta: Series, config: AnalysisConfig
) -> tuple[tuple[MixturePoint, ...], list[Finding]]:
    """Fit SOAP&LENS with `scan_clusters` Gaussians, and with the number in use.

    Parameters
    ----------
    route : Route
        SOAP&LENS: the scores.
    delta : Series
        Smoothed δ of the same rows.
    config : AnalysisConfig
        `n_clusters`, `scan_clusters`, `n_init`, `max_fit_rows`, `seed`.

    Returns
    -------
    points : tuple of MixturePoint
        By increasing number.
    found : list of Finding
        Numbers that the rows do not allow.
    """
    rows = route.scores.reshape(-1, route.n_components)
    values = delta.values.ravel()
    points, skipped = [], []
    for n_clusters in sorted({*config.scan_clusters, config.n_clusters}):
        n_possible, _ = possible_clusters(rows, n_clusters)
        if n_possible < n_clusters:
            numbers = {"asked": n_clusters, "possible": n_possible}
            skipped.append(Finding("scan_clusters_skipped", ATTENTION, values=numbers))
            continue
        found = fit_mixtures(rows, n_clusters, config)
        labels = predict(found.best, rows)
        size = np.bincount(labels, minlength=n_clusters)
        mean = np.bincount(labels, values, n_clusters) / np.maximum(1, size)
        fastest = int(mean.argmax())
        points.append(
            MixturePoint(
                n_clusters=n_clusters,
                bic=found.bic,
                agreement=np.nan if found.agreement is None else found.agreement,
                fastest_share=float(size[fastest] / len(labels)),
                fastest_delta=float(mean[fastest]),
            )
        )
    return tuple(points), skipped
