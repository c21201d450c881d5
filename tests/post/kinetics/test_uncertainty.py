import numpy as np
import pytest
from memory_buffer import walk

from strdyn_post.kinetics.persistence import lag_scan, residence_times
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.kinetics.uncertainty import (
    flux_imbalance,
    merge_support,
    resample_counts,
    stationarity,
    transition_intervals,
)

RATES = np.array([[0.95, 0.05, 0.0], [0.08, 0.91, 0.01], [0.0, 0.1, 0.9]])


def intervals_of(labels, n_clusters, seed=0):
    counts = count_transitions(labels, n_clusters)
    resampled = [
        resample_counts(labels, n_clusters, by=by, seed=seed, n_resamples=100)
        for by in ("atoms", "time")
    ]
    return transition_intervals(counts, resampled)


def test_intervals_cover_the_true_probabilities():
    inside = np.zeros((3, 3))
    n_runs = 120
    for run in range(n_runs):
        labels = walk(RATES, 40, 40, np.random.default_rng(run)).astype(np.int32)
        found = intervals_of(labels, 3, seed=run)
        inside += (found.low <= RATES) & (found.high >= RATES)
    # 95 % wanted; the union of three intervals may be wider, never narrower
    assert (inside / n_runs >= 0.92).all()


def test_a_longer_lag_does_not_make_more_of_the_same_moves():
    reversible = np.array([[0.96, 0.04, 0.0], [0.04, 0.94, 0.02], [0.0, 0.02, 0.98]])
    expected = np.linalg.matrix_power(reversible, 10)
    tilted, inside, n_runs = 0, np.zeros((3, 3)), 60
    for run in range(n_runs):
        labels = walk(reversible, 200, 40, np.random.default_rng(run)).astype(np.int32)
        counts = count_transitions(labels, 3, 10)
        drawn = [
            resample_counts(labels, 3, by=by, lag=10, n_resamples=100) for by in ("atoms", "time")
        ]
        found = transition_intervals(counts, drawn, lag=10)
        inside += (found.low <= expected) & (found.high >= expected)
        tilted += (np.abs(flux_imbalance(counts, 10)) > 3).any()
    assert tilted <= 2
    assert (inside / n_runs >= 0.92).all()
    # one atom moves once: ten windows hold the move
    once = np.repeat([0, 1], 50)[:, None].astype(np.int32)
    counts = count_transitions(once, 2, 10)
    assert counts[0, 1] == 10
    assert transition_intervals(counts, [], lag=10).few_events[0, 1]
    assert flux_imbalance(counts, 10)[0, 1] == 1.0


def test_intervals_widen_when_atoms_do_not_agree():
    # half of the atoms jump at every frame, half never: the mean rate is known to few atoms only
    rng = np.random.default_rng(0)
    labels = np.zeros((201, 20), dtype=np.int32)
    labels[:, :10] = (np.arange(201) % 2)[:, None]
    alike = walk(np.array([[0.66, 0.34], [1.0, 0.0]]), 201, 20, rng).astype(np.int32)
    wide, narrow = intervals_of(labels, 2), intervals_of(alike, 2)
    assert wide.high[0, 1] - wide.low[0, 1] > 5 * (narrow.high[0, 1] - narrow.low[0, 1])


def test_intervals_shrink_with_the_data_and_bound_what_was_never_seen():
    rng = np.random.default_rng(1)
    short, long = (intervals_of(walk(RATES, n, 30, rng).astype(np.int32), 3) for n in (50, 800))
    width = short.high - short.low, long.high - long.low
    assert width[1][0, 1] < 0.5 * width[0][0, 1]
    assert 0 < long.high[0, 2] < 0.01  # never seen: about 3.7 / N by Clopper and Pearson
    assert short.low[0, 2] == 0


def test_rare_moves_are_marked():
    labels = np.zeros((100, 1), dtype=np.int32)
    labels[50:52] = 1
    found = intervals_of(labels, 2)
    assert found.few_events.tolist() == [[False, True], [True, False]]


def test_resampled_counts_scatter_about_the_counts():
    labels = walk(RATES, 100, 50, np.random.default_rng(2)).astype(np.int32)
    counts = count_transitions(labels, 3)
    for by in ("atoms", "time"):
        drawn = resample_counts(labels, 3, by=by, n_resamples=400)
        np.testing.assert_allclose(drawn.sum(axis=(1, 2)), counts.sum(), rtol=0.06)
        assert np.abs(drawn.mean(axis=0) - counts).max() < 0.02 * counts.sum()
        np.testing.assert_array_equal(drawn, resample_counts(labels, 3, by=by, n_resamples=400))


def test_resampling_leaves_gaps_and_noise_alone():
    labels = np.array([[0], [1], [-1], [1], [0], [0]], dtype=np.int32)
    stretches = np.array([0, 0, 0, 0, 1, 1])
    drawn = resample_counts(labels, 2, by="atoms", stretches=stretches, n_resamples=5)
    np.testing.assert_array_equal(drawn, np.broadcast_to([[1, 1], [0, 0]], (5, 2, 2)))


