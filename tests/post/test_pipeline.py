import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from sklearn.metrics import adjusted_rand_score

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.buffer import BufferWriter
from strdyn_live.frame import Frame
from strdyn_live.results_block import seal
from strdyn_post import (
    AnalysisConfig,
    Recording,
    analyse,
    fit,
    label,
    load_results,
    save_results,
)
from strdyn_post.errors import AnalysisError
from strdyn_post.findings import UNKNOWN
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.routes import ROUTES

# terrace, edge and adatom; SOAP sees adatoms as edges, only their neighbors tell
RATES = np.array([[0.97, 0.03, 0.0], [0.04, 0.955, 0.005], [0.0, 0.05, 0.95]])
STRUCTURE, CHANGE = np.array([0, 1, 1]), np.array([0, 1, 14])
CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=60)

STORED = [
    *("steps", "times", "stretches", "atom_ids", "labels", "scores", "counts", "linkage"),
    *("transition_matrix", "fluxes", "populations", "explained_variance_ratio"),
]
LAYOUT = ["label", "count_matrix", "transition_matrix", "flux"]


@pytest.fixture(scope="module")
def run():
    states = walk(RATES, 80, 200, np.random.default_rng(0))
    buffer = make_buffer(states, STRUCTURE, CHANGE)
    return states, buffer, analyse(buffer, CONFIG)


def test_chi_finds_what_soap_alone_does_not(run):
    states, _, result = run
    states = states[:-1]  # the last frame has no LENS
    structure = STRUCTURE[states].ravel()
    assert result["soap"].n_clusters == 2
    assert adjusted_rand_score(structure, result["soap"].labels.ravel()) > 0.99
    chi = result["soap_lens"]
    assert chi.n_clusters == 3
    assert adjusted_rand_score(states.ravel(), chi.labels.ravel()) > 0.99


def test_rates_are_recovered(run):
    states, _, result = run
    chi = result["soap_lens"]
    order = [np.bincount(states[:-1][chi.labels == k]).argmax() for k in range(3)]
    expected = count_transitions(states[:-1], 3)[np.ix_(order, order)]
    assert np.abs(chi.counts - expected).max() <= 0.02 * expected.sum(axis=1).max()
    rates = RATES[np.ix_(order, order)]
    error = np.sqrt(rates * (1 - rates) / chi.counts.sum(axis=1)[:, None])
    assert (np.abs(chi.transition_matrix - rates) <= 4 * error + 0.01).all()


def test_routes_stand_on_the_same_rows(run):
    _, buffer, result = run
    for name in ROUTES:
        route = result[name]
        np.testing.assert_array_equal(route.steps, buffer.steps[:-1])
        np.testing.assert_array_equal(route.atom_ids, buffer.atom_ids)
        assert route.labels.shape == route.scores.shape[:2] == (79, 200)
        assert route.populations.sum() == (route.labels >= 0).sum()
        np.testing.assert_array_equal(route.counts, count_transitions(route.labels))
    np.testing.assert_allclose(result["lens"].scores[..., 0], result.delta.values, atol=1e-7)
    assert result["lens"].merged is None
    assert len(result["lens"].explained_variance_ratio) == 0


def test_merged_labels_follow_the_mapping(run):
    _, _, result = run
    route = result["soap_lens"]
    merged = route.merged
    np.testing.assert_array_equal(merged.labels, merged.mapping[route.labels])
    np.testing.assert_array_equal(merged.counts, count_transitions(merged.labels))
    assert route.final is merged


@pytest.mark.parametrize("processes", [False, True])
def test_same_seed_same_bits_whatever_runs_the_chunks(run, processes):
    _, buffer, result = run
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn) if processes else ThreadPoolExecutor(2) as pool:
        again = analyse(buffer, CONFIG, map_chunks=pool.map)
    assert again.flicker_share == result.flicker_share
    for name in ROUTES:
        np.testing.assert_array_equal(again[name].scores, result[name].scores)
        np.testing.assert_array_equal(again[name].labels, result[name].labels)
        np.testing.assert_array_equal(again[name].linkage, result[name].linkage)


