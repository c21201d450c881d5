"""The condensed tree: by hand, and as that of hdbscan."""

import hdbscan
import numpy as np
import pytest
from hdbscan._hdbscan_tree import compute_stability, condense_tree

from strdyn_post.environments.condensed_tree import condense
from strdyn_post.environments.single_linkage import Dendrogram


def test_a_tree_by_hand():
    # 0 1 2 and 3 4 5 join at 1 and 2; at 4 the two triples join; 6 comes at 5
    table = [
        [0, 1, 0.5, 2],  # 7
        [7, 2, 1.0, 3],  # 8
        [3, 4, 1.0, 2],  # 9
        [9, 5, 2.0, 3],  # 10
        [8, 10, 4.0, 6],  # 11
        [11, 6, 5.0, 7],  # 12
    ]
    found = condense(Dendrogram.of_table(np.array(table)), 3)
    assert found.parent.tolist() == [-1, 0, 0]
    assert found.birth.tolist() == [0.0, 0.25, 0.25]
    assert found.size.tolist() == [7, 3, 3]
    assert found.branch.tolist() == [1, 1, 1, 2, 2, 2, 0]
    assert found.density.tolist() == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.2]
    assert found.death().tolist() == [0.25, 1.0, 0.5]
    # 0.2 of the row that leaves, 0.25 of each of the six others; three rows for 0.75 and 0.25
    assert found.stability() == pytest.approx([1.7, 2.25, 0.75])


@pytest.mark.parametrize("size", [2, 5, 20])
def test_the_tree_is_that_of_hdbscan(size):
    rng = np.random.default_rng(size)
    points = np.concatenate([rng.normal(mean, 0.3, (300, 3)) for mean in (0, 1, 4)])
    fitted = hdbscan.HDBSCAN(min_cluster_size=size, approx_min_span_tree=False).fit(points)
    dendrogram = fitted.single_linkage_tree_.to_numpy()
    reference = condense_tree(dendrogram, size)
    found = condense(Dendrogram.of_table(dendrogram), size)
    rows = reference[reference["child_size"] == 1]
    np.testing.assert_array_equal(found.branch[rows["child"]], rows["parent"] - 900)
    np.testing.assert_array_equal(found.density[rows["child"]], rows["lambda_val"])
    splits = reference[reference["child_size"] > 1]
    children = splits["child"] - 900
    assert sorted(children) == list(range(1, found.n_branches))
    np.testing.assert_array_equal(found.parent[children], splits["parent"] - 900)
    np.testing.assert_array_equal(found.birth[children], splits["lambda_val"])
    np.testing.assert_array_equal(found.size[children], splits["child_size"])
    stability = compute_stability(reference)
    expected = [stability[branch + 900] for branch in range(found.n_branches)]
    np.testing.assert_allclose(found.stability(), expected, rtol=1e-9)


def test_joins_out_of_order_are_refused():
    table = Dendrogram.of_table(np.array([[4, 0, 1.0, 2], [1, 2, 2.0, 3], [5, 3, 3.0, 4]]))
    with pytest.raises(ValueError, match="by increasing height"):
        condense(table, 2)
