"""The scan over Δt and smoothing windows, and its verdict, where the right Δt is known."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from memory_buffer import make_hopping_buffer
from page_reader import Page
from recorded import change
from synthetic import make_buffer as synthetic_buffer
from synthetic import make_result

from strdyn_post import AnalysisConfig, analyse, load_results, save_results
from strdyn_post.colors import HIGHLIGHT
from strdyn_post.errors import AnalysisError
from strdyn_post.figures import plot_intervals
from strdyn_post.findings import FINE
from strdyn_post.page.report import write_report
from strdyn_post.page.summary import summarise
from strdyn_post.scans.interval_scan import comparable_size
from strdyn_post.scans.intervals import IntervalPoint, advise, in_use, recommended
from strdyn_post.sentences import Speaker, lines_of

CONFIG = AnalysisConfig(smoothing_window=1, merge_cut=None, scan_intervals=[1, 4, 8])


@pytest.fixture(scope="module")
def buffer():
    return make_hopping_buffer()


@pytest.fixture(scope="module")
def result(buffer):
    return analyse(buffer, replace(CONFIG, scan_windows=[5]))


def point(stride=1, window=1, **found):
    """Make a point of a scan; nothing is fast unless `found` says so."""
    values = {
        "interval": 1.0 * stride,
        "min_cluster_size": comparable_size(AnalysisConfig(), stride),
        "n_rows": 5000,
        "delta_low": 0.03, "delta_median": 0.07, "delta_high": 0.12, "delta_top": 0.4,
        "flicker_share": 0.47,
        "soap_components": 4, "chi_components": 5, "soap_environments": 4, "chi_environments": 5,
        "n_fast": 0, "fast_share": 0.0, "fast_delta": 0.0, "fast_atoms": 0,
        "home": -1, "home_share": 0.0, "fast_at_home": 0.0,
    }  # fmt: skip
    return IntervalPoint(stride=stride, window=window, **(values | found))


EDGES = {
    "n_fast": 1, "fast_share": 0.016, "fast_delta": 0.37, "fast_atoms": 57,
    "home": 3, "home_share": 0.11, "fast_at_home": 0.86,
}  # fmt: skip
CHANCE = EDGES | {"home": 0, "home_share": 0.67, "fast_at_home": 0.73}


def test_the_recording_shows_motion_at_8_frames_and_not_before(result):
    """Over 8 frames a mobile atom swaps 8 of 75 neighbors for good: 16 / 150 above flicker."""
    one, window, four, eight = result.interval_scan
    assert [(each.stride, each.window) for each in result.interval_scan] == [
        (1, 1), (1, 5), (4, 1), (8, 1)
    ]  # fmt: skip
    assert [each.interval for each in result.interval_scan] == [2.5, 2.5, 10.0, 20.0]
    assert [each.n_fast for each in result.interval_scan] == [0, 0, 0, 1]
    # 10 of 100 atoms, each for 40 of 241 frames
    assert eight.fast_share == pytest.approx(0.1 * 40 / 241, rel=0.1)
    assert eight.fast_atoms == 10
    assert eight.fast_delta == pytest.approx((15 + 16) / 150, abs=0.01)
    # all of them look like an edge, as does one atom in five
    assert (eight.fast_at_home, eight.home_share) == (1.0, 0.2)
    assert eight.enrichment == pytest.approx(5.0)
    edges = result["soap"].final.labels[:, ::5]
    assert (edges == eight.home).all()
    # the flicker of a frame is undone by the next one in half of the cases
    assert one.flicker_share == result.flicker_share == pytest.approx(0.5, abs=0.01)
    assert four.delta_median == pytest.approx(0.1, abs=0.01)
    assert window.delta_high < one.delta_high


def advised(points, config):
    """Return the advice as data and in words."""
    found = advise(points, config)
    return found, lines_of([found], Speaker(units="metal"))[0].text


def test_the_verdict_names_the_settings_that_do(result):
    best = recommended(result.interval_scan, result.config)
    assert best is result.interval_scan[3]
    advice, text = advised(result.interval_scan, result.config)
    assert advice.values["change"] == "stride = 8 and min_cluster_size = 20"
    assert f"Δt: {text}" in result.warnings
    assert text.startswith(
        "δ of moving atoms is not clearly above the thermal flicker at a Δt of 2.5 ps. 20 ps would "
        "show the motion: set stride = 8 and min_cluster_size = 20. There a fast environment of "
    )


def test_settings_as_advised_give_what_was_promised_and_no_warning(buffer, result):
    promised = result.interval_scan[3]
    settings = replace(CONFIG, stride=8, min_cluster_size=20, scan_intervals=[16])
    again = analyse(buffer, settings)
    assert replace(again.interval_scan[0], home=promised.home) == promised
    assert recommended(again.interval_scan, settings) is again.interval_scan[0]
    advice, text = advised(again.interval_scan, settings)
    assert (advice.severity, advice.values["change"]) == (FINE, "")
    assert text.startswith("A Δt of 20 ps shows the motion: a fast environment of SOAP & LENS")
    assert not any("flicker" in text or "Δt" in text for text in again.warnings)


def test_a_point_is_an_analysis_of_its_frames(buffer, result):
    eight = result.interval_scan[3]
    settings = AnalysisConfig(smoothing_window=1, merge_cut=None, min_cluster_size=20)
    alone = analyse(buffer.frames(slice(0, None, 8)), settings)
    chi, lens = alone["soap_lens"], alone["lens"].scores[..., 0]
    assert (eight.chi_environments, eight.soap_environments) == (
        chi.final.n_clusters, alone["soap"].final.n_clusters
    )  # fmt: skip
    fast = chi.final.labels == np.argmax([lens[chi.final.labels == k].mean() for k in range(3)])
    assert eight.fast_share == fast.mean()
    assert eight.delta_high == pytest.approx(np.quantile(lens, 0.95))
    assert eight.flicker_share == alone.flicker_share
    assert eight.n_rows == 30 * 100


def test_motion_everywhere_is_not_called_motion_by_where_it_sits():
    found = analyse(make_hopping_buffer(anywhere=True), replace(CONFIG, scan_intervals=[8]))
    eight = found.interval_scan[1]
    assert eight.n_fast == 1
    assert not eight.shows_motion
    assert recommended(found.interval_scan, found.config) is None
    words = "fast atoms appear (at 20 ps), but they lie in the environments of SOAP as by chance"
    assert any(words in text for text in found.warnings)


def test_without_motion_nothing_is_recommended():
    found = analyse(make_hopping_buffer(moves=False), replace(CONFIG, scan_intervals=[8]))
    assert [each.n_fast for each in found.interval_scan] == [0, 0]
    (warning,) = (text for text in found.warnings if "None of the tried settings" in text)
    assert "Δt of 2.5 ps, 20 ps" in warning
    assert "δ of moving atoms is not clearly above the thermal flicker" in warning


def test_without_a_scan_the_remedy_is_named_unless_something_is_fast(buffer):
    plain = replace(CONFIG, scan_intervals=[])
    texts = analyse(buffer, plain).warnings
    assert sum("scan_intervals = [1, 2, 5, 10]" in text for text in texts) == 1
    assert any("thermal flicker at a Δt of 2.5 ps" in text for text in texts)
    fast = analyse(buffer, replace(plain, stride=8, min_cluster_size=20)).warnings
    assert not any("scan_intervals" in text for text in fast)


def test_what_cannot_be_tried_is_named_and_the_rest_is_done(buffer):
    few = buffer.frames(slice(0, 31))
    config = replace(CONFIG, scan_intervals=[2, 31], scan_windows=[41])
    found = analyse(few, config)
    assert [(each.stride, each.window) for each in found.interval_scan] == [(1, 1), (2, 1)]
    skipped = [text for text in found.warnings if "did not try" in text]
    assert (
        "stride 1 with window 41. The longest stretch without a gap has 30 values of LENS"
        in skipped[0]
    )
    assert "stride 31 with window 1. stride = 31: no two frames" in skipped[1]


def test_a_scan_counts_the_frames_recorded_whatever_the_stride(buffer, result):
    config = replace(CONFIG, stride=8, scan_intervals=[4], min_cluster_size=20)
    found = analyse(buffer, config)
    four, eight = found.interval_scan
    assert (four.interval, eight.interval) == (10.0, 20.0)
    assert (four.min_cluster_size, eight.min_cluster_size) == (40, 20)
    assert eight.n_fast == 1
    assert advise(found.interval_scan, config).severity == FINE


@pytest.mark.parametrize(
    ("size", "used", "stride", "expected"),
    [
        *[(80, 1, 1, 80), (80, 1, 2, 40), (80, 1, 5, 20), (80, 1, 10, 20), (300, 1, 8, 38)],
        *[(12, 1, 1, 12), (12, 1, 4, 12), (20, 4, 1, 80), (20, 4, 8, 20), (40, 4, 2, 80)],
    ],
)
def test_the_smallest_cluster_is_the_same_share_of_the_rows(size, used, stride, expected):
    config = AnalysisConfig(min_cluster_size=size, stride=used)
    assert comparable_size(config, stride) == expected


@pytest.mark.parametrize(
    ("points", "change", "words"),
    [
        # the Δt in use does
        ([point(**EDGES), point(8, **EDGES)], "", "A Δt of 1 ps shows the motion: a fast"),
        # a shorter one does as well
        (
            [point(8, **EDGES), point(4, **EDGES)],
            "stride = 4",
            "A Δt of 8 ps shows the motion: a fast environment",
        ),
        # the shortest that does, not the clearest
        (
            [point(), point(2), point(5, **EDGES), point(8, **EDGES | {"fast_share": 0.02})],
            "stride = 5 and min_cluster_size = 16",
            "at a Δt of 1 ps. 5 ps would show the motion",
        ),
        # a shorter window at the same Δt costs less than a longer Δt
        (
            [point(1, 1, **EDGES), point(1, 3, **EDGES), point(1, 21), point(8, 21, **EDGES)],
            "smoothing_window = 3",
            "at a Δt of 1 ps with a window of 21. 1 ps with a window of 3 would show the motion",
        ),
        # placed as by chance in use
        ([point(**CHANCE), point(2, **EDGES)], "stride = 2 and min_cluster_size = 40",
         "The fast atoms at a Δt of 1 ps lie in the environments of SOAP as by chance. 2 ps"),
        ([point(**CHANCE), point(2, **CHANCE)], None, "they lie in the environments of SOAP as by"),
        (
            [point(), point(2, **EDGES | {"fast_atoms": 2})],
            None,
            "(at 2 ps), but they are too few (2 atoms): their place may be chance",
        ),
        (
            [point(**EDGES | {"fast_atoms": 2}), point(2, **EDGES)],
            "stride = 2 and min_cluster_size = 40",
            "The fast atoms at a Δt of 1 ps are too few (2 atoms): their place",
        ),
        ([point(), point(2)], None, "(a cluster needs 80 observations)"),
        ([point(1, 21), point(2, 21)], None, "or a shorter window (scan_windows = [1])"),
    ],
)  # fmt: skip
def test_verdicts(points, change, words):
    points = [replace(each, min_cluster_size=16) if each.stride == 5 else each for each in points]
    config = AnalysisConfig(
        smoothing_window=max(each.window for each in points), stride=points[0].stride
    )
    advice, text = advised(points, config)
    assert (advice.values["best"] is None) == (change is None)
    assert advice.values["change"] == (change or "")
    assert words in text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (EDGES, True),
        ({}, False),
        (CHANCE, False),
        # exactly twice as often, by 100 atoms
        ({"n_fast": 1, "fast_atoms": 100, "home_share": 0.4, "fast_at_home": 0.8}, True),
        ({"n_fast": 1, "fast_atoms": 100, "home_share": 0.41, "fast_at_home": 0.8}, False),
        # 4 environments × 0.11³ = 0.005 and × 0.11⁴ = 0.0006: three atoms may be chance
        (EDGES | {"fast_atoms": 3, "fast_at_home": 1.0}, False),
        (EDGES | {"fast_atoms": 4, "fast_at_home": 1.0}, True),
        # the largest of 73 small shares is twice the mean by chance
        (EDGES | {"fast_atoms": 80, "home_share": 0.0173, "fast_at_home": 0.037,
                  "soap_environments": 73}, False),
    ],
)  # fmt: skip
def test_motion_is_what_sits_where_chance_does_not_put_it(found, expected):
    assert point(**found).shows_motion is expected


def test_the_scan_is_kept_with_the_results(result, tmp_path):
    loaded = load_results(save_results(result, tmp_path))
    assert loaded.interval_scan == result.interval_scan
    assert [in_use(each, loaded.config) for each in loaded.interval_scan] == [
        True, False, False, False
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("home", [0, 0, 0, 7], "impossible point"),
        ("stride", [2, 2, 4, 8], "must hold the point in use exactly once"),
        ("fast_share", [0.0, 0.0, 0.0, 2.0], "interval_scan/fast_share is 2.0"),
        ("fast_delta", [0.0, 0.0, 0.0, float("nan")], "interval_scan/fast_delta is nan"),
        ("window", [1.0, 5.0, 1.0, 1.0], "interval_scan/window is 1.0"),
        ("flicker_share", [0.5, 0.5, 0.5], "shorter than"),
    ],
)
def test_a_scan_that_does_not_fit_is_refused(result, tmp_path, name, values, message):
    path = save_results(result, tmp_path)

    def put(file: h5py.File) -> None:
        del file[f"interval_scan/{name}"]
        file[f"interval_scan/{name}"] = values

    change(path, put)
    with pytest.raises(AnalysisError, match=message):
        load_results(path)


def test_numbers_of_the_scan_are_json(buffer, result):
    buffer.n_frames = len(buffer.steps)
    found = summarise(result, buffer)
    text = json.dumps(found["interval_scan"], allow_nan=False)
    assert [row["recommended"] for row in json.loads(text)] == [False, False, False, True]
    assert found["interval_scan"][3]["home_name"].startswith("environment ")
    assert found["interval_advice"]["change"] == "stride = 8 and min_cluster_size = 20"


SCAN = (
    point(n_rows=900),
    point(1, 5, **CHANCE),
    point(2, **CHANCE | {"home": -1}),
    point(8, delta_top=0.62, **EDGES | {"home": 3}),
)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Draw the page of a result with a scan, without snapshots, explorer and files of figures."""
    monkeypatch.setattr("strdyn_post.page.panels.plot_snapshot", lambda *_, ax, **__: ax)
    monkeypatch.setattr("strdyn_post.page.report.save_figure", lambda *_, **__: "<svg></svg>")
    monkeypatch.setattr("strdyn_post.page.report.find_spec", lambda _: None)

    def write(scan, **settings):
        made = make_result(12, 60)
        config = replace(made.config, smoothing_window=1, **settings)
        scanned = replace(made, interval_scan=scan, config=config)
        if scan:
            scanned = replace(scanned, findings=(*scanned.findings, advise(scan, config)))
        return write_report(scanned, synthetic_buffer(made), tmp_path).read_text(encoding="utf-8")

    return write


