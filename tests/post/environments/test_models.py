from dataclasses import replace

import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from synthetic import refit

from strdyn_post import AnalysisConfig, analyse, fit, label, load_results, save_results
from strdyn_post.environments.matching import match_labels
from strdyn_post.errors import AnalysisError
from strdyn_post.routes import ROUTES
from strdyn_post.routes.identities import keep_identities

RATES = np.array([[0.97, 0.03, 0.0], [0.04, 0.945, 0.015], [0.0, 0.05, 0.95]])
STRUCTURE, CHANGE = np.array([0, 1, 1]), np.array([0, 1, 14])
CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=60)


@pytest.fixture(scope="module")
def runs():
    """A recording, the analysis of its first part, and its states."""
    states = walk(RATES, 100, 150, np.random.default_rng(0))
    buffer = make_buffer(states, STRUCTURE, CHANGE)
    return buffer, analyse(buffer.frames(slice(0, 60)), CONFIG), states


def test_hungarian_matching_by_hand():
    labels = [0, 0, 0, 1, 1, 2, 2, -1]
    reference = [1, 1, 1, 0, 0, 0, -1, 0]
    # 0 is 1; 1 shares 2 of 2 and 4; 2 shares 1 of 2 and 4, under one half
    assert match_labels(labels, reference, 3, 2).tolist() == [1, 0, -1]


def test_a_model_gives_its_own_frames_their_own_labels(runs, tmp_path):
    buffer, fitted, _ = runs
    again = label(load_results(save_results(fitted, tmp_path)).fit, buffer.frames(slice(0, 60)))
    for name in ROUTES:
        np.testing.assert_array_equal(again[name].labels, fitted[name].labels)
        np.testing.assert_array_equal(again[name].counts, fitted[name].counts)
        np.testing.assert_array_equal(again[name].final.counts, fitted[name].final.counts)
        assert again[name].far.mean() < 0.005  # the limits are 99.9 % quantiles


def test_a_model_labels_new_frames_as_a_refit_would(runs):
    buffer, fitted, states = runs
    new = label(fitted.fit, buffer.frames(slice(60, 100)))
    chi, expected = new["soap_lens"], states[60:99]
    found = [np.bincount(expected[chi.labels == k]).argmax() for k in range(3)]
    assert sorted(found) == [0, 1, 2]
    old = [np.bincount(states[:59][fitted["soap_lens"].labels == k]).argmax() for k in range(3)]
    assert found == old
    assert (np.array(found)[chi.labels] == expected).mean() > 0.99
    assert chi.far.max() < 0.05
    assert not any("far from the fitted ones" in text for text in new.warnings)


def test_frames_unlike_the_model_are_flagged(runs):
    buffer, fitted, _ = runs
    strange = buffer.frames(slice(60, 100))
    spectra = strange.spectra.copy()
    spectra[20:, :30, 0] += 0.5  # a structure never seen, in a fifth of the atoms
    strange = replace(strange, spectra=spectra / np.linalg.norm(spectra, axis=2, keepdims=True))
    new = label(fitted.fit, strange)
    far = new["soap"].far
    assert far[:20].max() < 0.05
    np.testing.assert_allclose(far[20:], 0.2, atol=0.03)
    text = next(text for text in new.warnings if "far from the fitted ones" in text)
    assert "19 of 39 frames are far" in text
    assert f"the first at step {strange.steps[20]}" in text


def test_a_labelled_result_is_no_model_and_other_spectra_do_not_fit(runs, tmp_path):
    buffer, fitted, _ = runs
    labelled = label(fitted.fit, buffer.frames(slice(60, 100)))
    path = save_results(labelled, tmp_path)
    np.testing.assert_array_equal(load_results(path)["soap"].labels, labelled["soap"].labels)
    with pytest.raises(AnalysisError, match="labelled by an earlier fit: expected the results"):
        _ = load_results(path).fit
    short = replace(buffer, spectra=buffer.spectra[..., :8])
    with pytest.raises(AnalysisError, match="spectra of 12 components, the buffer holds 8"):
        label(fitted.fit, short)


def test_identities_survive_a_refit_and_new_ones_are_new(runs):
    buffer, fitted, _ = runs
    before = {
        name: refit(
            route,
            identities=np.arange(route.final.n_clusters, dtype=np.int32)[::-1] + 3,
            n_identities=20,  # those up to 19 have been given to environments that are gone
        )
        for name, route in fitted.routes.items()
    }
    grown = keep_identities(analyse(buffer, CONFIG).routes, before)
    for name in ("soap", "soap_lens"):
        kept = before[name].fit.identities
        np.testing.assert_array_equal(grown[name].fit.identities, kept)
    # the same rows under other clusters: nothing corresponds
    chi = fitted["soap_lens"]
    other = replace(
        chi,
        labels=np.random.default_rng(0).integers(0, 3, chi.labels.shape).astype(np.int32),
        merged=None,
    )
    fresh = keep_identities({"soap_lens": other}, before)["soap_lens"].fit
    assert fresh.identities.tolist() == [20, 21, 22]
    assert fresh.n_identities == 23


def test_a_model_is_for_recordings_and_settings_like_its_own(runs, tmp_path):
    buffer, fitted, _ = runs
    model = load_results(save_results(fitted, tmp_path))
    with pytest.raises(AnalysisError, match="made with min_cluster_size = 60, the settings say"):
        label(model.fit, buffer, replace(CONFIG, min_cluster_size=7))
    asked = replace(CONFIG, lag=2, names={"soap": {"0": "ice"}})
    assert label(model.fit, buffer, asked).config == asked
    other = replace(buffer, config=replace(buffer.config, r_cut=4.5, lens_r_cut=4.5))
    with pytest.raises(AnalysisError, match=r"r_cut 6, .* this one has .*r_cut 4\.5"):
        label(model.fit, other)
    with pytest.raises(AnalysisError, match="every 2.5 time units; this one has .* every 5 time"):
        label(model.fit, buffer.frames(slice(0, 100, 2)))


def test_a_finer_recording_is_labelled_with_a_stride(runs):
    """Every second frame of a recording twice as fine has the Δt of the fit."""
    buffer, _, _ = runs
    coarse = buffer.frames(slice(0, 100, 2))
    learnt = fit(coarse, CONFIG)
    found = label(learnt, buffer.frames(slice(0, 100)), replace(CONFIG, stride=2))
    expected = label(learnt, coarse)
    for name in ("soap", "lens", "soap_lens"):
        np.testing.assert_array_equal(found[name].steps, expected[name].steps)
        np.testing.assert_array_equal(found[name].labels, expected[name].labels)
    with pytest.raises(AnalysisError, match="every 5 time units; this one has .* every 2.5 time"):
        label(learnt, buffer.frames(slice(0, 100)))


def test_noise_is_that_of_the_fit_where_a_model_labels(runs):
    buffer, fitted, _ = runs
    noisy = {
        name: refit(route, noise_share=0.25, soft_share=0.1)
        for name, route in fitted.routes.items()
    }
    new = label(replace(fitted, routes=noisy).fit, buffer.frames(slice(60, 100)))
    assert [route.fit.noise_share for route in new.routes.values()] == [0.25] * 3
