"""Kinetics against deeptime: counts, probabilities, timescales, Chapman–Kolmogorov."""

import sys

import numpy as np
import pytest
from memory_buffer import walk

from strdyn_post.kinetics.persistence import lag_scan
from strdyn_post.kinetics.transitions import count_transitions, transition_matrix

if sys.version_info >= (3, 14):  # no wheels of deeptime yet
    pytest.importorskip("deeptime")
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.msm import MaximumLikelihoodMSM

RATES = np.array(
    [
        [0.90, 0.08, 0.02, 0.0],
        [0.05, 0.93, 0.0, 0.02],
        [0.03, 0.0, 0.87, 0.1],
        [0.0, 0.06, 0.1, 0.84],
    ]
)
N_STATES = len(RATES)
LAGS = [1, 2, 4, 8, 16]
STRETCHES = np.repeat([0, 1, 2], [90, 200, 10])  # the last is shorter than the longest lag


@pytest.fixture(scope="module")
def labels():
    return walk(RATES, len(STRETCHES), 25, np.random.default_rng(7)).astype(np.int32)


def trajectories(labels):
    """One for every atom and gapless stretch, as deeptime takes them."""
    return [path for s in range(3) for path in labels[s == STRETCHES].T.astype(np.int64).copy()]


def counted(labels, lag, n_states=N_STATES):
    """Counts of deeptime; it refuses paths that are not longer than the lag."""
    estimator = TransitionCountEstimator(lagtime=lag, count_mode="sliding", n_states=n_states)
    return estimator.fit_fetch([path for path in trajectories(labels) if len(path) > lag])


def model(labels, lag):
    return MaximumLikelihoodMSM(reversible=False).fit_fetch(counted(labels, lag))


@pytest.mark.parametrize("lag", LAGS)
def test_counts(labels, lag):
    found = count_transitions(labels, N_STATES, lag, STRETCHES)
    np.testing.assert_array_equal(found, counted(labels, lag).count_matrix)


@pytest.mark.parametrize("lag", LAGS)
def test_counts_with_noise(labels, lag):
    noisy = np.where(np.random.default_rng(8).random(labels.shape) < 0.2, -1, labels)
    found = count_transitions(noisy, N_STATES, lag, STRETCHES)
    # deeptime has no noise: as one more state, its row and column are left out
    marked = np.where(noisy < 0, N_STATES, noisy)
    expected = counted(marked, lag, N_STATES + 1).count_matrix[:N_STATES, :N_STATES]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("lag", LAGS)
def test_transition_matrices(labels, lag):
    found = transition_matrix(count_transitions(labels, N_STATES, lag, STRETCHES))
    np.testing.assert_allclose(found, model(labels, lag).transition_matrix, rtol=1e-12)


def test_implied_timescales(labels):
    found = lag_scan(labels, N_STATES, LAGS, STRETCHES).timescales
    expected = [model(labels, lag).timescales() for lag in LAGS]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_chapman_kolmogorov(labels):
    scan = lag_scan(labels, N_STATES, LAGS, STRETCHES)
    first = model(labels, 1)
    for row, lag in enumerate(LAGS):
        counted_stay = np.diag(model(labels, lag).transition_matrix)
        stay = [first.propagate(start, lag)[state] for state, start in enumerate(np.eye(N_STATES))]
        np.testing.assert_allclose(scan.stay[row], counted_stay, rtol=1e-12)
        np.testing.assert_allclose(scan.predicted[row], stay, rtol=1e-9)
    np.testing.assert_allclose(scan.stay, scan.predicted, atol=0.05)
