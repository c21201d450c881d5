"""The checks that every analysis makes of itself, and what counts as a finding.

Warnings, page and figures take every judgement of the kinetics from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .persistence import lag_scan, residence_times
from .uncertainty import (
    FEW_EVENTS,
    flux_imbalance,
    merge_support,
    resample_counts,
    stationarity,
    transition_intervals,
)

if TYPE_CHECKING:
    from strdyn_post.config import AnalysisConfig
    from strdyn_post.results import Route

__all__ = [
    "CHANGE",
    "CLEAR",
    "MEMORY",
    "SUPPORT",
    "Checks",
    "check_route",
    "check_warnings",
    "few_values_warning",
]

CLEAR = 3.0
"""A difference of more standard errors than this is called one."""
CHANGE = 0.1
"""A share drifts if it also changes by more than this part of itself."""
MEMORY = 0.1
"""Moves have a memory if probabilities differ by more than this, and beyond chance."""
SUPPORT = 0.8
"""A merge is firm if this share of the resampled counts makes it."""

_FEW_VALUES = 20  # of δ in a cluster, counted as 1 / Σ p² with the shares p of the values
_IN_PIECES = 0.3  # share of the rows in clusters of fewer,
_MORE_CLUSTERS = 1.5  # and clusters of SOAP&LENS for each of SOAP, from which they are pieces

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Checks:
    """What `uncertainty` and `persistence` find about the final (merged) environments of a route.

    Attributes
    ----------
    low, high : (n_clusters, n_clusters) float64 ndarray
        95 % confidence intervals of the transition probabilities.
    few_events : (n_clusters, n_clusters) bool ndarray
        Moves seen, but fewer than `FEW_EVENTS` times: their probabilities are rough.
    lags : (n_lags,) int64 ndarray
        Lags of the next three [frames].
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
        Excess of the flux from a to b over that back, in standard deviations.
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
        """Largest difference of a probability to stay from that without memory."""
        return float(np.nan_to_num(np.abs(self.stay - self.predicted_stay)).max(initial=0.0))

    @property
    def remembers(self) -> NDArray[np.bool_]:
        """Where whether atoms stay depends on where they came from, (n_lags, n_clusters)."""
        expected = self.predicted_stay
        # each visit says once how long atoms stay, however many frames it takes
        chance = np.sqrt(expected * (1.0 - expected) / (self.exits + 1))
        return np.abs(self.stay - expected) > np.maximum(MEMORY, CLEAR * chance)

    @property
    def returns(self) -> bool:
        """Whether all memory is that of atoms which come back."""
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


def check_route(
    route: Route, config: AnalysisConfig, apart: NDArray[np.bool_] | None = None
) -> tuple[Checks, list[str]]:
    """Check the kinetics of a route; return the numbers and what a reader must know.

    `apart` are the pairs of clusters that never merge, (n_clusters, n_clusters).
    """
    final, lag, stretches = route.final, config.lag, route.stretches
    n = final.n_clusters

    def resample(labels: NDArray[np.int32], n_clusters: int) -> list[NDArray[np.int64]]:
        return [
            resample_counts(
                labels, n_clusters, by=by, lag=lag, stretches=stretches, seed=config.seed
            )
            for by in ("atoms", "time")
        ]

    intervals = transition_intervals(final.counts, resample(final.labels, n), lag=lag)
    longest = int(np.bincount(stretches - stretches.min()).max()) - 1
    lags = [lag * k for k in (1, 2, 3, 5, 8, 13, 21, 34) if k == 1 or lag * k <= longest // 2]
    scan = lag_scan(final.labels, n, lags, stretches)
    residence = residence_times(final.labels, n, stretches)
    halves = stationarity(final.labels, n, lag, stretches)
    merged = route.merged is not None
    cuts, support = merge_support(
        route.counts,
        resample(route.labels, route.n_clusters) if merged else [],
        config.merge_cut if merged else None,
        apart,
    )
    checks = Checks(
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
    return checks, [*_count_warnings(final.counts, lag, longest), *check_warnings(checks)]


def _count_warnings(counts: NDArray[np.int64], lag: int, longest: int) -> list[str]:
    """Name what nothing is known of; `longest` is the largest possible lag [frames]."""
    if len(counts) and not counts.any():
        return [
            f"no transition was counted at lag = {lag}: the longest gapless stretch allows "
            f"{longest}. Nothing is merged, and nothing is known of the kinetics. Set a smaller "
            "lag, or record more frames."
        ]
    silent = ", ".join(map(str, np.flatnonzero(counts.sum(axis=1) == 0)))
    if not silent:
        return []
    return [f"no transition was counted from cluster {silent}: nothing is known of where it goes."]


def few_values_warning(chi: Route, soap: Route, delta: Float) -> str | None:
    """Say if HDBSCAN* has broken SOAP&LENS into pieces of equal δ.

    Rows with the same δ are infinitely dense along it: where the lists are short, δ has few
    values, and every one of them looks like a cluster.

    Parameters
    ----------
    chi, soap : Route
        SOAP&LENS and SOAP, before merging.
    delta : (n_frames, n_atoms) float64 ndarray
        δ of the rows.
    """
    in_pieces = 0
    for label in range(chi.n_clusters):
        values = delta[chi.labels == label].round(9)
        counts = np.unique(values, return_counts=True)[1].astype(np.float64)
        if (counts**2).sum() * _FEW_VALUES > counts.sum() ** 2:
            in_pieces += len(values)
    share = in_pieces / chi.labels.size
    if share < _IN_PIECES or chi.n_clusters <= _MORE_CLUSTERS * soap.n_clusters:
        return None
    return (
        "δ has few different values, and HDBSCAN* breaks the data into pieces of equal δ: "
        f"{chi.n_clusters} clusters, where SOAP has {soap.n_clusters}; {share:.0%} of the "
        'observations are in such pieces. Set method = "gmm" or a longer smoothing_window, or '
        "record with a larger lens_r_cut."
    )


def check_warnings(checks: Checks) -> list[str]:
    """Say in words what the checks of a route found wanting."""
    found = []
    if checks.few_events.any():
        found.append(
            f"fewer than {FEW_EVENTS} events for {_named(checks.few_events)}: take these "
            "probabilities as rough."
        )
    if checks.remembers.any():
        found.append(
            f"the exchange is not Markovian at this lag: counted and predicted persistence differ "
            f"by up to {checks.memory:.2f}. A longer lag or frames further apart may help."
        )
    for k in np.flatnonzero(checks.drifts)[:3]:
        found.append(
            f"cluster {k} drifts: {checks.early[k]:.1%} of the early half, {checks.late[k]:.1%} of "
            "the late half. The run is not stationary."
        )
    if checks.unbalanced.any():
        found.append(
            f"more moves than back for {_named(checks.unbalanced)}, beyond chance: the system is "
            "not in equilibrium."
        )
    if not checks.firm_merge:
        found.append(
            f"the merge is not firm: {checks.merge_support[0]:.0%} of resampled counts merge the "
            "same clusters."
        )
    return found


def _named(moves: NDArray[np.bool_]) -> str:
    pairs = [f"{a} → {b}" for a, b in np.argwhere(moves)]
    return ", ".join(pairs[:5]) + (f" and {len(pairs) - 5} more" if len(pairs) > 5 else "")
