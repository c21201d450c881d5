"""How far the kinetics can be trusted: intervals, balance, stationarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.limits import CONFIDENCE, FEW_EVENTS
from strdyn_post.signal.frames import iter_stretches

from .merging import merge_clusters
from .transitions import count_transitions, transition_matrix

__all__ = [
    "TIME_BLOCKS",
    "Intervals",
    "Stationarity",
    "flux_imbalance",
    "merge_support",
    "resample_counts",
    "stationarity",
    "transition_intervals",
]

TIME_BLOCKS = 20
"""Number of blocks of time of the bootstrap."""
_ATOM_GROUPS = 2000

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of transition probabilities.

    Attributes
    ----------
    low, high : (n_clusters, n_clusters) float64 ndarray
        Bounds; 0 and 1 if a cluster has no counts.
    few_events : (n_clusters, n_clusters) bool ndarray
        Moves that were seen fewer than `FEW_EVENTS` times.
    """

    low: Float
    high: Float
    few_events: NDArray[np.bool_]


def transition_intervals(
    counts: NDArray[np.int64], resampled: Sequence[Int], level: float = CONFIDENCE, lag: int = 1
) -> Intervals:
    """Return confidence intervals of every transition probability.

    The moves of one atom depend on each other, and so do the moves of neighbors at one time. So
    each interval covers three intervals: percentiles over resampled atoms, percentiles over
    resampled blocks of time, and the binomial one of independent moves (Clopper–Pearson). The last
    one also limits the probability of a move that was never seen.

    Parameters
    ----------
    counts : (n_clusters, n_clusters) int64 ndarray
        N_ab.
    resampled : sequence of (n_resamples, n_clusters, n_clusters) int64 ndarray
        Of `resample_counts`: by atoms and by time.
    level : float
        Coverage.
    lag : int
        Lag of the counts [frames]. Counting windows overlap: one move is counted up to `lag` times.
    """
    from scipy.stats import beta

    tail = (1.0 - level) / 2.0
    moves = counts / lag
    total = np.broadcast_to(moves.sum(axis=1, keepdims=True), counts.shape)
    # beta gives nan for a share of 0 or 1: the bound is then 0 or 1
    low = np.nan_to_num(beta.ppf(tail, moves, total - moves + 1), nan=0.0)
    high = np.nan_to_num(beta.ppf(1.0 - tail, moves + 1, total - moves), nan=1.0)
    seen = counts.sum(axis=1) > 0
    for sample in resampled if seen.any() else ():
        rows = sample.sum(axis=2, keepdims=True)
        ratios = np.divide(sample, rows, out=np.full(sample.shape, np.nan), where=rows > 0)
        bounds = np.nanquantile(ratios[:, seen], [tail, 1.0 - tail], axis=0)
        low[seen] = np.minimum(low[seen], bounds[0])
        high[seen] = np.maximum(high[seen], bounds[1])
    off_diagonal = ~np.eye(len(counts), dtype=np.bool_)
    return Intervals(low, high, (moves > 0) & (moves < FEW_EVENTS) & off_diagonal)


