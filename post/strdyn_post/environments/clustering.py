"""Clusters of the rows of scores, by the configured method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from strdyn_live.models import Bands, Model, NearestMean, Scores, predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, Finding

from .clusters import Clustering, agreement_finding, possible_clusters, uniform_sample
from .density import cluster_by_density
from .levels import judge_levels
from .mixtures import cluster_by_mixture

__all__ = ["cluster_environments", "cluster_lens"]


def cluster_environments(
    scores: Scores, config: AnalysisConfig, delta: Scores | None = None
) -> Clustering:
    """Cluster the scores of SOAP or SOAP&LENS by the configured method.

    Parameters
    ----------
    scores : (n_rows, n_components) float32 ndarray
        One row for every (frame, atom).
    config : AnalysisConfig
        `method`, its settings, and `seed`.
    delta : (n_rows,) ndarray of float, optional
        Smoothed δ of the rows, for `Clustering.branches`.

    Returns
    -------
    Clustering
    """
    if config.method == "hdbscan":
        return cluster_by_density(scores, config, delta)
    if config.method == "gmm":
        return cluster_by_mixture(scores, config)
    remedy = 'fewer n_clusters, or method = "hdbscan"'
    return _cluster_by_model(scores, _fit_means, config.n_clusters, remedy, config)


def cluster_lens(delta: Scores, config: AnalysisConfig) -> Clustering:
    """Cluster LENS alone: by `lens_thresholds`, or by KMeans.

    Parameters
    ----------
    delta : (n_rows,) ndarray of float
        Smoothed δ of every (frame, atom).
    config : AnalysisConfig
        `lens_thresholds`, `lens_clusters`, `seed`.

    Returns
    -------
    Clustering
        Its model holds the thresholds; those of KMeans are half way between two means.
    """
    values = np.asarray(delta, dtype=np.float64).reshape(-1, 1)
    if config.lens_thresholds is not None:
        bands = Bands(np.array(config.lens_thresholds))
        return Clustering(bands.predict(values), len(bands.thresholds) + 1, bands)
    remedy = "fewer lens_clusters, or fixed lens_thresholds"
    found = _cluster_by_model(values, _fit_bands, config.lens_clusters, remedy, config)
    if found.n_clusters == 1 < config.lens_clusters:
        constant = Finding("constant_lens", ATTENTION, values={"delta": float(values[0, 0])})
        return replace(found, findings=(constant,))
    if isinstance(found.model, Bands):
        levels = judge_levels(values[:, 0], found.model.thresholds)
        return replace(found, findings=(*found.findings, levels))
    return found


def _cluster_by_model(
    scores: Scores,
    fit: Callable[[Scores, int, int], Model],
    n_wanted: int,
    remedy: str,
    config: AnalysisConfig,
) -> Clustering:
    """Label all rows by a fit; two fits with other seeds tell how much depends on chance."""
    from sklearn.metrics import adjusted_rand_score

    seeds = [config.seed + k for k in range(3)]
    samples = [uniform_sample(scores, config.max_fit_rows, seed) for seed in seeds]
    n_clusters, fewer = possible_clusters(samples[0], n_wanted)
    models = [fit(rows, n_clusters, seed) for rows, seed in zip(samples, seeds, strict=True)]
    first, *others = (model.predict(samples[0]) for model in models)
    agreement = min(float(adjusted_rand_score(first, other)) for other in others)
    return Clustering(
        labels=predict(models[0], scores),
        n_clusters=n_clusters,
        model=models[0],
        agreement=agreement,
        findings=(*fewer, *agreement_finding(agreement, "seed", remedy)),
    )


def _fit_means(rows: Scores, n_clusters: int, seed: int) -> NearestMean:
    """Return the means of KMeans by increasing first coordinate."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "openmp"):  # the order of a sum over threads is not fixed
        fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(rows.astype(np.float64))
    means = np.asarray(fitted.cluster_centers_)
    return NearestMean(means[means[:, 0].argsort(kind="stable")])


def _fit_bands(rows: Scores, n_clusters: int, seed: int) -> Bands:
    """Return the thresholds half way between the means of KMeans."""
    means = _fit_means(rows, n_clusters, seed).means[:, 0]
    return Bands((means[1:] + means[:-1]) / 2)
