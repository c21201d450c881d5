"""Reduction: spectra become scores as soon as their basis is found, on the ranks that own them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .basis import Basis, blocks, principal_directions
from .buffer import Buffer
from .buffer.errors import DamageError
from .buffer.reader import read_quietly
from .config import LiveConfig
from .frame import Frame, Rows
from .moments import Moments
from .parallel import Ranks
from .soap import Soap

__all__ = ["Reduction"]

# The basis is frozen when it has held in so many frames that it was not made of: there the root
# mean square residual was at most so much larger than in those that it was made of.
_N_TRIALS = 2
_MOST_EXCESS = 1.1
# What is promised, in units of the largest residual of those frames.
_MARGIN = 2.0
_ROUNDING = 1e-6  # of spectra in float32: no basis can be better
# Sums over ranks are sums of whole numbers, which do not depend on the order of the ranks.
_UPPER, _LOWER = 2.0**20, 2.0**40


@dataclass(frozen=True)
class _Trial:
    """A basis that is tested: what it leaves out of the rows it was made of, root mean square."""

    basis: Basis
    left_out: float


class Reduction:
    """Finds the basis of a run in its first frames, and keeps to what it promises.

    1. The first frames are stored in full. Each tests the basis of those before it, by the root
       mean square of the residuals. Where two frames in a row leave out at most 1.1 times what the
       basis leaves out of the rows it was made of, it is frozen. The bound is twice the largest
       residual in these two frames.
    2. From then on frames are stored by scores and residuals.
    3. A frame with a residual above the bound is stored in full, and the basis grows until the
       largest residual of this frame is half the bound. It grows to at most half as many components
       as a spectrum has; frames beyond that are stored in full.

    All is the same on all ranks, and, rounding apart, for any number of ranks.

    Parameters
    ----------
    config : LiveConfig
        With ``store``. Nothing is done unless it is ``pca K``.

    Attributes
    ----------
    basis : Basis or None
        None until it is frozen.
    notes : list of str
        What has happened since they were taken.

    Raises
    ------
    ConfigError
        If K is more than half of the components of a spectrum.
    """

    def __init__(self, config: LiveConfig) -> None:
        self.basis: Basis | None = None
        self.notes: list[str] = []
        self._n_scores = config.stored.n_scores
        self._most_scores = config.stored.most_scores(Soap.of(config).n_features)
        self._moments: Moments | None = None
        self._trial: _Trial | None = None
        self._passed: tuple[float, ...] = ()  # largest residuals of the frames in a row
        self._goes_on = False
        self._is_full = False  # the basis may not grow any more

    def of_rows(self, rows: Rows, ranks: Ranks) -> Rows:
        """Return rows with their frame as `of_frame` returns it (collective)."""
        return replace(rows, frame=self.of_frame(rows.frame, ranks))

    def of_frame(self, frame: Frame, ranks: Ranks) -> Frame:
        """Return a frame as it is to be stored, and learn from it (collective).

        The first frame of every start is returned in full: `resume` learns from it, once it is
        stored.

        Parameters
        ----------
        frame : Frame
            With the spectra of the rows of this rank.
        ranks : Ranks
            All that have a part in the frame.
        """
        if self._n_scores is None or not self._goes_on:
            return frame
        with _one_thread():
            if self.basis is None:
                self._learn(frame, ranks)
                return frame
            with ranks.together():
                reduced = self.basis.project(frame.soap)
            if _largest(reduced[:, -1], ranks) <= self.basis.bound:
                return replace(frame, soap=reduced, basis=self.basis)
            self._grow(frame, reduced[:, -1], ranks)
            return frame

    def resume(self, path: str | os.PathLike[str], ranks: Ranks) -> None:
        """Learn from the live frames of a buffer, after the first one of this start (collective).

        A start that goes on with a buffer goes on with its basis.

        Raises
        ------
        RankError
            If frames are stored by a basis that cannot be read: the frames to come would have
            another one.
        """
        if self._n_scores is None or self._goes_on:
            return
        with ranks.together():
            if ranks.is_root:
                with _one_thread(), read_quietly(path) as stored:
                    self._replay(stored)
        state = (self.basis, self._moments, self._trial, self._passed, self._is_full)
        state = ranks.broadcast(state)
        self.basis, self._moments, self._trial, self._passed, self._is_full = state
        self._goes_on = True

    def take_notes(self) -> list[str]:
        """Return what has happened since the last call, in words."""
        notes, self.notes = self.notes, []
        return notes

    def _replay(self, stored: Buffer) -> None:
        """Do what has been done with the frames of a buffer."""
        alone, first = Ranks(), 0
        reduced = np.flatnonzero(stored.n_scores_of)
        if len(reduced):
            first = int(reduced[-1])
            self.basis = stored.basis_of(first)
            self.notes.append(
                f"step {stored.steps[-1]}: goes on with the basis of {self.basis.n_scores} scores "
                f"in {stored.path}, each spectrum within {self.basis.bound:.2g}"
            )
        for k in range(first, stored.n_frames):
            with contextlib.suppress(DamageError):  # the others tell enough
                if self.basis is None:
                    self._learn(stored.frame(k), alone)
                elif stored.n_scores_of[k] == 0:
                    frame = stored.frame(k)
                    self._grow(frame, self.basis.project(frame.soap)[:, -1], alone)

    def _learn(self, frame: Frame, ranks: Ranks) -> None:
        """Test the basis of the frames before, then add this one (collective)."""
        spectra, trial = frame.soap, self._trial
        with ranks.together():
            strange = not np.isfinite(spectra).all()
        if ranks.max(strange):
            return  # the writer refuses it
        if trial is not None:
            with ranks.together():
                residuals = trial.basis.project(spectra)[:, -1].astype(np.float64)
            left_out = _root_mean_square(residuals, ranks)
            if left_out <= max(_MOST_EXCESS * trial.left_out, _ROUNDING):
                self._passed = (*self._passed, _largest(residuals, ranks))
            else:
                self._passed = ()
        self._add(spectra, ranks)
        with ranks.together():
            if ranks.is_root:
                self._trial = self._fit()
        self._trial = ranks.broadcast(self._trial)
        if len(self._passed) >= _N_TRIALS and self._trial is not None:
            bound = max(_MARGIN * max(self._passed), _ROUNDING)
            self.basis = replace(self._trial.basis, bound=bound)
            n_rows = 0 if self._moments is None else self._moments.n_rows
            self.notes.append(
                f"step {frame.step}: found a basis of {self.basis.n_scores} scores in {n_rows} "
                f"spectra. They leave out {self._trial.left_out:.2g} (root mean square; the norm "
                f"of a spectrum is 1), and at most {max(self._passed):.2g} in {_N_TRIALS} frames "
                f"that it was not made of. From now on scores are stored, each spectrum within "
                f"{bound:.2g}"
            )
            self._moments = self._trial = None

    def _add(self, spectra: NDArray[np.float32], ranks: Ranks) -> None:
        """Add the spectra of all ranks to the moments (collective)."""
        n_features = spectra.shape[1]
        if self._moments is None:
            n_rows = max(1, int(ranks.sums([len(spectra)])[0]))
            origin = _sum(spectra.sum(axis=0, dtype=np.float64), ranks) / n_rows
            products = np.zeros((n_features, n_features))
            self._moments = Moments(origin, 0, np.zeros(n_features), products)
        with ranks.together():
            mine = Moments.sum(
                Moments.of(spectra[rows].astype(np.float64), origin=self._moments.origin)
                for rows in (*blocks(len(spectra)), slice(0, 0))
            )
        n_rows = int(ranks.sums([mine.n_rows])[0])
        total, products = _sum(mine.total, ranks), _symmetric_sum(mine.products, ranks)
        self._moments += Moments(mine.origin, n_rows, total, products)

    def _fit(self) -> _Trial | None:
        """Return the basis of all rows so far."""
        if self._moments is None or self._n_scores is None or self._moments.n_rows == 0:
            return None
        directions, variances = principal_directions(self._moments, self._n_scores)
        left_out = float(np.sqrt(variances[self._n_scores :].sum()))
        return _Trial(Basis(self._moments.mean, directions, np.inf), left_out)

    def _grow(self, frame: Frame, norms: NDArray[np.float32], ranks: Ranks) -> None:
        """Give the basis directions for residuals beyond its bound, if there are any (collective).

        Their norms are known.
        """
        basis, largest = self.basis, _largest(norms, ranks)
        if basis is None or self._is_full or not basis.bound < largest < np.inf:
            return
        with ranks.together():
            beyond = basis.residuals(frame.soap[norms > basis.bound])
        n_beyond = int(ranks.sums([len(beyond)])[0])
        products = _symmetric_sum(beyond.T @ beyond, ranks)
        moments = Moments(np.zeros(len(products)), n_beyond, np.zeros(len(products)), products)
        with ranks.together():
            directions = None
            if ranks.is_root:
                directions, _ = principal_directions(moments, basis.n_features)
        directions = ranks.broadcast(directions)
        with ranks.together():
            # column n: what the first n directions leave out, of the worst row
            squares = (beyond @ directions.T) ** 2
            left_out = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1].max(axis=0, initial=0.0)
        worst = np.sqrt([*ranks.maxima(left_out.tolist()), 0.0])
        n_more = int(np.flatnonzero(worst <= basis.bound / _MARGIN)[0])
        found = (
            f"step {frame.step}: residuals of {n_beyond} spectra are up to {largest:.2g}, more "
            f"than the {basis.bound:.2g} promised, and this frame is stored in full"
        )
        if basis.n_scores + n_more > self._most_scores:
            self._is_full = True
            self.notes.append(
                f"{found}. {n_more} more components would make the basis larger than half a "
                f"spectrum ({self._most_scores}): it stays as it is, and all such frames are "
                "stored in full"
            )
            return
        self.basis = basis.grown(directions[:n_more])
        self.notes.append(f"{found}; the basis grows from {basis.n_scores} to "
                          f"{self.basis.n_scores} components")  # fmt: skip


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep BLAS from starting a thread for each core: every core has a rank of its own."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def _largest(values: NDArray[np.floating], ranks: Ranks) -> float:
    """Return the largest value of all ranks; infinity if one is not finite (collective)."""
    mine = float(values.max(initial=0.0))
    return ranks.max(mine if np.isfinite(mine) else np.inf)


def _root_mean_square(values: NDArray[np.float64], ranks: Ranks) -> float:
    n_values = max(1, int(ranks.sums([len(values)])[0]))
    return float(np.sqrt(ranks.total(float(values @ values)) / n_values))


def _sum(values: NDArray[np.float64], ranks: Ranks) -> NDArray[np.float64]:
    """Return the sum of arrays over ranks, to 10⁻¹⁸ (collective)."""
    scaled = values.ravel() * _UPPER
    upper = np.round(scaled)
    lower = np.round((scaled - upper) * _LOWER)
    n = len(upper)
    parts = ranks.sums([*upper.astype(np.int64).tolist(), *lower.astype(np.int64).tolist()])
    return ((parts[:n] + parts[n:] / _LOWER) / _UPPER).reshape(values.shape)


def _symmetric_sum(values: NDArray[np.float64], ranks: Ranks) -> NDArray[np.float64]:
    """Return the sum of symmetric matrices over ranks (collective)."""
    upper = np.triu_indices(len(values))
    result = np.zeros_like(values)
    result[upper] = _sum(values[upper], ranks)
    result.T[upper] = result[upper]
    return result
