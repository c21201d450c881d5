"""Moments of rows that come in parts: what a PCA needs, in float64."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments"]

_ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of outer products of rows, relative to a fixed origin.

    The origin is near the mean. Normalised spectra are nearly parallel: with an origin at 0 their
    variance would be lost in the difference of two large sums of squares.

    Attributes
    ----------
    origin : (n_features,) float64 ndarray
        Subtracted from every row.
    n_rows : int
        Number of rows.
    total : (n_features,) float64 ndarray
        Sum of the rows.
    products : (n_features, n_features) float64 ndarray
        Sum of their outer products.
    """

    origin: NDArray[np.float64]
    n_rows: int
    total: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.float64], *, origin: NDArray[np.float64]) -> Moments:
        """Return the moments of (n_rows, n_features) rows, of which few are copied at a time."""
        starts = range(0, max(1, len(rows)), _ROWS_AT_ONCE)
        return cls.sum(cls._of_few(rows[k : k + _ROWS_AT_ONCE], origin) for k in starts)

    @classmethod
    def _of_few(cls, rows: NDArray[np.float64], origin: NDArray[np.float64]) -> Moments:
        shifted = rows - origin
        return cls(origin, len(rows), shifted.sum(axis=0), shifted.T @ shifted)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.origin,
            self.n_rows + other.n_rows,
            self.total + other.total,
            self.products + other.products,
        )

    @classmethod
    def sum(cls, parts: Iterable[Moments]) -> Moments:
        """Return the sum of parts, added in their order, so that the result is reproducible."""
        return reduce(cls.__add__, parts)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean row, (n_features,)."""
        return self.origin + self.total / self.n_rows

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance with n_rows − 1, (n_features, n_features)."""
        products = self.products - np.outer(self.total, self.total / self.n_rows)
        return products / max(1, self.n_rows - 1)
