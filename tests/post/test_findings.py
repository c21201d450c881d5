"""Findings: the same conclusions in the results, in summary.json, on the terminal and the page."""

import json
import re

import pytest
from page_reader import Page
from recorded import record, strdyn, with_empty_figures
from synthetic import judged, make_result

from strdyn_post import load_results
from strdyn_post.findings import ATTENTION, FINE, KINDS, SEVERITIES, UNKNOWN, Finding
from strdyn_post.sentences import Speaker, lines_of
from strdyn_post.sentences.lines import SAY


def test_every_kind_has_a_sentence():
    assert set(SAY) == set(KINDS)


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(ValueError, match="kind = 'rumour': expected one of length, origin"):
        Finding("rumour", ATTENTION)


def test_terminal_page_summary_and_results_say_the_same(tmp_path, monkeypatch, capsys):
    record(tmp_path, n_frames=30)
    (tmp_path / "a.toml").write_text("smoothing_window = 4\nmin_cluster_size = 20\n")
    with_empty_figures(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert strdyn(monkeypatch, "analyse", "run.sdl", "-c", "a.toml", "-o", "out") == 0
    terminal = re.sub(r"\s+", " ", capsys.readouterr().out)
    result = load_results("out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["findings"] == [line.as_dict() for line in result.lines]
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    shown = page.texts_in_one[: page.texts_in_one.index('{"run"')]
    assert {line["severity"] for line in summary["findings"]} == set(SEVERITIES)
    for line in summary["findings"]:
        assert shown.count(line["text"]) == 1, line["text"]
        assert (line["text"] in terminal) == (line["severity"] != FINE)
    assert any("smoothing_window = 4 is even" in text for text in result.warnings)


def test_numbers_come_with_their_units():
    (line,) = lines_of(
        [Finding("short_run", ATTENTION, values={"window": 21, "longest": 7})], Speaker()
    )
    (found,) = line.as_dict()["findings"]
    assert found["values"] == {"window": 21, "longest": 7}
    assert found["units"] == {"window": "frames", "longest": "frames"}


def test_findings_name_environments_as_everything_else_does():
    result = make_result()
    chi = result["soap_lens"]
    line = next(line for line in judged(result).lines if line.kind == "new_environment")
    assert line.findings[0].environments == (3,)
    (environment,) = line.as_dict()["findings"][0]["environments"]
    assert environment == {"label": 3, "mark": "D", "name": "fast environment"}
    assert chi.name == line.findings[0].route


def test_what_is_true_of_several_environments_is_told_once():
    doubted = {"verdict": "cannot_tell", "reason": "reference", "dynamics": "higher"}
    doubted |= {"recovered": {}, "n_taken": 300, "n_all": 9000}
    other = {**doubted, "reason": "surroundings", "recovered": {"shuffled": [2, 3]}}
    found = [
        Finding("new_environment", UNKNOWN, "soap_lens", (k,), {**values, "share": 0.01 * k})
        for k, values in enumerate((doubted, other, doubted), start=1)
    ]
    one, two = lines_of(found, Speaker())
    assert [each.environments for each in one.findings] == [(1,), (3,)]
    assert "label 1, with 1.0 % of all" in one.text
    assert one.text.endswith("The same holds for environment with label 3 (3.0 %).")
    assert "2 of 3 runs" in two.text


def test_the_gravest_of_several_routes_is_the_severity_of_the_line():
    memory = [
        Finding("memory", severity, route, values={"difference": 0.2, "returns": True})
        for severity, route in ((FINE, "soap"), (ATTENTION, "soap_lens"))
    ]
    (line,) = lines_of(memory, Speaker())
    assert line.severity == ATTENTION
    assert "0.20 (SOAP & LENS), 0.20 (SOAP)" in line.text
