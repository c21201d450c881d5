"""The command `strdyn`, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from strdyn_live import LiveConfig
from strdyn_live.buffer import BufferWriter
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

STRDYN = Path(sys.executable).with_name("strdyn")


def strdyn(*words, cwd):
    return subprocess.run(
        [str(STRDYN), *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path):
    """A buffer of two frames of three atoms."""
    config = LiveConfig(r_cut=5.0, elements="Cu", n_max=2, l_max=1, file=str(tmp_path / "run.sdl"))
    writer = BufferWriter(
        config, atom_ids=np.array([1, 2, 3]), species=np.zeros(3, np.int32), units="metal"
    )
    soap = np.zeros((3, 6), np.float32)
    soap[:, 0] = 1.0
    empty = NeighborLists.from_counts(np.zeros(3, np.int64), np.zeros(0, np.int64))
    for step in (0, 100):
        writer.append(
            Frame(step, step * 0.001, np.eye(3) * 10, np.zeros(3), np.zeros((3, 3)), soap, empty)
        )
    writer.close()
    return tmp_path


def test_info(folder):
    done = strdyn("info", "run.sdl", cwd=folder)
    assert done.returncode == 0
    assert "frames            2" in done.stdout
    facts = json.loads(strdyn("info", "run.sdl", "--json", cwd=folder).stdout)
    assert (facts["frames"], facts["atoms"], facts["features"]) == (2, 3, 6)
    assert facts["steps"] == "0 to 100"


def test_bad_data_ends_with_3_and_one_line(folder):
    (folder / "analysis.toml").write_text("variace = 0.9\n")
    for words in (
        ["info", "nowhere.sdl"],
        ["analyse", "run.sdl"],  # two frames
        ["analyse", "run.sdl", "-c", "analysis.toml"],
        ["analyse", "run.sdl", "-c", "missing.toml"],
        ["report", "nowhere"],
    ):
        done = strdyn(*words, cwd=folder)
        assert done.returncode == 3, (words, done.stderr)
        assert done.stderr.startswith("strdyn: ")
        assert "Traceback" not in done.stderr
    assert "Did you mean 'variance'" in strdyn(
        "analyse", "run.sdl", "-c", "analysis.toml", cwd=folder
    ).stderr  # fmt: skip


def test_usage_ends_with_2(folder):
    assert strdyn("analise", "run.sdl", cwd=folder).returncode == 2


def test_shellenv_makes_both_packages_importable(tmp_path):
    script = (
        f'eval "$({STRDYN} shellenv 2>/dev/null)"; '
        f"{sys.executable} -S -c 'import strdyn_live, strdyn_post, numpy'"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
