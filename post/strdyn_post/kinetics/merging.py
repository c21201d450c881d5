"""Merging of clusters whose atoms go to the same places: dendrogram of the transition matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .transitions import transition_matrix

__all__ = ["Merge", "differ_in_dynamics", "merge_clusters", "row_distances"]


@dataclass(frozen=True)
class Merge:
    """A dendrogram, and the merged clusters at its cut.

    Attributes
    ----------
    linkage : (n_clusters - 1, 4) float64 ndarray
        As of `scipy.cluster.hierarchy.linkage`, without the rule of `apart`.
    heights : (n_joins,) float64 ndarray
        Heights at which clusters join, increasing, with the rule of `apart`.
    mapping : (n_clusters,) int32 ndarray
        Merged cluster of every cluster, in the order of their first members.
    counts : (n_merged, n_merged) int64 ndarray
        Summed counts; their normalised rows are the probabilities of the merged clusters.
    """

    linkage: NDArray[np.float64]
    heights: NDArray[np.float64]
    mapping: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def n_merged(self) -> int:
        """Number of merged clusters."""
        return len(self.counts)


def merge_clusters(
    counts: ArrayLike, cut: float | None = 1.0, apart: NDArray[np.bool_] | None = None
) -> Merge:
    """Merge clusters whose rows of the transition matrix are closer than `cut`.

    Average linkage on the correlation distance of the rows; counts are merged, not probabilities.
    Source: Crippa et al., Mach. Learn.: Sci. Technol. 4, 045044 (2023), Methods 3.2.

    Parameters
    ----------
    counts : (n_clusters, n_clusters) array_like
        Transition counts N_ab.
    cut : float, optional
        Clusters that join strictly below this height merge; None merges no clusters.
    apart : (n_clusters, n_clusters) bool ndarray, optional
        Pairs that never merge, also not through a third cluster.

    Returns
    -------
    Merge

    Examples
    --------
    Atoms of the clusters 0 and 1 go to the same places; those of cluster 2 stay.

    >>> merge = merge_clusters([[8, 1, 1], [8, 1, 1], [0, 0, 10]])
    >>> merge.mapping
    array([0, 0, 1], dtype=int32)
    >>> merge.counts
    array([[18,  2],
           [ 0, 10]])
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    counts = np.asarray(counts)
    n_clusters = len(counts)
    mapping = np.arange(n_clusters, dtype=np.int32)
    if n_clusters < 2:
        return Merge(np.empty((0, 4)), np.empty(0), mapping, counts.copy())
    distances = row_distances(transition_matrix(counts))
    tree = linkage(distances, "average")
    heights, groups = tree[:, 2], mapping
    if apart is not None and apart.any():
        heights, groups = _join_all_but(apart, distances, cut)
    elif cut is not None:
        groups = fcluster(tree, np.nextafter(cut, -np.inf), "distance")
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    mapping = first.argsort().argsort()[group].astype(np.int32)
    member = np.eye(mapping.max() + 1, dtype=counts.dtype)[mapping]
    return Merge(tree, heights, mapping, member.T @ counts @ member)


def differ_in_dynamics(
    labels: NDArray[np.int32], delta: NDArray[np.floating[Any]], n_clusters: int
) -> NDArray[np.bool_]:
    """Find the pairs of clusters whose mean δ differ by more than their spread.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Cluster of every row; negative is noise.
    delta : (n_frames, n_atoms) ndarray of float
        Smoothed δ of the same rows.
    n_clusters : int
        Number of clusters.

    Returns
    -------
    (n_clusters, n_clusters) bool ndarray
        Whether the means of δ differ by more than √(s_a² + s_b²), where s is the standard deviation
        of δ in a cluster.
    """
    inside = labels >= 0
    rows, values = labels[inside], np.asarray(delta, dtype=np.float64)[inside]
    size = np.maximum(1, np.bincount(rows, minlength=n_clusters))
    mean = np.bincount(rows, values, n_clusters) / size
    variance = np.bincount(rows, (values - mean[rows]) ** 2, n_clusters) / size
    seen = np.bincount(rows, minlength=n_clusters) > 0
    squared = (mean[:, None] - mean) ** 2
    return np.asarray((squared > variance[:, None] + variance) & seen[:, None] & seen)


def _join_all_but(
    apart: NDArray[np.bool_], condensed: NDArray[np.float64], cut: float | None
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return heights and groups at a cut of average linkage that never joins some pairs."""
    from scipy.spatial.distance import squareform

    distances = squareform(condensed)
    distances[apart | apart.T | np.eye(len(apart), dtype=bool)] = np.inf
    groups = np.arange(len(apart), dtype=np.int32)
    size = np.ones(len(apart))
    at_cut, heights = groups, []
    while np.isfinite(height := distances.min()):
        a, b = np.unravel_index(distances.argmin(), distances.shape)
        heights.append(float(height))
        row = (size[a] * distances[a] + size[b] * distances[b]) / (size[a] + size[b])
        row[[a, b]] = np.inf
        distances[a] = distances[:, a] = row
        distances[b] = distances[:, b] = np.inf
        size[a] += size[b]
        groups = np.where(groups == b, a, groups).astype(np.int32)
        if cut is not None and height < cut:
            at_cut = groups
    return np.array(heights), at_cut


def row_distances(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 − correlation of every two rows, condensed as of `scipy.spatial.distance.pdist`.

    The correlation of a constant row is not defined: its distance is set to 1. Two constant rows
    with counts are the same: their distance is 0.
    """
    from scipy.spatial.distance import pdist

    constant = np.ptp(matrix, axis=1) == 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = pdist(matrix, "correlation").clip(0.0, 2.0)
    a, b = np.triu_indices(len(matrix), 1)
    undefined = constant[a] | constant[b]
    alike = constant & (matrix.sum(axis=1) > 0.0)
    distances[undefined] = np.where(alike[a] & alike[b], 0.0, 1.0)[undefined]
    return np.asarray(distances)
