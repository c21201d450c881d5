"""Whether a frame can follow: displacements by hand."""

from __future__ import annotations

import numpy as np

from strdyn_live.box import Box
from strdyn_live.buffer.pace import Pace

BOX = Box(np.diag([10.0, 10.0, 10.0]), np.zeros(3), (True, True, True))


def atoms(n=20):
    return np.random.default_rng(3).uniform(0.0, 10.0, (n, 3))


def following(n=20, step_size=0.2):
    """Four frames, 10 steps apart, in each of which every atom moves by the same distance."""
    pace, positions = Pace(r_cut=5.0), atoms(n)
    for k in range(4):
        pace.add(positions + np.array([k * step_size, 0.0, 0.0]), BOX, 10 * k)
    return pace, positions + np.array([3 * step_size, 0.0, 0.0])


def test_the_same_pace_follows_also_over_a_longer_gap_and_through_the_boundary():
    pace, last = following()
    assert pace.departure(last + np.array([0.0, 0.59, 0.0]), BOX, 40) == ""  # below 3 × 0.2
    assert pace.departure(last + np.array([0.0, 1.7, 0.0]), BOX, 60) == ""  # below 3 × 0.2 × 3
    assert pace.departure((last + np.array([0.2, 0.0, 0.0])) % 10.0, BOX, 40) == ""


def test_a_jump_of_half_of_the_atoms_or_of_one_in_ten_departs():
    pace, last = following()
    jump = last + np.array([0.0, 0.61, 0.0])
    assert "half of the atoms have moved by more than 0.61" in pace.departure(jump, BOX, 40)
    few = last.copy()
    few[:3] += [0.0, 2.0, 0.0]
    assert "one in ten by more than 2" in pace.departure(few, BOX, 40)
    few[:2] = last[:2]  # one atom of twenty may hop
    assert pace.departure(few, BOX, 40) == ""


def test_a_box_that_breathes_is_no_jump():
    pace, last = following()
    larger = Box(BOX.cell * 1.3, np.zeros(3), BOX.periodic)
    assert pace.departure(last * 1.3, larger, 40) == ""
    # about its center, as a barostat of LAMMPS does it: the corner moves by -1.5
    larger = Box(BOX.cell * 1.3, np.full(3, -1.5), BOX.periodic)
    assert pace.departure(last * 1.3 - 1.5, larger, 40) == ""


def test_with_one_frame_velocities_are_the_measure():
    pace, positions = Pace(r_cut=5.0), atoms()
    assert pace.departure(positions, BOX, 0) == ""  # nothing to follow
    pace.add(positions, BOX, 0)
    far = positions + np.array([1.0, 0.0, 0.0])
    assert pace.departure(far, BOX, 10, per_step=0.04) == ""  # 3 × 10 × 0.04
    assert "expected were about 0.3 and 0.3" in pace.departure(far, BOX, 10, per_step=0.03)
    assert pace.departure(far, BOX, 10) == ""  # no velocities, no word


def test_one_of_few_atoms_may_hop_although_it_is_half_of_them():
    pace, last = following(n=2)
    last[0] += [0.0, 2.4, 0.0]
    assert pace.departure(last, BOX, 40) == ""
    last[1] += [0.0, 2.6, 0.0]
    assert pace.departure(last, BOX, 40)
