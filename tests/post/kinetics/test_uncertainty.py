"""Intervals, balance, drift: by hand, and on models of which the truth is known."""

import numpy as np
import pytest
from known.models import RATES, chain, relaxing
from known.trials import COVERED, MOVING, STILL, UNDECIDED, alarms, coverage
from memory_buffer import walk

from strdyn_post.kinetics.persistence import lag_scan, residence_times
from strdyn_post.kinetics.transitions import count_moves, count_transitions
from strdyn_post.kinetics.uncertainty import (
    flux_balance,
    merge_support,
    resample_counts,
    stationarity,
    transition_intervals,
)

INDEPENDENT, HELD_20, TEN_TOGETHER = COVERED[0], COVERED[6], COVERED[11]


@pytest.mark.parametrize("model", [INDEPENDENT, HELD_20, TEN_TOGETHER], ids=lambda each: each.name)
def test_intervals_hold_the_true_probability(model):
    assert coverage(model, range(60)).covers >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("model", COVERED, ids=lambda each: each.name)
def test_intervals_hold_the_true_probability_in_many_runs(model):
    found = coverage(model, range(1000))
    assert found.covers >= 0.9
    assert not found.covers_unseen < 0.9


def test_a_rate_that_changes_once_in_a_run_is_not_known():
    found = coverage(UNDECIDED, range(60))
    assert found.slow >= 0.7
    assert found.width > 3  # relative to the probability: it says next to nothing


def test_a_longer_lag_does_not_make_more_of_the_same_moves():
    reversible = np.array([[0.96, 0.04, 0.0], [0.04, 0.94, 0.02], [0.0, 0.02, 0.98]])
    expected = np.linalg.matrix_power(reversible, 10)
    tilted, inside, n_runs = 0, np.zeros((3, 3)), 60
    for run in range(n_runs):
        labels = chain(run, reversible, n_atoms=40)
        found = transition_intervals(labels, 3, 10)
        inside += (found.low <= expected) & (found.high >= expected)
        tilted += (np.abs(flux_balance(labels, 3, 10).excess) > 3).any()
    assert tilted <= 2
    assert (inside / n_runs >= 0.9).all()


