"""What the documentation tells people to type exists: commands, settings, names, links."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from recorded import record, strdyn, with_empty_figures
from typer.main import get_command

import strdyn_live
import strdyn_post
from strdyn_live import LiveConfig
from strdyn_live.settings import declared
from strdyn_post import AnalysisConfig
from strdyn_post.cli import app

ROOT = Path(__file__).parents[2]
SITE = sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)
PAGES = [*SITE, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("lammps_examples/*/*.md")]


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language, with what they are indented by taken out."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(), re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def sources(package) -> list[Path]:
    return list(Path(package.__file__).parent.rglob("*.py"))


def of_all(language: str) -> list:
    return [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize("text", of_all("sh"))
def test_commands_are_those_of_the_command_line(text):
    commands = {**get_command(app).commands}
    for line in text.splitlines():
        for words in re.findall(r"strdyn (?:\"[^\"]*\"|'[^']*'|[^;&|\"')])+", line.split("#")[0]):
            name, *rest = shlex.split(words)[1:]
            assert name in commands, words
            commands[name].make_context(name, rest)  # raises where an option does not exist


@pytest.mark.parametrize("text", of_all("toml"))
def test_settings_are_those_of_an_analysis(text):
    AnalysisConfig.from_mapping(tomllib.loads(text))


@pytest.mark.parametrize("text", [*of_all("python"), *of_all("text")])
def test_python_names_exist(text):
    """Imports of ours, also inside LAMMPS scripts, and the settings of recorders."""
    for module, names in re.findall(r"from (strdyn_\w[\w.]*) import ([\w, ]+)", text):
        for name in names.split(","):
            assert hasattr(importlib.import_module(module), name.strip()), (module, name)
    known = {each.name for each in declared(LiveConfig)}
    for arguments in re.findall(r"Recorder\((\w.*?)\)", text):
        words = {word.arg for word in ast.parse(f"f({arguments})", mode="eval").body.keywords}
        assert {"r_cut", "elements", "file"} <= words <= known


@pytest.mark.parametrize("text", of_all("text"))
def test_fixes_have_settings_that_are_known(text):
    for words in re.findall(r"^fix +\S+ \S+ strdyn \d+ (.*)", text.replace("&\n", ""), re.M):
        LiveConfig.from_words(re.sub(r"\bmodel \S+", "", words) if "event" not in words else words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_messages_are_those_of_the_code():
    plugin = ROOT / "strdyn_live/lammps_plugin"
    texts = ["".join(re.findall(r'"(.*?)"', path.read_text())) for path in plugin.glob("*.cpp")]
    for path in (path for package in (strdyn_live, strdyn_post) for path in sources(package)):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        constants = (node for node in nodes if isinstance(node, ast.Constant))
        texts += [str(node.value) for node in constants if id(node) not in docstrings]
    page = (ROOT / "docs/reference/messages.md").read_text()
    messages = re.findall(r"^\| (?!message |---)(.*?) \|", page, re.M)
    assert len(messages) > 20
    for message in messages:
        parts = [part.strip() for part in message.split("…")]
        assert any(parts), message
        for part in parts:
            assert any(part in text for text in texts), (message, part)


def test_every_page_is_in_the_site():
    listed = set(re.findall(r"^[\w/]+$", (ROOT / "docs/index.md").read_text(), re.M))
    names = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in SITE}
    assert names - {"index"} == listed


@pytest.mark.parametrize(
    "package", [strdyn_live, strdyn_post], ids=lambda package: package.__name__
)
def test_examples_in_docstrings(package):
    folder = Path(package.__file__).parent
    with_examples = [path for path in sources(package) if ">>> " in path.read_text()]
    assert with_examples
    for path in with_examples:
        name = ".".join([package.__name__, *path.relative_to(folder).with_suffix("").parts])
        found = doctest.testmod(importlib.import_module(name))
        assert found.attempted, name
        assert not found.failed, name


def test_the_reference_has_every_setting_with_its_limits():
    sys.path.insert(0, str(ROOT / "docs"))
    generated = importlib.import_module("generated")
    sys.path.remove(str(ROOT / "docs"))
    text = generated.settings_text(AnalysisConfig)
    assert re.findall(r"^### (\w+)$", text, re.M) == list(AnalysisConfig().as_dict())
    for part in (
        "### variance\n\ndefault: `0.995` · allowed: above 0 and at most 1\n\nPCA keeps",
        '### merge_cut\n\ndefault: `1.0` · allowed: from 0 to 2 or `"none"`\n\nHDBSCAN*',
        "### stride\n\ndefault: `1` · allowed: from 1 to 1000000 · unit: recorded frames\n",
        "### names\n\ndefault: `{}`\n\nNames of environments",
    ):
        assert part in text
    assert "### file\n\nneeded\n\nThe buffer" in generated.settings_text(LiveConfig)
    commands = generated.commands_text()
    assert re.findall(r"^## strdyn (\w+)$", commands, re.M) == list(get_command(app).commands)
    assert "-c, --config" in commands
    assert "autofunction:: strdyn_live.open_buffer" in generated.api_text(["strdyn_live"])


def test_the_page_on_scaling_has_the_table_of_the_model():
    sys.path.insert(0, str(ROOT / "docs"))
    model = importlib.import_module("scaling")
    sys.path.remove(str(ROOT / "docs"))
    assert model.table() in (ROOT / "docs/scaling.md").read_text()


def test_the_page_on_the_report_has_every_part_of_it():
    template = Path(strdyn_post.__file__).parent / "page/templates/report.html.j2"
    parts = re.findall(r"<h2>(.*?)</h2>", template.read_text())
    page = (ROOT / "docs/explanation/report.md").read_text()
    explained = re.findall(r"^\| ([^(|][^|]*) \|", page.split("## The checks")[0], re.M)
    assert explained[1:] == [part.replace("&amp;", "&") for part in parts if part != "Please cite"]


@pytest.mark.filterwarnings("ignore")
def test_the_tutorial_runs(tmp_path, monkeypatch):
    """All but the installation and the demo, which has a test of its own."""
    (tmp_path / "demo").mkdir()
    record(tmp_path / "demo", 60, name="cu211.sdl")
    monkeypatch.chdir(tmp_path)
    with_empty_figures(monkeypatch)
    tutorial = ROOT / "docs/tutorial.md"
    Path("mine.toml").write_text("\n".join(blocks(tutorial, "toml")))
    lines = [line for text in blocks(tutorial, "sh") for line in text.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("strdyn ")]
    assert [words[0] for words in commands[1:]] == ["info", "verify", "analyse", "report", "export"]
    for words in commands[1:]:
        assert strdyn(monkeypatch, *words) == 0, words
    assert Path("labels.extxyz").exists()
    names: dict = {}
    for text in blocks(tutorial, "python"):
        exec(text, names)
    assert names["chi"].labels.shape == (14, 24)  # of 15 frames the last has no next one
