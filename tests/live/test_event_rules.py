"""Rare events: the grammar of the rules, when they hold, cool-down and dense sampling by hand."""

import contextlib
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strdyn_live.conditions import _KINDS, Condition, words_of
from strdyn_live.config import ConfigError, LiveConfig
from strdyn_live.events import ACTIONS, Adaptive, Densely, Event, EventWatch
from strdyn_live.settings import declared
from strdyn_live.values import AtomValues, FrameValues

GOOD = {"r_cut": 6.0, "elements": "Cu", "file": "run.sdl"}
LABELS = {"1": 0, "2": 1, "A": 2}
WORDS = "lens_max lens_mean count distance population move when do while > < 0 0.5 3 nan -1 hop 1 A"


def values(step=100, previous_step=0, **changes):
    """Return a frame of 10 atoms: 4, 3 and 2 in environments, 2 of them came from 1 to A."""
    frame = {
        "lens_mean": 0.1,
        "lens_max": 0.62,
        "n_above": 5,
        "distance_max": 1.5,
        "populations": np.array([4, 3, 2]),
        "moves": np.array([[4, 0, 2], [0, 3, 0], [0, 0, 0]]),
    }
    return FrameValues(step=step, previous_step=previous_step, **{**frame, **changes})


@pytest.mark.parametrize(
    ("condition", "holds", "cause"),
    [
        ("lens_max > 0.5", True, "lens_max = 0.62 > 0.5"),
        ("lens_max > 0.62", False, ""),
        ("lens_mean > 0.05", True, "lens_mean = 0.1 > 0.05"),
        ("lens_mean > 0.1", False, ""),
        ("count > 4", True, "count = 5 > 4"),
        ("count > 5", False, ""),
        ("distance > 1", True, "distance = 1.5 > 1"),
        ("population A > 1", True, "population A = 2 > 1"),
        ("population A < 3", True, "population A = 2 < 3"),
        ("population 2 < 3", False, ""),
        ("move 1 A", True, "2 atoms moved from 1 to A (> 0)"),
        ("move 1 A > 1", True, "2 atoms moved from 1 to A (> 1)"),
        ("move 1 A > 2", False, ""),
        ("move A 1", False, ""),
    ],
)
def test_a_condition_holds_by_its_value(condition, holds, cause):
    event = Event.parse(f"it when {condition} do print")
    assert event.holds(values(), LABELS) is holds
    if holds:
        assert event.cause(values(), LABELS) == cause


def test_a_first_frame_has_no_dynamics_and_no_event():
    for condition in ("population A < 3", "lens_max > 0"):
        event = Event.parse(f"it when {condition} do print")
        assert event.holds(values(), LABELS)
        assert not event.holds(values(previous_step=None), LABELS)


def test_a_value_just_above_its_limit_does_not_read_as_equal():
    frame = values(lens_max=0.500004)
    cause = Event.parse("it when lens_max > 0.5 do print").cause(frame, LABELS)
    assert cause == "lens_max = 0.500004 > 0.5"


@pytest.mark.parametrize(
    ("condition", "atoms"),
    [
        ("lens_max > 0.5", [1, 3]),
        ("lens_mean > 0.25", [0, 1, 3]),
        ("count > 1", [0, 1, 3]),  # above the threshold 0.2
        ("distance > 2", [2]),
        ("population A > 0", [1, 2, 4]),
        ("move 1 A", [1, 4]),
    ],
)
def test_the_atoms_that_cause_an_event(condition, atoms):
    of_atoms = AtomValues(
        np.array([0.3, 0.6, 0.1, 0.7, 0.0]),
        np.array([0, 2, 2, 1, 2], np.int32),
        np.array([0.0, 1.0, 3.0, 2.0, 0.0]),
    )
    before = np.array([0, 0, 2, 1, 0], np.int32)
    watch = EventWatch([Event.parse(f"it when {condition} do print")], 0, LABELS)
    (occurrence,) = watch.update(values(distance_max=3.0, lens_mean=0.34))
    caused = watch.atoms(occurrence, of_atoms, before, threshold=0.2)
    assert np.flatnonzero(caused).tolist() == atoms


