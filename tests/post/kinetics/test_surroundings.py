"""Whether an environment is a place in space, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from strdyn_live.neighbors import NeighborLists
from strdyn_post.kinetics.surroundings import find_surroundings, shares_around


def test_the_share_of_neighbors_inside():
    lists = NeighborLists.from_counts(np.array([3, 0, 1]), np.array([2, 4, 9, 7]))
    inside = np.array([True, False, True])
    # 9 is no described atom: of 2 and 4 one is inside; the second has no neighbors; 7 is inside
    found = shares_around(lists, np.array([2, 4, 7]), inside)
    np.testing.assert_array_equal(found, [0.5, np.nan, 1.0])


def test_the_share_that_structure_explains_by_hand():
    """One frame, two structures of four atoms; p is the same for all, so it does not matter.

    First structure: y = 1, 1, 0, 0 and x = 1, 0.5, 0.5, 0: Σ (y − 0.5)(x − 0.5) = 0.5. Second: x
    has nothing to do with y: 0. Of three atoms inside, the share is (1 + 0.5 + 0.2) / 3.
    """
    y = np.array([1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    x = np.array([1.0, 0.5, 0.5, 0.0, 0.2, 0.2, 0.2, 0.2])
    structure = np.repeat([0, 1], 4)[None].astype(np.int32)
    share, expected, _, _ = find_surroundings([(y, np.full(8, 0.3), x)], structure, 2)
    assert share == pytest.approx(1.7 / 3)
    assert share - expected == pytest.approx(0.5 / 3)
    # an atom without neighbors and one that is noise are not counted
    x = np.append(x, [np.nan, 1.0])
    y = np.append(y, [True, True])
    structure = np.append(structure, [[0, -1]], axis=1).astype(np.int32)
    again = find_surroundings([(y, np.full(10, 0.3), x)], structure, 2)
    assert again[:2] == pytest.approx((share, expected))


def test_what_structure_gives_is_taken_away():
    """y is 1 as often as p says, and p follows x: without p, x would seem to explain y."""
    rng = np.random.default_rng(0)
    x = rng.random((50, 400))
    y = rng.random(x.shape) < x
    structure = np.zeros(x.shape, dtype=np.int32)
    known = find_surroundings(list(zip(y, x, x, strict=True)), structure, 1)
    assert abs(known[2]) < 3.0
    unknown = find_surroundings(list(zip(y, np.full(x.shape, 0.5), x, strict=True)), structure, 1)
    assert unknown[2] > 3.0


def test_chance_gives_three_standard_errors_rarely():
    """Groups of ten atoms that are inside together, for some frames: 0 of 100 are a place."""
    rng = np.random.default_rng(1)
    clear = 0
    for _ in range(100):
        y = np.repeat(rng.random((10, 20)) < 0.2, 10, axis=1).repeat(4, axis=0)
        x = np.repeat(rng.random((10, 20)), 10, axis=1).repeat(4, axis=0)
        rows = list(zip(y, np.full(x.shape, 0.2), x, strict=True))
        clear += abs(find_surroundings(rows, np.zeros(x.shape, dtype=np.int32), 1)[2]) > 3.0
    assert clear <= 2


def test_without_rows_nothing_is_known():
    nothing = np.zeros(4, dtype=bool)
    found = find_surroundings(
        [(nothing, np.zeros(4), np.zeros(4))], np.zeros((1, 4), dtype=np.int32), 1
    )
    assert np.isnan(found[0])
    assert found[2] == 0.0
