"""A fit on the live side: the labels of frames as they come are those of the analysis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recorded import change, record

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.dynamics import Dynamics
from strdyn_live.live_model import LiveModel
from strdyn_live.models import NearestRow
from strdyn_live.results_block import ResultsError
from strdyn_post import AnalysisConfig, analyse, label, load_results, save_results

SETTINGS = AnalysisConfig(smoothing_window=1, min_cluster_size=20)
CASES = {
    "noise": replace(SETTINGS, soft="none", merge_cut=None),
    "merged": SETTINGS,
    "sample": replace(SETTINGS, max_fit_rows=1000),
    "weight": replace(SETTINGS, lens_weight=3.0),
    "gmm": replace(SETTINGS, method="gmm", n_clusters=3, n_init=2),
    "kmeans": replace(SETTINGS, method="kmeans", n_clusters=3),
}


@pytest.fixture(scope="module")
def buffers(tmp_path_factory):
    """A recording that is fitted, and one with frames that the fit has not seen."""
    folder = tmp_path_factory.mktemp("runs")
    first = open_buffer(record(folder, 80, first=20, name="first.sdl", seed=5))
    return first, open_buffer(record(folder, 40, name="second.sdl"))


@pytest.fixture(scope="module", params=CASES)
def fitted(request, buffers, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    save_results(analyse(buffers[0], CASES[request.param]), folder)
    return request.param, folder


@pytest.fixture(scope="module")
def plain(buffers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    save_results(analyse(buffers[0], SETTINGS), folder)
    return folder


def live_labels(model: LiveModel, buffer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what is known of each frame one interval later."""
    dynamics = Dynamics(model.interval(buffer.times[1] / buffer.steps[1]), model)
    steps, labels, distances = [], [], []
    for k in range(buffer.n_frames):
        values, _ = dynamics.update(buffer.frame(k))
        if dynamics.previous_step is not None:
            steps.append(dynamics.previous_step)
            labels.append(values.environment)
            distances.append(values.distance)
    return np.array(steps), np.array(labels), np.array(distances)


def test_live_labels_are_those_of_the_analysis(fitted, buffers):
    case, folder = fitted
    model = LiveModel.load(folder, buffers[0].config)
    result = load_results(folder)
    fit = result.fit
    for buffer in buffers:
        expected = label(fit, buffer)["soap_lens"]
        steps, labels, distances = live_labels(model, buffer)
        np.testing.assert_array_equal(steps, expected.steps)
        np.testing.assert_array_equal(labels, expected.final.labels)
        np.testing.assert_array_equal((distances > 1.0).mean(axis=1), expected.far)
    np.testing.assert_array_equal(
        live_labels(model, buffers[0])[1], result["soap_lens"].final.labels
    )
    assert expected.far.max() > 0.1  # the second recording has spectra that were not fitted
    assert model.marks == result.names["soap_lens"].marks
    assert model.names == result.names["soap_lens"].names
    assert model.n_environments == result["soap_lens"].final.n_clusters
    labels = live_labels(model, buffers[0])[1]
    n_labels = len(np.unique(labels[labels >= 0]))
    assert (labels < 0).any() == (case == "noise")
    assert (len(model.mapping) > n_labels) == (case in ("merged", "sample", "weight"))
    assert (model.model is model.known) == (case in ("noise", "merged", "weight"))
    assert isinstance(model.model, NearestRow) == (case not in ("gmm", "kmeans"))
    assert model.components.weights[-1] == (3.0 if case == "weight" else 1.0)


def test_the_interval_in_steps(plain, buffers):
    model = LiveModel.load(plain / "results.h5", buffers[0].config)
    assert model.interval_time == 2.5
    assert model.interval(0.005) == 500
    assert model.interval(0.004) == 625
    with pytest.raises(
        ResultsError, match=r"every 2\.5 time units: 833\.333 steps of 0\.003, expect"
    ):
        model.interval(0.003)
    with pytest.raises(ResultsError, match=r"0\.5 steps of 5, expected a whole number"):
        model.interval(5.0)
    model.check_units("metal")
    with pytest.raises(ResultsError, match="a run in units metal, this run has units real"):
        model.check_units("real")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r_cut": 5.0, "lens_r_cut": 6.0}, "r_cut 6, .*this one has .*r_cut 5"),
        ({"elements": "Au"}, "SOAP of Cu .*this one has SOAP of Au"),
        ({"n_max": 3}, "n_max 2, .*this one has .*n_max 3"),
        ({"l_max": 2}, "l_max 3, .*this one has .*l_max 2"),
        ({"sigma": 0.5}, r"sigma 1\), .*this one has .*sigma 0\.5"),
        ({"lens_r_cut": 4.0}, "LENS within 6; .*LENS within 4"),
    ],
)
def test_a_fit_of_another_recording_is_refused(plain, buffers, changes, words):
    settings = buffers[0].config.as_dict() | changes
    with pytest.raises(ResultsError, match=f"{words}.*expected the same. Record with"):
        LiveModel.load(plain, LiveConfig.from_mapping(settings))


def test_a_smoothed_fit_is_refused(buffers, tmp_path):
    save_results(analyse(buffers[0], replace(SETTINGS, smoothing_window=3)), tmp_path)
    with pytest.raises(
        ResultsError, match="smoothing_window = 3, expected 1: .*Analyse the buffer"
    ):
        LiveModel.load(tmp_path, buffers[0].config)


def test_what_is_no_fit_is_refused(plain, buffers, tmp_path):
    config = buffers[0].config
    with pytest.raises(ResultsError, match="no results there, expected a folder that"):
        LiveModel.load(tmp_path, config)
    (tmp_path / "results.h5").write_bytes(b"x" * 600)
    with pytest.raises(ResultsError, match="is not a file of results"):
        LiveModel.load(tmp_path, config)
    content = bytearray((plain / "results.h5").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "results.h5").write_bytes(content)
    with pytest.raises(ResultsError, match="has changed since it was written"):
        LiveModel.load(tmp_path, config)
    (tmp_path / "results.h5").write_bytes(content[512:])  # as format 1
    with pytest.raises(ResultsError, match=r"results\.h5 "):
        LiveModel.load(tmp_path, config)
    labelled = label(load_results(plain).fit, buffers[1])
    save_results(labelled, tmp_path / "labelled")
    with pytest.raises(ResultsError, match=r"labelled by an earlier fit: .*first\.sdl"):
        LiveModel.load(tmp_path / "labelled", config)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda file: file.__delitem__("soap_lens/pca"), "pca"),
        (lambda file: file["soap_lens/label"].__setitem__((0, 0), 9), "soap_lens/label names"),
        (lambda file: file["soap_lens/merge_mapping"].__setitem__(0, 9), "soap_lens/merge_mapping"),
        (lambda file: file.__delitem__("soap_lens/limit"), "limit"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(plain, buffers, tmp_path, action, words):
    (tmp_path / "results.h5").write_bytes((plain / "results.h5").read_bytes())
    change(tmp_path / "results.h5", action)
    with pytest.raises(ResultsError, match=f"is not as strdyn writes it: .*{words}.*Analyse"):
        LiveModel.load(tmp_path, buffers[0].config)
