"""Every n-th frame of a buffer: an analysis of it is that of a buffer with these frames only."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from recorded import record, strdyn, write

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.buffer import BufferWriter
from strdyn_live.frame import Frame
from strdyn_post import AnalysisConfig, analyse, label, load_results
from strdyn_post.config import ConfigError
from strdyn_post.errors import AnalysisError
from strdyn_post.page.summary import summarise
from strdyn_post.signal.every_nth import EveryNth, every_nth, n_comparable, taken_frames
from strdyn_post.signal.same_frames import KnownFrames
from strdyn_post.watch import watch_into

RATES = np.array([[0.96, 0.04, 0.0], [0.04, 0.92, 0.04], [0.0, 0.1, 0.9]])
CONFIG = AnalysisConfig(smoothing_window=5, min_cluster_size=40, stride=3)


@pytest.fixture
def source():
    states = walk(RATES, 120, 60, np.random.default_rng(4))
    return make_buffer(states, np.array([0, 1, 2]), np.array([1, 2, 8]))


def assert_same(one, other):
    for name in ("soap", "lens", "soap_lens"):
        for part in ("steps", "times", "stretches", "scores", "labels", "counts"):
            np.testing.assert_array_equal(getattr(one[name], part), getattr(other[name], part))
        np.testing.assert_array_equal(one[name].final.labels, other[name].final.labels)
    np.testing.assert_array_equal(one.delta.values, other.delta.values)
    assert one.flicker_share == other.flicker_share


def test_a_stride_is_an_analysis_of_these_frames(source):
    ours = analyse(source, CONFIG)
    alone = analyse(source.frames(slice(0, None, 3)), replace(CONFIG, stride=1))
    assert_same(ours, alone)
    assert ours.provenance["recording"] == alone.provenance["recording"]
    assert ours.provenance["recording"].endswith("a frame every 7.5 time units")
    taken = "35 of 40 frames that stride = 3 takes enter"
    assert [text for text in ours.warnings if taken in text]
    assert ours.warnings[1:] == alone.warnings[1:]
    # the report looks for the frames in the whole buffer
    assert (ours.provenance["n_frames"], ours.provenance["n_frames_taken"]) == (120, 40)
    assert (ours.provenance["first_step"], ours.provenance["last_step"]) == (0, 119 * 500)


@pytest.mark.parametrize(
    ("steps", "stride", "taken"),
    [
        ([0, 5, 10, 15, 20, 25, 30], 3, [0, 15, 30]),
        ([7, 9, 11, 13, 15], 2, [7, 11, 15]),
        # a frame is missing: the grid goes on, and so do the pairs at distance 20
        ([0, 5, 15, 20, 25, 30, 35, 40], 4, [0, 20, 40]),
        # a frame of the grid is missing
        ([0, 5, 10, 15, 25, 30, 35, 40, 45, 50, 55, 60], 4, [0, 40, 60]),
        # it went on between the usual steps: a grid from the first of them, for all of that phase
        ([0, 5, 10, 12, 17, 22, 27, 32], 2, [0, 10, 12, 22, 32]),
        ([0, 5, 10, 15, 22, 27, 32, 42, 47, 52], 3, [0, 15, 22, 52]),
        # a stretch between two frames of the grid has none, and does not part them
        ([0, 5, 15, 20, 30, 35, 40], 6, [0, 30]),
        ([10], 4, [10]),
        ([], 4, []),
    ],
)
def test_frames_taken_by_hand(steps, stride, taken):
    assert [steps[k] for k in taken_frames(steps, stride)] == taken


def test_a_gap_does_not_shift_the_phase_and_parts_what_it_must(source):
    # frames 31 to 33 are lost, with one of the grid (33): no LENS from 30 to 36
    rows = np.setdiff1d(np.arange(120), [31, 32, 33])
    ours = analyse(source.frames(rows), CONFIG)
    kept = np.setdiff1d(np.arange(0, 120, 3), [33])
    assert_same(ours, analyse(source.frames(kept), replace(CONFIG, stride=1)))
    assert set(ours.delta.frames.steps) == set(np.setdiff1d(kept, [30, 117]) * 500)
    gap = "follow each other every 1500 steps, except from step 15000 to 18000"
    assert any(gap in text for text in ours.warnings)


def test_a_lost_frame_between_two_of_the_grid_changes_nothing(source):
    rows = np.setdiff1d(np.arange(120), [31, 50])
    ours, whole = analyse(source.frames(rows), CONFIG), analyse(source, CONFIG)
    assert_same(ours, whole)
    assert ours.warnings == whole.warnings


def test_a_run_that_went_on_between_the_usual_steps_is_analysed_too(source):
    source.steps = np.where(np.arange(120) < 61, source.steps, source.steps + 250)
    source.times = source.steps * 0.005
    ours = analyse(source, CONFIG)
    kept = np.r_[0:61:3, 61:120:3]
    assert_same(ours, analyse(source.frames(kept), replace(CONFIG, stride=1)))


def test_stretches_too_short_for_the_stride_are_named(source):
    rows = np.setdiff1d(np.arange(120), [30, 31, 34, 35])
    result = analyse(source.frames(rows), replace(CONFIG, stride=10))
    lost = [text for text in result.warnings if "stride = 10 takes no frame" in text]
    assert len(lost) == 1
    assert "of steps 16000 to 16500. These stretches" in lost[0]


def test_a_stride_longer_than_the_recording_says_what_would_do(source):
    with pytest.raises(
        AnalysisError,
        match=r"stride = 120: no two frames are 60000 steps apart. The buffer holds steps 0 to "
        r"59500, a frame every 500: choose a smaller stride \(at most 119\)",
    ):
        analyse(source, replace(CONFIG, stride=120))
    longest = replace(CONFIG, stride=119, smoothing_window=1)
    assert len(analyse(source, longest).delta.frames.steps) == 1
    with pytest.raises(AnalysisError, match="the buffer holds 1 frame;"):
        analyse(source.frames([0]), CONFIG)


def test_most_frames_taken_must_be_as_far_apart_as_asked():
    """Short stretches, each with a phase of its own: their first frames are 77 apart, not 100."""

    class Patches:
        starts = 177 + 77 * np.arange(6)
        steps = np.r_[0:101:10, (starts[:, None] + [0, 10, 20]).ravel()]
        times = steps * 1.0
        atom_ids = species = np.arange(3)
        config = None
        units = uuid = path = "patches"
        periodic = (True, True, True)

    with pytest.raises(AnalysisError, match="are 77 steps apart, expected 100"):
        every_nth(Patches, 10)


def test_a_view_travels_as_buffer_and_stride_and_knows_its_frames(source, tmp_path):
    write(source, tmp_path, range(60), append=False)
    before = open_buffer(tmp_path / "run.sdl")
    view = every_nth(before, 3)
    text = pickle.dumps(view)
    known = KnownFrames.of(view, np.array([2, 19]))
    assert [key[0] for key in known.keys] == [3000, 28500]
    assert len(known.keys[0]) > 1  # with checksums
    write(source, tmp_path, range(60, 90), append=True)
    grown = every_nth(open_buffer(tmp_path / "run.sdl"), 3)
    assert pickle.dumps(grown) == text
    there = pickle.loads(text)
    assert isinstance(there, EveryNth)
    assert len(there.steps) == 30
    known.check(there)
    np.testing.assert_array_equal(there.soap(19), source.spectra[57])
    with pytest.raises(AnalysisError, match=r"frame 2 of .*, of step 3000, is that of step 4000"):
        known.check(EveryNth(before, 4))


def test_stride_1_is_the_buffer_itself(source):
    assert every_nth(source, 1) is source


def test_labels_of_a_model_need_its_stride(source):
    fitted = analyse(source, CONFIG)
    again = label(fitted.fit, source)
    assert again.config.stride == 3
    np.testing.assert_array_equal(again["soap_lens"].labels, fitted["soap_lens"].labels)
    assert again.provenance["recording"] == fitted.provenance["recording"]
    with pytest.raises(AnalysisError, match="every 7.5 time .* this one has .* every 5 time"):
        label(fitted.fit, source, replace(CONFIG, stride=2))
    # scans are no part of a model
    scanned = replace(CONFIG, scan_intervals=[1, 2], scan_windows=[1])
    assert label(fitted.fit, source, scanned).interval_scan == ()
    # nor do frames at another distance pass, taken by the same stride
    with pytest.raises(AnalysisError, match=r"every 7.5 time units; this one has .* every 15"):
        label(fitted.fit, source.frames(slice(0, None, 2)))


def test_watching_takes_every_nth_frame_and_waits_for_the_first_two(source, tmp_path, monkeypatch):
    monkeypatch.setattr("strdyn_post.run.write_report", lambda *given: given[-1])
    config = LiveConfig(r_cut=6.0, elements="Cu", n_max=2, l_max=3, file=str(tmp_path / "run.sdl"))
    ends = iter([3, 12, 14, 20, 41, 44, 61])  # of the recording, whenever the watcher pauses
    seen = []
    with BufferWriter(
        config, atom_ids=source.atom_ids, species=source.species, units=source.units
    ) as writer:
        n_written = 0

        def go_on(_=None):
            nonlocal n_written
            start, n_written = n_written, next(ends)
            for k in range(start, n_written):
                writer.append(
                    Frame(
                        step=int(source.steps[k]),
                        time=float(source.times[k]),
                        cell=np.eye(3) * 30.0,
                        origin=np.zeros(3),
                        positions=np.zeros((60, 3)),
                        soap=source.spectra[k].astype(np.float32),
                        neighbors=source.lists[k],
                    )
                )

        go_on()
        monkeypatch.setattr("strdyn_post.watch.time.sleep", go_on)
        tenth = replace(CONFIG, stride=10)
        buffer = open_buffer(tmp_path / "run.sdl")
        watch_into(
            buffer, tenth, tmp_path / "out", tell=lambda result, _: seen.append(result), n_rounds=3
        )
    # the first 3 are too few; 14, 20 and 44 bring none that is taken
    assert [result.provenance["n_frames"] for result in seen] == [12, 41, 61]
    assert [result.provenance["n_frames_taken"] for result in seen] == [2, 5, 7]
    alone = analyse(open_buffer(tmp_path / "run.sdl"), tenth)
    assert_same(seen[2], alone)


def test_n_comparable_is_0_until_lens_has_a_pair(source):
    counts = [n_comparable(source.frames(slice(0, n)), 4) for n in (0, 1, 4, 5, 8, 9)]
    assert counts == [0, 0, 0, 2, 2, 3]


def test_page_and_exports_find_the_frames(tmp_path, monkeypatch):
    buffer = record(tmp_path, 60)
    (tmp_path / "settings.toml").write_text(
        "smoothing_window = 1\nmin_cluster_size = 20\nstride = 4\nlag = 2\n"
    )
    out = tmp_path / "out"
    assert strdyn(monkeypatch, "analyse", buffer, "-c", tmp_path / "settings.toml", "-o", out) == 0
    result, whole = load_results(out), open_buffer(buffer)
    assert result["soap"].steps.tolist() == [2000 * k for k in range(14)]
    run = summarise(result, whole)["run"]
    assert (run["n_frames"], run["n_frames_taken"], run["n_frames_analysed"]) == (60, 15, 14)
    assert (run["dt"], run["recorded_every"], run["stride"]) == (10.0, 2.5, 4)
    assert (run["span"], run["last_step"]) == (147.5, 29500)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "in the environment of the column 20 ps later" in page
    assert "that stride = 4 takes" in page
    csv = tmp_path / "labels.csv"
    assert strdyn(monkeypatch, "export", out, "--to", "csv", "-o", csv) == 0
    rows = [line.split(",") for line in csv.read_text().splitlines()[1:]]
    assert sorted({int(row[0]) for row in rows}) == result["soap"].steps.tolist()
    header = csv.read_text().split("\n", 1)[0].split(",")
    found = np.array([int(row[header.index("soap_lens")]) for row in rows]).reshape(14, -1)
    chi = result["soap_lens"].final.labels
    for number in np.unique(found):  # a number is one environment
        assert len(np.unique(chi[found == number])) == 1
    assert len(np.unique(found)) == len(np.unique(chi))


def test_to_mda_keeps_the_distance_of_the_frames(tmp_path):
    from strdyn_post.exchange.export import to_mda

    buffer = open_buffer(record(tmp_path, 30))
    result = analyse(buffer, AnalysisConfig(smoothing_window=1, min_cluster_size=20, stride=3))
    universe = to_mda(result, buffer)
    assert [ts.time for ts in universe.trajectory][:3] == [0.0, 7.5, 15.0]
    assert universe.trajectory.dt == 7.5


def test_dask_or_any_other_pickling_map_gives_the_same_numbers(source, tmp_path):
    write(source, tmp_path, range(120), append=False)
    buffer = open_buffer(tmp_path / "run.sdl")

    def elsewhere(function, chunks):
        for text in [pickle.dumps((function, chunk)) for chunk in chunks]:
            work, chunk = pickle.loads(text)
            yield work(chunk)

    assert_same(analyse(buffer, CONFIG), analyse(buffer, CONFIG, map_chunks=elsewhere))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stride": 0}, "stride = 0: expected a whole number from 1 to 1000000"),
        ({"stride": 10**7}, "stride = 10000000: expected a whole number from 1 to 1000000"),
        ({"scan_intervals": [1, 0]}, r"scan_intervals = \[1, 0\]: expected whole numbers from 1"),
        ({"scan_intervals": [2.5]}, r"scan_intervals = \[2.5\]: expected whole numbers"),
        ({"scan_intervals": "1, 2"}, "scan_intervals = '1, 2': expected whole numbers"),
        ({"scan_intervals": [10**7]}, r"scan_intervals = \[10000000\]: expected .* to 1000000"),
        ({"scan_windows": [2]}, r"scan_windows = \[2\]: expected 1, or more than smoothing_order"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        AnalysisConfig(**settings)


def test_settings_read_back_from_toml(tmp_path):
    config = AnalysisConfig(stride=8, scan_intervals=[1, 2.0], scan_windows=5)
    (tmp_path / "analysis.toml").write_text(config.to_toml())
    assert AnalysisConfig.from_toml(tmp_path / "analysis.toml") == config
    assert (config.scan_intervals, config.scan_windows) == ((1, 2), (5,))
