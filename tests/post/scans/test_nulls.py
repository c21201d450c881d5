"""What δ adds, against chance: model observations of known truth."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from known.null_models import (
    CONFIG,
    coexistence,
    mobile_region,
    nothing,
    observe,
    placed,
    runners,
    spectra_of,
    structures,
    tail_of_atoms,
)
from memory_buffer import make_buffer, walk
from synthetic import make_route

from strdyn_post import AnalysisConfig, analyse, label
from strdyn_post.errors import AnalysisError
from strdyn_post.files.results_file import load_results, save_results
from strdyn_post.findings import RESULT
from strdyn_post.kinetics.enrichment import Sites
from strdyn_post.kinetics.surroundings import Surroundings
from strdyn_post.page.report import write_report
from strdyn_post.page.summary import summarise
from strdyn_post.routes import Merged
from strdyn_post.routes.additions import lost_environments, new_environments
from strdyn_post.routes.nulls import CASES, Nulls
from strdyn_post.scans import null_runs
from strdyn_post.scans.null_runs import find_nulls, take_part
from strdyn_post.scans.places import find_places
from strdyn_post.sentences import Speaker, lines_of


def truth_of_edges(observed) -> int:
    """Return the environment of SOAP that holds the structure `EDGE`: the smallest of three."""
    assert observed.routes["soap"].final.n_clusters == 3
    return int(observed.routes["soap"].final.populations.argmin())


SEEDS = [
    pytest.param(range(3), id="3 seeds"),
    pytest.param(range(3, 20), id="17 more seeds", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("tail", [0.0, 0.02])
def test_a_delta_without_structure_is_no_evidence(seeds, tail):
    for seed in seeds:
        assert "evidence" not in nothing(seed, tail).verdicts, seed


@pytest.mark.parametrize("seeds", SEEDS)
def test_atoms_that_are_fast_anywhere_are_no_evidence(seeds):
    for seed in seeds:
        assert "evidence" not in tail_of_atoms(seed).verdicts, seed


@pytest.mark.parametrize(
    ("stay", "share", "n_atoms"),
    [
        (0.2, 0.03, 100),
        (0.7, 0.03, 100),
        pytest.param(0.5, 0.03, 100, marks=pytest.mark.slow),
        pytest.param(0.98, 0.05, 400, marks=pytest.mark.slow),
    ],
)
def test_fast_atoms_of_one_structure_are_evidence_and_where(stay, share, n_atoms):
    seen = runners(0, stay, share, n_atoms)
    (found,) = seen.found
    assert found.severity == RESULT
    assert (found.values["verdict"], found.values["reason"]) == ("evidence", "place")
    assert found.values["place"] == truth_of_edges(seen)
    # shuffled over all rows, the tail of δ makes a fast environment as well, but elsewhere
    assert found.values["recovered"]["shuffled"] == [3, 3]
    assert found.values["recovered"]["noise"] == [0, 3]
    assert found.values["shuffled_sites"][found.values["place"]] < 0.5 < found.values["soap_share"]
    (line,) = lines_of([found], Speaker())
    assert line.text.startswith("SOAP & LENS finds an environment that SOAP alone does not find")


def test_a_layer_between_two_phases_is_a_place_in_space():
    """δ makes it, as a band of its values; but its atoms lie side by side, whatever their SOAP."""
    (found,) = coexistence(0).found
    assert found.values["dynamics"] == "between"
    assert found.values["share"] == pytest.approx(0.15, abs=0.01)
    assert found.values["recovered"]["shuffled"] == [3, 3]
    assert found.values["recovered"]["noise"] == [0, 3]
    assert found.values["recovered"]["jitter"] == [0, 3]
    assert (found.severity, found.values["verdict"]) == (RESULT, "evidence")
    assert found.values["reason"] == "surroundings"
    # by hand: 15 atoms in a row, four neighbors on either side: 100 of their 120 are among them
    assert found.values["surroundings"]["share"] == pytest.approx(100 / 120, abs=0.05)
    (line,) = lines_of([found], Speaker())
    assert "It is a place in space: of the neighbors of its atoms" in line.text


@pytest.mark.parametrize("seeds", SEEDS)
def test_atoms_that_are_fast_in_one_place_are_evidence(seeds):
    """Also where they are several environments: those that are fast are judged together."""
    for seed in seeds:
        seen = mobile_region(seed)
        assert {each.values["reason"] for each in seen.found} == {"surroundings"}, seed
        assert set(seen.verdicts) == {"evidence"}, seed


@pytest.mark.parametrize("seeds", SEEDS)
def test_structure_that_lies_in_space_is_no_evidence(seeds):
    for seed in seeds:
        assert "evidence" not in placed(seed).verdicts, seed


def test_four_atoms_are_too_few_to_tell():
    seen = runners(0, 0.98)
    (found,) = seen.found
    assert found.values["n_atoms"] < 10
    assert (found.severity, found.values["reason"]) == ("unknown", "place")
    (line,) = lines_of([found], Speaker())
    assert "cannot be told" in line.text
    assert "SOAP alone does not find" not in line.text


def test_a_division_that_jitter_makes_too_is_not_from_delta():
    """SOAP is told to have two structures as one: a jitter of its scores parts them."""
    rng = np.random.default_rng(3)
    states = structures(rng)
    seen = observe(spectra_of(states, rng), rng.gamma(9.0, 0.007, states.shape))
    assert seen.routes["soap"].n_clusters == 3
    assert seen.nulls is None  # SOAP has all environments: nothing to test
    soap = seen.routes["soap"]
    mapping = np.array([0, 1, 1], dtype=np.int32)
    member = np.eye(2, dtype=np.int64)[mapping]
    merged = Merged(
        labels=mapping[soap.labels], counts=member.T @ soap.counts @ member, mapping=mapping
    )
    fit = replace(soap.fit, mapping=mapping, identities=mapping[:2], n_identities=2)
    routes = {**seen.routes, "soap": replace(soap, merged=merged, fit=fit)}
    nulls = find_nulls(seen.data, seen.moments, routes, CONFIG)
    (found,) = new_environments(routes, 1, nulls)
    assert (found.severity, found.values["verdict"]) == ("attention", "not_from_delta")
    assert found.values["recovered"]["jitter"] == [3, 3]
    (line,) = lines_of([found], Speaker())
    assert "It appears also if δ is left out" in line.text
    assert "SOAP alone does not find" not in line.text


# ---------------------------------------------------------------------------------- the verdict


def nulls_of(recovered: dict[str, list[float]], *, fast: bool = False, share=0.0) -> Nulls:
    """Make the runs for one environment: its overlaps in every case."""
    cases = tuple(case for case, values in recovered.items() for _ in values)
    overlap = np.array([value for values in recovered.values() for value in values])[:, None]
    return Nulls(
        cases=cases,
        overlap=overlap,
        fast=np.array([fast]),
        shares=np.array([0.02]),
        fast_share=np.full(len(cases), share),
        sites=np.zeros((len(cases), 2)),
        n_rows=100,
        n_all=100,
        min_cluster_size=10,
    )


EVEN = Sites(*np.array([[0.5, 0.5], [0.4, 0.4], [0.6, 0.6], [0.5, 0.5]]))
FOUND = {"as_it_is": [1.0], "half_of_atoms": [0.9, 0.8]}


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({}, "evidence", "existence"),
        ({"as_it_is": [0.49]}, "cannot_tell", "reference"),
        ({"half_of_atoms": [0.9, 0.4]}, "cannot_tell", "halves"),
        ({"half_of_atoms": []}, "cannot_tell", "halves"),
        ({"noise": [0.6, 0.6, 0.1]}, "not_from_delta", "noise"),
        ({"noise": [0.6, 0.1, 0.1]}, "cannot_tell", "sometimes"),
        ({"jitter": [0.1, 0.9, 0.9]}, "not_from_delta", "jitter"),
        ({"shuffled": [0.9, 0.9, 0.9]}, "by_chance", "shuffled"),
        # that it depends on the atom, and not on the time, does not speak against it
        ({"shuffled_in_time": [0.9, 0.9, 0.9]}, "evidence", "existence"),
    ],
)
def test_the_verdict_on_an_environment_that_is_not_fast(changes, verdict, reason):
    chance = {"shuffled": [0.2] * 3, "noise": [0.2] * 3, "jitter": [0.2] * 3}
    found = nulls_of(FOUND | chance | changes).verdict(0, EVEN, EVEN, EVEN)
    assert (found["verdict"], found["reason"]) == (verdict, reason)


@pytest.mark.parametrize(
    ("share", "low", "verdict"),
    [
        (0.5, 0.4, "by_chance"),
        (0.95, 0.9, "evidence"),  # 0.95 − 1.53 · 0.05 = 0.87, above the half that chance gives
        (0.7, 0.55, "cannot_tell"),  # 0.7 − 1.53 · 0.15 = 0.47: two standard errors, not three
        (0.6, 0.45, "by_chance"),
    ],
)
def test_the_verdict_on_a_fast_environment_is_its_place(share, low, verdict):
    nulls = nulls_of(FOUND | {"shuffled": [0.2] * 3, "noise": [0.1] * 3}, fast=True, share=0.02)
    here = Sites(*np.array([[share, 1 - share], [low, 0.0], [1.0, 1.0], [0.5, 0.5]]))
    found = nulls.verdict(0, here, here, here)
    assert found["verdict"] == verdict
    assert found["place"] == (0 if verdict == "evidence" else None)


@pytest.mark.parametrize(
    ("share", "errors", "high", "verdict", "reason"),
    [
        (0.40, 3.1, 0.4, "evidence", "surroundings"),  # (0.4 − 0.2) / 0.8 = 0.25
        (0.40, 2.9, 0.4, "cannot_tell", "surroundings"),
        (0.27, 9.0, 0.1, "by_chance", "shuffled"),  # 0.0875: too little, however sure
        (0.20, 0.0, 0.4, "cannot_tell", "surroundings"),  # it may still be 0.4
        (np.nan, 0.0, np.nan, "cannot_tell", "surroundings"),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_the_verdict_on_a_place_in_space(share, errors, high, verdict, reason, fast):
    nulls = nulls_of(FOUND | {"shuffled": [0.9] * 3, "noise": [0.1] * 3}, fast=fast)
    around = Surroundings(
        gap=2, **{k: np.array([v]) for k, v in (
            ("shares", share), ("expected", 0.2), ("errors", errors), ("high", high)
        )}
    )  # fmt: skip
    found = replace(nulls, surroundings=around).verdict(0, EVEN, EVEN, EVEN)
    assert (found["verdict"], found["reason"]) == (verdict, reason)


def test_surroundings_are_not_compared_across_a_gap():
    """Stretches of two frames hold no pair of frames two apart; those of twenty do."""
    seen = coexistence(0)
    (found,) = seen.found
    (fresh,) = found.environments
    fast = np.zeros(3, dtype=bool)
    shares = []
    for length in (2, 20):
        chi = seen.routes["soap_lens"]
        frames = replace(chi.frames, stretches=np.arange(len(chi.frames)) // length)
        routes = {**seen.routes, "soap_lens": replace(chi, frames=frames)}
        around = find_places(seen.data, routes, [fresh], fast, CONFIG, 30_000)
        shares.append(around.shares[fresh])
    assert np.isnan(shares[0])
    assert shares[1] == pytest.approx(100 / 120, abs=0.05)


# ------------------------------------------------------------------------------ the rows taken


def test_all_rows_are_taken_if_they_are_few():
    part = take_part(np.zeros(30, np.int64), 10, 2, most=300)
    assert part.shape == (30, 10)
    assert part.lag == 2


def test_pairs_of_frames_one_lag_apart_are_taken_evenly_and_across_no_gap():
    stretches = np.repeat([0, 1], 50)
    part = take_part(stretches, 10, 3, most=400)
    assert part.shape == (40, 10)
    first, second = part.frames.reshape(-1, 2).T
    assert (second - first == 3).all()
    assert (stretches[first] == stretches[second]).all()
    assert part.stretches.tolist() == [k // 2 for k in range(40)]
    assert np.diff(first).max() <= 8  # 94 starts, 20 pairs; a gap hides three starts


def test_many_atoms_are_thinned_so_that_there_are_ten_times():
    part = take_part(np.zeros(50, np.int64), 1000, 1, most=2000)
    assert len(part.frames) >= 20
    assert part.atoms[:3].tolist() == [0, 10, 20]
    assert np.prod(part.shape) <= 2000


def test_single_frames_have_no_pairs():
    part = take_part(np.arange(30), 10, 1, most=100)
    # ten times, so every second atom
    assert part.shape == (10, 5)
    assert len(np.unique(part.stretches)) == 10


def test_a_part_of_the_rows_gives_the_same_verdict(monkeypatch):
    monkeypatch.setattr(null_runs, "MOST_ROWS", 3000)
    seen = runners(0, 0.5, 0.04)
    assert seen.nulls.n_rows == 3000 < seen.nulls.n_all == 4000
    assert set(seen.nulls.cases) == set(CASES)
    assert seen.verdicts == ["evidence"]


# --------------------------------------------------------------------------------- what is lost


def test_an_environment_that_is_swallowed_is_said():
    """By hand: of SOAP's environment 1, three quarters go to 0 and a quarter to 1."""
    of_soap = np.repeat([0, 0, 1, 2], 25).reshape(1, 100).repeat(4, axis=0)
    of_chi = np.where(of_soap == 2, 1, 0)
    of_chi[0, of_soap[0] == 1] = 1
    rng = np.random.default_rng(0)
    routes = {
        name: make_route(name, labels, rng.normal(size=(4, 100, 2)), [0.9, 0.1])
        for name, labels in (("soap", of_soap), ("soap_lens", of_chi))
    }
    (found,) = lost_environments(routes)
    assert (found.kind, found.route, found.environments) == ("lost_environment", "soap", (1,))
    assert found.values == {
        "share": 0.25,
        "goes": [{"label": 0, "share": 0.75}, {"label": 1, "share": 0.25}],
    }
    (line,) = lines_of([found], Speaker())
    assert "with 25.0 % of all observations, has no counterpart" in line.text
    assert "75.0 % of it in environment with label 0" in line.text
    assert list(lost_environments({**routes, "soap_lens": routes["soap"]})) == []


