"""Errors over atoms and times, by hand."""

import numpy as np
import pytest

from strdyn_post.kinetics.clustered import (
    Spread,
    share_interval,
    smallest_seen,
    spread,
    standard_errors,
    student_factor,
    time_blocks,
    waves,
    waves_without_drift,
)


def test_atoms_that_do_not_agree_in_time_add_nothing_to_the_variance_over_atoms():
    # two blocks: the only wave is √2 cos(π/4) = 1 and √2 cos(3π/4) = −1
    np.testing.assert_allclose(waves(2), [[1, -1]])
    parts = np.array([[2, 1], [-1, 0], [0, -2]])
    found = spread(parts, np.ones(3), waves(2))
    # sums 3, −1, −2: (9 + 1 + 4) 3/2; projections 1, −1, 2: time (1 − 1 + 2)² = 4 < both 1 + 1 + 4
    assert found.variance == pytest.approx(21)
    # Satterthwaite: 21² / (21² / (3 − 1) + 4² / 1)
    assert found.freedom == pytest.approx(441 / (220.5 + 16))


def test_atoms_that_agree_in_time_add_the_variance_over_times():
    parts = np.array([[2, -1], [1, -1], [1, -1]])
    found = spread(parts, np.ones(3), waves(2))
    # sums 1, 0, 0: 1 · 3/2; projections 3, 2, 2: time 7² = 49, both 9 + 4 + 4 = 17
    assert found.variance == pytest.approx(1.5 + 49 - 17)
    assert found.freedom == pytest.approx(1)  # one wave
    # in a test the degrees of freedom are those of time − both
    tested = spread(parts, np.ones(3), waves(2), test=True)
    assert tested.freedom == pytest.approx(33.5**2 / (1.5**2 / 2 + 32**2))


def test_one_atom_is_judged_by_its_times_and_one_time_by_nothing():
    alone = spread(np.array([[2.0, -1.0]]), np.ones(1), waves(2))
    assert (alone.variance, alone.freedom) == (pytest.approx(9), 1)
    at_once = spread(np.array([[2.0], [-2.0]]), np.ones(2), waves(1))
    assert np.isinf(at_once.variance)


def test_a_few_atoms_that_hold_most_rows_give_few_degrees_of_freedom():
    parts = np.zeros((100, 2))
    parts[:2, 0] = [1, -1]
    weights = np.full(100, 1e-9)
    weights[:2] = 1.0
    assert spread(parts, weights, waves(2)).freedom == pytest.approx(1)
    assert spread(parts, np.ones(100), waves(2)).freedom > 90


def test_waves_are_orthogonal_and_those_without_drift_do_not_see_one():
    basis = waves(40)
    np.testing.assert_allclose(basis @ basis.T, 40 * np.eye(24), atol=1e-9)
    flat = waves_without_drift(40)
    np.testing.assert_allclose(flat @ flat.T, 40 * np.eye(len(flat)), atol=1e-9)
    line, step = np.arange(40.0), np.repeat([0.0, 1.0], 20)
    for drift in (np.ones(40), line, step):
        np.testing.assert_allclose(flat @ drift, 0, atol=1e-9)


def test_what_changes_once_in_a_run_is_called_slow():
    rng = np.random.default_rng(0)
    level = np.repeat([1.0, -1.0], 32)
    parts = level + rng.normal(size=(50, 64))
    assert spread(parts, np.ones(50), waves(64)).slow
    assert not spread(rng.normal(size=(50, 64)), np.ones(50), waves(64)).slow


def test_blocks_of_time_are_no_shorter_than_the_lag():
    assert time_blocks(200)[[0, 3, 4, 199]].tolist() == [0, 0, 1, 63]
    assert time_blocks(25, lag=10).tolist() == [0] * 13 + [1] * 12
    assert time_blocks(5, lag=10).tolist() == [0] * 5


def test_interval_of_a_share():
    # none of 10: Clopper and Pearson's 1 − 0.025^(1/10)
    low, high = share_interval([0.0, 1.0], [10, 10])
    np.testing.assert_allclose(low, [0, 0.025**0.1], atol=1e-6)
    np.testing.assert_allclose(high, [1 - 0.025**0.1, 1], atol=1e-6)
    assert share_interval(0.3, 0) == (0.0, 1.0)
    # one degree of freedom: 12.706 instead of 1.960 standard errors
    assert student_factor(1) == pytest.approx((1.959964 / 12.706205) ** 2, rel=1e-5)


def found(variance, freedom, n_atoms=np.inf):
    return Spread(*map(np.asarray, (variance, freedom, n_atoms, False)))


def test_standard_errors_allow_for_few_degrees_of_freedom():
    assert standard_errors(np.array(-6.0), found(4.0, 1e9)) == pytest.approx(-3, rel=1e-6)
    # Student's t with one degree of freedom is Cauchy's: P(> 1) = 1/4, which is 0.6745 σ
    assert standard_errors(np.array(2.0), found(4.0, 1.0)) == pytest.approx(0.67449, rel=1e-4)
    assert standard_errors(np.array(0.0), found(0.0, 4.0)) == 0
    assert standard_errors(np.array(1.0), found(np.inf, 4.0)) == 0


def test_smallest_effect_that_would_have_been_seen():
    # 3 standard errors, and 1.645 more so that 95 of 100 runs reach them
    assert smallest_seen(found(4.0, 1e9)) == pytest.approx(2 * 4.644854, rel=1e-6)
    n = 2 * 4.644854**2  # n atoms that agree: z² = x² / (4 + x² / n)
    assert smallest_seen(found(4.0, 1e9, n)) == pytest.approx(2 * 4.644854 * 2**0.5, rel=1e-5)
    assert np.isinf(smallest_seen(found(4.0, 1e9, 20.0)))  # 20 < 4.645²
