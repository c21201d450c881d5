"""The checks of the kinetics of every analysis, and their findings.

Warnings, page and figures use these judgements. A check is fine only if it would have seen an
effect that matters, and has seen none; if it would not, it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, FINE, UNKNOWN, Finding
from strdyn_post.limits import (
    CHANGE,
    CLEAR,
    CONFIDENCE,
    FEW_EVENTS,
    MEMORY,
    SEEN_CHANGE,
    SEEN_EXCESS,
    SEEN_MEMORY,
    SUPPORT,
)
from strdyn_post.quantities import finite

from .partition import Partition
from .persistence import lag_scan, residence_times
from .uncertainty import (
    flux_balance,
    merge_support,
    resample_counts,
    stationarity,
    transition_intervals,
)

__all__ = ["Checks", "check_moves", "judge_moves"]

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Checks:
    """What `uncertainty` and `persistence` find about the final (merged) environments of a route.

    Attributes
    ----------
    low, high : (n_clusters, n_clusters) float64 ndarray
        95 % confidence intervals of the transition probabilities.
    events : (n_clusters, n_clusters) int64 ndarray
        Moves, each counted once at every lag; zero on the diagonal.
    effective : (n_clusters, n_clusters) float64 ndarray
        As many independent moves would be known equally well; zero on the diagonal.
    few_events : (n_clusters, n_clusters) bool ndarray
        Moves that were seen, but count for fewer than `FEW_EVENTS` independent ones: their
        probabilities are rough.
    slow : (n_clusters, n_clusters) bool ndarray
        Moves whose rate changes over times as long as the run: their mean rate is not known.
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
        Excess of the flux from a to b over the flux back, in standard errors.
    seen_imbalance : (n_clusters, n_clusters) float64 ndarray
        Smallest excess, as a share of the moves of both directions, that would have been seen.
    early, late, drift : (n_clusters,) float64 ndarray
        Shares in both halves of the recording, and their difference in standard errors.
    seen_drift : (n_clusters,) float64 ndarray
        Smallest difference of the shares that would have been seen.
    merge_cuts : (2,) float64 ndarray
        Any cut above the first and up to the second merges the same clusters.
    merge_support : (1,) float64 ndarray
        Share of resampled counts that merge in the same way.
    merge_exits : (1,) float64 ndarray
        Effective number of moves out of the cluster before merging that was left least often.
    """

    low: Float
    high: Float
    events: NDArray[np.int64]
    effective: Float
    few_events: Bool
    slow: Bool
    lags: NDArray[np.int64]
    timescales: Float
    stay: Float
    predicted_stay: Float
    residence: Float
    exits: NDArray[np.int64]
    imbalance: Float
    seen_imbalance: Float
    early: Float
    late: Float
    drift: Float
    seen_drift: Float
    merge_cuts: Float
    merge_support: Float
    merge_exits: Float

    @property
    def memory(self) -> float:
        """Largest difference between the counted and the predicted probability to stay."""
        return float(np.nan_to_num(np.abs(self.stay - self.predicted_stay)).max(initial=0.0))

    @property
    def remembers(self) -> Bool:
        """Whether the probability to stay differs from the prediction, (n_lags, n_clusters)."""
        difference = np.abs(self.stay - self.predicted_stay)
        return difference > np.maximum(MEMORY, CLEAR * self._chance_to_stay)

    @property
    def seen_memory(self) -> Float:
        """Smallest difference from the prediction that would have been seen, (n_clusters,)."""
        chance = np.nan_to_num(self._chance_to_stay[1:], nan=0.0)
        seen = np.maximum(MEMORY, CLEAR * chance) + NormalDist().inv_cdf(CONFIDENCE) * chance
        # the first lag agrees with itself
        return seen.max(axis=0) if len(seen) else np.full(len(self.exits), np.inf)

    @property
    def _chance_to_stay(self) -> Float:
        """Standard error of the probabilities to stay, (n_lags, n_clusters)."""
        # each independent visit counts once, however many frames it takes
        visits = self.effective.sum(axis=1)
        expected = (self.predicted_stay * visits + 1.0) / (visits + 2.0)
        return np.asarray(np.sqrt(expected * (1.0 - expected) / (visits + 1.0)))

    @property
    def returns(self) -> bool:
        """Whether all memory comes from atoms that come back."""
        return bool((self.stay > self.predicted_stay)[self.remembers].all())

    @property
    def drifts(self) -> Bool:
        """Clusters whose share changes from the early to the late half, (n_clusters,)."""
        change = np.abs(self.late - self.early)
        much = change > CHANGE * np.maximum(self.late, self.early)
        return much & (np.abs(self.drift) > CLEAR)

    @property
    def unbalanced(self) -> Bool:
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

    intervals = transition_intervals(final.labels, n, lag, stretches)
    longest = _longest_lag(stretches)
    lags = [lag * k for k in (1, 2, 3, 5, 8, 13, 21, 34) if k == 1 or lag * k <= longest // 2]
    scan = lag_scan(final.labels, n, lags, stretches)
    residence = residence_times(final.labels, n, stretches)
    halves = stationarity(final.labels, n)
    balance = flux_balance(final.labels, n, lag, stretches)
    merge_exits = np.inf
    if clusters is None:
        cuts, support = merge_support(final.counts, [], None, apart)
    else:
        moves = transition_intervals(clusters.labels, clusters.n_clusters, lag, stretches)
        merge_exits = moves.effective.sum(axis=1).min(initial=np.inf)
        cuts, support = merge_support(clusters.counts, resample(clusters), config.merge_cut, apart)
    return Checks(
        low=intervals.low,
        high=intervals.high,
        events=intervals.events,
        effective=intervals.effective,
        few_events=intervals.few_events,
        slow=intervals.slow,
        lags=scan.lags,
        timescales=scan.timescales,
        stay=scan.stay,
        predicted_stay=scan.predicted,
        residence=residence.mean,
        exits=residence.n_exits,
        imbalance=balance.excess,
        seen_imbalance=balance.smallest,
        early=halves.early,
        late=halves.late,
        drift=halves.drift,
        seen_drift=halves.smallest,
        merge_cuts=np.array(cuts),
        merge_support=np.array([support]),
        merge_exits=np.array([merge_exits]),
    )


def judge_moves(
    checks: Checks,
    final: Partition,
    stretches: NDArray[np.int64],
    lag: int,
    *,
    merged: bool,
    rates: bool = False,
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
    rates : bool
        Whether all stays are resolved and without recrossings (see `Stays.rates`).
    """
    counts = final.counts
    if not len(counts):
        return
    if not counts.any():
        values = {"lag": lag, "longest": _longest_lag(stretches)}
        yield Finding("no_moves", UNKNOWN, values=values)
        return
    silent = tuple(np.flatnonzero(counts.sum(axis=1) == 0).tolist())
    if silent:
        yield Finding("silent_environments", ATTENTION, environments=silent)
    yield from _judge_rare(checks)
    for a, b in np.argwhere(checks.slow).tolist():
        values = {"events": int(checks.events[a, b])}
        yield Finding("slow_moves", UNKNOWN, environments=(a, b), values=values)
    yield _judge_memory(checks, rates=rates)
    yield from _judge_drift(checks)
    yield from _judge_balance(checks)
    if merged:
        yield _judge_merge(checks)


