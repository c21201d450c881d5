"""Scans over what an analysis takes as given: the weight of δ, the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clustering import cluster_environments
from .config import AnalysisConfig
from .dataset import Dataset
from .lens_series import lens_series
from .merging import merge_clusters
from .reduction import Moments, Pca
from .smoothing import smooth
from .transitions import count_transitions

__all__ = ["WeightPoint", "seed_agreement", "weight_scan"]


@dataclass(frozen=True)
class WeightPoint:
    """What SOAP&LENS becomes at one weight of δ.

    Attributes
    ----------
    weight : float
        Factor of δ in χ.
    n_components, n_clusters, n_merged : int
        Components kept, clusters, environments after merging.
    lens_variance : float
        Share of δ in the variance of the data set.
    agreement_with_soap : float
        Adjusted Rand index between the merged labels and those without δ.
    """

    weight: float
    n_components: int
    n_clusters: int
    n_merged: int
    lens_variance: float
    agreement_with_soap: float


def weight_scan(
    buffer: Any,
    weights: Sequence[float],
    config: AnalysisConfig | None = None,
    map_chunks: Callable[..., Iterable[Any]] = map,
) -> list[WeightPoint]:
    """Repeat SOAP&LENS at several weights of δ.

    The spectra are read twice in all: the weighted moments follow from those at weight 1.

    Parameters
    ----------
    buffer : Buffer
        The recording.
    weights : sequence of float
        Factors of δ, 0 or more.
    config : AnalysisConfig, optional
        Everything else.
    map_chunks : callable
        As in `analyse`.

    Returns
    -------
    list of WeightPoint
        In the order of `weights`.
    """
    from sklearn.metrics import adjusted_rand_score

    config = config or AnalysisConfig()
    delta, _ = smooth(lens_series(buffer, map_chunks), config)
    data = Dataset.join(buffer, delta)
    origin = data.read(slice(0, 1)).mean(axis=0)
    moments = Moments.sum(data.map(partial(Moments.of, origin=origin), map_chunks))
    fit = partial(Pca.fit, moments, variance=config.variance, n_components=config.n_components)
    pcas = [fit(lens_weight=None), *(fit(lens_weight=weight) for weight in weights)]
    chunks = list(data.map(partial(_scores, pcas), map_chunks))
    variances = np.diag(moments.covariance)

    found, points = [], []
    for k, pca in enumerate(pcas):
        clusters = cluster_environments(np.concatenate([chunk[k] for chunk in chunks]), config)
        labels = clusters.labels.reshape(len(delta.steps), -1)
        counts = count_transitions(labels, clusters.n_clusters, config.lag, delta.stretches)
        merge = merge_clusters(counts, config.merge_cut if config.method == "hdbscan" else None)
        found.append(np.append(merge.mapping, np.int32(-1))[clusters.labels])
        if k == 0:
            continue
        share = weights[k - 1] ** 2 * variances[-1]
        points.append(
            WeightPoint(
                weight=float(weights[k - 1]),
                n_components=pca.n_components,
                n_clusters=clusters.n_clusters,
                n_merged=merge.n_merged,
                lens_variance=float(share / (share + variances[:-1].sum())),
                agreement_with_soap=float(adjusted_rand_score(found[0], found[k])),
            )
        )
    return points


def seed_agreement(
    scores: NDArray[np.float32], config: AnalysisConfig, seeds: Sequence[int] = (0, 1, 2)
) -> float:
    """Return the smallest adjusted Rand index between the labels of any two seeds.

    HDBSCAN* on all rows draws nothing and gives 1; mixtures, KMeans and samples of rows may not.

    Parameters
    ----------
    scores : (n_rows, n_components) float32 ndarray
        Rows to cluster.
    config : AnalysisConfig
        Its `seed` is replaced.
    seeds : sequence of int
        Two or more.
    """
    from sklearn.metrics import adjusted_rand_score

    labels = [cluster_environments(scores, replace(config, seed=seed)).labels for seed in seeds]
    return min(float(adjusted_rand_score(a, b)) for a, b in combinations(labels, 2))


def _scores(pcas: list[Pca], chi: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    return [pca.transform(chi)[0] for pca in pcas]
