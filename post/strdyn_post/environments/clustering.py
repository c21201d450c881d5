"""Environments: rows of scores to clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.config import AnalysisConfig

from .branches import Branches
from .hdbscan_tree import DensityClusters, find_clusters
from .models import Bands, Centers, Labels, Mixture, Model, NearestRow, Scores
from .sampling import sample_rows

__all__ = [
    "AGREEMENT",
    "Clustering",
    "Mixtures",
    "cluster_environments",
    "cluster_lens",
    "fit_mixtures",
    "possible_clusters",
    "predict",
]

AGREEMENT = 0.9
"""Labels depend on chance if their `Clustering.agreement` is smaller."""

_FEWEST_HELD_OUT = 1000  # rows


@dataclass(frozen=True)
class Clustering:
    """Clusters of the rows of a data set.

    Clusters are numbered by increasing mean of the first score (PC1; δ for LENS alone).

    Attributes
    ----------
    labels : (n_rows,) int32 ndarray
        Cluster of every row; −1 for noise that was left out.
    n_clusters : int
        Number of clusters.
    model : Model
        Labels other rows.
    noise_share : float
        Share of rows that HDBSCAN* calls noise, before soft assignment; 0 for other methods. Above
        `max_fit_rows` a row is what its nearest fitted row is, here and in `soft_share`.
    soft_share : float
        Share of the rows in a cluster whose most probable cluster is another one: what ``soft =
        "all"`` changes.
    agreement : float, optional
        How little the labels depend on what was drawn: the smallest adjusted Rand index with the
        labels of two other seeds, on the rows that were fitted; for a mixture of Gaussians that of
        the fits of largest and second largest likelihood; for HDBSCAN* above `max_fit_rows`, with
        those learnt from a uniform sample, on rows that are not in it. None where nothing is drawn.
    branches : Branches, optional
        Condensed tree of HDBSCAN*, of the rows that were clustered.
    warnings : list of str
        What the reader of a result must know.
    """

    labels: Labels
    n_clusters: int
    model: Model
    noise_share: float = 0.0
    soft_share: float = 0.0
    agreement: float | None = None
    branches: Branches | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mixtures:
    """The best of several fits of a mixture of Gaussians.

    Attributes
    ----------
    best : Mixture
        That of largest likelihood.
    agreements : (n_init - 1,) float64 ndarray
        Adjusted Rand index between its labels and those of the others, by decreasing likelihood.
    bic : float
        Its Bayesian information criterion on the rows that were fitted; smaller is better.
    """

    best: Mixture
    agreements: NDArray[np.float64]
    bic: float

    @property
    def agreement(self) -> float | None:
        """Agreement with the second best: a fit that was found once is found by chance."""
        return float(self.agreements[0]) if len(self.agreements) else None


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
        return _cluster_by_density(scores, config, delta)
    if config.method == "gmm":
        return _cluster_by_mixture(scores, config)
    remedy = 'fewer n_clusters, or method = "hdbscan"'
    return _cluster_by_model(scores, _fit_centers, config.n_clusters, remedy, config)


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
        Its model holds the thresholds: of two neighboring means, the middle.
    """
    values = np.asarray(delta, dtype=np.float64).reshape(-1, 1)
    if config.lens_thresholds is not None:
        bands = Bands(np.array(config.lens_thresholds))
        return Clustering(bands.predict(values), len(bands.thresholds) + 1, bands)
    remedy = "fewer lens_clusters, or fixed lens_thresholds"
    found = _cluster_by_model(values, _fit_bands, config.lens_clusters, remedy, config)
    if found.n_clusters == 1 < config.lens_clusters:
        constant = (
            f"LENS is constant (δ = {values[0, 0]:g} everywhere): no atom changes its "
            "neighbors more than another. Write frames further apart, or check lens_r_cut."
        )
        return replace(found, warnings=[constant])
    return found


def renumber(labels: Labels, keys: ArrayLike) -> Labels:
    """Return labels with the clusters numbered by increasing key, (n_clusters,); noise stays −1."""
    rank = np.argsort(np.argsort(keys, kind="stable"), kind="stable").astype(np.int32)
    return np.concatenate([rank, np.array([-1], np.int32)])[labels]


def cluster_means(labels: Labels, values: Scores, n_clusters: int) -> NDArray[np.float64]:
    """Return the mean of `values` over each cluster, (n_clusters,)."""
    inside = labels >= 0
    total = np.bincount(labels[inside], values[inside].astype(np.float64), n_clusters)
    return total / np.maximum(1, np.bincount(labels[inside], minlength=n_clusters))


