"""What was known while a run went on: superseded, torn and damaged lines; verify, pack, prune."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fault_frames import IDS, make_frame, writer

from strdyn_live.buffer import (
    BufferError,
    BufferWarning,
    LiveLog,
    open_buffer,
    pack,
    prune,
    values_content,
    verify,
)
from strdyn_live.buffer.content import checked_json, read_json
from strdyn_live.values import FrameValues

pytestmark = pytest.mark.filterwarnings("error")

FIRST = "live-0000.jsonl"


def content(step: int, labels: list[int] | None = None, model: str = "m") -> dict[str, Any]:
    counted = np.bincount([each for each in labels or [] if each >= 0], minlength=3)
    values = FrameValues(
        step, step - 10 if step else None, 0.25, 1.0, 1, 2.5, counted, np.diag([1, 0, 2])
    )
    return values_content(values, None if labels is None else np.array(labels, np.int32), model)


def record(
    path: Path, steps: Any, *, kept: int | None = None, model: str = "m", mean: float = 0.25,
    **changes: Any,
) -> Path:  # fmt: skip
    """Record frames with their values, as writer 0 does; `kept` says that step in an event."""
    with writer(path, **changes) as out:
        log = None
        for step in steps:
            out.append(make_frame(step))
            if log is None:
                assert out.generation is not None
                log = LiveLog(out.path, out.generation)
                log.append("model", {"run_id": model, "marks": ["1", "2", "A"]})
            log.append("values", content(step, [step % 7, -1, 2], model) | {"lens_mean": mean})
            if step == kept:
                log.append("event", {"step": step, "name": "fast", "atoms": np.array([3, 8])})
        assert log is not None
        log.close()
    return path / "run.sdl"


def steps_of(buffer: Any, kind: str = "values") -> list[int]:
    return [line["step"] for line in buffer.live(kind)]


def test_lines_read_back_as_they_were_given(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        assert out.generation is None
        out.append(make_frame(0))
        buffer = open_buffer(out.path)
        assert (buffer.live("values"), buffer.live_labels()[1].shape) == ([], (0, 7))
        log = LiveLog(out.path, out.generation)
        log.append("values", content(0))
        assert buffer.live("values") == []  # the log was not there yet
        buffer.refresh()
        assert buffer.live("values") == [content(0)]
        log.append("values", content(10, [0, 1, -1, 2, 2, 300, 0]))
        log.append("event", {"step": 10, "name": "fast", "atoms": IDS[:2], "cause": {"δ": 0.5}})
        assert steps_of(buffer) == [0, 10]
        assert buffer.live("event") == [
            {"step": 10, "name": "fast", "atoms": [3, 4], "cause": {"δ": 0.5}}
        ]
        with pytest.raises(TypeError, match="no JSON type"):
            log.append("event", {"step": 10, "name": object()})
        log.append("values", content(20))
        assert steps_of(buffer) == [0, 10, 20]
        assert verify(out.path).ok
    steps, labels = buffer.live_labels()
    assert steps.tolist() == [0]  # the line of step 10 has the labels of step 0
    assert labels.tolist() == [[0, 1, -1, 2, 2, 300, 0]]
    assert buffer.live("values")[1]["moves"] == [[1, 0, 0], [0, 0, 0], [0, 0, 2]]
    assert buffer.live("values")[1]["populations"][:3] == [2, 1, 2]
    # each line is JSON
    lines = (out.path / FIRST).read_text().splitlines()
    assert [json.loads(line).get("kind") for line in lines] == [
        *(None, "values", "values", "event", "values")
    ]


def test_lines_that_a_restart_superseded_are_not_served(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 60, 10), kept=50)
    assert steps_of(open_buffer(folder), "event") == [50]
    record(tmp_path, [30, 35], append=True, branch_step=30, kept=35, mean=0.5)
    buffer = open_buffer(folder)
    assert steps_of(buffer) == buffer.steps.tolist() == [0, 10, 20, 30, 35]
    assert steps_of(buffer, "event") == [35]
    # at the branch step the older line is served, as the older frame is
    assert [line["lens_mean"] for line in buffer.live("values")] == [0.25] * 4 + [0.5]
    record(tmp_path, [20, 22], append="force", branch_step=20)
    buffer.refresh()
    assert steps_of(buffer) == buffer.steps.tolist() == [0, 10, 20, 22]
    assert buffer.live("event") == []
    assert len(buffer.live("model")) == 3
    # without its generation file the log itself says where it went on
    (folder / "gen-0002.json").unlink()
    assert steps_of(open_buffer(folder)) == [0, 10, 20, 22]


def test_labels_are_those_of_one_model(tmp_path: Path) -> None:
    folder = tmp_path / "run.sdl"
    for first, model in ((0, "old"), (20, "new")):
        with writer(tmp_path, append=True) as out:
            for step in (first, first + 10):
                out.append(make_frame(step))
            log = LiveLog(folder, out.generation or 0)
            for step in (first + 10, first + 20):
                log.append("values", content(step, [first] * 7, model))
    steps, labels = open_buffer(folder).live_labels()
    assert steps.tolist() == [20, 30]
    assert (labels == 20).all()


def test_a_line_that_was_cut_off_is_ignored_and_the_log_goes_on(tmp_path: Path) -> None:
    folder = record(tmp_path, [0, 10])
    whole = (folder / FIRST).read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, last):
        (folder / FIRST).write_bytes(whole[:-cut])
        buffer = open_buffer(folder)
        assert steps_of(buffer) == [0]
        (folder / FIRST).write_bytes(whole)  # the rest comes
        assert steps_of(buffer) == [0, 10]
    (folder / FIRST).write_bytes(whole[:-3])
    assert verify(folder).ok
    record(tmp_path, [20], append=True)
    assert steps_of(open_buffer(folder)) == [0, 20]


def test_a_flipped_byte_is_named_and_no_other_number_is_served(tmp_path: Path) -> None:
    folder = record(tmp_path, [0, 10, 20])
    whole = (folder / FIRST).read_bytes()
    good = {line["step"]: line for line in open_buffer(folder).live("values")}
    n_named = 0
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        (folder / FIRST).write_bytes(flipped)
        report = verify(folder)
        assert report.n_frames == 3
        n_named += not report.ok
        if not report.ok:
            assert all(FIRST in damage for damage in report.damage)
        served = served_quietly(folder)
        assert all(line == good[line["step"]] for line in served)
        assert not report.ok or len(served) == 3 or place == len(whole) - 1
    assert n_named > 0.95 * len(range(0, len(whole), 7))
    (folder / FIRST).write_bytes(whole.replace(b'"lens_mean": 0.25', b'"lens_mean": 0.35', 1))
    with pytest.warns(BufferWarning, match=r"live-0000\.jsonl: line 3 is damaged"):
        assert steps_of(open_buffer(folder)) == [10, 20]
    with pytest.raises(BufferError, match=r"is not whole.*live-0000\.jsonl: line 3"):
        pack(folder, tmp_path / "run.h5")
    assert pack(folder, tmp_path / "run.h5", partial=True).n_frames == 3


def served_quietly(folder: Path) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BufferWarning)
        return open_buffer(folder).live("values")


def test_a_packed_buffer_keeps_the_lines(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 60, 10), kept=20)
    record(tmp_path, [30, 35], append=True, branch_step=30)
    pack(folder, tmp_path / "run.h5")
    packed, buffer = open_buffer(tmp_path / "run.h5"), open_buffer(folder)
    for kind in ("values", "event", "model"):
        assert packed.live(kind) == buffer.live(kind) != []
    assert steps_of(packed) == [0, 10, 20, 30, 35]
    assert verify(tmp_path / "run.h5").ok
    pack(tmp_path / "run.h5", tmp_path / "again.h5")
    assert open_buffer(tmp_path / "again.h5").live("values") == buffer.live("values")
    packed.close()
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        data = file["strdyn/live"]
        data[len(data) // 2] ^= 1
    report = verify(tmp_path / "run.h5")
    assert "run.h5: line" in report.damage[0]
    # without values there is nothing to keep
    with writer(tmp_path / "plain") as out:
        out.append(make_frame(0))
    pack(out.path, tmp_path / "plain.h5")
    assert open_buffer(tmp_path / "plain.h5").live("values") == []


def test_prune_takes_superseded_lines_out(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 60, 10), kept=50)
    record(tmp_path, [30, 35], append=True, branch_step=30)
    before = {kind: open_buffer(folder).live(kind) for kind in ("values", "event", "model")}
    old, new = folder / FIRST, (folder / "live-0001.jsonl").read_bytes()
    size = old.stat().st_size
    prune(folder)
    assert {kind: open_buffer(folder).live(kind) for kind in before} == before
    assert old.stat().st_size < size
    assert b'"step": 50' not in old.read_bytes()
    assert (folder / "live-0001.jsonl").read_bytes() == new
    assert verify(folder).ok
    # a damaged log is left alone
    record(tmp_path, [20, 22], append="force", branch_step=20)
    damaged = old.read_bytes().replace(b'"lens_max": 1.0', b'"lens_max": 2.0', 1)
    old.write_bytes(damaged)
    assert any(f"{FIRST} was left alone" in note for note in prune(folder).notes)
    assert old.read_bytes() == damaged


def test_logs_of_another_buffer_are_named_and_left_alone(tmp_path: Path) -> None:
    folder = record(tmp_path, [0, 10])
    other = record(tmp_path / "other", [0, 10])
    record(tmp_path / "other", [20], append=True)
    shutil.copy(other / "live-0001.jsonl", folder)
    with pytest.warns(BufferWarning, match=r"live-0001\.jsonl belongs to another buffer"):
        buffer = open_buffer(folder)
    assert buffer.foreign == ("live-0001.jsonl",)
    assert steps_of(buffer) == [0, 10]
    foreign = (folder / "live-0001.jsonl").read_bytes()
    with writer(tmp_path, append=True) as out:
        out.append(make_frame(20))
        assert out.generation == 2  # its number is taken
        LiveLog(folder, 2).append("values", content(20))
    assert (folder / "live-0001.jsonl").read_bytes() == foreign
    (folder / "live-0001.jsonl").unlink()
    assert steps_of(open_buffer(folder)) == [0, 10, 20]


def test_a_log_whose_beginning_is_damaged_is_named(tmp_path: Path) -> None:
    folder = record(tmp_path, [0, 10])
    whole = (folder / FIRST).read_bytes()
    for damaged in (b"", whole[5:], whole.replace(b'"generation": 0', b'"generation": 1', 1)):
        (folder / FIRST).write_bytes(damaged)
        with pytest.warns(BufferWarning, match=r"live-0000\.jsonl: the first line is damaged"):
            buffer = open_buffer(folder)
        assert buffer.n_frames == 2
        assert buffer.live("values") == []
    (folder / FIRST).write_bytes(whole)
    os.rename(folder / FIRST, folder / "live-0003.jsonl")
    with pytest.warns(BufferWarning, match=r"it is that of generation 0"):
        open_buffer(folder)
    (folder / "live-0003.jsonl").unlink()
    os.symlink(folder / "gen-0000.json", folder / FIRST)
    with pytest.warns(BufferWarning, match="is a symbolic link"):
        assert open_buffer(folder).n_frames == 2


@pytest.mark.parametrize("kind", ["values", "event"])
@pytest.mark.parametrize("also_truncate", [False, True])
def test_a_failing_disk_raises_and_leaves_the_log_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, also_truncate: bool
) -> None:
    with writer(tmp_path) as out:
        out.append(make_frame(0))
        log = LiveLog(out.path, 0)
        log.append(kind, {"step": 0, "name": "first"})

        def full(descriptor: int, pieces: list[bytes]) -> int:
            os.write(descriptor, pieces[0][:20])
            raise OSError(errno.ENOSPC, "No space left on device")

        def broken(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("strdyn_live.buffer.live_log.write_all", full)
            if also_truncate:
                patch.setattr("os.ftruncate", broken)
            for _ in range(2):
                with pytest.raises(BufferError, match=r"live-0000\.jsonl: .*All frames are safe"):
                    log.append(kind, {"step": 10, "name": "lost"})
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", broken)
            if kind == "event":
                with pytest.raises(BufferError, match=r"live-0000\.jsonl: Input/output error"):
                    log.append(kind, {"step": 10, "name": "lost"})
        log.append(kind, {"step": 20, "name": "second"})
        assert [line["name"] for line in open_buffer(out.path).live(kind)] == ["first", "second"]
        assert verify(out.path).ok
        with pytest.raises(BufferError, match="cannot write .*Something else has this name"):
            LiveLog(out.path, 0)
        shutil.move(out.path / FIRST, tmp_path)
        log.close()
        with pytest.raises(BufferError, match="cannot write .*No such file"):
            log.append(kind, {"step": 30})
        shutil.move(tmp_path / FIRST, out.path)


def test_the_new_settings_may_change_and_older_buffers_do_not_have_them(tmp_path: Path) -> None:
    folder = record(tmp_path, [0, 10], lens_threshold=0.2)
    record(tmp_path, [20], append=True, lens_threshold=0.7)
    assert open_buffer(folder).config.lens_threshold == 0.2
    stored = read_json((folder / "config.json").read_bytes(), "config.json")
    del stored["config"]["model"], stored["config"]["lens_threshold"]
    (folder / "config.json").write_bytes(checked_json(stored))
    config = open_buffer(folder).config
    assert (config.model, config.lens_threshold) == (None, 0.5)
    with writer(tmp_path, append=True, model="results") as out:
        out.append(make_frame(30))
    assert open_buffer(folder).n_frames == 4