def test_moves_are_counted_once_at_any_lag():
    # an atom changes its environment after every 50 frames: 20 moves, ten of each kind
    labels = (np.arange(1050) // 50 % 2)[:, None].astype(np.int32)
    assert count_transitions(labels, 2, 10).tolist() == [[440, 100], [100, 400]]
    for lag in (1, 10):
        assert count_moves(labels, 2, lag).tolist() == [[0, 10], [10, 0]]
        assert transition_intervals(labels, 2, lag).events.tolist() == [[0, 10], [10, 0]]
    # noise at an end, and a gap: what is in between is not counted
    labels = np.array([0, 0, 1, -1, 1, 0, 1])[:, None]
    assert count_moves(labels, 2).tolist() == [[0, 2], [1, 0]]
    assert count_moves(labels, 2, stretches=[0, 0, 0, 0, 0, 0, 1]).tolist() == [[0, 1], [1, 0]]
    assert count_moves(labels, 2, 2).tolist() == [[0, 1], [0, 0]]


def test_windows_that_overlap_are_not_independent_events():
    once = np.repeat([0, 1], 50)[:, None].astype(np.int32)
    found = transition_intervals(once, 2, 10)
    assert found.events[0, 1] == 1
    assert found.effective[0, 1] <= 1
    assert found.few_events.tolist() == [[False, True], [False, False]]
    assert abs(flux_balance(once, 2, 10).excess[0, 1]) < 2


def test_intervals_widen_when_atoms_do_not_agree():
    # half of the atoms jump at every frame, half never: the mean rate is known to few atoms only
    rng = np.random.default_rng(0)
    labels = np.zeros((201, 20), dtype=np.int32)
    labels[:, :10] = (np.arange(201) % 2)[:, None]
    alike = walk(np.array([[0.66, 0.34], [1.0, 0.0]]), 201, 20, rng).astype(np.int32)
    wide, narrow = (transition_intervals(each, 2) for each in (labels, alike))
    assert wide.high[0, 1] - wide.low[0, 1] > 5 * (narrow.high[0, 1] - narrow.low[0, 1])


def test_intervals_shrink_with_the_data_and_bound_what_was_never_seen():
    short, long = (transition_intervals(chain(1, n_frames=n, n_atoms=30), 3) for n in (50, 800))
    width = short.high - short.low, long.high - long.low
    assert width[1][0, 1] < 0.5 * width[0][0, 1]
    assert 3.7 / 24000 < long.high[0, 2] < 0.01  # never seen: 3.7 / N if all rows are independent
    assert short.low[0, 2] == 0


def test_what_was_never_seen_is_bound_by_moves_that_were():
    # ten atoms move as one, so that as much is known of one atom as of ten
    one, ten = (transition_intervals(chain(3, n_atoms=n, together=n), 3) for n in (1, 10))
    assert one.events[0, 2] == ten.events[0, 2] == 0
    assert ten.high[0, 2] == pytest.approx(one.high[0, 2], rel=0.7)
    # if nothing moves, each of the 59 pairs of frames counts once
    still = transition_intervals(np.zeros((60, 100), np.int32), 2)
    assert still.high[0, 1] == pytest.approx(1 - 0.025 ** (1 / 59), rel=0.1)
    assert (still.low[1].tolist(), still.high[1].tolist()) == ([0, 0], [1, 1])


def test_a_collective_event_is_one_event():
    labels = np.zeros((200, 50), np.int32)
    labels[80:90, :30] = 1  # thirty atoms leave together, and come back together
    found = transition_intervals(labels, 2)
    assert found.events.tolist() == [[0, 30], [30, 0]]
    assert found.effective[0, 1] < 2
    assert found.few_events[0, 1]
    assert found.high[0, 1] > 2 / 200  # one event in 200 frames, not 30 in 10 000


def test_rare_moves_are_marked():
    labels = np.zeros((100, 1), dtype=np.int32)
    labels[50:52] = 1
    assert transition_intervals(labels, 2).few_events.tolist() == [[False, True], [True, False]]


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
    with pytest.raises(ValueError, match="expected multiples of the first, 2"):
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
    long = walk(RATES, 2000, 50, np.random.default_rng(5)).astype(np.int32)
    np.testing.assert_allclose(residence_times(long, 3).mean, [20, 1 / 0.09, 10], rtol=0.06)


def test_balance_by_hand():
    # one atom, there and back and there: one more there
    labels = np.array([0, 0, 1, 1, 0, 1, 1, 1], np.int32)[:, None]
    assert flux_balance(labels, 2).excess[0, 1] > 0
    assert flux_balance(labels, 2).excess[1, 0] == -flux_balance(labels, 2).excess[0, 1]
    # nine atoms go once each, at different times: 9 / √(9 · 9/8) standard errors at most
    labels = (np.arange(100)[:, None] > 10 * np.arange(1, 10)).astype(np.int32)
    assert 2 < flux_balance(labels, 2).excess[0, 1] < 9 / (9 * 9 / 8) ** 0.5
    assert np.isinf(flux_balance(labels, 2).smallest[0, 1])  # nine atoms never are enough


@pytest.mark.parametrize("model", STILL[:3], ids=lambda each: each.name)
def test_stationary_runs_raise_no_alarm(model):
    found = alarms(model, range(40))
    assert found.balance <= 0.05
    assert found.drift <= 0.05


def test_relaxing_runs_are_found():
    found = alarms(MOVING[0], range(40))
    assert found.balance >= 0.95
    assert found.drift >= 0.9


@pytest.mark.slow
def test_alarms_of_many_runs():
    for model in STILL:
        found = alarms(model, range(100))
        assert max(found.balance, found.drift) <= 0.06, model.name
    assert alarms(MOVING[0], range(200)).balance >= 0.95
    assert alarms(MOVING[3], range(20)).drift >= 0.95


def test_a_drift_is_found_in_the_shares():
    found = stationarity(relaxing(0), 2)
    # from 0.19 to 0.78 along a line: the halves hold a quarter and three quarters of the way
    np.testing.assert_allclose(found.early, [1 - 0.3375, 0.3375], atol=0.03)
    np.testing.assert_allclose(found.late, [1 - 0.6325, 0.6325], atol=0.03)
    assert found.drift[1] > 3
    assert found.drift[1] == pytest.approx(-found.drift[0])
    still = stationarity(chain(6, n_frames=400, n_atoms=50), 3)
    assert np.abs(still.drift).max() < 3
    assert (still.smallest < 0.2).all()


def test_drift_is_in_standard_errors_also_where_atoms_stay_as_long_as_the_run():
    slow = np.array([[0.99, 0.01], [0.01, 0.99]])  # 100 frames in either state
    drifts = [stationarity(chain(k, slow), 2).drift[0] for k in range(100)]
    assert 0.7 < np.std(drifts) < 1.25


def test_few_atoms_or_frames_cannot_tell_a_drift():
    # six atoms that jump together in the middle are one event: √6 standard errors at most
    jump = np.repeat([0, 1], 20)[:, None] + np.zeros((1, 6), np.int32)
    found = stationarity(jump.astype(np.int32), 2)
    assert np.abs(found.drift).max() <= 6**0.5
    assert np.isinf(found.smallest).all()
    for n_frames in (1, 2, 3):
        found = stationarity(np.zeros((n_frames, 4), np.int32), 1)
        assert found.drift.tolist() == [0.0]
        assert np.isinf(found.smallest).all()
    # one frame in which all atoms are elsewhere is no drift
    burst = chain(0, n_frames=200, n_atoms=100, matrix=RATES[:2, :2] / [[1], [0.99]])
    burst[150] = 1
    assert abs(stationarity(burst, 2).drift[1]) < 3


def test_support_of_a_merge():
    counts = np.array([[95, 5, 0], [4, 60, 36], [0, 55, 45]])
    steady = np.repeat(counts[None], 10, axis=0)
    shaken = steady.copy()
    shaken[:4, 2] = [60, 0, 40]  # in 4 of 10, the third goes as the first instead
    (low, high), share = merge_support(counts, [steady, shaken], 1.0)
    assert low < 1.0 <= high
    assert share == 16 / 20
    assert merge_support(counts, [], None)[1] == 1.0
