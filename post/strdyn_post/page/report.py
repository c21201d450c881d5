"""The report: one HTML page that opens anywhere, its figures as files, its numbers as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.environments.clustering import AGREEMENT
from strdyn_post.figures import (
    plot_alluvial,
    plot_branches,
    plot_chord,
    plot_dendrogram,
    plot_intervals,
    plot_lens_series,
    plot_pca,
    plot_persistence,
    plot_sites,
    plot_snapshot,
    plot_timescales,
    plot_transition_matrix,
    plot_variance,
)
from strdyn_post.figures.style import TITLES, readable_on, save_figure
from strdyn_post.figures.transitions import percent
from strdyn_post.files.folder import PAGE, SUMMARY, Claim, claim, mark
from strdyn_post.files.output import cannot_write
from strdyn_post.kinetics.checks import CLEAR, check_warnings
from strdyn_post.kinetics.uncertainty import FEW_EVENTS
from strdyn_post.palette import Palette, make_palettes
from strdyn_post.results import ROUTES
from strdyn_post.scans.intervals import ENRICHED

from .explorer import explorer_data, explorer_payload
from .summary import summarise

if TYPE_CHECKING:
    from strdyn_live.buffer import Buffer
    from strdyn_post.config import AnalysisConfig
    from strdyn_post.results import AnalysisResult, Route

__all__ = ["write_report"]


@dataclass(frozen=True)
class Panel:
    """One figure of the page: file name, what a screen reader says, size, how to draw it."""

    name: str
    title: str
    size: tuple[float, float]
    draw: Callable[[Any], Any]


def write_report(result: AnalysisResult, buffer: Buffer, out_dir: str | os.PathLike[str]) -> Path:
    """Write ``report.html``, ``figures/`` (SVG and PNG) and ``summary.json``.

    Parameters
    ----------
    result : Analysis
        Of `analyse`: the routes ``soap``, ``lens``, ``soap_lens``.
    buffer : Buffer
        What was analysed: positions for the snapshots, settings of the recording.
    out_dir : path
        Made if it is not there; files of earlier analyses are replaced, others are not.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    AnalysisError
        If the buffer is not that of the result.
    OutputError
        If the folder cannot be written, or holds files of these names that are not ours.
    """
    from strdyn_post.exchange.export import check_same_run

    check_same_run(result, buffer)
    with claim(out_dir) as claimed:
        return _write(result, buffer, claimed)


def _write(result: AnalysisResult, buffer: Buffer, claimed: Claim) -> Path:
    """Draw the figures, put the page together, write both."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from matplotlib.figure import Figure

    folder = claimed.folder / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    palettes = make_palettes({name: result[name] for name in ROUTES})
    summary = summarise(result, buffer)

    sections: dict[str, list[Markup]] = {}
    drawn = set()
    for section, panel in _panels(result, buffer, palettes):
        figure = Figure(figsize=panel.size, layout="constrained")
        panel.draw(figure.subplots())
        tight = panel.name.startswith(("snapshot", "finding_soap"))  # as tall as the system is
        svg = save_figure(
            figure, folder, panel.name, panel.title, tight=tight, mark=mark(result.run_id)
        )
        drawn.add(panel.name)
        sections.setdefault(section, []).append(Markup(f'<figure id="{panel.name}">{svg}</figure>'))

    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["percent"] = lambda share: f"{percent(share)}\N{NO-BREAK SPACE}%"
    jinja.filters["ink_on"] = readable_on
    jinja.filters["plain"] = _plain
    page = jinja.get_template("report.html.j2").render(
        summary=summary,
        sections=sections,
        palettes=palettes,
        titles=TITLES,
        shown_label=_shown_label(palettes["soap_lens"]),
        path_visits=_telling_atom(result["soap_lens"], palettes["soap_lens"])[1],
        settings=_settings(result, buffer),
        limits={
            "few": FEW_EVENTS * result.config.lag,
            "errors": CLEAR,
            "agreement": AGREEMENT,
            "enriched": ENRICHED,
        },
        notices=[text for text in result.warnings if text not in _told_elsewhere(result)],
        provenance=result.provenance,
        explorer=_explorer(result, buffer, palettes),
        # inside a script no "<" may be read as a tag
        summary_json=Markup(json.dumps(summary).replace("<", "\\u003c")),
        written_by=summary["written_by"],
    )
    claimed.remove_figures_but(drawn)
    claimed.write(SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return claimed.write(PAGE, page)


def _panels(
    result: AnalysisResult, buffer: Buffer, palettes: dict[str, Palette]
) -> Iterator[tuple[str, Panel]]:
    """Yield section and panel of every figure, in the order of the paper."""
    soap, lens, chi = (result[name] for name in ROUTES)
    config, units = result.config, buffer.units

    for color in ("density", "environment"):
        for route in (soap, chi):
            yield (
                f"map_{color}",
                Panel(
                    f"pca_{color}_{route.name}",
                    f"{TITLES[route.name]}: map of all rows by {color}",
                    (4.6, 3.9),
                    _with(plot_pca, route, palettes, color=color),
                ),
            )
    yield (
        "variance",
        Panel(
            "variance",
            "Cumulative variance of the principal components",
            (5.4, 3.6),
            lambda ax: plot_variance([soap, chi], wanted=_wanted(config), ax=ax),
        ),
    )
    cut = config.merge_cut
    deltas = [route.branches.delta for route in (soap, chi) if route.branches is not None]
    shades = (min(map(np.min, deltas)), max(map(np.max, deltas))) if deltas else None
    side = max(3.3, 0.6 * max(result[name].final.n_clusters for name in ROUTES) + 0.9)
    for name in ROUTES:
        route, title = result[name], TITLES[name]
        yield (
            "dendrogram",
            Panel(
                f"dendrogram_{name}",
                f"{title}: dendrogram of the environments",
                (3.9, 3.3),
                _with(plot_dendrogram, route, palettes, cut=1.0 if cut is None else cut),
            ),
        )
        yield (
            "matrix",
            Panel(
                f"matrix_{name}",
                f"{title}: transition probabilities",
                (side, side),
                _with(plot_transition_matrix, route, palettes),
            ),
        )
        yield (
            "chord",
            Panel(
                f"chord_{name}",
                f"{title}: populations and fluxes",
                (3.6, 3.7),
                _with(plot_chord, route, palettes),
            ),
        )
        yield (
            "timescales",
            Panel(
                f"timescales_{name}",
                f"{title}: implied timescales over the lag",
                (3.6, 3.1),
                _axes(plot_timescales, route, units=units),
            ),
        )
        yield (
            "persistence",
            Panel(
                f"persistence_{name}",
                f"{title}: probability to be in the same environment after a lag",
                (3.6, 3.1),
                _with(plot_persistence, route, palettes, units=units),
            ),
        )
        if route.branches is not None:
            yield (
                "branches",
                Panel(
                    f"branches_{name}",
                    f"{title}: condensed tree of HDBSCAN*, by mean δ",
                    (10.4, 3.7),
                    _with(plot_branches, route, palettes, limits=shades),
                ),
            )
    yield (
        "lens",
        Panel(
            "lens_series",
            "LENS signal of the atoms in time, with histogram",
            (10.4, 3.7),
            _with(plot_lens_series, lens, palettes, units=units),
        ),
    )
    for over, tried in (("interval", config.scan_intervals), ("window", config.scan_windows)):
        if result.interval_scan and tried:
            yield (
                "intervals",
                Panel(
                    f"scan_{over}",
                    f"δ of all atoms and of fast environments over the {over}",
                    (5.4, 4.2),
                    _scan(result, over, units),
                ),
            )
    frame = _telling_frame(chi, palettes["soap_lens"])
    new = _shown_label(palettes["soap_lens"])
    if new is not None:
        name = palettes["soap_lens"].names[new]
        for route, pale in ((soap, False), (chi, True)):
            yield (
                "finding",
                Panel(
                    f"finding_{route.name}",
                    f"{TITLES[route.name]}: the surface where most atoms are in the {name}",
                    (4.2, 3.6),
                    _snapshot(route, buffer, palettes, frame, "oblique", pale=pale),
                ),
            )
        yield (
            "finding",
            Panel(
                "finding_sites",
                f"Where SOAP alone puts the {name}",
                (4.2, 3.0),
                lambda ax: plot_sites(chi, soap, new, palettes, ax=ax),
            ),
        )
    for view in ("above", "oblique"):
        for name in ROUTES:
            yield (
                f"snapshot_{view}",
                Panel(
                    f"snapshot_{view}_{name}",
                    f"{TITLES[name]}: atoms by environment, seen from {view}",
                    (3.6, 3.6),
                    _snapshot(result[name], buffer, palettes, frame, view),
                ),
            )
    for k, when in zip(_spread_frames(len(chi.steps), 3), ("start", "middle", "end"), strict=False):
        yield (
            "snapshot_time",
            Panel(
                f"snapshot_{when}",
                f"SOAP & LENS: atoms by environment at the {when}",
                (3.6, 3.0),
                _snapshot(chi, buffer, palettes, k, "oblique"),
            ),
        )
    atom_id, _ = _telling_atom(chi, palettes["soap_lens"])
    yield (
        "path",
        Panel(
            "path",
            f"Path of atom {atom_id} on the map of SOAP & LENS",
            (5.4, 3.9),
            _with(plot_pca, chi, palettes, atom_id=atom_id, units=units),
        ),
    )
    yield (
        "alluvial",
        Panel(
            "alluvial",
            "Environments at chosen times and the atoms that move between them",
            (10.4, 3.6),
            _with(plot_alluvial, chi, palettes, units=units),
        ),
    )


def _axes(plot: Callable[..., Any], route: Route, **options: Any) -> Callable[[Any], Any]:
    return lambda ax: plot(route, ax=ax, **options)


def _with(
    plot: Callable[..., Any], route: Route, palettes: dict[str, Palette], **options: Any
) -> Callable[[Any], Any]:
    return _axes(plot, route, palette=palettes[route.name], **options)


def _snapshot(
    route: Route,
    buffer: Buffer,
    palettes: dict[str, Palette],
    frame: int,
    view: str,
    *,
    pale: bool = False,
) -> Callable[[Any], Any]:
    return lambda ax: plot_snapshot(
        route, buffer, palettes[route.name], frame=frame, view=view, pale=pale, ax=ax
    )


def _scan(result: AnalysisResult, over: str, units: str | None) -> Callable[[Any], Any]:
    return lambda ax: plot_intervals(result, over, units=units, ax=ax)


def _wanted(config: AnalysisConfig) -> float | None:
    return None if config.n_components else config.variance


def _spread_frames(n_frames: int, n: int) -> list[int]:
    return sorted({int(k) for k in np.linspace(0, n_frames - 1, n)})


def _explorer(
    result: AnalysisResult, buffer: Buffer, palettes: dict[str, Palette]
) -> dict[str, Any] | None:
    """Return viewer and data of the explorer; None where chemiscope is not installed."""
    if find_spec("chemiscope") is None:
        return None
    chi, palette = result["soap_lens"], palettes["soap_lens"]
    data = explorer_data(result, buffer, palettes, keep=_telling_frame(chi, palette))
    n_structures = len(data["structures"])
    return {
        **explorer_payload(data, palette),
        "n_structures": n_structures,
        "n_points": n_structures * len(chi.atom_ids),
    }


def _shown_label(palette: Palette) -> int | None:
    """Return the first of the environments that SOAP alone does not find; None without such."""
    return next((label for label in palette.order if label in palette.highlighted), None)


def _telling_frame(route: Route, palette: Palette) -> int:
    """Return the frame with most atoms in what is highlighted; without such, the last."""
    inside = np.isin(route.final.labels, palette.highlighted).sum(axis=1)
    return int(inside.argmax()) if inside.any() else len(inside) - 1


def _telling_atom(route: Route, palette: Palette) -> tuple[int, bool]:
    """Return the atom to follow, and whether it enters and leaves what is highlighted.

    Without such an atom, that which moves most.
    """
    labels = route.final.labels
    inside = np.isin(labels, palette.highlighted)
    visits = np.where(inside[0] | inside[-1], 0, inside.sum(axis=0))
    moves = (labels[1:] != labels[:-1]).sum(axis=0)
    row = visits.argmax() if visits.any() else moves.argmax()
    return int(route.atom_ids[row]), bool(visits.any())


def _settings(result: AnalysisResult, buffer: Buffer) -> dict[str, dict[str, str]]:
    recording = {
        key: getattr(buffer.config, key)
        for key in ("r_cut", "lens_r_cut", "n_max", "l_max", "sigma", "centers", "lens_environment")
    }
    return {
        "Recording": {"elements": " ".join(buffer.config.elements), **_words(recording)},
        "Analysis": _words(asdict(result.config)),
    }


def _told_elsewhere(result: AnalysisResult) -> set[str]:
    """Return the warnings of the checks: they name labels, the page says them with its marks."""
    return {
        f"{name}: {text}"
        for name, route in result.routes.items()
        if route.checks is not None and route.final.counts.any()
        for text in check_warnings(route.checks)
    }


def _plain(warning: str) -> str:
    """Return a warning with the title of a route in the place of its name."""
    name, colon, text = warning.partition(":")
    return f"{TITLES[name]}: {text.strip()}" if colon and name in TITLES else warning


def _words(settings: dict[str, Any]) -> dict[str, str]:
    def word(value: Any) -> str:
        if value is None:
            return "none"
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value)) or "none"
        return f"{value:g}" if isinstance(value, float) else str(value)

    return {name: word(value) for name, value in settings.items()}
