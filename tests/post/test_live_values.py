"""`strdyn info` for a run that computes values; shares by hand."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recorded import record

from strdyn_live import open_buffer
from strdyn_live.buffer import LiveLog, values_content
from strdyn_live.values import FrameValues
from strdyn_post.live_values import follow_values, newest_values, values_table

STRDYN = Path(sys.executable).with_name("strdyn")
MODEL = {
    "run_id": "a" * 32,
    "marks": ["1", "2", "A"],
    "names": ["bulk", "edge", "fast environment"],
    "colors": ["#3266D4", "#ED9B28", "#C81C7C"],
}
LINE = (
    "step 1000, 5 ps, 3 frames, mean δ 0.062, largest δ 0.750, 2 of 24 atoms above the threshold; "
    "1 (bulk) 75.0 %, 2 (edge) 16.7 %, A (fast environment) 8.3 %"
)


def values(step: int, populations: list[int]) -> dict:
    n = len(populations)
    of = FrameValues(
        *(step, step - 500, 0.0625, 0.75, 2, 0.5), np.array(populations), np.zeros((n, n), int)
    )
    return values_content(of)


@pytest.fixture
def run(tmp_path):
    """Frames of 24 atoms; 18, 4 and 2 of them are in three environments at the end."""
    folder = record(tmp_path, 4)
    log = LiveLog(folder, 0)
    log.append("model", MODEL)
    log.append("values", values(500, [24, 0, 0]))
    log.append("values", values(1000, [18, 4, 2]))
    return folder, log


def info(*words, cwd):
    done = subprocess.run(
        [str(STRDYN), "info", *words], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_newest_values_by_mark_and_name(run):
    folder, _ = run
    assert info("run.sdl", cwd=folder.parent).endswith(f"\nlive              {LINE}\n")
    live = json.loads(info("run.sdl", "--json", cwd=folder.parent))["live"]
    assert (live["step"], live["time"], live["frames"], live["n_above"]) == (1000, 5.0, 3, 2)
    assert [each["atoms"] for each in live["environments"]] == [18, 4, 2]
    assert [each["share"] for each in live["environments"]] == [0.75, 4 / 24, 2 / 24]
    assert [each["mark"] for each in live["environments"]] == ["1", "2", "A"]


def test_without_a_model_there_are_no_environments(tmp_path):
    folder = record(tmp_path, 3)
    assert newest_values(open_buffer(folder)) is None
    assert json.loads(info("run.sdl", "--json", cwd=tmp_path))["live"] is None
    assert "live" not in info("run.sdl", cwd=tmp_path)
    LiveLog(folder, 0).append("values", values(500, []))
    text = info("run.sdl", cwd=tmp_path)
    assert text.endswith("largest δ 0.750, 2 of 24 atoms above the threshold\n")


def test_values_follow_as_lines_where_there_is_no_terminal(run, monkeypatch, capsys):
    folder, log = run
    coming = [[values(1500, [0, 0, 24])], [], [values(1500, [0, 24, 0]), values(2000, [6, 6, 12])]]

    def wait(_):
        for each in coming.pop(0):
            log.append("values", each)

    monkeypatch.setattr("strdyn_post.live_values.time.sleep", wait)
    follow_values(open_buffer(folder), n_rounds=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == LINE
    assert [line.split(",")[0] for line in lines] == ["step 1000", "step 1500"]
    assert lines[1].endswith("A (fast environment) 100 %")


def test_the_table_has_a_bar_for_each_share(run):
    from rich.console import Console

    folder, _ = run
    found = newest_values(open_buffer(folder))
    assert found is not None
    console = Console(width=100, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    console.print(values_table(found, "metal"))
    rows = [line.split() for line in console.export_text().splitlines()[-3:]]
    assert [row[-1].count("█") for row in rows] == [22, 5, 2]  # of 30
    assert [row[:-1] for row in rows] == [
        ["1", "bulk", "75.0"],
        ["2", "edge", "16.7"],
        ["A", "fast", "environment", "8.3"],
    ]


def test_follow_on_a_terminal_keeps_the_table_up_to_date(run):
    folder, log = run
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [str(STRDYN), "info", "run.sdl", "--follow"],
        cwd=folder.parent,
        stdout=its_end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "110"},
    )
    os.close(its_end)
    seen = b""
    try:
        while b"step 1000" not in seen or "█".encode() not in seen:
            seen += os.read(terminal, 4096)
        log.append("values", values(1500, [0, 12, 12]))
        while b"step 1500" not in seen:
            seen += os.read(terminal, 4096)
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(terminal)
    assert "fast environment" in seen.decode(errors="replace")
