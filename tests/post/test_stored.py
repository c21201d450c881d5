"""An analysis of spectra stored by scores is that of the spectra, within what is promised."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from memory_buffer import N_FEATURES
from recorded import made_up, strdyn
from sklearn.metrics import adjusted_rand_score

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.basis import Basis
from strdyn_live.buffer import BufferWriter, pack
from strdyn_live.dynamics import Dynamics
from strdyn_live.frame import Frame
from strdyn_live.live_model import LiveModel
from strdyn_live.parallel import Ranks
from strdyn_live.reduction import Reduction
from strdyn_post import AnalysisConfig, Snapshot, analyse, collect, label, save_results
from strdyn_post.errors import AnalysisError
from strdyn_post.page.summary import summarise
from strdyn_post.signal.regular import RegularFrames
from strdyn_post.signal.stored import stored_spectra

SETTINGS = AnalysisConfig(smoothing_window=1, min_cluster_size=20)
N_FRAMES = 60


def record(folder, store, **changes):
    """Write the same run in full, by scores, or without spectra."""
    source = made_up(N_FRAMES, 4)
    config = LiveConfig(
        r_cut=6.0, elements="Cu", n_max=2, l_max=3, file=str(folder / "run.sdl"), store=store
    )
    reduction, alone = Reduction(config), Ranks()
    writer = BufferWriter(
        config, atom_ids=source.atom_ids, species=source.species, units="metal", **changes
    )
    positions = np.random.default_rng(0).uniform(0, 30, (24, 3))
    cell = np.eye(3) * 30.0
    with writer:
        for k in range(N_FRAMES):
            soap = source.spectra[k].astype(np.float32)
            if store == "none":
                soap = soap[:, :0]
            time = float(source.times[k])
            frame = Frame(
                int(source.steps[k]), time, cell, np.zeros(3), positions, soap, source.lists[k]
            )
            writer.append(reduction.of_frame(frame, alone))
            reduction.resume(config.file, frame, alone)
    return open_buffer(config.file)


@pytest.fixture(scope="module")
def buffers(tmp_path_factory):
    return {
        store: record(tmp_path_factory.mktemp("stored"), store)
        for store in ("full", "pca 6", "none")
    }


@pytest.fixture(scope="module")
def results(buffers):
    return {store: analyse(buffers[store], SETTINGS) for store in ("full", "pca 6")}


def test_labels_and_scores_agree(buffers, results):
    reduced = buffers["pca 6"]
    assert (reduced.n_scores_of == 6).sum() > N_FRAMES / 2
    bound = reduced.soap_error
    assert 0.001 < bound < 0.2
    for name, route in results["full"].routes.items():
        other = results["pca 6"][name]
        assert adjusted_rand_score(route.labels.ravel(), other.labels.ravel()) > 0.99, name
        assert other.n_components == route.n_components
    # a distance between two rows is off by at most what is left out of both
    names = ("full", "pca 6")
    rows = [buffers[name].soap(slice(None)).reshape(-1, N_FEATURES) for name in names]
    pairs = np.random.default_rng(0).integers(len(rows[0]), size=(2, 5000))
    distances = [np.linalg.norm(each[pairs[0]] - each[pairs[1]], axis=1) for each in rows]
    left_out = np.concatenate([reduced.residuals(k) for k in range(N_FRAMES)])
    off = np.abs(distances[0] - distances[1])
    assert (off <= left_out[pairs].sum(axis=0) + 1e-6).all()
    assert off.max() <= 2 * bound
    # scores by the same components, of rows that the analysis has given their norm of 1 again:
    # two directions an angle θ apart, sin θ <= bound, differ by 2 sin θ/2 as unit vectors
    pca = results["full"]["soap"].fit.pca
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in rows]
    scores = [pca.transform(each)[0] for each in unit]
    most = 2 * np.sin(np.arcsin(bound) / 2)
    assert np.linalg.norm(scores[0] - scores[1], axis=1).max() <= most + 1e-6


def test_the_bound_is_said_everywhere(buffers, results):
    bound = buffers["pca 6"].soap_error
    result = results["pca 6"]
    assert result.provenance["soap_error"] == bound
    assert result.provenance["store"] == "pca 6"
    assert results["full"].provenance["soap_error"] == 0.0
    (line,) = [line for line in result.lines if line.kind == "stored_spectra"]
    assert f"Each is within {bound:.2g} of the spectrum" in line.text
    n_reduced = (buffers["pca 6"].n_scores_of > 0).sum()
    assert f"Spectra of {n_reduced} of {N_FRAMES} frames are stored by 6 scores" in line.text
    assert not [line for line in results["full"].lines if line.kind == "stored_spectra"]
    run = json.loads(json.dumps(summarise(result, buffers["pca 6"])))["run"]
    assert (run["store"], run["soap_error"]) == ("pca 6", bound)


class _Stored:
    """A recording of which only this is asked."""

    steps = np.arange(10)
    n_scores_of = np.array([0, 0] + 8 * [6])

    def __init__(self, error):
        self.soap_error = error


@pytest.mark.parametrize(("error", "severity"), [(0.0049, "fine"), (0.0051, "attention")])
def test_a_bound_that_is_too_wide_needs_attention(error, severity):
    """The smallest component that is kept has a spread of 0.01; half of it may be off."""
    variances = np.array([0.25, 1e-4, 1e-8])
    (found,) = stored_spectra(_Stored(error), variances, 2)
    assert found.severity == severity
    assert found.values == {
        "bound": error, "reduced": 8, "recorded": 10, "n_scores": 6, "spread": 0.01
    }  # fmt: skip
    assert stored_spectra(_Stored(0.0), variances, 2) == []
    assert stored_spectra(object(), variances, 2) == []


def test_without_spectra_there_is_no_analysis(buffers, results):
    with pytest.raises(AnalysisError, match="it has no spectra, and SOAP and SOAP & LENS need"):
        analyse(buffers["none"], SETTINGS)
    with pytest.raises(AnalysisError, match="it has no spectra"):
        label(results["full"].fit, buffers["none"])


def test_a_fit_of_spectra_labels_scores(buffers, results):
    """And live, frame by frame, as they are stored: the same labels."""
    labelled = label(results["full"].fit, buffers["pca 6"])["soap_lens"].final.labels
    known = results["full"]["soap_lens"].final.labels
    assert adjusted_rand_score(labelled.ravel(), known.ravel()) > 0.99


def test_live_labels_of_scores(buffers, results, tmp_path):
    save_results(results["full"], tmp_path)
    reduced = buffers["pca 6"]
    model = LiveModel.load(tmp_path, reduced.config)
    dynamics = Dynamics(model.interval(reduced.times[1] / reduced.steps[1]), model)
    expected = label(results["full"].fit, reduced)["soap_lens"].final.labels
    found = []
    for k in range(N_FRAMES):
        frame = reduced.stored_frame(k)
        if reduced.n_scores_of[k]:
            frame = replace(frame, basis=reduced.basis_of(k))
        values, _ = dynamics.update(frame)
        found.append(values.environment)
    np.testing.assert_array_equal(found[1:], expected)


def test_extra_frames_and_packed_files_keep_the_bound(buffers, tmp_path):
    reduced = buffers["pca 6"]
    view = RegularFrames(reduced)
    assert view.soap_error == reduced.soap_error
    assert view.n_scores_of.tolist() == reduced.n_scores_of.tolist()
    pack(reduced.path, tmp_path / "run.h5", compress="rounded")
    found = analyse(open_buffer(tmp_path / "run.h5"), SETTINGS)
    rounding = 2.0**-21 * np.sqrt(N_FEATURES)
    assert found.provenance["soap_error"] == pytest.approx(reduced.soap_error + rounding)


def test_collect_stores_scores(tmp_path):
    """A trajectory of a crystal that vibrates, in two parts; the second goes on with the basis."""
    grid = np.argwhere(np.ones((4, 4, 4)))
    cell = 10.24 * np.eye(3)

    def frames(n_frames):
        rng = np.random.default_rng(0)
        for k in range(n_frames):
            positions = 2.56 * grid + rng.normal(0, 0.05, (64, 3))
            yield Snapshot.of(positions, ["Cu"] * 64, cell=cell, step=k, time=0.1 * k)

    given = {"r_cut": 4.0, "n_max": 4, "l_max": 3}
    full = collect(frames(30), tmp_path / "full.sdl", **given)
    collect(frames(20), tmp_path / "run.sdl", store="pca 12", **given)
    first = open_buffer(tmp_path / "run.sdl").basis
    assert isinstance(first, Basis)
    reduced = collect(frames(30), tmp_path / "run.sdl", store="pca 12", **given)
    assert reduced.basis.first(first.n_scores).is_same(first)
    assert (reduced.n_scores_of > 0).sum() > 10
    for k in range(30):
        off = np.linalg.norm(reduced.soap(k) - full.soap(k), axis=1)
        assert off.max() <= reduced.soap_error + 1e-6
    none = collect(frames(3), tmp_path / "none.sdl", store="none", **given)
    assert none.neighbors(2).ids.tolist() == full.neighbors(2).ids.tolist()


def test_commands(buffers, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    buffer = str(buffers["pca 6"].path)
    assert strdyn(monkeypatch, "info", buffer) == 0
    said = capsys.readouterr().out
    assert "store             pca 6" in said
    assert f"soap error        {buffers['pca 6'].soap_error}" in said
    assert strdyn(monkeypatch, "pack", buffer, "-o", "a.h5", "--compress", "rounded") == 0
    assert strdyn(monkeypatch, "pack", buffer, "-o", "b.h5") == 0
    sizes = [(tmp_path / name).stat().st_size for name in ("a.h5", "b.h5")]
    assert sizes[0] < sizes[1]
    assert strdyn(monkeypatch, "pack", buffer, "-o", "c.h5", "--compress", "zip") != 0
    assert "expected one of gzip, blosc2, rounded" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "hdf5plugin", None)
    assert strdyn(monkeypatch, "pack", buffer, "-o", "c.h5", "--compress", "blosc2") == 4
    assert "pip install 'strdyn-live[compression]'" in capsys.readouterr().err
    assert strdyn(monkeypatch, "analyse", str(buffers["none"].path), "-o", "out") == 3
    assert "it has no spectra" in capsys.readouterr().err
