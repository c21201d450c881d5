"""One route: from clusters to environments, labels of new frames, checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Labels, predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clusters import Clustering
from strdyn_post.environments.extent import far_rows, fit_limits
from strdyn_post.environments.reduction import Pca
from strdyn_post.kinetics.checks import check_moves
from strdyn_post.kinetics.merging import differ_in_dynamics, merge_clusters
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.signal.series import Series

from .route import Merged, Route, RouteFit

__all__ = ["Rows", "checked", "fit_route", "label_route"]


@dataclass(frozen=True)
class Rows:
    """The observations as rows in the components of a route.

    Attributes
    ----------
    scores : (n_rows, n_components) float32 ndarray
        Scores of `Pca.transform`; the smoothed δ for LENS.
    residuals : (n_rows,) float32 ndarray or None
        Distances to the plane of the components; None for LENS.
    """

    scores: NDArray[np.float32]
    residuals: NDArray[np.float32] | None = None


def fit_route(
    name: str,
    delta: Series,
    rows: Rows,
    pca: Pca | None,
    clusters: Clustering,
    config: AnalysisConfig,
) -> Route:
    """Count the transitions between the clusters of a fit, and merge the clusters.

    Parameters
    ----------
    name : str
        Name of the route.
    delta : Series
        Smoothed δ of the rows.
    rows : Rows
        The clustered rows.
    pca : Pca or None
        PCA of the scores; None for LENS.
    clusters : Clustering
        Labels of the rows.
    config : AnalysisConfig
        `lag`, `merge_cut`, `merge_keep_dynamics`.

    Returns
    -------
    Route
        Without checks.
    """
    frames = delta.frames
    labels = clusters.labels.reshape(len(frames), -1)
    counts = count_transitions(labels, clusters.n_clusters, config.lag, frames.stretches)
    apart = never_merged(name, labels, delta.values, len(counts), config)
    merge = merge_clusters(counts, config.merge_cut, apart)
    merged = None
    # only HDBSCAN* merges; other methods keep the number of clusters that was set
    if name != "lens" and config.method == "hdbscan" and config.merge_cut is not None:
        merged = _merged(labels, merge.mapping, merge.counts)
    n_environments = len(counts if merged is None else merged.counts)
    fit = RouteFit(
        name=name,
        pca=pca,
        model=clusters.model,
        n_clusters=clusters.n_clusters,
        linkage=merge.linkage,
        mapping=None if merged is None else merged.mapping,
        known=rows.scores,
        limits=np.full(2, np.inf)
        if rows.residuals is None
        else fit_limits(rows.scores, rows.residuals, config.seed),
        identities=np.arange(n_environments, dtype=np.int32),
        n_identities=n_environments,
        noise_share=clusters.noise_share,
        soft_share=clusters.soft_share,
        agreement=clusters.agreement,
        branches=clusters.branches,
    )
    return Route(
        fit=fit,
        frames=frames,
        labels=labels,
        counts=counts,
        scores=rows.scores.reshape(*labels.shape, -1),
        merged=merged,
        far=np.zeros(len(frames)),
    )


def label_route(fit: RouteFit, delta: Series, rows: Rows, config: AnalysisConfig) -> Route:
    """Label new frames with the clusters and the merging of a fit.

    Parameters
    ----------
    fit : RouteFit
    delta, rows, config
        As of `fit_route`.

    Returns
    -------
    Route
        Without checks.
    """
    frames = delta.frames
    labels = predict(fit.model, rows.scores).reshape(len(frames), -1)
    counts = count_transitions(labels, fit.n_clusters, config.lag, frames.stretches)
    merged = None
    if fit.mapping is not None:
        member = np.eye(len(fit.identities), dtype=np.int64)[fit.mapping]
        merged = _merged(labels, fit.mapping, member.T @ counts @ member)
    far = np.zeros(len(frames))
    if rows.residuals is not None:
        is_far = far_rows(fit.known, fit.limits, rows.scores, rows.residuals)
        far = is_far.reshape(labels.shape).mean(axis=1)
    return Route(
        fit=fit,
        frames=frames,
        labels=labels,
        counts=counts,
        scores=rows.scores.reshape(*labels.shape, -1),
        merged=merged,
        far=far,
    )


def checked(route: Route, delta: NDArray[np.floating[Any]], config: AnalysisConfig) -> Route:
    """Return a route with the checks of its moves; `delta` is the smoothed δ of its rows."""
    apart = never_merged(route.name, route.labels, delta, route.n_clusters, config)
    clusters = None if route.merged is None else route
    checks = check_moves(route.final, clusters, route.frames.stretches, config, apart)
    return replace(route, checks=checks)


def never_merged(
    name: str,
    labels: Labels,
    delta: NDArray[np.floating[Any]],
    n_clusters: int,
    config: AnalysisConfig,
) -> NDArray[np.bool_] | None:
    """Return the pairs of clusters that `merge_keep_dynamics` keeps apart; None without this rule.

    The rule is for SOAP&LENS only.
    """
    if name != "soap_lens" or not config.merge_keep_dynamics:
        return None
    return differ_in_dynamics(labels, delta, n_clusters)


def _merged(labels: Labels, mapping: NDArray[np.int32], counts: NDArray[np.int64]) -> Merged:
    # noise is −1: it takes the last entry
    return Merged(labels=np.append(mapping, np.int32(-1))[labels], counts=counts, mapping=mapping)
