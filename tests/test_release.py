"""What a release consists of: one version and one list of requirements, everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from strdyn_live import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    recipe = (ROOT / "conda" / "recipe.yaml").read_text()
    assert citation["version"] == __version__
    assert f'version: "{__version__}"' in recipe


def test_the_recipe_requires_what_the_project_requires():
    recipe = re.sub(r"\$\{\{.*?\}\}", "x", (ROOT / "conda" / "recipe.yaml").read_text())
    asked = {line.replace(" ", "") for line in yaml.safe_load(recipe)["requirements"]["run"]}
    names = {"matplotlib": "matplotlib-base"}
    for requirement in PROJECT["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert requirement.replace(name, names.get(name, name), 1) in asked
    assert f"python{PROJECT['requires-python']}" in asked
