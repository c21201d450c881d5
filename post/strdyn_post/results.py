"""Results of an analysis: the fit, the labelled frames of three routes, and the findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from .config import AnalysisConfig
from .environments.description import Description
from .errors import AnalysisError
from .findings import ATTENTION, Finding
from .kinetics.event_model import EventModel
from .kinetics.foretelling import Foretelling
from .kinetics.origin import Origin
from .names import Names, name_environments, unknown_names
from .routes import Route, RouteFit
from .routes.nulls import Nulls
from .scans.cluster_sizes import SizePoint
from .scans.intervals import IntervalPoint
from .scans.mixtures import MixturePoint
from .scans.weights import WeightPoint
from .sentences import Line, Speaker, lines_of
from .signal.series import Series

__all__ = ["AnalysisResult", "Fit", "renamed"]


@dataclass(frozen=True)
class Fit:
    """The fit of a recording: it labels other frames (see `label`).

    Attributes
    ----------
    routes : dict of str to RouteFit
        Also reached as ``fit["soap_lens"]``.
    config : AnalysisConfig
        The settings of the fit.
    source : str
        Path of the fitted recording.
    recording : str
        Description of its descriptors; those of another recording must be the same.
    event_model : EventModel or None
        Foretells lasting changes of neighbors; None if there are too few.
    """

    routes: dict[str, RouteFit]
    config: AnalysisConfig
    source: str
    recording: str
    event_model: EventModel | None = None

    def __getitem__(self, name: str) -> RouteFit:
        if name not in self.routes:
            raise KeyError(f"no route {name!r}: expected one of {', '.join(self.routes)}.")
        return self.routes[name]


@dataclass(frozen=True)
class AnalysisResult:
    """The three routes of an analysis, with settings, findings and provenance.

    Attributes
    ----------
    routes : dict of str to Route
        Also reached as ``result["soap_lens"]``.
    config : AnalysisConfig
        The settings used.
    delta : Series
        δ before smoothing.
    findings : tuple of Finding
        The conclusions of the analysis; `lines` has them as sentences.
    descriptions : dict of str to Description
        Neighbors and depth of the environments of every route; may be empty.
    origin : Origin or None
        Where the lasting changes of neighbors begin; None in results of earlier versions.
    foretelling : Foretelling or None
        How much the structure tells about the events after it; None if there are too few events.
    nulls : Nulls or None
        What SOAP&LENS finds if δ means nothing; None if SOAP alone has all its environments, and
        for frames that an earlier fit labelled.
    event_model : EventModel or None
        Of the fit; None if there are too few events.
    weight_scan : tuple of WeightPoint
        SOAP&LENS at `scan_weights` and at the weight in use, by increasing weight; empty without
        `scan_weights`.
    interval_scan : tuple of IntervalPoint
        SOAP and SOAP&LENS at `scan_intervals`, at `scan_windows` and as in use, by increasing Δt
        and window; empty without these settings.
    cluster_size_scan : tuple of SizePoint
        SOAP and SOAP&LENS at `scan_cluster_sizes` and at the size in use, by increasing size; empty
        without `scan_cluster_sizes`.
    mixture_scan : tuple of MixturePoint
        SOAP&LENS with `scan_clusters` and the number in use; empty without `scan_clusters`.
    flicker_share : float
        Share of the changes of neighbors that the next frame undoes (see `Events`).
    provenance : dict
        Versions, seed, recording, steps (JSON types); `run_id` is added if it is missing.
    timings : dict of str to float
        Seconds of every stage.
    """

    routes: dict[str, Route]
    config: AnalysisConfig
    delta: Series
    findings: tuple[Finding, ...] = ()
    descriptions: dict[str, Description] = field(default_factory=dict)
    origin: Origin | None = None
    foretelling: Foretelling | None = None
    nulls: Nulls | None = None
    event_model: EventModel | None = None
    weight_scan: tuple[WeightPoint, ...] = ()
    interval_scan: tuple[IntervalPoint, ...] = ()
    cluster_size_scan: tuple[SizePoint, ...] = ()
    mixture_scan: tuple[MixturePoint, ...] = ()
    flicker_share: float = float("nan")
    provenance: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{32}", str(self.provenance.get("run_id"))):
            object.__setattr__(self, "provenance", {**self.provenance, "run_id": uuid4().hex})

    def __getitem__(self, name: str) -> Route:
        if name not in self.routes:
            raise KeyError(f"no route {name!r}: expected one of {', '.join(self.routes)}.")
        return self.routes[name]

    @property
    def run_id(self) -> str:
        """Identity of this analysis; every file of it has this ID."""
        return str(self.provenance["run_id"])

    @cached_property
    def names(self) -> dict[str, Names]:
        """Mark, name and colour of every environment of every route."""
        return name_environments(self.routes, self.config.names)

    @property
    def speaker(self) -> Speaker:
        """Names of environments and units of times for sentences."""
        units, interval = (self.provenance.get(name) for name in ("units", "interval"))
        spacing = self["soap_lens"].frames.spacing if interval is None else float(interval)
        return Speaker(self.names, units, spacing)

    @property
    def lines(self) -> list[Line]:
        """The findings as sentences, in the order in which they are read."""
        return lines_of(self.findings, self.speaker)

    @property
    def warnings(self) -> list[str]:
        """The sentences that need attention."""
        return [str(line) for line in self.lines if line.severity == ATTENTION]

    @property
    def smoothed_delta(self) -> Series:
        """δ as it enters χ, (n_frames, n_atoms) float32, of the frames of the routes."""
        lens = self["lens"]
        return Series(lens.scores[..., 0], lens.frames)

    @property
    def expected_events(self) -> NDArray[np.float32] | None:
        """Expected events per atom and unit of time, (n_frames, n_atoms), from SOAP alone.

        An event is a lasting change of neighbors (see `Events`) before the next frame. None without
        an `event_model`.
        """
        if self.event_model is None:
            return None
        return self.event_model.rate(self["soap"].scores).astype(np.float32)

    @property
    def fit(self) -> Fit:
        """The fit, which labels other frames.

        Raises
        ------
        AnalysisError
            If these frames were labelled by an earlier fit.
        """
        if "model" in self.provenance:
            raise AnalysisError(
                "these results were labelled by an earlier fit: expected the results of that fit. "
                f"Give those of {self.provenance['model']}."
            )
        return Fit(
            {name: route.fit for name, route in self.routes.items()},
            self.config,
            str(self.provenance.get("buffer", "")),
            str(self.provenance.get("recording", "")),
            self.event_model,
        )


def renamed(
    result: AnalysisResult,
    *,
    routes: Mapping[str, Route] | None = None,
    config: AnalysisConfig | None = None,
) -> AnalysisResult:
    """Return a result with other identities (`routes`) or other names (`config`)."""
    routes = dict(routes or result.routes)
    config = config or result.config
    found = [each for each in result.findings if each.kind != "unknown_name"]
    found += unknown_names(name_environments(routes, config.names), config.names)
    return replace(result, routes=routes, config=config, findings=tuple(found))
