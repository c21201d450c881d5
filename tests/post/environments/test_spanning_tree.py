"""The spanning tree of mutual reachability: as from all pairs of rows, and as that of hdbscan."""

import time

import hdbscan
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from strdyn_post.environments.hdbscan_tree import choose_clusters, find_clusters
from strdyn_post.environments.single_linkage import single_linkage
from strdyn_post.environments.spanning_tree import spanning_tree


def clumps(n_rows, n_dims, seed=0):
    rng = np.random.default_rng(seed)
    wide = rng.choice([0.02, 0.05, 0.3], n_rows)[:, None]
    return rng.integers(0, 3, (n_rows, n_dims)) + wide * rng.normal(size=(n_rows, n_dims))


def data_sets():
    rng = np.random.default_rng(7)
    for n_dims in (1, 2, 3, 5, 8, 12):
        yield f"clumps in {n_dims}", clumps(1200, n_dims)
    yield "heavy tails", rng.standard_t(1, (1500, 4))
    yield "a lattice, all distances tied", np.stack(np.meshgrid(*3 * [np.arange(10)]), -1)
    yield "many duplicates", rng.integers(0, 4, (1000, 3))
    yield "half duplicates", np.repeat(clumps(300, 2), 4, axis=0) + 0.0
    yield "all rows equal", np.full((500, 5), 0.3)
    yield "one column constant", np.column_stack([rng.normal(size=700), np.full(700, 2.0)])
    yield "far from the origin", 1000.0 + rng.normal(size=(800, 3))
    yield "very small", 1e-12 * clumps(800, 3)
    yield "33 rows", rng.normal(size=(33, 2))
    yield "7 rows", rng.normal(size=(7, 2))


SETS = {
    name: np.asarray(rows, dtype=np.float32).reshape(-1, np.shape(rows)[-1])
    for name, rows in data_sets()
}


def all_pairs(rows, min_samples):
    """Return the mutual reachability distances of all pairs, in double precision."""
    apart = cdist(rows.astype(np.float64), rows.astype(np.float64))
    core = np.sort(apart, axis=1)[:, min_samples]
    return np.maximum(apart, np.maximum(core[:, None], core))


def prim(graph):
    """Return a minimum spanning tree of a matrix of distances: add the nearest row, and again."""
    nearest, source = graph[0].copy(), np.zeros(len(graph), dtype=int)
    nearest[0] = np.inf
    outside = np.ones(len(graph), dtype=bool)
    outside[0] = False
    ends, weights = [], []
    while outside.any():
        row = int(np.where(outside, nearest, np.inf).argmin())
        ends.append((source[row], row))
        weights.append(nearest[row])
        outside[row] = False
        closer = outside & (graph[row] < nearest)
        nearest[closer], source[closer] = graph[row][closer], row
    return np.array(ends), np.array(weights)


@pytest.mark.parametrize(
    ("name", "min_samples"),
    [(name, size) for size in (1, 5, 40) for name in SETS if len(SETS[name]) > size],
)
def test_weights_are_those_of_all_pairs(name, min_samples):
    rows = SETS[name]
    graph = all_pairs(rows, min_samples)
    ends, weights = spanning_tree(rows, min_samples)
    np.testing.assert_allclose(weights, graph[tuple(ends.T)], rtol=1e-12)
    single_linkage(ends, weights)  # refuses what is no tree
    _, expected = prim(graph)
    np.testing.assert_allclose(np.sort(weights), np.sort(expected), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in SETS if len(SETS[name]) > 100])
def test_labels_are_those_of_the_tree_of_all_pairs(name):
    rows = SETS[name]
    ends, weights = prim(all_pairs(rows, 15))
    least = np.finfo(np.float32).eps * np.abs(rows).max()
    reference = choose_clusters(rows, single_linkage(ends, weights.clip(least)), 15)
    np.testing.assert_array_equal(find_clusters(rows, 15).labels, reference.labels)


@pytest.mark.parametrize("n_dims", [3, 5])
def test_tree_and_labels_are_those_of_hdbscan(n_dims):
    rng = np.random.default_rng(11)
    means = rng.normal(size=(6, n_dims))
    rows = means[rng.choice(6, 10_000, p=[0.5, 0.2, 0.15, 0.1, 0.04, 0.01])]
    rows = (rows + 0.1 * rng.standard_t(3, rows.shape)).astype(np.float32)
    fitted = hdbscan.HDBSCAN(
        min_cluster_size=60, approx_min_span_tree=False, gen_min_span_tree=True, core_dist_n_jobs=1
    ).fit(rows.astype(np.float64))
    edges = fitted.minimum_spanning_tree_.to_numpy()
    _, weights = spanning_tree(rows, 60)
    np.testing.assert_allclose(np.sort(weights), np.sort(edges[:, 2]), rtol=1e-12)
    found = find_clusters(rows, 60)
    assert found.n_clusters >= 4
    # hdbscan's tree, with the order of ours where edges are equally heavy
    theirs = choose_clusters(rows, single_linkage(edges[:, :2].astype(int), edges[:, 2]), 60)
    assert adjusted_rand_score(theirs.labels, found.labels) == 1.0
    # its own order: a row that joins where two clusters join may be in either
    assert adjusted_rand_score(fitted.labels_, found.labels) > 0.999


@pytest.mark.parametrize(
    "name", ["clumps in 5", "a lattice, all distances tied", "many duplicates"]
)
def test_any_number_of_threads_gives_the_same_dendrogram(name):
    rows = np.concatenate([SETS[name] + np.float32(10 * k) for k in range(4)])
    first, *others = (single_linkage(*spanning_tree(rows, 10, n)) for n in (1, 2, 3, 3))
    for other in others:
        np.testing.assert_array_equal(first.joined, other.joined)
        np.testing.assert_array_equal(first.heights, other.heights)


def test_the_order_of_rows_and_axes_does_not_change_the_weights():
    rng = np.random.default_rng(3)
    rows = SETS["clumps in 3"]
    _, weights = spanning_tree(rows, 12)
    _, moved = spanning_tree(rows[rng.permutation(len(rows))], 12)
    np.testing.assert_array_equal(np.sort(weights), np.sort(moved))
    _, turned = spanning_tree(rows[:, [2, 0, 1]], 12)
    np.testing.assert_allclose(np.sort(weights), np.sort(turned), rtol=1e-14)


def test_many_equal_rows_take_no_longer():
    start = time.process_time()
    _, weights = spanning_tree(np.ones((100_000, 3)), 20)
    assert (weights == 0.0).all()
    assert time.process_time() - start < 20  # all pairs would take minutes


def test_what_has_no_tree_is_refused():
    rows = np.zeros((10, 2))
    with pytest.raises(ValueError, match="min_samples = 10 for 10 rows"):
        spanning_tree(rows, 10)
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        rows[3, 1] = bad
        with pytest.raises(ValueError, match="not finite"):
            spanning_tree(rows, 3)


def test_too_few_rows_are_noise():
    found = find_clusters(SETS["7 rows"], 7)
    assert found.labels.tolist() == 7 * [-1]
    assert found.tree is None
