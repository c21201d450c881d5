"""The report: one page that needs nothing else, whose numbers are those of the result."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_reader import Page
from synthetic import check, judged, make_buffer, make_result, make_route, merge, refit

from strdyn_post.environments.clusters import agreement_finding
from strdyn_post.errors import AnalysisError
from strdyn_post.exchange.chemiscope import chemiscope_data
from strdyn_post.figures import save_figure
from strdyn_post.findings import ATTENTION, UNKNOWN, Finding, of_kind
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.page.explorer import explorer_payload
from strdyn_post.page.report import write_report
from strdyn_post.page.summary import summarise

FIGURES = [
    "alluvial", "chord_lens", "chord_soap", "chord_soap_lens", "close_up_1", "close_up_2",
    "close_up_3", "cluster_sizes_soap", "cluster_sizes_soap_lens", "dendrogram_lens",
    "dendrogram_soap", "dendrogram_soap_lens", "expected_map", "expected_snapshot",
    "finding_sites", "finding_soap",
    "finding_soap_lens", "foretelling", "hazard_depth", "hazard_neighbors", "lens_series",
    "matrix_lens", "matrix_soap", "matrix_soap_lens", "origin", "path", "path_in_space",
    "pca_density_soap", "pca_density_soap_lens",
    "pca_environment_soap", "pca_environment_soap_lens", "persistence_lens", "persistence_soap",
    "persistence_soap_lens", "snapshot_above_lens",
    "snapshot_above_soap", "snapshot_above_soap_lens", "snapshot_end", "snapshot_middle",
    "snapshot_neighbors_end", "snapshot_neighbors_middle", "snapshot_neighbors_start",
    "snapshot_oblique_lens", "snapshot_oblique_soap", "snapshot_oblique_soap_lens",
    "snapshot_start", "timescales_lens", "timescales_soap", "timescales_soap_lens",
    "unmerged_map_soap", "unmerged_matrix_soap", "variance",
]  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return make_result()


@pytest.fixture(scope="module")
def buffer(result):
    return make_buffer(result)


@pytest.fixture(scope="module")
def report(result, buffer, tmp_path_factory) -> Path:
    return write_report(result, buffer, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report.read_text(encoding="utf-8"))


@pytest.fixture
def no_files(monkeypatch):
    """Draw the figures, but spend no time on spheres, on files and on the explorer."""
    monkeypatch.setattr("strdyn_post.page.panels.plot_snapshot", lambda *_, ax, **__: ax)
    monkeypatch.setattr("strdyn_post.page.report.save_figure", lambda *_, **__: "<svg></svg>")
    monkeypatch.setattr("strdyn_post.page.report.find_spec", lambda _: None)


def test_numbers_on_the_page_are_those_of_the_result(result, page):
    """Counted again here from labels and scores, not through the summary."""
    chi, soap, lens = result["soap_lens"], result["soap"], result["lens"]
    fast = 3
    inside = chi.labels == fast
    enter = ((chi.labels[:-1] == 1) & inside[1:]).sum()
    leave = (inside[:-1] & (chi.labels[1:] == 1)).sum()
    known = (chi.labels[1:] >= 0) & (chi.labels[:-1] >= 0)
    moves = (known & (chi.labels[1:] != chi.labels[:-1])).sum()
    expected = {
        "run.n_atoms": "300",
        "run.n_frames": "80",
        "run.dt": "2.5",
        "run.span": "197.5",
        "routes.soap.n_environments": "4",
        "routes.soap.n_clusters": "5",
        "routes.lens.n_environments": "3",
        "routes.soap_lens.n_environments": "5",
        "routes.soap_lens.n_components": "5",
        "routes.soap_lens.variance": "99.7 %",
        "environments.0.soap.share": f"{100 * (soap.labels == 0).mean():.1f} %",
        "environments.0.soap_lens.share": f"{100 * (chi.labels == 2).mean():.1f} %",
        "environments.4.soap_lens.delta": f"{lens.scores[inside].mean():.3f}",
        "environments.4.soap_lens.stays": f"{100 * chi.transition_matrix[fast, fast]:.1f} %",
    }
    assert {key: page.shown.get(key) for key in expected} == expected
    shares = chi.checks.low[1, fast], chi.checks.high[1, fast]
    ends = " to ".join(f"{100 * each:.2g} %" for each in shares)
    for words in (
        f"SOAP & LENS has {moves:,} moves",
        f"every dense region: {100 * (chi.labels < 0).mean():.1f} % (SOAP & LENS)",
        f"fast environment, with {100 * inside.mean():.2g} % of all observations",
        f"{inside.any(axis=0).sum()} different atoms are in it",
        "SOAP alone puts 100 % of it into environment 4",
        f"with probability {100 * enter / chi.counts[1].sum():.2g} % per 2.5 ps ({ends} with 95 % "
        f"confidence, {enter} events)",
        f"return there with probability {100 * leave / chi.counts[fast].sum():.1f} %",
        f"{leave} events",
    ):
        assert words in page.texts_in_one


def test_intervals_and_steadiness_on_the_page_are_those_of_the_checks(result, page):
    chi, checks = result["soap_lens"], result["soap_lens"].checks
    at, fast = "routes.soap_lens.checks.", 3
    row = at + "rows.4."  # the fast environment comes last
    stays = chi.counts[fast].sum() / (chi.counts[fast].sum() - chi.counts[fast, fast])
    out, back = chi.counts[fast], chi.counts[:, fast]
    others = {k: out[k] + back[k] for k in range(5) if k != fast and out[k] + back[k]}
    other = max(others, key=lambda k: (abs(out[k] - back[k]) / np.sqrt(others[k]), others[k]))
    expected = {
        row + "residence": f"{float(f'{2.5 * stays:.3g}'):g} ps",
        row + "exits": f"{chi.counts[fast].sum() - chi.counts[fast, fast]}",
        row + "early": f"{100 * share_of(chi.labels[:30], fast):.2g} %",
        row + "late": f"{100 * share_of(chi.labels[30:], fast):.2g} %",
        row + "exchange": f"{out[other]} there, {back[other]} back",
    }
    assert {key: page.shown.get(key) for key in expected} == expected
    difference = np.abs(checks.stay - checks.predicted_stay).max()
    assert f"differ by up to {difference:.2f} (SOAP & LENS)" in page.texts_in_one
    assert "The next frame undoes 31.0 % of all changes of neighbors" in page.texts_in_one


def test_weights_of_lens_on_the_page_are_those_of_the_scan(page):
    rows = [
        ("0.25", "3.1 %", "4", "4", "0.985", "0.931"),
        ("1", "33.9 %", "5", "5", "0.925", "1.000"),
        ("3", "82.2 %", "5", "6", "0.400", "0.457"),
    ]
    names = ("weight", "lens_variance", "n_components", "n_environments")
    names = (*names, "agreement_with_soap", "agreement_with_used")
    expected = {
        f"weight_scan.{k}.{name}": value
        for k, row in enumerate(rows)
        for name, value in zip(names, row, strict=True)
    }
    assert {key: page.shown.get(key) for key in expected} == expected
    assert not any(key.startswith("weight_scan.3") for key in page.shown)
    assert "weights" in page.ids
    used = [k for k, text in enumerate(page.texts) if text.startswith(", in use")]
    assert [page.texts[k - 1] for k in used] == ["1", "80"]  # the weight, min_cluster_size


def test_sizes_of_clusters_on_the_page_are_those_of_the_scan(page):
    rows = [("20", "9", "31.0 %", "8", "28.0 %"), ("80", "5", "2.0 %", "5", "2.0 %"),
            ("300", "4", "1.0 %", "3", "1.2 %")]  # fmt: skip
    names = ("min_cluster_size", "soap_clusters", "soap_noise", "chi_clusters", "chi_noise")
    expected = {
        f"cluster_size_scan.{k}.{name}": value
        for k, row in enumerate(rows)
        for name, value in zip(names, row, strict=True)
    }
    expected |= {
        "cluster_size_scan.0.soap_new": "2",
        "cluster_size_scan.0.soap_new_share": "20.0 %",
        "cluster_size_scan.0.chi_new_share": "8.0 %",
    }
    assert {key: page.shown.get(key) for key in expected} == expected
    assert "cluster_size_scan.1.chi_new" not in page.shown
    assert {"cluster-sizes", "cluster_sizes_soap", "cluster_sizes_soap_lens"} <= set(page.ids)


def test_agreement_over_seeds_is_on_the_page_where_something_is_drawn(page):
    assert "hardly change the labels" in page.texts_in_one
    assert "no more than by chance): 0.987 (LENS)." in page.texts_in_one


@pytest.mark.usefixtures("no_files")
def test_labels_that_depend_on_the_seed_are_marked_for_every_route(tmp_path):
    result = make_result(12, 60)
    found = {"soap": 0.95, "lens": 0.899, "soap_lens": 1.0}
    routes = {name: refit(result[name], agreement=found[name]) for name in found}
    agreements = [
        replace(finding, route=name)
        for name in found
        for finding in agreement_finding(found[name], "seed", "fewer lens_clusters")
    ]
    drawn = replace(result, routes=routes, weight_scan=(), findings=tuple(agreements))
    text = write_report(drawn, make_buffer(result), tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    assert "1.000 (SOAP & LENS), 0.950 (SOAP), 0.899 (LENS)." in page.texts_in_one
    assert "LENS depends on the seed. Try fewer lens_clusters." in page.texts_in_one
    assert '<li class="attention" data-kind="agreement"><strong>Seeds.</strong>' in text
    assert "weights" not in page.ids  # no other weight was asked for


def share_of(labels, label):
    return (labels == label).sum() / (labels >= 0).sum()


def test_the_new_environment_in_numbers_is_a_naive_recount():
    """Frame by frame and atom by atom, at a lag of two frames and across no gap."""
    result = make_result()
    stretches = np.repeat([0, 1], [25, 35])
    routes = {
        name: replace(route, frames=replace(route.frames, stretches=stretches))
        for name, route in result.routes.items()
    }
    chi = routes["soap_lens"]
    chi = routes["soap_lens"] = replace(
        chi, counts=count_transitions(chi.labels, 5, 2, stretches), checks=None
    )
    found = judged(result, routes=routes, config=replace(result.config, lag=2))
    found = summarise(found, make_buffer(result))["new_environments"]
    assert [entry["label"] for entry in found] == [3]

    starts, enters, leaves, homes, deltas, rest = [0, 0], 0, 0, [], [], []
    soap, delta = routes["soap"].final.labels, routes["lens"].scores
    for frame in range(60):
        for atom in range(300):
            now = chi.labels[frame, atom]
            if now == 3:
                homes.append(soap[frame, atom])
                deltas.append(delta[frame, atom, 0])
            elif soap[frame, atom] == 3:
                rest.append(delta[frame, atom, 0])
            if frame + 2 < 60 and stretches[frame + 2] == stretches[frame]:
                later = chi.labels[frame + 2, atom]
                if later >= 0:
                    starts[0] += now == 1
                    starts[1] += now == 3
                    enters += (now, later) == (1, 3)
                    leaves += (now, later) == (3, 1)
    assert found[0]["source"] == "environment 4"
    assert found[0]["soap_environment"] == "environment 4"
    assert (found[0]["n_in"], found[0]["n_out"], found[0]["n_rows"]) == (
        enters, leaves, len(homes)
    )  # fmt: skip
    expected = {
        "p_in": enters / starts[0],
        "p_out": leaves / starts[1],
        "soap_share": homes.count(3) / len(homes),
        "delta": sum(deltas) / len(deltas),
        "soap_rest_delta": sum(rest) / len(rest),
    }
    assert {key: found[0][key] for key in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("own", "spread", "dynamics", "words"),
    [
        (0.75, 0.02, "fast", "their neighbors; the atoms of the other environments exchange"),
        (0.18, 0.02, "higher", "dynamics alone does not distinguish it"),
        (0.16, 0.02, "none", "It does not stand apart by its dynamics"),
        (0.11, 0.02, "none", "Its atoms exchange no more neighbors than others"),
        (0.11, 0.005, "between", "Its δ lies between those of the other environments: mean 0.11"),
    ],
)
@pytest.mark.usefixtures("no_files")
def test_dynamics_is_claimed_only_where_lens_shows_it(own, spread, dynamics, words, tmp_path):
    result = make_result(30, 100)
    inside = result["soap_lens"].labels == 3
    noise = np.random.default_rng(0).normal(0, spread, inside.shape)
    delta = np.where(inside, own, 0.05 + 0.04 * result["soap"].final.labels) + noise
    scores = delta[..., None].astype(np.float32)
    lens = replace(result["lens"], scores=scores)
    calm = judged(result, routes={**result.routes, "lens": lens})
    page = write_report(calm, make_buffer(calm), tmp_path).read_text(encoding="utf-8")
    new = json.loads((tmp_path / "summary.json").read_text())["new_environments"]
    assert [entry["dynamics"] for entry in new] == [dynamics]
    assert words in page
    assert ("fast environment" in page) == (dynamics == "fast")


@pytest.mark.usefixtures("no_files")
def test_where_the_fast_atoms_sit_is_evidence_only_beyond_chance(tmp_path):
    """The finding of the paper, and the same cluster where it has nothing to do with structure."""
    result = make_result(60, 100)
    anywhere = np.random.default_rng(0).integers(0, 4, result["soap"].labels.shape)
    ratios = [0.800, 0.184, 0.0105, 0.0023, 0.0032]
    by_chance = make_route("soap", anywhere, result["soap"].scores, ratios)
    soaps = {"true": result["soap"], "chance": by_chance}
    told = {}
    for name, soap in soaps.items():
        made = judged(result, routes={**result.routes, "soap": soap})
        write_report(made, make_buffer(made), tmp_path / name)
        text = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        new = next(e for e in summary["new_environments"] if e["dynamics"] == "fast")
        told[name] = new, text.replace("\N{NO-BREAK SPACE}", " "), summary["headline"]
    new, text, sentence = told["true"]
    assert new["soap_enriched"]
    assert "In 2.5 ps its atoms exchange" in sentence
    assert "of it into environment 4, which holds" in sentence
    inside = result["soap_lens"].labels == 3
    edges = result["soap"].final.labels == 3
    known = result["soap"].final.labels >= 0
    assert new["soap_expected"] == pytest.approx(edges.sum() / known.sum())
    assert new["soap_share"] == pytest.approx((inside & edges).sum() / (inside & known).sum())
    assert "of it into environment 4, which holds" in text
    assert "The dynamics comes from there" in text
    assert "of all observations: no more than by chance" not in text
    new, text, sentence = told["chance"]
    assert not new["soap_enriched"]
    assert sentence.endswith("It lies in the environments of SOAP as by chance.")
    assert "of all observations: no more than by chance" in text
    assert "The dynamics comes from there" not in text


@pytest.mark.usefixtures("no_files")
def test_dynamics_of_many_environments_is_not_said_to_come_from_one(tmp_path):
    """Of the fast observations 40 % are at the edges: more than by chance, but not most."""
    result = make_result(60, 100)
    inside, labels = result["soap_lens"].labels == 3, result["soap"].final.labels.copy()
    labels[inside] = np.random.default_rng(0).choice(4, inside.sum(), p=[0.2, 0.2, 0.2, 0.4])
    ratios = [0.800, 0.184, 0.0105, 0.0023, 0.0032]
    soap = make_route("soap", labels, result["soap"].scores, ratios)
    made = judged(result, routes={**result.routes, "soap": soap})
    write_report(made, make_buffer(made), tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    summary = json.loads((tmp_path / "summary.json").read_text())
    new = next(e for e in summary["new_environments"] if e["dynamics"] == "fast")
    assert new["soap_enriched"]
    assert 0.3 < new["soap_share"] < 0.5
    assert "SOAP alone spreads it over its environments: " in summary["headline"]
    assert "of it lies in environment 4, which holds" in summary["headline"]
    assert "The dynamics comes from there" not in text
    assert "but most of the dynamics comes from elsewhere" in text


@pytest.mark.usefixtures("no_files")
def test_a_merge_that_hides_dynamics_is_shown_before_and_after(tmp_path):
    result = make_result(30, 100)
    joined = merge(result["soap_lens"], [0, 1, 2, 1, 3])  # the fast atoms with the edges
    joined = replace(joined, checks=None)
    hidden = judged(result, routes={**result.routes, "soap_lens": joined})
    text = write_report(hidden, make_buffer(hidden), tmp_path).read_text(encoding="utf-8")
    (row,) = json.loads((tmp_path / "summary.json").read_text())["hidden_dynamics"]
    delta, labels = result["lens"].scores[..., 0], result["soap_lens"].labels
    for cluster, k in zip(row["clusters"], (1, 3), strict=True):
        assert cluster["share"] == pytest.approx((labels == k).mean())
        assert cluster["delta"] == pytest.approx(delta[labels == k].mean(), rel=1e-6)
        assert cluster["spread"] == pytest.approx(delta[labels == k].std(), rel=1e-5)
    assert row["delta"] == pytest.approx(delta[np.isin(labels, [1, 3])].mean(), rel=1e-6)
    words = f"merging, {row['name']} of SOAP &amp; LENS is 2 clusters with different dynamics"
    assert words in text
    assert "The merge joins clusters whose mean δ differ by more than their spread" in text
    whole = write_report(result, make_buffer(result), tmp_path).read_text(encoding="utf-8")
    assert "clusters with different dynamics" not in whole


def cluster_of_soap(result, inside):
    """Let these rows be SOAP's last cluster, which joins the one before by its moves."""
    soap = result["soap"]
    labels = np.where(inside, 4, np.minimum(soap.labels, 3))
    merged = merge(make_route("soap", labels, soap.scores, []), [0, 1, 2, 3, 3])
    merged = replace(soap, labels=merged.labels, merged=merged.merged, counts=merged.counts)
    return judged(result, routes={**result.routes, "soap": merged})


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.usefixtures("no_files")
def test_what_only_the_merge_of_soap_hides_is_not_called_unknown_to_it(every, tmp_path):
    """SOAP has all, half or a quarter of the frames of the environment as a cluster."""
    result = make_result(40, 100)
    inside = result["soap_lens"].labels == 3
    there = inside & (np.arange(40) % every == 0)[:, None]
    result = cluster_of_soap(result, there)
    text = write_report(result, make_buffer(result), tmp_path).read_text(encoding="utf-8")
    (new,) = json.loads((tmp_path / "summary.json").read_text())["new_environments"]
    page, overlap = Page(text), 2 * there.sum() / (inside.sum() + there.sum())
    known = every < 4
    assert (overlap >= 0.5) == known
    assert ("keeps an environment that SOAP alone merges with others: fast" in text) == known
    assert ("finds an environment that SOAP alone does not find: fast" in text) != known
    assert ("merges this cluster into environment 4, because" in text) == known
    if known:
        assert new["soap_cluster_overlap"] == pytest.approx(overlap)
        shown = re.search(r"\(overlap ([\d.]+) %\)", page.texts_in_one)
        assert float(shown[1]) == pytest.approx(100 * overlap, abs=0.06)
    else:
        assert new["soap_cluster_overlap"] is None


