"""The parts of the reference that are made from the code: settings, commands, Python."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from strdyn_live.settings import Setting, Settings, declared

__all__ = ["api_text", "commands_text", "settings_text", "write_pages"]

LIVE = [
    "strdyn_live",
    "strdyn_live.soap",
    "strdyn_live.neighbors",
    "strdyn_live.lens",
    "strdyn_live.buffer",
]
_FOR_WRITERS = {
    *("BufferWriter", "LiveLog", "check_start", "forecast", "frame_bytes", "values_content"),
    "writer_rows",
}
POST = [
    "strdyn_post",
    "strdyn_post.results",
    "strdyn_post.routes",
    "strdyn_post.findings",
    "strdyn_post.names",
    "strdyn_post.transitions",
    "strdyn_post.merging",
    "strdyn_post.figures",
    "strdyn_post.exchange.export",
    "strdyn_post.page.report",
]


def write_pages(folder: Path) -> None:
    """Write what the pages include; a file that is the same stays as it is."""
    from strdyn_live import LiveConfig
    from strdyn_post import AnalysisConfig

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "live.md": settings_text(LiveConfig),
        "analysis.md": settings_text(AnalysisConfig),
        "commands.md": commands_text(),
        "api_live.rst": api_text(LIVE),
        "api_post.rst": api_text(POST),
    }.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def settings_text(config: type[Settings]) -> str:
    """Return every setting of a class in Markdown, a heading for each."""
    return "\n".join(_setting(each) for each in declared(config))


def _setting(each: Setting) -> str:
    default = "needed" if each.needed else f"default: `{_value(each.default, each)}`"
    optional = ' or `"none"`' if each.optional else ""
    limits = f"allowed: {each.range}{optional}" if each.range else ""
    unit = f"unit: {each.unit}" if each.unit else ""
    facts = " · ".join(filter(None, (default, limits, unit)))
    return "\n\n".join(filter(None, (f"### {each.name}", facts, each.about, each.use, "")))


def _value(value: Any, each: Setting) -> str:
    """Return a value as a file of settings has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return '"none"'
    if isinstance(value, tuple | dict):
        return "[]" if value == () else "{}"
    return str(value) if each.kind in (int, float) else f'"{value}"'


def commands_text() -> str:
    """Return what every command says by ``--help``."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from strdyn_post.cli import app

    styled, app.rich_markup_mode = app.rich_markup_mode, None  # plain text, without frames
    try:
        names = list(get_command(app).commands)  # type: ignore[attr-defined]
        run = CliRunner(env={"COLUMNS": "88", "TERMINAL_WIDTH": "88"}).invoke
        said = {name: run(app, [name, "--help"], prog_name="strdyn").output for name in names}
    finally:
        app.rich_markup_mode = styled
    return "\n".join(
        f"## strdyn {name}\n\n```text\n{text.strip()}\n```\n" for name, text in said.items()
    )


def api_text(modules: list[str]) -> str:
    """Return directives for the public names of modules, each name once, where it is first."""
    seen: set[int] = set()
    parts = []
    for name in modules:
        module = importlib.import_module(name)
        lines = []
        for item in module.__all__:
            value = getattr(module, item)
            if id(value) in seen or not callable(value) or item in _FOR_WRITERS:
                continue
            seen.add(id(value))
            if inspect.isclass(value):
                lines.append(f".. autoclass:: {name}.{item}\n   :members:\n")
                if issubclass(value, Settings):
                    lines[-1] += "   :inherited-members:\n"
            else:
                lines.append(f".. autofunction:: {name}.{item}\n")
        parts.append(f"{name}\n{'-' * len(name)}\n\n" + "\n".join(lines))
    return "\n".join(parts)
