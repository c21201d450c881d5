"""Clustering by density: HDBSCAN*."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Labels, NearestRow, Scores
from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, Finding

from .branches import Branches
from .clusters import Clustering, agreement_finding, cluster_means, renumber
from .hdbscan_tree import DensityClusters, find_clusters
from .sampling import sample_rows

__all__ = ["cluster_by_density"]

_FEWEST_HELD_OUT = 1000  # rows
_MOST_APPROXIMATE = 1_000_000  # rows; hdbscan keeps all neighbors of each


def cluster_by_density(scores: Scores, config: AnalysisConfig, delta: Scores | None) -> Clustering:
    """Cluster by HDBSCAN*: all rows, or a sample that keeps sparse regions.

    Parameters
    ----------
    scores : (n_rows, n_components) float32 ndarray
        One row for every observation.
    config : AnalysisConfig
        `min_cluster_size`, `max_cluster_share`, `tree`, `soft`, `max_fit_rows`, `seed`.
    delta : (n_rows,) ndarray of float, optional
        Smoothed δ of the rows, for `Clustering.branches`.
    """
    rng = np.random.default_rng(config.seed)
    sample = sample_rows(scores, _most_rows(config), rng)
    is_sample = len(sample) < len(scores)
    rows = np.asarray(scores[sample] if is_sample else scores, dtype=np.float32)
    found = find_clusters(rows, config.min_cluster_size, config.tree, config.max_cluster_share)
    n_clusters, hard = found.n_clusters, found.labels
    probable = _most_probable(found, config.soft)
    labels = _soften(hard, probable, config.soft)
    means = cluster_means(labels, rows[:, 0], n_clusters)
    numbers = renumber(np.arange(n_clusters, dtype=np.int32), means)
    labels = renumber(labels, means)
    model = NearestRow(rows, labels)
    branches = None
    if delta is not None:
        branches = Branches.of(found, delta[sample] if is_sample else delta, numbers)
    agreement = None
    if is_sample:
        agreement = _held_out_agreement(scores, sample, model, config, rng)
        nearest = model.nearest(scores)
        labels, hard, probable = labels[nearest], hard[nearest], probable[nearest]
    noise = hard < 0
    moved = probable[~noise] != hard[~noise]
    return Clustering(
        labels=labels,
        n_clusters=n_clusters,
        model=model,
        noise_share=float(noise.mean()),
        soft_share=float(moved.mean()) if len(moved) else 0.0,
        agreement=agreement,
        branches=branches,
        findings=(
            *_tree_findings(found, len(scores), config),
            *agreement_finding(
                agreement, "sample of rows that is clustered", "a larger max_fit_rows"
            ),
        ),
    )


def _most_rows(config: AnalysisConfig) -> int:
    """Return how many rows are clustered at most; the approximate tree of hdbscan takes fewer."""
    if config.tree == "approx":
        return min(config.max_fit_rows, _MOST_APPROXIMATE)
    return config.max_fit_rows


def _most_probable(found: DensityClusters, soft: str) -> Labels:
    """Return the most probable cluster of every row if `soft` needs it, else its own cluster."""
    return found.labels if soft == "none" or not found.n_clusters else found.most_probable()


def _soften(hard: Labels, probable: Labels, soft: str) -> Labels:
    """Give noise rows, all rows or no rows to their most probable cluster."""
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
    """Compare with labels from a uniform sample, on rows outside of it; None if these are too few.

    A second sample of the same kind would change the density in the same way, and hide this effect.
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


def _tree_findings(
    found: DensityClusters, n_rows: int, config: AnalysisConfig
) -> Iterator[Finding]:
    """Yield findings: a sample, too few rows, no cluster or one, a cluster above the limit."""
    size = {"min_cluster_size": config.min_cluster_size}
    if len(found.points) < n_rows:
        sample = {"n_fitted": len(found.points), "n_rows": n_rows}
        yield Finding("sampled_rows", ATTENTION, values=sample)
    if n_rows <= config.min_cluster_size:
        yield Finding("too_few_rows", ATTENTION, values={"n_rows": n_rows, **size})
    elif not found.n_clusters:
        yield Finding("no_cluster", ATTENTION, values={"n_rows": n_rows, **size})
    elif found.n_clusters == 1:
        yield Finding("one_cluster", ATTENTION, values=size)
    if found.refused_share:
        limit = {"refused": found.refused_share, "max_cluster_share": config.max_cluster_share}
        yield Finding("share_limit", ATTENTION, values=limit)