def test_a_result_of_another_run_is_refused_before_anything_is_written(result, buffer, tmp_path):
    other = replace(result, provenance={**result.provenance, "buffer_uuid": "another-run"})
    with pytest.raises(AnalysisError, match=f"run another-run, but .* run {buffer.uuid}: give"):
        write_report(other, buffer, tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.usefixtures("no_files")
def test_what_is_not_firm_is_said_with_the_marks_of_the_page(tmp_path):
    result = make_result(30, 100)
    chi, soap = result["soap_lens"], result["soap"]
    excess = np.zeros((5, 5))
    excess[0, 2], excess[2, 0] = 3.5, -3.5  # labels 0 and 2 are environments 2 and 1
    chi = replace(
        chi,
        far=np.full(30, 0.25),
        checks=replace(
            chi.checks,
            drift=np.array([5.0, 0, 0, 0, 0]),
            early=np.array([0.20, 0.2, 0.2, 0.2, 0.2]),
            late=np.array([0.31, 0.2, 0.2, 0.2, 0.2]),
            imbalance=excess,
            stay=chi.checks.predicted_stay + 0.3,
            exits=np.full(5, 100),
        ),
    )
    soap = replace(
        soap,
        checks=replace(
            soap.checks, merge_cuts=np.array([0.9, 1.1]), merge_support=np.array([0.42])
        ),
    )
    shaky = judged(
        result,
        routes={**result.routes, "soap_lens": chi, "soap": soap},
        provenance={"model": "a.sdl"},
    )
    page = Page(write_report(shaky, make_buffer(result), tmp_path).read_text(encoding="utf-8"))
    text = page.texts_in_one
    there, back = chi.counts[0, 2], chi.counts[2, 0]
    for words in (
        "SOAP & LENS, environment 2: 20.0 % to 31.0 %",
        f"SOAP & LENS, environment 2 → environment 1: {there}, back {back}.",
        "Atoms that have just moved often move back",
        "Any cut between 0.90 and 1.10 gives the same 4 environments",
        "differ by up to 0.30 (SOAP & LENS)",
        "so do 42.0 % of the bootstrap resamples",
        "30 of 30 frames are far from the fitted ones",
        "at most 25.0 % of the atoms are unlike all fitted observations",
    ):
        assert words in text
    told = json.loads((tmp_path / "summary.json").read_text())["findings"]
    for line in told:  # the page shows each, once
        assert text.count(re.sub(r"\s+", " ", line["text"])) >= 1
    drift = next(line for line in told if line["kind"] == "drift")
    (found,) = (
        each
        for each in drift["findings"]
        if (each["route"], each["severity"]) == ("soap_lens", ATTENTION)
    )
    assert found["environments"] == [{"label": 0, "mark": "2", "name": "environment 2"}]
    assert found["values"].items() >= {"early": 0.2, "late": 0.31, "standard_errors": 5.0}.items()


def test_memory_is_said_only_beyond_chance(result):
    """Expected 0.5, counted 0.7: three standard errors are 0.15 of 99 visits, 0.47 of 9."""
    route = result["soap_lens"]
    shape = route.checks.stay.shape
    for n_visits, forgets in ((99, False), (9, True)):
        checks = replace(
            route.checks,
            stay=np.full(shape, 0.7),
            predicted_stay=np.full(shape, 0.5),
            effective=np.full((5, 5), n_visits / 5),
        )
        routes = {**result.routes, "soap_lens": replace(route, checks=checks)}
        found = summarise(replace(result, routes=routes), make_buffer(result))["routes"]
        assert found["soap_lens"]["checks"]["forgets"] == forgets
        told = of_kind(judged(result, routes=routes).findings, "memory")
        (memory,) = (each for each in told if each.route == "soap_lens")
        # nine visits would not have shown a difference of 0.2 either
        assert memory.severity == (UNKNOWN if forgets else ATTENTION)
        assert found["soap_lens"]["checks"]["memory"] == pytest.approx(0.2)


def test_a_share_drifts_if_it_changes_much_and_beyond_chance(result):
    route = result["soap_lens"]
    checks = replace(
        route.checks,
        early=np.array([0.20, 0.20, 0.20, 0.20, 0.20]),
        late=np.array([0.21, 0.25, 0.25, 0.17, 0.20]),
        drift=np.array([9.0, 2.9, 3.1, -3.1, 0.0]),
    )
    routes = {**result.routes, "soap_lens": replace(route, checks=checks)}
    rows = summarise(replace(result, routes=routes), make_buffer(result))["routes"]["soap_lens"]
    marks = {row["mark"] for row in rows["checks"]["rows"] if row["drifts"]}
    assert marks == {"1", "D"}  # labels 2 and 3
    drifts = [
        found.environments
        for found in judged(result, routes=routes).findings
        if (found.kind, found.route, found.severity) == ("drift", "soap_lens", ATTENTION)
    ]
    assert drifts == [(2,), (3,)]


def test_the_fast_environment_is_told_with_its_origin(page):
    text = page.texts_in_one
    assert "finds an environment that SOAP alone does not find: fast environment," in text
    assert "of it into environment 4, which holds" in text
    assert "100 % of the moves into it come from environment 4, with probability" in text


def test_summary_file_and_page_hold_the_same(result, buffer, report):
    text = report.read_text(encoding="utf-8")
    inside = re.search(r'<script type="application/json" id="summary">(.*?)</script>', text)
    summary = summarise(result, buffer)
    assert json.loads(inside.group(1)) == summary
    assert json.loads((report.parent / "summary.json").read_text()) == summary


def test_a_buffer_that_has_grown_since_is_told_as_it_was(result, buffer):
    run = summarise(replace(result, provenance={"n_frames": 70}), buffer)["run"]
    assert (run["n_frames"], run["last_step"], run["span"]) == (70, 69 * 500, 172.5)


def test_page_refers_to_nothing_outside_itself(report, page):
    assert [each for each in page.references if not each.startswith(("data:", "#"))] == []
    text = report.read_text(encoding="utf-8")
    head = text[: text.index("</head>")]
    assert "default-src 'none'" in head
    assert not re.search(r"@import|url\((?!#|data:)", text[: text.index('id="explorer-code"')])


def test_every_figure_is_on_the_page_and_beside_it(report, page):
    files = {path.name for path in (report.parent / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    assert set(FIGURES) <= set(page.ids)


def test_ids_on_the_page_are_unique(page):
    assert len(page.ids) == len(set(page.ids))


def test_words_of_others_are_escaped(report):
    text = report.read_text(encoding="utf-8")
    assert "a warning of the analysis, with &lt;brackets&gt; &amp; ampersand" in text
    assert "<brackets>" not in text[: text.index('id="summary"')]


@pytest.mark.usefixtures("no_files")
def test_no_word_ends_the_script_that_holds_the_summary(result, tmp_path):
    words = "</script><script>alert(1)</script><!--<script>"
    note = Finding("note", ATTENTION, values={"text": words})
    strange = replace(result, findings=(note,))
    text = write_report(strange, make_buffer(result), tmp_path).read_text(encoding="utf-8")
    start = text.index('<script type="application/json" id="summary">') + 45
    inside = text[start : text.index("</script>", start)]
    assert "<" not in inside
    assert "\\u003c/script>" in inside
    assert json.loads(inside)["warnings"] == [f"Warning: {words}"]


def test_same_result_same_page(result, buffer, report, monkeypatch, tmp_path):
    """All but most of the SVG files anew: one with an image and one with text stand for them."""
    text = report.read_text(encoding="utf-8")
    on_page = dict(re.findall(r'<figure id="(\w+)">(.*?)</figure>', text, flags=re.DOTALL))

    def save_two(figure, folder, name, title, **options):
        if name in ("path", "matrix_soap"):
            return save_figure(figure, folder, name, title, **options)
        return on_page[name]

    monkeypatch.setattr("strdyn_post.page.report.save_figure", save_two)
    monkeypatch.setattr("strdyn_post.page.panels.plot_snapshot", lambda *_, ax, **__: ax)
    again = write_report(result, buffer, tmp_path)
    assert again.read_text(encoding="utf-8") == text
    assert not list(tmp_path.glob("*.part"))


def with_labels(result, change, names=("soap", "soap_lens")):
    routes = dict(result.routes)
    for name in names:
        route = result[name]
        ratios = [] if name == "lens" else [0.9, 0.05, 0.05]
        route = make_route(name, change(route.labels), route.scores, ratios)
        routes[name] = check(route)
    return judged(result, routes=routes, origin=None, cluster_size_scan=())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels: np.full_like(labels, -1), "finds no environment at all"),
        (np.zeros_like, "finds no environment that SOAP alone does not"),
        (lambda labels: np.arange(labels.size).reshape(labels.shape) % 23, "environment 23"),
    ],
    ids=["all noise", "one cluster", "many clusters"],
)
@pytest.mark.usefixtures("no_files")
def test_results_out_of_the_ordinary_are_told_too(change, words, tmp_path):
    small = with_labels(make_result(12, 60), change)
    text = write_report(small, make_buffer(small), tmp_path).read_text(encoding="utf-8")
    assert words in text


