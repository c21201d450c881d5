"""Numbers that all ranks reduce with one message, which also tells whether a rank has failed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shared", "combine"]


@dataclass(frozen=True)
class Shared:
    """What a rank says, and once it is reduced what all ranks say together.

    Attributes
    ----------
    sums : (n_sums,) int64 ndarray
        Added up; a sum beyond 64 bits wraps around, as hashes do.
    totals : (n_totals,) float64 ndarray
        Added up.
    maxima : (n_maxima,) float64 ndarray
        The largest of all ranks; −∞ where none says anything.
    """

    sums: NDArray[np.int64]
    totals: NDArray[np.float64]
    maxima: NDArray[np.float64]

    @classmethod
    def nothing(cls, n_sums: int = 0, n_totals: int = 0, n_maxima: int = 0) -> Shared:
        """Return what changes no result."""
        return cls(np.zeros(n_sums, np.int64), np.zeros(n_totals), np.full(n_maxima, -np.inf))

    def to_bytes(self, code: float) -> NDArray[np.uint8]:
        """Return a message with one more number, of which the largest counts."""
        lengths = np.array([len(self.sums), 1 + len(self.maxima)], dtype=np.int64)
        parts = [lengths, self.sums, np.array([code, *self.maxima], dtype=np.float64), self.totals]
        return np.concatenate([part.view(np.uint8) for part in parts])

    def take(self, message: NDArray[np.uint8]) -> float:
        """Take what a message of the same lengths says; return its one more number."""
        sums, maxima, totals = _parts(message)
        self.sums[:], self.maxima[:], self.totals[:] = sums, maxima[1:], totals
        return float(maxima[0])


def combine(message: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    """Reduce two messages to one.

    Examples
    --------
    >>> one, other = Shared.nothing(n_sums=1, n_maxima=2), Shared.nothing(n_sums=1, n_maxima=2)
    >>> one.sums[:], one.maxima[0], other.sums[:], other.maxima[:] = 3, 7.0, 4, (5.0, -1.0)
    >>> message = other.to_bytes(code=2)
    >>> combine(one.to_bytes(code=0), message)
    >>> other.take(message), other.sums.tolist(), other.maxima.tolist()
    (2.0, [7], [7.0, -1.0])
    """
    sums, maxima, totals = _parts(message)
    all_sums, all_maxima, all_totals = _parts(into)
    all_sums += sums
    all_totals += totals
    np.maximum(all_maxima, maxima, out=all_maxima)


def _parts(
    message: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    n_sums, n_maxima = message[:16].view(np.int64).tolist()
    sums, rest = message[16 : 16 + 8 * n_sums], message[16 + 8 * n_sums :].view(np.float64)
    return sums.view(np.int64), rest[:n_maxima], rest[n_maxima:]