def resample_counts(
    labels: NDArray[np.int32],
    n_clusters: int,
    *,
    by: str,
    lag: int = 1,
    stretches: Int | None = None,
    n_resamples: int = 200,
    seed: int = 0,
) -> Int:
    """Resample transition counts by the bootstrap.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Clusters, noise negative.
    n_clusters : int
        Number of clusters.
    by : {"atoms", "time"}
        Draw atoms with their whole paths, or blocks of time (20) with all their atoms.
    lag : int
        Lag [frames].
    stretches : (n_frames,) int64 ndarray, optional
        Gapless stretches.
    n_resamples : int
        Number of resamples.
    seed : int
        Seed of the draw.

    Returns
    -------
    (n_resamples, n_clusters, n_clusters) int64 ndarray
    """
    n_frames, n_atoms = labels.shape
    rng = np.random.default_rng(seed)
    stretches = np.zeros(n_frames, np.int64) if stretches is None else stretches
    start = np.concatenate(
        [
            np.arange(rows.start, max(rows.start, rows.stop - lag))
            for rows in iter_stretches(stretches)
        ]
    )
    if by == "atoms":
        n_units = min(n_atoms, _ATOM_GROUPS)
        unit = np.broadcast_to(np.arange(n_atoms) * n_units // n_atoms, (len(start), n_atoms))
    else:
        n_units = max(1, min(TIME_BLOCKS, len(start)))
        unit = np.broadcast_to(
            (np.arange(len(start)) * n_units // max(1, len(start)))[:, None], (len(start), n_atoms)
        )
    before, after = labels[start].astype(np.int64), labels[start + lag]
    known = (before >= 0) & (after >= 0)
    cells = n_clusters * n_clusters
    index = (unit[known] * n_clusters + before[known]) * n_clusters + after[known]
    units = np.bincount(index, minlength=n_units * cells).reshape(n_units, cells)
    drawn = rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n_resamples)
    return (drawn @ units).reshape(n_resamples, n_clusters, n_clusters)


def merge_support(
    counts: Int,
    resampled: Sequence[Int],
    cut: float | None,
    apart: NDArray[np.bool_] | None = None,
) -> tuple[tuple[float, float], float]:
    """Return how firm the merge is: which cuts, and which share of the resamples, give the same.

    Parameters
    ----------
    counts : (n_clusters, n_clusters) int64 ndarray
        Counts of the clusters before merging.
    resampled : sequence of (n_resamples, n_clusters, n_clusters) int64 ndarray
        Of `resample_counts`.
    cut : float or None
        Height of the cut.
    apart : (n_clusters, n_clusters) bool ndarray, optional
        Pairs that never merge.

    Returns
    -------
    cuts : (float, float)
        Any cut above the first and up to the second merges the same clusters.
    share : float
        Share of the resampled counts that merge in the same way.
    """
    merge = merge_clusters(counts, cut, apart)
    if cut is None:
        return (-np.inf, float(merge.heights.min(initial=np.inf))), 1.0
    below, above = merge.heights[merge.heights < cut], merge.heights[merge.heights >= cut]
    same = [
        np.array_equal(merge_clusters(sample, cut, apart).mapping, merge.mapping)
        for samples in resampled
        for sample in samples
    ]
    cuts = float(below.max(initial=-np.inf)), float(above.min(initial=np.inf))
    return cuts, float(np.mean(same)) if same else 1.0


def flux_imbalance(counts: ArrayLike, lag: int = 1) -> Float:
    """Return the excess of the flux from a to b over the flux back, in standard deviations.

    Parameters
    ----------
    counts : (n_clusters, n_clusters) array_like
        N_ab.
    lag : int
        Lag of the counts [frames]. One move is counted up to `lag` times.

    Returns
    -------
    (n_clusters, n_clusters) float64 ndarray
        (N_ab − N_ba) / √(lag (N_ab + N_ba)): within ±2 or so in equilibrium, antisymmetric.
    """
    counts = np.asarray(counts, dtype=np.float64) / lag
    both = counts + counts.T
    excess: Float = np.zeros(both.shape)
    np.divide(counts - counts.T, np.sqrt(both), out=excess, where=both > 0.0)
    return excess


@dataclass(frozen=True)
class Stationarity:
    """The early half of the recording compared with the late half.

    Attributes
    ----------
    early, late : (n_clusters,) float64 ndarray
        Share of every cluster in the labelled rows.
    early_matrix, late_matrix : (n_clusters, n_clusters) float64 ndarray
        Transition probabilities.
    drift : (n_clusters,) float64 ndarray
        Difference of the shares in standard errors. The standard error is the larger one of two:
        from the spread over blocks of time, and from the spread over atoms.
    """

    early: Float
    late: Float
    early_matrix: Float
    late_matrix: Float
    drift: Float


def stationarity(
    labels: NDArray[np.int32], n_clusters: int, lag: int = 1, stretches: Int | None = None
) -> Stationarity:
    """Compare shares and transition probabilities of the two halves of a recording."""
    stretches = np.zeros(len(labels), np.int64) if stretches is None else stretches
    middle = len(labels) // 2
    halves = [slice(0, middle), slice(middle, len(labels))]
    shares, errors, matrices = [], [], []
    for half in halves:
        blocks = np.array_split(labels[half], max(1, min(TIME_BLOCKS // 2, len(labels[half]))))
        block_shares = np.array([_shares(block, n_clusters) for block in blocks])
        shares.append(_shares(labels[half], n_clusters))
        errors.append(block_shares.var(axis=0, ddof=1) / len(blocks) if len(blocks) > 1 else 0.0)
        counts = count_transitions(labels[half], n_clusters, lag, stretches[half])
        matrices.append(transition_matrix(counts))
    # if atoms stay long, blocks are alike but atoms differ from each other
    error = np.sqrt(np.maximum(errors[0] + errors[1], _spread_of_atoms(labels, halves, n_clusters)))
    # a share that only jumps in the middle has no spread: its error is set to one row
    drift = (shares[1] - shares[0]) / np.maximum(error, 1.0 / max(1, labels.size))
    return Stationarity(shares[0], shares[1], matrices[0], matrices[1], drift)


def _spread_of_atoms(labels: NDArray[np.int32], halves: Sequence[slice], n_clusters: int) -> Float:
    """Return the variance of the mean change of a share over the atoms, (n_clusters,)."""
    n_atoms = labels.shape[1]
    if min(n_atoms, len(labels)) < 2 or not n_clusters:
        return np.zeros(n_clusters)
    early, late = (
        np.array([(labels[half] == k).sum(axis=0) for k in range(n_clusters)])
        * (n_atoms / max(1, np.count_nonzero(labels[half] >= 0)))
        for half in halves
    )
    return np.asarray((late - early).var(axis=1, ddof=1) / n_atoms)


def _shares(labels: NDArray[np.int32], n_clusters: int) -> Float:
    inside = labels[labels >= 0]
    return np.bincount(inside, minlength=n_clusters) / max(1, len(inside))
