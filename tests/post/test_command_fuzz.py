"""Words and files that nobody should give to the command: no traceback, exit codes 0, 2, 3, 4."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
from pathlib import Path

import h5py
import pytest
from recorded import SETTINGS, change, record, strdyn, with_empty_figures

from strdyn_post.cli import main
from strdyn_post.config import AnalysisConfig

NAMES = list(AnalysisConfig().as_dict())
VALUES = [
    "0", "-1", "1", "2", "3", "7", "1.5", "-0.0", "1e308", "1e-320", "nan", "inf", "-inf", "true",
    "9223372036854775807", "9223372036854775808", "1" + "0" * 400, "0x" + "f" * 5000, "9" * 5000,
    '""', '"none"', '"hdbscan"', '"gmm"', '"kmeans"', '"all"', '"approx"', '"\\u0000"', '"δ"', "[]",
    "[0.1, 0.3]", "[0.3, 0.1]", "[nan]", "[[1]]", "[" * 3000 + "]" * 3000, "{}", "{a = 1}",
    "1979-05-27T07:32:00Z", "[1e308, 2]", "[0.1, 0.1]", '[""]', "= =", "'''", "1_0", "1__0",
]  # fmt: skip
PLACES = [
    ".", "..", "/", "", " ", "-", "--", "run.sdl", "run.sdl/", "run.sdl/config.json", "run.h5",
    "out", "out/results.h5", "out/report.html", "nowhere", "nowhere/at/all", "notes.txt", "empty",
    "loop", "dangling", "/dev/null", "/dev/full", "a" * 300,
    os.fsdecode(b"caf\xe9"), "new\nline", "δ", "strange.h5", "settings.toml", "x.csv", "~", "%s{}",
]  # fmt: skip
DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 9
0 9
0 9
ITEM: ATOMS id type x y z
1 1 0 0 0
2 1 2 2 2
"""
COMMANDS = [
    "analyse",
    "report",
    "export",
    "info",
    "verify",
    "shellenv",
    "pack",
    "prune",
    "demo",
    "collect",
]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with a run, its results, and things that look like them."""
    folder = tmp_path_factory.mktemp("fuzz")
    record(folder, 12)
    (folder / "settings.toml").write_text(SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with_empty_figures(patch)
        words = ("analyse", "run.sdl", "-c", "settings.toml", "-o", "out")
        assert strdyn(patch, *words) == 0
        assert strdyn(patch, "pack", "run.sdl", "-o", "run.h5") == 0
    (folder / "notes.txt").write_bytes(b"\xff\xfe no text")
    (folder / "run.dump").write_text(DUMP)
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("gone")
    with h5py.File(folder / "strange.h5", "w") as file:
        file["Trajectories/a/Box"] = [1, 2]
        file["SOAP/a"] = [3]
    return folder


def words_of(rng: random.Random) -> list[str]:
    command = rng.choices(COMMANDS, [10, 4, 6, 1, 1, 1, 1, 1, 1, 3])[0]
    words = [command]
    if command in ("analyse", "report", "export", "info", "verify", "pack", "prune"):
        usual = {"report": "out", "export": "out"}.get(command, "run.sdl")
        words.append(rng.choice([usual, usual, rng.choice(PLACES)]))
    if command == "export":
        formats = ["extxyz", "dump", "csv", "chemiscope", "soapify", "", "pdb"]
        words += ["--to", rng.choice(formats), "-o", rng.choice(PLACES)]
    if command == "pack":
        words += ["-o", rng.choice(PLACES)]
    if command == "collect":
        usual = ["new.sdl", "new.sdl", "run.sdl", rng.choice(PLACES)]
        words += [rng.choice(["run.dump", "run.dump", *PLACES[:12]]), "-o", rng.choice(usual)]
        words += ["--r-cut", "4", "--elements", "Cu", "--timestep", "1"]
        option = rng.choice(["--r-cut", "--elements", "--n-max", "--periodic", "--centers", "-e"])
        words += [option, rng.choice(VALUES)] if rng.random() < 0.7 else []
    if command == "demo":  # nothing to start: the number of frames is wrong
        words += ["--frames", rng.choice(["-1", "x", "1e3", "29"]), "-o", rng.choice(PLACES)]
    if command == "analyse":
        words += ["-c", rng.choice(["settings.toml", "fuzz.toml", "fuzz.toml", rng.choice(PLACES)])]
        words += ["-o", rng.choice(["new", "out", rng.choice(PLACES)])]
        words += ["--model", rng.choice(["out", *PLACES])] if rng.random() < 0.2 else []
    if rng.random() < 0.1:
        words.insert(rng.randrange(len(words) + 1), rng.choice(["--help", "--nonsense", "-o", "-"]))
    return words


def toml_of(rng: random.Random) -> bytes:
    lines = [SETTINGS.encode()] if rng.random() < 0.8 else []
    for _ in range(rng.randrange(3)):
        name = rng.choice([*NAMES, "lagg", '"\\u0007"', "a.b", "[lag]", ""])
        lines.append(f"{name} = {rng.choice(VALUES)}\n".encode())
    text = b"".join(lines)
    if rng.random() < 0.2 and text:
        place = rng.randrange(len(text))
        text = text[:place] + rng.randbytes(rng.randrange(4)) + text[place + 1 :]
    return text


def damage(rng: random.Random, folder: Path) -> None:
    """Change an entry of the results, or a byte of one of their files."""
    if rng.random() < 0.7:
        with contextlib.suppress(TypeError):  # nothing of this kind fits there
            change(folder / "results.h5", lambda file: change_entry(rng, file))
        return
    path = folder / rng.choice(["results.h5", "report.html", "summary.json", "analysis.toml"])
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def change_entry(rng: random.Random, file: h5py.File) -> None:
    names: list[str] = []
    file.visit(names.append)
    name = rng.choice(names)
    values = [0, -1, 2**62, float("nan"), 1e300, "word", b"\xff", [], [[1.0]], [1, 2, 3]]
    if rng.random() < 0.4:
        key = rng.choice([*file.attrs])
        words = ["", "{}", "[]", "null", "3", '{"buffer": "/"}', '{"n_frames": 1e999}', "[{}]"]
        file.attrs[key] = rng.choice([*values, *words])
        return
    old = file[name]
    if isinstance(old, h5py.Dataset) and old.size and rng.random() < 0.6:
        data = old[()]
        place = tuple(rng.randrange(length) for length in data.shape)
        data[place] = rng.choice([0, -1, 1, 99, 2**31 - 1])
        values = [data, data[..., :-1], data.astype("f4"), data.astype("i8")]
    del file[name]
    file[name] = rng.choice(values)


def trial(seed, start, folder, monkeypatch, capsys):
    """Run one command made of random words and files; return what was wrong."""
    rng = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(start, folder, symlinks=True)
    (folder / "fuzz.toml").write_bytes(toml_of(rng))
    monkeypatch.chdir(folder)
    words = words_of(rng)
    if "out" in words and words[0] != "analyse" and rng.random() < 0.8:
        damage(rng, folder / "out")
    monkeypatch.setattr(sys, "argv", ["strdyn", *words])
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException as error:
        return f"{seed}: {words}: {type(error).__name__}: {error}"
    said = capsys.readouterr()
    if code not in (0, 2, 3, 4) or "Traceback" in said.err:
        return f"{seed}: {words}: ended with {code}: {said.err}"
    if code == 3 and not said.err.split("strdyn: ")[-1].strip():
        return f"{seed}: {words}: no message"
    return None


def fuzz(seeds, start, tmp_path, monkeypatch, capsys):
    with_empty_figures(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = [trial(seed, start, tmp_path / "here", monkeypatch, capsys) for seed in seeds]
    return [text for text in found if text]


@pytest.mark.filterwarnings("ignore")
def test_some_words_and_files(start, tmp_path, monkeypatch, capsys):
    assert not fuzz(range(40), start, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_words_and_files(start, tmp_path, monkeypatch, capsys):
    assert not fuzz(range(40, 340), start, tmp_path, monkeypatch, capsys)
