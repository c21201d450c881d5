"""The condensed tree with the mean of δ in each branch."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from memory_buffer import make_buffer, walk

from strdyn_post import AnalysisConfig, analyse
from strdyn_post.environments.branches import Branches
from strdyn_post.environments.clustering import cluster_environments
from strdyn_post.environments.hdbscan_tree import find_clusters
from strdyn_post.figures import plot_branches


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(m, 0.1, (400, 2)) for m in (0.0, 1.0, 5.0)])
    return find_clusters(points, 30), np.repeat([0.1, 0.2, 0.7], 400)


def test_every_branch_has_the_mean_of_its_rows(found):
    clusters, delta = found
    tree = Branches.of(clusters, delta, np.arange(3, dtype=np.int32))
    n_rows, condensed = 1200, clusters.tree
    for branch in range(len(tree.parent)):
        rows, below = [], [branch]
        while below:
            here = below.pop()
            rows += np.flatnonzero(condensed.branch == here).tolist()
            below += np.flatnonzero(condensed.parent == here).tolist()
        assert tree.size[branch] == len(rows)
        assert tree.delta[branch] == pytest.approx(delta[rows].mean())
    assert (tree.parent[0], tree.birth[0], tree.size[0]) == (-1, 0.0, n_rows)
    assert (tree.death[tree.parent[1:]] >= tree.birth[1:]).all()
    assert (tree.death >= tree.birth).all()
    chosen = tree.cluster >= 0
    assert sorted(tree.delta[chosen].round(6)) == [0.1, 0.2, 0.7]


def test_clusters_keep_the_numbers_of_the_labels(found):
    clusters, delta = found
    made = cluster_environments(
        clusters.points.astype(np.float32), AnalysisConfig(min_cluster_size=30), delta
    )
    tree = made.branches
    for label in range(made.n_clusters):
        (branch,) = np.flatnonzero(tree.cluster == label)
        inside = made.labels == label
        assert tree.delta[branch] == pytest.approx(delta[inside].mean())


def test_no_tree_without_clusters_or_delta(found):
    clusters, _ = found
    config = AnalysisConfig(min_cluster_size=30)
    assert cluster_environments(clusters.points.astype(np.float32), config).branches is None
    few = clusters.points[:20].astype(np.float32)
    assert cluster_environments(few, config, np.zeros(20)).branches is None


def test_the_figure_shows_the_dynamic_branch():
    rates = np.array([[0.97, 0.03, 0.0], [0.04, 0.955, 0.005], [0.0, 0.05, 0.95]])
    buffer = make_buffer(
        walk(rates, 40, 200, np.random.default_rng(0)), np.array([0, 1, 1]), np.array([0, 1, 14])
    )
    chi = analyse(buffer, AnalysisConfig(smoothing_window=1, min_cluster_size=60))["soap_lens"]
    ax = plot_branches(chi, ax=Figure().subplots())
    boxes = next(each for each in ax.collections if isinstance(each, PolyCollection))
    delta = np.asarray(boxes.get_array())
    assert len(boxes.get_paths()) == len(delta) >= 5
    assert boxes.get_clim() == (delta.min(), delta.max())
    # 14 of 20 neighbors are new
    assert delta.max() == pytest.approx(0.7, abs=0.02)
    marks = [text.get_text() for text in ax.texts]
    assert sorted(marks) == ["1", "2", "3"]
