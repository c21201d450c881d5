"""The proof of the ghost shell, on sub-domains made by hand."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

from strdyn_live.box import Box
from strdyn_live.frame import LocalFrame, RunStart
from strdyn_live.ghost_shell import check_ghost_shell, check_images
from strdyn_live.parallel import RankError, Ranks


def one_rank(positions, cell, shell, periodic=(True, True, True)):
    """What a single rank holds whose ghosts lie up to `shell` from the box."""
    positions = np.asarray(positions, dtype=float)
    inverse = np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    shifts = [range(-4, 5) if flag else (0,) for flag in periodic]
    n_owned = len(positions)
    ghosts, owners = [], [np.arange(n_owned)]
    for shift in itertools.product(*shifts):
        if shift != (0, 0, 0):
            images = positions + np.array(shift) @ cell
            fraction = images @ inverse
            outside = (np.maximum(-fraction, fraction - 1).clip(0) * heights).max(axis=1)
            ghosts.append(images[outside <= shell])
            owners.append(np.flatnonzero(outside <= shell))
    everything = np.concatenate([positions, *ghosts])
    return LocalFrame(
        step=7,
        run_start=RunStart(0),
        time=0.0,
        box=Box(np.asarray(cell, dtype=float), np.zeros(3), periodic),
        box_changes=False,
        bounds=np.array([[0.0] * 3, [1.0] * 3]),
        n_owned=n_owned,
        atom_ids=np.concatenate(owners) + 1,
        types=np.ones(len(everything), dtype=np.int32),
        positions=everything,
        centers=np.arange(n_owned),
        environment=np.ones(len(everything), dtype=bool),
    )


CELLS = {
    "cube": np.diag([10.0, 11.0, 12.0]),
    "triclinic": np.array([[10.0, 0, 0], [3.0, 11.0, 0], [-4.0, 2.5, 12.0]]),
    "small": np.diag([4.0, 4.5, 5.0]),
}


@pytest.fixture(params=list(CELLS))
def system(request):
    cell = CELLS[request.param]
    rng = np.random.default_rng(5)
    return rng.uniform(-0.02, 1.02, (150, 3)) @ cell, cell  # some outside the box


def test_a_shell_with_room_for_the_skin_passes(system):
    assert check_ghost_shell(one_rank(*system, shell=8.0), 6.0, Ranks(), skin=2.0) == ""


def test_a_shell_that_is_too_thin_is_refused_with_the_number_to_set(system):
    with pytest.raises(RankError, match="Put 'comm_modify cutoff 8.00' before the run"):
        check_ghost_shell(one_rank(*system, shell=5.5), 6.0, Ranks(), skin=2.0)


def test_a_shell_without_room_for_the_usual_skin_is_told(system):
    """`neighbor 0.3` needs no more; which skin is in use LAMMPS does not tell."""
    says = check_ghost_shell(one_rank(*system, shell=6.4), 6.0, Ranks(), skin=2.0)
    room = float(
        re.search(r"enough if your 'neighbor' command sets a skin of at most (\S+)\.", says)[1]
    )
    assert 0.39 < room < 1.5  # to the next image that is not there
    assert "put 'comm_modify cutoff' to 6.00 + skin" in says


def test_an_atom_that_has_left_ends_the_proof(system):
    """Its images are not listed: at 1e5 boxes there would be no end to them."""
    positions, cell = system
    for far in (1e5, 1e308):
        frame = one_rank(positions, cell, shell=8.0)
        frame.positions[3, 1] = far
        with pytest.raises(RankError, match="step 7: atom ID 4 lies .* outside of the sub-domain"):
            check_ghost_shell(frame, 6.0, Ranks(), skin=2.0)


def test_later_frames_may_use_the_skin(system):
    frame = one_rank(*system, shell=7.0)  # atoms have drifted since the first frame
    check_ghost_shell(frame, 6.0, Ranks())


def test_a_missing_image_is_found_in_any_later_frame(system):
    with pytest.raises(RankError, match="step 7: the ghost atoms of some rank end about 5"):
        check_ghost_shell(one_rank(*system, shell=5.0), 6.0, Ranks())


def test_a_sparse_system_has_few_ghosts_and_lacks_nothing():
    cell = np.diag([40.0, 40.0, 40.0])
    frame = one_rank([[20.0, 20.0, 20.0]], cell, shell=8.0)
    assert len(frame.positions) == 1  # no ghost, and so no evidence: the images are counted
    check_ghost_shell(frame, 6.0, Ranks(), skin=2.0)
    check_ghost_shell(frame, 6.0, Ranks())
    near_a_face = one_rank([[1.0, 20.0, 20.0]], cell, shell=0.5)
    with pytest.raises(RankError, match="end about 1.00"):
        check_ghost_shell(near_a_face, 6.0, Ranks())


def test_nothing_is_missing_beyond_free_boundaries():
    rng = np.random.default_rng(2)
    cell = np.diag([10.0, 10.0, 10.0])
    positions = rng.uniform(0.0, 1.0, (100, 3)) @ cell
    frame = one_rank(positions, cell, shell=0.0, periodic=(False, False, False))
    check_ghost_shell(frame, 6.0, Ranks(), skin=2.0)
    walled = one_rank(positions, cell, shell=8.0, periodic=(True, False, True))
    check_ghost_shell(walled, 6.0, Ranks(), skin=2.0)


def test_ghosts_of_another_box_are_found(system):
    """What `fix deform ... remap x` leaves at the end of a step: ghosts of the box before."""
    frame = one_rank(*system, shell=8.0)
    check_images(frame, Ranks())
    stretched = frame.box.cell * np.array([1.0 + 1e-7, 1.0, 1.0])
    owned = frame.positions[: frame.n_owned] @ np.linalg.inv(frame.box.cell) @ stretched
    positions = np.concatenate([owned, frame.positions[frame.n_owned :]])
    box = dataclasses.replace(frame.box, cell=stretched)
    with pytest.raises(RankError, match="the box has changed since the ghost atoms were placed"):
        check_images(dataclasses.replace(frame, box=box, positions=positions), Ranks())
