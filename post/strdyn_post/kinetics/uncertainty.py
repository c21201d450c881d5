"""How far the kinetics can be trusted: intervals, balance, stationarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import CONFIDENCE, FEW_EVENTS
from strdyn_post.signal.frames import iter_stretches

from .clustered import (
    atom_groups,
    share_interval,
    smallest_seen,
    spread,
    standard_errors,
    student_factor,
    time_blocks,
    waves,
    waves_without_drift,
)
from .merging import merge_clusters
from .transitions import count_moves
from .windows import Windows

__all__ = [
    "Balance",
    "Intervals",
    "Stationarity",
    "flux_balance",
    "merge_support",
    "resample_counts",
    "stationarity",
    "transition_intervals",
]

_TIME_BLOCKS = 20

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of transition probabilities.

    Attributes
    ----------
    low, high : (n_clusters, n_clusters) float64 ndarray
        Bounds; 0 and 1 if a cluster has no counts.
    events : (n_clusters, n_clusters) int64 ndarray
        Moves, each counted once whatever the lag is; zero on the diagonal.
    effective : (n_clusters, n_clusters) float64 ndarray
        As many independent moves would be known equally well; zero on the diagonal.
    few_events : (n_clusters, n_clusters) bool ndarray
        Moves that were seen, but count for fewer than `FEW_EVENTS` independent ones.
    slow : (n_clusters, n_clusters) bool ndarray
        Moves whose rate changes over times as long as the run: their mean rate is not known.
    """

    low: Float
    high: Float
    events: Int
    effective: Float
    few_events: NDArray[np.bool_]
    slow: NDArray[np.bool_]


def transition_intervals(
    labels: NDArray[np.int32],
    n_clusters: int,
    lag: int = 1,
    stretches: Int | None = None,
    level: float = CONFIDENCE,
) -> Intervals:
    """Return confidence intervals of every transition probability.

    The moves of one atom depend on each other, and so do the moves of neighbors, and of times
    close to each other. The variance of p_ab = N_ab / N_a adds both (`spread`), from the influence
    of every row, I_ab(i, t) − p_ab I_a(i, t). Divided by the variance of independent rows,
    N_a p_ab (1 − p_ab), it is the design effect: rows divided by it are the effective number of
    rows, of which `share_interval` makes the interval. A move with fewer than `FEW_EVENTS`
    effective events cannot tell its own design effect: it has at least that of the most frequent
    move from the same cluster. From a cluster that was never left, it is the largest one of all
    clusters; if nothing moves at all, all atoms of one time count once.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Clusters, noise negative.
    n_clusters : int
        Number of clusters.
    lag : int
        Lag [frames].
    stretches : (n_frames,) int64 ndarray, optional
        Gapless stretches.
    level : float
        Coverage.
    """
    stretches = np.zeros(len(labels), np.int64) if stretches is None else stretches
    windows = Windows.of(labels, lag, stretches)
    events = count_moves(labels, n_clusters, lag, stretches)
    basis = waves(windows.n_blocks)
    shape = (n_clusters, n_clusters)
    counts, design, freedom = np.zeros(shape), np.ones(shape), np.ones(shape)
    slow, n_times = np.zeros(shape, np.bool_), np.ones(n_clusters)
    for a in range(n_clusters):
        chosen = windows.before == a
        if not chosen.any():
            continue
        parts = windows.tally(chosen, windows.after, n_clusters)
        rows = parts.sum(axis=2, keepdims=True)
        counts[a] = parts.sum(axis=(0, 1))
        shares = counts[a] / counts[a].sum()
        found = spread(parts - shares * rows, rows.sum(axis=(1, 2)), basis)
        alone = counts[a] * (1.0 - shares)
        np.divide(found.variance, alone, out=design[a], where=alone > 0.0)
        freedom[a], slow[a] = found.freedom, found.slow
        if not events.any():
            n_times[a] = len(np.unique(windows.time[chosen]))
    overlap = np.divide(counts, events, out=np.ones(shape), where=events > 0)
    design = np.maximum(np.maximum(1.0, overlap), design)
    design, freedom, slow = _of_rare(counts, events, design, freedom, slow, n_times)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros(shape), where=total > 0)
    low, high = share_interval(shares, total / design * student_factor(freedom, level), level)
    low, high = np.where(total > 0, low, 0.0), np.where(total > 0, high, 1.0)
    effective = np.where(events > 0, counts / design, 0.0)
    few = (events > 0) & (effective < FEW_EVENTS)
    return Intervals(low, high, events, effective, few, slow & (events > 0))


