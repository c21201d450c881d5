"""Where the dynamics comes from: in which surroundings the lasting changes of neighbors begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.findings import ATTENTION, RESULT, Finding
from strdyn_post.limits import CONFIDENCE, FEW_EVENTS
from strdyn_post.signal.events import Events
from strdyn_post.signal.frames import Frames

from .uncertainty import TIME_BLOCKS

__all__ = ["Coordinate", "Hazards", "Origin", "find_origin", "hazards", "judge_origin"]

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


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the lasting changes of neighbors begin, and where they lead.

    The structure is that of frame k, the event happens between the frames k and k + 1.

    Attributes
    ----------
    lasting : int
        Frames m for which a change must last (see `Events`).
    survival : (n,) float64 ndarray
        Share of the changes that last for 1, 2, … frames.
    n_observations, n_events : int
        Atoms and frames of which it is known whether there is an event; events.
    effective : float
        Number of independent events that are worth the same: atoms that move together, and bursts,
        count less.
    environments : Hazards
        By environment of SOAP at frame k.
    follows : (n_environments, n_environments) int64 ndarray
        Events that begin in a, of atoms that are in b at frame k + 1 + m.
    levels : (n_levels, n_environments) int64 ndarray
        Observations by level of LENS and environment of SOAP, of all frames analysed.
    neighbors : Coordinate
        By number of neighbors at frame k.
    depth : Coordinate or None
        By depth below the surface at frame k [length]; None without a surface.
    """

    lasting: int
    survival: Float
    n_observations: int
    n_events: int
    effective: float
    environments: Hazards
    follows: Int
    levels: Int
    neighbors: Coordinate
    depth: Coordinate | None = None

    @property
    def enrichment(self) -> Float:
        """Share of an environment in a level of LENS over its share in all, as `levels`."""
        of_level = self.levels.sum(axis=1, keepdims=True)
        expected = of_level * self.levels.sum(axis=0) / max(1, self.levels.sum())
        empty = np.full(self.levels.shape, np.nan)
        return np.asarray(np.divide(self.levels, expected, out=empty, where=expected > 0))


def find_origin(
    events: Events,
    frames: Frames,
    environments: tuple[Labels, int],
    levels: tuple[Labels, int],
    depth: Float,
) -> Origin:
    """Count the events by the structure before them.

    Parameters
    ----------
    events : Events
        Of all frames.
    frames : Frames
        Those of the labels, some of the frames of `events`.
    environments, levels : ((n_frames, n_atoms) int32 ndarray, int)
        Environment of SOAP and level of LENS of every observation, negative where there is none,
        and their number.
    depth : (n_frames, n_atoms) float64 ndarray
        Depth of every observation; NaN without a surface.

    Returns
    -------
    Origin
    """
    (labels, n), m = environments, events.lasting
    rows = np.searchsorted(events.frames.steps, frames.steps)
    known, happened = events.known[rows], events.happened[rows]
    before = np.arange(max(0, len(frames) - m - 1))
    before = before[frames.stretches[before] == frames.stretches[before + m + 1]]
    moved = happened[before]
    found, effective = hazards(happened[known], labels[known], n)
    deep = known & np.isfinite(depth).all(axis=1)
    return Origin(
        lasting=m,
        survival=events.survival,
        n_observations=int(known.sum()) * labels.shape[1],
        n_events=int(happened[known].sum()),
        effective=effective,
        environments=found,
        follows=_table(labels[before][moved], labels[before + m + 1][moved], n, n),
        levels=_table(levels[0], labels, levels[1], n),
        neighbors=_by_number(happened[known], events.n_neighbors[rows][known]),
        depth=_by_number(happened[deep], depth[deep]) if deep.any() else None,
    )


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
    shape = (n_blocks, n_units, n_parts + 1)
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
    effective = _independent(1.0, _variance(together), total, n_blocks)
    n_seen, n_hit = n_seen[:n_parts], n_hit[:n_parts]
    shares, worth = n_hit / max(1, total), np.full(n_parts, effective)
    for k in np.flatnonzero((n_hit > 0) & (n_hit < total)):
        variance = shares[k] ** 2 * _variance(excess[..., k] / n_hit[k] - together)
        worth[k] = _independent(shares[k] * (1.0 - shares[k]), variance, total, n_blocks)
    low, high = _interval(shares, worth)
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


