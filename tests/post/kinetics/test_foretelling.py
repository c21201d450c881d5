"""What structure foretells, on made-up events whose probability is known."""

from dataclasses import replace

import numpy as np
import pytest

from strdyn_post.findings import RESULT, UNKNOWN
from strdyn_post.kinetics.event_model import EventModel
from strdyn_post.kinetics.foretelling import fold_interval, foretell, judge_foretelling
from strdyn_post.sentences import Speaker, lines_of
from strdyn_post.signal.events import Events
from strdyn_post.signal.frames import Frames


def predicted(probability, scores, labels=None, seed=0, static=False):
    """Draw events with a known probability and foretell them; labels are of two environments."""
    n_frames, n_atoms = probability.shape
    rng = np.random.default_rng(seed + 1)
    happened = rng.random(probability.shape) < probability
    steps = np.arange(n_frames) * 10
    frames = Frames(steps, steps * 0.1, np.zeros(n_frames, np.int64), np.arange(n_atoms) + 1)
    events = Events(
        frames=frames,
        share=np.where(happened, 0.3, 0.02),
        known=np.ones(n_frames, bool),
        n_neighbors=np.full(happened.shape, 12),
        lasting=2,
        survival=np.array([1.0, 0.2, 0.19]),
        flicker_share=0.5,
    )
    labels = np.zeros(happened.shape, np.int32) if labels is None else labels
    return foretell(events, frames, scores.astype(np.float32), (labels, 2), 0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def test_structure_that_sets_the_rate_is_used_as_far_as_it_goes():
    """The best possible AUC and information follow from the true probabilities."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(200, 200, 3))
    p = logistic(-4.0 + 1.5 * scores[..., 0])
    found = predicted(p, scores)
    flat, order = p.ravel(), np.argsort(p, axis=None)
    ahead = np.cumsum((1 - flat)[order])  # observations without an event below each
    best = (flat[order] * ahead).sum() / (flat.sum() * (1 - flat).sum())
    entropy = -(flat * np.log(flat) + (1 - flat) * np.log(1 - flat)).mean()
    rate = flat.mean()
    whole = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert found.auc.mean() == pytest.approx(best, abs=0.01)
    assert found.information.mean() == pytest.approx(1 - entropy / whole, abs=0.02)
    top = np.sort(flat)[-len(flat) // 20 :].sum() / flat.sum()
    assert found.most_likely.mean() == pytest.approx(top, abs=0.03)
    np.testing.assert_allclose(found.observed, found.predicted, rtol=0.2)
    # one environment, and scores that change from frame to frame: neither says anything
    np.testing.assert_allclose(found.environment_auc, 0.5)
    assert found.shuffled_auc.mean() == pytest.approx(0.5, abs=0.03)


def test_structure_without_a_say_foretells_nothing():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(100, 200, 3))
    found = predicted(np.full((100, 200), 0.02), scores)
    mean, low, high = fold_interval(found.auc)
    assert low < 0.5 < high
    assert mean == pytest.approx(0.5, abs=0.05)
    assert fold_interval(found.information)[0] < 0.01


def test_what_atoms_are_all_the_time_remains_if_times_are_shuffled():
    """Atoms keep their environment, and the score says nothing beyond it."""
    labels = np.tile((np.arange(200) % 5 == 0).astype(np.int32), (100, 1))
    scores = labels[..., None] + np.random.default_rng(0).normal(0, 0.01, (100, 200, 1))
    found = predicted(np.where(labels, 0.1, 0.001), scores, labels)
    # 96.15 % of the events and 18.4 % of the others are in the one environment; equal ones: half
    for auc in (found.auc, found.environment_auc, found.shuffled_auc):
        assert auc.mean() == pytest.approx(
            0.9615 * 0.816 + (0.9615 * 0.184 + 0.0385 * 0.816) / 2, abs=0.03
        )
    np.testing.assert_allclose(found.information, found.environment_information, atol=0.02)


def test_too_few_events_are_not_used():
    scores = np.random.default_rng(0).normal(size=(50, 40, 2))
    assert predicted(np.full((50, 40), 0.002), scores) is None


def test_the_interval_over_folds_is_that_of_student():
    mean, low, high = fold_interval(np.array([0.90, 0.92, 0.94, 0.96]))
    # s = 0.02582, t(0.975, 3) = 3.1824
    assert (mean, low, high) == pytest.approx((0.93, 0.93 - 0.04108, 0.93 + 0.04108), abs=1e-4)


def test_the_regression_gives_probabilities_of_rows_that_it_has_not_seen():
    """Log-odds of an event are -3 + 2 x; the second score says nothing, the third is constant."""
    rng = np.random.default_rng(0)
    scores = np.stack([rng.normal(1.0, 0.5, 40_000), rng.normal(0, 5, 40_000), np.full(40_000, 7)])
    happened = rng.random(40_000) < logistic(-3.0 + 2.0 * scores[0])
    model = EventModel.fit(scores.T.astype(np.float32), happened, 0.5, rng)
    new = np.array([[0.0, 0.0, 7.0], [1.0, 0.0, 7.0], [2.0, 3.0, 7.0]])
    np.testing.assert_allclose(model.probability(new), logistic(np.array([-3, -1, 1])), rtol=0.1)
    assert model.probability(new[None]).shape == (1, 3)
    # frames are half a time unit apart
    np.testing.assert_allclose(model.rate(new), 2.0 * model.probability(new))


@pytest.mark.parametrize(("happened", "expected"), [(False, 0.5 / 11), (True, 10.5 / 11)])
def test_rows_that_are_all_alike_leave_the_scores_out(happened, expected):
    scores = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    model = EventModel.fit(scores, np.full(10, happened), 0.5, np.random.default_rng(0))
    assert model.coefficients.tolist() == [0, 0]
    np.testing.assert_allclose(model.probability(scores), expected)


def test_foretelling_is_a_result_only_above_chance():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(100, 200, 3))
    says = predicted(logistic(-4.0 + 1.5 * scores[..., 0]), scores)
    found = judge_foretelling(says)
    assert found.severity == RESULT
    assert found.values["auc"]["mean"] == says.auc.mean()
    assert judge_foretelling(predicted(np.full((100, 200), 0.02), scores)).severity == UNKNOWN
    assert judge_foretelling(None).severity == UNKNOWN
    assert "at least 10 are needed" in lines_of([judge_foretelling(None)], Speaker())[0].text


def test_an_auc_above_chance_is_not_enough_where_information_may_be_none():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(100, 200, 3))
    says = predicted(logistic(-4.0 + 1.5 * scores[..., 0]), scores)
    doubtful = replace(says, information=np.array([0.2, -0.1, 0.1, 0.0]))
    assert judge_foretelling(says).severity == RESULT
    assert judge_foretelling(doubtful).severity == UNKNOWN
    assert "This may be chance" in lines_of([judge_foretelling(doubtful)], Speaker())[0].text
