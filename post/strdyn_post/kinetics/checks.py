"""The checks of the kinetics of every analysis, and their findings.

Warnings, page and figures use these judgements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.limits import CHANGE, CLEAR, FEW_EVENTS, MEMORY, SUPPORT

from .partition import Partition
from .persistence import lag_scan, residence_times
from .uncertainty import (
    flux_imbalance,
    merge_support,
    resample_counts,
    stationarity,
    transition_intervals,
)

__all__ = ["Checks", "check_moves", "judge_moves"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Checks:
    """What `uncertainty` and `persistence` find about the final (merged) environments of a route.

    Attributes
    ----------
    low, high : (n_clusters, n_clusters) float64 ndarray
        95 % confidence intervals of the transition probabilities.
    few_events : (n_clusters, n_clusters) bool ndarray
        Moves that were seen fewer than `FEW_EVENTS` times: their probabilities are rough.
    lags : (n_lags,) int64 ndarray
        Lags of the next three arrays [frames].
    timescales : (n_lags, n_clusters - 1) float64 ndarray
        Implied timescales [frames].
    stay, predicted_stay : (n_lags, n_clusters) float64 ndarray
        Probability to be in the same cluster, counted and by Chapman–Kolmogorov; NaN without
        counts.
    residence : (n_clusters,) float64 ndarray
        Mean residence times [frames].
    exits : (n_clusters,) int64 ndarray
        Visits whose end was seen.
    imbalance : (n_clusters, n_clusters) float64 ndarray
        Excess of the flux from a to b over the flux back, in standard deviations.
    early, late, drift : (n_clusters,) float64 ndarray
        Shares in both halves of the recording, and their difference in standard errors.
    merge_cuts : (2,) float64 ndarray
        Any cut above the first and up to the second merges the same clusters.
    merge_support : (1,) float64 ndarray
        Share of resampled counts that merge in the same way.
    """

    low: Float
    high: Float
    few_events: NDArray[np.bool_]
    lags: NDArray[np.int64]
    timescales: Float
    stay: Float
    predicted_stay: Float
    residence: Float
    exits: NDArray[np.int64]
    imbalance: Float
    early: Float
    late: Float
    drift: Float
    merge_cuts: Float
    merge_support: Float

    @property
    def memory(self) -> float:
        """Largest difference between the counted and the predicted probability to stay."""
        return float(np.nan_to_num(np.abs(self.stay - self.predicted_stay)).max(initial=0.0))

    @property
    def remembers(self) -> NDArray[np.bool_]:
        """Whether the probability to stay differs from the prediction, (n_lags, n_clusters)."""
        expected = self.predicted_stay
        # each visit counts once, however many frames it takes
        chance = np.sqrt(expected * (1.0 - expected) / (self.exits + 1))
        return np.abs(self.stay - expected) > np.maximum(MEMORY, CLEAR * chance)

    @property
    def returns(self) -> bool:
        """Whether all memory comes from atoms that come back."""
        return bool((self.stay > self.predicted_stay)[self.remembers].all())

    @property
    def drifts(self) -> NDArray[np.bool_]:
        """Clusters whose share changes from the early to the late half, (n_clusters,)."""
        change = np.abs(self.late - self.early)
        much = change > CHANGE * np.maximum(self.late, self.early)
        return much & (np.abs(self.drift) > CLEAR)

    @property
    def unbalanced(self) -> NDArray[np.bool_]:
        """Pairs a, b with more moves from a to b than back, (n_clusters, n_clusters)."""
        return self.imbalance > CLEAR

    @property
    def firm_merge(self) -> bool:
        """Whether resampled counts merge the same clusters."""
        return bool(self.merge_support[0] >= SUPPORT)


def check_moves(
    final: Partition,
    clusters: Partition | None,
    stretches: NDArray[np.int64],
    config: AnalysisConfig,
    apart: NDArray[np.bool_] | None = None,
) -> Checks:
    """Check the moves between environments.

    Parameters
    ----------
    final : Partition
        The environments.
    clusters : Partition or None
        The clusters before merging; None where nothing is merged.
    stretches : (n_frames,) int64 ndarray
        Gapless stretches.
    config : AnalysisConfig
        `lag`, `merge_cut`, `seed`.
    apart : (n_clusters, n_clusters) bool ndarray, optional
        Pairs of clusters that never merge.
    """
    lag, n = config.lag, final.n_clusters

    def resample(partition: Partition) -> list[NDArray[np.int64]]:
        return [
            resample_counts(
                partition.labels,
                partition.n_clusters,
                by=by,
                lag=lag,
                stretches=stretches,
                seed=config.seed,
            )
            for by in ("atoms", "time")
        ]

    intervals = transition_intervals(final.counts, resample(final), lag=lag)
    longest = _longest_lag(stretches)
    lags = [lag * k for k in (1, 2, 3, 5, 8, 13, 21, 34) if k == 1 or lag * k <= longest // 2]
    scan = lag_scan(final.labels, n, lags, stretches)
    residence = residence_times(final.labels, n, stretches)
    halves = stationarity(final.labels, n, lag, stretches)
    if clusters is None:
        cuts, support = merge_support(final.counts, [], None, apart)
    else:
        cuts, support = merge_support(clusters.counts, resample(clusters), config.merge_cut, apart)
    return Checks(
        low=intervals.low,
        high=intervals.high,
        few_events=intervals.few_events,
        lags=scan.lags,
        timescales=scan.timescales,
        stay=scan.stay,
        predicted_stay=scan.predicted,
        residence=residence.mean,
        exits=residence.n_exits,
        imbalance=flux_imbalance(final.counts, lag),
        early=halves.early,
        late=halves.late,
        drift=halves.drift,
        merge_cuts=np.array(cuts),
        merge_support=np.array([support]),
    )


def judge_moves(
    checks: Checks, final: Partition, stretches: NDArray[np.int64], lag: int, *, merged: bool
) -> Iterator[Finding]:
    """Yield the findings of the checks of a route: what is fine, and what a reader must know.

    Parameters
    ----------
    checks : Checks
    final : Partition
        The environments.
    stretches : (n_frames,) int64 ndarray
        Gapless stretches.
    lag : int
        Lag of the counts [frames].
    merged : bool
        Whether clusters were merged.
    """
    counts = final.counts
    if not len(counts):
        return
    if not counts.any():
        values = {"lag": lag, "longest": _longest_lag(stretches)}
        yield Finding("no_moves", ATTENTION, values=values)
        return
    silent = tuple(np.flatnonzero(counts.sum(axis=1) == 0).tolist())
    if silent:
        yield Finding("silent_environments", ATTENTION, environments=silent)
    yield from _judge_rare(checks, counts, FEW_EVENTS * lag)
    remembers = bool(checks.remembers.any())
    yield Finding(
        "memory",
        ATTENTION if remembers else FINE,
        values={"difference": checks.memory, "returns": remembers and checks.returns},
    )
    yield from _judge_drift(checks)
    yield from _judge_balance(checks, counts)
    if merged:
        low, high = checks.merge_cuts.tolist()
        yield Finding(
            "merge",
            FINE if checks.firm_merge else ATTENTION,
            values={
                "low": low if np.isfinite(low) else None,
                "high": high if np.isfinite(high) else None,
                "support": float(checks.merge_support[0]),
                "n_environments": len(counts),
            },
        )


def _judge_rare(checks: Checks, counts: NDArray[np.int64], few: int) -> Iterator[Finding]:
    moves = counts[~np.eye(len(counts), dtype=np.bool_)]
    summed = {"n_moves": int(moves.sum()), "n_kinds": int((moves > 0).sum()), "few": few}
    if not checks.few_events.any():
        fewest = int(moves[moves > 0].min()) if (moves > 0).any() else 0
        yield Finding("rare_moves", FINE, values={**summed, "events": fewest})
    for a, b in sorted(np.argwhere(checks.few_events).tolist(), key=lambda pair: counts[*pair]):
        values = {**summed, "events": int(counts[a, b])}
        yield Finding("rare_moves", ATTENTION, environments=(a, b), values=values)


def _judge_drift(checks: Checks) -> Iterator[Finding]:
    if not checks.drifts.any():
        yield Finding("drift", FINE)
    for k in np.flatnonzero(checks.drifts).tolist():
        values = {
            "early": float(checks.early[k]),
            "late": float(checks.late[k]),
            "standard_errors": float(checks.drift[k]),
        }
        yield Finding("drift", ATTENTION, environments=(k,), values=values)


def _judge_balance(checks: Checks, counts: NDArray[np.int64]) -> Iterator[Finding]:
    if not checks.unbalanced.any():
        yield Finding("balance", FINE)
    for a, b in np.argwhere(checks.unbalanced).tolist():
        values = {
            "there": int(counts[a, b]),
            "back": int(counts[b, a]),
            "excess": float(checks.imbalance[a, b]),
        }
        yield Finding("balance", ATTENTION, environments=(a, b), values=values)


def _longest_lag(stretches: NDArray[np.int64]) -> int:
    """Return the largest possible lag [frames]."""
    return int(np.bincount(stretches - stretches.min()).max()) - 1
