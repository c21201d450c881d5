"""Reduction: spectra become scores as soon as their basis is found, on the ranks that own them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .basis import Basis, blas_threads, blocks, principal_directions
from .buffer import Buffer
from .buffer.errors import DamageError
from .buffer.reader import read_quietly
from .config import LiveConfig
from .frame import Frame, Rows
from .moments import Moments
from .parallel import Ranks, outcome_of
from .soap import Soap

__all__ = ["Reduction"]

_T = TypeVar("_T")

# The basis is frozen when it has held in so many frames that it was not made of: there the root
# mean square residual was at most so much larger than in those that it was made of.
_N_TRIALS = 2
_MOST_EXCESS = 1.1
# What is promised, in units of the largest residual of those frames.
_MARGIN = 2.0
_ROUNDING = 1e-6  # of spectra in float32: no basis can be better


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
        self._n_threads = config.threads
        self._most_scores = config.stored.most_scores(Soap.of(config).n_features)
        self._moments: Moments | None = None
        self._trial: _Trial | None = None
        self._passed: tuple[float, ...] = ()  # largest residuals of the frames in a row
        self._goes_on = False
        self._holds = True  # the basis has held in the last frame
        self._is_full = False  # the basis may not grow any more

    @property
    def next_basis(self) -> Basis | None:
        """Basis by which `of_rows` wants the next frame at first; None: in full."""
        return self.basis if self._works and self._holds else None

    def of_rows(
        self, describe: Callable[[Basis | None], Rows], ranks: Ranks
    ) -> Rows | BaseException:
        """Describe a frame; return its rows as `of_frame` returns them (collective).

        Once the basis is found, spectra become scores while they are described, and are never all
        in memory. If that leaves out too much, they are described again; and if it did so in the
        frame before, in full at first.

        Parameters
        ----------
        describe : callable
            Describes the rows of this rank: in full, or by scores of the basis that it gets.

        Returns
        -------
        Rows or BaseException
            Of this rank; or what went wrong in making them (see `strdyn_live.parallel.outcome_of`).

        Raises
        ------
        RankError
            As `of_frame`.
        """
        if not self._works:
            return outcome_of(lambda: describe(None))
        if (basis := self.next_basis) is not None:
            rows = outcome_of(lambda: describe(basis))
            with ranks.together(n_maxima=1) as shared:
                shared.maxima[0] = _largest(_raised(rows).frame.soap[:, -1])
            if shared.maxima[0] <= basis.bound:
                return rows
        rows = outcome_of(lambda: describe(None))
        with blas_threads(self._n_threads):
            frame = self._of_frame(rows if isinstance(rows, BaseException) else rows.frame, ranks)
        return rows if isinstance(rows, BaseException) else replace(rows, frame=frame)

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

        Raises
        ------
        RankError
            On every rank, if something went wrong on one.
        """
        if not self._works:
            return frame
        with blas_threads(self._n_threads):
            return self._of_frame(frame, ranks)

    @property
    def _works(self) -> bool:
        return self._n_scores is not None and self._goes_on

    def _of_frame(self, outcome: Frame | BaseException, ranks: Ranks) -> Frame:
        if self.basis is None:
            return self._learn(outcome, ranks)
        with ranks.together(n_maxima=1) as shared:
            frame = _raised(outcome)
            reduced = self.basis.project(frame.soap)
            shared.maxima[0] = _largest(reduced[:, -1])
        largest = float(shared.maxima[0])
        self._holds = largest <= self.basis.bound
        if self._holds:
            return replace(frame, soap=reduced, basis=self.basis)
        self._grow(frame, reduced[:, -1], largest, ranks)
        return frame

    def resume(self, path: str | os.PathLike[str], frame: Frame, ranks: Ranks) -> None:
        """Learn from the live frames of a buffer, after the first one of this start (collective).

        A start that goes on with a buffer goes on with its basis. The root reads the frames; if
        there is only the first, all writers learn from their own part of it.

        Parameters
        ----------
        path : str or path
            The buffer.
        frame : Frame
            The first one of this start, with the rows that this rank has written.

        Raises
        ------
        RankError
            If frames are stored by a basis that cannot be read: the frames to come would have
            another one.
        """
        if self._n_scores is None or self._goes_on:
            return
        begins = False
        with ranks.together():
            if ranks.is_root:
                with blas_threads(self._n_threads), read_quietly(path) as stored:
                    begins = stored.n_scores_of.tolist() == [0]
                    if not begins:
                        self._replay(stored)
        state = (begins, self.basis, self._moments, self._trial, self._passed, self._is_full)
        state = ranks.broadcast(state)
        begins, self.basis, self._moments, self._trial, self._passed, self._is_full = state
        if begins:
            with blas_threads(self._n_threads):
                self._learn(frame, ranks)
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
                    norms = self.basis.project(frame.soap)[:, -1]
                    self._grow(frame, norms, _largest(norms), alone)

    def _learn(self, outcome: Frame | BaseException, ranks: Ranks) -> Frame:
        """Test the basis of the frames before, then add this one; return it (collective)."""
        trial = self._trial
        with ranks.together(n_sums=1, n_totals=1, n_maxima=2) as shared:
            frame = _raised(outcome)
            shared.maxima[0] = _largest(frame.soap)
            if trial is not None:
                residuals = trial.basis.project(frame.soap)[:, -1].astype(np.float64)
                shared.sums[0], shared.totals[0] = len(residuals), residuals @ residuals
                shared.maxima[1] = _largest(residuals)
        if not np.isfinite(shared.maxima[0]):
            return frame  # the writer refuses it
        if trial is not None:
            left_out = float(np.sqrt(shared.totals[0] / max(1, shared.sums[0])))
            if left_out <= max(_MOST_EXCESS * trial.left_out, _ROUNDING):
                self._passed = (*self._passed, float(shared.maxima[1]))
            else:
                self._passed = ()
        self._add(frame.soap, ranks)
        with ranks.together():
            if ranks.is_root:
                self._trial = self._fit()
        self._trial = ranks.broadcast(self._trial)
        if len(self._passed) >= _N_TRIALS and self._trial is not None:
            self._freeze(self._trial, frame.step)
        return frame

    def _freeze(self, trial: _Trial, step: int) -> None:
        """Take a basis, and promise what it has held."""
        largest, n_rows = max(self._passed), 0 if self._moments is None else self._moments.n_rows
        self.basis = replace(trial.basis, bound=max(_MARGIN * largest, _ROUNDING))
        self.notes.append(
            f"step {step}: found a basis of {self.basis.n_scores} scores in {n_rows} spectra. They "
            f"leave out {trial.left_out:.2g} (root mean square; the norm of a spectrum is 1), and "
            f"at most {largest:.2g} in {_N_TRIALS} frames that it was not made of. From now on "
            f"scores are stored, each spectrum within {self.basis.bound:.2g}"
        )
        self._moments = self._trial = None

    def _add(self, spectra: NDArray[np.float32], ranks: Ranks) -> None:
        """Add the spectra of all ranks to the moments (collective)."""
        n_features = spectra.shape[1]
        upper = np.triu_indices(n_features)
        if self._moments is None:
            with ranks.together(n_sums=1, n_totals=n_features) as shared:
                shared.sums[0] = len(spectra)
                shared.totals[:] = spectra.sum(axis=0, dtype=np.float64)
            origin = shared.totals / max(1, shared.sums[0])
            products = np.zeros((n_features, n_features))
            self._moments = Moments(origin, 0, np.zeros(n_features), products)
        with ranks.together(n_sums=1, n_totals=n_features + len(upper[0])) as shared:
            mine = Moments.sum(
                Moments.of(spectra[rows].astype(np.float64), origin=self._moments.origin)
                for rows in (*blocks(len(spectra)), slice(0, 0))
            )
            shared.sums[0] = mine.n_rows
            shared.totals[:] = np.concatenate([mine.total, mine.products[upper]])
        self._moments += Moments(
            self._moments.origin,
            int(shared.sums[0]),
            shared.totals[:n_features].copy(),
            _symmetric(shared.totals[n_features:], n_features),
        )

    def _fit(self) -> _Trial | None:
        """Return the basis of all rows so far."""
        if self._moments is None or self._n_scores is None or self._moments.n_rows == 0:
            return None
        directions, variances = principal_directions(self._moments, self._n_scores)
        left_out = float(np.sqrt(variances[self._n_scores :].sum()))
        return _Trial(Basis(self._moments.mean, directions, np.inf), left_out)

    def _grow(self, frame: Frame, norms: NDArray[np.float32], largest: float, ranks: Ranks) -> None:
        """Give the basis directions for residuals beyond its bound, if there are any (collective).

        Their norms are known, and the largest of all ranks.
        """
        basis = self.basis
        if basis is None or self._is_full or not basis.bound < largest < np.inf:
            return
        n_features = basis.n_features
        upper = np.triu_indices(n_features)
        with ranks.together(n_sums=1, n_totals=len(upper[0])) as shared:
            beyond = basis.residuals(frame.soap[norms > basis.bound])
            shared.sums[0], shared.totals[:] = len(beyond), (beyond.T @ beyond)[upper]
        n_beyond = int(shared.sums[0])
        nothing = np.zeros(n_features)
        moments = Moments(nothing, n_beyond, nothing, _symmetric(shared.totals, n_features))
        directions = nothing[np.newaxis]
        with ranks.together():
            if ranks.is_root:
                directions, _ = principal_directions(moments, n_features)
        directions = ranks.broadcast(directions)
        with ranks.together(n_maxima=n_features) as shared:
            # column n: what the first n directions leave out, of the worst row
            squares = (beyond @ directions.T) ** 2
            left_out = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
            shared.maxima[:] = left_out.max(axis=0, initial=0.0)
        worst = np.sqrt([*shared.maxima, 0.0])
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


def _largest(values: NDArray[np.floating[Any]]) -> float:
    """Return the largest value; infinity if one is not finite."""
    largest = float(np.maximum(values.max(initial=0.0), -values.min(initial=0.0)))
    return largest if np.isfinite(largest) else np.inf


def _symmetric(upper: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the symmetric matrix of an upper triangle."""
    result = np.zeros((n, n))
    result[np.triu_indices(n)] = upper
    return result + np.triu(result, 1).T


def _raised(outcome: _T | BaseException) -> _T:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
