"""The data set of χ = (p/|p|, δ), read from the recording in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.errors import AnalysisError
from strdyn_post.recording import Recording
from strdyn_post.work import MapChunks

from .same_frames import KnownFrames
from .series import Series

__all__ = ["Dataset"]

_ROWS_PER_CHUNK = 16384  # 42 MB of float64 at 325 features


@dataclass(frozen=True)
class Dataset:
    r"""Rows :math:`\chi_i^t = (\mathbf{p}_i^t / |\mathbf{p}_i^t|, \delta_i^{t \to t+\Delta t})`.

    One row for every (frame, atom), frame by frame in the order of `delta`. The first n_features
    columns are the SOAP data set: both routes see the same rows.

    Attributes
    ----------
    recording : Recording
        The spectra.
    delta : Series
        δ with the steps and IDs of the rows.
    frames : (n_frames,) int64 ndarray
        Indices of these frames in the recording.
    rows_per_chunk : int
        About the number of rows in memory at a time.
    """

    recording: Recording
    delta: Series
    frames: NDArray[np.int64]
    rows_per_chunk: int = _ROWS_PER_CHUNK

    @classmethod
    def join(
        cls, recording: Recording, delta: Series, rows_per_chunk: int = _ROWS_PER_CHUNK
    ) -> Dataset:
        """Pair spectra and δ by (step, atom ID).

        Raises
        ------
        AnalysisError
            If the recording lacks a step, or its atoms are not those of `delta`.
        """
        steps = np.asarray(recording.steps, dtype=np.int64)
        frames = np.searchsorted(steps, delta.frames.steps)
        found = steps[np.minimum(frames, len(steps) - 1)] == delta.frames.steps
        if not found.all():
            raise AnalysisError(
                f"step {delta.frames.steps[~found][0]} of LENS is not in the buffer: "
                "spectra and LENS come from different recordings. Take both from one recording."
            )
        if not np.array_equal(recording.atom_ids, delta.frames.atom_ids):
            raise AnalysisError(
                f"the buffer describes {len(recording.atom_ids)} atoms and LENS "
                f"{len(delta.frames.atom_ids)}, or other IDs: they come from different recordings. "
                "Take both from one recording."
            )
        return cls(recording, delta, frames.astype(np.int64), rows_per_chunk)

    @property
    def n_atoms(self) -> int:
        """Atoms in each frame."""
        return len(self.delta.frames.atom_ids)

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
        return _rows(self.recording, self.frames[chunk], self.delta.values[chunk])

    def map(
        self,
        function: Callable[[NDArray[np.float64]], Any],
        map_chunks: MapChunks = map,
    ) -> Iterator[Any]:
        """Apply a function to the rows of every chunk; yield the results in order."""
        from threadpoolctl import threadpool_limits

        chunks = []
        for chunk in self.chunks():
            frames = self.frames[chunk]
            known = KnownFrames.of(self.recording, frames)
            chunks.append((frames, known, self.delta.values[chunk]))
        # Chunks are small and `map_chunks` spreads them: one thread each is faster than many, and
        # the sums do not depend on the number of threads.
        with threadpool_limits(1, "blas"):
            yield from map_chunks(partial(_apply, self.recording, function), chunks)


def _apply(
    recording: Recording,
    function: Callable[[NDArray[np.float64]], Any],
    chunk: tuple[NDArray[np.int64], KnownFrames, NDArray[np.floating[Any]]],
) -> Any:
    """Read a chunk in the process that works on it, and apply the function."""
    frames, known, delta = chunk
    known.check(recording)
    return function(_rows(recording, frames, delta))


def _rows(
    recording: Recording, frames: NDArray[np.int64], delta: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    spectra = [np.asarray(recording.soap(int(k))) for k in frames]
    n_atoms, n_features = spectra[0].shape
    chi = np.empty((len(spectra), n_atoms, n_features + 1))
    for k, rows, spectrum in zip(frames, chi, spectra, strict=True):
        rows[:, :-1] = spectrum
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.einsum("ij,ij->i", rows[:, :-1], rows[:, :-1]))[:, None]
        strange = ~(np.isfinite(norms) & (norms > 0.0))[:, 0]
        if strange.any():
            row = int(strange.argmax())
            raise AnalysisError(
                f"the spectrum of atom {recording.atom_ids[row]} at step {recording.steps[k]} has "
                f"the norm {norms[row, 0]:g}, expected a positive number. A spectrum of zeros, or "
                "with values that are not finite, cannot be analysed. Compute it again, or leave "
                "this frame out."
            )
        rows[:, :-1] /= norms
    chi[:, :, -1] = delta
    return chi.reshape(-1, n_features + 1)
