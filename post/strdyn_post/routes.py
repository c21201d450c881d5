"""From labelled rows to a route: counts, dendrogram, merging, and the limits of its model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .config import AnalysisConfig
from .environments.clustering import Clustering
from .environments.models import far_rows, fit_limits
from .environments.reduction import Pca
from .kinetics.merging import differ_in_dynamics, merge_clusters
from .kinetics.transitions import count_transitions
from .results import Merged, Route
from .signal.series import Series

__all__ = ["FAR_SHARE", "far_warnings", "fit_route", "label_route", "never_merged"]

FAR_SHARE = 0.05
"""A frame is far from a model if more of its atoms than this are."""

Scores = NDArray[np.float32]


def fit_route(
    name: str,
    frames: Series,
    rows: tuple[Scores, Scores | None],
    pca: Pca | None,
    clusters: Clustering,
    config: AnalysisConfig,
) -> Route:
    """Follow the labels of a fit in time.

    Parameters
    ----------
    name : str
        Of the route.
    frames : Series
        Smoothed δ, with steps, atom IDs and stretches of the rows.
    rows : (scores, residuals)
        (n_rows, n_components) and (n_rows,) float32 ndarrays of `Pca.transform`; LENS has no
        residuals.
    pca : Pca or None
        What made the scores.
    clusters : Clustering
        Labels of the rows.
    config : AnalysisConfig
        `lag`, `merge_cut`, `merge_keep_dynamics`.
    """
    scores, residuals = rows
    labels = clusters.labels.reshape(len(frames.steps), -1)
    counts = count_transitions(labels, clusters.n_clusters, config.lag, frames.stretches)
    merge = merge_clusters(
        counts, config.merge_cut, never_merged(name, labels, frames.values, len(counts), config)
    )
    merged = None
    # a number of clusters that was asked for stays: the dendrogram is shown, nothing merged
    if name != "lens" and config.method == "hdbscan" and config.merge_cut is not None:
        merged = _merged(labels, merge.mapping, merge.counts)
    n_final = len(counts if merged is None else merged.counts)
    return Route(
        name=name,
        labels=labels,
        counts=counts,
        steps=frames.steps,
        times=frames.times,
        stretches=frames.stretches,
        atom_ids=frames.atom_ids,
        scores=scores.reshape(*labels.shape, -1),
        linkage=merge.linkage,
        merged=merged,
        pca=pca,
        model=clusters.model,
        limits=np.full(2, np.inf)
        if residuals is None
        else fit_limits(scores, residuals, config.seed),
        identities=np.arange(n_final, dtype=np.int32),
        n_identities=n_final,
        far=np.zeros(len(labels)),
        noise_share=clusters.noise_share,
        soft_share=clusters.soft_share,
        agreement=clusters.agreement,
        branches=clusters.branches,
    )


def label_route(
    model: Route, frames: Series, rows: tuple[Scores, Scores | None], config: AnalysisConfig
) -> Route:
    """Label new frames with the clusters and the merging of an earlier fit.

    Parameters
    ----------
    model : Route
        The fit.
    frames, rows, config
        As of `fit_route`.
    """
    scores, residuals = rows
    labels = model.model.predict(scores).reshape(len(frames.steps), -1)
    counts = count_transitions(labels, model.n_clusters, config.lag, frames.stretches)
    merged = None
    if model.merged is not None:
        mapping = model.merged.mapping
        member = np.eye(model.merged.n_clusters, dtype=np.int64)[mapping]
        merged = _merged(labels, mapping, member.T @ counts @ member)
    far = np.zeros(len(labels))
    if residuals is not None:
        far = far_rows(model, scores, residuals).reshape(labels.shape).mean(axis=1)
    return replace(
        model,
        labels=labels,
        counts=counts,
        steps=frames.steps,
        times=frames.times,
        stretches=frames.stretches,
        atom_ids=frames.atom_ids,
        scores=scores.reshape(*labels.shape, -1),
        merged=merged,
        far=far,
        checks=None,
    )


def never_merged(
    name: str,
    labels: NDArray[np.int32],
    delta: NDArray[np.float64],
    n_clusters: int,
    config: AnalysisConfig,
) -> NDArray[np.bool_] | None:
    """Return the pairs of clusters that `merge_keep_dynamics` keeps apart; None for no such rule.

    Only SOAP&LENS has dynamics of its own to keep.
    """
    if name != "soap_lens" or not config.merge_keep_dynamics:
        return None
    return differ_in_dynamics(labels, delta, n_clusters)


def _merged(
    labels: NDArray[np.int32], mapping: NDArray[np.int32], counts: NDArray[np.int64]
) -> Merged:
    # noise is −1, so it picks the last entry
    return Merged(labels=np.append(mapping, np.int32(-1))[labels], counts=counts, mapping=mapping)


def far_warnings(route: Route) -> list[str]:
    """Name the frames that the model does not describe."""
    far = np.flatnonzero(route.far > FAR_SHARE)
    if not len(far):
        return []
    return [
        f"{route.name}: {len(far)} of {len(route.far)} frames, the first at step "
        f"{route.steps[far[0]]}, are far from the model (up to {route.far.max():.0%} of the atoms "
        "are unlike anything it was fitted to): fit again with these frames."
    ]
