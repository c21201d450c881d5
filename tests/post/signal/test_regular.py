"""Adaptive sampling: an analysis of it is that of the regular frames alone, bit by bit."""

import pickle

import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from recorded import strdyn, with_empty_figures
from same_results import compare
from told import text_of

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.buffer import BufferWriter, pack
from strdyn_live.frame import Frame
from strdyn_post import AnalysisConfig, analyse, label, load_results
from strdyn_post.exchange.soapify import write_soapify
from strdyn_post.exchange.soapify_reader import read_soapify
from strdyn_post.page.summary import summarise
from strdyn_post.run import analyse_into
from strdyn_post.signal.regular import RegularFrames, extra_frames, regular_frames, regular_rows
from strdyn_post.watch import watch_into

RATES = np.array([[0.96, 0.04, 0.0], [0.04, 0.92, 0.04], [0.0, 0.1, 0.9]])
CONFIG = AnalysisConfig(smoothing_window=5, min_cluster_size=40)
DENSE = np.r_[41:61, 100:112]  # rows between the regular ones, which are every fourth
ROWS = np.union1d(np.arange(0, 240, 4), DENSE)


@pytest.fixture(scope="module")
def source():
    """Frames every 500 steps."""
    states = walk(RATES, 240, 60, np.random.default_rng(4))
    return make_buffer(states, np.array([0, 1, 2]), np.array([1, 2, 8]))


@pytest.fixture
def adaptive(source):
    found = source.frames(ROWS)
    found.every = 2000
    return found


def write(source, folder, rows, append=False):
    with writer_of(source, folder, append) as writer:
        for k in rows:
            writer.append(frame(source, k))
    return folder / "run.sdl"


def writer_of(source, folder, append=False):
    file = str(folder / "run.sdl")
    config = LiveConfig(
        r_cut=6.0, elements="Cu", n_max=2, l_max=3, file=file, append=append and "force"
    )
    return BufferWriter(
        config,
        atom_ids=source.atom_ids,
        species=source.species,
        units="metal",
        provenance={"every": 2000},
    )


def frame(source, k):
    return Frame(
        step=int(source.steps[k]),
        time=float(source.times[k]),
        cell=np.eye(3) * 30.0,
        origin=np.zeros(3),
        positions=np.random.default_rng(0).uniform(0, 30, (60, 3)),
        soap=source.spectra[k].astype(np.float32),
        neighbors=source.lists[k],
    )


@pytest.mark.parametrize(
    ("steps", "every", "kept"),
    [
        ([0, 20, 40, 60], 20, [0, 20, 40, 60]),
        ([0, 20, 25, 30, 35, 40, 60], 20, [0, 20, 40, 60]),
        ([0, 20, 25, 30, 35, 40, 60], None, [0, 20, 25, 30, 35, 40, 60]),
        # the start of a run between two regular frames
        ([7, 20, 40], 20, [20, 40]),
        # a regular frame is missing: those around it stay what they are
        ([0, 20, 25, 30, 35, 60], 20, [0, 20, 60]),
        # frames off the multiples that are as far apart as regular ones are not extra
        ([5, 25, 45, 65], 20, [5, 25, 45, 65]),
        ([5, 45, 80], 40, [5, 80]),
        ([3], 20, [3]),
        ([], 20, []),
    ],
)
def test_frames_kept_by_hand(steps, every, kept):
    class Steps:
        pass

    recording = Steps()
    recording.steps, recording.every = np.array(steps, dtype=np.int64), every
    assert [steps[k] for k in regular_rows(recording)] == kept
    recording.intervals = np.full(len(steps), every or 0)
    assert [steps[k] for k in regular_rows(recording)] == kept


def test_every_start_has_regular_frames_of_its_own():
    class Steps:
        steps = np.array([0, 30, 40, 60, 80, 90, 100])
        intervals = np.array([30, 30, 30, 30, 20, 20, 20])
        every = 20

    assert [int(Steps.steps[k]) for k in regular_rows(Steps)] == [0, 30, 60, 80, 100]


def test_the_results_are_those_of_the_regular_frames(source, adaptive):
    ours = analyse(adaptive, CONFIG)
    alone = analyse(source.frames(slice(0, None, 4)), CONFIG)
    for name in ("soap", "lens", "soap_lens"):
        for part in ("steps", "times", "stretches", "scores", "labels", "counts"):
            np.testing.assert_array_equal(getattr(ours[name], part), getattr(alone[name], part))
    np.testing.assert_array_equal(ours.delta.values, alone.delta.values)
    assert ours.provenance["recording"] == alone.provenance["recording"]
    assert (ours.provenance["n_frames"], ours.provenance["n_frames_taken"]) == (60, 60)
    said = [line for line in ours.lines if line.kind == "extra_frames"]
    assert [line.text.split(", because")[0] for line in said] == [
        "24 of 84 recorded frames lie between the regular ones, which are every 2000 steps"
    ]
    assert [line.text for line in ours.lines if line.kind != "extra_frames"] == [
        line.text for line in alone.lines
    ]
    # without the interval, dense stretches are gaps
    del adaptive.every
    assert not extra_frames(regular_frames(adaptive))
    assert any(line.kind == "gaps" for line in analyse(adaptive, CONFIG).lines)


