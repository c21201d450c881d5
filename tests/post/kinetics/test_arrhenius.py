"""Barriers from rates at several temperatures: by hand, by many runs, from whole analyses."""

import json
from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from scipy.stats import beta

from strdyn_post import AnalysisConfig, analyse, label, save_results
from strdyn_post.cli import app
from strdyn_post.errors import AnalysisError
from strdyn_post.figures import plot_arrhenius
from strdyn_post.findings import ATTENTION, FINE, UNKNOWN
from strdyn_post.kinetics.arrhenius import fit_arrhenius, worth_of
from strdyn_post.temperature import compare_temperatures

K_B = 8.617333262e-5
T = np.array([800.0, 900.0, 1000.0])


def law(barrier, prefactor=1e4, at=T):
    return prefactor * np.exp(-barrier / (K_B * at))


def test_two_rates_give_the_barrier_by_hand():
    """E = k_B ln(k2 / k1) / (1 / T1 - 1 / T2)."""
    found = fit_arrhenius([1000.0, 800.0], [0.2, 0.01], [400, 100], [2000.0, 10000.0], K_B)
    assert found.temperature.tolist() == [800, 1000]
    assert found.rate.tolist() == [0.01, 0.2]
    expected = K_B * np.log(20) / (1 / 800 - 1 / 1000)
    assert found.barrier == pytest.approx(expected)
    assert found.prefactor == pytest.approx(0.01 * np.exp(expected / (K_B * 800)))
    assert np.isnan(found.misfit)
    # 100 events: 81.36 to 121.63 (Garwood)
    assert found.low[0] == pytest.approx(81.36 / 10000, rel=1e-4)
    assert found.high[0] == pytest.approx(121.63 / 10000, rel=1e-4)
    # standard error of ln k: 1 / sqrt(n)
    error = 1.96 * K_B * np.sqrt(1 / 100 + 1 / 400) / (1 / 800 - 1 / 1000)
    assert found.barrier - found.barrier_low == pytest.approx(error, rel=0.1)
    assert found.barrier_high - found.barrier == pytest.approx(error, rel=0.1)


def test_the_interval_holds_the_barrier():
    rng = np.random.default_rng(1)
    rates, times = law(0.9), np.array([8.0, 50.0, 100.0]) / law(0.9)
    held, unlikely = [], []
    for _ in range(600):
        n = rng.poisson(rates * times)
        found = fit_arrhenius(T, n / times, n, times, K_B)
        held.append(found.barrier_low <= 0.9 <= found.barrier_high)
        unlikely.append(found.misfit < 0.05)
    assert np.mean(held) > 0.925
    assert np.mean(unlikely) < 0.08


def test_rates_off_the_line_widen_the_interval():
    rates = law(0.9)
    n = np.full(3, 500.0)
    on = fit_arrhenius(T, rates, n, n / rates, K_B)
    bent = rates * [1.0, 1.5, 1.0]
    off = fit_arrhenius(T, bent, n, n / bent, K_B)
    assert on.misfit > 0.99
    assert off.misfit < 1e-6
    wide, narrow = (each.barrier_high - each.barrier_low for each in (off, on))
    assert wide > 3 * narrow


def test_a_run_without_any_event_counts():
    """Nothing in the time in which the law of the other two expects 30 events."""
    rates = law(0.5)
    n, times = np.array([30.0, 60.0, 60.0]), np.array([30.0, 60.0, 60.0]) / rates
    with_all = fit_arrhenius(T, rates, n, times, K_B)
    none = fit_arrhenius(T, rates * [0, 1, 1], n * [0, 1, 1], times, K_B)
    assert none.barrier > with_all.barrier_high
    assert none.misfit < 0.01


def test_one_rate_has_no_barrier():
    found = fit_arrhenius(T, [0.0, 0.0, 1.0], [0, 0, 9], [9.0, 9.0, 9.0], K_B)
    assert np.isnan([found.barrier, found.barrier_low, found.barrier_high]).all()


def test_worth_is_read_off_an_interval():
    shares, rows = np.array([0.01, 0.5, 0.0]), np.array([3000.0, 10.0, 100.0])
    high = beta.ppf(0.975, rows * shares + 1, rows * (1 - shares))
    events, found = worth_of(shares, high)
    # the relative variance of a share is (1 - p) / (n p)
    np.testing.assert_allclose(found, rows / (1 - shares), rtol=1e-6)
    np.testing.assert_allclose(events, found * shares)
    assert [each.tolist() for each in worth_of([0.2, np.nan], [1.0, 0.5])] == [[0, 0], [0, 0]]


# whole analyses