# ----------------------------------------------------------------------------- files and the page


@pytest.fixture(scope="module")
def analysed():
    """Atoms that are fast in one of two structures, as a buffer, and its analysis."""
    rng = np.random.default_rng(0)
    states = walk(np.array([[0.97, 0.03, 0.0], [0.03, 0.92, 0.05], [0.0, 0.3, 0.7]]), 60, 60, rng)
    buffer = make_buffer(states, np.array([0, 1, 1]), np.array([1, 1, 8]))
    return buffer, analyse(buffer, AnalysisConfig(smoothing_window=1, min_cluster_size=20))


def test_the_nulls_are_saved_and_read(analysed, tmp_path):
    _, result = analysed
    read = load_results(save_results(result, tmp_path).parent)
    for item in fields(Nulls):
        if item.name != "surroundings":
            np.testing.assert_array_equal(
                getattr(read.nulls, item.name), getattr(result.nulls, item.name)
            )
    for item in fields(Surroundings):
        np.testing.assert_array_equal(
            getattr(read.nulls.surroundings, item.name),
            getattr(result.nulls.surroundings, item.name),
        )
    assert [str(line) for line in read.lines] == [str(line) for line in result.lines]


def test_a_case_that_is_not_known_is_refused(analysed, tmp_path):
    _, result = analysed
    strange = replace(result.nulls, cases=("rumour", *result.nulls.cases[1:]))
    save_results(replace(result, nulls=strange), tmp_path)
    with pytest.raises(AnalysisError, match="cases rumour"):
        load_results(tmp_path)


