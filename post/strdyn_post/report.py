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

from .explorer import explorer_data, explorer_payload
from .figures import (
    plot_alluvial,
    plot_chord,
    plot_dendrogram,
    plot_lens_series,
    plot_pca,
    plot_snapshot,
    plot_transition_matrix,
    plot_variance,
)
from .figures.style import TITLES, readable_on, save_figure, time_axis
from .figures.transitions import FEW_EVENTS, percent
from .palette import Palette, make_palettes, match_environments, shared_rows
from .results import ROUTES

if TYPE_CHECKING:
    from strdyn_live.buffer import Buffer

    from .config import AnalysisConfig
    from .results import AnalysisResult, Route

__all__ = ["summarise", "write_report"]


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
        Made if it is not there; older files of these names are replaced.

    Returns
    -------
    Path
        Of ``report.html``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from matplotlib.figure import Figure

    out = Path(out_dir)
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    palettes = make_palettes({name: result[name] for name in ROUTES})
    summary = summarise(result, buffer)

    sections: dict[str, list[Markup]] = {}
    for section, panel in _panels(result, buffer, palettes):
        figure = Figure(figsize=panel.size, layout="constrained")
        panel.draw(figure.subplots())
        tight = section.startswith("snapshot")  # as tall as the system is
        svg = save_figure(figure, folder, panel.name, panel.title, tight=tight)
        sections.setdefault(section, []).append(Markup(f'<figure id="{panel.name}">{svg}</figure>'))

    jinja = Environment(
        loader=PackageLoader("strdyn_post"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["percent"] = lambda share: f"{percent(share)}\N{NO-BREAK SPACE}%"
    jinja.filters["ink_on"] = readable_on
    page = jinja.get_template("report.html.j2").render(
        summary=summary,
        sections=sections,
        palettes=palettes,
        titles=TITLES,
        settings=_settings(result, buffer),
        few_events=FEW_EVENTS,
        versions=result.provenance.get("versions", {}),
        explorer=_explorer(result, buffer, palettes),
        summary_json=Markup(json.dumps(summary).replace("</", "<\\/")),
    )
    _replace(out / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return _replace(out / "report.html", page)


def summarise(result: AnalysisResult, buffer: Buffer) -> dict[str, Any]:
    """Return the headline numbers as JSON types: what the page shows, and nothing else does.

    Parameters
    ----------
    result : Analysis
    buffer : Buffer

    Returns
    -------
    dict
        ``run``, ``routes``, ``new_environments``, ``warnings``, ``timings``.
    """
    chi = result["soap_lens"]
    palettes = make_palettes({name: result[name] for name in ROUTES})
    times = np.asarray(buffer.times, dtype=np.float64)
    spacing = np.median(np.diff(times)) if len(times) > 1 else 0.0
    dt, dt_unit = time_axis(np.array([spacing]), buffer.units)
    span, span_unit = time_axis(np.array([times[-1] - times[0]]), buffer.units)
    return {
        "run": {
            "buffer": Path(str(buffer.config.file)).name,
            "uuid": str(buffer.uuid),
            "elements": " ".join(buffer.config.species),
            "n_atoms": len(chi.atom_ids),
            "n_frames": int(buffer.n_frames),
            "n_frames_analysed": len(chi.steps),
            "first_step": int(buffer.steps[0]),
            "last_step": int(buffer.steps[-1]),
            "dt": float(f"{dt[0]:.6g}"),
            "dt_unit": dt_unit,
            "span": float(f"{span[0]:.6g}"),
            "span_unit": span_unit,
            "lag": int(result.config.lag),
        },
        "routes": {name: _route_numbers(result[name], palettes[name]) for name in ROUTES},
        "environments": _environment_rows(result, palettes),
        "new_environments": _new_environments(result, palettes),
        "warnings": [str(warning) for warning in result.warnings],
        "timings": {name: round(float(seconds), 3) for name, seconds in result.timings.items()},
    }


def _route_numbers(route: Route, palette: Palette) -> dict[str, Any]:
    shown = route.final
    counts = np.asarray(shown.counts)
    moves = counts[~np.eye(len(counts), dtype=bool)]
    return {
        "n_clusters": int(route.n_clusters),
        "n_environments": int(shown.n_clusters),
        "n_components": int(route.n_components),
        "variance": float(np.sum(route.explained_variance_ratio[: route.n_components])),
        "noise_share": float(route.noise_share),
        "left_out_share": float((route.labels < 0).mean()),
        "soft_share": float(route.soft_share),
        "agreement": None if route.agreement is None else float(route.agreement),
        "n_rows": int(route.labels.size),
        "n_transitions": int(moves.sum()),
        "n_kinds": int((moves > 0).sum()),
        "n_rare_kinds": int(((moves > 0) & (moves < FEW_EVENTS)).sum()),
        "fewest_events": int(moves[moves > 0].min()) if (moves > 0).any() else 0,
        "environments": list(palette.names),
        "colors": list(palette.colors),
        "shares": [float(n) / route.labels.size for n in shown.populations],
    }


def _environment_rows(result: AnalysisResult, palettes: dict[str, Palette]) -> list[dict[str, Any]]:
    """One row for each environment of SOAP or SOAP&LENS: its share, speed and how long it stays."""
    delta = result["lens"].scores[..., 0]
    rows: dict[str, dict[str, Any]] = {}
    for name in ("soap", "soap_lens"):
        route, palette = result[name], palettes[name]
        shown = route.final
        for label in palette.order:
            key = palette.names[label]
            row = rows.setdefault(
                key,
                {
                    "name": key,
                    "mark": palette.marks[label],
                    "color": palette.colors[label],
                    "soap": None,
                    "soap_lens": None,
                },
            )
            inside = shown.labels == label
            row[name] = {
                "label": label,
                "share": float(shown.populations[label]) / route.labels.size,
                "delta": float(delta[inside].mean()) if inside.any() else None,
                "stays": float(shown.transition_matrix[label, label]),
            }
    return list(rows.values())


def _new_environments(result: AnalysisResult, palettes: dict[str, Palette]) -> list[dict[str, Any]]:
    """Describe what SOAP&LENS finds and SOAP alone does not: where its atoms come from and go."""
    chi, soap = result["soap_lens"], result["soap"]
    shown, palette = chi.final, palettes["soap_lens"]
    known = match_environments(chi, soap)
    labels, soap_labels = shared_rows(chi, soap)
    found = []
    for label in (k for k in palette.order if k not in known):
        inside = labels == label
        of_soap = soap_labels[inside]
        of_soap = of_soap[of_soap >= 0]
        entry: dict[str, Any] = {
            "name": palette.names[label],
            "mark": palette.marks[label],
            "color": palette.colors[label],
            "label": label,
            "n_rows": int(inside.sum()),
            "n_atoms": int(inside.any(axis=0).sum()),
            "share": float(inside.mean()),
            "soap_environment": None,
            "soap_share": None,
            "source": None,
        }
        if len(of_soap):
            n_per_cluster = np.bincount(of_soap)
            entry["soap_environment"] = palettes["soap"].names[int(n_per_cluster.argmax())]
            entry["soap_share"] = float(n_per_cluster.max() / inside.sum())
        into = np.array(shown.counts[:, label])
        into[label] = 0
        if into.any():
            source = int(into.argmax())
            entry |= {
                "source": palette.names[source],
                "n_in": int(shown.counts[source, label]),
                "p_in": float(shown.transition_matrix[source, label]),
                "n_out": int(shown.counts[label, source]),
                "p_out": float(shown.transition_matrix[label, source]),
            }
        found.append(entry)
    return found


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
    side = max(3.6, 0.62 * max(result[name].final.n_clusters for name in ROUTES) + 1.0)
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
        "lens",
        Panel(
            "lens_series",
            "LENS signal of the atoms in time, with histogram",
            (10.4, 3.7),
            _with(plot_lens_series, lens, palettes, units=units),
        ),
    )
    frame = _telling_frame(chi, palettes["soap_lens"])
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
    atom_id = _telling_atom(chi, palettes["soap_lens"])
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


def _with(
    plot: Callable[..., Any], route: Route, palettes: dict[str, Palette], **options: Any
) -> Callable[[Any], Any]:
    return lambda ax: plot(route, palettes[route.name], ax=ax, **options)


def _snapshot(
    route: Route, buffer: Buffer, palettes: dict[str, Palette], frame: int, view: str
) -> Callable[[Any], Any]:
    return lambda ax: plot_snapshot(
        route, buffer, palettes[route.name], frame=frame, view=view, ax=ax
    )


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


def _telling_frame(route: Route, palette: Palette) -> int:
    """Return the frame with most atoms in what is highlighted; without such, the last."""
    inside = np.isin(route.final.labels, palette.highlighted).sum(axis=1)
    return int(inside.argmax()) if inside.any() else len(inside) - 1


def _telling_atom(route: Route, palette: Palette) -> int:
    """Return the atom to follow: it enters and leaves what is highlighted, or else moves most."""
    labels = route.final.labels
    inside = np.isin(labels, palette.highlighted)
    visits = np.where(inside[0] | inside[-1], 0, inside.sum(axis=0))
    moves = (labels[1:] != labels[:-1]).sum(axis=0)
    row = visits.argmax() if visits.any() else moves.argmax()
    return int(route.atom_ids[row])


def _settings(result: AnalysisResult, buffer: Buffer) -> dict[str, dict[str, str]]:
    recording = {
        key: getattr(buffer.config, key)
        for key in ("r_cut", "lens_r_cut", "n_max", "l_max", "sigma", "centers", "lens_environment")
    }
    return {
        "Recording": {"elements": " ".join(buffer.config.elements), **_words(recording)},
        "Analysis": _words(asdict(result.config)),
    }


def _words(settings: dict[str, Any]) -> dict[str, str]:
    def word(value: Any) -> str:
        if value is None:
            return "none"
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        return f"{value:g}" if isinstance(value, float) else str(value)

    return {name: word(value) for name, value in settings.items()}


def _replace(path: Path, text: str) -> Path:
    """Write a file in one step: whoever reads sees the old page or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return path
