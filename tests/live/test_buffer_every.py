"""The regular interval of a run: stored with its start, kept by seal, recovery, prune and pack."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fault_frames import make_frame, writer

from strdyn_live import LiveConfig
from strdyn_live.buffer import open_buffer, pack, prune
from strdyn_live.buffer.document import Document, Origin
from strdyn_live.buffer.errors import DamageError


def record(path: Path, steps: Any, every: int | None, /, **changes: Any) -> Path:
    with writer(path, provenance={"every": every}, **changes) as out:
        for step in steps:
            out.append(make_frame(step))
    return path / "run.sdl"


def test_a_buffer_knows_the_interval_of_its_run(tmp_path: Path) -> None:
    with writer(tmp_path, provenance={"every": 20, "n_ranks": 2}) as out:
        for step in (0, 20, 25, 30, 40):
            out.append(make_frame(step))
        unsealed = open_buffer(tmp_path / "run.sdl")
        assert (unsealed.every, unsealed.intervals.tolist()) == (20, [20] * 5)
    buffer = open_buffer(tmp_path / "run.sdl")
    assert (buffer.every, buffer.intervals.tolist()) == (20, [20] * 5)
    started = json.loads((tmp_path / "run.sdl/gen-0000.json").read_text())
    assert started["provenance"] == {"every": 20, "n_ranks": 2}
    pack(tmp_path / "run.sdl", tmp_path / "run.h5")
    packed = open_buffer(tmp_path / "run.h5")
    assert (packed.every, packed.intervals.tolist()) == (20, [20] * 5)


def test_each_frame_has_the_interval_of_the_start_that_wrote_it(tmp_path: Path) -> None:
    record(tmp_path, (0, 30, 60), 30)
    record(tmp_path, (60, 80, 90), None, append=True, branch_step=60)
    folder = record(tmp_path, (80, 100, 110, 120), 20, append=True, branch_step=80)
    for _ in range(2):
        buffer = open_buffer(folder)
        assert buffer.steps.tolist() == [0, 30, 60, 80, 100, 110, 120]
        assert (buffer.every, buffer.intervals.tolist()) == (20, [30] * 3 + [0] + [20] * 3)
        prune(folder)
    pack(folder, tmp_path / "run.h5")
    assert open_buffer(tmp_path / "run.h5").every is None


def test_a_run_without_a_known_interval_has_none(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        out.append(make_frame(0))
    assert open_buffer(tmp_path / "run.sdl").every is None


def test_files_of_earlier_versions_have_none_and_no_nonsense_is_read() -> None:
    config = LiveConfig(r_cut=6.0, elements="Cu", file="run.sdl")
    document = Document.create(config, [1, 2], [0, 0], "metal", (True, True, True))
    content = json.loads(json.dumps(asdict(Origin(document.uuid, rows=(0, 2), every=5))))
    assert Origin.from_dict(content, 2).every == 5
    assert Origin.from_dict({k: v for k, v in content.items() if k != "every"}, 2).every is None
    for nonsense in (0, -5, 2.5, "5", True):
        with pytest.raises((ValueError, DamageError), match="every is"):
            Origin.from_dict(content | {"every": nonsense}, 2)


def test_rules_on_events_may_change_at_a_restart_and_older_buffers_have_none(
    tmp_path: Path,
) -> None:
    record(tmp_path, (0, 10), 10, event=["hop when lens_max > 0.5 do dump"])
    folder = record(
        tmp_path, (10, 15), 10, append=True, branch_step=10, adaptive="5 while count > 1"
    )
    buffer = open_buffer(folder)
    assert buffer.steps.tolist() == [0, 10, 15]
    stored = buffer.document.to_dict()
    assert stored["config"]["event"] == ["hop when lens_max > 0.5 do dump"]
    for name in ("event", "event_every", "event_frames", "event_cooldown", "adaptive"):
        del stored["config"][name]
    assert Document.from_dict(stored, "config.json").config.event == ()
