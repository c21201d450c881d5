"""What environments are: numbers of neighbors and depths worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from strdyn_live.neighbors import NeighborLists
from strdyn_post.environments.description import depth_series, depths, describe_environments
from strdyn_post.signal.frames import Frames

SIDE = 6  # atoms along x and y, 2.5 apart


def layer(height):
    x, y = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return np.column_stack([2.5 * x, 2.5 * y, np.full(SIDE * SIDE, height)])


def recorded(positions, height, n_neighbors, steps=(0,), periodic=(True, True, True)):
    """Make a recording of one structure in a box that is so high; lists of the given lengths."""
    lists = NeighborLists.from_counts(n_neighbors, np.zeros(n_neighbors.sum(), np.int64))
    return SimpleNamespace(
        steps=np.array(steps),
        positions=lambda _k: positions,
        box=lambda _k: (np.diag([2.5 * SIDE, 2.5 * SIDE, height]), np.array([0.0, 0.0, -1.0])),
        neighbors=lambda _k: lists,
        periodic=periodic,
        config=SimpleNamespace(lens_r_cut=4.0),
    )


@pytest.fixture
def slab():
    """Four layers 2 apart, the topmost atoms with fewer neighbors, and one atom on top of them."""
    positions = np.concatenate([layer(z) for z in (0.0, 2.0, 4.0, 6.0)] + [[[2.5, 2.5, 8.0]]])
    n_neighbors = np.repeat([12, 12, 12, 8, 4], [36, 36, 36, 36, 1])
    return positions, n_neighbors


def test_depth_is_measured_from_the_side_where_atoms_lack_neighbors(slab):
    positions, n_neighbors = slab
    found = depths(recorded(positions, 30.0, n_neighbors), 0, n_neighbors)
    # far from the atom on top: 6, 4, 2, 0 below the highest atom above them
    np.testing.assert_allclose(found[[35, 71, 107, 143]], [6.0, 4.0, 2.0, 0.0])
    assert found[144] == 0.0
    # half a cutoff is 2: the atom on top covers the one below it only
    np.testing.assert_allclose(found[36 * 3 + 7], 2.0)
    np.testing.assert_allclose(found[36 * 3 + 8], 0.0)


def test_depths_of_frames_are_those_of_each(slab):
    positions, n_neighbors = slab
    recording = recorded(positions, 30.0, n_neighbors, steps=np.arange(40))
    expected = depths(recording, 0, n_neighbors)
    rows = np.array([3, *range(5, 39)])  # more than a chunk
    counts = np.tile(n_neighbors, (len(rows), 1))
    counts[1] = 12  # no atom lacks neighbors: no surface
    found = depth_series(recording, rows, counts)
    assert np.isnan(found[1]).all()
    assert (np.delete(found, 1, axis=0) == expected).all()


def test_a_slab_across_the_face_of_the_box_is_the_same(slab):
    positions, n_neighbors = slab
    expected = depths(recorded(positions, 30.0, n_neighbors), 0, n_neighbors)
    moved = positions + np.array([0.0, 0.0, 25.0])
    found = depths(recorded(moved, 30.0, n_neighbors), 0, n_neighbors)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    up = positions * np.array([1, 1, -1])
    found = depths(recorded(up, 30.0, n_neighbors), 0, n_neighbors)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_nearer_of_two_surfaces_counts(slab):
    positions, _ = slab
    n_neighbors = np.repeat([8, 12, 12, 8], 36)
    found = depths(recorded(positions[:144], 30.0, n_neighbors), 0, n_neighbors)
    np.testing.assert_allclose(found, np.repeat([0.0, 2.0, 2.0, 0.0], 36), atol=1e-12)


def test_without_a_gap_or_with_several_there_is_no_depth(slab):
    positions, n_neighbors = slab
    bulk = depths(recorded(positions[:144], 8.0, n_neighbors[:144]), 0, n_neighbors[:144])
    assert np.isnan(bulk).all()
    rod = positions[(positions[:, 0] < 6)]
    counts = np.full(len(rod), 5)
    assert np.isnan(depths(recorded(rod, 30.0, counts), 0, counts)).all()
    same = np.full(145, 12)  # no end where atoms lack neighbors
    assert np.isnan(depths(recorded(positions, 30.0, same), 0, same)).all()


def test_means_are_those_of_the_atoms_of_an_environment(slab):
    positions, n_neighbors = slab
    steps = np.arange(5) * 10
    recording = recorded(positions, 30.0, n_neighbors, steps)
    frames = Frames(steps, steps * 1.0, steps * 0, np.arange(145))
    labels = np.tile(np.repeat([0, 0, 0, 1, -1], [36, 36, 36, 36, 1]), (5, 1)).astype(np.int32)
    found = describe_environments(recording, frames, {"soap": (labels, 3)})["soap"]
    np.testing.assert_allclose(found.n_neighbors, [12.0, 8.0, np.nan])
    # one of 36 atoms of each layer lies 2 deeper, under the atom on top
    np.testing.assert_allclose(found.depth, [4.0 + 2 / 36, 2 / 36, np.nan])


@pytest.mark.parametrize(("n_frames", "every"), [(1, 1), (16, 1), (31, 1), (32, 2), (65, 4)])
def test_frames_are_picked_such_that_a_longer_run_needs_no_old_one_anew(slab, n_frames, every):
    positions, n_neighbors = slab
    recording = recorded(positions, 30.0, n_neighbors, np.arange(n_frames))
    frames = Frames(*(np.arange(n_frames),) * 3, np.arange(145))
    labels = np.zeros((n_frames, 145), np.int32)
    seen = []

    def note(function, chunks):
        seen.extend(chunk.numbers[0] for chunk in chunks)
        return map(function, chunks)

    describe_environments(recording, frames, {"soap": (labels, 1)}, note)
    assert seen == list(range(0, n_frames, every))
