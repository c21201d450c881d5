"""The findings of a finished analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .config import AnalysisConfig
from .findings import ATTENTION, FINE, Finding, of_route
from .kinetics.checks import judge_moves
from .kinetics.foretelling import Foretelling, judge_foretelling
from .kinetics.length import judge_length
from .kinetics.origin import Origin, judge_origin
from .kinetics.stays import judge_stays
from .limits import FAR_SHARE, FEW_FRAMES, MUCH_NOISE, VIBRATION
from .names import name_environments, unknown_names
from .routes import Route
from .routes.additions import lost_environments, merged_dynamics, new_environments
from .routes.nulls import Nulls

__all__ = ["judge"]


def judge(
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    *,
    origin: Origin | None,
    foretelling: Foretelling | None,
    n_taken: int,
    flicker_share: float,
    labelled: bool,
    nulls: Nulls | None = None,
) -> Iterator[Finding]:
    """Yield the findings of the three routes, and how far these can be trusted.

    Parameters
    ----------
    routes : mapping of str to Route
        The three routes, with checks.
    config : AnalysisConfig
        Settings of the analysis.
    origin : Origin or None
        Where the lasting changes of neighbors begin; None if it is not known.
    foretelling : Foretelling or None
        How much the structure tells about them; None if there are too few.
    n_taken : int
        Number of frames that the stride takes.
    flicker_share : float
        Share of the changes of neighbors that the next frame undoes; NaN if not known.
    labelled : bool
        Whether the frames were labelled by an earlier fit.
    nulls : Nulls, optional
        What SOAP&LENS finds if δ means nothing.
    """
    if origin is not None:
        frames = routes["soap_lens"].frames
        checks = {
            name: route.checks
            for name, route in routes.items()
            if name != "lens" and route.checks is not None
        }
        yield judge_length(origin, checks, len(frames) * frames.spacing)
        yield judge_origin(origin)
        yield judge_foretelling(foretelling)
    new = new_environments(routes, config.lag, nulls)
    hidden = list(merged_dynamics(routes))
    if any(each.route == "soap_lens" for each in hidden):
        # clusters were found, and merged: "nothing new" would hide them
        new = [each for each in new if each.kind != "nothing_new"]
    yield from new
    yield from lost_environments(routes)
    yield from hidden
    n_frames = len(routes["soap_lens"].frames)
    values: dict[str, Any]
    if n_frames < FEW_FRAMES:
        values = {"analysed": n_frames, "taken": n_taken, "stride": config.stride}
        yield Finding("frames", ATTENTION, values=values)
    if np.isfinite(flicker_share):
        # vibration that has no memory is undone by the next frame in half of the cases
        vibration = min(1.0, 2.0 * flicker_share)
        severity = FINE if vibration < VIBRATION else ATTENTION
        values = {"undone": float(flicker_share), "share": float(vibration)}
        yield Finding("vibration", severity, values=values)
    if labelled:
        yield _far(routes["soap_lens"])
    for name, route in routes.items():
        if name != "lens":
            yield _noise(route, labelled=labelled)
        if route.checks is not None:
            moves = judge_moves(
                route.checks,
                route.final,
                route.frames.stretches,
                config.lag,
                merged=route.merged is not None,
                rates=route.stays is not None and route.stays.rates,
            )
            yield from of_route(moves, name)
            if route.stays is not None and route.final.counts.any():
                yield from of_route([judge_stays(route.stays, route.final.populations)], name)
    yield from unknown_names(name_environments(routes, config.names), config.names)


def _far(route: Route) -> Finding:
    """Return the finding on frames that are far from the fit."""
    far = np.flatnonzero(route.far > FAR_SHARE)
    values = {
        "n_far": len(far),
        "n_frames": len(route.frames),
        "first": int(route.steps[far[0]]) if len(far) else None,
        "largest": float(route.far.max(initial=0.0)),
    }
    return Finding("far_frames", ATTENTION if len(far) else FINE, route.name, values=values)


def _noise(route: Route, *, labelled: bool) -> Finding:
    """Return the finding on observations that the clustering leaves outside of every cluster."""
    values = {
        "share": float(route.fit.noise_share),
        "left_out": float((route.labels < 0).mean()),
        "labelled": labelled,
    }
    fine = route.fit.noise_share < MUCH_NOISE
    return Finding("noise", FINE if fine else ATTENTION, route.name, values=values)
