"""The data's way is the code's way: no module, and no room, imports what imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import strdyn_live
import strdyn_post


def modules(package) -> dict[str, Path]:
    """Return every module of a package by name."""
    found, root = {}, Path(package.__file__).parent
    for file in root.rglob("*.py"):
        parts = [package.__name__, *file.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(name: str, source: str, *, is_package: bool) -> Iterator[tuple[str, str]]:
    """Yield all that a module imports, anywhere in it and also for types alone: from what, what."""
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((origin, alias.name) for alias in node.names)


def graph(sources: dict[str, str], packages: set[str]) -> dict[str, set[str]]:
    """Return which of some modules each of them imports."""
    found: dict[str, set[str]] = {}
    for name, source in sources.items():
        needed = set()
        for origin, what in imported(name, source, is_package=name in packages):
            inner = f"{origin}.{what}"
            needed.add(inner if inner in sources else origin)
        found[name] = needed & set(sources) - {name}
    return found


def circle(needs: dict[str, set[str]]) -> list[str]:
    """Return a circle of imports, empty if there is none."""
    try:
        list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def read(package) -> tuple[dict[str, str], set[str]]:
    """Return the source of every module, and which of them are packages."""
    files = modules(package)
    sources = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    return sources, {name for name, file in files.items() if file.name == "__init__.py"}


both = pytest.mark.parametrize(
    ("package", "a_room"),
    [(strdyn_live, "strdyn_live.buffer"), (strdyn_post, "strdyn_post.kinetics")],
    ids=["live", "post"],
)


def test_circles_are_found_wherever_the_import_stands():
    sources = {
        "p": "",
        "p.a": "from . import b",
        "p.b": "if TYPE_CHECKING:\n    from p.c import C",
        "p.c": "def f():\n    import p.a",
    }
    assert set(circle(graph(sources, {"p"}))) == {"p.a", "p.b", "p.c"}
    assert circle(graph({**sources, "p.c": "import p"}, {"p"})) == []
    assert set(circle(graph({**sources, "p.c": "from p import x", "p": "from .a import x"}, {"p"})))


@both
def test_no_circle_of_imports(package, a_room):
    sources, packages = read(package)
    assert len(sources) > 20
    assert " → ".join(circle(graph(sources, packages))) == ""


@both
def test_no_circle_of_rooms(package, a_room):
    """A room is a sub-package; a module beside the rooms stands for itself."""
    sources, packages = read(package)

    def room(name: str) -> str:
        first = ".".join(name.split(".")[:2])
        return first if first in packages and first != package.__name__ else name

    rooms: dict[str, set[str]] = {}
    for name, needed in graph(sources, packages).items():
        rooms.setdefault(room(name), set()).update({room(each) for each in needed} - {room(name)})
    assert a_room in rooms
    assert " → ".join(circle(rooms)) == ""


def test_the_live_half_imports_nothing_of_the_offline_half():
    sources, packages = read(strdyn_live)
    imported_by = {
        origin.split(".")[0]: name
        for name, source in sources.items()
        for origin, _ in imported(name, source, is_package=name in packages)
    }
    assert "numpy" in imported_by
    assert imported_by.get("strdyn_post") is None
