"""Transition counts and merging."""

import numpy as np
import pytest

from strdyn_post.kinetics.merging import differ_in_dynamics, merge_clusters
from strdyn_post.kinetics.transitions import count_transitions, fluxes, transition_matrix

# Cu(211), SOAP alone, from the public notebook of the paper [%, rounded]
PAPER = np.array(
    [
        [98.1, 1.9, 0, 0, 0, 0, 0],
        [7.2, 86.6, 5.8, 0.4, 0, 0, 0],
        [0, 6.2, 90.4, 3.3, 0, 0, 0],
        [0.2, 0.4, 3.5, 90.2, 5.7, 0, 0],
        [0, 0, 0, 5.2, 89.5, 4.2, 1.2],
        [0, 0, 0, 0, 5.1, 91.4, 3.5],
        [0, 0, 0, 0, 10.3, 23.4, 66.3],
    ]
)


def test_counts_of_a_sequence_written_by_hand():
    # two atoms, columns; noise at one frame of the second
    labels = np.array([[0, 1], [0, 1], [1, -1], [2, 1], [0, 0]])
    # atom 1: 0-0 0-1 1-2 2-0; atom 2: 1-1 and, after the noise, 1-0
    np.testing.assert_array_equal(count_transitions(labels, 3), [[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    # lag 2: atom 1: 0-1 0-2 1-0; atom 2: (1, noise) no, 1-1, (noise, 0) no
    np.testing.assert_array_equal(
        count_transitions(labels, 3, lag=2), [[0, 1, 1], [1, 1, 0], [0, 0, 0]]
    )


def test_nothing_is_counted_across_a_gap():
    labels = np.array([0, 1, 0, 1, 1])
    stretches = [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(count_transitions(labels, stretches=stretches), [[0, 1], [1, 1]])
    np.testing.assert_array_equal(
        count_transitions(labels, lag=2, stretches=stretches), [[1, 0], [0, 0]]
    )
    assert not count_transitions(labels, 2, lag=4, stretches=stretches).any()


def test_probabilities_and_fluxes():
    counts = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    np.testing.assert_allclose(
        transition_matrix(counts), [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 0]]
    )
    np.testing.assert_array_equal(fluxes(counts), [[0, 2, 0], [1, 0, 0], [0, 0, 0]])
    assert counts[0, 0] == 6  # the argument stays as it was


def test_impossible_arguments_are_named():
    with pytest.raises(ValueError, match="lag = 0"):
        count_transitions([0, 1], lag=0)
    with pytest.raises(ValueError, match="label 3 found, but n_clusters = 2"):
        count_transitions([0, 3], 2)


def test_dendrogram_of_the_papers_seven_states():
    merge = merge_clusters(PAPER)
    np.testing.assert_allclose(
        merge.heights, [0.802, 1.056, 1.067, 1.134, 1.159, 1.218], atol=0.003
    )
    assert merge.mapping.tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert merge.n_merged == 6


def test_counts_are_merged_not_probabilities():
    # rows 1 and 2 go alike, but row 1 has ten times the counts
    counts = np.array([[90, 5, 5], [100, 800, 100], [60, 30, 10]])
    merge = merge_clusters(counts, cut=2.0)
    assert merge.n_merged == 1
    assert merge.counts.tolist() == [[1200]]
    apart = merge_clusters(PAPER * 10)
    np.testing.assert_allclose(apart.counts[5, 5], 10 * (91.4 + 3.5 + 23.4 + 66.3))
    np.testing.assert_allclose(transition_matrix(apart.counts).sum(axis=1), 1.0)


def test_cut_is_strict_and_may_be_left_out():
    height = merge_clusters(PAPER).heights[0]
    assert merge_clusters(PAPER, cut=height).n_merged == 7
    assert merge_clusters(PAPER, cut=height + 1e-9).n_merged == 6
    assert merge_clusters(PAPER, cut=None).n_merged == 7


@pytest.mark.parametrize("n_clusters", [0, 1])
def test_there_is_no_dendrogram_of_less_than_two(n_clusters):
    merge = merge_clusters(np.ones((n_clusters, n_clusters), dtype=int))
    assert merge.linkage.shape == (0, 4)
    assert merge.n_merged == n_clusters


def test_two_lasting_states_stay_apart():
    merge = merge_clusters([[95, 5], [3, 97]])
    assert merge.heights.tolist() == [2.0]  # rows of two entries are opposite or alike
    assert merge.n_merged == 2


def test_clusters_without_counts_never_merge():
    counts = np.array([[9, 1, 0, 0], [1, 9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    merge = merge_clusters(counts)
    assert np.isfinite(merge.linkage).all()
    assert merge.mapping.tolist() == [0, 1, 2, 3]
    assert merge_clusters(np.zeros((3, 3), np.int64)).n_merged == 3
    assert merge_clusters([[5, 5], [7, 7]]).n_merged == 1  # both go everywhere alike


def test_pairs_that_stay_apart_do_not_merge_by_way_of_a_third():
    # rows of 0, 1 and 2 are alike: all would merge at 1.0, and 3 not
    counts = np.array([[50, 30, 18, 2], [48, 32, 18, 2], [40, 36, 22, 2], [0, 0, 3, 97]])
    assert merge_clusters(counts).mapping.tolist() == [0, 0, 0, 1]
    apart = np.zeros((4, 4), dtype=bool)
    apart[0, 1] = True
    kept = merge_clusters(counts, apart=apart)
    # 1 is nearer to 2 than 0 is: 1 − the correlation of their rows is 0.038 against 0.059
    assert kept.mapping.tolist() == [0, 1, 1, 2]
    assert kept.counts.tolist() == [[50, 48, 2], [88, 108, 4], [0, 3, 97]]
    np.testing.assert_array_equal(kept.linkage, merge_clusters(counts).linkage)
    assert len(kept.heights) == 2  # 3 joins one group, then nothing may
    assert merge_clusters(counts, cut=None, apart=apart).n_merged == 4
    assert merge_clusters(counts, cut=kept.heights[0], apart=apart).n_merged == 4


def test_what_stays_apart_anyway_changes_nothing():
    free = merge_clusters(PAPER)
    apart = np.zeros((7, 7), dtype=bool)
    apart[0, 6] = True  # they join last
    kept = merge_clusters(PAPER, apart=apart)
    assert kept.mapping.tolist() == free.mapping.tolist() == [0, 1, 2, 3, 4, 5, 5]
    np.testing.assert_allclose(kept.heights, free.heights[:-1])


def test_clusters_differ_in_dynamics_beyond_their_spread():
    # means 0.1, 0.3 and 0.38; standard deviations 0.1, 0.1 and 0.02; the last cluster is empty
    labels = np.array([[0, 1, 2, -1], [0, 1, 2, -1]])
    delta = np.array([[0.0, 0.2, 0.36, 9.0], [0.2, 0.4, 0.40, 9.0]])
    differ = differ_in_dynamics(labels, delta, 4)
    # 0.2 > √0.02 = 0.14; 0.08 < √0.0104 = 0.102; 0.28 > 0.102
    expected = np.zeros((4, 4), dtype=bool)
    expected[[0, 1, 0, 2], [1, 0, 2, 0]] = True
    np.testing.assert_array_equal(differ, expected)
