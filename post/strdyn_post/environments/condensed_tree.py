"""The condensed tree of HDBSCAN*: the dendrogram without branches of few rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import _condensed_tree
from .single_linkage import Dendrogram

__all__ = ["CondensedTree", "condense"]


@dataclass(frozen=True)
class CondensedTree:
    """The branches of the condensed tree; parents come before their children, the root first.

    Attributes
    ----------
    branch : (n_rows,) int32 ndarray
        Branch that each row leaves.
    density : (n_rows,) float64 ndarray
        Density λ (1 / distance) at which it leaves.
    parent : (n_branches,) int32 ndarray
        −1 for the root.
    birth : (n_branches,) float64 ndarray
        Density at which a branch begins; 0 for the root.
    size : (n_branches,) int32 ndarray
        Rows at birth.
    """

    branch: NDArray[np.int32]
    density: NDArray[np.float64]
    parent: NDArray[np.int32]
    birth: NDArray[np.float64]
    size: NDArray[np.int32]

    @property
    def n_branches(self) -> int:
        """Number of branches, the root counted."""
        return len(self.parent)

    def death(self) -> NDArray[np.float64]:
        """Return the density at which the last rows leave a branch or it splits, (n_branches,)."""
        death = np.zeros(self.n_branches)
        np.maximum.at(death, self.branch, self.density)
        np.maximum.at(death, self.parent[1:], self.birth[1:])
        return death

    def stability(self) -> NDArray[np.float64]:
        """Return the excess of mass of every branch, (n_branches,).

        It is the sum over its rows of the density at which they leave it, less that of its birth.
        """
        lifetime = self.density - self.birth[self.branch]
        mass = np.asarray(np.bincount(self.branch, lifetime, self.n_branches), dtype=np.float64)
        parent = self.parent[1:]
        of_children = self.size[1:] * (self.birth[1:] - self.birth[parent])
        mass += np.bincount(parent, of_children, self.n_branches)
        return mass


def condense(dendrogram: Dendrogram, min_cluster_size: int) -> CondensedTree:
    """Follow the dendrogram downwards; a join of two nodes that are large enough is a split.

    Parameters
    ----------
    dendrogram : Dendrogram
    min_cluster_size : int
        Smallest branch [rows].

    Returns
    -------
    CondensedTree
        Its branches have the order of those of hdbscan.

    Raises
    ------
    ValueError
        If a join takes a node that is made later.

    Notes
    -----
    Campello, Moulavi, Sander, PAKDD 2013, 160.
    """
    made = _condensed_tree.condense(
        dendrogram.joined, dendrogram.heights, dendrogram.sizes, min_cluster_size
    )
    return CondensedTree(*made)