def test_the_page_shows_the_scan_and_its_verdict(page):
    shown = Page(text := page(SCAN, scan_intervals=[2, 8], scan_windows=[5]))
    rows = [
        {"dt": "1", "window": "1", "delta_high": "0.120", "flicker_share": "47.0 %"},
        {"dt": "1", "window": "5", "fast_delta": "0.370", "enrichment": "1.1"},
        {"dt": "2", "window": "1", "home_share": "67.0 %", "fast_at_home": "73.0 %"},
        {"dt": "8", "fast_share": "1.6 %", "delta_top": "0.620", "enrichment": "7.8",
         "home_share": "11.0 %", "fast_at_home": "86.0 %", "chi_environments": "5"},
    ]  # fmt: skip
    for k, row in enumerate(rows):
        found = {name: shown.shown.get(f"interval_scan.{k}.{name}") for name in row}
        assert found == row
    assert "interval_scan.0.fast_share" not in shown.shown
    assert {"intervals", "scan_interval", "scan_window"} <= set(shown.ids)
    words = " ".join(shown.texts)
    assert "Recommended: stride = 8 and min_cluster_size = 20." in words
    assert text.count('<span class="quiet">recommended</span>') == 1
    assert text.count('<span class="quiet">in use</span>') == 1
    assert text.count("<td>another</td>") == 1  # one is in no environment of SOAP in use
    assert '<li class="attention" data-kind="interval">' in text