@pytest.mark.parametrize(
    "text",
    [
        "hop when lens_max > 0.5 do dump",
        "hop-2_b when lens_max>.5 do dump  restart halt print",
        "9 when count > 12 do halt",
        "melt when population 3a < 5 do dump",
        "when when move 1 A > 3 do print",
    ],
)
def test_good_rules_read_back_from_their_usual_form(text):
    event = Event.parse(text)
    assert str(event).split() == words_of(text.replace(">.5", " > 0.5"))
    assert Event.parse(str(event)) == event


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "event = '': it is empty"),
        ("a/b when lens_max > 0.5 do dump", "'a/b' is no name of a file: expected letters"),
        ("é when lens_max > 0.5 do dump", "'é' is no name of a file"),
        ("hop", "expected 'when' after the name, found the end"),
        ("hop if lens_max > 0.5 do dump", "expected 'when' after the name, found 'if'"),
        ("hop when lens_max > 0.5 dump", "no 'do' after the condition"),
        ("hop when do dump", "no condition found, expected one of lens_max > X"),
        ("hop when lens_max > 0.5 do", "nothing after 'do': expected dump, restart, halt, print"),
        ("hop when lens_max > 0.5 do dum", "unknown action 'dum'. Did you mean 'dump'?"),
        ("hop when lens_max > 0.5 do dump dump", "action 'dump' is given twice"),
        ("hop when lensmax > 0.5 do dump", "'lensmax'. Did you mean 'lens_max'?"),
        ("hop when lens_max < 0.5 do dump", "found 'lens_max < 0.5', expected lens_max > X, with"),
        ("hop when lens_max >= 0.5 do dump", "found 'lens_max >= 0.5', expected lens_max > X"),
        ("hop when lens_max > 1 do dump", "with X from 0 to below 1"),
        ("hop when lens_max > nan do dump", "with X from 0 to below 1"),
        ("hop when lens_max > -0.1 do dump", "with X from 0 to below 1"),
        ("hop when distance > inf do dump", "with X from 0 on"),
        ("hop when count > 1.5 do dump", "K a whole number of atoms"),
        ("hop when count > 1e300 do dump", "K a whole number of atoms"),
        ("hop when population > 3 do dump", "expected population E > K or population E < K"),
        ("hop when population A < 0 do dump", "never holds: no number is below 0"),
        ("hop when move 1 do dump", "expected move A B or move A B > K"),
        ("hop when move 1 1 do dump", "never holds: a move leads to another environment"),
        ("hop when move 1 2 < 3 do dump", "expected move A B or move A B > K"),
    ],
)
def test_bad_rules_are_named(text, message):
    with pytest.raises(ConfigError) as caught:
        Event.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "ten while count > 3", "10 when count > 3", "0 while count > 3", "10", "٣ while"]
)
def test_bad_adaptive_rules_are_named(text):
    with pytest.raises(ConfigError, match="expected the number of steps between frames, then"):
        Densely.parse(text)


pieces = st.sampled_from(WORDS.split() + list(ACTIONS))


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(st.one_of(pieces, st.text(max_size=5))).map(" ".join)))
def test_no_text_raises_another_error(text):
    for parse in (Event.parse, Densely.parse):
        with contextlib.suppress(ConfigError):
            rule = parse(text)
            assert parse(str(rule)) == rule
            assert math.isfinite(rule.condition.limit)
    for name in ("event", "adaptive"):
        with contextlib.suppress(ConfigError):
            LiveConfig(**GOOD, **{name: text})


def test_settings_in_keywords_words_and_json_agree():
    words = (
        "r_cut 6 elements Cu event hop when lens_max > 0.5 do dump print event_every 50 "
        "adaptive 100 while count > 3 event jam when lens_mean > 0.2 do halt file run.sdl"
    )
    config = LiveConfig(
        **GOOD,
        event=["hop when lens_max>0.5 do dump print", "jam when lens_mean > 0.20 do halt"],
        event_every=50,
        adaptive="100 while count > 3.0",
    )
    assert LiveConfig.from_words(words) == config
    assert LiveConfig.from_mapping(config.as_dict()) == config
    assert [event.name for event in config.events] == ["hop", "jam"]
    assert config.densely == Densely(100, Condition("count", (), ">", 3.0))
    # LAMMPS hands a text in quotes over as one word
    one = ["r_cut", "6", "elements", "Cu", "file", "run.sdl", "event", config.event[0]]
    assert LiveConfig.from_words(one).event == config.event[:1]
    assert LiveConfig(**GOOD, event=config.event[0]).event == config.event[:1]
    assert LiveConfig(**GOOD, adaptive="none").densely is None


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"event": ["a when count > 1 do dump"] * 2}, "two events have the name 'a'"),
        ({"event": "a when move 1 2 do dump"}, "needs the environments of a fit"),
        ({"adaptive": "10 while distance > 2"}, "needs the environments of a fit"),
        ({"event": 3}, "event = 3: expected texts"),
        ({"event_frames": -1}, "event_frames = -1"),
    ],
)
def test_bad_settings_are_named(rules, message):
    with pytest.raises(ConfigError) as caught:
        LiveConfig(**GOOD, **rules)
    assert message in str(caught.value)


