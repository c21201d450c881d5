"""SOAP&LENS again at other weights of δ: whether the environments depend on the weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments
from strdyn_post.environments.reduction import Moments, Pca, project
from strdyn_post.routes import Route
from strdyn_post.routes.fitting import Rows, fit_route
from strdyn_post.signal.dataset import Dataset
from strdyn_post.work import MapChunks

__all__ = ["WeightPoint", "weight_scan"]


@dataclass(frozen=True)
class WeightPoint:
    """What SOAP&LENS becomes at one weight of δ.

    Attributes
    ----------
    weight : float
        Factor of δ in χ.
    lens_variance : float
        Share of δ in the variance of the data set.
    n_components, n_clusters, n_environments : int
        Components kept, clusters, environments after merging.
    agreement_with_soap, agreement_with_used : float
        Adjusted Rand index between the labels (after merging) and those of SOAP alone, and those
        at the weight in use.
    """

    weight: float
    lens_variance: float
    n_components: int
    n_clusters: int
    n_environments: int
    agreement_with_soap: float
    agreement_with_used: float


def weight_scan(
    data: Dataset,
    moments: Moments,
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    map_chunks: MapChunks = map,
) -> tuple[WeightPoint, ...]:
    """Repeat SOAP&LENS at `scan_weights`, and compare with the routes.

    The data set is read once more for all weights together: their moments follow from those at
    weight 1.

    Parameters
    ----------
    data : Dataset
        Rows of χ.
    moments : Moments
        Of these rows.
    routes : mapping of str to Route
        With ``soap`` and ``soap_lens``; the latter is the point at `lens_weight`.
    config : AnalysisConfig
        Everything but the weight.
    map_chunks : callable
        As in `analyse`.

    Returns
    -------
    tuple of WeightPoint
        By increasing weight.
    """
    fit = partial(Pca.fit, moments, variance=config.variance, n_components=config.n_components)
    new = {*config.scan_weights} - {config.lens_weight}
    pcas = {weight: fit(lens_weight=weight) for weight in sorted(new)}
    chunks = list(data.map(partial(project, pcas), map_chunks)) if pcas else []
    found = {config.lens_weight: routes["soap_lens"]}
    for weight, pca in pcas.items():
        scores = np.concatenate([chunk[weight][0] for chunk in chunks])
        clusters = cluster_environments(scores, config)
        found[weight] = fit_route("soap_lens", data.delta, Rows(scores), pca, clusters, config)
    return tuple(_point(weight, found[weight], moments, routes) for weight in sorted(found))


def _point(
    weight: float, route: Route, moments: Moments, routes: Mapping[str, Route]
) -> WeightPoint:
    from sklearn.metrics import adjusted_rand_score

    variances = np.diag(moments.covariance)
    share = weight**2 * variances[-1]
    with_soap, with_used = (
        adjusted_rand_score(routes[name].final.labels.ravel(), route.final.labels.ravel())
        for name in ("soap", "soap_lens")
    )
    return WeightPoint(
        weight=weight,
        lens_variance=float(share / (share + variances[:-1].sum())),
        n_components=route.n_components,
        n_clusters=route.n_clusters,
        n_environments=route.final.n_clusters,
        agreement_with_soap=float(with_soap),
        agreement_with_used=float(with_used),
    )
