"""Files that are not the buffer's own, and what is no file: named, never used, never touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fault_frames import make_frame, same, writer

from strdyn_live.buffer import (
    Buffer,
    BufferError,
    BufferWarning,
    open_buffer,
    pack,
    preview_prune,
    prune,
    verify,
)
from strdyn_live.buffer.content import checked_json

pytestmark = pytest.mark.filterwarnings("error")


def record(path: Path, steps: Any, /, **changes: Any) -> Path:
    with writer(path, **changes) as out:
        for step in steps:
            out.append(make_frame(step))
    return path / "run.sdl"


def restarted(path: Path, n: int = 2) -> Path:
    """Return a buffer of frames 0 to 60 and `n` restarts at step 10, each with frames 11 and 12."""
    folder = record(path, range(0, 70, 10))
    for _ in range(n):
        record(path, [11, 12], append=True, branch_step=10)
    return folder


def quietly(folder: Path) -> Buffer:
    with pytest.warns(BufferWarning):
        return open_buffer(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def without_uuid(path: Path) -> None:
    """Turn a generation file into one that an earlier version wrote."""
    content = json.loads(path.read_text())
    del content["crc32"], content["uuid"]
    path.write_bytes(checked_json(content))


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A reader that waits for a pipe would wait for ever."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.mark.parametrize("pattern", ["gen-0002.json", "seg-0002*", "*-0002*"])
def test_files_of_another_buffer_hide_and_delete_nothing(tmp_path: Path, pattern: str) -> None:
    folder = record(tmp_path, range(0, 70, 10))
    other = restarted(tmp_path / "other")
    copied = [path.name for path in other.glob(pattern)]
    for name in copied:
        shutil.copy(other / name, folder)
    before = contents(folder)
    buf = quietly(folder)
    assert buf.steps.tolist() == list(range(0, 70, 10))
    assert buf.foreign == tuple(sorted(copied))
    report = verify(folder)
    assert (report.n_frames, report.n_superseded, report.ok) == (7, 0, False)
    assert all(
        any(f"{name} belongs to another buffer" in d for d in report.damage) for name in copied
    )
    assert preview_prune(folder).n_frames == prune(folder).n_frames == 0
    assert contents(folder) == before
    record(tmp_path, [65], append=True, branch_step=60)  # generation 1: 2 is not counted
    record(tmp_path, [66], append=True, branch_step=65)  # generation 3: no file of 2 is replaced
    assert quietly(folder).steps.tolist() == [0, 10, 20, 30, 40, 50, 60, 65, 66]
    assert {path.name[:8] for path in folder.glob("gen-*")} >= {"gen-0001", "gen-0003"}
    assert {name: data for name, data in contents(folder).items() if name in before} == before
    for name in copied:
        (folder / name).unlink()
    assert verify(folder).ok


def test_generation_files_of_an_earlier_version_are_our_own(tmp_path: Path) -> None:
    folder = restarted(tmp_path)
    record(tmp_path, [12], append=True, branch_step=12)  # compared only: no data file knows of it
    for path in folder.glob("gen-*"):
        without_uuid(path)
    buf = open_buffer(folder)
    assert buf.steps.tolist() == [0, 10, 11, 12]
    assert buf.generations == {0: None, 1: 10, 2: 10, 3: 12}
    assert [tuple(each) for each in buf.superseded] == [(1, 10, 5), (2, 10, 2)]
    record(tmp_path, [13], append=True, branch_step=12)
    assert open_buffer(folder).steps.tolist() == [0, 10, 11, 12, 13]


@pytest.mark.parametrize("against", ["its frames", "a gap", "a later version", "our own frames"])
def test_generation_file_without_uuid_that_something_contradicts(
    tmp_path: Path, against: str
) -> None:
    folder = record(tmp_path, range(0, 70, 10))
    other = restarted(tmp_path / "other")
    number = {"its frames": 1, "a gap": 2, "a later version": 1, "our own frames": 1}[against]
    if against == "our own frames":
        record(tmp_path, [65], append=True, branch_step=60)
    if against != "a later version":
        for path in [*folder.glob("gen-*"), *other.glob("gen-*")]:
            without_uuid(path)
    else:
        without_uuid(other / "gen-0001.json")
    shutil.copy(other / f"gen-000{number}.json", folder)
    if against == "its frames":
        shutil.copy(next(other.glob("seg-0001*")), folder)
    buf = quietly(folder)
    assert buf.steps.tolist()[:7] == list(range(0, 70, 10))
    assert f"gen-000{number}.json" in buf.foreign
    assert prune(folder).n_frames == 0


def test_without_its_config_nothing_is_guessed(tmp_path: Path) -> None:
    folder = record(tmp_path, range(3))
    other = restarted(tmp_path / "other")
    shutil.copy(next(other.glob("seg-0002*")), folder)
    (folder / "config.json").unlink()
    before = contents(folder)
    with pytest.raises(BufferError, match=r"config.json is missing.*several buffers.*put its"):
        open_buffer(folder)
    with pytest.raises(BufferError, match="several buffers"):
        prune(folder)
    with pytest.raises(BufferError, match="several buffers"):
        writer(tmp_path, append=True)
    assert contents(folder) == before


def test_config_of_another_buffer_makes_no_file_its_own(tmp_path: Path) -> None:
    folder = record(tmp_path, range(3))
    other = restarted(tmp_path / "other")
    shutil.copy(other / "config.json", folder)
    before = contents(folder)
    assert quietly(folder).n_frames == 0
    assert prune(folder).n_frames == 0
    with pytest.raises(BufferError, match="files of another buffer only.*put its config.json back"):
        writer(tmp_path, append=True)
    with pytest.raises(BufferError, match="never overwritten"):
        writer(tmp_path)
    assert contents(folder) == before


def test_segment_of_another_buffer_is_not_replaced(tmp_path: Path) -> None:
    other = record(tmp_path / "other", range(3))
    with writer(tmp_path) as out:
        for step in range(3):
            out.append(make_frame(step))
        shutil.copy(next(other.glob("seg-*")), tmp_path / "run.sdl")
        before = contents(other)
        with pytest.raises(BufferError, match="belongs to another buffer, and its name is needed"):
            out.seal()
        name = next(other.glob("seg-*")).name
        assert (tmp_path / "run.sdl" / name).read_bytes() == before[name]
        (tmp_path / "run.sdl" / name).unlink()
    assert open_buffer(tmp_path / "run.sdl").n_frames == 3


def test_prune_removes_what_was_shown_only(tmp_path: Path) -> None:
    folder = restarted(tmp_path)
    shown = preview_prune(folder)
    # steps 20 to 60 of the first start, 11 and 12 of the second
    assert [tuple(each) for each in shown.superseded] == [(1, 10, 5), (2, 10, 2)]
    assert str(shown.superseded[0]) == "branch at step 10: 5 frames after it are superseded"
    record(tmp_path, [11], append="force", branch_step=0)
    before = contents(folder)
    with pytest.raises(BufferError, match=r"has changed.*10 superseded frames now, 7 were shown"):
        prune(folder, shown)
    assert contents(folder) == before
    assert prune(folder, preview_prune(folder)).n_frames == 10
    assert open_buffer(folder).steps.tolist() == [0, 11]


def test_prune_of_a_renamed_segment_keeps_its_live_frames(tmp_path: Path) -> None:
    folder = record(tmp_path, range(0, 70, 10))
    record(tmp_path, [31], append=True, branch_step=30)
    segment = next(folder.glob("seg-0000*"))
    segment.rename(folder / "seg-0000-000000000000-000000000030.h5")  # what its live part is called
    report = prune(folder)
    assert "move it away" in report.notes[0]
    assert open_buffer(folder).steps.tolist() == [0, 10, 20, 30, 31]


def test_renamed_file_does_not_take_another_place(tmp_path: Path) -> None:
    """It would join a later start of the same number, and two runs would be one."""
    folder = restarted(tmp_path)
    (folder / "gen-0002.json").unlink()
    (folder / "last-0002.json").unlink()
    next(folder.glob("seg-0002*")).rename(folder / "seg-0001-000000000007-000000000008.h5")
    with pytest.warns(BufferWarning, match="is of generation 2: rename it back"):
        assert open_buffer(folder).steps.tolist() == [0, 10, 11, 12]
    assert prune(folder).n_frames == 5
    assert len(list(folder.glob("seg-*"))) == 3


def test_what_a_killed_prune_put_aside_comes_back(tmp_path: Path) -> None:
    folder = restarted(tmp_path)
    frames = verify(folder)
    for path in list(folder.glob("seg-*")):
        path.rename(f"{path}.0123456789abcdef.old")
    assert quietly(folder).n_frames == 0
    record(tmp_path, [12], append=True, branch_step=12)
    assert verify(folder) == frames


def test_only_our_own_unfinished_files_are_removed(tmp_path: Path) -> None:
    folder = restarted(tmp_path)
    kept = ["thesis.part", "thesis.h5.0123456789abcdef.part", "seg-1.h5.part"]
    for name in [*kept, "config.json.part", "gen-0001.json.0123456789abcdef.part"]:
        (folder / name).write_text("!")
    prune(folder)
    assert sorted(path.name for path in folder.glob("*.part")) == sorted(kept)


# --- links and special files -------------------------------------------------------------------


def test_lock_that_is_a_link_empties_nothing(tmp_path: Path) -> None:
    folder = restarted(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("a year of work")
    lock = folder / "lock"
    for link in (os.symlink, os.link):
        lock.unlink()
        link(victim, lock)
        for attempt in (lambda: prune(folder), lambda: writer(tmp_path, append=True)):
            with pytest.raises(BufferError, match=r"lock is a (symbolic link|hard link)"):
                attempt()
        assert victim.read_text() == "a year of work"
    lock.unlink()
    assert prune(folder).n_frames == 7


def test_unfinished_files_follow_no_link(tmp_path: Path) -> None:
    folder = record(tmp_path, [0])
    victim = tmp_path / "victim"
    victim.write_text("a year of work")
    for name in ("gen-0001.json.part", "seg-0001-000000000010-000000000010.h5.part"):
        (folder / name).symlink_to(victim)
    (tmp_path / "run.h5.part").symlink_to(victim)
    record(tmp_path, [10], append=True, branch_step=0)
    pack(folder, tmp_path / "run.h5")
    assert victim.read_text() == "a year of work"
    assert open_buffer(tmp_path / "run.h5").n_frames == 2
    (tmp_path / "link.h5").symlink_to(tmp_path / "not there")
    with pytest.raises(BufferError, match=r"link\.h5 exists"):
        pack(folder, tmp_path / "link.h5")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def endless_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("needs the right to make a device")


def folder_instead(path: Path) -> None:
    path.mkdir()


def socket_instead(path: Path) -> None:
    where = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(where)


@pytest.mark.parametrize("make", [pipe, endless, endless_device, folder_instead, socket_instead])
@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "gen-0001.json",
        "last-0001.json",
        "tail-0001-0000.log",
        "seg-0001-000000000011-000000000012.h5",
    ],
)
def test_what_is_no_regular_file_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    folder = restarted(tmp_path, 1)
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    buf = quietly(folder)
    assert any(f"{name} is a" in damage and "regular file" in damage for damage in buf.damage)
    assert buf.steps.tolist()[:2] == [0, 10]
    assert not verify(folder).ok
    with pytest.raises(BufferError, match="is a"):
        pack(folder, tmp_path / "run.h5")


@pytest.mark.parametrize("make", [pipe, endless, endless_device, socket_instead])
def test_buffer_or_lock_that_is_no_regular_file(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "run.h5")
    with pytest.raises(BufferError, match="run.h5|/dev/zero"):
        open_buffer(tmp_path / "run.h5")
    folder = record(tmp_path, [0])
    (folder / "lock").unlink()
    make(folder / "lock")
    with pytest.raises(BufferError, match="lock is a"):
        writer(tmp_path, append=True)


# --- what leads out of an HDF5 file ---------------------------------------------------------------


def external_link(hdf: Any, name: str, target: Path) -> None:
    hdf[name] = h5py.ExternalLink(str(target), "secret")


def soft_link(hdf: Any, name: str, target: Path) -> None:
    hdf["way"] = h5py.ExternalLink(str(target), "/")
    hdf[name] = h5py.SoftLink("/way/secret")


def external_storage(hdf: Any, name: str, target: Path) -> None:
    shape, dtype = (3, 7, 20), "<f4"
    hdf.create_dataset(name, shape, dtype, external=[(str(target), 0, 3 * 7 * 20 * 4)])


def virtual(hdf: Any, name: str, target: Path) -> None:
    layout = h5py.VirtualLayout((3, 7, 20), "<f4")
    layout[:] = h5py.VirtualSource(str(target), "secret", (3, 7, 20))
    hdf.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("lead", [external_link, soft_link, external_storage, virtual])
def test_data_of_another_file_are_not_shown(tmp_path: Path, lead: Callable[..., None]) -> None:
    folder = record(tmp_path, range(3))
    pack(folder, tmp_path / "run.h5")
    target = tmp_path / "secret.h5"
    spectra = np.stack([make_frame(step).soap for step in range(3)])  # even if every number fits
    with h5py.File(target, "w") as hdf:
        hdf["secret"] = spectra
    if lead is external_storage:
        target.write_bytes(spectra.tobytes())
    for path in (tmp_path / "run.h5", next(folder.glob("seg-*"))):
        with h5py.File(path, "r+") as hdf:
            del hdf["particles/all/soap/value"]
            lead(hdf, "particles/all/soap/value", target)
    with pytest.raises(BufferError, match=r"soap/value (is a link|leads to data)"):
        open_buffer(tmp_path / "run.h5")
    assert quietly(folder).n_frames == 0


def test_filters_that_are_not_ours_are_not_loaded(tmp_path: Path) -> None:
    folder = record(tmp_path, range(3))
    path = next(folder.glob("seg-*"))
    with h5py.File(path, "r+") as hdf:
        ids = hdf["particles/all/neigh/id"][()]
        del hdf["particles/all/neigh/id"]
        hdf.create_dataset("particles/all/neigh/id", data=ids, chunks=True, compression="lzf")
    assert any("neigh/id" in text for text in quietly(folder).damage)


# --- permissions --------------------------------------------------------------------------------


def as_nobody(task: Callable[[], object]) -> str:
    """Do a task without the rights of root; return what it raises."""
    reader, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            said = str(task())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(out, said.encode())
        os._exit(0)
    os.close(out)
    said = b""
    while piece := os.read(reader, 2**16):
        said += piece
    os.close(reader)
    os.waitpid(child, 0)
    return said.decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.skipif(sys.platform != "linux", reason="nobody has this number")
def test_no_right_to_read_is_not_called_damage(tmp_path: Path) -> None:
    folder = restarted(tmp_path, 1)
    for parent in [folder, *folder.parents][:-2]:
        os.chmod(parent, 0o755)
    segment = next(folder.glob("seg-0000*"))
    segment.chmod(0)
    damage = as_nobody(lambda: verify(folder).damage)
    assert f"cannot read {segment}: Permission denied. Give this user the right" in damage
    assert "is damaged" not in damage
    segment.chmod(0o644)
    pack(folder, tmp_path / "run.h5")
    for path in (tmp_path / "run.h5", folder / "config.json", folder / "gen-0001.json"):
        path.chmod(0)
        said = as_nobody(lambda: open_buffer(folder if path.parent == folder else path))  # noqa: B023
        assert f"{path}: Permission denied. Give this user the right" in said
        path.chmod(0o644)
    os.chmod(folder, 0o777)
    said = as_nobody(lambda: writer(tmp_path, append=True))
    assert f"cannot write to {folder}: Permission denied" in said


@pytest.mark.parametrize("kind", ["seg", "tail"])
def test_a_file_that_may_not_be_read_is_named_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The same without another user: the system refuses to open some files."""
    out = writer(tmp_path)
    for step in range(3):
        out.append(make_frame(step))
    if kind == "seg":
        out.seal()
        out.append(make_frame(3))
    really_open = os.open

    def refuse(path: Any, *given: Any, **more: Any) -> int:
        if Path(path).name.startswith(kind):
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr("os.open", refuse)
        report = verify(tmp_path / "run.sdl")
        with pytest.raises(BufferError, match="Permission denied"):
            pack(tmp_path / "run.sdl", tmp_path / "run.h5")
    assert any("Permission denied. Give this user" in damage for damage in report.damage)
    assert not any("is damaged" in damage for damage in report.damage)
    out.close()
    assert verify(tmp_path / "run.sdl").ok
    assert same(open_buffer(tmp_path / "run.sdl").frame(1), make_frame(1))


def test_too_many_open_files_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = record(tmp_path, range(3))

    def refuse(path: Any, *given: Any, **more: Any) -> int:
        raise OSError(24, "Too many open files", str(path))

    monkeypatch.setattr("strdyn_live.buffer.segment.open_regular", refuse)
    with pytest.raises(BufferError, match="cannot read .*seg-.*Too many open files.*ulimit"):
        open_buffer(folder)
