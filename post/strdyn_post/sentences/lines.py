"""Lines for readers: one line tells the findings of one kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from strdyn_post.findings import KINDS, SEVERITIES, Finding

from . import of_clusters, of_data, of_dynamics, of_kinetics, of_length, of_origin
from .speaker import Say, Speaker

__all__ = ["Line", "headline", "lines_of"]

SAY: dict[str, Say] = {
    **of_length.SAY,
    **of_origin.SAY,
    **of_dynamics.SAY,
    **of_data.SAY,
    **of_clusters.SAY,
    **of_kinetics.SAY,
}
"""Functions that write the sentences of every kind of finding."""
_TOGETHER = {"rare_moves", "slow_moves", "memory", "drift", "balance", "agreement", "noise"}
_READ_FIRST = ("soap_lens", "soap", "lens", None)


@dataclass(frozen=True)
class Line:
    """A sentence or two on one matter.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    severity : {"result", "fine", "attention", "unknown"}
        The first of `SEVERITIES` that one of its findings has.
    title : str
        One or two words.
    text : str
        The sentences.
    findings : tuple of Finding
        The findings that the line tells.
    speaker : Speaker
        Names of the environments in it.
    """

    kind: str
    severity: str
    title: str
    text: str
    findings: tuple[Finding, ...]
    speaker: Speaker

    def as_dict(self) -> dict[str, Any]:
        """Return the line and its findings as JSON types."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "title": self.title,
            "text": self.text,
            "findings": [
                {
                    "severity": found.severity,
                    "route": found.route,
                    "environments": [
                        {"label": label, **self.speaker.mark_and_name(found.route, label)}
                        for label in found.environments
                    ],
                    "values": dict(found.values),
                    "units": {
                        name: unit
                        for name, unit in KINDS[found.kind].units.items()
                        if unit and name in found.values
                    },
                }
                for found in self.findings
            ],
        }

    def __str__(self) -> str:
        return f"{self.title}: {self.text}"


def lines_of(found: Iterable[Finding], speaker: Speaker) -> list[Line]:
    """Return the findings as lines, in the order in which they are read.

    Parameters
    ----------
    found : iterable of Finding
    speaker : Speaker
        Names of environments, units of times.
    """
    rank = {kind: place for place, kind in enumerate(KINDS)}
    groups: dict[tuple[str, int | str], list[Finding]] = {}
    for place, finding in enumerate(found):
        matter = place if finding.kind not in _TOGETHER else 0
        groups.setdefault((finding.kind, of_dynamics.doubt(finding, speaker) or matter), []).append(
            finding
        )
    lines = []
    for (kind, _), group in sorted(groups.items(), key=lambda item: rank[item[0][0]]):
        ordered = sorted(group, key=lambda finding: _READ_FIRST.index(finding.route))
        text = SAY[kind](ordered, speaker)
        routes = {finding.route for finding in group} - {None}
        if len(routes) == 1 and kind not in _TOGETHER and _names_no_route(kind):
            text = f"{speaker.title(ordered[0].route)}: {text}"
        severities = {finding.severity for finding in group}
        severity = next(each for each in SEVERITIES if each in severities)
        lines.append(Line(kind, severity, KINDS[kind].title, text, tuple(ordered), speaker))
    return lines


def headline(found: Iterable[Finding], speaker: Speaker) -> str:
    """Return what SOAP&LENS adds to SOAP, in a few sentences; empty if it adds nothing."""
    for finding in found:
        if finding.kind == "new_environment":
            return SAY[finding.kind]([finding], speaker)
    return ""


def _names_no_route(kind: str) -> bool:
    """Whether the sentence of a kind does not name its route."""
    return kind not in {
        *("new_environment", "nothing_new", "lost_environment", "merged_dynamics", "merge"),
        *("few_delta_values", "far_frames", "constant_lens", "levels", "origin", "unknown_name"),
    }