def _of_rare(
    counts: Float,
    events: Int,
    design: Float,
    freedom: Float,
    slow: NDArray[np.bool_],
    n_times: Float,
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Give rare moves the design effect of the most frequent move from the same cluster."""
    if not len(counts):
        return design, freedom, slow
    total = counts.sum(axis=1)
    left = events.any(axis=1)
    source = np.arange(len(counts))
    common = design[source, events.argmax(axis=1)]
    if left.any():
        source[~left] = np.where(left, common, 0.0).argmax()
        usual = source, events.argmax(axis=1)[source]
        of_source = design[usual], freedom[usual], slow[usual]
    else:
        of_source = total / n_times, np.maximum(1.0, n_times - 1.0), left
    rare = np.minimum(counts, total[:, None] - counts) < FEW_EVENTS * design
    worse = rare & (of_source[0][:, None] >= design)
    own = design, freedom, slow
    found = [
        np.where(worse, there[:, None], here) for there, here in zip(of_source, own, strict=True)
    ]
    return found[0], found[1], found[2]


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
        group = atom_groups(n_atoms)
        n_units = int(group[-1]) + 1
        unit = np.broadcast_to(group, (len(start), n_atoms))
    else:
        n_units = max(1, min(_TIME_BLOCKS, len(start)))
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


@dataclass(frozen=True)
class Balance:
    """How far the moves between two clusters balance each other.

    Attributes
    ----------
    excess : (n_clusters, n_clusters) float64 ndarray
        N_ab − N_ba in standard errors: antisymmetric; within ±2 or so in equilibrium.
    smallest : (n_clusters, n_clusters) float64 ndarray
        Smallest excess, as a share of N_ab + N_ba, that would have been seen; infinite where
        nothing would have been.
    """

    excess: Float
    smallest: Float


def flux_balance(
    labels: NDArray[np.int32], n_clusters: int, lag: int = 1, stretches: Int | None = None
) -> Balance:
    """Compare the moves from a to b with those from b to a.

    The moves of one atom go there and back in turn, so √(N_ab + N_ba) is not the spread of
    N_ab − N_ba. It is the two-way one (`spread`) of the net moves of atoms and of times. Their
    mean is 0 in equilibrium, and so it is not subtracted: the excess of n atoms, each with one
    move, is at most √n.
    """
    stretches = np.zeros(len(labels), np.int64) if stretches is None else stretches
    windows = Windows.of(labels, lag, stretches)
    basis = waves(windows.n_blocks)
    excess = np.zeros((n_clusters, n_clusters))
    smallest = np.full((n_clusters, n_clusters), np.inf)
    for a in range(n_clusters - 1):
        there = windows.tally(
            (windows.before == a) & (windows.after > a), windows.after, n_clusters
        )[..., a + 1 :]
        back = windows.tally(
            (windows.after == a) & (windows.before > a), windows.before, n_clusters
        )[..., a + 1 :]
        moves = (there + back).sum(axis=1)
        found = spread(there - back, moves, basis, test=True)
        excess[a, a + 1 :] = standard_errors((there - back).sum(axis=(0, 1)), found)
        total = moves.sum(axis=0)
        np.divide(smallest_seen(found), total, out=smallest[a, a + 1 :], where=total > 0)
    return Balance(excess - excess.T, np.minimum(smallest, smallest.T))


@dataclass(frozen=True)
class Stationarity:
    """The early half of the recording compared with the late half.

    Attributes
    ----------
    early, late : (n_clusters,) float64 ndarray
        Share of every cluster in the labelled rows.
    drift : (n_clusters,) float64 ndarray
        Difference of the shares in standard errors.
    smallest : (n_clusters,) float64 ndarray
        Smallest difference that would have been seen; infinite where none would have been.
    """

    early: Float
    late: Float
    drift: Float
    smallest: Float


def stationarity(labels: NDArray[np.int32], n_clusters: int) -> Stationarity:
    """Compare the shares of the two halves of a recording.

    The variance of the difference is the two-way one (`spread`) of the influence of every row,
    ±(I_k(i, t) − s_k) / N_half, where s_k is the share in the whole run. A drift must not count as
    spread over times: a straight line and a step in the middle are left out.
    """
    middle = len(labels) // 2
    shares = [_shares(half, n_clusters) for half in (labels[:middle], labels[middle:])]
    group, block = atom_groups(labels.shape[1]), time_blocks(len(labels))
    n_groups, n_blocks = int(group[-1]) + 1, int(block[-1]) + 1
    time, atom = np.nonzero(labels >= 0)
    late = time >= middle
    counted = np.zeros((2, n_groups * n_blocks * n_clusters))
    index = (group[atom] * n_blocks + block[time]) * n_clusters + labels[time, atom]
    for half, chosen in enumerate((~late, late)):
        counted[half] = np.bincount(index[chosen], minlength=counted.shape[1])
    rows = counted.reshape(2, n_groups, n_blocks, n_clusters)
    whole = _shares(labels, n_clusters)
    centred = rows - whole * rows.sum(axis=3, keepdims=True)
    of_early, of_late = (
        part / max(1, np.count_nonzero(chosen))
        for part, chosen in zip(centred, (~late, late), strict=True)
    )
    found = spread(
        of_early + of_late,
        np.ones(n_groups),
        waves_without_drift(n_blocks),
        sums=(of_late - of_early).sum(axis=1),
        test=True,
    )
    drift = standard_errors(shares[1] - shares[0], found)
    return Stationarity(shares[0], shares[1], drift, smallest_seen(found))


def _shares(labels: NDArray[np.int32], n_clusters: int) -> Float:
    inside = labels[labels >= 0]
    return np.bincount(inside, minlength=n_clusters) / max(1, len(inside))
