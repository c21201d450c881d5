"""Three outcomes of every check of the kinetics: fine, not fine, cannot tell."""

import time

import numpy as np
import pytest
from known.models import RARE, breathing, chain, relaxing

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, FINE, UNKNOWN, of_route
from strdyn_post.kinetics.checks import check_moves, judge_moves
from strdyn_post.kinetics.partition import Partition
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.sentences.lines import lines_of
from strdyn_post.sentences.speaker import Speaker

EVEN = np.array([[0.95, 0.05], [0.05, 0.95]])
CHECKS = {"rare_moves", "memory", "drift", "balance", "merge"}


def check(labels, lag=1, *, merged=True):
    stretches = np.zeros(len(labels), np.int64)
    n_clusters = int(labels.max()) + 1
    counts = count_transitions(labels, n_clusters, lag, stretches)
    final = Partition(labels=labels, counts=counts)
    checks = check_moves(
        final, final if merged else None, stretches, AnalysisConfig(lag=lag, merge_cut=0.0)
    )
    found = list(judge_moves(checks, final, stretches, lag, merged=merged))
    return checks, found, {line.kind: line for line in told(found)}


def told(found):
    return lines_of(of_route(found, "soap"), Speaker())


def test_a_long_run_of_many_atoms_is_fine_and_says_what_it_would_have_seen():
    checks, found, lines = check(chain(0, EVEN, n_frames=300, n_atoms=300))
    assert {each.kind for each in found} == CHECKS
    assert {each.severity for each in found} == {FINE}
    for kind, effect in (
        ("drift", "A change of a share by more than"),
        ("balance", "A surplus of one way by more than"),
        ("memory", "A difference by more than"),
    ):
        assert effect in lines[kind].text
        assert "would have been seen." in lines[kind].text
    values = {each.kind: each.values for each in found}
    assert values["drift"]["smallest"] == checks.seen_drift.max()
    assert 0 < values["drift"]["smallest"] < 0.2


def test_two_atoms_59_frames_11_moves_are_never_green():
    labels = np.zeros((59, 2), np.int32)
    for frame in (7, 12, 20, 31, 44, 50):
        labels[frame:, 0] += 1
    for frame in (5, 18, 29, 33, 52):
        labels[frame:, 1] += 1
    checks, found, _ = check((labels % 2).astype(np.int32))
    assert checks.events.sum() == 11
    assert FINE not in {each.severity for each in found}
    assert {each.kind for each in found} == CHECKS
    assert {each.kind for each in found if each.severity == UNKNOWN} >= {
        "memory",
        "drift",
        "balance",
        "merge",
    }


def test_no_moves_and_one_frame_cannot_tell():
    _, found, lines = check(np.zeros((60, 5), np.int32), merged=False)
    assert {each.severity for each in found} == {UNKNOWN}
    assert "has no moves" in lines["rare_moves"].text
    _, found, lines = check(np.zeros((1, 5), np.int32), merged=False)
    assert [(each.kind, each.severity) for each in found] == [("no_moves", UNKNOWN)]


def test_a_run_that_relaxes_is_named_twice():
    checks, found, lines = check(relaxing(0), merged=False)
    severities = {each.kind: each.severity for each in found}
    assert severities["drift"] == severities["balance"] == ATTENTION
    assert "the system is not in equilibrium" in lines["balance"].text
    events = checks.events
    assert f"{events[0, 1]:,}, back {events[1, 0]:,}" in lines["balance"].text
    # more atoms arrive than leave: the share grows by 0.59 · 300 atoms
    assert events[0, 1] - events[1, 0] == pytest.approx(177, abs=30)


def test_an_environment_with_few_atoms_is_named():
    labels = chain(0, RARE)
    _, found, lines = check(labels, merged=False)
    blind = {each.environments for each in found if each.severity == UNKNOWN}
    assert blind == {(2,)}
    assert lines["drift"].severity == UNKNOWN
    assert "It cannot be told whether these shares change" in lines["drift"].text


def test_a_rate_that_changes_once_is_said():
    _, found, lines = check(breathing(1, 100), merged=False)
    assert {each.environments for each in found if each.kind == "slow_moves"} == {(0, 1), (1, 0)}
    assert "change over times as long as the run" in lines["slow_moves"].text


def test_attention_goes_before_cannot_tell_and_that_before_fine():
    (_, good, _), (_, poor, _) = check(chain(0, EVEN)), check(chain(0, EVEN, n_atoms=2))
    (_, bad, _) = check(relaxing(0))
    drift = [[each for each in found if each.kind == "drift"] for found in (good, poor, bad)]

    def severity(*chosen):
        found = [
            each
            for route, k in zip(("soap", "lens", "soap_lens"), chosen, strict=False)
            for each in of_route(drift[k], route)
        ]
        return lines_of(found, Speaker())[0].severity

    assert severity(0) == FINE
    assert severity(0, 1) == UNKNOWN
    assert severity(0, 1, 2) == ATTENTION


def test_windows_are_not_events():
    labels = (np.arange(1050) // 50 % 2)[:, None].astype(np.int32)
    _, found, lines = check(labels, lag=10, merged=False)
    assert "20 moves of 2 kinds" in lines["rare_moves"].text
    assert {each.values["n_moves"] for each in found if each.kind == "rare_moves"} == {20}


def test_checks_are_fast():
    labels = chain(0, n_frames=500, n_atoms=900)
    started = time.process_time()
    check(labels, merged=False)
    assert time.process_time() - started < 3.0