def _judge_rare(checks: Checks) -> Iterator[Finding]:
    events = checks.events
    seen = events[events > 0]
    summed = {"n_moves": int(seen.sum()), "n_kinds": len(seen), "few": FEW_EVENTS}
    if not checks.few_events.any():
        values = {**summed, "events": int(seen.min()) if len(seen) else 0}
        yield Finding("rare_moves", FINE if len(seen) else UNKNOWN, values=values)
    for a, b in sorted(np.argwhere(checks.few_events).tolist(), key=lambda pair: events[*pair]):
        numbers = {"events": int(events[a, b]), "effective": float(checks.effective[a, b])}
        yield Finding("rare_moves", ATTENTION, environments=(a, b), values={**summed, **numbers})


def _judge_memory(checks: Checks, *, rates: bool) -> Finding:
    remembers = bool(checks.remembers.any())
    blind = np.flatnonzero(checks.seen_memory > SEEN_MEMORY)
    severity = ATTENTION if remembers else UNKNOWN if len(blind) else FINE
    return Finding(
        "memory",
        severity,
        environments=tuple(blind.tolist()) if severity == UNKNOWN else (),
        values={
            "difference": checks.memory,
            "returns": remembers and checks.returns,
            "rates": rates and severity == FINE,
            "smallest": finite(checks.seen_memory.max(initial=0.0)),
        },
    )


def _judge_drift(checks: Checks) -> Iterator[Finding]:
    share = np.maximum(checks.early, checks.late)
    blind = ~checks.drifts & (share > 0.0) & (checks.seen_drift > SEEN_CHANGE * share)
    if not (checks.drifts | blind).any():
        yield Finding("drift", FINE, values={"smallest": finite(checks.seen_drift.max())})
    for k in np.flatnonzero(checks.drifts | blind).tolist():
        values = {
            "early": float(checks.early[k]),
            "late": float(checks.late[k]),
            "standard_errors": float(checks.drift[k]),
            "smallest": finite(checks.seen_drift[k]),
        }
        severity = ATTENTION if checks.drifts[k] else UNKNOWN
        yield Finding("drift", severity, environments=(k,), values=values)


def _judge_balance(checks: Checks) -> Iterator[Finding]:
    tilted = checks.unbalanced
    # pairs with few moves are named as rare; of the others, each is named once
    judged = np.triu(checks.events + checks.events.T >= FEW_EVENTS, 1) & ~(tilted | tilted.T)
    blind = judged & (checks.seen_imbalance > SEEN_EXCESS)
    if not (tilted | blind).any():
        smallest = finite(checks.seen_imbalance[judged].max(initial=0.0)) if judged.any() else None
        yield Finding("balance", FINE if judged.any() else UNKNOWN, values={"smallest": smallest})
    for a, b in np.argwhere(tilted | blind).tolist():
        values = {
            "there": int(checks.events[a, b]),
            "back": int(checks.events[b, a]),
            "excess": float(checks.imbalance[a, b]),
            "smallest": finite(checks.seen_imbalance[a, b]),
        }
        severity = ATTENTION if tilted[a, b] else UNKNOWN
        yield Finding("balance", severity, environments=(a, b), values=values)


def _judge_merge(checks: Checks) -> Finding:
    low, high = checks.merge_cuts.tolist()
    few = not checks.merge_exits[0] >= FEW_EVENTS
    return Finding(
        "merge",
        ATTENTION if not checks.firm_merge else UNKNOWN if few else FINE,
        values={
            "low": finite(low),
            "high": finite(high),
            "support": float(checks.merge_support[0]),
            "exits": finite(checks.merge_exits[0]),
            "n_environments": len(checks.exits),
        },
    )


def _longest_lag(stretches: NDArray[np.int64]) -> int:
    """Return the largest possible lag [frames]."""
    return int(np.bincount(stretches - stretches.min()).max()) - 1
