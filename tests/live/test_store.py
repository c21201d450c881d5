"""Store, Basis and Reduction against numpy's SVD and worked-out numbers, without MPI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fault_frames import make_frame

from strdyn_live import LiveConfig
from strdyn_live.basis import Basis, principal_directions
from strdyn_live.buffer import BufferError, BufferWriter, open_buffer
from strdyn_live.describe import reach_of
from strdyn_live.frame import Frame
from strdyn_live.moments import Moments
from strdyn_live.parallel import RankError, Ranks
from strdyn_live.reduction import Reduction
from strdyn_live.settings import ConfigError
from strdyn_live.soap import Soap
from strdyn_live.store import Store

N_ATOMS, N_FEATURES = 40, 24  # n_max 3, l_max 3: 4 × 3 × 4 / 2


def config(folder: Path, **changes: object) -> LiveConfig:
    given = {"r_cut": 6.0, "elements": "Cu", "n_max": 3, "l_max": 3, "store": "pca 4"}
    return LiveConfig(**{**given, "file": str(folder / "run.sdl"), **changes})


@pytest.mark.parametrize("text", ["full", "none", "pca 7"])
def test_store_in_words_and_in_python(text: str) -> None:
    words = LiveConfig.from_words(f"r_cut 6 store {text} elements Cu file a.sdl")
    assert words == LiveConfig(r_cut=6, elements="Cu", file="a.sdl", store=text)
    assert words.store == text
    assert LiveConfig.from_mapping(words.as_dict()) == words


@pytest.mark.parametrize("text", ["pca", "pca 0", "pca -3", "pca 3 4", "some", "pca 3.5", ""])
def test_a_store_that_makes_no_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="expected full, none, or pca and a number of scores"):
        LiveConfig(r_cut=6, elements="Cu", file="a.sdl", store=text)


def test_more_scores_than_half_a_spectrum_are_refused(tmp_path: Path) -> None:
    assert Store.parse("pca 12").most_scores(24) == 12
    with pytest.raises(ConfigError, match="at most 12 scores"):
        Reduction(config(tmp_path, store="pca 13"))


def test_what_may_be_stored_in_place_of_a_spectrum() -> None:
    columns = range(30)
    assert [n for n in columns if Store.parse("full").allows(n, 24)] == [24]
    assert [n for n in columns if Store.parse("none").allows(n, 24)] == [0]
    assert [n for n in columns if Store.parse("pca 10").allows(n, 24)] == [11, 12, 13, 24]


def test_a_model_needs_spectra() -> None:
    with pytest.raises(ConfigError, match="a model labels atoms by their spectra"):
        LiveConfig(r_cut=6, elements="Cu", file="a.sdl", store="none", model="results")


def test_reach_without_spectra(tmp_path: Path) -> None:
    """SOAP reaches r_cut + 3.717 sigma, neighbor lists lens_r_cut."""
    for store, reach in (("full", 9.717), ("none", 6.0)):
        given = config(tmp_path, store=store)
        assert reach_of(Soap.of(given), given) == pytest.approx(reach, abs=1e-3)


def made_of_few(n_rows: int, rng: np.random.Generator, n_directions: int = 4) -> np.ndarray:
    """Return rows near a plane of some dimensions; what lies off it is 1e-3 in each direction."""
    plane = np.linalg.qr(np.random.default_rng(1).normal(size=(N_FEATURES, N_FEATURES)))[0].T
    spread = np.full(N_FEATURES, 1e-3)
    spread[:n_directions] = 0.5 - 0.1 * np.arange(n_directions)
    rows = 1.0 + rng.normal(size=(n_rows, N_FEATURES)) * spread @ plane
    return (rows / np.sqrt(N_FEATURES)).astype(np.float32)


def frame_of(step: int, soap: np.ndarray) -> Frame:
    return replace(make_frame(step, len(soap)), soap=soap, cell=50 * np.eye(3))


class Run:
    """Frames that go the way of a recording: reduced, committed, learned from."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.config = config(folder, **changes)
        self.reduction = Reduction(self.config)
        self.writer = BufferWriter(
            self.config,
            atom_ids=np.arange(1, N_ATOMS + 1),
            species=np.zeros(N_ATOMS),
            units="metal",
        )
        self.notes: list[str] = []

    def take(self, step: int, soap: np.ndarray) -> int:
        """Take a frame; return the number of columns that are stored."""
        frame = self.reduction.of_frame(frame_of(step, soap), Ranks())
        self.writer.append(frame)
        self.reduction.resume(self.config.file, frame, Ranks())
        self.notes += self.reduction.take_notes()
        return frame.soap.shape[1]


