"""Scans over what an analysis takes as given: the weight of δ, the number of Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import (
    cluster_environments,
    fit_mixtures,
    possible_clusters,
    predict,
)
from strdyn_post.environments.reduction import Moments, Pca, project
from strdyn_post.results import MixturePoint, Route, WeightPoint
from strdyn_post.routes import fit_route
from strdyn_post.signal.dataset import Dataset
from strdyn_post.signal.series import Series

__all__ = ["mixture_scan", "weight_scan"]


def weight_scan(
    data: Dataset,
    moments: Moments,
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    map_chunks: Callable[..., Iterable[Any]] = map,
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
        found[weight] = fit_route("soap_lens", data.delta, (scores, None), pca, clusters, config)
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


def mixture_scan(
    route: Route, delta: Series, config: AnalysisConfig
) -> tuple[tuple[MixturePoint, ...], list[str]]:
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
    warnings : list of str
        Numbers that the rows do not allow.
    """
    rows = route.scores.reshape(-1, route.n_components)
    values = delta.values.ravel()
    points, warnings = [], []
    for n_clusters in sorted({*config.scan_clusters, config.n_clusters}):
        n_possible, _ = possible_clusters(rows, n_clusters)
        if n_possible < n_clusters:
            warnings.append(
                f"scan_clusters: {n_clusters} clusters were not tried, the rows have {n_possible} "
                "different values."
            )
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
    return tuple(points), warnings
