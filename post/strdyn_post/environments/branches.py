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
    """What splits into what as the density grows; the root comes first, parents before children.

    Attributes
    ----------
    parent : (n_branches,) int64 ndarray
        −1 for the root.
    birth, death : (n_branches,) float64 ndarray
        Density λ (1 / distance) at which a branch splits off, and at which its last rows leave it
        or it splits itself.
    size : (n_branches,) int64 ndarray
        Rows at birth.
    delta : (n_branches,) float64 ndarray
        Mean δ of these rows.
    cluster : (n_branches,) int32 ndarray
        Cluster that a branch was chosen as; −1 for none.
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
        """Describe the branches of a tree; None without any.

        Parameters
        ----------
        clusters : DensityClusters
            With the tree.
        delta : (n_rows,) ndarray of float
            δ of its rows.
        numbers : (n_clusters,) int32 ndarray
            Number that each of its clusters has got.
        """
        tree, n_rows = clusters.tree, len(clusters.points)
        if not len(tree):
            return None
        n_branches = int(tree["parent"].max()) + 1 - n_rows
        splits, leaves = tree[tree["child_size"] > 1], tree[tree["child_size"] == 1]
        parent = np.full(n_branches, -1, dtype=np.int64)
        birth, death, total = np.zeros((3, n_branches))
        size = np.zeros(n_branches, dtype=np.int64)
        child = splits["child"] - n_rows
        parent[child] = splits["parent"] - n_rows
        birth[child] = splits["lambda_val"]
        np.maximum.at(death, tree["parent"] - n_rows, tree["lambda_val"])
        np.add.at(total, leaves["parent"] - n_rows, delta[leaves["child"]])
        np.add.at(size, leaves["parent"] - n_rows, 1)
        for branch in range(n_branches - 1, 0, -1):  # children have larger numbers
            total[parent[branch]] += total[branch]
            size[parent[branch]] += size[branch]
        cluster = np.full(n_branches, -1, dtype=np.int32)
        cluster[clusters.branches] = numbers
        return cls(parent, birth, death, size, total / size, cluster)
