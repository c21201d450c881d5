"""Where the dynamics comes from: in which surroundings the lasting changes of neighbors begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from strdyn_post.findings import RESULT, UNKNOWN, Finding
from strdyn_post.limits import CONFIDENCE, FEW_EVENTS
from strdyn_post.signal.events import Events
from strdyn_post.signal.frames import Frames

from .clustered import share_interval
from .hazards import Coordinate, Float, Hazards, Int, Labels, hazards, hazards_over

__all__ = ["Origin", "find_origin", "judge_origin"]


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
        neighbors=hazards_over(happened[known], events.n_neighbors[rows][known]),
        depth=hazards_over(happened[deep], depth[deep]) if deep.any() else None,
    )


def judge_origin(origin: Origin) -> Finding:
    """Say which environments have more events than their share of the observations.

    They have if the lower end of their interval is above it, at a level at which one of all
    environments is so by chance in one run of 40.
    """
    found = origin.environments
    n = int((found.n_observations > 0).sum())
    low, _ = share_interval(found.events, found.effective, 1.0 - (1.0 - CONFIDENCE) / max(1, n))
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
    severity = UNKNOWN if verdict == "cannot_tell" else RESULT
    return Finding("origin", severity, "soap", tuple(shown), values)


def _table(rows: Labels, columns: Labels, n_rows: int, n_columns: int) -> Int:
    """Count pairs of labels, (n_rows, n_columns); negative ones are left out."""
    known = (rows >= 0) & (columns >= 0)
    index = rows[known].astype(np.int64) * n_columns + columns[known]
    return np.bincount(index, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
