"""Findings: the conclusions of an analysis, as data. `sentences` writes them as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = [
    "ATTENTION",
    "FINE",
    "KINDS",
    "RESULT",
    "SEVERITIES",
    "UNKNOWN",
    "Finding",
    "Kind",
    "of_kind",
    "of_route",
]

RESULT, FINE, ATTENTION, UNKNOWN = "result", "fine", "attention", "unknown"
"""Severities: a result; a check that is passed, and would have seen an effect that matters; a
warning for the reader; a check for which the data do not suffice."""

SEVERITIES = (RESULT, ATTENTION, UNKNOWN, FINE)
"""In the order in which they decide about a line that tells several findings."""


@dataclass(frozen=True)
class Kind:
    """Title and units that all findings of one kind share.

    Attributes
    ----------
    title : str
        One or two words.
    units : mapping of str to str
        Unit of every value; "" for shares, other pure numbers and words.
    """

    title: str
    units: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    "length": Kind("Length of the run", {"span": "time"}),
    "origin": Kind("Origin", {"n_events": "events", "effective": "events", "lasting": "frames"}),
    "foretelling": Kind("Foretelling", {"auc": "", "information": ""}),
    # where the dynamics comes from
    # what SOAP & LENS adds
    "new_environment": Kind("New environment", {"share": "", "delta": ""}),
    "nothing_new": Kind("New environments"),
    "lost_environment": Kind("Environment of SOAP", {"share": ""}),
    "merged_dynamics": Kind("Merging"),
    # the recording
    "frames": Kind("Frames", {"analysed": "frames", "taken": "frames", "stride": "frames"}),
    "extra_frames": Kind(
        "Extra frames", {"extra": "frames", "recorded": "frames", "every": "steps"}
    ),
    "stored_spectra": Kind(
        "Stored spectra",
        {"bound": "", "reduced": "frames", "recorded": "frames", "n_scores": "", "spread": ""},
    ),
    "gaps": Kind("Gaps", {"interval": "steps", "gaps": "steps"}),
    "skipped_stretches": Kind("Stride", {"stride": "frames", "stretches": "steps"}),
    # δ
    "interval": Kind("Δt", {"interval": "time units"}),
    "nothing_fast": Kind("Δt", {"interval": "time units"}),
    "vibration": Kind("Vibration", {"undone": "", "share": ""}),
    "even_window": Kind("Smoothing", {"window": "frames"}),
    "short_run": Kind("Smoothing", {"window": "frames", "longest": "frames"}),
    "short_stretch": Kind(
        "Smoothing", {"first": "steps", "last": "steps", "length": "frames", "window": "frames"}
    ),
    "levels": Kind("Levels of LENS", {"n_levels": "levels"}),
    "constant_lens": Kind("LENS", {"delta": ""}),
    # clusters
    "too_few_rows": Kind("Clusters", {"n_rows": "rows", "min_cluster_size": "rows"}),
    "no_cluster": Kind("Clusters", {"n_rows": "rows", "min_cluster_size": "rows"}),
    "one_cluster": Kind("Clusters", {"min_cluster_size": "rows"}),
    "share_limit": Kind("Clusters", {"refused": "", "max_cluster_share": ""}),
    "fewer_values": Kind("Clusters", {"asked": "clusters", "found": "clusters"}),
    "few_delta_values": Kind("Clusters", {"n_clusters": "", "n_of_soap": "", "share": ""}),
    "sampled_rows": Kind("Sample", {"n_fitted": "rows", "n_rows": "rows"}),
    "noise": Kind("Noise", {"share": "", "left_out": ""}),
    "agreement": Kind("Seeds", {"agreement": ""}),
    "far_frames": Kind("Model", {"n_far": "frames", "n_frames": "frames", "first": "steps"}),
    # kinetics
    "no_moves": Kind("Moves", {"lag": "frames", "longest": "frames"}),
    "silent_environments": Kind("Moves"),
    "rare_moves": Kind("Rare moves", {"events": "events", "effective": "events", "few": "events"}),
    "slow_moves": Kind("Slow changes", {"events": "events"}),
    "stays": Kind("Stays", {"frames": "frames", "window": "frames", "n_committed": "moves"}),
    "memory": Kind("Memory", {"difference": "", "smallest": ""}),
    "drift": Kind("Steady state", {"early": "", "late": "", "standard_errors": "", "smallest": ""}),
    "balance": Kind("Balance", {"there": "moves", "back": "moves", "excess": "", "smallest": ""}),
    "merge": Kind("Merging", {"low": "", "high": "", "support": "", "exits": "events"}),
    # scans
    "scan_skipped": Kind("Scan", {"stride": "frames", "window": "frames"}),
    "cluster_sizes": Kind("Smallest cluster", {"sizes": "rows", "missing": "rows"}),
    "scan_clusters_skipped": Kind("Scan", {"asked": "clusters", "possible": "clusters"}),
    # names
    "unknown_name": Kind("Names"),
    "note": Kind("Warning"),
}
"""Every kind of finding, in the order in which they are read."""


@dataclass(frozen=True)
class Finding:
    """One conclusion.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    severity : {"result", "fine", "attention", "unknown"}
        A result; a check that is passed; a warning for the reader; cannot tell.
    route : {"soap", "lens", "soap_lens"}, optional
        The route that it concerns.
    environments : tuple of int
        Final labels of the environments concerned; two for a move from the first to the second.
    values : mapping of str to JSON types
        The numbers; their units are in `KINDS`.
    """

    kind: str
    severity: str
    route: str | None = None
    environments: tuple[int, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind = {self.kind!r}: expected one of {', '.join(KINDS)}.")

    @property
    def title(self) -> str:
        """One or two words."""
        return KINDS[self.kind].title


def of_route(found: Iterable[Finding], route: str) -> list[Finding]:
    """Return the findings with their route set."""
    return [replace(finding, route=route) for finding in found]


def of_kind(found: Iterable[Finding], kind: str) -> list[Finding]:
    """Return the findings of a kind."""
    return [finding for finding in found if finding.kind == kind]
