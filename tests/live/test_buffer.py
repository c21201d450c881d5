"""The buffer in normal life: round trips, sealing, growth under a reader, restarts, refusals."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fault_frames import IDS, N_FEATURES, SPECIES, make_frame, same, settings, writer

from strdyn_live.buffer import BufferError, forecast, frame_bytes, open_buffer, writer_rows
from strdyn_live.neighbors import NeighborLists


def files(path: Path) -> list[str]:
    return sorted(os.listdir(path / "run.sdl"))


def record(path: Path, steps: Any, /, **changes: Any) -> None:
    with writer(path, **changes) as out:
        for step in steps:
            out.append(make_frame(step))


@pytest.fixture(autouse=True)
def _no_unexpected_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    out = writer(tmp_path, periodic=(True, True, False), seal_bytes=4000)
    for step in range(0, 1000, 50):
        out.append(make_frame(step, wide=step % 100 == 0))
        buf = open_buffer(tmp_path / "run.sdl")
        assert buf.steps[-1] == step
        if step == 0:
            assert "tail-0000-0000.log" in files(tmp_path)
    assert (out.n_frames, out.last_step) == (20, 950)
    assert out.bytes_written > 20 * 7 * (24 + 4 * N_FEATURES)
    assert sum(name.startswith("seg-0000") for name in files(tmp_path)) >= 3
    out.close()
    out.close()
    assert not any(name.startswith("tail") for name in files(tmp_path))

    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.damage == ()
    assert buf.steps.tolist() == list(range(0, 1000, 50))
    assert buf.times.tolist() == [step * 0.5 for step in range(0, 1000, 50)]
    assert (buf.steps.dtype, buf.times.dtype) == (np.int64, np.float64)
    assert buf.atom_ids.tolist() == IDS.tolist()
    assert buf.species.tolist() == SPECIES.tolist()
    assert (buf.units, buf.periodic, buf.n_features) == ("real", (True, True, False), N_FEATURES)
    assert buf.config == settings(tmp_path)
    assert len(buf) == buf.n_frames == 20
    for k, step in enumerate(buf.steps):
        expected = make_frame(int(step), wide=step % 100 == 0)
        assert same(buf.frame(k), expected)
        cell, origin = buf.box(k)
        assert cell.tolist() == expected.cell.tolist()
        assert origin.tolist() == expected.origin.tolist()
    assert buf.soap(slice(3, 17, 4)).tolist() == [buf.soap(k).tolist() for k in range(3, 17, 4)]
    assert buf.soap(slice(5, 5)).shape == (0, 7, N_FEATURES)
    assert buf.soap(-1).tolist() == buf.soap(19).tolist()
    with pytest.raises(IndexError):
        buf.positions(20)


def test_sealed_by_time_and_by_hand(tmp_path: Path) -> None:
    with writer(tmp_path, seal_seconds=0.0) as out:
        out.append(make_frame(0))
        assert "seg-0000-000000000000-000000000000.h5" in files(tmp_path)
    with writer(tmp_path, append=True, branch_step=0) as out:
        out.append(make_frame(10))
        out.append(make_frame(20))
        assert "tail-0001-0000.log" in files(tmp_path)
        out.seal()
        assert files(tmp_path)[-1] == "seg-0001-000000000010-000000000020.h5"


def test_a_frame_larger_than_a_segment_skips_the_log(tmp_path: Path) -> None:
    with writer(tmp_path, seal_bytes=10) as out:
        out.append(make_frame(7))
        assert files(tmp_path)[-1] == "seg-0000-000000000007-000000000007.h5"
        assert same(open_buffer(tmp_path / "run.sdl").frame(0), make_frame(7))


@pytest.mark.parametrize(("block", "chunk"), [(1, 64), (2000, 100), (2**20, 2**21)])
def test_small_frames_are_sealed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, chunk: int
) -> None:
    """Whatever is written at once, the file holds the same; one call of HDF5 serves many frames."""
    monkeypatch.setattr("strdyn_live.buffer.segment_writer._BLOCK_BYTES", block)
    monkeypatch.setattr("strdyn_live.buffer.segment_writer.CHUNK_BYTES", chunk)
    frames = [make_frame(step, wide=step == 130) for step in range(200)]
    n_calls = {"__setitem__": 0, "__getitem__": 0}
    for name in n_calls:
        really = getattr(h5py.Dataset, name)

        def counted(self: Any, *given: Any, name: str = name, really: Any = really) -> Any:
            n_calls[name] += 1
            return really(self, *given)

        monkeypatch.setattr(h5py.Dataset, name, counted)
    with writer(tmp_path) as out:
        for frame in frames:
            out.append(frame)
    buf = open_buffer(tmp_path / "run.sdl")
    assert all(same(buf.frame(k), frame) for k, frame in enumerate(frames))
    assert all(same(buf.frame(k), frames[k]) for k in (199, 0, 57))
    if block == 2**20:
        assert max(n_calls.values()) < 40
    (path,) = (tmp_path / "run.sdl").glob("seg-*")
    with h5py.File(path) as file:
        particles = file["particles/all"]
        for name in ("positions", "soap"):
            stored = particles[f"{name.removesuffix('s')}/value"][()]
            assert stored.tobytes() == b"".join(getattr(f, name).tobytes() for f in frames)
        counts = np.stack([frame.neighbors.counts for frame in frames])
        assert particles["neigh/count"][()].tolist() == counts.tolist()
        ends = np.cumsum([0, *(len(frame.neighbors.ids) for frame in frames)])
        assert particles["neigh/offset"][()].tolist() == ends.tolist()
        differences = [
            np.diff(ids, prepend=0) for f in frames for ids in (f.neighbors[i] for i in range(7))
        ]
        assert particles["neigh/id"][()].tolist() == np.concatenate(differences).tolist()
        assert particles["step"][()].tolist() == list(range(200))


def test_frames_without_neighbors(tmp_path: Path) -> None:
    lonely = dataclasses.replace(
        make_frame(0), neighbors=NeighborLists(np.zeros(8, np.int64), np.empty(0, np.int64))
    )
    with writer(tmp_path) as out:
        out.append(lonely)
        assert same(open_buffer(tmp_path / "run.sdl").frame(0), lonely)
    assert same(open_buffer(tmp_path / "run.sdl").frame(0), lonely)


def test_reader_follows_a_growing_buffer(tmp_path: Path) -> None:
    out = writer(tmp_path, seal_bytes=4000)
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.n_frames == 0
    assert buf.atom_ids.tolist() == IDS.tolist()  # known before the first frame
    for step in range(30):
        out.append(make_frame(step))
        if step % 3 == 0:
            assert buf.refresh() == step + 1
            assert buf.steps.tolist() == list(range(step + 1))
        assert same(buf.frame(-1), make_frame(step - step % 3))
        assert same(buf.frame(0), make_frame(0))
    out.close()
    assert same(buf.frame(27), make_frame(27))  # still open, although its log has gone
    assert buf.refresh() == 30
    assert buf.damage == ()


def test_segment_is_an_h5md_file(tmp_path: Path) -> None:
    record(tmp_path, range(0, 50, 10))
    (path,) = (tmp_path / "run.sdl").glob("seg-*")
    with h5py.File(path) as file:
        particles = file["particles/all"]
        assert file["h5md"].attrs["version"].tolist() == [1, 1]
        assert particles["position/step"][()].tolist() == [0, 10, 20, 30, 40]
        assert particles["position/value"].shape == (5, 7, 3)
        assert particles["position/value"].attrs["unit"] == b"Angstrom"
        assert particles["time"].attrs["unit"] == b"fs"
        assert particles["box"].attrs["boundary"].tolist() == [b"periodic"] * 3
        assert particles["id"][()].tolist() == IDS.tolist()
        soap = particles["soap/value"]
        assert soap[2].tolist() == make_frame(20).soap.tolist()
        assert soap.attrs["SOAPengine"] == b"strdyn-live"
        assert soap.attrs["species"].tolist() == [b"H", b"O"]
        assert (soap.attrs["n_max"], soap.attrs["l_max"], soap.attrs["r_cut"]) == (2, 1, 6.0)
        assert soap.attrs["normalized"]
        counts = make_frame(10).neighbors.counts
        assert particles["neigh/count"][1].tolist() == counts.tolist()
        # the list of the first atom, undone by hand
        start = particles["neigh/offset"][1]
        first = np.cumsum(particles["neigh/id"][start : start + counts[0]])
        assert first.tolist() == make_frame(10).neighbors[0].tolist()


def test_existing_buffer_is_never_overwritten(tmp_path: Path) -> None:
    record(tmp_path, [5, 10])
    expected = r"exists \(2 frames up to step 10\).*append=True goes on with it"
    with pytest.raises(BufferError, match=expected):
        writer(tmp_path)
    assert open_buffer(tmp_path / "run.sdl").n_frames == 2


def test_a_start_without_frames_may_be_repeated(tmp_path: Path) -> None:
    writer(tmp_path).close()
    record(tmp_path, [1], sigma=0.5)
    assert open_buffer(tmp_path / "run.sdl").config.sigma == 0.5


@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
def test_what_is_no_buffer(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.sdl"
    if kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("!")
        with pytest.raises(BufferError, match=r"'thesis.tex', which is no file of a buffer"):
            writer(tmp_path, append=True)
    if kind == "file":
        path.write_text("!")
        with pytest.raises(BufferError, match="is a file: a buffer is a folder"):
            writer(tmp_path)
    with pytest.raises(BufferError, match=r"run\.sdl"):
        open_buffer(path)


def test_names_that_cannot_be_a_buffer(tmp_path: Path) -> None:
    (tmp_path / "run.sdl").symlink_to(tmp_path / "gone")
    with pytest.raises(BufferError, match=r"is a symbolic link to .*gone, which is not there"):
        writer(tmp_path)
    long = tmp_path / ("x" * 300)
    for attempt in (lambda: writer(long), lambda: open_buffer(long / "run.sdl")):
        with pytest.raises(BufferError, match="takes no name of this length"):
            attempt()
    text = tmp_path / "notes.txt"
    text.write_text("T = 300 K\n")
    with pytest.raises(BufferError, match=r"notes.txt is no buffer.*Expected a folder NAME.sdl"):
        open_buffer(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(BufferError, match=r"is missing.*Is it a buffer at all"):
        open_buffer(tmp_path / "other.h5")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"layers": 3}')
    with pytest.raises(BufferError, match=r"Is it a buffer at all"):
        open_buffer(tmp_path / "model")


def test_restart_supersedes_what_came_after(tmp_path: Path) -> None:
    record(tmp_path, range(0, 60, 10))
    buf = open_buffer(tmp_path / "run.sdl")
    again = dataclasses.replace(make_frame(30), time=99.0)
    with writer(tmp_path, append=True, branch_step=20) as out:
        assert out.n_frames == 6
        out.append(make_frame(20))  # the frame at R: compared, not written
        assert buf.refresh() == 3  # superseded at once
        out.append(again)
        assert (out.n_frames, out.last_step) == (4, 30)
    buf.refresh()
    assert buf.steps.tolist() == [0, 10, 20, 30]
    assert same(buf.frame(3), again)
    record(tmp_path, range(30, 70, 10), append=True, branch_step=30)
    with pytest.raises(BufferError, match="more than the last job has written"):
        record(tmp_path, [15], append=True, branch_step=10)  # from an older restart file
    record(tmp_path, [15], append="force", branch_step=10)
    buf.refresh()
    assert buf.steps.tolist() == [0, 10, 15]
    assert buf.generations == {0: None, 1: 20, 2: 30, 3: 10}
    assert buf.damage == ()


def test_restart_without_a_branch_step_goes_on_from_its_first_frame(tmp_path: Path) -> None:
    record(tmp_path, range(0, 60, 10))
    record(tmp_path, [30, 35], append=True)
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20, 30, 35]


def test_restart_from_another_run_is_refused(tmp_path: Path) -> None:
    record(tmp_path, [0, 10, 20])
    frame = make_frame(10)
    cell = frame.cell
    shifted = dataclasses.replace(frame, positions=frame.positions + [1, 0, -2] @ cell)
    moved = dataclasses.replace(frame, positions=frame.positions.copy())
    moved.positions[3, 1] += 0.25
    soap = frame.soap.copy()
    soap[2, 5] += 0.01
    with writer(tmp_path, append=True, branch_step=10) as out:
        with pytest.raises(BufferError, match=r"step 10 differs.*atom ID 15 is 0.25 away"):
            out.append(moved)
        with pytest.raises(BufferError, match=r"a component of the spectra differs by 0.0"):
            out.append(dataclasses.replace(frame, soap=soap))
        with pytest.raises(BufferError, match=r"a box vector differs by 0.5"):
            out.append(dataclasses.replace(frame, cell=cell + 0.5 * np.eye(3)))
        assert open_buffer(tmp_path / "run.sdl").n_frames == 3  # nothing superseded yet
        out.append(shifted)  # the same atoms on the other side of the box
    assert same(open_buffer(tmp_path / "run.sdl").frame(1), frame)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r_cut": 5.0}, "r_cut is 6.0 there and 5.0 now"),
        ({"lens_environment": "top"}, "lens_environment is 'all' there and 'top' now"),
        ({"units": "metal"}, "units is 'real' there and 'metal' now"),
        ({"atom_ids": IDS + 1}, "atom ID of row 0 is 3 there and 4 now"),
        ({"species": 0 * SPECIES}, r"species of row 1 is 1 there and 0 now \(5 differ\)"),
        ({"atom_ids": IDS[1:], "species": SPECIES[1:]}, "atoms is 7 there and 6 now"),
    ],
)
def test_restart_with_other_settings_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    record(tmp_path, [0, 10])
    with pytest.raises(BufferError, match=message):
        writer(tmp_path, append=True, **changes)
    record(tmp_path, [20], append=True, on_error="drop", threads=2)  # these may change


def test_steps_only_go_forward(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        out.append(make_frame(20))
        out.append(make_frame(20))  # once more: compared, not written
        assert out.n_frames == 1
        with pytest.raises(BufferError, match=r"step 10 was not written.*comes after step 20"):
            out.append(make_frame(10))
        with pytest.raises(BufferError, match="step 20 differs"):
            out.append(dataclasses.replace(make_frame(21), step=20))
        out.append(make_frame(30))
    with (
        writer(tmp_path, append=True, branch_step=40) as out,
        pytest.raises(BufferError, match=r"step 30.*goes on from step 40"),
    ):
        out.append(make_frame(30))


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        out.append(make_frame(0))
        for name, message in (("positions", "position"), ("soap", "spectrum")):
            for value in (np.nan, np.inf, -np.inf):
                broken = make_frame(10)
                getattr(broken, name)[3, 1] = value
                with pytest.raises(BufferError, match=f"step 10 was not.*{message} of atom ID 15"):
                    out.append(broken)
        with pytest.raises(BufferError, match="box is not finite"):
            out.append(dataclasses.replace(make_frame(10), origin=np.full(3, np.nan)))
        with pytest.raises(BufferError, match=r"expected \(\(7, 3\).*lost or added"):
            out.append(make_frame(10, n_atoms=6))
        out.append(make_frame(10))
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"atom_ids": [], "species": []}, "Is the group 'all' empty"),
        ({"atom_ids": [1, 1, 2], "species": [0, 0, 0]}, "atom IDs 1, 1: expected sorted IDs"),
        ({"atom_ids": [1, 2], "species": [0, 2]}, "expected an index into H O"),
    ],
)
def test_atoms_that_make_no_sense(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BufferError, match=message):
        writer(tmp_path, **changes)


def test_a_second_job_is_told_who_writes(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from fault_frames import *\n"
        "out = writer(Path(sys.argv[1])); out.append(make_frame(0)); print(flush=True)\n"
        "time.sleep(60)"
    )
    here = str(Path(__file__).parent)
    job = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), here], stdout=subprocess.PIPE, text=True
    )
    try:
        assert job.stdout is not None
        job.stdout.readline()
        with pytest.raises(BufferError, match=f"written by process {job.pid} on host "):
            writer(tmp_path, append=True)
    finally:
        job.kill()
        job.wait()
        job.stdout.close()
    record(tmp_path, [10], append=True)  # a dead holder is no obstacle
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10]


def test_two_recorders_in_one_process(tmp_path: Path) -> None:
    with writer(tmp_path) as out:
        out.append(make_frame(0))
        with pytest.raises(BufferError, match="another Recorder of this process: close that one"):
            writer(tmp_path, append=True)
    record(tmp_path, [10], append=True)


def test_locks_of_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    lock = tmp_path / "run.sdl" / "lock"
    with writer(tmp_path) as out:
        out.append(make_frame(0))
        with pytest.raises(BufferError, match="another Recorder of this process"):
            writer(tmp_path, append=True)
    lock.write_text('{"host": "elsewhere", "pid": 17}')
    with pytest.raises(BufferError, match=r"process 17 on host elsewhere.*delete"):
        writer(tmp_path, append=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": dead.pid}))
    record(tmp_path, [10], append=True)
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": os.getpid()}))
    record(tmp_path, [20], append=True)  # a dead process had the number of this one


def test_newer_format(tmp_path: Path) -> None:
    from strdyn_live.buffer.content import checked_json

    record(tmp_path, [0])
    path = tmp_path / "run.sdl" / "config.json"
    content = json.loads(path.read_text())
    del content["crc32"]
    path.write_bytes(checked_json({**content, "format_version": 3}))
    with pytest.raises(BufferError, match=r"has format 3.*upgrade"):
        open_buffer(tmp_path / "run.sdl")


def test_forecast_and_rows(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    frames = forecast(tmp_path / "not" / "yet" / "run.sdl", 1000)
    assert frames == pytest.approx(stat.f_bavail * stat.f_frsize / 1000, rel=0.05)
    with writer(tmp_path) as out:
        out.append(make_frame(0))
        n_neighbors = len(make_frame(0).neighbors.ids) / 7
        assert out.bytes_written == frame_bytes(7, N_FEATURES, n_neighbors)
    assert writer_rows(10, 3) == [(0, 3), (3, 6), (6, 10)]
