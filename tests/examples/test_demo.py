"""The main job as a user starts it: LAMMPS on two ranks, buffer, analysis, report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.decomposition import PCA

from strdyn_live import open_buffer
from strdyn_live.soap import Soap
from strdyn_post.demo import run_demo

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

STRDYN = Path(sys.executable).with_name("strdyn")
N_FRAMES = 30  # the fewest that the command takes


# the command, with a tenth of the steps
SHORT = """
from functools import partial
from strdyn_post import cli, demo
demo.run_demo = partial(demo.run_demo, every=50, equilibration=500)
cli.main()
"""


@pytest.fixture(scope="module", params=[50, pytest.param(500, marks=pytest.mark.slow)])
def every(request):
    """Steps between frames: a tenth of those of the demo, and those."""
    return request.param


@pytest.fixture(scope="module")
def demo(every, tmp_path_factory):
    """Run the demo once, shortened."""
    folder = tmp_path_factory.mktemp("demo")
    command = [str(STRDYN)] if every == 500 else [sys.executable, "-c", SHORT]
    done = subprocess.run(
        [*command, "demo", "-o", "out", "--frames", str(N_FRAMES)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def test_it_says_where_the_report_is_and_what_is_in_it(demo):
    folder, printed = demo
    assert str(Path("out") / "report.html") in printed
    assert (folder / "report.html").stat().st_size > 100_000
    summary = json.loads((folder / "summary.json").read_text())
    assert summary
    for word in ("SOAP", "LENS", "SOAP & LENS", "clusters", "variance", "describe", "write"):
        assert word in printed


def test_the_buffer_holds_the_top_nine_planes(demo, every):
    buf = open_buffer(demo[0] / "cu211.sdl")
    assert buf.n_frames == N_FRAMES + 1
    assert len(buf.atom_ids) == 900
    assert set(np.diff(buf.steps)) == {every}
    assert buf.times[1] - buf.times[0] == pytest.approx(every * 0.004)
    assert buf.positions(0)[:, 2].min() > 10.0


def test_results_agree_with_a_plain_analysis(demo):
    """PCA of the whole filled array by scikit-learn, LENS by sets, counts by a plain loop."""
    folder, _ = demo
    buf = open_buffer(folder / "cu211.sdl")
    with h5py.File(folder / "results.h5") as results:
        routes = {name: {key: item[()] for key, item in results[name].items()
                         if isinstance(item, h5py.Dataset)} for name in results
                  if name in ("soap", "lens", "soap_lens")}  # fmt: skip
    steps = routes["soap"]["step"]
    frames = np.searchsorted(buf.steps, steps)
    soap = Soap(buf.config.species, buf.config.r_cut)
    filled = np.concatenate([soap.fill(buf.soap(int(k)).astype(np.float64)) for k in frames])
    pca = PCA(n_components=8).fit(filled)
    found = routes["soap"]["explained_variance_ratio"]
    np.testing.assert_allclose(found[:4], pca.explained_variance_ratio_[:4], rtol=1e-5)
    n_components = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), 0.995)) + 1
    assert routes["soap"]["score"].shape[-1] == n_components

    for route in routes.values():
        labels, counts = route["label"], route["count_matrix"]
        expected = np.zeros_like(counts)
        for before, after in zip(labels[:-1].ravel(), labels[1:].ravel(), strict=True):
            if before >= 0 and after >= 0:
                expected[before, after] += 1
        assert counts.tolist() == expected.tolist()
        sums = route["transition_matrix"].sum(axis=1)
        np.testing.assert_allclose(sums[counts.sum(axis=1) > 0], 1.0)


def test_an_earlier_demo_is_not_overwritten(demo):
    folder, _ = demo
    done = subprocess.run(
        [str(STRDYN), "demo", "-o", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "exists and is not overwritten" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4928459, 11, 222])
def test_the_finding_of_the_paper(seed, tmp_path):
    """The fast atoms run along the edges: SOAP & LENS sets them apart, SOAP alone does not."""
    run_demo(tmp_path, 112, progress=lambda *_: None, tell=lambda *_: None, seed=seed)
    summary = json.loads((tmp_path / "summary.json").read_text())
    new = summary["new_environments"][0]
    assert new["dynamics"] == "fast"
    assert 0.005 < new["share"] < 0.03
    assert new["delta"] > 3 * new["highest_other_delta"]
    # most of them are at the edges, many times as often as all atoms; whether SOAP has the edges
    # alone or merges them with what is beside them (3 or 4 environments) is close to the cut
    assert new["soap_enriched"]
    assert new["soap_share_low"] > max(0.7, 2.5 * new["soap_expected"])
    of_soap = [row["soap"]["delta"] for row in summary["environments"] if row["soap"]]
    assert len(of_soap) in (3, 4)
    edges = next(row for row in summary["environments"] if row["name"] == new["soap_environment"])
    assert edges["soap"]["delta"] == max(of_soap)
    # they are back soon
    assert 0.3 < new["p_out_low"] < new["p_out_high"] < 0.8
    # the distance of frames decides
    shown = {point["dt"]: point["shows_motion"] for point in summary["interval_scan"]}
    assert not shown[2.0]
    assert shown[8.0]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert summary["headline"].startswith(
        "SOAP & LENS finds an environment that SOAP alone does not find: fast environment"
    )
    finding = page[page.index('<p class="finding">') :]
    assert "SOAP &amp; LENS finds an environment that SOAP alone does not find" in finding[:400]
