"""The figures of the page, by section, with their sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.figures import (
    plot_alluvial,
    plot_branches,
    plot_chord,
    plot_close_up,
    plot_cluster_sizes,
    plot_dendrogram,
    plot_foretelling,
    plot_hazard,
    plot_intervals,
    plot_lens_series,
    plot_origin,
    plot_path,
    plot_pca,
    plot_persistence,
    plot_sites,
    plot_snapshot,
    plot_timescales,
    plot_transition_matrix,
    plot_variance,
)
from strdyn_post.figures.style import Scale
from strdyn_post.names import Names, name_clusters
from strdyn_post.quantities import time_unit
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES, Route

from .events import event_marks

__all__ = ["Panel", "draw_panels", "shown_label", "telling_atom", "telling_frame", "telling_visit"]

Size = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One figure of the page.

    Attributes
    ----------
    section : str
        Section of the page.
    name : str
        Name of its files.
    title : str
        What a screen reader says.
    size : (float, float)
        Width and height [inch].
    draw : callable
        Called with the axes.
    tight : bool
        Cut off the empty margins above and below.
    """

    section: str
    name: str
    title: str
    size: Size
    draw: Callable[[Any], Any]
    tight: bool = False


def draw_panels(result: AnalysisResult, recording: Recording) -> Iterator[Panel]:
    """Yield the panels of all sections: the origin, then the order of the paper."""
    yield from _origin(result, recording.units)
    yield from _foretelling(result, recording)
    yield from _maps(result)
    yield from _trees_and_moves(result, recording.units)
    yield from _before_merging(result)
    yield from _cluster_sizes(result)
    yield from _lens(result, recording)
    yield from _finding(result, recording)
    yield from _snapshots(result, recording)
    yield from _paths(result, recording)


def _origin(result: AnalysisResult, units: str | None) -> Iterator[Panel]:
    origin = result.origin
    if origin is None or not origin.n_events:
        return
    yield Panel(
        "origin",
        "origin",
        "Share of the lasting changes of neighbors that start from each environment of SOAP",
        (6.4, 1.0 + 0.5 * result["soap"].final.n_clusters),
        lambda ax: plot_origin(result, ax=ax),
    )
    for over in ("neighbors", "depth"):
        if getattr(origin, over) is not None:
            yield Panel(
                "hazard",
                f"hazard_{over}",
                f"Lasting changes of neighbors per observation over the {over}",
                (4.4, 3.2),
                partial(_hazard, result, over, units),
            )


def _foretelling(result: AnalysisResult, recording: Recording) -> Iterator[Panel]:
    if result.foretelling is not None:
        yield Panel(
            "foretelling",
            "foretelling",
            "Predicted and observed events per observation",
            (4.4, 3.2),
            lambda ax: plot_foretelling(result, ax=ax),
        )
    expected, soap = result.expected_events, result["soap"]
    if expected is None:
        return
    about = f"expected events [1/{time_unit(recording.units)}]"
    yield Panel(
        "expected",
        "expected_map",
        "Map of SOAP by the events that the structure lets expect",
        (4.8, 3.9),
        _alone(plot_pca, soap, values=expected, about=about),
    )
    frame = int(expected.mean(axis=1).argmax())
    yield Panel(
        "expected",
        "expected_snapshot",
        "Atoms by the events that their structure lets expect, where most are expected",
        (4.8, 3.9),
        _alone(
            plot_snapshot,
            soap,
            recording=recording,
            frame=frame,
            values=expected[frame],
            scale=Scale.of(expected),
            about=about,
        ),
        tight=True,
    )


def _maps(result: AnalysisResult) -> Iterator[Panel]:
    soap, chi = result["soap"], result["soap_lens"]
    for color in ("density", "environment"):
        for route in (soap, chi):
            yield Panel(
                f"map_{color}",
                f"pca_{color}_{route.name}",
                f"{route.title}: map of all observations by {color}",
                (4.6, 3.9),
                _of(plot_pca, result, route, color=color),
            )
    wanted = None if result.config.n_components else result.config.variance
    yield Panel(
        "variance",
        "variance",
        "Cumulative variance of the principal components",
        (5.4, 3.6),
        lambda ax: plot_variance([soap, chi], wanted=wanted, ax=ax),
    )