def test_the_basis_is_that_of_an_svd(tmp_path: Path) -> None:
    """In full until two frames hold; then mean and directions are numpy's, of the first frames."""
    rng = np.random.default_rng(0)
    frames = [made_of_few(N_ATOMS, rng) for _ in range(40)]
    run = Run(tmp_path)
    columns = [run.take(step, soap) for step, soap in enumerate(frames)]
    n_full = columns.index(5)
    assert columns == [24] * n_full + [5] * (40 - n_full)
    assert 3 <= n_full < 20
    rows = np.concatenate(frames[:n_full]).astype(np.float64)
    mean = rows.mean(axis=0)
    _, singular, directions = np.linalg.svd(rows - mean, full_matrices=False)
    basis = run.reduction.basis
    np.testing.assert_allclose(basis.mean, mean, atol=1e-12)
    np.testing.assert_allclose(np.abs(basis.components @ directions[:4].T), np.eye(4), atol=1e-8)
    left_out = np.sqrt((singular[4:] ** 2).sum() / (len(rows) - 1))
    assert f"They leave out {left_out:.2g}" in run.notes[0]
    # twice the largest residual of the two frames before, by bases of the frames before them
    largest = []
    for k in (n_full - 2, n_full - 1):
        known = np.concatenate(frames[:k]).astype(np.float64)
        shifted = frames[k] - known.mean(axis=0)
        plane = np.linalg.svd(known - known.mean(axis=0))[2][:4]
        largest.append(np.linalg.norm(shifted - shifted @ plane.T @ plane, axis=1).max())
    assert basis.bound == pytest.approx(2 * max(largest), rel=1e-4)


def test_no_basis_while_frames_differ(tmp_path: Path) -> None:
    """Each frame brings a new direction: the subspace does not converge."""
    run = Run(tmp_path)
    for step in range(12):
        rng = np.random.default_rng(step)
        soap = np.full((N_ATOMS, N_FEATURES), 0.2, np.float32)
        soap[:, step] += rng.normal(size=N_ATOMS)
        assert run.take(step, soap) == N_FEATURES
    assert run.reduction.basis is None
    assert run.notes == []


def test_scores_keep_their_promise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [made_of_few(N_ATOMS, rng) for _ in range(60)]
    run = Run(tmp_path)
    columns = [run.take(step, soap) for step, soap in enumerate(frames)]
    run.writer.close()
    buf = open_buffer(run.config.file)
    assert buf.n_scores_of.tolist() == [0 if n == N_FEATURES else n - 1 for n in columns]
    bound = buf.soap_error
    assert 0 < bound < 0.01
    for k, soap in enumerate(frames):
        off = np.linalg.norm(buf.soap(k).astype(np.float64) - soap, axis=1)
        np.testing.assert_allclose(off, buf.residuals(k), atol=2e-7)
        assert off.max() <= bound
        expected = (soap - buf.basis.mean) @ buf.basis.components.T
        np.testing.assert_allclose(buf.scores(k), expected, atol=1e-6)


def test_what_is_new_is_stored_in_full_and_the_basis_grows(tmp_path: Path) -> None:
    """A few rows leave the plane along one more direction, later along another."""
    rng = np.random.default_rng(0)
    extra = np.linalg.qr(np.random.default_rng(1).normal(size=(N_FEATURES, N_FEATURES)))[0].T
    run, frames, columns = Run(tmp_path), [], []
    for step in range(60):
        soap = made_of_few(N_ATOMS, rng)
        for start, direction in ((30, 10), (45, 11)):
            if step >= start:
                soap[:3] += (0.1 * rng.normal(size=(3, 1)) * extra[direction]).astype(np.float32)
        frames.append(soap)
        columns.append(run.take(step, soap))
    first = run.reduction.basis.first(4)
    assert columns[25:30] == [5] * 5
    assert columns[30] == columns[45] == N_FEATURES
    assert 5 < columns[44] < columns[59] < 13
    assert sum("the basis grows from" in note for note in run.notes) == columns[30:].count(24)
    gram = run.reduction.basis.components @ run.reduction.basis.components.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)
    run.writer.close()
    buf = open_buffer(run.config.file)
    for k, soap in enumerate(frames):
        assert np.linalg.norm(buf.soap(k) - soap, axis=1).max() <= buf.soap_error
    # scores of the old basis are the first of the new one, and zeros
    assert np.array_equal(buf.scores(28)[:, 4:], np.zeros((N_ATOMS, buf.basis.n_scores - 4)))
    np.testing.assert_array_equal(buf.scores(28)[:, :4], first.project(frames[28])[:, :4])
    assert buf.scores(59).shape == (N_ATOMS, buf.basis.n_scores)