def test_the_page_says_that_the_interval_in_use_will_do(page):
    text = page((point(**EDGES), point(2, **EDGES)), scan_intervals=[2])
    assert "The Δt in use shows the motion." in text
    assert '<li class="good" data-kind="interval">' in text
    assert "<strong>Δt.</strong> A Δt of 1 ps shows the motion: a fast environment" in text
    assert 'id="scan_window"' not in text


def test_the_page_says_that_nothing_tried_will_do_and_is_silent_without_a_scan(page):
    text = page((point(), point(2)), scan_intervals=[2])
    assert "None of the tried settings shows motion." in text
    assert '<li class="attention" data-kind="interval">' in text
    assert 'id="intervals"' not in page(())


def test_the_figure_shows_what_was_found():
    made = replace(
        make_result(12, 60), config=AnalysisConfig(smoothing_window=1), interval_scan=SCAN
    )
    ax = plot_intervals(made, units="metal", ax=Figure().subplots())
    texts = [text.get_text() for text in ax.texts]
    assert texts == [
        "nothing\nfast", "in use", "1.6 %\n1.1 ×", "1.6 %\n7.8 ×", "recommended"
    ]  # fmt: skip
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "8"]
    points = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in points] == [(2, 0.37), (8, 0.37)]
    assert [line.get_markerfacecolor() == HIGHLIGHT for line in points] == [False, True]
    tail = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (tail.max(), tail.min()) == (0.62, 0.12)
    ax = plot_intervals(made, "window", units="metal", ax=Figure().subplots())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "5"]
    assert "recommended" not in [text.get_text() for text in ax.texts]
    ax = plot_intervals(make_result(12, 60), ax=Figure().subplots())
    assert ax.texts[0].get_text().startswith("no other Δt was tried")