def _trees_and_moves(result: AnalysisResult, units: str | None) -> Iterator[Panel]:
    cut = 1.0 if result.config.merge_cut is None else result.config.merge_cut
    trees = [route.fit.branches for route in (result["soap"], result["soap_lens"])]
    deltas = [tree.delta for tree in trees if tree is not None]
    shades = (min(map(np.min, deltas)), max(map(np.max, deltas))) if deltas else None
    side = max(3.3, 0.6 * max(result[name].final.n_clusters for name in ROUTES) + 0.9)
    small = (3.6, 3.1)
    for name in ROUTES:
        route = result[name]

        def panel(
            section: str, about: str, size: Size, draw: Callable[[Any], Any], route: Route = route
        ) -> Panel:
            return Panel(section, f"{section}_{route.name}", f"{route.title}: {about}", size, draw)

        yield panel(
            "dendrogram",
            "dendrogram of the clusters",
            (3.9, 3.3),
            _of(plot_dendrogram, result, route, cut=cut),
        )
        yield panel(
            "matrix",
            "transition probabilities",
            (side, side),
            _of(plot_transition_matrix, result, route),
        )
        yield panel("chord", "populations and fluxes", (3.6, 3.7), _of(plot_chord, result, route))
        yield panel(
            "timescales",
            "implied timescales over the lag",
            small,
            _alone(plot_timescales, route, units=units),
        )
        yield panel(
            "persistence",
            "probability to be in the same environment after a lag",
            small,
            _of(plot_persistence, result, route, units=units),
        )
        if route.fit.branches is not None:
            yield panel(
                "branches",
                "condensed tree of HDBSCAN*, by mean δ",
                (10.4, 3.7),
                _of(plot_branches, result, route, limits=shades),
            )


def _before_merging(result: AnalysisResult) -> Iterator[Panel]:
    """Show the clusters where the merge has joined some (figs. S1 and S2)."""
    for name in ("soap", "soap_lens"):
        route = result[name]
        if route.final.n_clusters == route.n_clusters:
            continue
        clusters, names = route.unmerged, name_clusters(route, result.names[name])
        side = max(3.3, 0.6 * route.n_clusters + 0.9)
        for kind, about, size, plot in (
            ("unmerged_map", "map", (4.6, 3.9), plot_pca),
            ("unmerged_matrix", "transition probabilities", (side, side), plot_transition_matrix),
        ):
            yield Panel(
                "unmerged",
                f"{kind}_{name}",
                f"{route.title}: {about} of the clusters before merging",
                size,
                _alone(plot, clusters, names=names),
            )


def _cluster_sizes(result: AnalysisResult) -> Iterator[Panel]:
    for name in ("soap", "soap_lens") if result.cluster_size_scan else ():
        yield Panel(
            "cluster_sizes",
            f"cluster_sizes_{name}",
            f"{result[name].title}: environments over the smallest size of a cluster",
            (5.0, 3.6),
            partial(_sizes, result, name),
        )


def _lens(result: AnalysisResult, recording: Recording) -> Iterator[Panel]:
    units = recording.units
    yield Panel(
        "lens",
        "lens_series",
        "LENS signal of the atoms in time, with histogram",
        (10.4, 3.7),
        _of(plot_lens_series, result, result["lens"], units=units, marked=event_marks(recording)),
    )
    config = result.config
    for over, tried in (("interval", config.scan_intervals), ("window", config.scan_windows)):
        if result.interval_scan and tried:
            yield Panel(
                "intervals",
                f"scan_{over}",
                f"δ of all atoms and of fast environments over the {over}",
                (5.4, 4.2),
                partial(_interval_scan, result, over, units),
            )


def _finding(result: AnalysisResult, recording: Recording) -> Iterator[Panel]:
    """Show the first new environment at the frame with most atoms in it, and where SOAP puts it."""
    soap, chi, names = result["soap"], result["soap_lens"], result.names
    new = shown_label(names["soap_lens"])
    if new is None:
        return
    name, frame = names["soap_lens"].names[new], telling_frame(chi, names["soap_lens"])
    for route, pale in ((soap, False), (chi, True)):
        yield Panel(
            "finding",
            f"finding_{route.name}",
            f"{route.title}: the frame in which most atoms are in the {name}",
            (4.2, 3.6),
            _seen(result, route, recording, frame, "oblique", pale=pale),
            tight=True,
        )
    yield Panel(
        "finding",
        "finding_sites",
        f"Where SOAP alone puts the {name}",
        (4.2, 3.0),
        lambda ax: plot_sites(chi, soap, new, names, ax=ax),
    )


def _snapshots(result: AnalysisResult, recording: Recording) -> Iterator[Panel]:
    chi = result["soap_lens"]
    frame = telling_frame(chi, result.names["soap_lens"])
    for view in ("above", "oblique"):
        for name in ROUTES:
            route = result[name]
            yield Panel(
                f"snapshot_{view}",
                f"snapshot_{view}_{name}",
                f"{route.title}: atoms by environment, seen from {view}",
                (3.6, 3.6),
                _seen(result, route, recording, frame, view),
                tight=True,
            )
    spread = sorted({int(k) for k in np.linspace(0, len(chi.frames) - 1, 3)})
    counts = [_n_neighbors(chi, recording, k) for k in spread]
    scale = Scale.of(np.concatenate(counts))
    for k, n_neighbors, when in zip(spread, counts, ("start", "middle", "end"), strict=False):
        yield Panel(
            "snapshot_neighbors",
            f"snapshot_neighbors_{when}",
            f"Atoms by number of neighbors at the {when}",
            (3.6, 3.0),
            _alone(
                plot_snapshot,
                chi,
                recording=recording,
                frame=k,
                values=n_neighbors,
                scale=scale,
                about="number of neighbors",
            ),
            tight=True,
        )
    for k, when in zip(spread, ("start", "middle", "end"), strict=False):
        yield Panel(
            "snapshot_time",
            f"snapshot_{when}",
            f"SOAP & LENS: atoms by environment at the {when}",
            (3.6, 3.0),
            _seen(result, chi, recording, k, "oblique"),
            tight=True,
        )


