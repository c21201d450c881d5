"""What SOAP&LENS adds to SOAP, and what it loses; dynamics that a merge hides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.findings import ATTENTION, RESULT, UNKNOWN, Finding
from strdyn_post.kinetics.enrichment import Sites, find_sites
from strdyn_post.kinetics.fast import fast_environments
from strdyn_post.kinetics.merging import differ_in_dynamics
from strdyn_post.limits import FAST_QUARTILE

from .identities import match_environments
from .nulls import Nulls
from .route import Route, shared_rows

__all__ = ["lost_environments", "merged_dynamics", "new_environments"]

_SEVERITY = {"evidence": RESULT, "cannot_tell": UNKNOWN}


def new_environments(
    routes: Mapping[str, Route], lag: int = 1, nulls: Nulls | None = None
) -> list[Finding]:
    """Describe the environments that SOAP alone does not find, and where their atoms come from.

    Parameters
    ----------
    routes : mapping of str to Route
        The three routes of an analysis.
    lag : int
        Lag of the transition counts [frames].
    nulls : Nulls, optional
        Runs in which δ means nothing, for the ``verdict``; a verdict other than "evidence" is not
        a result.

    Returns
    -------
    list of Finding
        Findings ``new_environment``, evidence first and then fast ones; or one finding
        ``nothing_new``. Their values give environments of SOAP as labels.
    """
    chi, soap = routes["soap_lens"], routes["soap"]
    delta = routes["lens"].scores[..., 0]
    shown = chi.final
    known = match_environments(chi, soap)
    kept = _kept_apart(chi, soap)
    fast = fast_environments(shown, delta)
    labels, soap_labels = shared_rows(chi, soap)
    means = [
        float(delta[labels == k].mean()) if shown.populations[k] else 0.0
        for k in range(shown.n_clusters)
    ]
    apart = differ_in_dynamics(labels, delta, shown.n_clusters)
    n_of_soap = soap.final.n_clusters
    places = _fast_places(labels, fast, delta, soap_labels, n_of_soap)
    found = []
    fresh = (k for k in np.argsort(chi.fit.identities).tolist() if k not in known)
    for label in (k for k in fresh if shown.populations[k]):
        inside = labels == label
        # a fast environment is compared with the environments that are not fast
        others = (k for k in range(len(means)) if k != label and not (fast[label] and fast[k]))
        of_others = [means[k] for k in others if shown.populations[k]]
        lowest, highest = min(of_others, default=0.0), max(of_others, default=0.0)
        dynamics = "fast" if fast[label] else "none"
        if dynamics == "none" and means[label] > highest:
            dynamics = "higher"
        elif dynamics == "none" and apart[label].sum() == len(of_others) > 1:
            # neither the lowest, nor like any other one
            dynamics = "between" if means[label] > lowest else "none"
        joined, overlap = kept.get(label, (None, None))
        sites = find_sites(inside, soap_labels, n_of_soap)
        values = {
            "lag": lag,
            "n_rows": int(inside.sum()),
            "n_atoms": int(inside.any(axis=0).sum()),
            "share": float(inside.mean()),
            "delta": means[label],
            "lowest_other_delta": lowest,
            "highest_other_delta": highest,
            "dynamics": dynamics,
            "soap_cluster_overlap": overlap,
            "soap_cluster_joins": joined,
            **_where(sites, inside, soap_labels, delta),
            **_ways(chi, label),
        }
        severity = RESULT
        if nulls is not None:
            values |= nulls.verdict(label, sites, *places)
            severity = _SEVERITY.get(values["verdict"], ATTENTION)
        found.append(Finding("new_environment", severity, "soap_lens", (label,), values))
    if not found:
        values = {"n_environments": shown.n_clusters}
        return [Finding("nothing_new", RESULT, "soap_lens", values=values)]
    order = {RESULT: 0, UNKNOWN: 1, ATTENTION: 2}
    return sorted(found, key=lambda each: (order[each.severity], each.values["dynamics"] != "fast"))


def lost_environments(routes: Mapping[str, Route]) -> Iterator[Finding]:
    """Yield the environments of SOAP without a counterpart in SOAP&LENS, and where they go."""
    chi, soap = routes["soap_lens"], routes["soap"]
    labels, of_soap = shared_rows(chi, soap)
    known = set(match_environments(chi, soap).values())
    n_chi = chi.final.n_clusters
    for label in np.argsort(soap.fit.identities).tolist():
        inside = of_soap == label
        if label in known or not inside.any() or not n_chi:
            continue
        there = np.bincount(labels[inside & (labels >= 0)], minlength=n_chi) / inside.sum()
        goes = [
            {"label": k, "share": float(there[k])}
            for k in np.argsort(-there, kind="stable").tolist()
            if there[k] > 0
        ]
        values = {"share": float(inside.mean()), "goes": goes}
        yield Finding("lost_environment", RESULT, "soap", (label,), values)


def _fast_places(
    labels: NDArray[np.int32],
    fast: NDArray[np.bool_],
    delta: NDArray[np.float32],
    soap_labels: NDArray[np.int32],
    n_of_soap: int,
) -> tuple[Sites, Sites]:
    """Return where in SOAP the rows of fast environments are, and all rows with as large a δ."""
    inside = np.isin(labels, np.flatnonzero(fast))
    large = np.zeros_like(inside)
    if inside.any():
        large = delta >= np.quantile(delta[inside], FAST_QUARTILE)
    return (
        find_sites(inside, soap_labels, n_of_soap),
        find_sites(large, soap_labels, n_of_soap),
    )


def _where(
    sites: Sites,
    inside: NDArray[np.bool_],
    soap_labels: NDArray[np.int32],
    delta: NDArray[np.float32],
) -> dict[str, Any]:
    """Return where SOAP alone puts the rows of an environment."""
    if not sites.shares.any():
        return {
            "soap_environment": None,
            "soap_share": None,
            "soap_expected": None,
            "soap_enriched": False,
            "sites": [],
            "soap_rest_delta": None,
        }
    home = int(sites.shares.argmax())
    rest = (soap_labels == home) & ~inside
    return {
        "soap_environment": home,
        "soap_share": float(sites.shares[home]),
        "soap_share_low": float(sites.low[home]),
        "soap_share_high": float(sites.high[home]),
        "soap_expected": float(sites.expected[home]),
        "soap_enriched": bool(sites.low[home] > sites.expected[home]),
        "sites": [
            {
                "label": k,
                "share": float(sites.shares[k]),
                "low": float(sites.low[k]),
                "high": float(sites.high[k]),
                "expected": float(sites.expected[k]),
            }
            for k in range(len(sites.shares))
        ],
        "soap_rest_delta": float(delta[rest].mean()) if rest.any() else None,
    }


def _ways(chi: Route, label: int) -> dict[str, Any]:
    """Return from where most atoms come, and the probabilities to come and to go back."""
    shown = chi.final
    into = np.array(shown.counts[:, label])
    into[label] = 0
    if not into.any():
        return {"source": None}
    source = int(into.argmax())
    found: dict[str, Any] = {"source": source, "source_share": float(into[source] / into.sum())}
    for way, a, b in (("in", source, label), ("out", label, source)):
        moves = shown.counts if chi.checks is None else chi.checks.events
        found[f"n_{way}"] = int(moves[a, b])
        found[f"p_{way}"] = float(shown.transition_matrix[a, b])
        if chi.checks is not None:
            found[f"p_{way}_low"] = float(chi.checks.low[a, b])
            found[f"p_{way}_high"] = float(chi.checks.high[a, b])
    return found


def _kept_apart(chi: Route, soap: Route) -> dict[int, tuple[int, float]]:
    """Find the environments that SOAP has as a cluster before merging.

    Returns, for the label in SOAP&LENS, the environment of SOAP that this cluster joins, and the
    overlap. The smallest overlap is that of `match_environments`.
    """
    if soap.merged is None:
        return {}
    clusters = replace(soap, merged=None)
    labels, of_soap = shared_rows(chi, clusters)
    mapping = soap.merged.mapping
    kept = {}
    for label, cluster in match_environments(chi, clusters).items():
        if (mapping == mapping[cluster]).sum() > 1:
            inside, there = labels == label, of_soap == cluster
            overlap = 2 * (inside & there).sum() / (inside.sum() + there.sum())
            kept[label] = int(mapping[cluster]), float(overlap)
    return kept


def merged_dynamics(routes: Mapping[str, Route]) -> Iterator[Finding]:
    """Yield the environments whose clusters differ in mean δ by more than their spread."""
    delta = routes["lens"].scores[..., 0].astype(np.float64)
    for name in ("soap_lens", "soap"):
        route = routes[name]
        if route.merged is None:
            continue
        differ = differ_in_dynamics(route.labels, delta, route.n_clusters)
        for label in range(route.final.n_clusters):
            members = np.flatnonzero(route.merged.mapping == label)
            if not differ[np.ix_(members, members)].any():
                continue
            clusters = [route.labels == k for k in members]
            values = {
                "share": float(route.final.populations[label]) / route.labels.size,
                "delta": float(delta[route.final.labels == label].mean()),
                "clusters": [
                    {
                        "share": float(inside.mean()),
                        "delta": float(delta[inside].mean()),
                        "spread": float(delta[inside].std()),
                    }
                    for inside in clusters
                ],
            }
            yield Finding("merged_dynamics", ATTENTION, name, (label,), values)
