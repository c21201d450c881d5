"""One name for an environment: in results, exports, page, figures and explorer."""

import csv
import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from page_reader import Page
from recorded import record, strdyn, with_empty_figures
from synthetic import make_buffer as synthetic_buffer
from synthetic import make_result

from strdyn_post import AnalysisConfig, analyse, load_results
from strdyn_post.exchange.chemiscope import chemiscope_data
from strdyn_post.names import Names, name_environments

RATES = np.array([[0.97, 0.03, 0.0], [0.04, 0.955, 0.005], [0.0, 0.05, 0.95]])


@pytest.fixture(scope="module")
def run():
    """Record terraces, edges and adatoms; adatoms look like edges, and exchange 14 of 20."""
    states = walk(RATES, 60, 200, np.random.default_rng(0))
    return make_buffer(states, np.array([0, 1, 1]), np.array([0, 1, 14]))


def called(**names):
    return AnalysisConfig(smoothing_window=1, min_cluster_size=60, names=names)


def test_a_name_of_the_user_holds_wherever_the_environment_is_named(run):
    result = analyse(run, called(soap_lens={"1": "terrace", "C": "adatom"}))
    soap, chi = result.names["soap"], result.names["soap_lens"]
    # a number is the same environment for SOAP and for SOAP & LENS
    assert soap.names[soap.marks.index("1")] == chi.names[chi.marks.index("1")] == "terrace"
    assert chi.names[chi.marks.index("C")] == "adatom"
    (line,) = (each for each in result.lines if each.kind == "new_environment")
    assert "SOAP alone does not find: adatom," in line.text
    assert not [found for found in result.findings if found.kind == "unknown_name"]


def test_names_of_lens_are_its_own(run):
    result = analyse(run, called(soap={"1": "terrace"}, lens={"L1": "calm"}))
    assert result.names["lens"].names[0] == "calm"
    assert "calm" not in result.names["soap"].names


def test_a_name_for_what_is_not_there_is_told_with_what_is(run):
    result = analyse(run, called(soap={"7": "ghost"}))
    (text,) = (text for text in result.warnings if "ghost" in text)
    assert "there is no such environment: expected one of 1, 2." in text


@pytest.mark.parametrize(
    ("mark", "number"),
    [("1", 1), ("12", 12), ("A", 101), ("D", 104), ("J", 110), ("Z", 126), ("A2", 201), ("L3", 3)],
)
def test_numbers_of_marks_by_hand(mark, number):
    """J is the tenth letter, Z the 26th; L3 is the third level of LENS."""
    assert Names((mark,), ("",), ("#000000",)).numbers == (number,)


def test_exports_explorer_and_results_hold_the_marks_of_the_page(tmp_path, monkeypatch):
    record(tmp_path, n_frames=30)
    (tmp_path / "a.toml").write_text(
        'smoothing_window = 1\nmin_cluster_size = 20\n[names]\nsoap_lens = {1 = "ice, hot"}\n'
    )
    with_empty_figures(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert strdyn(monkeypatch, "analyse", "run.sdl", "-c", "a.toml", "-o", "out") == 0
    result = load_results("out")
    with h5py.File("out/results.h5") as file:
        assert "ice, hot" in file["soap_lens/name"].asstr()[()].tolist()
        marks = file["soap_lens/mark"].asstr()[()].tolist()
    assert tuple(marks) == result.names["soap_lens"].marks
    assert "ice, hot" in Page((tmp_path / "out/report.html").read_text()).texts_in_one
    assert strdyn(monkeypatch, "export", "out", "--to", "csv", "-o", "labels.csv") == 0
    with open("labels.csv") as file:
        rows = list(csv.DictReader(file))
    labels = result["soap_lens"].final.labels.ravel()
    for row, label in zip(rows, labels, strict=True):
        assert row["environment"] == result.names["soap_lens"].names[label]
        assert int(row["soap_lens"]) == int(marks[label])


def test_report_takes_new_names_and_keeps_them(tmp_path, monkeypatch):
    record(tmp_path, n_frames=30)
    monkeypatch.chdir(tmp_path)
    with_empty_figures(monkeypatch)
    (tmp_path / "a.toml").write_text("smoothing_window = 1\nmin_cluster_size = 20\n")
    assert strdyn(monkeypatch, "analyse", "run.sdl", "-c", "a.toml", "-o", "out") == 0
    before = load_results("out")
    (tmp_path / "names.toml").write_text('[names]\nsoap = {1 = "bulk", 9 = "nothing"}\n')
    assert strdyn(monkeypatch, "report", "out", "-c", "names.toml") == 0
    after = load_results("out")
    assert "bulk" in after.names["soap"].names
    assert (after.run_id, after.config.lag) == (before.run_id, before.config.lag)
    np.testing.assert_array_equal(after["soap"].labels, before["soap"].labels)
    assert any("no such environment" in text for text in after.warnings)
    assert "bulk" in (tmp_path / "out" / "report.html").read_text()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "bulk" in [row["name"] for row in summary["environments"]]
    assert strdyn(monkeypatch, "report", "out") == 0  # without new names those stay
    assert "bulk" in load_results("out").names["soap"].names


def test_chemiscope_says_which_place_is_which_environment():
    result = make_result(8, 30)
    data = chemiscope_data(result, synthetic_buffer(result))
    words = data["properties"]["environment"]["description"]
    assert words.startswith("1: environment 1 (1), 2: environment 2 (2)")
    assert words.endswith("5: fast environment (D)")


def test_a_mark_stays_when_an_environment_is_no_longer_fast():
    result = make_result()
    before = name_environments(result.routes)["soap_lens"]
    calm = dict(result.routes)
    del calm["lens"]
    after = name_environments(calm)["soap_lens"]
    assert before.names[3] == "fast environment"
    assert after.names[3] == "environment D"
    assert before.marks == after.marks


@pytest.mark.parametrize(("of_first", "of_second", "highlighted"), [(0.2, 0.3, 3), (0.4, 0.3, 2)])
def test_where_none_is_fast_the_new_one_of_largest_delta_is_highlighted(
    of_first, of_second, highlighted
):
    """2 and 3 are not of SOAP, which has 4 and 2 as one; half of all others have a δ of 0.9."""
    routes = dict(make_result().routes)
    labels, soap, lens = routes["soap_lens"].labels, routes["soap"], routes["lens"]
    routes["soap"] = replace(soap, labels=np.where(labels == 4, 0, soap.labels), merged=None)
    delta = np.where(np.indices(labels.shape).sum(axis=0) % 2, 0.9, 0.0)
    delta[labels == 2], delta[labels == 3] = of_first, of_second
    routes["lens"] = replace(lens, scores=delta[..., None])
    found = name_environments(routes)["soap_lens"]
    assert found.highlighted == [highlighted]
    assert not [name for name in found.names if "fast" in name]