def _paths(result: AnalysisResult, recording: Recording) -> Iterator[Panel]:
    chi, names, units = result["soap_lens"], result.names["soap_lens"], recording.units
    atom_id, visits = telling_atom(chi, names)
    yield Panel(
        "path",
        "path",
        f"Path of atom {atom_id} on the map of SOAP & LENS",
        (5.4, 3.9),
        _of(plot_pca, result, chi, atom_id=atom_id, units=units),
    )
    if visits:
        first, moments, last = telling_visit(chi, names, atom_id)
        yield Panel(
            "path",
            "path_in_space",
            f"Path of atom {atom_id} through the system, seen from above",
            (5.4, 3.9),
            _of(
                plot_path,
                result,
                chi,
                recording=recording,
                atom_id=atom_id,
                frames=(first, last),
                numbered=moments,
            ),
            tight=True,
        )
        for number, frame in enumerate(moments, 1):
            yield Panel(
                "close_up",
                f"close_up_{number}",
                f"Atom {atom_id} and the atoms around it, moment {number}",
                (3.6, 3.3),
                _of(plot_close_up, result, chi, recording=recording, atom_id=atom_id, frame=frame),
                tight=True,
            )
    yield Panel(
        "alluvial",
        "alluvial",
        "Environments at chosen times and the atoms that move between them",
        (10.4, 3.6),
        _of(plot_alluvial, result, chi, units=units),
    )


def _n_neighbors(route: Route, recording: Recording, frame: int) -> NDArray[np.int64]:
    k = int(np.searchsorted(recording.steps, route.steps[frame]))
    return recording.neighbors(k).counts[np.searchsorted(recording.atom_ids, route.atom_ids)]


def _sizes(result: AnalysisResult, name: str, ax: Any) -> Any:
    return plot_cluster_sizes(result, name, ax=ax)


def _hazard(result: AnalysisResult, over: str, units: str | None, ax: Any) -> Any:
    return plot_hazard(result, over, units=units, ax=ax)


def _interval_scan(result: AnalysisResult, over: str, units: str | None, ax: Any) -> Any:
    return plot_intervals(result, over, units=units, ax=ax)


def _alone(plot: Callable[..., Any], route: Route, **options: Any) -> Callable[[Any], Any]:
    return lambda ax: plot(route, ax=ax, **options)


def _of(
    plot: Callable[..., Any], result: AnalysisResult, route: Route, **options: Any
) -> Callable[[Any], Any]:
    return _alone(plot, route, names=result.names[route.name], **options)


def _seen(
    result: AnalysisResult,
    route: Route,
    recording: Recording,
    frame: int,
    view: str,
    *,
    pale: bool = False,
) -> Callable[[Any], Any]:
    names = result.names[route.name]
    return lambda ax: plot_snapshot(
        route, recording, names, frame=frame, view=view, pale=pale, ax=ax
    )


def shown_label(names: Names) -> int | None:
    """Return the first environment that SOAP alone does not find; None if there is none."""
    return next((label for label in names.order if label in names.highlighted), None)


def telling_frame(route: Route, names: Names) -> int:
    """Return the frame with most atoms in highlighted environments; the last if there are none."""
    inside = np.isin(route.final.labels, names.highlighted).sum(axis=1)
    return int(inside.argmax()) if inside.any() else len(inside) - 1


def telling_atom(route: Route, names: Names) -> tuple[int, bool]:
    """Return the atom to follow, and whether it enters and leaves a highlighted environment.

    If there is no such atom, return the one that changes its environment most often.
    """
    labels = route.final.labels
    inside = np.isin(labels, names.highlighted)
    visits = np.where(inside[0] | inside[-1], 0, inside.sum(axis=0))
    moves = (labels[1:] != labels[:-1]).sum(axis=0)
    row = visits.argmax() if visits.any() else moves.argmax()
    return int(route.atom_ids[row]), bool(visits.any())


def telling_visit(
    route: Route, names: Names, atom_id: int
) -> tuple[int, tuple[int, int, int], int]:
    """Return the longest visit of an atom to the highlighted environments.

    The atom must be outside of them in the first and in the last frame.

    Returns
    -------
    first : int
        Frame before the visit, by its length, and at least by three frames.
    moments : (int, int, int)
        The last frame before the visit, one in the middle of it, and the first one after it.
    last : int
        Frame after the visit.
    """
    inside = np.isin(route.final.labels[:, route.column(atom_id)], names.highlighted)
    ends = np.flatnonzero(np.diff(inside.astype(np.int8)))
    enters, leaves = ends[::2], ends[1::2]
    longest = int((leaves - enters).argmax())
    before, inner_last = int(enters[longest]), int(leaves[longest])
    margin = max(3, inner_last - before)
    moments = (before, (before + 1 + inner_last) // 2, inner_last + 1)
    first = max(0, before - margin)
    return first, moments, min(len(inside) - 1, inner_last + 1 + margin)
