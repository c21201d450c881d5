"""Committed moves and stays: by hand, and on models of which the truth is known."""

import time

import numpy as np
import pytest
from known.models import RATES, SLOW, chain, recrossing
from known.stays import stays_of_labels

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, FINE, UNKNOWN, of_route
from strdyn_post.kinetics.checks import check_moves, judge_moves
from strdyn_post.kinetics.committed import commit, find_commitment, share_of_short_visits
from strdyn_post.kinetics.partition import Partition
from strdyn_post.kinetics.stays import judge_stays
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.sentences import Speaker, lines_of


def column(text):
    """Return the labels of one atom: '.' is noise."""
    return np.array([[-1 if each == "." else int(each)] for each in text], dtype=np.int32)


def committed(text, frames, stretches=None):
    labels = column(text)
    stretches = np.zeros(len(labels), np.int64) if stretches is None else np.array(stretches)
    return "".join("." if k < 0 else str(k) for k in commit(labels, frames, stretches).ravel())


def stays_line(stays, populations):
    found = [judge_stays(stays, np.array(populations))]
    return found[0], lines_of(of_route(found, "soap"), Speaker(interval=1.0))[0].text


@pytest.mark.parametrize(
    ("labels", "frames", "expected"),
    [
        ("0001000011110", 1, "0001000011110"),
        # a short visit belongs to the environment before it; both ends are cut by m − 1 frames
        ("00010000111100", 2, ".000000011110."),
        ("000111000", 4, "........."),
        ("00011011111100000", 3, "..0000111111000.."),
        # it is not known where an atom was committed before its first long visit
        ("0101000111", 3, "....0001.."),
        # short noise is a part of the visit before it; nothing is known across long noise
        ("0000.0000", 3, "..00000.."),
        ("000000...11111", 3, "..00.......1.."),
        ("0000.1111", 2, ".0000111."),
        # two environments that are short, one after the other
        ("0000121200003333", 2, ".00000000000333."),
    ],
)
def test_committed_labels_by_hand(labels, frames, expected):
    assert committed(labels, frames) == expected


def test_nothing_is_committed_across_a_gap():
    # a visit of two frames on either side of the gap is not one of four
    assert committed("0000110000", 3, [0] * 5 + [1] * 5) == "..0....0.."


def test_atoms_do_not_mix():
    both = np.concatenate([column("0000011111"), column("2222222222")], axis=1)
    found = commit(both, 2, np.zeros(10, np.int64))
    assert found[:, 0].tolist() == [-1, 0, 0, 0, 0, 1, 1, 1, 1, -1]
    assert found[:, 1].tolist() == [-1] + [2] * 8 + [-1]


def test_share_of_short_visits_by_hand():
    # visits to 1: of 1, 2 and 4 frames; the one of 2 frames at the end is cut off
    labels = column("00100110111100011")
    share = share_of_short_visits(labels, 2, 3, np.zeros(17, np.int64))
    # the first visit to 0 is cut off; then 2, 1 and 3 frames
    assert share.tolist() == [3 / 6, 3 / 7]
    assert np.isnan(share_of_short_visits(column("000"), 2, 2, np.zeros(3, np.int64))[1])


def test_moves_without_memory_are_all_committed():
    for seed in range(5):
        labels = chain(seed, RATES)
        stays = stays_of_labels(labels)
        assert stays.frames == 1
        np.testing.assert_array_equal(stays.mean, stays.raw)
        assert stays.agree.all()
        # P(stay) of the chain is 0.95, 0.91 and 0.9
        np.testing.assert_allclose(stays.mean, 1 / (1 - np.diag(RATES)), rtol=0.35)


def test_recrossings_do_not_shorten_committed_stays():
    inside = []
    for seed in range(20):
        stays = stays_of_labels(recrossing(seed))
        # by all moves 488 frames (see the model)
        np.testing.assert_allclose(stays.raw, 488, rtol=0.2)
        assert stays.frames > 1
        assert not stays.agree.any()
        assert not stays.rates
        inside += ((stays.mean_low <= 20_000) & (stays.mean_high >= 20_000)).tolist()
    assert np.mean(inside) >= 0.9


@pytest.mark.slow
def test_recrossings_are_never_called_rates():
    for seed in range(30):
        assert "can be used as rates" not in text_of(recrossing(seed))
    assert any("can be used as rates" in text_of(chain(seed, SLOW, 400, 200)) for seed in range(3))


