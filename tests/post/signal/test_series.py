from itertools import pairwise

import numpy as np
import pytest
from memory_buffer import MemoryBuffer
from told import told

from strdyn_live.neighbors import NeighborLists
from strdyn_post import AnalysisConfig
from strdyn_post.errors import AnalysisError
from strdyn_post.signal.frames import Frames, find_stretches
from strdyn_post.signal.lens_series import lens_series
from strdyn_post.signal.series import Series
from strdyn_post.signal.smoothing import smooth


def lists_of(*neighbors):
    return NeighborLists.from_counts(
        np.array([len(ids) for ids in neighbors]),
        np.array([i for ids in neighbors for i in sorted(ids)], dtype=np.int64),
    )


def series_of(values, steps, stretches=None):
    values = np.asarray(values, dtype=float)
    steps = np.asarray(steps)
    if stretches is None:
        stretches, _ = find_stretches(steps)
    atom_ids = np.arange(values.shape[1]) + 1
    return Series(values, Frames(steps, steps * 0.1, np.asarray(stretches), atom_ids))


def test_stretches_end_at_gaps_and_unequal_distances():
    stretches, interval = find_stretches([0, 500, 1000, 2000, 2500, 2600, 3100])
    assert interval == 500
    assert stretches.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_a_changed_timestep_separates_equal_steps():
    stretches, interval = find_stretches([0, 10, 20, 30, 40], [0, 1, 2, 2.5, 3.5])
    assert interval == 10
    assert stretches.tolist() == [0, 0, 0, 1, 1]


def test_half_of_the_run_is_kept_if_the_timestep_changed_in_the_middle():
    stretches, _ = find_stretches([0, 10, 20, 30, 40], [0, 1, 2, 4, 6])
    assert stretches.tolist() == [0, 0, 0, 1, 2]


def test_steps_must_increase():
    with pytest.raises(AnalysisError, match="step 20 is followed by 20"):
        find_stretches([0, 10, 20, 20])


def test_delta_of_a_frame_is_the_change_to_the_next_one():
    a, b, c = {1, 2, 3}, {1, 2, 4}, {5, 6}
    frames = [lists_of(a, c), lists_of(a, c), lists_of(b, c), lists_of(c, a)]
    buffer = MemoryBuffer(np.array([0, 5, 10, 15]), np.ones((4, 2, 3), np.float32), frames)
    delta = lens_series(buffer)
    # |a ^ b| = 2 of 6 neighbors; b and c share nothing
    expected = [[0, 0], [2 / 6, 0], [1, 1]]
    np.testing.assert_allclose(delta.values, expected, rtol=1e-15)
    assert delta.frames.steps.tolist() == [0, 5, 10]


def test_lens_agrees_with_python_sets_over_several_chunks():
    rng = np.random.default_rng(0)
    sets = [[set(rng.choice(30, 8, replace=False)) for _ in range(3)] for _ in range(80)]
    frames = [lists_of(*neighbors) for neighbors in sets]
    buffer = MemoryBuffer(np.arange(80) * 10, np.ones((80, 3, 3), np.float32), frames)
    naive = [
        [len(p ^ q) / (len(p) + len(q)) for p, q in zip(before, after, strict=True)]
        for before, after in pairwise(sets)
    ]
    np.testing.assert_array_equal(lens_series(buffer).values, naive)


def test_no_delta_across_a_gap():
    frames = [lists_of({1}), lists_of({2}), lists_of({3}), lists_of({3})]
    steps = np.array([0, 10, 30, 40])
    delta = lens_series(MemoryBuffer(steps, np.ones((4, 1, 3), np.float32), frames))
    assert delta.frames.steps.tolist() == [0, 30]
    assert delta.values.tolist() == [[1.0], [0.0]]
    assert delta.frames.stretches.tolist() == [0, 1]


def test_one_frame_says_what_is_missing():
    buffer = MemoryBuffer(np.array([0]), np.ones((1, 1, 3), np.float32), [lists_of({1})])
    with pytest.raises(AnalysisError, match=r"holds 1 frame; .* at least 2"):
        lens_series(buffer)


def test_even_window_shifts_by_half_a_frame_and_says_so():
    line = 0.2 + 0.01 * np.arange(60)[:, None]
    odd, found = smooth(series_of(line, np.arange(60)), AnalysisConfig(smoothing_window=21))
    assert not found
    np.testing.assert_allclose(odd.values, line[10:50], atol=1e-12)
    even, found = smooth(series_of(line, np.arange(60)), AnalysisConfig(smoothing_window=20))
    np.testing.assert_allclose(even.values, line[10:50] + 0.005, atol=1e-12)
    assert "half a frame" in told(found)[0]
    assert "21" in told(found)[0]


def test_quadratic_passes_unchanged_and_steps_survive_the_trim():
    t = np.arange(40)
    values = (0.1 + 0.0004 * t**2)[:, None]
    smoothed, _ = smooth(series_of(values, 100 + 5 * t), AnalysisConfig(smoothing_window=7))
    assert smoothed.frames.steps.tolist() == (100 + 5 * t[3:-3]).tolist()
    np.testing.assert_allclose(smoothed.values, values[3:-3], atol=1e-12)
    whole, _ = smooth(
        series_of(values, 100 + 5 * t), AnalysisConfig(smoothing_window=7, trim="none")
    )
    np.testing.assert_allclose(whole.values, values, atol=1e-12)


def test_smoothed_values_stay_in_the_unit_interval():
    step = np.repeat([0.0, 1.0], 20)[:, None]
    smoothed, _ = smooth(series_of(step, np.arange(40)), AnalysisConfig(smoothing_window=11))
    assert smoothed.values.min() == 0.0  # the polynomial undershoots
    assert smoothed.values.max() == 1.0


def test_a_gap_stops_the_filter():
    steps = np.concatenate([np.arange(20), np.arange(20) + 100])
    values = np.repeat([0.2, 0.8], 20)[:, None]
    smoothed, found = smooth(series_of(values, steps), AnalysisConfig(smoothing_window=7))
    assert not found
    np.testing.assert_allclose(smoothed.values[:14], 0.2)
    np.testing.assert_allclose(smoothed.values[14:], 0.8)
    assert smoothed.frames.steps.tolist() == [*range(3, 17), *range(103, 117)]


def test_a_stretch_shorter_than_the_window_is_left_out_by_name():
    steps = np.concatenate([np.arange(20), np.arange(5) + 100])
    smoothed, found = smooth(
        series_of(np.zeros((25, 1)), steps), AnalysisConfig(smoothing_window=7)
    )
    assert smoothed.frames.steps.max() == 16
    assert "Steps 100 to 104 are left out: this stretch between gaps has 5 frames" in told(found)[0]


def test_too_few_frames_are_left_as_they_are_with_the_remedy():
    series = series_of(np.linspace(0, 1, 6)[:, None], np.arange(6))
    smoothed, found = smooth(series, AnalysisConfig())
    assert smoothed is series
    assert "longest stretch without a gap has 6" in told(found)[0]
    assert "neither smoothed nor trimmed" in told(found)[0]


def test_a_window_of_one_is_no_smoothing():
    series = series_of(np.random.default_rng(0).random((6, 2)), np.arange(6))
    assert smooth(series, AnalysisConfig(smoothing_window=1)) == (series, [])
