"""The single-linkage dendrogram of a minimum spanning tree, the same for all such trees."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["single_linkage"]


def single_linkage(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the single-linkage dendrogram of a minimum spanning tree.

    All minimum spanning trees have the same components below every weight, but they differ where
    weights are equal, as they often are: the core distance of a row is the weight of many edges.
    Components that join at one weight are put in a chain, the largest first, then by their first
    row: the dendrogram depends on the points alone, not on the order in which threads found edges.

    Parameters
    ----------
    edges : (n_rows - 1, 3) float64 ndarray
        Both ends and the weight, in any order.

    Returns
    -------
    (n_rows - 1, 4) float64 ndarray
        As of `scipy.cluster.hierarchy.linkage`.
    """
    order = np.argsort(edges[:, 2], kind="stable")
    weights = edges[order, 2]
    joined, sizes = _join(np.ascontiguousarray(edges[order, :2]).astype(np.int64), weights)
    return np.column_stack([joined.astype(np.float64), weights, sizes])


@numba.njit(cache=True)
def _join(ends, weights):  # type: ignore[no-untyped-def]
    """Join components edge by edge; those at one weight in an order of their own."""
    n_rows = len(weights) + 1
    parent = np.arange(2 * n_rows - 1)
    size = np.ones(2 * n_rows - 1, np.int64)
    first = np.arange(2 * n_rows - 1)
    joined = np.empty((n_rows - 1, 2), np.int64)
    new, start = n_rows, 0
    while start < n_rows - 1:
        stop = start + 1
        while stop < n_rows - 1 and weights[stop] == weights[start]:
            stop += 1
        tops = np.empty(2 * (stop - start), np.int64)
        for k in range(start, stop):
            tops[2 * (k - start)] = _top(parent, ends[k, 0])
            tops[2 * (k - start) + 1] = _top(parent, ends[k, 1])
        members = tops
        if stop > start + 1:
            members = _chains(parent, tops, size, first)
        node = -1  # of the chain that grows
        for item in members:
            member = int(item)
            if member < 0:
                node = -1
            elif node < 0:
                node = member
            else:
                joined[new - n_rows] = max(node, member), min(node, member)
                parent[node] = parent[member] = new
                size[new] = size[node] + size[member]
                first[new] = min(first[node], first[member])
                node, new = new, new + 1
        start = stop
    return joined, size[n_rows:]


@numba.njit(cache=True)
def _chains(parent, tops, size, first):  # type: ignore[no-untyped-def]
    """Sort components into the chains that edges make of them; −1 stands between chains."""
    for k in range(0, len(tops), 2):
        parent[_top(parent, tops[k])] = _top(parent, tops[k + 1])
    members = np.unique(tops)
    members = members[np.argsort(first[members], kind="mergesort")]
    members = members[np.argsort(-size[members], kind="mergesort")]
    chain = {_top(parent, members[0]): 0}
    number = np.empty(len(members), np.int64)
    for k, member in enumerate(members):
        number[k] = chain.setdefault(_top(parent, member), len(chain))
    order = np.argsort(number, kind="mergesort")
    result = np.full(len(members) + len(chain) - 1, -1)
    for k, at in enumerate(order):
        result[k + number[at]] = members[at]
    return result


@numba.njit(cache=True)
def _top(parent, node):  # type: ignore[no-untyped-def]
    root = node
    while parent[root] != root:
        root = parent[root]
    while parent[node] != root:
        parent[node], node = root, parent[node]
    return root
