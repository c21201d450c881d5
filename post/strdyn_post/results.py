"""What an analysis gives: the fit, the labelled frames of three routes, and what they say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

from .config import AnalysisConfig
from .environments.description import Description
from .errors import AnalysisError
from .findings import ATTENTION, Finding
from .kinetics.foretelling import Foretelling
from .kinetics.origin import Origin
from .names import Names, name_environments, unknown_names
from .routes import Route, RouteFit
from .scans.intervals import IntervalPoint
from .scans.mixtures import MixturePoint
from .scans.weights import WeightPoint
from .sentences import Line, Speaker, lines_of
from .signal.series import Series

__all__ = ["AnalysisResult", "Fit", "renamed"]


@dataclass(frozen=True)
class Fit:
    """What was learnt from the frames of a recording: it labels other frames (see `label`).

    Attributes
    ----------
    routes : dict of str to RouteFit
        Also reached as ``fit["soap_lens"]``.
    config : AnalysisConfig
        The settings of the fit.
    source : str
        Where the recording is that was fitted.
    recording : str
        What the descriptors of another recording must have in common with it.
    """

    routes: dict[str, RouteFit]
    config: AnalysisConfig
    source: str
    recording: str

    def __getitem__(self, name: str) -> RouteFit:
        if name not in self.routes:
            raise KeyError(f"no route {name!r}: {', '.join(self.routes)}.")
        return self.routes[name]


@dataclass(frozen=True)
class AnalysisResult:
    """The three routes side by side, with what made them.

    Attributes
    ----------
    routes : dict of str to Route
        Also reached as ``result["soap_lens"]``.
    config : AnalysisConfig
        The settings used.
    delta : Series
        δ before smoothing.
    findings : tuple of Finding
        What the analysis concludes; `sentences` makes words of it.
    descriptions : dict of str to Description
        What the environments of every route are; empty where no recording was at hand.
    origin : Origin or None
        Where the lasting changes of neighbors begin; None in results of earlier versions.
    foretelling : Foretelling or None
        How much the structure tells about the events after it; None if there are too few events.
    weight_scan : tuple of WeightPoint
        SOAP&LENS at `scan_weights` and at the weight in use, by increasing weight; empty if no
        others were asked for.
    interval_scan : tuple of IntervalPoint
        SOAP and SOAP&LENS at `scan_intervals`, at `scan_windows` and as in use, by increasing Δt
        and window; empty if no others were asked for.
    mixture_scan : tuple of MixturePoint
        SOAP&LENS with `scan_clusters` and the number in use; empty if no others were asked for.
    flicker_share : float
        Share of the changes of neighbors that the next frame undoes (see `Events`).
    provenance : dict
        Versions, seed, recording, steps (JSON types); `run_id` is put in if it is not.
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
    weight_scan: tuple[WeightPoint, ...] = ()
    interval_scan: tuple[IntervalPoint, ...] = ()
    mixture_scan: tuple[MixturePoint, ...] = ()
    flicker_share: float = float("nan")
    provenance: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{32}", str(self.provenance.get("run_id"))):
            object.__setattr__(self, "provenance", {**self.provenance, "run_id": uuid4().hex})

    def __getitem__(self, name: str) -> Route:
        if name not in self.routes:
            raise KeyError(f"no route {name!r}: {', '.join(self.routes)}.")
        return self.routes[name]

    @property
    def run_id(self) -> str:
        """Identity of this analysis, in every file that is made of it."""
        return str(self.provenance["run_id"])

    @cached_property
    def names(self) -> dict[str, Names]:
        """Mark, name and colour of every environment of every route."""
        return name_environments(self.routes, self.config.names)

    @property
    def speaker(self) -> Speaker:
        """What environments and times are called."""
        units, interval = (self.provenance.get(name) for name in ("units", "interval"))
        spacing = self["soap_lens"].frames.spacing if interval is None else float(interval)
        return Speaker(self.names, units, spacing)

    @property
    def lines(self) -> list[Line]:
        """The findings in words, in the order in which they are read."""
        return lines_of(self.findings, self.speaker)

    @property
    def warnings(self) -> list[str]:
        """What the reader of the result must know."""
        return [str(line) for line in self.lines if line.severity == ATTENTION]

    @property
    def smoothed_delta(self) -> Series:
        """δ as it enters χ, (n_frames, n_atoms) float32, of the frames of the routes."""
        lens = self["lens"]
        return Series(lens.scores[..., 0], lens.frames)

    @property
    def fit(self) -> Fit:
        """What labels other frames.

        Raises
        ------
        AnalysisError
            If these frames were themselves labelled by a fit.
        """
        if "model" in self.provenance:
            raise AnalysisError(
                "these results were themselves labelled by a fit: give the results of the fit, "
                f"those of {self.provenance['model']}."
            )
        return Fit(
            {name: route.fit for name, route in self.routes.items()},
            self.config,
            str(self.provenance.get("buffer", "")),
            str(self.provenance.get("recording", "")),
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
