"""LENS against numbers worked out by hand and against Python sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strdyn_live.lens import lens
from strdyn_live.neighbors import NeighborLists


def lists(*sets):
    counts = np.array([len(ids) for ids in sets], dtype=np.int64)
    ids = np.array([i for one in sets for i in sorted(one)], dtype=np.int64)
    return NeighborLists.from_counts(counts, ids)


def test_by_hand():
    before = lists({1, 2, 3}, {1, 2, 3}, {5}, set(), set(), {7, 8}, {1, 2, 3, 4})
    after = lists({1, 2, 3}, {2, 3, 4}, {6}, set(), {9}, set(), {3, 4})
    # no change; 2 of 6 differ; nothing in common; never any; one side empty (twice); 2 of 6
    assert lens(before, after).tolist() == [0.0, 2 / 6, 1.0, 0.0, 1.0, 1.0, 2 / 6]


@given(st.lists(st.tuples(*[st.sets(st.integers(1, 12), max_size=9)] * 2), min_size=1, max_size=8))
def test_equals_sets(pairs):
    before, after = zip(*pairs, strict=True)
    expected = [
        len(a ^ b) / (len(a) + len(b)) if a or b else 0.0
        for a, b in zip(before, after, strict=True)
    ]
    delta = lens(lists(*before), lists(*after))
    assert delta.tolist() == expected
    assert lens(lists(*after), lists(*before)).tolist() == expected


def test_wants_the_same_centers():
    with pytest.raises(ValueError, match="before has 1 centers and after has 2"):
        lens(lists({1}), lists({1}, {2}))


def test_take_reorders_lists():
    given_lists = lists({4, 5}, set(), {1, 2, 3})
    taken = given_lists.take([2, 0])
    assert [taken[0].tolist(), taken[1].tolist()] == [[1, 2, 3], [4, 5]]
    backwards = given_lists.take([-2, -3])
    assert [backwards[0].tolist(), backwards[1].tolist()] == [[], [4, 5]]
    masked = given_lists.take(np.array([True, False, True]))
    assert [masked[0].tolist(), masked[1].tolist()] == [[4, 5], [1, 2, 3]]
    assert len(given_lists.take([])) == 0
    assert given_lists[-1].tolist() == [1, 2, 3]
    with pytest.raises(IndexError):
        given_lists[3]
