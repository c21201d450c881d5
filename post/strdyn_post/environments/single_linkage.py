"""The single-linkage dendrogram of a minimum spanning tree, in a unique form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import _single_linkage

__all__ = ["single_linkage"]


def single_linkage(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the single-linkage dendrogram of a minimum spanning tree.

    All minimum spanning trees of the same points have the same components below every weight. But
    they may have other edges of equal weight, and many weights are equal: the core distance of a
    row is the weight of many edges. So components that join at one weight are sorted into a chain,
    the largest first, then by their first row. The dendrogram then depends on the points alone, not
    on the order in which threads find the edges.

    Parameters
    ----------
    edges : (n_rows - 1, 3) float64 ndarray
        Both ends and the weight, in any order.

    Returns
    -------
    (n_rows - 1, 4) float64 ndarray
        As of `scipy.cluster.hierarchy.linkage`.

    Raises
    ------
    ValueError
        If the edges are not a spanning tree.
    """
    order = np.argsort(edges[:, 2], kind="stable")
    weights = edges[order, 2]
    ends = np.ascontiguousarray(edges[order, :2]).astype(np.int64)
    joined, sizes = _single_linkage.join(ends, np.ascontiguousarray(weights))
    return np.column_stack([joined.astype(np.float64), weights, sizes])
