"""The report: one HTML page that opens anywhere, its figures as files, its numbers as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from strdyn_live.results_block import mark
from strdyn_post.colors import readable_on
from strdyn_post.exchange.chemiscope import chemiscope_data
from strdyn_post.figures import save_figure
from strdyn_post.files.folder import PAGE, SUMMARY, Claim, claim
from strdyn_post.files.output import cannot_write
from strdyn_post.findings import ATTENTION, FINE, RESULT, UNKNOWN
from strdyn_post.limits import AGREEMENT, CLEAR, ENRICHED, FEW_EVENTS
from strdyn_post.provenance import check_same_run
from strdyn_post.quantities import factor_text, length_unit, percent
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import TITLES
from strdyn_post.sentences import details

from .explorer import explorer_payload
from .panels import draw_panels, shown_label, telling_atom, telling_frame
from .summary import summarise

__all__ = ["write_report"]

_SHOWN_EVENTS = 50
_MARKS = {ATTENTION: "attention", FINE: "good", RESULT: "", UNKNOWN: "unknown"}


def write_report(
    result: AnalysisResult, recording: Recording, out_dir: str | os.PathLike[str]
) -> Path:
    """Write ``report.html``, ``figures/`` (SVG and PNG) and ``summary.json``.

    Parameters
    ----------
    result : AnalysisResult
        Of `analyse` or `label`.
    recording : Recording
        The recording that was analysed: positions for the snapshots, settings.
    out_dir : path
        The folder; made if it does not exist. Files of earlier analyses are replaced.

    Returns
    -------
    Path
        Path of ``report.html``.

    Raises
    ------
    AnalysisError
        If the result is of another recording.
    OutputError
        If the folder cannot be written, or holds files of these names that strdyn did not write.
    """
    check_same_run(result, recording)
    with claim(out_dir) as claimed:
        return _write(result, recording, claimed)


def _write(result: AnalysisResult, recording: Recording, claimed: Claim) -> Path:
    """Draw the figures and write the page."""
    from markupsafe import Markup

    summary = summarise(result, recording)
    sections = _draw(result, recording, claimed)
    names = result.names["soap_lens"]
    foretells = not sections.keys().isdisjoint(("foretelling", "expected"))
    on_top = {"length", "origin", *(["foretelling"] if foretells else [])}
    first = {line.kind: line for line in result.lines if line.kind in on_top}
    apart = {*first, "new_environment"}
    lines = [line for line in result.lines if line.kind not in apart]
    page = _template().render(
        summary=summary,
        sections=sections,
        names=result.names,
        titles=TITLES,
        length=length_unit(recording.units),
        new=_new_environments(result),
        first=first,
        marks=_MARKS,
        others=[line for line in lines if line.severity == RESULT],
        verdicts=[line for line in lines if line.severity != RESULT],
        shown_label=shown_label(names),
        path_visits=telling_atom(result["soap_lens"], names)[1],
        settings=_settings(result, recording),
        limits={
            "few": FEW_EVENTS,
            "errors": CLEAR,
            "agreement": AGREEMENT,
            "enriched": ENRICHED,
        },
        shown_events=_SHOWN_EVENTS,
        smoothed=result.config.smoothing_window > 1,
        window=result.config.smoothing_window,
        provenance=result.provenance,
        explorer=_explorer(result, recording),
        # inside a script "<" could begin a tag
        summary_json=Markup(json.dumps(summary).replace("<", "\\u003c")),
        written_by=summary["written_by"],
    )
    claimed.write(SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return claimed.write(PAGE, page)


def _draw(result: AnalysisResult, recording: Recording, claimed: Claim) -> dict[str, list[Any]]:
    """Draw all figures into ``figures/``; return them by section."""
    from markupsafe import Markup
    from matplotlib.figure import Figure

    folder = claimed.folder / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    sections: dict[str, list[Any]] = {}
    drawn = set()
    for panel in draw_panels(result, recording):
        figure = Figure(figsize=panel.size, layout="constrained")
        panel.draw(figure.subplots())
        svg = save_figure(
            figure,
            folder,
            panel.name,
            panel.title,
            tight=panel.tight,
            mark=mark(result.run_id),
        )
        drawn.add(panel.name)
        image = Markup(f'<figure id="{panel.name}">{svg}</figure>')
        sections.setdefault(panel.section, []).append(image)
    claimed.remove_figures_but(drawn)
    return sections


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["percent"] = lambda share: f"{percent(share)}\N{NO-BREAK SPACE}%"
    jinja.filters["share"] = lambda share: f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    jinja.filters["factor"] = factor_text
    jinja.filters["unbroken"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    jinja.filters["ink_on"] = readable_on
    return jinja.get_template("report.html.j2")


def _new_environments(result: AnalysisResult) -> list[dict[str, Any]]:
    """Return what SOAP&LENS adds, in words; details only where one environment is told of."""
    return [
        {
            "label": line.findings[0].environments[0],
            "headline": line.text,
            "details": details(*line.findings, line.speaker) if len(line.findings) == 1 else "",
        }
        for line in result.lines
        if line.kind == "new_environment"
    ]


def _explorer(result: AnalysisResult, recording: Recording) -> dict[str, Any] | None:
    """Return viewer and data of the explorer; None where chemiscope is not installed."""
    if find_spec("chemiscope") is None:
        return None
    chi, names = result["soap_lens"], result.names["soap_lens"]
    data = chemiscope_data(result, recording, keep=telling_frame(chi, names))
    n_structures = len(data["structures"])
    return {
        **explorer_payload(data, names),
        "n_structures": n_structures,
        "n_points": n_structures * chi.frames.n_atoms,
    }


def _settings(result: AnalysisResult, recording: Recording) -> dict[str, dict[str, str]]:
    described = {
        key: getattr(recording.config, key)
        for key in ("r_cut", "lens_r_cut", "n_max", "l_max", "sigma", "centers", "lens_environment")
    }
    rules = {key: getattr(recording.config, key) for key in ("event", "adaptive")}
    described |= {key: rule for key, rule in rules.items() if rule}
    return {
        "Recording": {"elements": " ".join(recording.config.elements), **_words(described)},
        "Analysis": _words(asdict(result.config)),
    }


def _words(settings: dict[str, Any]) -> dict[str, str]:
    def word(value: Any) -> str:
        if value is None:
            return "none"
        if isinstance(value, Mapping):
            return "; ".join(f"{key}: {word(part)}" for key, part in value.items()) or "none"
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value)) or "none"
        return f"{value:g}" if isinstance(value, float) else str(value)

    return {name: word(value) for name, value in settings.items()}