def text_of(labels):
    stretches = np.zeros(len(labels), np.int64)
    final = Partition(labels=labels, counts=count_transitions(labels, 2, 1, stretches))
    checks = check_moves(final, None, stretches, AnalysisConfig())
    rates = stays_of_labels(labels).rates
    found = judge_moves(checks, final, stretches, 1, merged=False, rates=rates)
    return " ".join(line.text for line in lines_of(of_route(found, "soap"), Speaker()))


def test_rates_are_said_only_if_stays_allow_it():
    assert "can be used as rates" not in text_of(recrossing(0))
    assert "can be used as rates" in text_of(chain(2, SLOW, 400, 200))


def test_a_short_lived_environment_does_not_vanish_in_silence():
    """Environment 2 is left with probability 0.5 per frame; 0 and 1 have recrossings."""
    rng = np.random.default_rng(0)
    base = chain(0, np.array([[0.99, 0.01], [0.01, 0.99]]), 400, 300)
    # an atom on its way spends some frames on the other side: of 1, 2 or 3 frames
    labels = base.copy()
    for frame, atom in np.argwhere(rng.random(base.shape) < 0.01).tolist():
        labels[frame : frame + rng.integers(1, 4), atom] = 1 - base[frame, atom]
    for frame, atom in np.argwhere(rng.random(base.shape) < 0.002).tolist():
        labels[frame : frame + rng.geometric(0.5), atom] = 2
    stays = stays_of_labels(labels)
    assert stays.frames >= 3
    # of the observations in visits of length L ~ P(L) = 2^-L, those with L < m: 1 - (m + 1) / 2^m
    m = stays.frames
    assert stays.short[2] == pytest.approx(1 - (m + 1) / 2**m, abs=0.1)
    assert stays.verdicts[2] == "short"
    finding, text = stays_line(stays, [1, 1, 1])
    assert finding.severity == ATTENTION
    assert f"most visits are shorter than {m} frames: environment with label 2" in text
    assert finding.values["environments"][2]["stay"] is None
    assert finding.values["environments"][2]["raw"] is not None


def test_recrossings_without_an_end_are_not_resolved():
    """Labels of atoms at a boundary: the hazard of a visit falls for ever (a random walk)."""
    walk = np.random.default_rng(0).normal(size=(400, 300)).cumsum(axis=0)
    stays = stays_of_labels((walk > 0).astype(np.int32))
    assert stays.frames == 32
    assert stays.verdicts == ["recrossed", "recrossed"]
    finding, text = stays_line(stays, [1, 1])
    assert "visits of 32 frames still end more often than later ones" in text
    assert [row["stay"] for row in finding.values["environments"]] == [None, None]
    assert "more than" in text
    # of a random walk, half of the returns come within 2 steps, and most within 31
    assert finding.values["undone"] > 0.8


def test_few_atoms_cannot_tell():
    labels = np.zeros((60, 3), np.int32)
    labels[20:, 0] = 1
    finding, text = stays_line(stays_of_labels(labels), [160, 40])
    assert finding.severity == UNKNOWN
    assert "too few independent committed moves" in text
    assert {row["verdict"] for row in finding.values["environments"]} == {"few"}


def test_environments_that_are_never_left_have_a_lower_bound():
    labels = np.repeat([[0, 1]], 100, axis=0).astype(np.int32)
    finding, text = stays_line(stays_of_labels(labels), [100, 100])
    assert finding.severity == UNKNOWN
    row = finding.values["environments"][0]
    assert row["stay"] is None
    assert row["low"] > 1
    assert "more than" in text


def test_long_chains_are_fine():
    labels = chain(0, RATES, 300, 300)
    finding, text = stays_line(stays_of_labels(labels), np.bincount(labels.ravel()))
    assert finding.severity == FINE
    assert text.startswith("SOAP: Mean stays, resolved: environment with label 0, ")


def test_a_single_frame_and_no_atoms_that_move_do_not_fail():
    for labels in (np.zeros((1, 4), np.int32), np.full((5, 4), -1, np.int32)):
        found = find_commitment(labels, 2, np.zeros(len(labels), np.int64))
        assert found.frames >= 1
        assert commit(labels, 3, np.zeros(len(labels), np.int64)).shape == labels.shape


def test_committed_stays_are_fast():
    labels = chain(0, RATES, n_frames=500, n_atoms=900)
    started = time.process_time()
    stays_of_labels(labels)
    assert time.process_time() - started < 2.0