@pytest.mark.usefixtures("no_files")
def test_one_frame_is_enough_for_a_page(tmp_path):
    result = make_result(12, 60)
    routes = {
        name: refit(
            make_route(name, route.labels[:1].clip(0), route.scores[:1], [0.9, 0.1]),
            pca=route.fit.pca,
        )
        for name, route in result.routes.items()
    }
    checked = {name: check(route) for name, route in routes.items()}
    small = judged(result, routes=checked, origin=None, cluster_size_scan=())
    page = Page(write_report(small, make_buffer(result), tmp_path).read_text(encoding="utf-8"))
    assert "Only 1 of 1 frames enter the analysis" in page.texts_in_one
    assert "No transition was counted at lag = 1" in page.texts_in_one
    assert "explorer-open" not in page.ids  # chemiscope is an extra


# explorer


def test_explorer_holds_labels_and_scores_of_whole_frames(result, buffer):
    data = chemiscope_data(result, buffer, max_points=1500, keep=31)
    assert len(data["structures"]) == 5
    chi = result["soap_lens"]
    frames = [0, 14, 31, 44, 59]  # five evenly spread; 31 in the place of its neighbor 29
    number = {2: 1, 0: 2, 4: 3, 1: 4, 3: 5, -1: 0}
    expected = [number[label] for label in chi.labels[frames].ravel()]
    assert data["properties"]["environment"]["values"] == expected
    np.testing.assert_allclose(
        data["properties"]["SOAP & LENS: component 2"]["values"],
        chi.scores[frames, :, 1].ravel(),
        atol=1e-4,
    )
    at = int(np.flatnonzero(buffer.steps == chi.steps[31])[0])
    structure = data["structures"][2]
    np.testing.assert_allclose(structure["y"], buffer.positions(at)[:, 1], atol=0.006)


