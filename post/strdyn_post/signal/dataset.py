"""The data set of χ = (p/|p|, δ), read from the buffer in chunks, never whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .same_frames import KnownFrames
from .series import AnalysisError, Series

__all__ = ["Dataset"]

_ROWS_PER_CHUNK = 16384  # 42 MB of float64 at 325 features


@dataclass(frozen=True)
class Dataset:
    r"""Rows :math:`\chi_i^t = (\mathbf{p}_i^t / |\mathbf{p}_i^t|, \delta_i^{t \to t+\Delta t})`.

    One row for every (frame, atom), frame by frame in the order of `delta`. The first n_features
    columns are the SOAP data set: both routes see the same rows.

    Attributes
    ----------
    buffer : Buffer
        `steps`, `atom_ids`, `soap(k)`.
    delta : Series
        δ with the steps and IDs of the rows.
    frames : (n_frames,) int64 ndarray
        Where these frames are in the buffer.
    rows_per_chunk : int
        About how many rows are in memory at a time.
    """

    buffer: Any
    delta: Series
    frames: NDArray[np.int64]
    rows_per_chunk: int = _ROWS_PER_CHUNK

    @classmethod
    def join(cls, buffer: Any, delta: Series, rows_per_chunk: int = _ROWS_PER_CHUNK) -> Dataset:
        """Pair spectra and δ by (step, atom ID).

        Raises
        ------
        AnalysisError
            If the buffer lacks a step, or its atoms are not those of `delta`.
        """
        steps = np.asarray(buffer.steps, dtype=np.int64)
        frames = np.searchsorted(steps, delta.steps)
        found = steps[np.minimum(frames, len(steps) - 1)] == delta.steps
        if not found.all():
            raise AnalysisError(
                f"step {delta.steps[~found][0]} of LENS is not in the buffer: "
                "spectra and LENS come from different recordings."
            )
        if not np.array_equal(buffer.atom_ids, delta.atom_ids):
            raise AnalysisError(
                f"the buffer describes {len(buffer.atom_ids)} atoms and LENS "
                f"{len(delta.atom_ids)}, or other IDs: they come from different recordings."
            )
        return cls(buffer, delta, frames.astype(np.int64), rows_per_chunk)

    @property
    def n_atoms(self) -> int:
        """Atoms in each frame."""
        return len(self.delta.atom_ids)

    @property
    def n_rows(self) -> int:
        """Rows of the data set: n_frames × n_atoms."""
        return len(self.frames) * self.n_atoms

    def chunks(self) -> list[slice]:
        """Return the frames of every chunk: slices of `frames`."""
        size = max(1, self.rows_per_chunk // max(1, self.n_atoms))
        return [slice(k, min(k + size, len(self.frames))) for k in range(0, len(self.frames), size)]

    def read(self, chunk: slice) -> NDArray[np.float64]:
        """Return the rows of some frames, (len(chunk) n_atoms, n_features + 1)."""
        return _rows(self.buffer, self.frames[chunk], self.delta.values[chunk])

    def map(
        self,
        function: Callable[[NDArray[np.float64]], Any],
        map_chunks: Callable[..., Iterable[Any]] = map,
    ) -> Iterator[Any]:
        """Apply a function to the rows of every chunk; yield the results in order."""
        from threadpoolctl import threadpool_limits

        chunks = []
        for chunk in self.chunks():
            frames = self.frames[chunk]
            known = KnownFrames.of(self.buffer, frames)
            chunks.append((frames, known, self.delta.values[chunk]))
        # Chunks are small and spread by `map_chunks`: one thread each is faster than many, and
        # the sums do not depend on how many there are.
        with threadpool_limits(1, "blas"):
            yield from map_chunks(partial(_apply, self.buffer, function), chunks)


def _apply(
    buffer: Any,
    function: Callable[[NDArray[np.float64]], Any],
    chunk: tuple[NDArray[np.int64], KnownFrames, NDArray[np.float64]],
) -> Any:
    """Read a chunk where it is worked on."""
    frames, known, delta = chunk
    known.check(buffer)
    return function(_rows(buffer, frames, delta))


def _rows(
    buffer: Any, frames: NDArray[np.int64], delta: NDArray[np.float64]
) -> NDArray[np.float64]:
    spectra = [np.asarray(buffer.soap(int(k))) for k in frames]
    n_atoms, n_features = spectra[0].shape
    chi = np.empty((len(spectra), n_atoms, n_features + 1))
    for k, rows, spectrum in zip(frames, chi, spectra, strict=True):
        rows[:, :-1] = spectrum
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(rows[:, :-1], axis=1, keepdims=True)
        strange = ~(np.isfinite(norms) & (norms > 0.0))[:, 0]
        if strange.any():
            row = int(strange.argmax())
            raise AnalysisError(
                f"the spectrum of atom {buffer.atom_ids[row]} at step {buffer.steps[k]} has the "
                f"norm {norms[row, 0]:g}, expected a positive number: a spectrum of zeros or of "
                "numbers that are none cannot be analysed. Compute it again, or leave this frame "
                "out."
            )
        rows[:, :-1] /= norms
    chi[:, :, -1] = delta
    return chi.reshape(-1, n_features + 1)
