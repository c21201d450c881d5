"""Events: which changes of neighbors last, against sets and numbers worked out by hand."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from known_events import EXCHANGED, NEIGHBORS, recording, sets_of

from strdyn_live.neighbors import NeighborLists
from strdyn_post.signal import events as module
from strdyn_post.signal.events import changes, find_events, lasting_frames
from strdyn_post.signal.frames import iter_stretches


def neighbor_lists(*sets):
    return NeighborLists.from_counts(
        np.array([len(s) for s in sets]),
        np.array([i for s in sets for i in sorted(s)], dtype=np.int64),
    )


def random_sets(n_frames, n_atoms, seed=0):
    """Neighbors that come and go at all rates, some never."""
    rng = np.random.default_rng(seed)
    rate = rng.choice([0.0, 0.02, 0.2, 0.5], size=(n_atoms, 12))
    there = (rng.random((n_frames, n_atoms, 12)) < rate).cumsum(axis=0) % 2
    return [[set(np.flatnonzero(row).tolist()) for row in frame] for frame in there]


def naive(sets, stretches, m):
    """Return the shares of lasting changes, and the frames that allow them, by sets of Python."""
    share, known = [], []
    for rows in iter_stretches(stretches):
        for k in range(rows.start, rows.stop - 1):
            before = range(k - m + 1, k + 1)
            after = range(k + 1, k + m + 1)
            known.append(before.start >= rows.start and after.stop <= rows.stop)
            share.append([])
            for i, (old, new) in enumerate(zip(sets[k], sets[k + 1], strict=True)):
                lasting = [
                    j
                    for j in old ^ new
                    if known[-1]
                    and all((j in sets[q][i]) == (j in old) for q in before)
                    and all((j in sets[q][i]) == (j in new) for q in after)
                ]
                share[-1].append(len(lasting) / max(1, len(old) + len(new)))
    return np.array(share), np.array(known)


@pytest.mark.parametrize("gaps", [(), (40,), (3, 9, 30, 31, 90)])
def test_shares_are_those_of_python_sets(gaps):
    sets = random_sets(150, 5)
    steps = np.arange(150) * 10
    for gap in gaps:
        steps[gap:] += 10
    found = find_events(recording(sets, steps=steps))
    stretches = np.searchsorted(gaps, np.arange(150), side="right")
    share, known = naive(sets, stretches, found.lasting)
    np.testing.assert_array_equal(found.known, known)
    np.testing.assert_array_equal(found.share[known], share[known])
    assert (share[known] > 0.1).sum() > 20  # there is something to compare
    assert found.frames.steps.tolist() == steps[:-1][np.diff(stretches) == 0].tolist()
    assert found.n_neighbors.tolist() == [
        [len(each) for each in sets[k]] for k in np.flatnonzero(np.diff(stretches) == 0)
    ]


def test_survival_is_that_of_python_sets():
    sets = random_sets(60, 5)
    found = find_events(recording(sets))
    pairs = [[len(a) + len(b) for a, b in zip(*frames, strict=True)] for frames in pairwise(sets)]
    stretches = np.zeros(60, np.int64)
    _, whole = naive(sets, stretches, 8)
    counts = [np.rint(naive(sets, stretches, m)[0] * pairs)[whole].sum() for m in range(1, 9)]
    np.testing.assert_allclose(found.survival, np.array(counts) / counts[0], rtol=1e-15)


@pytest.mark.parametrize("n_frames", [1, 3, 16])
def test_chunks_make_no_difference(monkeypatch, n_frames):
    steps = np.arange(70) * 10
    steps[33:] += 10
    buffer = recording(random_sets(70, 4), steps=steps)
    expected = find_events(buffer)
    monkeypatch.setattr(module, "_FRAMES_PER_CHUNK", (n_frames, n_frames))
    same_events(find_events(buffer), expected)


def test_two_workers_find_the_same_as_one():
    buffer = recording(random_sets(150, 4))
    with ProcessPoolExecutor(2) as pool:
        same_events(find_events(buffer, pool.map), find_events(buffer))


def same_events(found, expected):
    for item in fields(expected):
        if item.name != "frames":
            np.testing.assert_array_equal(
                getattr(found, item.name), getattr(expected, item.name), item.name
            )


def test_each_list_is_read_once_per_chunk():
    buffer = recording(random_sets(200, 3))
    read = []
    neighbors = buffer.neighbors
    buffer.neighbors = lambda k: read.append(k) or neighbors(k)
    find_events(buffer)
    # 199 intervals in chunks of 64, each with up to 7 frames more at either side
    assert np.bincount(read).max() == 2
    assert len(read) == 200 + 3 * 15


def test_a_hop_is_one_event_where_it_happens():
    hops = np.zeros((40, 3), bool)
    hops[20, 1] = True
    found = find_events(recording(sets_of(hops)))
    assert np.argwhere(found.happened).tolist() == [[20, 1]]
    assert found.share[20, 1] == 2 * EXCHANGED / (2 * NEIGHBORS)


@pytest.mark.parametrize(("after", "n_events"), [(1, 0), (2, 0), (3, 4)])
def test_a_hop_that_is_undone_is_no_event(after, n_events):
    """Neither there nor back, if it lasts for fewer than m = 3 frames."""
    hops = np.zeros((200, 60), bool)
    hops[[30, 45], [0, 1]] = True
    found = find_events(recording(sets_of(hops, np.random.default_rng(0), undone_after=after)))
    assert found.lasting == 3
    assert found.happened.sum() == n_events


def test_vibration_makes_no_event():
    """Each of 30 neighbors is there in half of the frames: δ is 0.1 to 0.3, and nothing lasts."""
    rng = np.random.default_rng(0)
    sets = [
        [set(range(30)) | {100 + j for j in np.flatnonzero(row)} for row in frame]
        for frame in rng.random((200, 20, 30)) < 0.5
    ]
    found = find_events(recording(sets))
    # a change lasts for m frames with probability (1/4)^(m − 1)
    np.testing.assert_allclose(found.survival[:4], 0.25 ** np.arange(4), atol=0.005)
    assert found.lasting == 3  # 1/16 − 1/64 is the first below 0.05
    assert not found.happened.any()
    assert found.flicker_share == pytest.approx(0.5, abs=0.01)


def test_the_curve_that_sets_m():
    assert lasting_frames(np.array([1.0, 1.0, 1.0])) == 2
    assert lasting_frames(np.array([1.0, 0.5, 0.3, 0.2, 0.12, 0.08, 0.05])) == 5
    assert lasting_frames(0.9 ** np.arange(8)) == 8  # never levels
    assert lasting_frames(np.array([1.0])) == 2
    assert lasting_frames(np.full(8, np.nan)) == 2


def test_a_short_run_allows_no_event():
    hops = np.zeros((3, 2), bool)
    hops[1] = True
    found = find_events(recording(sets_of(hops)))
    assert not found.known.any()
    assert not found.happened.any()


def test_flicker_counts_what_the_next_frame_undoes():
    before = [{1, 2, 3}, {7}]
    now = [{1, 2, 4}, {8}]  # 3 left, 4 came; 7 left, 8 came
    after = [{1, 2, 3, 4}, {8}]  # 3 is back, 4 stayed
    assert changes(neighbor_lists(*before), neighbor_lists(*now)).tolist() == [
        *(3, 4, 2**40 + 7, 2**40 + 8)
    ]
    assert changes(neighbor_lists(*now), neighbor_lists(*after)).tolist() == [3]
    assert find_events(recording([before, now, after, after])).flicker_share == 1 / 5


def test_flicker_share_tells_vibration_from_motion():
    to_and_fro = [[{1, 2} if k % 2 else {1, 3}] for k in range(40)]
    moving = [[{k, k + 1}] for k in range(40)]
    assert find_events(recording(to_and_fro)).flicker_share == 1.0
    assert find_events(recording(moving)).flicker_share == 0.0
    assert np.isnan(find_events(recording(moving[:2])).flicker_share)