def test_viewer_of_chemiscope_takes_our_colours(result):
    import base64
    import gzip

    names = result.names["soap_lens"]
    payload = explorer_payload({"x": 1}, names)
    code = gzip.decompress(base64.b64decode(payload["code"])).decode()
    assert json.loads(gzip.decompress(base64.b64decode(payload["data"]))) == {"x": 1}
    rgb = [int(names.colors[names.order[-1]][i : i + 2], 16) for i in (1, 3, 5)]
    assert f"[1.0,[{','.join(map(str, rgb))}]]]" in code


# in a browser


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],
        )
        yield started
        started.close()


def visit(browser, report, **options):
    """Open the page; return it with what it asked of the network and its complaints."""
    opened = browser.new_context(**options).new_page()
    requests, complaints = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    opened.goto(report.as_uri())
    return opened, requests, complaints


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_page_fits_its_window_and_asks_for_nothing(browser, report, width):
    opened, requests, complaints = visit(browser, report, viewport={"width": width, "height": 900})
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", report.as_uri()))] == []
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    sizes = opened.evaluate(
        "Object.fromEntries([...document.querySelectorAll('figure')].map(figure =>"
        " [figure.id, [figure.clientWidth, figure.querySelector('svg').clientHeight]]))"
    )
    assert set(sizes) == set(FIGURES)
    assert all(w > 200 and h > 100 for w, h in sizes.values())


