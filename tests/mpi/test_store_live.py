"""Spectra stored by scores: any number of ranks, restarts and kills, a crystal that melts."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from test_restart_live import EVERY, finish, fix_script, kill, start

from strdyn_live import buffer, open_buffer

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("store_driver.py")


@pytest.fixture(scope="module")
def recorded(driver_in, tmp_path_factory):
    """A crystal: in full, and by 10 scores of 40 components on 1, 2 and 4 ranks."""
    folder = tmp_path_factory.mktemp("recorded")
    for name, store, n_ranks in (
        ("full", "full", 1),
        ("by1", "pca 10", 1),
        ("by2", "pca 10", 2),
        ("by4", "pca 10", 4),
    ):
        done = driver_in(folder)(DRIVER, name, "0", f"store={store}", n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
        (folder / f"{name}.out").write_text(done.stdout)
    return folder


def test_the_basis_is_the_same_on_any_number_of_ranks(recorded) -> None:
    one = open_buffer(recorded / "by1.sdl")
    assert (one.n_scores_of > 0).sum() > 10
    for n_ranks in (2, 4):
        other = open_buffer(recorded / f"by{n_ranks}.sdl")
        assert other.n_scores_of.tolist() == one.n_scores_of.tolist()
        n = int(one.n_scores_of[one.n_scores_of > 0][0])
        # the last directions have variances close to each other: the space is what is the same
        overlap = other.basis.components[:n] @ one.basis.components[:n].T
        np.testing.assert_allclose(overlap @ overlap.T, np.eye(n), atol=1e-5)
        np.testing.assert_allclose(np.abs(np.diag(overlap))[:6], 1.0, atol=1e-4)
        assert other.soap_error == pytest.approx(one.soap_error, rel=1e-3)
        for k in range(one.n_frames):
            np.testing.assert_allclose(other.soap(k), one.soap(k), rtol=0, atol=2e-5)


def test_spectra_are_within_the_bound_and_the_rest_is_exact(recorded) -> None:
    full, reduced = open_buffer(recorded / "full.sdl"), open_buffer(recorded / "by1.sdl")
    assert reduced.steps.tolist() == full.steps.tolist()
    assert 0 < reduced.soap_error < 0.1
    for k in range(full.n_frames):
        off = np.linalg.norm(reduced.soap(k) - full.soap(k), axis=1)
        np.testing.assert_allclose(off, reduced.residuals(k), atol=1e-5)
        assert off.max() <= reduced.soap_error
        np.testing.assert_array_equal(reduced.positions(k), full.positions(k))
        assert reduced.neighbors(k).ids.tolist() == full.neighbors(k).ids.tolist()
    assert buffer.verify(recorded / "by4.sdl").ok


def test_it_is_said_what_is_promised(recorded) -> None:
    said = (recorded / "by2.out").read_text()
    assert "found a basis of 10 scores in" in said
    assert f"each spectrum within {open_buffer(recorded / 'by2.sdl').soap_error:.2g}" in said


def test_several_writers(recorded, run_driver, tmp_path) -> None:
    done = run_driver(DRIVER, "run", "0", "store=pca 10", "writers=3", n_ranks=4)
    assert done.returncode == 0, done.stderr
    one, several = open_buffer(recorded / "by4.sdl"), open_buffer(tmp_path / "run.sdl")
    assert several.n_scores_of.tolist() == one.n_scores_of.tolist()
    for k in range(one.n_frames):
        np.testing.assert_allclose(several.soap(k), one.soap(k), rtol=0, atol=2e-5)


def test_neighbor_lists_alone(recorded, run_driver, tmp_path) -> None:
    """Ghosts are needed for the neighbor lists only: SOAP would refuse this cutoff."""
    words = ["store=none", "comm_cutoff=7.1"]
    done = run_driver(DRIVER, "run", "0", *words, n_ranks=2)
    assert done.returncode == 0, done.stderr
    full, none = open_buffer(recorded / "full.sdl"), open_buffer(tmp_path / "run.sdl")
    for k in range(full.n_frames):
        assert none.neighbors(k).ids.tolist() == full.neighbors(k).ids.tolist()
        assert none.frame(k).soap.shape[1] == 0


def test_a_crystal_that_melts(run_driver, tmp_path) -> None:
    """New spectra are beyond the bound: stored in full, and the basis grows."""
    for n_ranks in (1, 2):
        done = run_driver(DRIVER, f"run{n_ranks}", "250", "store=pca 10", n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
    assert "more than the" in done.stdout
    assert "the basis grows from 10 to" in done.stdout
    full = run_driver(DRIVER, "full", "250", n_ranks=1)
    assert full.returncode == 0
    full, reduced = open_buffer(tmp_path / "full.sdl"), open_buffer(tmp_path / "run1.sdl")
    n_scores = reduced.n_scores_of
    solid, hot = n_scores[reduced.steps <= 250], n_scores[reduced.steps > 260]
    assert solid[-1] == 10
    assert (hot == 0).any()
    for k in range(full.n_frames):
        off = np.linalg.norm(reduced.soap(k) - full.soap(k), axis=1)
        assert off.max() <= reduced.soap_error + 1e-6
    assert buffer.verify(tmp_path / "run2.sdl").ok


def alike(whole, parts) -> None:
    """Both buffers hold the same, but for which frames are reduced and rounding."""
    assert parts.steps.tolist() == whole.steps.tolist()
    bound = whole.soap_error + parts.soap_error
    for k in range(whole.n_frames):
        off = np.linalg.norm(parts.soap(k) - whole.soap(k), axis=1)
        assert off.max() <= bound + 1e-4
        assert parts.neighbors(k).ids.tolist() == whole.neighbors(k).ids.tolist()


@pytest.fixture(scope="module")
def whole(driver_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    finish(driver_in(folder), "run", 1000, "store=pca 10")
    return open_buffer(folder / "run.sdl")


def test_restarts_go_on_with_the_basis(whole, run_driver, tmp_path) -> None:
    """Before it is found, at once after, and later; on other numbers of ranks."""
    for n_steps, n_ranks in ((60, 2), (230, 2), (1000, 4)):
        done = finish(run_driver, "run", n_steps, "store=pca 10", n_ranks=n_ranks)
    assert "goes on with the basis of 10 scores in run.sdl" in done.stdout
    parts = open_buffer(tmp_path / "run.sdl")
    alike(whole, parts)
    assert buffer.verify(tmp_path / "run.sdl").ok
    assert (parts.n_scores_of > 0).sum() > 0.8 * (whole.n_scores_of > 0).sum()
    bases = {each.bound for each in parts.bases.values()}
    assert len(bases) == 1  # one promise, from the first start on


def test_kills_at_any_moment(whole, tmp_path) -> None:
    """Killed with SIGKILL while it runs, and resumed: nothing is missing, nothing twice."""
    rng = random.Random(3)
    for _ in range(3):
        process = start(tmp_path, 1000, "store=pca 10")
        time.sleep(rng.uniform(1.5, 4.0))
        kill(process, "all ranks")
        process.communicate(timeout=60)
    last = start(tmp_path, 1000, "store=pca 10")
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0, output
    parts = open_buffer(tmp_path / "run.sdl")
    assert set(np.diff(parts.steps)) == {EVERY}
    alike(whole, parts)
    assert buffer.verify(tmp_path / "run.sdl").ok


def test_a_fix_and_its_restart_file(run_lmp, tmp_path) -> None:
    """`store pca 10` in the words of a fix, over a restart."""
    words = "store pca 10"
    assert run_lmp(fix_script(330, words=words)).returncode == 0
    done = run_lmp(fix_script(400, "run.state.300", words=words), n_ranks=1)
    assert done.returncode == 0, done.stdout
    assert "goes on with the basis of 10 scores" in done.stdout
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.steps.tolist() == list(range(0, 401, EVERY))
    assert buf.n_scores_of[-1] == 10
    assert buffer.verify(tmp_path / "run.sdl").ok
    done = run_lmp(fix_script(500, "run.state.400", words="store pca 12"))
    assert done.returncode == 1
    assert "store is 'pca 10' there and 'pca 12' now" in done.stdout
