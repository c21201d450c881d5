"""The command `strdyn`, as a user types it."""

from __future__ import annotations

import json
import os
import pty
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
    write(tmp_path, steps=(0, 100))
    return tmp_path


def write(folder, steps, append=False):
    config = LiveConfig(
        r_cut=5.0, elements="Cu", n_max=2, l_max=1, file=str(folder / "run.sdl"), append=append
    )
    writer = BufferWriter(
        config, atom_ids=np.array([1, 2, 3]), species=np.zeros(3, np.int32), units="metal"
    )
    soap = np.zeros((3, 6), np.float32)
    soap[:, 0] = 1.0
    empty = NeighborLists.from_counts(np.zeros(3, np.int64), np.zeros(0, np.int64))
    for step in steps:
        positions = np.arange(9.0).reshape(3, 3)
        writer.append(
            Frame(step, step * 0.001, np.eye(3) * 10, np.zeros(3), positions, soap, empty)
        )
    writer.close()


def test_info(folder):
    done = strdyn("info", "run.sdl", cwd=folder)
    assert done.returncode == 0
    assert "frames            2" in done.stdout
    facts = json.loads(strdyn("info", "run.sdl", "--json", cwd=folder).stdout)
    assert (facts["frames"], facts["atoms"], facts["features"]) == (2, 3, 6)
    assert facts["steps"] == "0 to 100"


def test_verify_pack_prune(folder):
    done = strdyn("verify", "run.sdl", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("2 frames are intact")
    assert strdyn("pack", "run.sdl", "-o", "run.h5", cwd=folder).returncode == 0
    assert json.loads(strdyn("info", "run.h5", "--json", cwd=folder).stdout)["frames"] == 2
    assert "0 superseded frames removed" in strdyn("prune", "run.sdl", cwd=folder).stdout
    (segment,) = (folder / "run.sdl").glob("seg-*")
    content = bytearray(segment.read_bytes())
    place = content.find(np.float32(1.0).tobytes() + bytes(20))  # a spectrum
    content[place] ^= 1
    segment.write_bytes(content)
    damaged = strdyn("verify", "run.sdl", cwd=folder)
    assert damaged.returncode == 3
    assert segment.name in damaged.stdout


def test_superseded_frames_are_shown_and_kept_until_agreed(folder):
    write(folder, steps=(200, 300), append=True)
    write(folder, steps=(100, 150), append=True)  # from a restart file of step 100
    before = sorted(path.name for path in (folder / "run.sdl").iterdir())
    line = "branch at step 100: 2 frames after it are superseded"
    assert f"superseded        {line}\n" in strdyn("info", "run.sdl", cwd=folder).stdout
    facts = json.loads(strdyn("info", "run.sdl", "--json", cwd=folder).stdout)
    assert facts["superseded"] == [{"generation": 2, "branch_step": 100, "n_frames": 2}]
    shown = strdyn("prune", "run.sdl", cwd=folder)
    assert shown.returncode == 2
    assert shown.stdout.startswith(line)
    assert "nothing was removed: --yes removes 2 superseded frames" in shown.stdout
    assert sorted(path.name for path in (folder / "run.sdl").iterdir()) == before
    assert "nothing was removed" in on_a_terminal("prune", "run.sdl", cwd=folder, answer="n")
    assert sorted(path.name for path in (folder / "run.sdl").iterdir()) == before
    assert "2 superseded frames removed" in on_a_terminal(
        "prune", "run.sdl", cwd=folder, answer="y"
    )
    facts = json.loads(strdyn("info", "run.sdl", "--json", cwd=folder).stdout)
    assert (facts["frames"], facts["superseded"]) == (3, [])
    assert "0 superseded frames removed" in strdyn("prune", "run.sdl", cwd=folder).stdout


def test_prune_yes(folder):
    write(folder, steps=(0, 50), append="force")
    done = strdyn("prune", "run.sdl", "--yes", cwd=folder)
    assert (done.returncode, "1 superseded frames removed" in done.stdout) == (0, True)


def test_pack_refuses_what_is_not_whole(folder):
    (segment,) = (folder / "run.sdl").glob("seg-*")
    segment.unlink()
    write(folder, steps=(200,), append=True)
    done = strdyn("pack", "run.sdl", "-o", "run.h5", cwd=folder)
    assert done.returncode == 3
    assert "step 100 was committed and is not there" in done.stderr
    assert not (folder / "run.h5").exists()
    done = strdyn("pack", "run.sdl", "-o", "run.h5", "--partial", cwd=folder)
    assert (done.returncode, "left out: " in done.stdout) == (0, True)


def on_a_terminal(*words, cwd, answer):
    """Run the command where it can ask; return what it writes."""
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [str(STRDYN), *words], cwd=cwd, stdin=its_end, stdout=subprocess.PIPE, text=True
    )
    os.close(its_end)
    os.write(terminal, f"{answer}\n".encode())
    output, _ = process.communicate(timeout=60)
    os.close(terminal)
    return output


def test_follow_ends_with_the_frames_that_come(folder):
    process = subprocess.Popen(
        [str(STRDYN), "info", "run.sdl", "--follow", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["frames"] == 2
    write(folder, steps=(200,), append=True)
    assert json.loads(process.stdout.readline())["frames"] == 3
    process.terminate()
    process.wait(timeout=30)


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


def test_a_folder_without_a_name_beside_it(folder):
    """`analyse .` means this folder; its results go beside it."""
    (folder / "run-analysis").write_text("my own")
    done = strdyn("analyse", ".", cwd=folder / "run.sdl")
    assert done.returncode == 3
    assert f"cannot write {folder / 'run-analysis'}: it exists, but is not a folder" in done.stderr
    os.mkfifo(folder / "pipe")  # nobody will ever write into it
    for words in (["analyse", ".", "-o", "x"], ["analyse", "/"], ["analyse", "pipe"]):
        done = strdyn(*words, cwd=folder)
        assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr


def test_names_that_are_no_text(folder):
    name = os.fsdecode(b"caf\xe9.sdl")
    (folder / "run.sdl").rename(folder / name)
    done = strdyn("info", name, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    done = strdyn("verify", os.fsdecode(b"\xff.sdl"), cwd=folder)
    assert done.returncode == 3
    assert done.stderr.startswith("strdyn: \\udcff.sdl is no buffer")


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
