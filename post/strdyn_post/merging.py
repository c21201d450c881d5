"""Merging of clusters that exchange atoms alike: dendrogram of the transition probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .transitions import transition_matrix

__all__ = ["Merge", "merge_clusters", "row_distances"]


@dataclass(frozen=True)
class Merge:
    """A dendrogram and what its cut makes of the clusters.

    Attributes
    ----------
    linkage : (n_clusters - 1, 4) float64 ndarray
        As of `scipy.cluster.hierarchy.linkage`.
    mapping : (n_clusters,) int32 ndarray
        Merged cluster of every cluster, in the order of their first members.
    counts : (n_merged, n_merged) int64 ndarray
        Summed counts; normalise them for the probabilities of the merged clusters.
    """

    linkage: NDArray[np.float64]
    mapping: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def heights(self) -> NDArray[np.float64]:
        """Heights of the dendrogram, increasing, (n_clusters - 1,)."""
        return self.linkage[:, 2]

    @property
    def n_merged(self) -> int:
        """Number of merged clusters."""
        return len(self.counts)


def merge_clusters(counts: ArrayLike, cut: float | None = 1.0) -> Merge:
    """Merge clusters whose rows of the transition matrix are closer than `cut`.

    Average linkage on the correlation distance of the rows; counts are merged, not probabilities.
    Source: Crippa et al., Mach. Learn.: Sci. Technol. 4, 045044 (2023), Methods 3.2.

    Parameters
    ----------
    counts : (n_clusters, n_clusters) array_like
        Transition counts N_ab.
    cut : float, optional
        Clusters that join below this height merge (strictly below); None merges none.

    Returns
    -------
    Merge
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    counts = np.asarray(counts)
    n_clusters = len(counts)
    mapping = np.arange(n_clusters, dtype=np.int32)
    if n_clusters < 2:
        return Merge(np.empty((0, 4)), mapping, counts.copy())
    tree = linkage(row_distances(transition_matrix(counts)), "average")
    if cut is not None:
        groups = fcluster(tree, np.nextafter(cut, -np.inf), "distance")
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        mapping = first.argsort().argsort()[group].astype(np.int32)
    member = np.eye(mapping.max() + 1, dtype=counts.dtype)[mapping]
    return Merge(tree, mapping, member.T @ counts @ member)


def row_distances(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 − correlation of every two rows, condensed as of `scipy.spatial.distance.pdist`.

    A constant row correlates with nothing: its distance is 1. Two clusters that go everywhere
    alike have distance 0; of a cluster without counts nothing is known.
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
