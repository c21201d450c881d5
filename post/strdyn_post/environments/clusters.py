"""The result of every clustering method, and functions that all methods use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_live.models import Labels, Model, Scores
from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.limits import AGREEMENT

from .branches import Branches

__all__ = [
    "Clustering",
    "agreement_finding",
    "cluster_means",
    "possible_clusters",
    "renumber",
    "uniform_sample",
]


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
        Model that labels other rows.
    noise_share : float
        Share of rows that are noise for HDBSCAN*, before soft assignment; 0 for other methods. If
        only `max_fit_rows` were fitted, another row counts as its nearest fitted row, here and in
        `soft_share`.
    soft_share : float
        Of the rows in a cluster, the share whose most probable cluster is another one: ``soft =
        "all"`` changes their label.
    agreement : float, optional
        Adjusted Rand index between labels of different random draws. KMeans: the smallest index
        with two other seeds, on the fitted rows. Mixture of Gaussians: between the fits of largest
        and second largest likelihood. HDBSCAN* of a sample: with the labels from a uniform sample,
        on rows outside of it. None if nothing is drawn at random.
    branches : Branches, optional
        Condensed tree of HDBSCAN* for the clustered rows.
    findings : tuple of Finding
        What the reader of a result must know.
    """

    labels: Labels
    n_clusters: int
    model: Model
    noise_share: float = 0.0
    soft_share: float = 0.0
    agreement: float | None = None
    branches: Branches | None = None
    findings: tuple[Finding, ...] = ()


def agreement_finding(agreement: float | None, drawn: str, remedy: str) -> list[Finding]:
    """Return how well the labels of different random draws agree; no finding without a draw.

    Parameters
    ----------
    agreement : float, optional
        Adjusted Rand index.
    drawn : str
        The draw: "seed", "starting point of the fit", "sample of rows that is clustered".
    remedy : str
        What to try if the agreement is low.
    """
    if agreement is None:
        return []
    severity = FINE if agreement >= AGREEMENT else ATTENTION
    values = {"agreement": agreement, "drawn": drawn, "remedy": remedy}
    return [Finding("agreement", severity, values=values)]


def possible_clusters(rows: Scores, n_clusters: int) -> tuple[int, list[Finding]]:
    """Return the number of clusters, at most the number of different rows."""
    distinct = len(np.unique(rows[: 10 * n_clusters], axis=0))
    if distinct < n_clusters:
        distinct = len(np.unique(rows, axis=0))
    if distinct >= n_clusters:
        return n_clusters, []
    values = {"asked": n_clusters, "found": distinct}
    return distinct, [Finding("fewer_values", ATTENTION, values=values)]


def uniform_sample(scores: Scores, n_most: int, seed: int) -> Scores:
    """Return `n_most` rows drawn at random, a million at most, or all rows if there are not more.

    Means and covariances of a million rows are certain enough, and a fit of more takes hours.
    """
    n_most = min(n_most, 1_000_000)
    if len(scores) <= n_most:
        return scores
    rows = np.random.default_rng(seed).choice(len(scores), n_most, replace=False)
    return scores[np.sort(rows)]


def renumber(labels: Labels, keys: ArrayLike) -> Labels:
    """Return labels with the clusters numbered by increasing key, (n_clusters,); noise stays −1."""
    rank = np.argsort(np.argsort(keys, kind="stable"), kind="stable").astype(np.int32)
    return np.concatenate([rank, np.array([-1], np.int32)])[labels]


def cluster_means(labels: Labels, values: Scores, n_clusters: int) -> NDArray[np.float64]:
    """Return the mean of `values` over each cluster, (n_clusters,)."""
    inside = labels >= 0
    total = np.bincount(labels[inside], values[inside].astype(np.float64), n_clusters)
    return total / np.maximum(1, np.bincount(labels[inside], minlength=n_clusters))
