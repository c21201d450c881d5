"""Findings: what an analysis concludes, as data. The words are made of them in `sentences`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["ATTENTION", "FINE", "KINDS", "RESULT", "Finding", "Kind", "of_kind", "of_route"]

RESULT, FINE, ATTENTION = "result", "fine", "attention"
"""Severities: what was found; a check that is passed; what the reader must know."""


@dataclass(frozen=True)
class Kind:
    """What findings of one kind have in common.

    Attributes
    ----------
    title : str
        In a word or two.
    units : mapping of str to str
        Unit of every value: "" for shares and other pure numbers and for words.
    """

    title: str
    units: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    # where the dynamics comes from
    "origin": Kind("Origin", {"n_events": "events", "effective": "events", "lasting": "frames"}),
    # what SOAP & LENS adds
    "new_environment": Kind("New environment", {"share": "", "delta": ""}),
    "nothing_new": Kind("New environments"),
    "merged_dynamics": Kind("Merging"),
    # the recording
    "frames": Kind("Frames", {"analysed": "frames", "taken": "frames", "stride": "frames"}),
    "gaps": Kind("Gaps", {"interval": "steps", "gaps": "steps"}),
    "skipped_stretches": Kind("Stride", {"stride": "frames", "stretches": "steps"}),
    # δ
    "interval": Kind("Δt", {"interval": "time units"}),
    "nothing_fast": Kind("Δt", {"interval": "time units"}),
    "cutoff": Kind("Cutoff", {"share": ""}),
    "even_window": Kind("Smoothing", {"window": "frames"}),
    "short_run": Kind("Smoothing", {"window": "frames", "longest": "frames"}),
    "short_stretch": Kind(
        "Smoothing", {"first": "steps", "last": "steps", "length": "frames", "window": "frames"}
    ),
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
    "rare_moves": Kind("Rare moves", {"events": "events", "few": "events"}),
    "memory": Kind("Memory", {"difference": ""}),
    "drift": Kind("Steady state", {"early": "", "late": "", "standard_errors": ""}),
    "balance": Kind("Balance", {"there": "moves", "back": "moves", "excess": ""}),
    "merge": Kind("Merging", {"low": "", "high": "", "support": ""}),
    # scans
    "scan_skipped": Kind("Scan", {"stride": "frames", "window": "frames"}),
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
    severity : {"result", "fine", "attention"}
        What was found; a check that is passed; what the reader must know.
    route : {"soap", "lens", "soap_lens"}, optional
        The route that it concerns.
    environments : tuple of int
        Final labels of the environments concerned; two for a move from the first to the second.
    values : mapping of str to JSON types
        The numbers; their units stand in `KINDS`.
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
        """In a word or two."""
        return KINDS[self.kind].title


def of_route(found: Iterable[Finding], route: str) -> list[Finding]:
    """Return findings as those of a route."""
    return [replace(finding, route=route) for finding in found]


def of_kind(found: Iterable[Finding], kind: str) -> list[Finding]:
    """Return the findings of a kind."""
    return [finding for finding in found if finding.kind == kind]