BARRIER = 0.5
CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=60)


def recording(temperature, seed):
    """Atoms of two structures; from the second one some become fast, with a barrier."""
    rate = 0.01 * law(BARRIER, at=temperature) / law(BARRIER, at=900.0)
    rates = np.array([[0.95, 0.05, 0.0], [0.08, 0.92 - rate, rate], [0.0, 0.1, 0.9]])
    states = walk(rates, 100, 150, np.random.default_rng(seed))
    return make_buffer(states, np.array([0, 1, 1]), np.array([0, 1, 14]))


@pytest.fixture(scope="module")
def runs():
    fitted = analyse(recording(900.0, 1), CONFIG)
    others = {at: label(fitted.fit, recording(at, int(at))) for at in (800.0, 1000.0)}
    return [(800.0, others[800.0]), (900.0, fitted), (1000.0, others[1000.0])]


def test_the_barrier_of_a_process_is_found(runs):
    found = compare_temperatures(runs[::-1])
    named = {each.name: each for each in found.processes}
    fast = next(name for name in named if name.endswith("→ fast environment"))
    process = named[fast]
    assert not process.events
    assert process.law.barrier_low < BARRIER < process.law.barrier_high
    assert process.law.barrier_high - process.law.barrier_low < 1.2
    for (_, run), rate, low, high in zip(
        runs, process.law.rate, process.law.low, process.law.high, strict=True
    ):
        chi, names = run["soap_lens"], runs[1][1].names["soap_lens"]
        a, b = (names.names.index(name) for name in fast.split(" → "))
        before, after = chi.final.labels[:-1], chi.final.labels[1:]
        share = ((before == a) & (after == b)).sum() / (before == a).sum()
        assert rate == pytest.approx(share / found.interval)
        assert low < rate < high
    back = named[" → ".join(fast.split(" → ")[::-1])]
    assert back.law.barrier_low < 0.0 < back.law.barrier_high
    assert {each.severity for each in found.processes} <= {FINE, UNKNOWN, ATTENTION}
    lines = replace(found, lasting=(2, 2, 2)).lines
    assert len(lines) == len(found.processes)
    unlike = replace(found, lasting=(2, 3, 2)).lines
    assert unlike[:-1] == lines
    assert unlike[-1].startswith("The events last for 2, 3, 2 frames")
    line = lines[list(named).index(fast)]
    assert line.startswith(f"{fast}: barrier {process.law.barrier:.2f} eV (")
    events = [each for each in found.processes if each.events]
    assert events
    assert events[0].name.startswith("events from environment")
    axes = plot_arrhenius(found, events=False)
    assert any(text.get_text().startswith(fast) for text in axes.get_legend().get_texts())


def test_the_command_writes_figures_and_numbers(runs, tmp_path, capsys):
    for at, run in runs:
        save_results(run, tmp_path / f"{at:g}")
    words = [f"{at:g}={tmp_path / f'{at:g}'}" for at, _ in runs]
    app(["arrhenius", *words, "-o", str(tmp_path / "out")], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "→ fast environment: barrier" in printed
    stored = json.loads((tmp_path / "out" / "arrhenius.json").read_text())
    found = compare_temperatures(runs).as_dict()
    assert stored == json.loads(json.dumps(found))
    assert stored["energy"] == "eV"
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "arrhenius.json",
        *(f"arrhenius_{what}.{kind}" for what in ("events", "moves") for kind in ("png", "svg")),
    }


@pytest.mark.parametrize("word", ["900", "=run", "hot=run", "900="])
def test_a_word_of_the_command_is_a_temperature_and_a_folder(word):
    with pytest.raises(ValueError, match="expected a temperature and the folder of an analysis"):
        app(["arrhenius", word], standalone_mode=False)


def test_results_that_do_not_belong_together_are_refused(runs):
    (_, cold), (_, middle), _ = runs
    with pytest.raises(AnalysisError, match="found the temperatures 900, 900: expected at least"):
        compare_temperatures([(900.0, cold), (900.0, middle)])
    # the same components and number of environments, but other clusters
    routes = {
        name: replace(route, fit=replace(route.fit, linkage=route.linkage + 0.1))
        for name, route in middle.routes.items()
    }
    other_clusters = replace(middle, routes=routes)
    with pytest.raises(AnalysisError, match="1000 has another fit than that at 900"):
        compare_temperatures([(900.0, middle), (1000.0, other_clusters)])
    other = analyse(recording(1000.0, 3), CONFIG)
    with pytest.raises(AnalysisError, match="1000 has another fit than that at 900"):
        compare_temperatures([(900.0, middle), (1000.0, other)])
