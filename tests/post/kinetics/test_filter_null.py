"""Stays that smoothing alone would give."""

import numpy as np
from known.models import alike, two_levels, vibration
from known.routes import route_of, rows_of
from known.stays import frames_of, stays_of_delta

from strdyn_live.models import Bands, NearestMean
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.reduction import Pca
from strdyn_post.findings import ATTENTION, of_route
from strdyn_post.kinetics.filter_null import FilterNull, filter_null
from strdyn_post.kinetics.stays import judge_stays
from strdyn_post.routes.staying import stays_of
from strdyn_post.sentences import Speaker, lines_of
from strdyn_post.signal.series import Series
from strdyn_post.signal.smoothing import smooth

CONFIG = AnalysisConfig(smoothing_window=9)


def test_a_shuffle_keeps_the_values_of_each_atom_and_stretch():
    rng = np.random.default_rng(0)
    frames = frames_of(40, 7)
    frames = type(frames)(frames.steps, frames.times, np.repeat([0, 1], [15, 25]), frames.atom_ids)
    delta = Series(rng.random((40, 7)), frames)
    seen = []

    def label(values, atoms):
        seen.append((values, atoms))
        return np.zeros(values.shape, np.int32)

    filter_null(delta, frames, AnalysisConfig(smoothing_window=1), label)
    ((values, atoms),) = seen
    assert atoms.tolist() == list(range(7))
    assert values.shape == (3, 40, 7)
    for shuffled in values:
        assert (shuffled != delta.values).mean() > 0.8
        for rows in (slice(0, 15), slice(15, 40)):
            np.testing.assert_array_equal(
                np.sort(shuffled[rows], axis=0), np.sort(delta.values[rows], axis=0)
            )


def test_smoothed_vibration_is_never_resolved():
    for seed in range(10):
        stays = stays_of_delta(vibration(seed), 0.08)
        assert set(stays.verdicts) <= {"window", "null"}
        # shuffling changes nothing: stay and null agree
        np.testing.assert_allclose(stays.null, stays.mean, rtol=0.15)
        assert stays.structural.max() < 0.2


def test_stays_of_fast_atoms_beyond_the_window_are_resolved():
    found = []
    for seed in range(10):
        stays = stays_of_delta(two_levels(seed), 0.23)
        found += stays.verdicts
        np.testing.assert_allclose(stays.mean, 60, rtol=0.35)
        assert (stays.null < 10).all()
    assert found.count("resolved") >= 14
    assert set(found) <= {"resolved", "slow"}


def test_the_reason_is_said():
    stays = stays_of_delta(vibration(0), 0.08)
    finding = judge_stays(stays, np.array([1, 1]))
    text = lines_of(of_route([finding], "lens"), Speaker(units="metal", interval=2.0))[0].text
    assert finding.severity == ATTENTION
    assert "within the smoothing window" in text
    assert "The smoothing window is 18 ps." in text
    unsmoothed = stays_of_delta(vibration(0), 0.08, window=1)
    assert set(unsmoothed.verdicts) <= {"null", "frames"}


def test_structural_exits_by_hand():
    # one atom moves in both, the other one only without the shuffle
    real = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], dtype=np.int32).T
    shuffled = np.array([[[0, 0, 1, 1], [0, 0, 0, 0]]], dtype=np.int32).transpose(0, 2, 1)
    null = FilterNull(np.arange(2), shuffled, 9)
    stays, structural = null.compare(real, 2, 1, np.zeros(4, np.int64))
    # three intervals of atom 1 and two of atom 0 begin in environment 0, one ends it
    assert stays.tolist() == [5.0, np.inf]
    assert structural[0] == 0.5
    assert np.isnan(structural[1])


def test_rows_of_the_null_are_those_of_the_analysis_with_other_values_of_delta():
    """Scores are changed by the loading of δ: as if χ was projected again."""
    rng = np.random.default_rng(0)
    chi = rng.normal(size=(30, 40, 4))
    components = np.linalg.qr(rng.normal(size=(4, 4)))[0][:3]
    pca = Pca(rng.normal(size=4), np.array([1.0, 1.0, 1.0, 2.0]), components, np.ones(4))
    delta = Series(chi[..., -1], frames_of(30, 40))
    means = rng.normal(size=(3, 3))
    route = route_of(
        "soap_lens", pca.transform(chi.reshape(-1, 4))[0], delta, NearestMean(means), pca
    )
    stays = stays_of(route, delta, delta, AnalysisConfig(smoothing_window=1))

    def label(values, atoms):
        other = np.broadcast_to(chi[:, atoms], (*values.shape, 4)).copy()
        other[..., -1] = values
        return (
            NearestMean(means).predict(pca.transform(other.reshape(-1, 4))[0]).reshape(values.shape)
        )

    config = AnalysisConfig(smoothing_window=1)
    expected = filter_null(delta, delta.frames, config, label)
    stays_of_null, structural = expected.compare(
        route.labels, 3, stays.frames, np.zeros(30, np.int64)
    )
    assert stays.frames == 1
    np.testing.assert_allclose(stays.null, stays_of_null)
    np.testing.assert_allclose(stays.structural, structural)


def test_environments_of_structure_are_not_judged_by_the_filter():
    """Structure moves every 33 frames; δ does not decide about 0 and 1."""
    _, soap, delta = alike(0, 0.5, n_frames=200)
    series = Series(delta, frames_of(*delta.shape))
    smoothed, _ = smooth(series, CONFIG)
    inside = slice(4, -4)
    rows = rows_of(soap[inside], smoothed.values)
    means = np.array([[0.0, 0.0, 0.06], [0.3, 0.1, 0.06], [0.3, 0.1, 0.4]])
    pca = Pca(np.zeros(3), np.ones(3), np.eye(3), np.ones(3))
    stays = stays_of(
        route_of("soap_lens", rows, smoothed, NearestMean(means), pca), series, smoothed, CONFIG
    )
    assert (stays.structural[:2] > 0.9).all()
    assert stays.verdicts[0] == "resolved"
    assert stays.mean_low[0] < 1 / 0.03 < stays.mean_high[0]
    lens = route_of("lens", smoothed.values.reshape(-1, 1), smoothed, Bands(np.array([0.06])))
    assert set(stays_of(lens, series, smoothed, CONFIG).verdicts) <= {"window", "null"}