def _cluster_by_density(scores: Scores, config: AnalysisConfig, delta: Scores | None) -> Clustering:
    rng = np.random.default_rng(config.seed)
    sample = sample_rows(scores, config.max_fit_rows, rng)
    found = find_clusters(
        scores[sample], config.min_cluster_size, config.tree, config.max_cluster_share
    )
    n_clusters, hard = found.n_clusters, found.labels
    probable = _most_probable(found, config.soft)
    labels = _soften(hard, probable, config.soft)
    means = cluster_means(labels, scores[sample, 0], n_clusters)
    numbers = renumber(np.arange(n_clusters, dtype=np.int32), means)
    labels = renumber(labels, means)
    model = NearestRow(np.asarray(scores[sample], dtype=np.float32), labels)
    agreement, nearest = None, np.arange(len(scores))
    sampled: list[str] = []
    if len(sample) < len(scores):
        sampled = [
            f"HDBSCAN* clustered {len(sample)} of {len(scores)} rows (max_fit_rows), among them "
            "all of the sparse regions; the others have the label of the nearest. Density and "
            "min_cluster_size are those of the sample: clusters may be coarser than of all rows."
        ]
        agreement = _held_out_agreement(scores, sample, model, config, rng)
        nearest = model.nearest(scores)
    noise = hard[nearest] < 0
    moved = (probable != hard)[nearest[~noise]]
    noise_share = float(noise.mean())
    warnings = sampled + _density_warnings(n_clusters, noise_share, len(scores), config)
    if found.refused_share:
        warnings.append(
            f"HDBSCAN* alone would take {found.refused_share:.1%} of the rows as one cluster; "
            f"max_cluster_share = {config.max_cluster_share:g} keeps the clusters inside it."
        )
    warnings += _chance_warnings(
        agreement, "sample of rows that is clustered", "a larger max_fit_rows"
    )
    return Clustering(
        labels=labels[nearest],
        n_clusters=n_clusters,
        model=model,
        noise_share=noise_share,
        soft_share=float(moved.mean()) if len(moved) else 0.0,
        agreement=agreement,
        branches=None if delta is None else Branches.of(found, delta[sample], numbers),
        warnings=warnings,
    )


def _most_probable(found: DensityClusters, soft: str) -> Labels:
    """Return the most probable cluster of every row, where it matters; else the cluster itself."""
    return found.labels if soft == "none" or not found.n_clusters else found.most_probable()


def _soften(hard: Labels, probable: Labels, soft: str) -> Labels:
    """Give rows to their most probable cluster: noise, all, or none."""
    if soft == "noise":
        return np.where(hard < 0, probable, hard)
    return probable if soft == "all" else hard


def _held_out_agreement(
    scores: Scores,
    sample: NDArray[np.intp],
    model: NearestRow,
    config: AnalysisConfig,
    rng: np.random.Generator,
) -> float | None:
    """Compare with the labels learnt from a uniform sample, on rows outside; None if too few.

    A second sample drawn as the first would agree in what the way of drawing makes of the density.
    """
    from sklearn.metrics import adjusted_rand_score

    order = rng.permutation(len(scores))
    other, held_out = np.sort(order[: len(sample)]), np.sort(order[len(sample) :][:100_000])
    if len(held_out) < _FEWEST_HELD_OUT:
        return None
    found = find_clusters(
        scores[other], config.min_cluster_size, config.tree, config.max_cluster_share
    )
    labels = _soften(found.labels, _most_probable(found, config.soft), config.soft)
    second = NearestRow(np.asarray(scores[other], dtype=np.float32), labels)
    return float(
        adjusted_rand_score(model.predict(scores[held_out]), second.predict(scores[held_out]))
    )


def _density_warnings(
    n_clusters: int, noise_share: float, n_rows: int, config: AnalysisConfig
) -> list[str]:
    size = config.min_cluster_size
    if n_rows <= size:
        return [
            f"{n_rows} rows cannot hold two clusters of min_cluster_size = {size}: all are noise. "
            "Record more frames, or set a smaller min_cluster_size."
        ]
    if not n_clusters:
        return [
            f"HDBSCAN* found no cluster (all of {n_rows} rows are noise): the scores have a single "
            f"maximum of density at min_cluster_size = {size}. Try a smaller min_cluster_size, or "
            'method = "gmm", which the paper uses where there are no gaps in density.'
        ]
    if n_clusters == 1:
        return [
            f"HDBSCAN* found one cluster at min_cluster_size = {size}: there are no transitions to "
            "count. Try a smaller min_cluster_size."
        ]
    if noise_share > 0.5:
        return [
            f"{noise_share:.0%} of the rows are noise to HDBSCAN*: the clusters rest on the rest. "
            'A smaller min_cluster_size or method = "gmm" may describe these data better.'
        ]
    return []


