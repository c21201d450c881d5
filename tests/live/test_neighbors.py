"""Neighbor lists by identity, against plain sets."""

import numpy as np

from strdyn_live.neighbors import find_neighbors


def test_by_hand():
    # ID 7 is the center and its own image at x = 3; ID 9 comes twice, 8 is no neighbor by group
    positions = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 2], [0, 0, 4.0]])
    atom_ids = np.array([7, 7, 9, 9, 8, 5])
    environment = np.array([True, True, True, True, False, True])
    found = find_neighbors(positions, atom_ids, np.array([0]), environment, 4.0)
    # ID 5 lies at the cutoff itself: closer than r_cut means not there
    assert found[0].tolist() == [9]
    assert find_neighbors(positions, atom_ids, np.array([0]), environment, 4.001)[0].tolist() == [
        5,
        9,
    ]


def test_equals_all_distances():
    rng = np.random.default_rng(3)
    positions = rng.uniform(-5.0, 5.0, (300, 3))
    atom_ids = rng.integers(1, 120, 300)
    environment = rng.random(300) < 0.7
    centers = np.flatnonzero(rng.random(300) < 0.3)
    found = find_neighbors(positions, atom_ids, centers, environment, 2.5)
    for row, center in enumerate(centers):
        near = np.linalg.norm(positions - positions[center], axis=1) < 2.5
        expected = set(atom_ids[near & environment].tolist()) - {int(atom_ids[center])}
        assert found[row].tolist() == sorted(expected)
    assert len(found) == len(centers)


def test_no_atoms_around():
    positions = np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]])
    found = find_neighbors(positions, np.array([1, 2]), np.array([0, 1]), np.ones(2, bool), 3.0)
    assert found.counts.tolist() == [0, 0]
