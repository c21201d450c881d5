"""Environments that correspond: in two routes of one analysis, and from fit to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from strdyn_post.environments.matching import match_labels
from strdyn_post.limits import SAME

from .route import Route, shared_rows

__all__ = ["keep_identities", "match_environments"]


def match_environments(route: Route, reference: Route, least: float = SAME) -> dict[int, int]:
    """Find the environments of two routes that hold the same atoms at the same steps.

    The assignment maximises the summed overlap 2|A ∩ B| / (|A| + |B|). Pairs with a smaller overlap
    than `least` are left out. Rows are joined by (step, atom ID).

    Parameters
    ----------
    route, reference : Route
        Two routes of one analysis.
    least : float
        Smallest overlap of a match, in [0, 1].

    Returns
    -------
    dict of int to int
        Final label of `route` → final label of `reference`.
    """
    labels, other = shared_rows(route, reference)
    n_ours, n_theirs = route.final.n_clusters, reference.final.n_clusters
    match = match_labels(labels, other, n_ours, n_theirs, least)
    return {label: int(same) for label, same in enumerate(match) if same >= 0}


def keep_identities(routes: Mapping[str, Route], previous: Mapping[str, Route]) -> dict[str, Route]:
    """Give the environments of a new fit the identities of an earlier one.

    Environments that correspond on the rows (step, atom ID) of both fits keep their identity, and
    so their colour and mark. The others get new identities.

    Parameters
    ----------
    routes, previous : mapping of str to Route
        Routes of the same atoms, with some steps in common.

    Returns
    -------
    dict of str to Route
        `routes` with other `RouteFit.identities`; labels and counts stay as they are.
    """
    return {name: _keep(route, previous[name]) for name, route in routes.items()}


def _keep(route: Route, old: Route) -> Route:
    match = match_environments(route, old)
    n_identities = old.fit.n_identities
    identities = np.empty(route.final.n_clusters, dtype=np.int32)
    for label in range(len(identities)):
        if label in match:
            identities[label] = old.fit.identities[match[label]]
        else:
            identities[label] = n_identities
            n_identities += 1
    fit = replace(route.fit, identities=identities, n_identities=n_identities)
    return replace(route, fit=fit)