def test_timescales_of_a_two_state_chain():
    matrix = np.array([[0.9, 0.1], [0.2, 0.8]])  # eigenvalues 1 and 0.7
    labels = walk(matrix, 4000, 60, np.random.default_rng(3)).astype(np.int32)
    scan = lag_scan(labels, 2, [1, 2, 4])
    np.testing.assert_allclose(scan.timescales[:, 0], -1 / np.log(0.7), rtol=0.03)
    assert np.abs(scan.stay - scan.predicted).max() < 0.01
    np.testing.assert_allclose(scan.stay[0], [0.9, 0.8], atol=0.005)


def test_a_hidden_state_fails_chapman_kolmogorov():
    hidden = np.array([[0.98, 0.02, 0], [0.0, 0.5, 0.5], [0.02, 0.49, 0.49]])
    states = walk(hidden, 3000, 40, np.random.default_rng(4))
    labels = np.array([0, 1, 0])[states].astype(np.int32)  # 2 looks like 0
    scan = lag_scan(labels, 2, [1, 4])
    assert np.abs(scan.stay - scan.predicted).max() > 0.1
    with pytest.raises(ValueError, match="multiple of the first"):
        lag_scan(labels, 2, [2, 3])


def test_what_has_no_counts_at_a_lag_is_not_known():
    labels = np.zeros((60, 4), dtype=np.int32)
    labels[-10:, :2] = 1  # only in the last ten frames: gone at a lag of 20
    scan = lag_scan(labels, 2, [1, 20])
    assert scan.stay[0].tolist() == [216 / 218, 1.0]
    assert np.isnan(scan.stay[1, 1])
    assert np.isnan(scan.predicted[1, 1])


def test_residence_times_by_hand_and_of_a_chain():
    labels = np.array([0, 0, 1, 0, 1, 1, 1, 0, 0], dtype=np.int32)[:, None]
    found = residence_times(labels, 3)
    # exits: 0 leaves twice in 3 + ... frames that have a next one; 1 leaves twice of 4 frames
    assert found.n_exits.tolist() == [2, 2, 0]
    assert found.mean.tolist() == [4 / 2, 4 / 2, np.inf]
    # known begin and end: 1 (one frame), 0 (one frame), 1 (three frames)
    assert found.single[:2].tolist() == [1.0, 0.5]
    assert np.isnan(found.single[2])
    chain = walk(RATES, 2000, 50, np.random.default_rng(5)).astype(np.int32)
    np.testing.assert_allclose(residence_times(chain, 3).mean, [20, 1 / 0.09, 10], rtol=0.06)


def test_flux_balance():
    excess = flux_imbalance([[5, 50, 0], [50, 9, 30], [0, 70, 1]])
    assert excess[0, 1] == 0
    assert excess[2, 1] == -excess[1, 2] == 40 / 10
    assert excess[0, 2] == 0


def test_stationarity_sees_a_drift_and_only_a_drift():
    rng = np.random.default_rng(6)
    still = stationarity(walk(RATES, 400, 50, rng)[200:].astype(np.int32), 3)
    assert np.abs(still.drift).max() < 4
    freezing = (rng.random((200, 50)) > np.linspace(0.2, 0.8, 200)[:, None]).astype(np.int32)
    moving = stationarity(freezing, 2)
    np.testing.assert_allclose(moving.early + 0, [0.35, 0.65], atol=0.02)
    np.testing.assert_allclose(moving.late, [0.65, 0.35], atol=0.02)
    assert moving.drift[0] > 4
    assert moving.drift[1] < -4


def test_drift_is_in_standard_errors_also_where_atoms_stay_as_long_as_the_run():
    slow = np.array([[0.99, 0.01], [0.01, 0.99]])  # 100 frames in either state
    drifts = [
        stationarity(walk(slow, 200, 100, np.random.default_rng(k)).astype(np.int32), 2).drift[0]
        for k in range(100)
    ]
    assert 0.8 < np.std(drifts) < 1.25
    assert stationarity(np.zeros((10, 1), np.int32), 1).drift.tolist() == [0.0]


def test_a_jump_in_the_middle_is_a_drift():
    jump = np.repeat([0, 1], 20)[:, None] + np.zeros((1, 6), np.int32)
    drift = stationarity(jump.astype(np.int32), 2).drift
    assert drift[0] < -100
    assert drift[1] > 100


def test_support_of_a_merge():
    counts = np.array([[95, 5, 0], [4, 60, 36], [0, 55, 45]])
    steady = np.repeat(counts[None], 10, axis=0)
    shaken = steady.copy()
    shaken[:4, 2] = [60, 0, 40]  # in 4 of 10, the third goes as the first instead
    (low, high), share = merge_support(counts, [steady, shaken], 1.0)
    assert low < 1.0 <= high
    assert share == 16 / 20
    assert merge_support(counts, [], None)[1] == 1.0
