"""Levels of LENS: separated by gaps of δ, or cut out of one hump."""

import numpy as np
import pytest
from told import text_of

from strdyn_post import AnalysisConfig
from strdyn_post.environments.clustering import cluster_lens
from strdyn_post.findings import ATTENTION, FINE

RNG = np.random.default_rng(0)
VIBRATION = RNG.normal(0.1, 0.02, 20_000)
TAIL = 0.1 + RNG.exponential(0.1, 400)
FAST = RNG.normal(0.4, 0.05, 400)
BETWEEN = RNG.normal(0.25, 0.02, 4000)


def levels(n, *parts):
    delta = np.concatenate(parts).clip(0, 1).astype(np.float32)
    found = cluster_lens(delta, AnalysisConfig(lens_clusters=n))
    return next(each for each in found.findings if each.kind == "levels")


@pytest.mark.parametrize(
    ("n", "parts"),
    [(2, (VIBRATION, FAST)), (2, (VIBRATION, BETWEEN)), (3, (VIBRATION, BETWEEN, FAST + 0.1))],
)
def test_levels_with_a_gap_between_them_are_fine(n, parts):
    found = levels(n, *parts)
    assert (found.severity, found.values["without"]) == (FINE, [])
    assert text_of(found) == "δ has a gap between any two levels of LENS."


@pytest.mark.parametrize(
    ("n", "parts", "n_without"),
    [
        (2, (VIBRATION,), 1),
        (3, (VIBRATION,), 2),
        (3, (VIBRATION, TAIL), 2),
        (3, (VIBRATION, FAST), 1),  # the hump is cut; the fast atoms are apart
    ],
)
def test_a_cut_through_one_hump_is_said(n, parts, n_without):
    found = levels(n, *parts)
    assert found.severity == ATTENTION
    assert len(found.values["without"]) == n_without
    assert "These levels differ by degree" in text_of(found)


def test_few_values_are_no_gap():
    few = RNG.choice(VIBRATION, 40)
    assert levels(2, few).severity == ATTENTION