def test_rules_in_the_documentation_are_rules():
    page = (Path(__file__).parents[2] / "docs/howto/events.md").read_text()
    rules = re.findall(r"(?<=event )\w+ when [^`\"&\n]* do [a-z ]+\w", page)
    rules += re.findall(r"\"(\w+ when [^\"]*)\"", page)
    assert len(rules) == 7
    for rule in rules:
        Event.parse(rule)
    dense = re.findall(r"\d+ while [\w >.]+\w", page)
    assert len(dense) == 2
    for rule in dense:
        Densely.parse(rule)
    table = page.split("| word |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M)[1:] == list(ACTIONS)
    for name in _KINDS:
        assert f"`{name} " in table


def test_no_word_of_the_grammar_is_the_name_of_a_setting():
    assert {each.name for each in declared(LiveConfig)}.isdisjoint([*WORDS.split(), *ACTIONS])


def test_an_environment_that_the_model_lacks_is_named():
    with pytest.raises(ConfigError, match="has no environment 'B'.* Its environments: 1, 2, A"):
        EventWatch([Event.parse("melt when population B > 3 do dump")], 5, LABELS)


def acted(cooldown, held):
    """Return the frames in which an event is acted on, if it is there in some frames."""
    watch = EventWatch([Event.parse("hop when lens_max > 0.5 do dump")], cooldown)
    frames = []
    for k, there in enumerate(held):
        frames += [k] * len(watch.update(values(step=k, lens_max=0.6 if there == "x" else 0.1)))
    return frames


@pytest.mark.parametrize(
    ("cooldown", "held", "frames"),
    [
        (0, "..xx.x", [2, 3, 5]),
        (2, "x..x", [0, 3]),  # away in two frames
        (2, "x.x..x", [0, 5]),  # counted from the last frame with it
        (2, "xxxxxxxx", [0]),
        (3, ".x..x..x...x", [1, 11]),
    ],
)
def test_cool_down_counted_by_hand(cooldown, held, frames):
    assert acted(cooldown, held) == frames


def test_events_cool_down_each_for_itself():
    rules = ["hop when lens_max > 0.5 do dump", "jam when count > 9 do halt print"]
    watch = EventWatch(map(Event.parse, rules), 5)
    assert [each.name for each in watch.update(values(step=10))] == ["hop"]
    (jam,) = watch.update(values(step=20, n_above=12))
    assert (jam.name, jam.step, jam.cause, jam.actions) == (
        "jam",
        20,
        "count = 12 > 9",
        ("halt", "print"),
    )
    entry = jam.entry(0.1, np.arange(30), "run.events/jam-20.dump")
    assert (entry["n_atoms"], entry["atoms"], entry["time"]) == (30, list(range(20)), 0.1)


def recorded(rule, held_at, n_steps):
    """Return the steps at which frames are recorded, if a condition holds in some of them."""
    adaptive = Adaptive(100, rule and Densely.parse(rule))
    steps = []
    for step in range(n_steps + 1):
        if adaptive.due(step):
            steps.append(step)
            adaptive.update(values(step=step, n_above=9 if step in held_at else 0))
    return steps


def test_frames_are_dense_until_the_condition_was_away_for_one_regular_interval():
    rule = "25 while count > 3"
    assert recorded(None, {100}, 300) == [0, 100, 200, 300]
    assert recorded(rule, set(), 300) == [0, 100, 200, 300]
    assert recorded(rule, {100}, 400) == [0, 100, 125, 150, 175, 200, 300, 400]
    assert recorded(rule, {100, 150}, 400) == [0, 100, 125, 150, 175, 200, 225, 250, 300, 400]
    # 110 is not recorded, so nobody sees the condition there
    assert recorded(rule, {110}, 300) == [0, 100, 200, 300]


def test_the_dense_interval_divides_the_regular_one():
    with pytest.raises(ConfigError, match="30 does not divide 100.* one of 5, 10, 20, 25, 50"):
        Adaptive(100, Densely.parse("30 while count > 3"))
    with pytest.raises(ConfigError, match="Choose one of 1\\."):
        Adaptive(1, Densely.parse("2 while count > 3"))