@pytest.mark.browser
def test_no_text_of_a_figure_is_cut_off(browser, report):
    opened, *_ = visit(browser, report, viewport={"width": 1440, "height": 900})
    cut = opened.evaluate(
        """[...document.querySelectorAll('figure')].flatMap(figure => {
            const frame = figure.querySelector('svg').getBoundingClientRect();
            return [...figure.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map(text => figure.id + ': ' + text.textContent);
        })"""
    )
    assert cut == []


@pytest.mark.browser
def test_figures_follow_light_and_dark(browser, report):
    ink = {}
    for scheme in ("light", "dark"):
        opened, *_ = visit(browser, report, color_scheme=scheme)
        ink[scheme] = opened.evaluate(
            "[getComputedStyle(document.body).color,"
            " getComputedStyle(document.querySelector('#variance text')).fill]"
        )
        assert ink[scheme][0] == ink[scheme][1]
    assert ink["light"] != ink["dark"]


@pytest.mark.browser
def test_explorer_opens_without_network(browser, report, result):
    opened, requests, complaints = visit(browser, report, viewport={"width": 1280, "height": 900})
    assert opened.evaluate("typeof Chemiscope") == "undefined"  # not before it is asked for
    opened.click("#explorer-open")
    opened.wait_for_selector("#explorer-view[data-ready]", timeout=120_000)
    assert opened.inner_text("#explorer-note") == ""
    canvases = opened.evaluate(
        "[...document.querySelectorAll('#explorer-map, #explorer-structure')]"
        ".map(place => place.getBoundingClientRect().height)"
    )
    assert min(canvases) > 300
    assert complaints == []
    outside = [url for url in requests if not url.startswith(("data:", "blob:", report.as_uri()))]
    assert outside == []


