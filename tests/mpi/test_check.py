"""`strdyn check`: what it says beforehand is what the run then takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fix_scripts import of_system

from strdyn_live import open_buffer

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

STRDYN = Path(sys.executable).with_name("strdyn")


def check(folder, *words):
    return subprocess.run(
        [STRDYN, "check", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def table(stdout):
    return {line[:18].strip(): line[18:66].strip() for line in stdout.splitlines()}


def test_a_script_is_measured_and_nothing_is_written(run_lmp, tmp_path):
    script = "variable n index 10\n" + of_system("cu_slab", run="run 1000000", every="${n}")
    (tmp_path / "in.run").write_text(script.replace("dump", "#dump"))
    done = check(tmp_path, "in.run", "--ranks", "2", "-var", "n", "20")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.run"]
    found = table(done.stdout)
    assert found["described atoms"] == "96 of 288"
    assert found["SOAP components"] == "324"
    assert "on 2 ranks" in found["time, a frame"]
    assert 0.0 < float(found["time, a frame"].split()[0]) < 1000.0
    frames, every, steps = map(int, re.findall(r"\d+", found["disk, room for"]))
    assert (every, steps) == (20, 20 * frames)

    assert run_lmp(script.replace("run 1000000", "run 0")).returncode == 0
    (buffer,) = tmp_path.glob("*.sdl")
    record = open_buffer(buffer).entries[0][0].record
    assert found["disk, a frame"] == f"{record.size / 1000:.3g} kB"
    again = table(check(tmp_path, buffer.name).stdout)
    assert again["disk, a frame"] == found["disk, a frame"]
    assert again["frames"] == "1"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("run 0", "no run with 'fix strdyn' was met"),
        (of_system("cu_slab", centers="void"), "group 'void' does not exist or is empty"),
        (of_system("cu_slab", elements="Cu Au"), "names 2 atom types, but this run has 1"),
    ],
)
def test_what_would_end_the_run_is_said(script, expected, tmp_path):
    (tmp_path / "in.run").write_text(script)
    done = check(tmp_path, "in.run")
    assert done.returncode == 3
    assert expected in done.stderr
    assert not list(tmp_path.glob("*.sdl"))


def test_what_is_not_there_is_named(tmp_path):
    done = check(tmp_path, "in.none")
    assert done.returncode == 3
    assert "expected an input script of LAMMPS, or a buffer NAME.sdl" in done.stderr
