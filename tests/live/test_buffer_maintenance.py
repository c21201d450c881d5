"""verify, pack and prune; several writers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fault_frames import IDS, make_frame, same, writer

from strdyn_live.buffer import (
    BufferError,
    BufferWarning,
    BufferWriter,
    open_buffer,
    pack,
    prune,
    verify,
)
from strdyn_live.frame import Frame

pytestmark = pytest.mark.filterwarnings("error")


def record(path: Path, steps: Any, /, **changes: Any) -> Path:
    with writer(path, **changes) as out:
        for step in steps:
            out.append(make_frame(step, wide=step == 40))
    return path / "run.sdl"


def damage_soap(path: Path, step: int) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(make_frame(step).soap.tobytes())] ^= 1
    path.write_bytes(data)


def test_verify_counts_every_frame(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 80, 10), seal_bytes=2500)
    record(tmp_path, [30, 35], append=True, branch_step=30)
    with writer(tmp_path, append=True, branch_step=35) as out:
        out.append(make_frame(45))
        report = verify(folder)
        assert (report.n_frames, report.n_superseded, report.n_unsealed) == (6, 4, 1)
        assert report.ok
    segments = sorted(folder.glob("seg-0000*"))
    damage_soap(segments[0], 0)
    report = verify(folder)
    assert not report.ok
    assert "step 0" in report.damage[0]
    assert segments[0].name in report.damage[0]


def test_packed_file_is_the_same_buffer(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 80, 10), seal_bytes=2500)
    record(tmp_path, [40, 42], append=True, branch_step=40)
    report = pack(folder, tmp_path / "run.h5")
    assert (report.n_frames, report.ok) == (6, True)
    packed, buf = open_buffer(tmp_path / "run.h5"), open_buffer(folder)
    assert packed.steps.tolist() == buf.steps.tolist() == [0, 10, 20, 30, 40, 42]
    for k in range(6):
        assert same(packed.frame(k), buf.frame(k))
    assert same(packed.frame(4), make_frame(40, wide=True))
    assert (packed.uuid, packed.units, packed.config) == (buf.uuid, buf.units, buf.config)
    assert packed.atom_ids.tolist() == IDS.tolist()
    assert packed.refresh() == 6
    assert verify(tmp_path / "run.h5").n_frames == 6
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["particles/all/position/value"].shape == (6, 7, 3)
    with pytest.raises(BufferError, match=r"run\.h5 exists"):
        pack(folder, tmp_path / "run.h5")
    with pytest.raises(BufferError, match="nothing to prune"):
        prune(tmp_path / "run.h5")


def test_pack_leaves_damaged_frames_out_and_names_them(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 50, 10), seal_bytes=10)
    damage_soap(sorted(folder.glob("seg*"))[1], 10)
    with pytest.raises(BufferError, match=r"not whole.*spectra of step 10.*--partial"):
        pack(folder, tmp_path / "run.h5")
    assert not list(tmp_path.glob("run.h5*"))
    assert pack(folder, tmp_path / "run.h5", partial=True).n_frames == 4
    with pytest.warns(BufferWarning, match="spectra of step 10"):
        packed = open_buffer(tmp_path / "run.h5")
    assert packed.steps.tolist() == [0, 20, 30, 40]


def test_pack_that_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = record(tmp_path, [0])
    with pytest.raises(BufferError, match=r"cannot pack .*run\.h5: No such file"):
        pack(folder, tmp_path / "missing" / "run.h5")
    empty = writer(tmp_path / "empty")
    with pytest.raises(BufferError, match="nothing to pack"):
        pack(tmp_path / "empty" / "run.sdl", tmp_path / "run.h5")
    empty.close()
    assert not list(tmp_path.glob("run.h5*"))


def test_prune_removes_what_is_superseded_and_no_more(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 200, 10), seal_bytes=2500)
    record(tmp_path, [55, 65, 75], append=True, branch_step=50)
    record(tmp_path, [70], append=True, branch_step=65)
    with (
        writer(tmp_path, append=True, branch_step=70),
        pytest.raises(BufferError, match="is being written by another Recorder"),
    ):
        prune(folder)
    before = open_buffer(folder)
    frames = [before.frame(k) for k in range(before.n_frames)]
    size = sum(path.stat().st_size for path in folder.iterdir())
    report = prune(folder)
    assert report.n_frames == 14 + 1  # 60 to 190, and 75
    assert size - report.n_bytes == sum(path.stat().st_size for path in folder.iterdir())
    after = open_buffer(folder)
    assert after.damage == ()
    assert after.steps.tolist() == [0, 10, 20, 30, 40, 50, 55, 65, 70]
    assert all(same(after.frame(k), frame) for k, frame in enumerate(frames))
    assert verify(folder).n_superseded == 0
    assert prune(folder).n_frames == 0


def test_prune_leaves_damage_alone_that_may_be_live(tmp_path: Path) -> None:
    folder = record(tmp_path, [50, 60, 70])
    record(tmp_path, [56], append=True, branch_step=55)
    (path,) = folder.glob("seg-0000*")
    data = bytearray(path.read_bytes())
    data[data.index(b"SDLFRAME") + 9] ^= 1  # the header of step 50, which is live
    path.write_bytes(data)
    report = prune(folder)
    assert report.n_frames == 0
    assert "was left alone: what is damaged in it may be live" in report.notes[-1]
    data[data.index(b"SDLFRAME") + 9] ^= 1
    path.write_bytes(data)
    assert prune(folder).n_frames == 2
    assert open_buffer(folder).steps.tolist() == [50, 56]


class Ranks:
    """Writers in threads that agree as MPI ranks do."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._barrier = threading.Barrier(n, timeout=20)
        self._votes = [True] * n

    def agree(self, rank: int) -> Callable[[bool], bool]:
        def vote(ok: bool) -> bool:
            self._votes[rank] = ok
            self._barrier.wait()
            result = all(self._votes)
            self._barrier.wait()
            return result

        return vote

    def run(self, task: Callable[[int], Any]) -> list[Any]:
        with ThreadPoolExecutor(self.n) as pool:
            return list(pool.map(task, range(self.n)))

    def open(self, path: Path, **changes: Any) -> list[BufferWriter]:
        return self.run(
            lambda rank: writer(
                path, writers=self.n, writer=rank, agree=self.agree(rank), **changes
            )
        )

    def append(self, outs: list[BufferWriter], frame: Frame) -> list[BaseException | None]:
        def task(rank: int) -> BaseException | None:
            try:
                outs[rank].append(rows_of(frame, outs[rank].rows))
            except BufferError as error:
                return error
            return None

        return self.run(task)

    def close(self, outs: list[BufferWriter]) -> None:
        self.run(lambda rank: outs[rank].close())


