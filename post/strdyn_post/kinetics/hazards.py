"""Events of every part of the observations, with intervals that hold if events come together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import CONFIDENCE

from .uncertainty import TIME_BLOCKS

__all__ = ["Coordinate", "Hazards", "hazards", "hazards_over", "share_interval"]

_BINS = 8
_ATOM_GROUPS = 2000

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
    """

    n_observations: Int
    n_events: Int
    observations: Float
    events: Float
    effective: Float
    low: Float
    high: Float

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
    of a share is that over atoms, plus that over blocks of time, minus that over both (two-way
    clusters: Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29, 238 (2011)), of the events beyond
    those that the environment of an atom explains. The interval is that of Clopper and Pearson for
    as many independent events as have this variance (Korn and Graubard, Surv. Methodol. 24, 193
    (1998)). So it also bounds a share of which no event was seen.

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
        Number of independent events that all of them are worth.
    """
    n_frames, n_atoms = happened.shape
    n_blocks, n_units = max(1, min(TIME_BLOCKS, n_frames)), max(1, min(_ATOM_GROUPS, n_atoms))
    shape, n_clusters = (n_blocks, n_units, n_parts + 1), min(n_blocks, n_units)
    block = (np.arange(n_frames) * n_blocks // max(1, n_frames))[:, None]
    unit = np.arange(n_atoms) * n_units // max(1, n_atoms)
    cell = (block * n_units + unit) * (n_parts + 1) + np.where(parts < 0, n_parts, parts)
    size = int(np.prod(shape))
    seen = np.bincount(cell.ravel(), minlength=size).reshape(shape)
    hit = np.bincount(cell[happened], minlength=size).reshape(shape)
    n_seen, n_hit = seen.sum(axis=(0, 1)), hit.sum(axis=(0, 1))
    total = int(n_hit.sum())
    excess = hit - np.divide(n_hit, n_seen, out=np.zeros(n_parts + 1), where=n_seen > 0) * seen
    together = excess.sum(axis=2) / max(1, total)
    effective = _independent(1.0, _variance(together), total, n_clusters)
    n_seen, n_hit = n_seen[:n_parts], n_hit[:n_parts]
    shares, worth = n_hit / max(1, total), np.full(n_parts, effective)
    for k in np.flatnonzero((n_hit > 0) & (n_hit < total)):
        variance = shares[k] ** 2 * _variance(excess[..., k] / n_hit[k] - together)
        worth[k] = _independent(shares[k] * (1.0 - shares[k]), variance, total, n_clusters)
    low, high = share_interval(shares, worth)
    found = Hazards(
        n_observations=n_seen,
        n_events=n_hit,
        observations=n_seen / max(1, happened.size),
        events=shares,
        effective=worth,
        low=low,
        high=high,
    )
    return found, effective


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


def share_interval(
    shares: Float, effective: Float, level: float = CONFIDENCE
) -> tuple[Float, Float]:
    """Return the confidence interval of shares of so many independent events (Clopper–Pearson)."""
    from scipy.stats import beta

    tail, counts = (1.0 - level) / 2.0, shares * effective
    # beta gives nan for a share of 0 or 1: the bound is then 0 or 1
    low = np.nan_to_num(beta.ppf(tail, counts, effective - counts + 1.0), nan=0.0)
    high = np.nan_to_num(beta.ppf(1.0 - tail, counts + 1.0, effective - counts), nan=1.0)
    return low, high


def _variance(parts: Float) -> float:
    """Return the variance of the sum of parts, (n_blocks, n_atoms), of mean 0, over both."""
    n_blocks, n_atoms = parts.shape
    by_atom = (parts.sum(axis=0) ** 2).sum() * n_atoms / max(1, n_atoms - 1)
    by_time = (parts.sum(axis=1) ** 2).sum() * n_blocks / max(1, n_blocks - 1)
    return float(max(by_atom + by_time - (parts**2).sum(), by_atom, by_time))


def _independent(one: float, variance: float, total: int, n_clusters: int) -> float:
    """Return how many independent events, each of variance `one`, have this variance of the mean.

    The variance is known from few blocks of time, or few atoms: quantiles of Student's law instead
    of the normal one. From one alone it is not known.
    """
    from scipy.stats import norm, t

    if n_clusters < 2 or not total:
        return 0.0
    high = (1.0 + CONFIDENCE) / 2.0
    factor = (norm.ppf(high) / t.ppf(high, n_clusters - 1)) ** 2
    return float(factor * min(total, one / variance if variance else total))
