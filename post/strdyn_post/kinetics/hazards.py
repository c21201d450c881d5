"""Events of every part of the observations, with intervals that hold if events come together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import FEW_EVENTS

from .clustered import (
    atom_groups,
    share_interval,
    spread,
    student_factor,
    time_blocks,
    waves,
)

__all__ = ["Coordinate", "Hazards", "hazards", "hazards_over"]

_BINS = 8

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Labels = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Hazards:
    """Share of the events of every part of the observations: environments, or bins of a number.

    Attributes
    ----------
    n_observations, n_events : (n,) int64 ndarray
        Counts of every part.
    observations, events : (n,) float64 ndarray
        Shares of all observations, and of all events.
    effective : (n,) float64 ndarray
        Number of independent events that would give the same interval.
    low, high : (n,) float64 ndarray
        95 % confidence interval of `events`.
    rate_low, rate_high : (n,) float64 ndarray
        95 % confidence interval of `rate`; NaN in results of earlier versions.
    rate_slow : (n,) bool ndarray
        Whether the rate changes over times as long as the run: then its mean is not known better.
    """

    n_observations: Int
    n_events: Int
    observations: Float
    events: Float
    effective: Float
    low: Float
    high: Float
    rate_low: Float
    rate_high: Float
    rate_slow: NDArray[np.bool_]

    @property
    def rate(self) -> Float:
        """Events per observation, (n,); divided by Δt they are a rate."""
        return np.asarray(
            self.n_events / np.where(self.n_observations, self.n_observations, np.nan)
        )

    @property
    def hazard(self) -> Float:
        """Events per observation, relative to the mean of all observations, (n,)."""
        return self._relative(self.events)

    @property
    def hazard_low(self) -> Float:
        """Lower end of the interval of the hazard, (n,)."""
        return self._relative(self.low)

    @property
    def hazard_high(self) -> Float:
        """Upper end of the interval of the hazard, (n,)."""
        return self._relative(self.high)

    def _relative(self, share: Float) -> Float:
        empty = np.full(share.shape, np.nan)
        known = self.observations > 0
        return np.asarray(np.divide(share, self.observations, out=empty, where=known))


@dataclass(frozen=True, kw_only=True)
class Coordinate(Hazards):
    """Hazards over a number that every observation has, in bins of about as many observations.

    Attributes
    ----------
    edges : (n + 1,) float64 ndarray
        Ends of the bins; a bin holds its lower end, the last one holds both.
    mean : (n,) float64 ndarray
        Mean of the number in every bin.
    """

    edges: Float
    mean: Float


def hazards(happened: NDArray[np.bool_], parts: Labels, n_parts: int) -> tuple[Hazards, float]:
    """Count the events of every part of the observations, with intervals.

    Events of one atom depend on each other, and so do events at about the same time. The variance
    of a share holds both (`spread`), of the events beyond those that the part of an observation
    explains. Divided by the variance of independent events it is the design effect; the interval
    is that of as many independent events (`share_interval`). A part with few events cannot tell its
    own design effect: it has at least that of all events. So a share of which no event was seen is
    bounded, too.

    Parameters
    ----------
    happened : (n_frames, n_atoms) bool ndarray
        Events.
    parts : (n_frames, n_atoms) int32 ndarray
        Part of every observation; negative for none. Those count in the totals only.
    n_parts : int
        Number of parts.

    Returns
    -------
    found : Hazards
    effective : float
        Number of independent events that would tell the shares as well; 0 if there is one atom, or
        one frame.
    """
    n_frames, n_atoms = happened.shape
    group, block = atom_groups(n_atoms), time_blocks(n_frames)
    n_groups, n_blocks = (int(each.max(initial=0)) + 1 for each in (group, block))
    shape = (n_groups, n_blocks, n_parts + 1)
    cell = group * n_blocks + block[:, None]
    cell = cell * (n_parts + 1) + np.where(parts < 0, n_parts, parts)
    size = int(np.prod(shape))
    seen = np.bincount(cell.ravel(), minlength=size).reshape(shape)
    hit = np.bincount(cell[happened], minlength=size).reshape(shape)
    n_seen, n_hit = seen.sum(axis=(0, 1)), hit.sum(axis=(0, 1))
    total = int(n_hit.sum())
    shares = n_hit / max(1, total)
    excess = hit - np.divide(n_hit, n_seen, out=np.zeros(n_parts + 1), where=n_seen > 0) * seen
    together = excess.sum(axis=2, keepdims=True)
    # the last column is the number of all events
    influence = np.concatenate([excess - shares * together, together], axis=2)
    found = spread(influence, hit.sum(axis=(1, 2)).astype(np.float64), waves(n_blocks))
    alone = np.append(n_hit * (1.0 - shares), total)
    design = np.divide(found.variance, alone, out=np.ones(n_parts + 2), where=alone > 0.0)
    design = np.maximum(1.0, design)
    of_parts = design[:-1][(n_hit > 0) & (n_hit < total)].max(initial=0.0)
    rare = np.append(n_hit, total) < FEW_EVENTS * design
    design = np.where(rare, np.maximum(design, of_parts or design[-1]), design)
    worth = total / design * student_factor(found.freedom) if n_groups > 1 else 0.0 * design
    effective = 0.0
    if n_groups > 1:
        # a rate that rises for all alike changes no share; atoms that move again and again do
        by_atom = (together.sum(axis=1) ** 2).sum() * n_groups / (n_groups - 1)
        of_shares = max(of_parts, by_atom / max(1, total)) if of_parts else design[-1]
        effective = total / max(1.0, of_shares)
    rate_low, rate_high, rate_slow = _rate_intervals(excess, seen, n_seen, n_hit)
    n_seen, n_hit, shares = n_seen[:n_parts], n_hit[:n_parts], shares[:n_parts]
    low, high = share_interval(shares, worth[:n_parts])
    counted = Hazards(
        n_observations=n_seen,
        n_events=n_hit,
        observations=n_seen / max(1, happened.size),
        events=shares,
        effective=worth[:n_parts],
        low=low,
        high=high,
        rate_low=rate_low[:n_parts],
        rate_high=rate_high[:n_parts],
        rate_slow=rate_slow[:n_parts],
    )
    return counted, float(effective)


def _rate_intervals(
    excess: Float, seen: Int, n_seen: Int, n_hit: Int
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Return the intervals of the events per observation of every part, and whether they drift.

    As those of the shares, but with the variance of the events beyond the mean rate of their part:
    a rate that rises for all alike counts. It is that of a test (see `spread`), which holds four
    slow cosines at least: a drift over the whole run widens the interval, and is said besides.
    `excess` and `seen` are (n_groups, n_blocks, n_parts).
    """
    n_groups, n_blocks, n_parts = seen.shape
    rate = np.divide(n_hit, n_seen, out=np.zeros(n_parts), where=n_seen > 0)
    weights = seen.sum(axis=1).astype(np.float64)
    found = spread(excess, weights, waves(n_blocks), test=True)
    alone = n_hit * (1.0 - rate)
    design = np.divide(found.variance, alone, out=np.ones(n_parts), where=alone > 0.0)
    design = np.where(np.isfinite(found.variance), np.maximum(1.0, design), np.inf)
    rare = n_hit < FEW_EVENTS * design
    usual = design[~rare].max(initial=1.0) if (~rare).any() else design.max(initial=1.0)
    design = np.where(rare, np.maximum(design, usual), design)
    worth = n_seen / design * student_factor(found.freedom) if n_groups > 1 else 0.0 * design
    return *share_interval(rate, worth), found.slow & (n_hit > 0)


def hazards_over(happened: NDArray[np.bool_], values: NDArray[Any]) -> Coordinate:
    """Count the events in bins of a number.

    Parameters
    ----------
    happened : (n_frames, n_atoms) bool ndarray
        Events.
    values : (n_frames, n_atoms) ndarray of int or float
        A finite number for every observation.

    Returns
    -------
    Coordinate
        At most 8 bins of about equally many observations; fewer if many have the same number.
    """
    edges = np.zeros(1)
    if values.size:
        edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, _BINS + 1), method="higher"))
    edges = np.append(edges, edges[-1:]) if len(edges) == 1 else edges
    n = len(edges) - 1
    parts = np.searchsorted(edges[1:-1], values, side="right").astype(np.int32)
    found, _ = hazards(happened, parts, n)
    total = np.bincount(parts.ravel(), values.ravel(), n)
    mean = total / np.maximum(1, found.n_observations)
    return Coordinate(**vars(found), edges=edges.astype(np.float64), mean=mean)