def test_results_read_back_as_they_were(run, tmp_path):
    _, _, result = run
    path = save_results(result, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["analysis.toml", "results.h5"]
    assert AnalysisConfig.from_toml(tmp_path / "analysis.toml") == CONFIG
    for loaded in (load_results(tmp_path), load_results(path)):
        assert loaded.config == result.config
        assert loaded.provenance == result.provenance
        assert loaded.warnings == result.warnings
        np.testing.assert_array_equal(loaded.delta.values, result.delta.values)
        for name in ROUTES:
            ours, theirs = result[name], loaded[name]
            for key in STORED:
                np.testing.assert_array_equal(getattr(ours, key), getattr(theirs, key))
            assert ours.fit.noise_share == theirs.fit.noise_share
            assert ours.fit.soft_share == theirs.fit.soft_share
            assert (ours.merged is None) == (theirs.merged is None)
            flat = ours.scores.reshape(-1, ours.n_components)
            np.testing.assert_array_equal(theirs.fit.model.predict(flat), ours.labels.ravel())


def test_results_file_has_the_documented_layout(run, tmp_path):
    _, _, result = run
    with h5py.File(save_results(result, tmp_path)) as file:
        assert json.loads(file.attrs["settings"])["min_cluster_size"] == 60
        assert json.loads(file.attrs["provenance"])["buffer_uuid"] == run[1].uuid
        for name in ROUTES:
            assert set(file[name]) >= {*LAYOUT, "step", "atom_id", "score", "linkage"}
        assert set(file["soap"]) >= {*(f"{item}_merged" for item in LAYOUT), "merge_mapping"}
        assert "explained_variance_ratio" in file["soap"]
        assert file["soap/label"].shape == (79, 200)


def test_no_results_and_newer_results_are_errors(run, tmp_path):
    with pytest.raises(AnalysisError, match="no results at"):
        load_results(tmp_path)
    path = save_results(run[2], tmp_path)
    with path.open("r+b", buffering=0) as file:
        seal(file, run[2].run_id, version=99)
    with pytest.raises(AnalysisError, match="has format 99, this version reads 1 and 2"):
        load_results(path)


def test_gmm_keeps_its_clusters(run):
    result = analyse(run[1], AnalysisConfig(smoothing_window=1, method="gmm", n_clusters=3))
    assert result["soap_lens"].n_clusters == 3
    assert result["soap_lens"].merged is None
    assert len(result["soap_lens"].linkage) == 2


def test_a_gap_is_named_and_not_crossed(run):
    _, buffer, _ = run
    cut = buffer.frames(np.r_[0:40, 45:80])
    result = analyse(cut, CONFIG)
    assert any("from step 19500 to 22500" in text for text in result.warnings)
    route = result["soap"]
    assert route.counts.sum() <= 200 * (38 + 33)
    both = np.split(route.labels, [39])
    np.testing.assert_array_equal(
        route.counts, sum(count_transitions(part, route.n_clusters) for part in both)
    )


def test_smoothing_trims_every_route(run):
    result = analyse(run[1], AnalysisConfig(smoothing_window=11, min_cluster_size=60))
    np.testing.assert_array_equal(result["soap"].steps, run[1].steps[5:-6])
    np.testing.assert_array_equal(result["lens"].steps, run[1].steps[5:-6])


def test_two_frames_do_what_they_can(run):
    result = analyse(run[1].frames(slice(0, 2)))
    assert any("too few frames for smoothing_window = 21" in text for text in result.warnings)
    assert result["soap"].labels.shape == (1, 200)
    assert not result["soap"].counts.any()
    with pytest.raises(AnalysisError, match="holds 1 frame"):
        analyse(run[1].frames(slice(0, 1)))


def test_all_noise_goes_through_to_the_end(run, tmp_path):
    result = analyse(run[1].frames(slice(0, 2)), AnalysisConfig(min_cluster_size=150))
    assert "SOAP: HDBSCAN* found no cluster" in " ".join(result.warnings)
    loaded = load_results(save_results(result, tmp_path))
    assert loaded["soap"].final.n_clusters == 0
    assert loaded["soap"].checks.low.shape == (0, 0)
    assert (loaded["soap"].labels == -1).all()


def test_checks_are_kept_with_the_results(run, tmp_path):
    _, _, result = run
    chi = load_results(save_results(result, tmp_path))["soap_lens"]
    matrix = chi.final.transition_matrix
    assert ((chi.checks.low <= matrix) & (matrix <= chi.checks.high)).all()
    assert chi.checks.timescales.shape == (len(chi.checks.lags), 2)
    np.testing.assert_allclose(chi.checks.residence, 1 / (1 - np.diag(matrix)))
    np.testing.assert_array_equal(chi.checks.drift, result["soap_lens"].checks.drift)
    assert 0.0 <= result.flicker_share <= 1.0


def test_a_lag_that_no_stretch_allows_is_named_and_merges_nothing(run):
    result = analyse(run[1], replace(CONFIG, lag=200))
    for route in result.routes.values():
        assert not route.counts.any()
        assert route.final.n_clusters == route.n_clusters
        (line,) = (
            each
            for each in result.lines
            if each.kind == "no_moves" and each.findings[0].route == route.name
        )
        assert line.severity == UNKNOWN
        assert "at lag = 200: the longest stretch without a gap allows a lag of 78" in line.text
    assert np.isnan(result["soap_lens"].checks.stay).all()
    assert result["soap_lens"].checks.memory == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_spectrum_that_is_none_is_named(run, value):
    buffer = run[1].frames(slice(0, 40))
    buffer.spectra = buffer.spectra.copy()
    buffer.spectra[30, 7] = value
    atom_id, step = 16, 15000  # IDs are even from 2, frames come every 500 steps
    with pytest.raises(AnalysisError, match=f"of atom {atom_id} at step {step} has the norm"):
        analyse(buffer, CONFIG)
    spectra = buffer.spectra.astype(np.float64)
    spectra[30, 7] = 1e200  # its square is no number
    buffer.spectra = spectra
    with pytest.raises(AnalysisError, match=f"of atom {atom_id} at step {step} has the norm inf"):
        analyse(buffer, CONFIG)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_time_that_is_none_is_named(run, value):
    buffer = run[1].frames(slice(0, 40))
    buffer.times[12] = value
    with pytest.raises(AnalysisError, match=f"frame of step 6000 has the time {value}"):
        analyse(buffer, CONFIG)


def test_progress_counts_every_stage(run):
    calls = []
    analyse(run[1], CONFIG, progress=lambda *call: calls.append(call))
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert stages[0] == "lens"
    assert "clusters of soap_lens" in stages
    for stage in stages:
        done = [(d, n) for s, d, n in calls if s == stage]
        assert done[0][0] == 0
        assert done[-1][0] == done[-1][1]


def test_the_buffer_on_disk_gives_the_same(run, tmp_path):
    _, buffer, result = run
    config = LiveConfig(r_cut=6.0, elements="Cu", file=str(tmp_path / "run.sdl"), n_max=2, l_max=3)
    spectra = buffer.spectra
    assert config.n_max == 2  # 12 features, as many as the made-up spectra have
    writer = BufferWriter(config, atom_ids=buffer.atom_ids, species=buffer.species, units="metal")
    with writer:
        for k, step in enumerate(buffer.steps):
            positions = np.zeros((200, 3))
            frame = (int(step), float(buffer.times[k]), np.eye(3), np.zeros(3), positions)
            writer.append(Frame(*frame, spectra[k], buffer.lists[k]))
    with open_buffer(config.file) as recorded:
        again = analyse(recorded, CONFIG)
        assert again.provenance["buffer"] == config.file
    for name in ROUTES:
        np.testing.assert_array_equal(again[name].labels, result[name].labels)


# fit, then label


def test_an_analysis_is_a_fit_and_its_labels(run):
    _, buffer, result = run
    learnt = fit(buffer, CONFIG)
    again = label(learnt, buffer)
    for name in ROUTES:
        np.testing.assert_array_equal(learnt[name].linkage, result[name].linkage)
        np.testing.assert_array_equal(learnt[name].limits, result[name].fit.limits)
        for key in ("labels", "scores", "counts", "steps"):
            np.testing.assert_array_equal(getattr(again[name], key), getattr(result[name], key))
    assert learnt.config == CONFIG
    assert "model" in again.provenance


def test_settings_of_the_fit_hold_unless_they_are_given(run):
    _, buffer, result = run
    late = buffer.frames(slice(40, 80))
    assert label(result.fit, late).config == CONFIG
    other = label(result.fit, late, replace(CONFIG, lag=3))
    expected = count_transitions(other["soap"].labels, 2, 3)
    np.testing.assert_array_equal(other["soap"].counts, expected)
    with pytest.raises(AnalysisError, match="made with variance = 0.995, the settings say 0.9"):
        label(result.fit, late, replace(CONFIG, variance=0.9))


class Own:
    """A recording that a user has made: only what `Recording` asks for."""

    def __init__(self, source):
        self._source = source
        self.steps, self.times, self.atom_ids = source.steps, source.times, source.atom_ids
        self.species, self.config, self.units = source.species, source.config, "metal"
        self.uuid, self.path, self.periodic = "my own", "nowhere", (True, True, True)

    def soap(self, k):
        return 3.0 * self._source.soap(k).astype(np.float64)  # of any norm

    def neighbors(self, k):
        return self._source.neighbors(k)

    def positions(self, k):
        return self._source.positions(k)

    def box(self, k):
        return self._source.box(k)


def test_a_recording_of_ones_own_is_analysed(run):
    _, buffer, result = run
    found = analyse(Own(buffer), CONFIG)
    for name in ROUTES:
        np.testing.assert_array_equal(found[name].labels, result[name].labels)
    assert found.provenance["buffer_uuid"] == "my own"
    # it has what the Protocol names, and nothing else
    asked = {name for name in vars(Recording) if not name.startswith("_")}
    assert {name for name in {*vars(Own), *vars(Own(buffer))} if name[0] != "_"} == asked


def test_stays_are_kept_with_the_results_and_missing_in_those_of_earlier_versions(run, tmp_path):
    _, _, result = run
    path = save_results(result, tmp_path)
    loaded = load_results(path)
    for name in ROUTES:
        ours, theirs = result[name].stays, loaded[name].stays
        for item in fields(ours):
            np.testing.assert_array_equal(getattr(ours, item.name), getattr(theirs, item.name))
        assert theirs.window == 1
        assert theirs.verdicts == ours.verdicts
    # P(stay) of the adatoms is 0.95, and they have no recrossings
    chi = loaded["soap_lens"]
    adatoms = int(np.bincount(chi.final.labels[run[0][:-1] == 2]).argmax())
    assert chi.stays.mean_low[adatoms] < 20 < chi.stays.mean_high[adatoms]
    with path.open("r+b", buffering=0) as file:
        with h5py.File(file, "r+") as content:
            for name in ROUTES:
                del content[name]["stays"]
        seal(file, result.run_id)
    assert load_results(path)["soap"].stays is None
