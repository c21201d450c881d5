"""Torn logs, flipped bits and missing files: what is lost is named, the rest is served."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from fault_frames import make_frame, same, writer

from strdyn_live.buffer import Buffer, BufferError, BufferWarning, open_buffer

pytestmark = pytest.mark.filterwarnings("error")


def fill(path: Path, n_frames: int = 5, sealed: bool = False, **changes: Any) -> Path:
    """Write frames 0, 10, ...; seal them, or leave them in the log as a killed job does."""
    out = writer(path, **changes)
    for step in range(0, 10 * n_frames, 10):
        out.append(make_frame(step))
    if sealed:
        out.close()
    else:
        out._release()
    return path / "run.sdl"


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def change(path: Path, offset: int, bit: int = 4) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def damaged(folder: Path, match: str) -> Buffer:
    with pytest.warns(BufferWarning, match=match):
        return open_buffer(folder)


def recover(path: Path) -> list[str]:
    """Start a writer and end it; return what recovery says."""
    out = writer(path, append=True)
    out.close()
    return out.notes


def fill_log(path: Path) -> tuple[Path, list[int]]:
    """Write five frames to a log; return its path and its size after each."""
    out = writer(path)
    sizes = []
    for step in range(0, 50, 10):
        out.append(make_frame(step))
        tail = only(path / "run.sdl", "tail*")
        sizes.append(tail.stat().st_size)
    out._release()
    return tail, sizes


@pytest.mark.parametrize("kept", [0, 1, 20, 150, 400])
def test_record_cut_off_is_no_frame(tmp_path: Path, kept: int) -> None:
    tail, sizes = fill_log(tmp_path)
    folder, whole = tail.parent, tail.read_bytes()
    tail.write_bytes(whole[: sizes[-2] + kept])
    buf = open_buffer(folder)
    assert buf.steps.tolist() == [0, 10, 20, 30]
    tail.write_bytes(whole)  # as if the writer had only been slow
    buf.refresh()
    assert buf.steps.tolist() == [0, 10, 20, 30, 40]
    tail.write_bytes(whole[: sizes[-2] + kept])
    notes = recover(tmp_path)
    assert any(f"dropped {kept} bytes after step 30" in note for note in notes) == (kept > 0)
    assert open_buffer(folder).steps.tolist() == [0, 10, 20, 30]
    assert not list(folder.glob("tail*"))


def test_pages_never_written_are_no_frame(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    with only(folder, "tail*").open("ab") as file:
        file.write(bytes(9000))
    assert open_buffer(folder).n_frames == 5
    recover(tmp_path)
    assert open_buffer(folder).n_frames == 5


def test_flipped_bit_in_the_log_costs_one_named_frame(tmp_path: Path) -> None:
    tail, sizes = fill_log(tmp_path)
    folder = tail.parent
    change(tail, sizes[1] - 5)  # neighbors of step 10
    change(tail, sizes[2] + 12)  # header of step 30
    buf = damaged(folder, r"step 10 has a wrong checksum.*after step 20: \d+ bytes cannot be read")
    assert buf.steps.tolist() == [0, 20, 40]
    assert all(same(buf.frame(k), make_frame(20 * k)) for k in range(3))
    assert any("step 10" in note for note in recover(tmp_path))
    buf = damaged(folder, "step 10 has a wrong checksum")  # still named when sealed
    assert buf.steps.tolist() == [0, 20, 40]


def test_damaged_end_of_the_log_is_named(tmp_path: Path) -> None:
    tail, sizes = fill_log(tmp_path)
    change(tail, sizes[-2] + 3)
    buf = damaged(tail.parent, "after step 30: the rest cannot be read")
    assert buf.steps.tolist() == [0, 10, 20, 30]


def test_log_without_its_beginning_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, seal_bytes=2500)  # the first frames are in a segment
    n_sealed = open_buffer(folder).n_frames
    assert n_sealed == 5
    change(only(folder, "tail*"), 10)
    buf = damaged(folder, "preamble is damaged")
    assert 0 < buf.n_frames < 5
    recover(tmp_path)
    damaged(folder, "preamble is damaged")
    with writer(tmp_path, append=True) as out:
        out.append(make_frame(1000))
    assert damaged(folder, "preamble").steps[-1] == 1000


def test_flipped_bit_in_a_segment_is_found_when_read(tmp_path: Path) -> None:
    folder = fill(tmp_path, sealed=True)
    path = only(folder, "seg*")
    at = path.read_bytes().index(make_frame(20).soap.tobytes())
    change(path, at + 77)
    buf = open_buffer(folder)
    with pytest.raises(BufferError, match=r"seg-.*spectra of step 20 cannot be read.*damaged"):
        buf.soap(2)
    with pytest.raises(BufferError, match="step"):
        buf.soap(slice(0, 5))
    assert same(buf.frame(1), make_frame(10))
    assert buf.positions(2).tolist() == make_frame(20).positions.tolist()


def test_flipped_step_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, sealed=True)
    path = only(folder, "seg*")
    ten = (10).to_bytes(8, "little")
    change(path, path.read_bytes().index(ten + (20).to_bytes(8, "little")))  # what others read
    buf = damaged(folder, "step or time of step 10 has changed")
    assert buf.steps.tolist() == [0, 10, 20, 30, 40]
    buf.close()
    change(path, path.read_bytes().index(b"SDLFRAME" + ten) + 8)
    buf = damaged(folder, "record of frame 1 is damaged")
    assert buf.steps.tolist() == [0, 20, 30, 40]


def test_missing_segment_is_a_named_gap(tmp_path: Path) -> None:
    folder = fill(tmp_path, n_frames=12, sealed=True, seal_bytes=2500)
    segments = sorted(folder.glob("seg*"))
    assert len(segments) >= 3
    last_lost = int(segments[1].stem.split("-")[-1])
    segments[1].unlink()
    buf = damaged(folder, f"a gap before step {last_lost + 10} .*: step {last_lost} came before")
    assert last_lost not in buf.steps
    buf.close()
    segments[2].write_bytes(b"no HDF5 at all")
    damaged(folder, "seg-.*cannot be read, the file is damaged")


def test_lost_end_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, sealed=True)  # an orderly end: the last step is known
    only(folder, "seg*").unlink()
    lost = "the end of generation 0 is lost: step 40 was committed and is not there"
    assert damaged(folder, lost).n_frames == 0
    assert any(lost in note for note in recover(tmp_path))
    with writer(tmp_path, append=True, branch_step=40) as out:
        out.append(make_frame(50))
    assert damaged(folder, lost).steps.tolist() == [50]  # still named
    with writer(tmp_path, append="force", branch_step=20) as out:
        out.append(make_frame(20))
        out.append(make_frame(30))
    assert open_buffer(folder).steps.tolist() == [20, 30]  # what was lost is superseded


def test_lost_or_cut_off_log_of_a_killed_job_is_named(tmp_path: Path) -> None:
    tail, sizes = fill_log(tmp_path)
    folder, whole = tail.parent, tail.read_bytes()
    lost = "the end of generation 0 is lost: step 0 was committed"  # its first frame is known
    tail.unlink()
    assert damaged(folder, lost).n_frames == 0
    for n_bytes in (0, 100, sizes[0] - 1):
        tail.write_bytes(whole[:n_bytes])
        assert damaged(folder, lost).n_frames == 0
    tail.write_bytes(whole[: sizes[1]])  # what came after the first frame cannot be known
    assert open_buffer(folder).steps.tolist() == [0, 10]
    tail.write_bytes(whole)
    recover(tmp_path)
    only(folder, "seg*").unlink()  # now it is
    damaged(folder, "step 40 was committed")


def test_lost_segment_beside_a_running_job_is_named(tmp_path: Path) -> None:
    out = writer(tmp_path, seal_bytes=2500)
    for step in range(0, 90, 10):
        out.append(make_frame(step))
    folder = tmp_path / "run.sdl"
    newest = sorted(folder.glob("seg*"))[-1]
    last = int(newest.stem.split("-")[-1])
    newest.unlink()
    damaged(folder, f"step {last} (was committed|came before it) and is not there")
    out.close()


def test_note_that_cannot_be_written_is_put_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = writer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("strdyn_live.buffer.last.write_file", full)
        with pytest.warns(BufferWarning, match=r"note of the last step is put off.*last-0000.json"):
            out.append(make_frame(0))
    folder = tmp_path / "run.sdl"
    assert not (folder / "last-0000.json").exists()
    out.append(make_frame(10))
    assert (folder / "last-0000.json").exists()
    out.close()
    (folder / "last-0000.json").unlink()  # earlier versions had none
    assert open_buffer(folder).steps.tolist() == [0, 10]
    recover(tmp_path)
    assert open_buffer(folder).steps.tolist() == [0, 10]


def test_config_is_restored_from_any_data_file(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    before = (folder / "config.json").read_text()
    (folder / "config.json").write_text(before.replace('"sigma": 1.0', '"sigma": 2.0'))
    buf = damaged(folder, "config.json is damaged")
    assert (buf.n_frames, buf.config.sigma) == (5, 1.0)
    assert any("was restored" in note for note in recover(tmp_path))
    assert (folder / "config.json").read_text() == before
    (folder / "config.json").unlink()
    damaged(folder, "config.json is missing")


def test_lost_generation_file_does_not_revive_superseded_frames(tmp_path: Path) -> None:
    folder = fill(tmp_path, sealed=True)
    with writer(tmp_path, append=True, branch_step=20) as out:
        out.append(make_frame(25))
    (folder / "gen-0001.json").write_text("{}")
    buf = damaged(folder, "gen-0001.json is damaged")
    assert buf.steps.tolist() == [0, 10, 20, 25]


def test_restart_at_a_damaged_frame_writes_it_again(tmp_path: Path) -> None:
    folder = fill(tmp_path, sealed=True, seal_bytes=10)  # one frame a segment
    path = sorted(folder.glob("seg*"))[2]
    change(path, path.read_bytes().index(make_frame(20).soap.tobytes()))
    with writer(tmp_path, append=True, branch_step=20) as out:
        out.append(make_frame(20))
        assert "step 20 is written again" in out.notes[-1]
    buf = open_buffer(folder)
    assert [same(buf.frame(k), make_frame(10 * k)) for k in range(3)] == [True] * 3
    assert buf.steps.tolist() == [0, 10, 20]


def test_file_of_another_buffer_is_not_mixed_in(tmp_path: Path) -> None:
    folder = fill(tmp_path, sealed=True)
    other = fill(tmp_path / "other", n_frames=7, sealed=True)
    shutil.copy(only(other, "seg*"), folder)
    buf = damaged(folder, "belongs to another buffer")
    assert buf.steps.tolist() == [0, 10, 20, 30, 40]


def test_log_whose_fsync_failed_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second fsync on the same file would succeed without the data having been written."""
    out = writer(tmp_path)
    out.append(make_frame(0))

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("strdyn_live.buffer.tail.sync_data", fails)
        with pytest.raises(BufferError, match=r"step 10 .*tail-0000-0000.log: Input/output error"):
            out.append(make_frame(10))
    out.append(make_frame(20))
    folder = tmp_path / "run.sdl"
    assert [path.name for path in sorted(folder.glob("tail*"))] == [
        "tail-0000-0000.log",
        "tail-0000-0001.log",
    ]
    assert open_buffer(folder).steps.tolist() == [0, 20]
    out.close()
    assert open_buffer(folder).steps.tolist() == [0, 20]


def test_folder_that_vanishes_is_noticed_at_the_next_frame(tmp_path: Path) -> None:
    out = writer(tmp_path)
    out.append(make_frame(0))
    (tmp_path / "run.sdl").rename(tmp_path / "elsewhere.sdl")
    with pytest.raises(BufferError, match=r"cannot write step 10 .*deleted, moved or unmounted"):
        out.append(make_frame(10))
    with pytest.raises(BufferError, match="cannot seal"):
        out.close()
    assert open_buffer(tmp_path / "elsewhere.sdl").steps.tolist() == [0]