def _cluster_by_model(
    scores: Scores,
    fit: Callable[[Scores, int, int], Model],
    n_wanted: int,
    remedy: str,
    config: AnalysisConfig,
) -> Clustering:
    """Label all rows by a fit to some; two fits with other seeds tell how far it is chance."""
    from sklearn.metrics import adjusted_rand_score

    seeds = [config.seed + k for k in range(3)]
    samples = [_uniform_sample(scores, config.max_fit_rows, seed) for seed in seeds]
    n_clusters, warnings = possible_clusters(samples[0], n_wanted)
    models = [fit(rows, n_clusters, seed) for rows, seed in zip(samples, seeds, strict=True)]
    first, *others = (model.predict(samples[0]) for model in models)
    agreement = min(float(adjusted_rand_score(first, other)) for other in others)
    return Clustering(
        labels=predict(models[0], scores),
        n_clusters=n_clusters,
        model=models[0],
        agreement=agreement,
        warnings=[*warnings, *_chance_warnings(agreement, "seed", remedy)],
    )


def _chance_warnings(agreement: float | None, drawn: str, remedy: str) -> list[str]:
    if agreement is None or agreement >= AGREEMENT:
        return []
    return [
        f"labels depend on the {drawn}: with another they agree to an adjusted Rand index of "
        f"{agreement:.3f} only. Try {remedy}."
    ]


def _uniform_sample(scores: Scores, n_most: int, seed: int) -> Scores:
    if len(scores) <= n_most:
        return scores
    rows = np.random.default_rng(seed).choice(len(scores), n_most, replace=False)
    return scores[np.sort(rows)]


def possible_clusters(rows: Scores, n_clusters: int) -> tuple[int, list[str]]:
    """Return how many clusters the rows allow: no more than there are different rows."""
    distinct = len(np.unique(rows[: 10 * n_clusters], axis=0))
    if distinct < n_clusters:
        distinct = len(np.unique(rows, axis=0))
    if distinct >= n_clusters:
        return n_clusters, []
    return distinct, [
        f"{n_clusters} clusters asked for, but the rows have {distinct} different values: "
        f"{distinct} made."
    ]


def fit_mixtures(scores: Scores, n_clusters: int, config: AnalysisConfig) -> Mixtures:
    """Fit mixtures of Gaussians from `n_init` starting points.

    Parameters
    ----------
    scores : (n_rows, n_components) ndarray of float
        Rows; at most `max_fit_rows` of them are fitted.
    n_clusters : int
        Number of Gaussians.
    config : AnalysisConfig
        `n_init`, `max_fit_rows`, `seed`.

    Returns
    -------
    Mixtures
    """
    from sklearn.metrics import adjusted_rand_score
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    rows = _uniform_sample(scores, config.max_fit_rows, config.seed).astype(np.float64)
    with threadpool_limits(1, "openmp"):  # a sum over threads has no fixed order
        fits = [
            GaussianMixture(n_clusters, random_state=config.seed + k, reg_covar=1e-9).fit(rows)
            for k in range(config.n_init)
        ]
        fits.sort(key=lambda fit: -fit.lower_bound_)
        labels = fits[0].predict(rows)
        agreements = [float(adjusted_rand_score(labels, fit.predict(rows))) for fit in fits[1:]]
        bic = float(fits[0].bic(rows))
    order = fits[0].means_[:, 0].argsort(kind="stable")
    best = Mixture(fits[0].means_[order], fits[0].covariances_[order], fits[0].weights_[order])
    return Mixtures(best, np.array(agreements), bic)


def _cluster_by_mixture(scores: Scores, config: AnalysisConfig) -> Clustering:
    n_clusters, warnings = possible_clusters(
        _uniform_sample(scores, config.max_fit_rows, config.seed), config.n_clusters
    )
    found = fit_mixtures(scores, n_clusters, config)
    remedy = 'a larger n_init, fewer n_clusters, or method = "hdbscan"'
    return Clustering(
        labels=predict(found.best, scores),
        n_clusters=n_clusters,
        model=found.best,
        agreement=found.agreement,
        warnings=[
            *warnings,
            *_chance_warnings(found.agreement, "starting point of the fit", remedy),
        ],
    )


def predict(model: Model, scores: Scores) -> Labels:
    """Label (n_rows, n_components) scores, a million at a time."""
    chunks = range(0, len(scores), 1_000_000)
    return np.concatenate([model.predict(scores[k : k + 1_000_000]) for k in chunks])


def _fit_centers(rows: Scores, n_clusters: int, seed: int) -> Centers:
    """Return the centers of KMeans by increasing first coordinate."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "openmp"):  # a sum over threads has no fixed order
        fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(rows.astype(np.float64))
    centers = np.asarray(fitted.cluster_centers_)
    return Centers(centers[centers[:, 0].argsort(kind="stable")])


def _fit_bands(rows: Scores, n_clusters: int, seed: int) -> Bands:
    """Return the thresholds half way between the means of KMeans."""
    means = _fit_centers(rows, n_clusters, seed).centers[:, 0]
    return Bands((means[1:] + means[:-1]) / 2)
