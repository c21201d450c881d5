"""The branches of HDBSCAN*'s condensed tree, with the mean of δ in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .hdbscan_tree import DensityClusters

__all__ = ["Branches"]


@dataclass(frozen=True)
class Branches:
    """The branches of the condensed tree; parents come before their children, the root first.

    Attributes
    ----------
    parent : (n_branches,) int64 ndarray
        −1 for the root.
    birth, death : (n_branches,) float64 ndarray
        Density λ (1 / distance) at which a branch begins, and at which its last rows leave it or
        it splits.
    size : (n_branches,) int64 ndarray
        Rows at birth.
    delta : (n_branches,) float64 ndarray
        Mean δ of these rows.
    cluster : (n_branches,) int32 ndarray
        Number of the cluster; −1 for a branch that was not chosen as a cluster.
    """

    parent: NDArray[np.int64]
    birth: NDArray[np.float64]
    death: NDArray[np.float64]
    size: NDArray[np.int64]
    delta: NDArray[np.float64]
    cluster: NDArray[np.int32]

    @classmethod
    def of(
        cls, clusters: DensityClusters, delta: NDArray[np.floating[Any]], numbers: NDArray[np.int32]
    ) -> Branches | None:
        """Describe the branches of a tree; None if it has no branches.

        Parameters
        ----------
        clusters : DensityClusters
            Clusters with their tree.
        delta : (n_rows,) ndarray of float
            δ of its rows.
        numbers : (n_clusters,) int32 ndarray
            New number of each cluster.
        """
        tree = clusters.tree
        if tree is None:
            return None
        total = np.bincount(tree.branch, delta, tree.n_branches)
        for branch in range(tree.n_branches - 1, 0, -1):  # children have larger numbers
            total[tree.parent[branch]] += total[branch]
        cluster = np.full(tree.n_branches, -1, dtype=np.int32)
        cluster[clusters.branches] = numbers
        size = tree.size.astype(np.int64)
        return cls(
            tree.parent.astype(np.int64), tree.birth, tree.death(), size, total / size, cluster
        )