# where the dynamics comes from


def test_the_origin_comes_first_and_its_numbers_are_those_of_the_result(result, report, page):
    """Counted again from labels and events, not through the summary."""
    text = report.read_text(encoding="utf-8")
    assert text.index('id="origin-section"') < text.index('id="result"')
    found = json.loads((report.parent / "summary.json").read_text())["origin"]
    soap, origin = result["soap"].final, result.origin
    inside = soap.labels[2:] == 3  # the events of the first two frames are not known
    row = found["environments"][3]
    assert (row["label"], row["n_observations"]) == (3, inside.sum())
    assert row["observations"] == inside.mean()
    assert row["events"] == row["n_events"] / origin.n_events
    shown = {
        "origin.environments.3.observations": f"{100 * inside.mean():.1f} %",
        "origin.environments.3.n_events": str(row["n_events"]),
        "origin.environments.3.events": f"{100 * row['n_events'] / origin.n_events:.1f} %",
        "origin.environments.3.hazard": f"{row['events'] / inside.mean():.1f}",
        "origin.environments.3.every.time": f"{2.5 * inside.sum() / row['n_events']:.3g}",
    }
    assert {key: page.shown.get(key) for key in shown} == shown
    line = next(line for line in result.lines if line.kind == "origin")
    before_data = page.texts_in_one[: page.texts_in_one.index('{"run"')]
    assert before_data.count(line.text) == 1
    assert "Structure is taken before the event. Smoothing is not used here." in before_data


@pytest.mark.usefixtures("no_files")
def test_a_run_that_cannot_tell_where_the_dynamics_comes_from_says_so_first(result, tmp_path):
    few = replace(result.origin, effective=6.5)
    small = judged(result, origin=few)
    text = write_report(small, make_buffer(result), tmp_path).read_text(encoding="utf-8")
    words = f"{few.n_events} were seen, and count as 6.5 independent events. At least 10 are"
    assert text[: text.index('id="summary"')].count(words) == 1
    assert text.index(words) < text.index('id="result"')
