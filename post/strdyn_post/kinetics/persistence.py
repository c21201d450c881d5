"""How long atoms stay, and whether their moves are Markovian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .transitions import count_transitions, transition_matrix

__all__ = ["LagScan", "ResidenceTimes", "lag_scan", "residence_times"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class LagScan:
    """Timescales and probabilities to stay over lags, which show whether moves are Markovian.

    Attributes
    ----------
    lags : (n_lags,) int64 ndarray
        Lags [frames].
    timescales : (n_lags, n_clusters - 1) float64 ndarray
        Implied timescales −lag / ln |λ| [frames], decreasing; constant in lag if Markovian. NaN
        where λ is 0 or not below 1.
    stay : (n_lags, n_clusters) float64 ndarray
        Probability to be in the same cluster after the lag, counted; NaN without counts.
    predicted : (n_lags, n_clusters) float64 ndarray
        The same from the first lag by Chapman–Kolmogorov, T(lag) = T(lag₀)^(lag / lag₀).
    """

    lags: Int
    timescales: Float
    stay: Float
    predicted: Float


def lag_scan(
    labels: NDArray[np.int32],
    n_clusters: int,
    lags: Sequence[int],
    stretches: Int | None = None,
) -> LagScan:
    """Count at several lags and compare with the first.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Clusters, noise negative.
    n_clusters : int
        Number of clusters.
    lags : sequence of int
        Multiples of the first lag [frames].
    stretches : (n_frames,) int64 ndarray, optional
        Gapless stretches.

    Raises
    ------
    ValueError
        If a lag is not a multiple of the first.
    """
    if any(lag % lags[0] for lag in lags):
        raise ValueError(f"lags = {list(lags)}: expected multiples of the first, {lags[0]}.")
    first = transition_matrix(count_transitions(labels, n_clusters, lags[0], stretches))
    timescales = np.full((len(lags), max(0, n_clusters - 1)), np.nan)
    stay, predicted = np.zeros((2, len(lags), n_clusters))
    for row, lag in enumerate(lags):
        matrix = transition_matrix(count_transitions(labels, n_clusters, lag, stretches))
        stay[row] = np.diag(matrix)
        predicted[row] = np.diag(np.linalg.matrix_power(first, lag // lags[0]))
        unknown = matrix.sum(axis=1) == 0.0
        stay[row, unknown] = predicted[row, unknown] = np.nan
        size = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1][1:] if n_clusters else np.empty(0)
        inside = (size > 0.0) & (size < 1.0 - 1e-12)
        timescales[row, inside] = -lag / np.log(size[inside])
    return LagScan(np.array(lags, dtype=np.int64), timescales, stay, predicted)


@dataclass(frozen=True)
class ResidenceTimes:
    """How long atoms stay.

    Attributes
    ----------
    mean : (n_clusters,) float64 ndarray
        Mean stay [frames]: frames spent, divided by the number of exits. Visits that the ends of
        the recording cut off do not bias it. Infinite for a cluster that was never left.
    n_exits : (n_clusters,) int64 ndarray
        Visits whose end was seen.
    """

    mean: Float
    n_exits: Int


def residence_times(
    labels: NDArray[np.int32], n_clusters: int, stretches: Int | None = None
) -> ResidenceTimes:
    """Return the mean residence time [frames] of every cluster, and the exits from it."""
    stretches = np.zeros(len(labels), np.int64) if stretches is None else stretches
    counts = count_transitions(labels, n_clusters, 1, stretches)
    n_exits = counts.sum(axis=1) - np.diag(counts)
    mean = np.divide(
        counts.sum(axis=1), n_exits, out=np.full(n_clusters, np.inf), where=n_exits > 0
    )
    return ResidenceTimes(mean, n_exits)