def test_the_page_has_the_table_and_the_verdict(analysed, tmp_path):
    buffer, result = analysed
    page = write_report(result, buffer, tmp_path).read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "summary.json").read_text())
    (new,) = summary["new_environments"]
    assert new["verdict"] == "evidence"
    cases = {row["case"]: row for row in summary["nulls"]["cases"]}
    assert list(cases) == list(CASES)
    assert "Does δ make it?" in page
    for row in cases.values():
        assert f'<th scope="row">{row["title"]}</th>' in page
        if row["sites"]:
            assert sum(site["share"] for site in row["sites"]) == pytest.approx(1.0)


def test_labelled_frames_have_no_nulls_and_no_verdict(analysed):
    buffer, result = analysed
    other = label(result.fit, buffer)
    assert other.nulls is None
    summary = summarise(other, buffer)
    assert summary["nulls"] is None
    (new,) = summary["new_environments"]
    assert "verdict" not in new


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_other_methods_have_nulls(method, analysed):
    """A fixed number of clusters always divides something; the verdict is one of the four."""
    buffer, _ = analysed
    settings = AnalysisConfig(smoothing_window=1, method=method, n_clusters=4, n_init=2)
    result = analyse(buffer, settings)
    for found in result.findings:
        if found.kind == "new_environment":
            assert result.nulls.overlap.shape == (len(result.nulls.cases), 4)
            assert found.values["recovered"]["as_it_is"] == [1, 1]
