"""The box: every number here is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from strdyn_live.box import Box, lengths_and_angles

# b leans by half of a; c is upright, and not periodic
BOX = Box(
    np.array([[10.0, 0.0, 0.0], [5.0, 10.0, 0.0], [0.0, 0.0, 8.0]]),
    np.array([1.0, 0.0, -2.0]),
    (True, True, False),
)


def test_fractions_are_counted_from_the_corner():
    # the corner; the corner + a/2 + b/4 + c; the corner - b + c/4
    positions = np.array([[1.0, 0.0, -2.0], [7.25, 2.5, 6.0], [-4.0, -10.0, 0.0]])
    expected = [[0, 0, 0], [0.5, 0.25, 1], [0, -1, 0.25]]
    np.testing.assert_allclose(BOX.fractions(positions), expected, atol=1e-12)


def test_heights_of_a_leaning_box_are_shorter_than_its_vectors():
    # the volume is 800; the faces have the areas |b × c| = 8 √125, |c × a| = 80, |a × b| = 100
    heights = [800 / (8 * np.sqrt(125)), 10, 8]
    np.testing.assert_allclose(BOX.heights, heights, rtol=1e-12)
    np.testing.assert_allclose(BOX.margins(2.0), 2.0 / np.array(heights), rtol=1e-12)


def test_atoms_are_wrapped_in_periodic_directions_only():
    # (0, 1) lies left of the sheared edge at x = 1.5; (17, 11) is one a and one b too far
    wrapped = BOX.wrap(np.array([[0.0, 1, 12], [17.0, 11.0, -3]]))
    np.testing.assert_allclose(wrapped, [[10.0, 1, 12], [2.0, 1, -3]], atol=1e-12)


def test_a_difference_is_taken_to_the_nearest_image():
    # 0.9 a is -0.1 a; 1.25 b is 0.25 b; c is free
    found = BOX.to_nearest_image(np.array([[0.9, 0.0, 0.0], [0.0, 1.25, 0.75]]))
    np.testing.assert_allclose(found, [[-1, 0, 0], [1.25, 2.5, 6]], atol=1e-12)


def test_images_within_a_distance():
    # an atom at the fractions (0.1, 0.5, 0.5), given one a too far; 1 from the faces is 0.112 of a,
    # 0.1 of b: the only image is the one behind the opposite face
    around, rows = BOX.images(np.array([[14.5, 5.0, 2.0]]), 1.0)
    np.testing.assert_allclose(around, [[4.5, 5, 2], [14.5, 5, 2]], atol=1e-12)
    assert rows.tolist() == [0, 0]
    around, _ = BOX.images(np.array([[14.5, 5.0, 2.0]]), 0.85)  # 0.095 of a
    np.testing.assert_allclose(around, [[4.5, 5, 2]], atol=1e-12)


def test_images_of_a_box_that_is_smaller_than_the_distance():
    # a layer of 2.5 around a cube of side 1, with one atom in the middle: -2.5 to 3.5 holds the
    # places -2.5, -1.5, ... 3.5, seven of them
    cube = Box(np.eye(3), np.array([7.0, 7.0, 7.0]), (True, False, True))
    around, rows = cube.images(np.array([[7.5, 7.5, 7.5]]), 2.5)
    assert len(around) == 49
    assert rows.tolist() == [0] * 49
    assert around[0].tolist() == [7.5, 7.5, 7.5]  # the atom itself comes first
    assert sorted(set(around[:, 0].tolist())) == [4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]
    assert set(around[:, 1].tolist()) == {7.5}  # not periodic


def test_images_of_no_atoms():
    around, rows = BOX.images(np.empty((0, 3)), 3.0)
    assert around.shape == (0, 3)
    assert len(rows) == 0


def test_shifts_to_a_part_of_the_box():
    # 2 are 0.224 of a and 0.2 of b. Along a: atoms from 0.2 to 0.4, a region from 0.676 to 1.224
    # with what lies around it; one a brings the first of them to 1.2. Along b: atoms from 0.1 to
    # 0.9, a region from 0.1 to 1.15; no shift, and one b for those below 0.15. c is free.
    atoms, region = [[0.2, 0.1, 0.0], [0.4, 0.9, 1.0]], [[0.9, 0.3, 0.0], [1.0, 0.95, 1.0]]
    assert list(BOX.shifts(2.0, atoms, region)) == [(1, 0, 0), (1, 1, 0)]
    # 1 is half of that: nothing comes near along a
    assert list(BOX.shifts(1.0, [[0.2, 0.1, 0], [0.4, 0.9, 1]], [[0.6, 0, 0], [0.9, 1, 1]])) == []


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (np.diag([2.0, 3.0, 4.0]), [2, 3, 4, 90, 90, 90]),
        # α between b and c, β between a and c, γ between a and b
        ([[1, 0, 0], [1, 1, 0], [0, 0, 1]], [1, np.sqrt(2), 1, 90, 90, 45]),
        ([[2, 0, 0], [0, 2, 0], [1, 0, np.sqrt(3)]], [2, 2, 2, 90, 60, 90]),
        ([[2, 0, 0], [0, 2, 0], [0, -1, np.sqrt(3)]], [2, 2, 2, 120, 90, 90]),
    ],
)
def test_lengths_and_angles(cell, expected):
    np.testing.assert_allclose(lengths_and_angles(np.array(cell)), expected, rtol=1e-12)
