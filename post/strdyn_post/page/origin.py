"""The numbers of where the dynamics comes from, for the page and ``summary.json``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from strdyn_post.kinetics.foretelling import MOST_LIKELY, fold_interval
from strdyn_post.kinetics.hazards import Coordinate, Hazards
from strdyn_post.limits import EVENT_SHARE
from strdyn_post.names import Names
from strdyn_post.quantities import finite, time_axis
from strdyn_post.results import AnalysisResult
from strdyn_post.signal.frames import usual_spacing

__all__ = ["foretelling_numbers", "origin_numbers"]


def origin_numbers(result: AnalysisResult) -> dict[str, Any] | None:
    """Return where the lasting changes of neighbors begin, and where they lead, as JSON types."""
    origin, soap, lens = result.origin, result.names["soap"], result.names["lens"]
    if origin is None:
        return None
    interval, units = usual_spacing(result["soap"].times), result.provenance.get("units")
    return {
        "lasting": origin.lasting,
        "event_share": EVENT_SHARE,
        "survival": [finite(share) for share in origin.survival],
        "n_observations": origin.n_observations,
        "n_events": origin.n_events,
        "effective": origin.effective,
        "environments": [
            {
                **_called(soap, k),
                **_hazard(origin.environments, k),
                "every": _every(origin.environments, k, interval, units),
                "follows": [
                    {
                        **_called(soap, to),
                        "n_events": int(origin.follows[k, to]),
                        "share": float(origin.follows[k, to] / origin.follows[k].sum()),
                    }
                    for to in np.argsort(-origin.follows[k], kind="stable").tolist()
                    if origin.follows[k, to]
                ],
            }
            for k in soap.order
        ],
        "levels": [
            {
                **_called(lens, level),
                "environments": [
                    {
                        "label": k,
                        "share": float(counts[k] / max(1, counts.sum())),
                        "enrichment": finite(origin.enrichment[level, k]),
                    }
                    for k in soap.order
                ],
            }
            for level, counts in ((level, origin.levels[level]) for level in lens.order)
        ],
        "neighbors": _bins(origin.neighbors),
        "depth": _bins(origin.depth),
    }


def foretelling_numbers(result: AnalysisResult) -> dict[str, Any] | None:
    """Return how much structure tells about the events after it, as JSON types."""
    found = result.foretelling
    if found is None:
        return None
    return {
        **{
            item.name: dict(zip(("mean", "low", "high"), fold_interval(values), strict=True))
            | {"folds": values.tolist()}
            for item in fields(found)[:-2]
            for values in [getattr(found, item.name)]
        },
        "most_likely_share": MOST_LIKELY,
        "predicted": found.predicted.tolist(),
        "observed": found.observed.tolist(),
    }


def _bins(found: Coordinate | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    return [
        {
            "from": float(found.edges[k]),
            "to": float(found.edges[k + 1]),
            "mean": float(found.mean[k]),
            **_hazard(found, k),
        }
        for k in range(len(found.mean))
    ]


def _hazard(found: Hazards, k: int) -> dict[str, Any]:
    return {
        "n_observations": int(found.n_observations[k]),
        "n_events": int(found.n_events[k]),
        "observations": float(found.observations[k]),
        "events": float(found.events[k]),
        "events_low": float(found.low[k]),
        "events_high": float(found.high[k]),
        "effective": float(found.effective[k]),
        "hazard": finite(found.hazard[k]),
        "hazard_low": finite(found.hazard_low[k]),
        "hazard_high": finite(found.hazard_high[k]),
    }


def _every(found: Hazards, k: int, interval: float, units: str | None) -> dict[str, Any] | None:
    """Return the mean time between two events of an atom, with its interval and unit."""
    if not found.rate[k] > 0.0:
        return None
    (time,), unit = time_axis(np.array([interval / found.rate[k]]), units)
    bounds = np.array([found.rate_high[k], found.rate_low[k]])
    low, high = time * found.rate[k] / np.where(bounds > 0.0, bounds, np.nan)
    return {"time": float(time), "low": finite(low), "high": finite(high), "unit": unit}


def _called(names: Names, label: int) -> dict[str, Any]:
    return {
        "name": names.names[label],
        "mark": names.marks[label],
        "color": names.colors[label],
        "label": label,
    }
