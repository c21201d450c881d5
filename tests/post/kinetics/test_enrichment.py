"""Where an environment sits, against chance."""

import numpy as np
import pytest
from scipy.stats import beta

from strdyn_post.kinetics.enrichment import find_sites


def labels(shares, n_frames, n_atoms, rng):
    """Every atom keeps its environment: three of them, with these shares."""
    return np.broadcast_to(rng.choice(3, n_atoms, p=shares), (n_frames, n_atoms)).astype(np.int32)


def test_shares_are_counted():
    reference = np.array([[0, 0, 1, 2], [0, 1, 1, -1]])
    inside = np.array([[0, 0, 1, 0], [0, 1, 1, 1]], dtype=bool)
    sites = find_sites(inside, reference, 3)
    # noise counts nowhere: three rows, all in environment 1, which holds three of seven
    assert sites.shares.tolist() == [0.0, 1.0, 0.0]
    np.testing.assert_allclose(sites.expected, [3 / 7, 3 / 7, 1 / 7])
    # three rows of two atoms in two frames: next to nothing is known
    assert sites.low.max() < 0.01
    assert sites.high.min() > 0.9


def test_intervals_are_not_much_wider_than_those_of_independent_rows_where_rows_are():
    ratios = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        inside = rng.random((400, 300)) < 0.01
        reference = rng.choice(3, inside.shape, p=[0.7, 0.2, 0.1]).astype(np.int32)
        sites = find_sites(inside, reference, 3)
        counts = np.bincount(reference[inside], minlength=3)
        low = beta.ppf(0.025, counts, counts.sum() - counts + 1)  # Clopper and Pearson's
        high = beta.ppf(0.975, counts + 1, counts.sum() - counts)
        ratios.append((sites.high - sites.low) / (high - low))
    assert (np.min(ratios, axis=0) >= 0.95).all()
    assert (np.median(ratios, axis=0) < 1.5).all()


@pytest.mark.parametrize("together", ["atoms", "frames"])
def test_rows_that_come_together_widen_the_interval(together):
    """Ten atoms that stay inside for long, or bursts of many atoms, are few independent rows."""
    rng = np.random.default_rng(1)
    inside = np.zeros((200, 500), dtype=bool)
    if together == "atoms":
        inside[:, :10] = True
        reference = labels([0.7, 0.2, 0.1], 200, 500, rng)
    else:
        inside[[20, 90, 150]] = True
        reference = np.broadcast_to(rng.choice(3, (200, 1)), (200, 500)).astype(np.int32)
    sites = find_sites(inside, reference, 3)
    widest = (sites.high - sites.low).max()
    n = inside.sum()
    assert widest > 5 * 2 * 1.96 * np.sqrt(0.25 / n)


def test_shuffled_dynamics_is_not_enriched():
    """The intervals hold what chance gives in 95 % of the cases, or more; few atoms stay apart."""
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(100):
        reference = labels([0.7, 0.2, 0.1], 20, 200, rng)
        inside = rng.random(reference.shape) < 0.02
        sites = find_sites(inside, reference, 3)
        found += int((sites.low > sites.expected).any())
    assert found <= 10  # three environments, 2.5 % each


def test_nothing_inside_is_nowhere():
    sites = find_sites(np.zeros((3, 4), dtype=bool), np.zeros((3, 4), dtype=np.int32), 2)
    assert sites.shares.tolist() == [0.0, 0.0]
    assert sites.low.tolist() == [0.0, 0.0]
    assert sites.high.tolist() == [1.0, 1.0]
