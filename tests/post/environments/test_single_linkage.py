"""The dendrogram of a spanning tree."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score

from strdyn_post.environments.single_linkage import Dendrogram, single_linkage


def table(edges):
    """Return the dendrogram of edges (both ends, weight) as scipy has it."""
    found = single_linkage(edges[:, :2].astype(int), edges[:, 2])
    return np.column_stack([found.joined, found.heights, found.sizes])


def test_ties_do_not_depend_on_the_order_of_edges():
    # a triangle of equal sides, a pair, and the edge between them; two other spanning trees
    trees = [
        [[0, 1, 1.0], [1, 2, 1.0], [3, 4, 1.0], [2, 3, 5.0]],
        [[3, 4, 1.0], [2, 0, 1.0], [0, 4, 5.0], [2, 1, 1.0]],
    ]
    for edges in trees:
        found = table(np.array(edges))
        expected = [[1, 0, 1, 2], [5, 2, 1, 3], [4, 3, 1, 2], [7, 6, 5, 5]]
        np.testing.assert_array_equal(found, expected)


def test_chains_of_components_that_join_at_one_weight_stay_apart():
    # at 2.0 the pairs 01 and 23 join by 4, and 5 joins 6: two chains, in either order of edges
    edges = np.array([[5, 6, 2.0], [0, 1, 1], [4, 3, 2], [2, 3, 1], [1, 4, 2], [6, 0, 3]])
    expected = [[1, 0, 1, 2], [3, 2, 1, 2], [8, 7, 2, 4], [9, 4, 2, 5], [6, 5, 2, 2]]
    for rows in (edges, edges[::-1], edges[:, [1, 0, 2]]):
        found = table(rows)
        np.testing.assert_array_equal(found[:5], expected)
        np.testing.assert_array_equal(found[5], [11, 10, 3, 7])


def test_dendrogram_is_that_of_scipy():
    points = np.random.default_rng(0).normal(size=(80, 2))
    graph = squareform(pdist(points))
    tree = minimum_spanning_tree(graph).tocoo()
    edges = np.column_stack([tree.row, tree.col, tree.data])
    ours, reference = table(edges), linkage(points, "single")
    np.testing.assert_allclose(ours[:, 2:], reference[:, 2:])
    for height in reference[::7, 2]:
        a, b = (fcluster(x, height, "distance") for x in (ours, reference))
        assert adjusted_rand_score(a, b) == 1.0


def test_a_table_of_scipy_is_taken_as_it_is():
    rows = linkage(np.random.default_rng(1).normal(size=(30, 2)), "single")
    found = Dendrogram.of_table(rows)
    np.testing.assert_array_equal(found.joined, rows[:, :2])
    np.testing.assert_array_equal(found.heights, rows[:, 2])
    np.testing.assert_array_equal(found.sizes, rows[:, 3])


def test_edges_that_close_a_ring_are_refused():
    for weights in ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="not a spanning tree"):
            single_linkage(np.array([[0, 1], [1, 2], [2, 0]]), np.array(weights))
    with pytest.raises(ValueError, match="does not exist"):
        single_linkage(np.array([[0, 1], [1, 3]]), np.array([1.0, 2.0]))
