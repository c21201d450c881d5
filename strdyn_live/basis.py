"""Basis: few directions that hold nearly all of every spectrum, and the bound on the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .moments import Moments

__all__ = ["Basis", "blas_threads", "blocks", "principal_directions"]

_BLOCK_ROWS = 8192  # in float64 at a time


@dataclass(frozen=True)
class Basis:
    r"""Principal directions of the spectra of a run.

    A spectrum is kept as its scores :math:`\mathbf{s} = V (\mathbf{p} - \bar{\mathbf{p}})` and the
    norm of what they leave out, its residual. It is read back as
    :math:`\bar{\mathbf{p}} + V^T \mathbf{s}`.

    Attributes
    ----------
    mean : (n_features,) float64 ndarray
        Mean spectrum of the rows that the basis was made of.
    components : (n_scores, n_features) float64 ndarray
        Orthonormal rows. A basis only grows: scores by its first rows stay valid.
    bound : float
        No row that is stored by scores has a larger residual. The norm of a spectrum is 1.

    Examples
    --------
    In the plane x, y: the point (1, 2, 0.5) leaves out 0.5.

    >>> basis = Basis(np.zeros(3), np.eye(3)[:2], bound=1.0)
    >>> reduced = basis.project(np.array([[1.0, 2.0, 0.5]], dtype=np.float32))
    >>> reduced
    array([[1. , 2. , 0.5]], dtype=float32)
    >>> basis.expand(reduced)
    array([[1., 2., 0.]], dtype=float32)
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    bound: float

    @property
    def n_scores(self) -> int:
        """Number of components."""
        return len(self.components)

    @property
    def n_features(self) -> int:
        """Length of a spectrum."""
        return len(self.mean)

    def project(self, spectra: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores and residual of spectra.

        Parameters
        ----------
        spectra : (n_rows, n_features) float32 ndarray

        Returns
        -------
        (n_rows, n_scores + 1) float32 ndarray
            Scores, then the norm of the difference between the spectrum and what `expand` makes of
            them, before it is rounded to float32.
        """
        reduced = np.empty((len(spectra), self.n_scores + 1), dtype=np.float32)
        for rows in blocks(len(spectra)):
            shifted = spectra[rows] - self.mean
            reduced[rows, :-1] = shifted @ self.components.T
            shifted -= reduced[rows, :-1].astype(np.float64) @ self.components
            reduced[rows, -1] = np.linalg.norm(shifted, axis=1)
        return reduced

    def expand(self, reduced: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the spectra of what `project` made, by this basis or before it grew.

        Parameters
        ----------
        reduced : (n_rows, n + 1) float32 ndarray
            Scores by the first n components, and residuals.

        Returns
        -------
        (n_rows, n_features) float32 ndarray
            Each within its residual of the spectrum; its norm is 1 within the same.
        """
        components = self.components[: reduced.shape[1] - 1]
        spectra = np.empty((len(reduced), self.n_features), dtype=np.float32)
        for rows in blocks(len(reduced)):
            spectra[rows] = self.mean + reduced[rows, :-1].astype(np.float64) @ components
        return spectra

    def residuals(self, spectra: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the components leave out, (n_rows, n_features)."""
        shifted: NDArray[np.float64] = spectra - self.mean
        for _ in range(2):  # the second time for what rounding has left
            shifted -= (shifted @ self.components.T) @ self.components
        return shifted

    def grown(self, directions: NDArray[np.float64]) -> Basis:
        """Return a basis with more components.

        Parameters
        ----------
        directions : (n, n_features) float64 ndarray
            Made orthonormal to the components and to each other.
        """
        directions = directions - (directions @ self.components.T) @ self.components
        more = np.linalg.qr(directions.T)[0].T
        return replace(self, components=np.concatenate([self.components, more]))

    def is_same(self, other: Basis) -> bool:
        """Return whether another basis gives the same spectra."""
        return np.array_equal(self.mean, other.mean) and np.array_equal(
            self.components, other.components
        )

    def first(self, n_scores: int) -> Basis:
        """Return the basis as it was before it grew."""
        return replace(self, components=self.components[:n_scores])


def principal_directions(
    moments: Moments, n_directions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions of largest variance, (n_directions, n_features), and all variances.

    The sign of a direction is that of its largest component, which is positive. Variances, of shape
    (n_features,), decrease.
    """
    values, vectors = np.linalg.eigh(moments.covariance)
    directions = vectors[:, ::-1][:, :n_directions].T
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    # as it will be read from a file: products are then the same bit by bit
    directions = np.ascontiguousarray(directions * signs[:, None])
    return directions, np.maximum(values[::-1], 0.0)


def blocks(n_rows: int) -> Iterator[slice]:
    """Yield slices of rows that are few enough for float64."""
    for start in range(0, n_rows, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, n_rows))


@contextlib.contextmanager
def blas_threads(n_threads: int) -> Iterator[None]:
    """Keep BLAS from starting a thread for each core: other ranks, or LAMMPS, have some of them.

    The limit is that of the whole process, so two threads must not set it at the same time.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(n_threads, "blas"):
        yield
