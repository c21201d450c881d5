"""Events that a run acted on: the page, the figure and summary.json show the list of the buffer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from page_reader import Page
from synthetic import make_buffer, make_result

from strdyn_post.figures import plot_lens_series
from strdyn_post.page.events import event_marks, event_rows
from strdyn_post.page.report import write_report

ENTRIES = [
    {
        "name": "jam",
        "step": 30000,
        "time": 150.0,
        "cause": "count = 12 > 9",
        "actions": ["halt", "print"],
        "atoms": [],
        "n_atoms": 0,
        "file": "",
    },
    {
        "name": "hop",
        "step": 12500,
        "time": 62.5,
        "cause": "lens_max = 0.62 > 0.5",
        "actions": ["dump"],
        "atoms": [7, 11, 13, 17, 19, 23],
        "n_atoms": 30,
        "file": "run.events/hop-12500.dump",
        "generation": 0,
    },
]


@pytest.fixture(scope="module")
def result():
    return make_result()


@pytest.fixture
def buffer(result):
    found = make_buffer(result)
    found.live = lambda kind: ENTRIES if kind == "event" else []
    return found


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr("strdyn_post.page.report._draw", lambda *_: _Sections())
    monkeypatch.setattr("strdyn_post.page.report.find_spec", lambda _: None)


class _Sections(dict):
    def __missing__(self, _):
        return []


def test_events_come_by_step_with_a_short_unit(buffer):
    rows = event_rows(buffer)
    assert [(row["name"], row["step"], row["time"], row["time_unit"]) for row in rows] == [
        ("hop", 12500, 62.5, "ps"),
        ("jam", 30000, 150.0, "ps"),
    ]
    assert (rows[0]["n_atoms"], rows[0]["atoms"]) == (30, [7, 11, 13, 17, 19, 23])
    assert event_marks(buffer) == [(150.0, "jam"), (62.5, "hop")]
    assert event_rows(make_buffer(make_result())) == []


def test_page_and_summary_show_them(result, buffer, tmp_path, no_figures):
    text = write_report(result, buffer, tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    assert page.shown["events.0.name"] == "hop"
    assert page.shown["events.0.step"] == "12500"
    assert page.shown["events.0.cause"] == "lens_max = 0.62 > 0.5"
    assert page.shown["events.0.file"] == "run.events/hop-12500.dump"
    assert page.shown["events.1.time"] == "150"
    assert "7, 11, 13, 17, 19 and 25 more" in page.texts_in_one
    assert "halt, print" in page.texts_in_one
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["events"] == event_rows(buffer)


def test_a_long_list_is_cut_and_a_page_without_events_has_no_section(
    result, buffer, tmp_path, no_figures
):
    buffer.live = lambda _: [ENTRIES[0] | {"step": k, "time": float(k)} for k in range(60)]
    page = Page(write_report(result, buffer, tmp_path).read_text(encoding="utf-8"))
    assert "These are the first 50 of 60 events" in page.texts_in_one
    assert "events.50.name" not in page.shown
    buffer.live = lambda _: []
    page = Page(write_report(result, buffer, tmp_path).read_text(encoding="utf-8"))
    assert "events-section" not in page.ids


def test_the_figure_marks_those_inside_and_names_them_where_there_is_room(result):
    lens = result["lens"]
    first, last = lens.times[0], lens.times[-1]
    middle = (first + last) / 2
    marked = [(middle, "hop"), (middle + 0.001, "jam"), (last + 1, "late"), (last, "end")]
    ax = plot_lens_series(lens, units="metal", marked=marked, ax=Figure().subplots())
    (triangles,) = [line for line in ax.lines if line.get_marker() == "v"]
    factor = ax.get_xlim()[1] / (last + 0.5 * (lens.times[1] - first))  # ps or ns
    np.testing.assert_allclose(
        triangles.get_xdata(), np.array([middle, middle + 0.001, last]) * factor, rtol=1e-6
    )
    assert [text.get_text() for text in ax.texts] == ["hop", "end"]
    bare = plot_lens_series(lens, units="metal", ax=Figure().subplots())
    assert not [line for line in bare.lines if line.get_marker() == "v"]


def test_settings_on_the_page_have_the_rules(result, buffer, tmp_path, no_figures):
    rules = ["hop when lens_max > 0.5 do dump", "jam when count > 9 do halt print"]
    buffer.config = replace(buffer.config, event=rules, adaptive="100 while count > 3")
    page = Page(write_report(result, buffer, tmp_path).read_text(encoding="utf-8"))
    assert ", ".join(rules) in page.texts_in_one
    assert "100 while count > 3" in page.texts_in_one