def _interval(shares: Float, effective: Float, level: float = CONFIDENCE) -> tuple[Float, Float]:
    """Return the confidence interval of shares of so many independent events (Clopper–Pearson)."""
    from scipy.stats import beta

    tail, counts = (1.0 - level) / 2.0, shares * effective
    # beta gives nan for a share of 0 or 1: the bound is then 0 or 1
    low = np.nan_to_num(beta.ppf(tail, counts, effective - counts + 1.0), nan=0.0)
    high = np.nan_to_num(beta.ppf(1.0 - tail, counts + 1.0, effective - counts), nan=1.0)
    return low, high


def judge_origin(origin: Origin) -> Finding:
    """Say which environments have more events than their share of the observations.

    They have if the lower end of their interval is above it, at a level at which one of all
    environments is so by chance in one run of 40.
    """
    found = origin.environments
    n = int((found.n_observations > 0).sum())
    low, _ = _interval(found.events, found.effective, 1.0 - (1.0 - CONFIDENCE) / max(1, n))
    apart = np.flatnonzero((low > found.observations) & (found.n_observations > 0))
    apart = apart[np.argsort(found.events[apart])[::-1]]
    few = origin.effective < FEW_EVENTS
    verdict = "cannot_tell" if few or n < 2 else "apart" if len(apart) else "even"
    shown = apart.tolist() if verdict == "apart" else []
    if verdict == "even":
        shown = [int(np.nan_to_num(found.hazard).argmax())]
    values: dict[str, Any] = {
        "verdict": verdict,
        "n_environments": n,
        "n_observations": origin.n_observations,
        "n_events": origin.n_events,
        "effective": origin.effective,
        "few": FEW_EVENTS,
        "lasting": origin.lasting,
        "environments": [
            {
                "observations": float(found.observations[k]),
                "events": float(found.events[k]),
                "hazard": float(found.hazard[k]),
                "low": float(found.hazard_low[k]),
                "high": float(found.hazard_high[k]),
            }
            for k in shown
        ],
    }
    severity = ATTENTION if verdict == "cannot_tell" else RESULT
    return Finding("origin", severity, "soap", tuple(shown), values)


def _variance(parts: Float) -> float:
    """Return the variance of the sum of parts, (n_blocks, n_atoms), of mean 0, over both."""
    n_blocks, n_atoms = parts.shape
    by_atom = (parts.sum(axis=0) ** 2).sum() * n_atoms / max(1, n_atoms - 1)
    by_time = (parts.sum(axis=1) ** 2).sum() * n_blocks / max(1, n_blocks - 1)
    return float(max(by_atom + by_time - (parts**2).sum(), by_atom, by_time))


def _independent(one: float, variance: float, total: int, n_blocks: int) -> float:
    """Return how many independent events, each of variance `one`, have this variance of the mean.

    The variance is known from few blocks: quantiles of Student's law instead of the normal one.
    """
    from scipy.stats import norm, t

    if n_blocks < 2 or not total:
        return 0.0
    high = (1.0 + CONFIDENCE) / 2.0
    factor = (norm.ppf(high) / t.ppf(high, n_blocks - 1)) ** 2
    return float(factor * min(total, one / variance if variance else total))


def _by_number(happened: NDArray[np.bool_], values: NDArray[Any]) -> Coordinate:
    """Count the events in bins of about equally many observations."""
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


def _table(rows: Labels, columns: Labels, n_rows: int, n_columns: int) -> Int:
    """Count pairs of labels, (n_rows, n_columns); negative ones are left out."""
    known = (rows >= 0) & (columns >= 0)
    index = rows[known].astype(np.int64) * n_columns + columns[known]
    return np.bincount(index, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