def test_a_basis_does_not_grow_beyond_half_a_spectrum(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = Run(tmp_path)
    for step in range(30):
        run.take(step, made_of_few(N_ATOMS, rng))
    molten = [rng.normal(size=(N_ATOMS, N_FEATURES)).astype(np.float32) / 5 for _ in range(3)]
    assert [run.take(30 + k, soap) for k, soap in enumerate(molten)] == [N_FEATURES] * 3
    assert run.take(33, made_of_few(N_ATOMS, rng)) == 5
    assert sum("larger than half a spectrum (12)" in note for note in run.notes) == 1


def test_spectra_without_any_difference(tmp_path: Path) -> None:
    """A perfect crystal: float32 is the limit."""
    run = Run(tmp_path)
    soap = np.tile(made_of_few(1, np.random.default_rng(0)), (N_ATOMS, 1))
    assert [run.take(step, soap) for step in range(6)] == [24, 24, 24, 5, 5, 5]
    assert run.reduction.basis.bound == 1e-6


@pytest.mark.parametrize("stop", [2, 10, 32])
def test_a_restart_goes_on_with_the_same_basis(tmp_path: Path, stop: int) -> None:
    """Before the basis is found, after it, and after it has grown."""
    rng = np.random.default_rng(0)
    frames = [made_of_few(N_ATOMS, rng) for _ in range(60)]
    extra = np.linalg.qr(np.random.default_rng(1).normal(size=(N_FEATURES, N_FEATURES)))[0].T
    for soap in frames[30:]:
        soap[:3] += (0.1 * rng.normal(size=(3, 1)) * extra[10]).astype(np.float32)
    whole, parts = Run(tmp_path / "whole"), Run(tmp_path / "parts")
    for step, soap in enumerate(frames):
        whole.take(step, soap)
    for step, soap in enumerate(frames[: stop + 5]):
        parts.take(step, soap)
    parts.writer._release()  # killed, and its restart file is older
    again = Run(tmp_path / "parts", append="force")
    for step in range(stop, 60):
        again.take(step, frames[step])
    again.writer.close()
    whole.writer.close()
    one, other = open_buffer(whole.config.file), open_buffer(again.config.file)
    assert one.steps.tolist() == other.steps.tolist()
    assert other.basis.is_same(one.basis)
    for k in range(60):
        np.testing.assert_allclose(
            other.soap(k), one.soap(k), atol=0 if k not in (stop, 30) else one.soap_error
        )


def test_a_restart_without_the_basis_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = Run(tmp_path)
    for step in range(30):
        run.take(step, made_of_few(N_ATOMS, rng))
    run.writer.close()
    (tmp_path / "run.sdl/basis-0000-00004.json").unlink()
    again = Run(tmp_path, append=True)
    with pytest.raises(
        (BufferError, RankError), match=r"Put back a copy of basis-0000-00004\.json"
    ):
        again.take(40, made_of_few(N_ATOMS, rng))


def test_a_spectrum_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = Run(tmp_path)
    for step in range(40):
        soap = made_of_few(N_ATOMS, rng)
        if step in (1, 30):
            soap[7, 3] = np.nan
            with pytest.raises(BufferError, match="spectrum of atom ID 8 is not finite"):
                run.take(step, soap)
        else:
            run.take(step, soap)
    assert np.isfinite(run.reduction.basis.components).all()


def test_directions_do_not_depend_on_chance() -> None:
    """Their largest component is positive; variances are those of numpy."""
    rows = np.random.default_rng(0).normal(size=(50, 6)) * [6, 5, 4, 3, 2, 1]
    moments = Moments.sum(Moments.of(part, origin=np.ones(6)) for part in (rows[:20], rows[20:]))
    directions, variances = principal_directions(moments, 3)
    np.testing.assert_allclose(variances, np.linalg.eigvalsh(np.cov(rows.T))[::-1])
    largest = np.abs(directions).argmax(axis=1)
    assert (directions[np.arange(3), largest] > 0).all()


def test_a_basis_that_grows_keeps_its_scores() -> None:
    rng = np.random.default_rng(2)
    basis = Basis(rng.normal(size=9), np.linalg.qr(rng.normal(size=(9, 3)))[0].T, 1.0)
    grown = basis.grown(rng.normal(size=(2, 9)))
    spectra = rng.normal(size=(20_000, 9)).astype(np.float32)  # several blocks
    old, new = basis.project(spectra), grown.project(spectra)
    np.testing.assert_allclose(new[:, :3], old[:, :3], atol=1e-6)
    np.testing.assert_array_equal(grown.expand(old), basis.expand(old))
    assert (new[:, -1] <= old[:, -1] + 1e-6).all()
    assert basis.expand(np.empty((0, 4), np.float32)).shape == (0, 9)
