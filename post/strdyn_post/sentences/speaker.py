"""Names of environments and times with units, for the sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strdyn_post.findings import Finding
from strdyn_post.names import Names
from strdyn_post.quantities import percent, time_text
from strdyn_post.routes import TITLES

__all__ = ["Say", "Speaker", "a_few", "share"]

Say = Callable[[Sequence[Finding], "Speaker"], str]
"""Writes the text of findings of one kind."""


@dataclass(frozen=True)
class Speaker:
    """Names of environments and unit of time in the sentences.

    Attributes
    ----------
    names : mapping of str to Names
        Of every route.
    units : str or None
        LAMMPS `units` of the run.
    interval : float
        Δt of the analysed frames [time unit of the run].
    """

    names: Mapping[str, Names] = field(default_factory=dict)
    units: str | None = None
    interval: float = 0.0

    def name(self, route: str | None, label: int) -> str:
        """Return the name of an environment."""
        known = self.names.get(route or "")
        return known.names[label] if known else f"environment with label {label}"

    def mark_and_name(self, route: str | None, label: int) -> dict[str, str]:
        """Return mark and name of an environment; an empty dict if the route has no names."""
        known = self.names.get(route or "")
        return {"mark": known.marks[label], "name": known.names[label]} if known else {}

    def move(self, finding: Finding) -> str:
        """Return the names of source and target of a move."""
        return " → ".join(self.name(finding.route, label) for label in finding.environments)

    def time(self, interval: float) -> str:
        """Return a time with its unit."""
        return time_text(interval, self.units)

    def title(self, route: str | None) -> str:
        """Return the title of a route."""
        return TITLES.get(route or "", route or "")


def share(value: float) -> str:
    """Return a share in percent."""
    return f"{percent(value)} %"


def a_few(parts: Sequence[Any], n: int = 5) -> str:
    """Join the first `n` parts, and say how many more there are."""
    more = f" and {len(parts) - n} more" if len(parts) > n else ""
    return ", ".join(map(str, parts[:n])) + more
