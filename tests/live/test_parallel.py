"""What ranks tell each other, as bytes: rows, numbers, and whether one has failed."""

from __future__ import annotations

import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest

from strdyn_live.box import Box
from strdyn_live.frame import Frame, LocalFrame, Rows, RunStart
from strdyn_live.ghost_shell import _to_be_seen
from strdyn_live.neighbors import NeighborLists
from strdyn_live.parallel import RankError, Ranks, outcome_of
from strdyn_live.parcels import UNIT, numbers_in, pack_numbers, pack_rows, unpack_rows
from strdyn_live.shared import Shared, combine


def rows_of(ids, rng, n_features=5, most=2**31 - 1):
    """Rows with something to tell them apart; the neighbors of atom i are i + 1, …"""
    counts = rng.integers(0, 4, len(ids))
    lists = [list(range(most - n, most)) for n in counts]
    frame = Frame(
        7,
        3.5,
        np.eye(3),
        np.zeros(3),
        np.array(ids)[:, None] + np.array([0.25, 0.5, 0.75]),
        (np.array(ids)[:, None] + np.arange(n_features) / 8).astype(np.float32),
        NeighborLists.from_counts(counts, np.array(list(itertools.chain(*lists)), dtype=np.int64)),
    )
    return Rows(np.array(ids, dtype=np.int64), (np.array(ids) % 3).astype(np.int32), frame)


def handed(parcels):
    """What each rank gets of the parcels of all ranks: what MPI does."""
    n_ranks = len(parcels)
    got = [{} for _ in range(n_ranks)]
    for sender, each in enumerate(parcels):
        ends = UNIT * np.cumsum(each.units, dtype=int)
        for receiver, part in enumerate(np.split(each.content, ends[:-1])):
            if len(part):
                got[receiver][sender] = part.copy()
    return got


@pytest.mark.parametrize("most", [2**31, 2**31 + 1, 2**40])
@pytest.mark.parametrize("n_receivers", [1, 2, 3])
def test_rows_arrive_sorted_and_whole(n_receivers, most):
    rng = np.random.default_rng(3)
    atom_ids = rng.permutation(np.arange(1, 101))
    owned = np.split(atom_ids, [40, 40, 75])  # one of four ranks has no atom
    sent = [rows_of(ids, rng, most=most) for ids in owned]
    edges = np.linspace(0, 101, n_receivers + 1)
    receivers = [np.searchsorted(edges[1:-1], ids, side="right") for ids in owned]
    parcels = [pack_rows(*each, 4) for each in zip(sent, receivers, strict=True)]
    by_id = {}
    for rows in sent:
        for k, atom_id in enumerate(rows.atom_ids.tolist()):
            by_id[atom_id] = (rows.species[k], rows.frame, k)
    seen = []
    for rank, got in enumerate(handed(parcels)):
        rows, order, n_rows = unpack_rows(got, sent[rank], 4)
        assert n_rows.tolist() == [int((each == rank).sum()) for each in receivers]
        assert sorted(order.tolist()) == list(range(len(rows.atom_ids)))
        assert rows.atom_ids.tolist() == sorted(rows.atom_ids.tolist())
        assert (rows.frame.step, rows.frame.time) == (7, 3.5)
        seen += rows.atom_ids.tolist()
        for k, atom_id in enumerate(rows.atom_ids.tolist()):
            species, frame, row = by_id[atom_id]
            assert rows.species[k] == species
            assert rows.frame.positions[k].tolist() == frame.positions[row].tolist()
            assert rows.frame.soap[k].tobytes() == frame.soap[row].tobytes()
            assert rows.frame.neighbors[k].tolist() == frame.neighbors[row].tolist()
    assert seen == list(range(1, 101))


def test_numbers_arrive():
    sent = [{0: np.array([1.0, 2.0]), 2: np.arange(9.0)}, {}, {2: np.array([0.5]), 1: np.empty(0)}]
    got = handed([pack_numbers(each, 3) for each in sent])
    assert [numbers_in(each).tolist() for each in got] == [[1, 2], [], [*range(9), 0.5]]


def test_numbers_are_reduced_by_hand():
    messages = []
    for code, one, two, total, largest in ((0, 3, 2**62, 0.5, -1.0), (4, -5, 2**62, 0.25, 8.0)):
        shared = Shared.nothing(n_sums=2, n_totals=1, n_maxima=1)
        shared.sums[:], shared.totals[:], shared.maxima[:] = (one, two), total, largest
        messages.append(shared.to_bytes(code))
    combine(*messages)
    assert shared.take(messages[1]) == 4
    assert shared.sums.tolist() == [-2, -(2**63)]  # wraps around, as a hash may
    assert (shared.totals.tolist(), shared.maxima.tolist()) == ([0.75], [8.0])


@pytest.mark.parametrize("code", [0, 1, 5, 2**31 - 1])
def test_a_failure_is_told_also_without_numbers(code):
    assert Shared.nothing().take(Shared.nothing().to_bytes(code)) == code