def rows_of(frame: Frame, rows: slice) -> Frame:
    return replace(
        frame,
        positions=frame.positions[rows],
        soap=frame.soap[rows],
        neighbors=frame.neighbors.take(np.arange(len(IDS))[rows]),
    )


@pytest.mark.parametrize("n", [1, 2, 4])
def test_several_writers_give_one_buffer(tmp_path: Path, n: int) -> None:
    ranks = Ranks(n)
    outs = ranks.open(tmp_path, seal_bytes=1500)
    for step in range(0, 100, 10):
        assert ranks.append(outs, make_frame(step)) == [None] * n
    assert open_buffer(tmp_path / "run.sdl").n_frames == 10
    ranks.close(outs)
    names = [path.name for path in (tmp_path / "run.sdl").glob("seg*")]
    assert all(name.endswith("-w001.h5") for name in names if "w" in name and n == 1) or n > 1
    assert any(f"-w{n - 1:03d}" in name for name in names) == (n > 1)
    ranks = Ranks(3)  # a restart on another number
    outs = ranks.open(tmp_path, append=True, branch_step=80)
    for step in (80, 85):
        assert ranks.append(outs, make_frame(step)) == [None] * 3
    ranks.close(outs)
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.steps.tolist() == [*range(0, 90, 10), 85]
    assert all(same(buf.frame(k), make_frame(int(step))) for k, step in enumerate(buf.steps))
    assert buf.damage == ()
    pack(tmp_path / "run.sdl", tmp_path / "run.h5")
    assert same(open_buffer(tmp_path / "run.h5").frame(-1), make_frame(85))


def test_one_writer_that_fails_stops_the_frame_of_all(tmp_path: Path) -> None:
    ranks = Ranks(2)
    outs = ranks.open(tmp_path)
    ranks.append(outs, make_frame(0))
    broken = make_frame(10)
    broken.soap[6, 0] = np.nan  # a row of the second writer
    first, second = ranks.append(outs, broken)
    assert "another writer" in str(first)
    assert "atom ID 42" in str(second)
    tail = outs[1]._tail
    assert tail is not None
    descriptor, tail._descriptor = tail._descriptor, -1  # now it cannot write
    first, second = ranks.append(outs, make_frame(20))
    assert "another writer" in str(first)
    assert "cannot write step 20" in str(second)
    tail._descriptor = descriptor
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0]
    assert ranks.append(outs, make_frame(30)) == [None, None]
    ranks.close(outs)
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 30]


def test_frame_that_one_writer_has_not_written_was_never_committed(tmp_path: Path) -> None:
    ranks = Ranks(2)
    outs = ranks.open(tmp_path)
    for step in (0, 10):
        ranks.append(outs, make_frame(step))
    outs[0]._commit(rows_of(make_frame(20), outs[0].rows))  # killed before the second has
    folder = tmp_path / "run.sdl"
    assert open_buffer(folder).steps.tolist() == [0, 10]
    outs[0]._release()
    record(tmp_path, [10, 20, 30], append=True, branch_step=10)
    buf = open_buffer(folder)
    assert buf.steps.tolist() == [0, 10, 20, 30]
    assert same(buf.frame(2), make_frame(20))
    assert buf.damage == ()
    next(folder.glob("seg-0000*w001.h5")).unlink()
    with pytest.warns(BufferWarning, match="only 1 of 2 writers|gap before"):
        assert open_buffer(folder).steps.tolist() == [20, 30]
