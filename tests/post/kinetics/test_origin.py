"""Where the dynamics comes from: hazards by hand, intervals that hold, runs that cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
from known_events import recording, sets_of
from recorded import change
from scipy.stats import t

from strdyn_post import AnalysisConfig, analyse, fit, label, load_results, save_results
from strdyn_post.findings import RESULT, UNKNOWN, of_kind
from strdyn_post.kinetics.hazards import hazards
from strdyn_post.kinetics.origin import find_origin, judge_origin
from strdyn_post.signal.events import Events
from strdyn_post.signal.frames import Frames

CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=40, n_components=2)


def events_of(happened, stretches=None, lasting=2, n_neighbors=None):
    n_frames, n_atoms = happened.shape
    stretches = np.zeros(n_frames, np.int64) if stretches is None else np.asarray(stretches)
    steps = np.arange(n_frames) * 10
    return Events(
        frames=Frames(steps, steps * 0.1, stretches, np.arange(n_atoms) + 1),
        share=np.where(happened, 0.3, 0.02),
        known=np.ones(n_frames, bool),
        n_neighbors=np.full(happened.shape, 12) if n_neighbors is None else n_neighbors,
        lasting=lasting,
        survival=np.array([1.0, 0.2, 0.19]),
        flicker_share=0.5,
    )


def origin_of(happened, labels, n, depth=None, **more):
    events = events_of(happened, **more)
    levels = np.zeros(labels.shape, np.int32)
    depth = np.full(labels.shape, np.nan) if depth is None else depth
    return find_origin(events, events.frames, (labels, n), (levels, 1), depth)


def atoms_in(*sizes, n_frames):
    """Labels of atoms that keep their environment."""
    row = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    return np.tile(row, (n_frames, 1))


# counted by hand


def test_shares_and_hazards_are_counted():
    labels = atoms_in(6, 2, n_frames=10)
    labels[9, 0] = -1  # in no environment
    happened = np.zeros((10, 8), bool)
    happened[[0, 3, 9], [1, 2, 0]] = True  # two in environment 0, one in none
    happened[[1, 4, 4, 5, 8], [6, 6, 7, 7, 6]] = True
    found, _ = hazards(happened, labels, 2)
    assert found.n_observations.tolist() == [59, 20]
    assert found.n_events.tolist() == [2, 5]
    np.testing.assert_allclose(found.observations, [59 / 80, 20 / 80])
    np.testing.assert_allclose(found.events, [2 / 8, 5 / 8])
    np.testing.assert_allclose(found.hazard, [(2 / 8) / (59 / 80), 2.5])
    np.testing.assert_allclose(found.hazard_low, found.low / found.observations)
    np.testing.assert_allclose(found.rate, [2 / 59, 5 / 20])
    assert (found.rate_low < found.rate).all()
    assert (found.rate < found.rate_high).all()
    assert (found.low < found.events).all()
    assert (found.events < found.high).all()


def test_an_environment_without_events_has_an_upper_limit():
    """One event in each of 20 frames, each of another atom: 20 independent ones."""
    labels = atoms_in(20, 20, n_frames=20)
    happened = np.zeros((20, 40), bool)
    happened[np.arange(20), np.arange(20)] = True
    found, effective = hazards(happened, labels, 2)
    assert effective == pytest.approx(20)
    np.testing.assert_allclose(found.events, [1.0, 0.0])
    # Clopper–Pearson of none seen; Student's law, with the four waves of the run as its freedom
    limit = 1 - 0.025 ** (1 / (20 * (1.959964 / t.ppf(0.975, 4)) ** 2))
    np.testing.assert_allclose([found.low[1], found.high[1]], [0.0, limit])
    np.testing.assert_allclose([found.low[0], found.high[0]], [1 - limit, 1.0])


@pytest.mark.parametrize("together", ["one atom", "one time"])
def test_events_that_come_together_count_as_few(together):
    labels = atoms_in(50, 50, n_frames=200)
    happened = np.zeros((200, 100), bool)
    if together == "one atom":
        happened[::2, 3] = True
    else:
        happened[70, :50] = True
    _, effective = hazards(happened, labels, 2)
    assert effective < 2


def test_one_atom_or_one_frame_proves_nothing():
    for shape in ((40, 1), (1, 40)):
        happened = np.ones(shape, bool)
        parts = np.arange(40, dtype=np.int32).reshape(shape) % 2
        found, effective = hazards(happened, parts, 2)
        assert effective == 0
        assert (found.low.tolist(), found.high.tolist()) == ([0, 0], [1, 1])
        assert (found.rate_low.tolist(), found.rate_high.tolist()) == ([0, 0], [1, 1])


def test_atoms_are_where_they_go_after_m_frames_and_one():
    labels = atoms_in(1, 1, 1, n_frames=12)
    labels[6:, 0] = 2  # from 0 to 2
    labels[7, 1] = 0  # from 1 to 0, and back after one frame
    happened = np.zeros((12, 3), bool)
    happened[5, 0] = happened[6, 1] = True
    happened[10, 2] = True  # three frames later there is none
    origin = origin_of(happened, labels, 3)
    assert origin.follows.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    cut = origin_of(happened, labels, 3, stretches=np.repeat([0, 1], [8, 4]))
    assert cut.follows.sum() == 0  # frame 8 is behind the gap
    assert cut.n_events == 3


def test_levels_of_lens_by_environment():
    labels = atoms_in(3, 1, n_frames=4)
    levels = np.zeros((4, 4), np.int32)
    levels[:2, 3] = 1
    events = events_of(np.zeros((4, 4), bool))
    depth = np.full((4, 4), np.nan)
    origin = find_origin(events, events.frames, (labels, 2), (levels, 2), depth)
    assert origin.levels.tolist() == [[12, 2], [0, 2]]
    # both of the second level are in environment 1, which holds a quarter
    np.testing.assert_allclose(origin.enrichment, [[12 / 14 / 0.75, 2 / 14 / 0.25], [0, 4]])
    assert origin.depth is None


def test_numbers_are_cut_into_bins_of_equal_size():
    values = np.tile(np.arange(16), (30, 1))
    happened = np.zeros((30, 16), bool)
    happened[:15, 3] = happened[15:, 4] = True
    labels = np.zeros((30, 16), np.int32)
    origin = origin_of(happened, labels, 1, n_neighbors=values, depth=values / 2.0)
    assert origin.neighbors.edges.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 15]
    assert origin.neighbors.n_events.tolist() == [0, 15, 15, 0, 0, 0, 0, 0]
    assert origin.neighbors.hazard.tolist() == [0, 4, 4, 0, 0, 0, 0, 0]
    assert origin.neighbors.mean.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]
    assert origin.depth.mean.tolist() == (origin.neighbors.mean / 2).tolist()
    same = origin_of(happened, labels, 1)
    assert same.neighbors.hazard.tolist() == [1.0]


# intervals


TRUE_RATES = np.array([0.0005, 0.002, 0.01])


def runs(kind, n_runs):
    """Yield events, environments, and the expected share of the events of each environment."""
    rates = TRUE_RATES
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        labels = np.tile(rng.choice(3, 200, p=[0.7, 0.2, 0.1]).astype(np.int32), (200, 1))
        happened = rng.random(labels.shape) < rates[labels]
        if kind == "unequal atoms":
            happened = rng.random(labels.shape) < rates[labels] * rng.gamma(0.5, 2.0, 200)
        elif kind == "common rate":
            rate = np.repeat(rng.gamma(1.0, 1.0, (40, 3)), 5, axis=0)
            happened = rng.random(labels.shape) < rates[labels] * rate[:, labels[0]]
        elif kind == "ten atoms at once":
            happened[:] = False
            for k in range(3):
                inside = np.flatnonzero(labels[0] == k)
                for group in np.array_split(inside, max(1, len(inside) // 10)):
                    happened[np.ix_(rng.random(200) < rates[k], group)] = True
        weights = rates * np.bincount(labels[0], minlength=3)
        yield happened, labels, weights / weights.sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["independent", "unequal atoms", "common rate", "ten atoms at once"]
)
def test_intervals_hold_the_truth(kind):
    held, of_rates = [], []
    for happened, labels, truth in runs(kind, 300):
        found, _ = hazards(happened, labels, 3)
        held.append((found.low <= truth) & (truth <= found.high))
        of_rates.append((found.rate_low <= TRUE_RATES) & (found.rate_high >= TRUE_RATES))
    assert (np.mean(held, axis=0) >= 0.90).all()
    assert (np.mean(of_rates, axis=0) >= 0.90).all()


def test_no_environment_stands_out_where_all_are_alike():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(100):
        labels = np.tile(rng.choice(4, 100, p=[0.6, 0.2, 0.1, 0.1]).astype(np.int32), (60, 1))
        happened = rng.random(labels.shape) < 0.02
        verdicts.append(judge_origin(origin_of(happened, labels, 4)).values["verdict"])
    assert set(verdicts) == {"apart", "even"}  # one in 40, by chance
    assert verdicts.count("apart") <= 6


# whole analyses of runs with known events


def hopping(rate, n_frames=120, n_atoms=60, seed=0, **more):
    """Atoms of two structures, one in five an edge; hops of each at its rate."""
    rng = np.random.default_rng(seed)
    edge = np.arange(n_atoms) % 5 == 0
    hops = rng.random((n_frames, n_atoms)) < np.where(edge, *rate)
    structure = np.tile(edge.astype(int), (n_frames, 1))
    buffer = recording(sets_of(hops, rng, **more), structure)
    return buffer, hops, edge


def edge_label(result, edge):
    (label,) = set(result["soap"].final.labels[:, edge].ravel().tolist())
    return label


@pytest.fixture(scope="module")
def from_edges():
    """All hops start from the edges: one in 25 frames, at most one in 8."""
    n_frames, n_atoms = 120, 60
    rng = np.random.default_rng(1)
    edge = np.arange(n_atoms) % 5 == 0
    hops = np.zeros((n_frames, n_atoms), bool)
    for atom in np.flatnonzero(edge):
        hops[rng.integers(4, 20) + 24 * np.arange(5), atom] = True
    structure = np.tile(edge.astype(int), (n_frames, 1))
    buffer = recording(sets_of(hops, rng), structure)
    return buffer, analyse(buffer, CONFIG), edge, hops


def test_dynamics_that_starts_from_one_structure_is_found_there(from_edges):
    _, result, edge, hops = from_edges
    origin, label = result.origin, edge_label(result, edge)
    m = origin.lasting
    assert m == 3
    assert origin.n_events == hops[m - 1 : 120 - m].sum() == 60
    assert origin.n_observations == 60 * (120 - 2 * m + 1)
    found = origin.environments
    assert found.n_events[label] == 60
    # a fifth of the observations has all events
    assert found.hazard[label] == pytest.approx(5.0)
    assert 4.0 < found.hazard_low[label] < 5.0
    assert found.hazard_high[label] == pytest.approx(5.0)
    (finding,) = of_kind(result.findings, "origin")
    assert (finding.severity, finding.route, finding.environments) == (RESULT, "soap", (label,))
    name = result.names["soap"].names[label]
    (text,) = (line.text for line in result.lines if line.kind == "origin")
    assert text.startswith(
        f"100 % of the lasting changes of neighbors start from {name}, which holds 20.0 % of all "
        "observations: 5.0 times the mean ("
    )


def test_vibration_alone_cannot_tell():
    buffer, _, _ = hopping((0.0, 0.0))
    result = analyse(buffer, CONFIG)
    assert result.origin.n_events == 0
    (finding,) = of_kind(result.findings, "origin")
    assert (finding.severity, finding.values["verdict"]) == (UNKNOWN, "cannot_tell")
    (text,) = (line.text for line in result.lines if line.kind == "origin")
    assert "none was seen. At least 10 are needed" in text


def test_hops_that_are_undone_cannot_tell():
    buffer, hops, _ = hopping((0.03, 0.0), undone_after=2)
    assert hops.sum() > 30
    result = analyse(buffer, CONFIG)
    assert result.origin.effective < 10
    assert of_kind(result.findings, "origin")[0].values["verdict"] == "cannot_tell"


def test_hops_from_everywhere_have_no_origin():
    buffer, _, _ = hopping((0.02, 0.02))
    result = analyse(buffer, CONFIG)
    assert result.origin.n_events > 80
    (finding,) = of_kind(result.findings, "origin")
    assert (finding.severity, finding.values["verdict"]) == (RESULT, "even")
    (text,) = (line.text for line in result.lines if line.kind == "origin")
    assert text.startswith("No environment of SOAP has more of the lasting changes")


def test_smoothing_and_trim_move_no_event(from_edges):
    buffer, result, edge, hops = from_edges
    smoothed = analyse(buffer, replace(CONFIG, smoothing_window=21))
    # of 119 intervals, 10 at both ends have no label
    assert smoothed.origin.n_events == hops[10:109].sum()
    label = edge_label(smoothed, edge)
    assert smoothed.origin.environments.n_events[label] == hops[10:109].sum()
    assert smoothed.origin.survival.tolist() == result.origin.survival.tolist()


def test_a_run_too_short_says_so():
    buffer, _, _ = hopping((0.3, 0.3), n_frames=4)
    result = analyse(buffer, replace(CONFIG, min_cluster_size=20))
    assert result.origin.n_observations in (0, 60)
    assert of_kind(result.findings, "origin")[0].values["verdict"] == "cannot_tell"


def test_atoms_of_other_frames_get_the_events_that_their_structure_lets_expect(from_edges):
    buffer, result, edge, hops = from_edges
    learnt = fit(buffer, CONFIG)
    new, _, _ = hopping((0.0, 0.0), n_frames=20)  # the same structures, and no events
    labelled = label(learnt, new)
    expected = labelled.expected_events
    # about as many as the atoms of the fit had, per observation and unit of time
    known = hops.sum() / (12 * 119)
    rate = known / buffer.times[1]
    assert expected.shape == labelled["soap"].final.labels.shape
    np.testing.assert_allclose(expected[:, edge].mean(), rate, rtol=0.2)
    assert expected[:, ~edge].max() < 0.1 * rate
    np.testing.assert_array_equal(result.event_model.coefficients, learnt.event_model.coefficients)


# files


def test_results_hold_the_origin(from_edges, tmp_path):
    _, result, _, _ = from_edges
    path = save_results(result, tmp_path)
    loaded = load_results(path)
    same_parts(loaded.origin, result.origin)
    same_parts(loaded.foretelling, result.foretelling)
    same_parts(loaded.event_model, result.event_model)


def same_parts(found, expected):
    for name, value in vars(expected).items():
        other = getattr(found, name)
        if hasattr(value, "events"):
            same_parts(other, value)
        else:
            np.testing.assert_array_equal(other, value, name)


def test_results_of_an_earlier_version_have_none(from_edges, tmp_path):
    _, result, _, _ = from_edges
    path = save_results(result, tmp_path)
    change(path, lambda file: file.pop("origin"))
    assert load_results(path).origin is None
