"""Is the run long enough: by hand."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import check, make_result
from told import text_of

from strdyn_post.findings import ATTENTION, FINE, UNKNOWN
from strdyn_post.kinetics.length import judge_length


@pytest.fixture(scope="module")
def result():
    return make_result()


def checks_of(result, **changes):
    """Two environments; nothing is wrong with them."""
    numbers = {
        "early": np.array([0.6, 0.4]),
        "late": np.array([0.6, 0.4]),
        "drift": np.zeros(2),
        "seen_drift": np.array([0.03, 0.2]),
        "events": np.array([[0, 30], [30, 0]]),
        "effective": np.array([[0, 20.0], [25.0, 0]]),
    }
    return {"soap": replace(check(result["soap"]).checks, **{**numbers, **changes})}


def test_a_run_is_long_enough_if_every_question_has_its_events(result):
    origin = replace(result.origin, effective=10.0)
    found = judge_length(origin, checks_of(result), 100.0)
    assert found.severity == FINE
    text = text_of(found)
    assert text.startswith("The run is long enough to say where the dynamics comes from")
    assert "10 independent lasting changes of neighbors; 10 suffice" in text
    assert "would be needed" not in text


def test_too_few_events_need_a_run_that_is_so_many_times_longer(result):
    found = judge_length(replace(result.origin, effective=4.0), checks_of(result), 100.0)
    assert found.severity == UNKNOWN
    assert found.values["events"]["factor"] == 2.5
    assert "about 2.5 times this run would be needed (250 time units)" in text_of(found)
    none = judge_length(replace(result.origin, effective=0.0), checks_of(result), 100.0)
    assert none.values["events"]["factor"] is None
    assert "No lasting change of neighbors was seen" in text_of(none)
    far = judge_length(replace(result.origin, effective=0.01), checks_of(result), 100.0)
    assert "more than 100 times this run would be needed" in text_of(far)


def test_a_change_that_would_not_have_been_seen_needs_its_square(result):
    """Half of 0.4 is 0.2: 0.6 would have been seen, a run 9 times as long sees a third of it."""
    origin = replace(result.origin, effective=50.0)
    found = judge_length(origin, checks_of(result, seen_drift=np.array([0.1, 0.6])), 100.0)
    assert found.severity == UNKNOWN
    assert found.values["shares"]["factor"] == pytest.approx(9.0)
    assert "In 1 of 2 environments, a share that changes by 50 % would not" in text_of(found)


def test_a_run_that_drifts_says_so_first(result):
    origin = replace(result.origin, effective=50.0)
    late, drift = np.array([0.3, 0.7]), np.array([-5.0, 5.0])
    found = judge_length(origin, checks_of(result, late=late, drift=drift), 100.0)
    assert found.severity == ATTENTION
    assert text_of(found).startswith("The system changes during this run.")
    assert "The shares of 2 environments change" in text_of(found)


def test_rare_moves_alone_do_not_make_a_run_too_short(result):
    origin = replace(result.origin, effective=50.0)
    effective = np.array([[0, 20.0], [2.0, 0]])
    found = judge_length(origin, checks_of(result, effective=effective), 100.0)
    assert found.severity == FINE
    assert "Rates of 1 of 2 kinds of moves are rough (fewer than 10 independent events)" in text_of(
        found
    )
    assert found.values["moves"]["factor"] == 5.0


def test_without_transitions_nothing_is_said_about_shares(result):
    found = judge_length(replace(result.origin, effective=50.0), {}, 100.0)
    assert found.severity == UNKNOWN
    assert "No transition could be counted" in text_of(found)
