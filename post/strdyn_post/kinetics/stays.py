"""How long atoms stay in the environments of a route: committed stays, and what resolves them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.findings import ATTENTION, FINE, UNKNOWN, Finding
from strdyn_post.limits import (
    BEYOND_NULL,
    FEW_EVENTS,
    MAYBE_UNDONE,
    MOSTLY,
    NEARLY_ALL,
    RECROSSED,
    STILL_UNDONE,
)
from strdyn_post.quantities import finite

from .committed import commit, find_commitment, share_of_short_visits
from .filter_null import FilterNull
from .transitions import count_transitions, transition_matrix
from .uncertainty import transition_intervals

__all__ = ["CANNOT_TELL", "NOT_RESOLVED", "RESOLVED", "Stays", "find_stays", "judge_stays"]

RESOLVED = "resolved"
NOT_RESOLVED = ("short", "recrossed", "frames", "window", "null")
"""Verdicts: visits shorter than m; visits of m frames end more often than later ones; stay of a few
frames only, within the smoothing window, as long as shuffled δ gives after smoothing."""
CANNOT_TELL = ("few", "slow", "unsure", "wide")
"""Verdicts: too few independent exits; their rate changes over times as long as the run; too few
visits to rule out recrossings; the interval reaches below the limit."""
_BEYOND = 1e3  # an upper end this many times above the stay is none

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Stays:
    """Committed moves between the environments of a route, and how long atoms stay.

    Attributes
    ----------
    frames : int
        m: an atom is committed after so many frames (see `find_commitment`).
    left_low, left_high : (n_clusters,) float64 ndarray
        Share of the committed moves to and from the environment that are still recrossings: bounds
        of two standard errors (see `Commitment`).
    undone : (n,) float64 ndarray
        Share of all moves that are undone within 1, 2, … frames.
    raw : (n_clusters,) float64 ndarray
        Mean stay by all moves [frames]; infinite for an environment that was never left.
    short : (n_clusters,) float64 ndarray
        Share of its observations in visits shorter than m; NaN if not known.
    counts : (n_clusters, n_clusters) int64 ndarray
        Committed transitions at a lag of one frame.
    low, high : (n_clusters, n_clusters) float64 ndarray
        95 % confidence intervals of their probabilities per frame.
    effective : (n_clusters,) float64 ndarray
        As many independent exits would be known equally well.
    slow : (n_clusters,) bool ndarray
        Whether exits come at a rate that changes over times as long as the run.
    window : int
        Frames over which δ is smoothed; 1 where no δ is used.
    null : (n_clusters,) float64 ndarray
        Mean committed stay with shuffled δ [frames] (see `FilterNull`); 0 if there is none.
    structural : (n_clusters,) float64 ndarray
        Share of the committed exits that also happen with shuffled δ; 1 where no δ is used.
    """

    frames: int
    left_low: Float
    left_high: Float
    undone: Float
    raw: Float
    short: Float
    counts: NDArray[np.int64]
    low: Float
    high: Float
    effective: Float
    slow: Bool
    window: int
    null: Float
    structural: Float

    @property
    def exits(self) -> NDArray[np.int64]:
        """Committed moves out of every environment, (n_clusters,)."""
        return np.asarray(self.counts.sum(axis=1) - np.diag(self.counts))

    @property
    def mean(self) -> Float:
        """Mean committed stay [frames], (n_clusters,): frames spent, divided by the exits.

        Visits that the ends of the recording cut off do not bias it. Infinite without exits, NaN
        without frames.
        """
        spent, left = self.counts.sum(axis=1).astype(np.float64), self.exits
        found = np.where(spent > 0, np.inf, np.nan)
        return np.asarray(np.divide(spent, left, out=found, where=left > 0))

    @property
    def mean_low(self) -> Float:
        """Lower end of the 95 % confidence interval of `mean`."""
        return np.asarray(1.0 / (1.0 - np.minimum(np.diag(self.low), 1.0 - 1e-15)))

    @property
    def mean_high(self) -> Float:
        """Upper end; infinite if next to nothing bounds it."""
        high = 1.0 / (1.0 - np.minimum(np.diag(self.high), 1.0 - 1e-15))
        most = _BEYOND * np.nan_to_num(self.mean, posinf=0.0)
        return np.where(high < most, high, np.inf)

    @property
    def known(self) -> Bool:
        """Whether a committed stay can be given, (n_clusters,)."""
        return np.asarray(~np.isnan(self.mean) & ~(self.short > MOSTLY))

    @property
    def agree(self) -> Bool:
        """Whether recrossings hardly change the stay, (n_clusters,)."""
        return np.asarray(self.known & (self.mean <= RECROSSED * self.raw))

    @property
    def probabilities(self) -> Float:
        """Committed moves per frame, (n_clusters, n_clusters); divided by Δt they are rates."""
        return transition_matrix(self.counts)

    @property
    def given(self) -> tuple[Float, Float, Float]:
        """Mean stay with the ends of its interval, each (n_clusters,) [frames].

        NaN where it cannot be given. If recrossings are left, only the lower end is given: without
        them the stay would be longer.
        """
        kept = np.array([verdict != "recrossed" for verdict in self.verdicts])
        some = np.where(self.known, 1.0, np.nan)
        all_ends = np.where(kept, some, np.nan)
        return self.mean * all_ends, self.mean_low * some, self.mean_high * all_ends

    @property
    def verdicts(self) -> list[str]:
        """For each environment `RESOLVED`, one of `NOT_RESOLVED`, or one of `CANNOT_TELL`."""
        return [self._verdict(label) for label in range(len(self.raw))]

    @property
    def rates(self) -> bool:
        """Whether all stays are resolved, and recrossings hardly change them."""
        return bool(self.agree.all()) and set(self.verdicts) <= {RESOLVED}

    def _verdict(self, label: int) -> str:
        stay = self.mean[label]
        if self.short[label] > MOSTLY:
            return "short"
        if self.left_low[label] > STILL_UNDONE:
            return "recrossed"
        if np.isnan(stay):
            return "few"
        by_delta = self.structural[label] < NEARLY_ALL
        limits = {
            "frames": max(2.0, self.frames),
            "window": self.window if by_delta else 0.0,
            "null": BEYOND_NULL * self.null[label] if by_delta else 0.0,
        }
        by, limit = max(limits.items(), key=lambda item: item[1])
        if self.effective[label] < FEW_EVENTS:
            return "few"
        if stay <= limit:
            return by
        if self.slow[label]:
            return "slow"
        if self.left_high[label] > MAYBE_UNDONE:
            return "unsure"
        return RESOLVED if self.mean_low[label] > limit else "wide"


def find_stays(
    labels: NDArray[np.int32],
    n_clusters: int,
    stretches: NDArray[np.int64],
    null: FilterNull | None = None,
) -> Stays:
    """Find the committed moves and the mean stays.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Environments, noise negative.
    n_clusters : int
        Number of environments.
    stretches : (n_frames,) int64 ndarray
        Gapless stretches.
    null : FilterNull, optional
        The same frames with shuffled δ; None for SOAP, which has no δ.
    """
    found = find_commitment(labels, n_clusters, stretches)
    committed = commit(labels, found.frames, stretches)
    counts = count_transitions(committed, n_clusters, 1, stretches)
    intervals = transition_intervals(committed, n_clusters, 1, stretches)
    raw = count_transitions(labels, n_clusters, 1, stretches)
    left = raw.sum(axis=1) - np.diag(raw)
    stays, structural = np.zeros(n_clusters), np.ones(n_clusters)
    if null is not None:
        stays, structural = null.compare(committed, n_clusters, found.frames, stretches)
    # a rate that is not known matters if most of the exits take this way
    share = transition_matrix(intervals.events)
    # recrossings of the environments where atoms go to are exits, too
    left_low, left_high = (
        np.maximum(each, share @ each)
        for each in (found.left - found.chance, found.left + found.chance)
    )
    return Stays(
        frames=found.frames,
        left_low=left_low,
        left_high=left_high,
        undone=found.undone,
        raw=np.divide(raw.sum(axis=1), left, out=np.full(n_clusters, np.inf), where=left > 0),
        short=share_of_short_visits(labels, n_clusters, found.frames, stretches),
        counts=counts,
        low=intervals.low,
        high=intervals.high,
        effective=intervals.effective.sum(axis=1),
        slow=(share * intervals.slow).sum(axis=1) > MOSTLY,
        window=1 if null is None else null.window,
        null=stays,
        structural=structural,
    )


def judge_stays(stays: Stays, populations: NDArray[np.int64]) -> Finding:
    """Return the finding on the stays of a route."""
    verdicts = stays.verdicts
    seen = np.flatnonzero(populations).tolist()
    found = {verdicts[k] for k in seen}
    mean, low, high = stays.given
    bad, unknown = found & set(NOT_RESOLVED), found & set(CANNOT_TELL)
    off = ~np.eye(len(stays.raw), dtype=np.bool_)
    return Finding(
        "stays",
        ATTENTION if bad else UNKNOWN if unknown or not seen else FINE,
        environments=tuple(seen),
        values={
            "frames": int(stays.frames),
            "window": int(stays.window),
            "n_committed": int(stays.counts[off].sum()),
            "undone": finite(stays.undone[stays.frames - 2]) if stays.frames > 1 else 0.0,
            "rates": bool(stays.rates),
            "environments": [
                {
                    "verdict": verdicts[k],
                    "raw": finite(stays.raw[k]),
                    "stay": finite(mean[k]),
                    "low": finite(low[k]),
                    "high": finite(high[k]),
                    "exits": int(stays.exits[k]),
                    "effective": float(stays.effective[k]),
                    "short": finite(stays.short[k]),
                    "null": finite(stays.null[k]),
                    "structural": finite(stays.structural[k]),
                }
                for k in seen
            ],
        },
    )
