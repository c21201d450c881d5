"""The single-linkage dendrogram of a minimum spanning tree, in a unique form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _single_linkage

__all__ = ["Dendrogram", "single_linkage"]


@dataclass(frozen=True)
class Dendrogram:
    """Joins of nodes, by increasing height. Join k makes node n_rows + k; rows are the first nodes.

    Attributes
    ----------
    joined : (n_rows - 1, 2) int32 ndarray
        The two nodes of each join.
    heights : (n_rows - 1,) float64 ndarray
        Distance at which they join.
    sizes : (n_rows - 1,) int32 ndarray
        Rows of the new node.
    """

    joined: NDArray[np.int32]
    heights: NDArray[np.float64]
    sizes: NDArray[np.int32]

    @classmethod
    def of_table(cls, table: NDArray[Any]) -> Dendrogram:
        """Take the (n_rows - 1, 4) table of `scipy.cluster.hierarchy.linkage` or of hdbscan."""
        return cls(
            np.ascontiguousarray(table[:, :2], dtype=np.int32),
            np.ascontiguousarray(table[:, 2], dtype=np.float64),
            np.ascontiguousarray(table[:, 3], dtype=np.int32),
        )


def single_linkage(ends: NDArray[np.integer[Any]], weights: NDArray[np.float64]) -> Dendrogram:
    """Return the single-linkage dendrogram of a minimum spanning tree.

    All minimum spanning trees of the same points have the same components below every weight. But
    they may have other edges of equal weight, and many weights are equal: the core distance of a
    row is the weight of many edges. So components that join at one weight are sorted into a chain,
    the largest first, then by their first row. The dendrogram then depends on the points alone, not
    on the order in which threads find the edges.

    Parameters
    ----------
    ends : (n_rows - 1, 2) ndarray of int
        The two rows of each edge, in any order.
    weights : (n_rows - 1,) float64 ndarray
        Weight of each edge.

    Returns
    -------
    Dendrogram

    Raises
    ------
    ValueError
        If the edges are not a spanning tree.
    """
    order = np.argsort(weights, kind="stable")
    heights = weights[order]
    joined, sizes = _single_linkage.join(np.ascontiguousarray(ends[order], np.int32), heights)
    return Dendrogram(joined, heights, sizes)