def test_files_are_the_same_bit_by_bit(source, tmp_path, monkeypatch):
    with_empty_figures(monkeypatch)
    for name, rows in (("adaptive", ROWS), ("regular", np.arange(0, 240, 4))):
        (tmp_path / name).mkdir()
        write(source, tmp_path / name, rows)
        analyse_into(open_buffer(tmp_path / name / "run.sdl"), CONFIG, tmp_path / name / "out")
    differ, more = compare(tmp_path / "adaptive/out", tmp_path / "regular/out")
    assert ([text for text in differ if "uuid" not in text], more) == ([], [])
    # the page is drawn again from saved results, and the packed copy gives the same
    assert strdyn(monkeypatch, "report", tmp_path / "adaptive/out") == 0
    page = (tmp_path / "adaptive/out/report.html").read_text()
    assert "24 of 84 recorded frames lie between the regular ones" in page
    whole = open_buffer(tmp_path / "adaptive/run.sdl")
    run = summarise(load_results(tmp_path / "adaptive/out"), whole)["run"]
    assert (run["n_frames"], run["dt"], run["recorded_every"]) == (60, 10.0, 10.0)
    pack(tmp_path / "adaptive/run.sdl", tmp_path / "packed.h5")
    packed = regular_frames(open_buffer(tmp_path / "packed.h5"))
    assert packed.steps.tolist() == source.steps[::4].tolist()


def test_models_label_the_regular_frames(source, adaptive):
    fitted = analyse(source.frames(slice(0, None, 4)), CONFIG)
    again = label(fitted.fit, adaptive)
    np.testing.assert_array_equal(again["soap_lens"].labels, fitted["soap_lens"].labels)


def test_a_stride_counts_regular_frames(source, adaptive):
    ours = analyse(adaptive, AnalysisConfig(smoothing_window=1, min_cluster_size=40, stride=2))
    assert ours["soap"].steps.tolist() == source.steps[:-8:8].tolist()


def test_a_view_travels_as_recording_and_follows_it(source, tmp_path):
    folder = write(source, tmp_path, ROWS[:40])
    view = regular_frames(open_buffer(folder))
    assert isinstance(view, RegularFrames)
    text = pickle.dumps(view)
    write(source, tmp_path, ROWS[40:], append=True)
    assert pickle.dumps(regular_frames(open_buffer(folder))) == text
    assert len(pickle.loads(text).steps) == 60
    assert regular_frames(view) is view


def test_watching_waits_for_regular_frames(source, tmp_path, monkeypatch):
    monkeypatch.setattr("strdyn_post.run.write_report", lambda *given: given[-1])
    ends = iter([13, 14, 84])  # of the recording; frame 14 is an extra one
    seen, n_written = [], 0
    with writer_of(source, tmp_path) as writer:

        def go_on(_=None):
            nonlocal n_written
            start, n_written = n_written, next(ends)
            for k in ROWS[start:n_written]:
                writer.append(frame(source, k))

        go_on()
        monkeypatch.setattr("strdyn_post.watch.time.sleep", go_on)
        watch_into(
            open_buffer(tmp_path / "run.sdl"),
            CONFIG,
            tmp_path / "out",
            tell=lambda result, _: seen.append(result.provenance["n_frames"]),
            n_rounds=2,
        )
    assert seen == [11, 60]


def test_cpctools_gets_the_regular_frames(source, tmp_path):
    buffer = open_buffer(write(source, tmp_path, ROWS))
    write_soapify(buffer, tmp_path / "run.hdf5")
    assert len(read_soapify(tmp_path / "run.hdf5").steps) == 60


def test_the_sentence_has_a_singular_and_knows_no_interval():
    (one,) = extra_frames(regular_frames(_One()))
    assert text_of(one).startswith("1 of 3 recorded frames lies between the regular ones, because")


class _One:
    steps = np.array([0, 10, 20])
    times = steps * 1.0
    intervals = np.array([20, 20, 20])
    atom_ids = species = np.arange(3)
    config = None
    units = uuid = path = "one"
    periodic = (True, True, True)