def test_one_rank_fails_as_many_do():
    ranks = Ranks()
    with pytest.raises(RankError, match="no room"), ranks.together():
        raise ValueError("no room")
    with pytest.raises(RankError, match="MemoryError: none"):
        ranks.gather_by_id(outcome_of(lambda: raised(MemoryError("none"))), [0])
    with pytest.raises(RankError) as caught:
        ranks.exchange(outcome_of(lambda: raised(KeyboardInterrupt())))
    assert caught.value.ends_run
    with pytest.raises(RankError, match="both say so"), ranks.alike():
        raise ValueError("both say so")
    with pytest.raises(ZeroDivisionError), ranks.alike():  # a defect here: no other rank knows
        raise ZeroDivisionError


def raised(error):
    raise error


def test_places_of_sorted_values():
    values = np.sort(np.random.default_rng(1).choice(2**40, 1000, replace=False))
    places = [0, 1, 333, 998, 999]
    assert Ranks().nth_smallest(values, places) == values[places].tolist()
    assert Ranks().nth_smallest(np.array([2**63 - 1]), [0]) == [2**63 - 1]
    assert Ranks().nth_smallest(values, []) == []


class OneOfMany:
    """The communicator of one rank of ten thousand, to which nobody sends."""

    size, rank = 10_000, 5_000

    def Alltoall(self, _told, heard):  # noqa: N802
        heard[:] = 0

    def Alltoallv(self, _sent, received):  # noqa: N802
        assert len(received[0]) == 0


def test_a_rank_that_does_not_write_keeps_its_rows_and_few_bytes_for_each_rank():
    rng = np.random.default_rng(3)
    ranks = Ranks(OneOfMany())
    for n_rows in (0, 1000):
        sent = rows_of(np.arange(1, n_rows + 1), rng, n_features=100)
        own = n_rows * (8 + 24 + 4 + 4 + 400) + sent.frame.neighbors.ids.nbytes
        tracemalloc.start()
        ranks.gather_by_id(sent, [0])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.2 * own + 120 * ranks.size


CELLS = {
    "cube": np.diag([10.0, 11.0, 12.0]),
    "triclinic": np.array([[10.0, 0, 0], [3.0, 11.0, 0], [-4.0, 2.5, 12.0]]),
    "small": np.diag([4.0, 4.5, 5.0]),
}


def tiled(n_ranks, rng):
    """Sub-domains as `comm_style tiled` has them: the box cut in two, again and again."""
    pieces = [np.array([[0.0] * 3, [1.0] * 3])]
    while len(pieces) < n_ranks:
        low, high = pieces.pop(0)
        axis = int(rng.integers(3))
        cut = low[axis] + (high[axis] - low[axis]) * rng.uniform(0.3, 0.7)
        first, second = np.array([low, high]), np.array([low, high])
        first[1, axis] = second[0, axis] = cut
        pieces += [first, second]
    return np.array(pieces)


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True), (False,) * 3])
@pytest.mark.parametrize("n_ranks", [1, 5, 8])
def test_each_rank_is_told_of_every_image_around_it(cell, periodic, n_ranks):
    """As if it had all atoms, with images by brute force; some atoms have left their sub-domain."""
    rng = np.random.default_rng(n_ranks)
    box = Box(CELLS[cell], np.array([1.0, -2.0, 0.5]), periodic)
    bounds, width = tiled(n_ranks, rng), 6.5
    fractions = rng.uniform(0.0, 1.0, (120, 3))
    inside = ((fractions[:, None] >= bounds[:, 0]) & (fractions[:, None] < bounds[:, 1])).all(2)
    owner = inside.argmax(axis=1)
    positions = fractions @ box.cell + box.origin + rng.normal(0.0, 0.2, (120, 3))
    parcels = []
    for rank in range(n_ranks):
        own = positions[owner == rank]
        frame = LocalFrame(
            step=0,
            run_start=RunStart(0),
            time=0.0,
            box=box,
            box_changes=False,
            bounds=bounds[rank],
            n_owned=len(own),
            atom_ids=np.flatnonzero(owner == rank) + 1,
            types=np.ones(len(own), np.int32),
            positions=own,
            centers=np.arange(len(own)),
            environment=np.ones(len(own), bool),
        )
        parcels.append(_to_be_seen(frame, bounds, width))
        nobody = dataclasses.replace(frame, n_owned=0)
        assert _to_be_seen(nobody, bounds, width).units.tolist() == [0] * n_ranks
    shifts = [range(-4, 5) if flag else (0,) for flag in periodic]
    for rank, got in enumerate(handed(parcels)):
        expected = []
        for shift in itertools.product(*shifts):
            fraction = (positions + np.array(shift) @ box.cell - box.origin) @ box.inverse
            outside = np.maximum(bounds[rank, 0] - fraction, fraction - bounds[rank, 1]).clip(0)
            distance = (outside * box.heights).max(axis=1)
            expected += distance[distance <= width].tolist()
        np.testing.assert_allclose(np.sort(numbers_in(got)), np.sort(expected), atol=1e-12)
