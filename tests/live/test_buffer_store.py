"""Frames stored by scores: files, damage, restarts, several writers, packed and compressed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import h5py
import numpy as np
import pytest
from fault_frames import IDS, N_FEATURES, make_basis, make_frame, make_reduced, same, writer

from strdyn_live.buffer import (
    Buffer,
    BufferError,
    BufferWarning,
    open_buffer,
    pack,
    prune,
    verify,
)
from strdyn_live.buffer.compression import COMPRESSIONS
from strdyn_live.buffer.content import checked_line
from strdyn_live.buffer.reader import read_quietly
from strdyn_live.settings import ConfigError

pytestmark = pytest.mark.filterwarnings("error")

STEPS = range(24)
BASES = ["basis-0000-00003.json", "basis-0000-00005.json"]


def record(path: Path, steps: Any = STEPS, /, **changes: Any) -> Path:
    given = {"store": "pca 3", "seal_bytes": 3000, **changes}
    with writer(path, **given) as out:
        for step in steps:
            out.append(make_reduced(step))
    return path / "run.sdl"


def check(buf: Buffer, steps: Any = STEPS) -> None:
    assert buf.steps.tolist() == list(steps)
    for k, step in enumerate(steps):
        expected = make_reduced(step)
        assert same(buf.stored_frame(k), replace(expected, basis=None))
        np.testing.assert_array_equal(buf.soap(k), expected.spectra)
        assert buf.frame(k).soap.shape == (7, N_FEATURES)


def test_in_full_and_by_two_bases(tmp_path: Path) -> None:
    with writer(tmp_path, store="pca 3") as out:  # all of it in the log
        for step in STEPS:
            out.append(make_reduced(step))
        check(open_buffer(tmp_path / "run.sdl"))
    check(open_buffer(tmp_path / "run.sdl"))  # in one segment
    buf = open_buffer(record(tmp_path / "small"))  # in several
    check(buf)
    assert [path.name for path in sorted(buf.path.glob("basis*"))] == BASES
    assert buf.n_scores_of.tolist() == [0] * 4 + [3] * 11 + [0] + [5] * 8
    assert buf.soap_error == 2.0
    assert buf.basis.is_same(make_basis())
    np.testing.assert_array_equal(buf.residuals(10), make_reduced(10).soap[:, -1])
    assert not buf.residuals(2).any()
    assert buf.soap(slice(0, 24, 5)).shape == (5, 7, N_FEATURES)
    assert verify(buf.path).ok


def test_scores_are_those_of_the_newest_basis(tmp_path: Path) -> None:
    buf, basis = open_buffer(record(tmp_path)), make_basis()
    for step in (2, 10, 15, 20):
        scores = (make_frame(step).soap - basis.mean) @ basis.components.T
        scores[:, 3:] *= step != 10  # not known of a frame that the old basis was used for
        np.testing.assert_allclose(buf.scores(step), scores, atol=1e-6)
    full = open_buffer(record(tmp_path / "full", range(3)))
    with pytest.raises(BufferError, match="all its frames hold spectra in full"):
        full.scores(0)
    assert (full.basis, full.soap_error) == (None, 0.0)


def test_a_buffer_without_spectra(tmp_path: Path) -> None:
    with writer(tmp_path, store="none", seal_bytes=2000) as out:
        for step in STEPS:
            out.append(replace(make_frame(step), soap=np.empty((7, 0), np.float32)))
    pack(tmp_path / "run.sdl", tmp_path / "run.h5")
    for name in ("run.sdl", "run.h5"):
        buf = open_buffer(tmp_path / name)
        assert verify(tmp_path / name).ok
        assert buf.soap_error == 0.0
        for step in STEPS:
            frame = make_frame(step)
            assert buf.neighbors(step).ids.tolist() == frame.neighbors.ids.tolist()
            assert buf.positions(step).tolist() == frame.positions.tolist()
            assert buf.frame(step).soap.shape == (7, 0)
        with pytest.raises(BufferError, match=r"it was recorded with store = 'none'"):
            buf.soap(0)


@pytest.mark.parametrize(
    ("store", "columns"), [("full", 4), ("none", 20), ("pca 3", 0), ("pca 3", 4)]
)
def test_frames_that_do_not_belong_there(tmp_path: Path, store: str, columns: int) -> None:
    soap = np.ones((7, columns), np.float32)
    with writer(tmp_path, store=store) as out, pytest.raises(BufferError, match="have the shapes"):
        out.append(replace(make_frame(0), soap=soap))
    with writer(tmp_path / "b", store="full") as out, pytest.raises(BufferError, match="shapes"):
        out.append(make_reduced(10))


def test_another_store_does_not_go_on(tmp_path: Path) -> None:
    record(tmp_path)
    with pytest.raises(BufferError, match="store is 'pca 3' there and 'pca 4' now"):
        writer(tmp_path, store="pca 4", append=True)


def test_older_versions_refuse_what_they_cannot_read(tmp_path: Path) -> None:
    for store, version in (("full", 1), ("pca 3", 2), ("none", 2)):
        writer(tmp_path / store, store=store).close()
        content = json.loads((tmp_path / store / "run.sdl/config.json").read_text())
        assert content["format_version"] == version


def test_a_buffer_of_before(tmp_path: Path) -> None:
    """Settings without `store`, files without a basis."""
    with writer(tmp_path) as out:
        out.append(make_frame(0))
    path = tmp_path / "run.sdl/config.json"
    content = json.loads(path.read_text())
    del content["crc32"], content["config"]["store"]
    path.write_bytes(checked_line(content))
    assert same(open_buffer(tmp_path / "run.sdl").frame(0), make_frame(0))
    with writer(tmp_path, append=True, branch_step=0) as out:
        out.append(make_frame(1))
    assert open_buffer(tmp_path / "run.sdl").n_frames == 2


def test_a_lost_basis_is_named(tmp_path: Path) -> None:
    folder = record(tmp_path)
    (folder / BASES[0]).unlink()
    check(open_buffer(folder))  # the larger one begins with it
    (folder / BASES[1]).rename(tmp_path / "copy")
    with pytest.warns(BufferWarning, match=r"basis-0000-00003.* 11 frames \(steps 4 to 14\)"):
        buf = open_buffer(folder)
    assert "8 frames (steps 16 to 23)" in buf.damage[1]
    with pytest.raises(BufferError, match=r"Put back a copy of basis-0000-00003\.json"):
        buf.soap(7)
    assert buf.positions(7).shape == (7, 3)
    assert buf.soap(15).shape == (7, N_FEATURES)
    report = verify(folder)
    assert (report.ok, report.n_frames) == (False, 5)
    assert pack(folder, tmp_path / "run.h5", partial=True).n_frames == 5
    (tmp_path / "copy").rename(folder / BASES[1])
    buf.refresh()
    check(buf)


def test_a_flipped_bit_of_a_basis_costs_nothing(tmp_path: Path) -> None:
    """The file holds it twice."""
    folder = record(tmp_path)
    data = (folder / BASES[1]).read_bytes()
    for offset in range(0, len(data), 37):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        (folder / BASES[1]).write_bytes(flipped)
        check(open_buffer(folder))
    (folder / BASES[1]).write_bytes(data[: len(data) // 2 + 10])
    check(open_buffer(folder))


def test_every_flipped_bit_of_the_only_line_of_a_basis(tmp_path: Path) -> None:
    folder = record(tmp_path)
    (folder / BASES[0]).unlink()
    path = folder / BASES[1]
    data = path.read_bytes()
    data = data[: len(data) // 2]
    for offset in range(0, len(data) - 1, 13):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        path.write_bytes(flipped)
        buf = read_quietly(folder)
        if not buf.damage:  # of a blank
            check(buf)
            continue
        with pytest.raises(BufferError, match="Put back a copy"):
            buf.soap(20)


def impossible(**changes: Any) -> Any:
    return lambda content: content.update(changes)


@pytest.mark.parametrize(
    "change",
    [
        impossible(n_scores=6),
        impossible(n_scores=0),
        impossible(n_features=19),
        impossible(generation=1),
        impossible(bound=-1.0),
        impossible(bound="wide"),
        impossible(mean="eJwDAAAAAAE="),
        impossible(components=3),
        lambda content: content.pop("uuid"),
    ],
)
def test_a_basis_that_makes_no_sense(tmp_path: Path, change: Any) -> None:
    folder = record(tmp_path)
    content = json.loads((folder / BASES[1]).read_text().splitlines()[0])
    del content["crc32"]
    change(content)
    (folder / BASES[1]).write_bytes(checked_line(content))
    buf = read_quietly(folder)
    assert any(BASES[1] in text for text in buf.damage)
    with pytest.raises(BufferError, match="cannot be read"):
        buf.soap(20)
    assert buf.soap(10).shape == (7, N_FEATURES)


def test_a_basis_of_another_buffer(tmp_path: Path) -> None:
    folder, other = record(tmp_path), record(tmp_path / "other")
    shutil.copy(other / BASES[0], folder / "basis-0001-00003.json")
    path = folder / "basis-0001-00003.json"
    content = json.loads(path.read_text().splitlines()[0])
    del content["crc32"]
    path.write_bytes(checked_line({**content, "generation": 1}))
    with pytest.warns(BufferWarning, match=r"basis-0001-00003\.json belongs to another buffer"):
        buf = open_buffer(folder)
    check(buf)
    assert buf.foreign == ("basis-0001-00003.json",)


def test_a_basis_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frame is refused, and tried again with the next one."""
    from strdyn_live.buffer import bases as module

    out = writer(tmp_path, store="pca 3")
    for step in range(4):
        out.append(make_reduced(step))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_file", full)
        with pytest.raises(BufferError, match=r"cannot write step 4 .*Free space"):
            out.append(make_reduced(4))
    out.append(make_reduced(5))
    out.close()
    check(open_buffer(tmp_path / "run.sdl"), [0, 1, 2, 3, 5])


def test_restarts_have_bases_of_their_own(tmp_path: Path) -> None:
    """A run killed before it was found, and one that supersedes it, with another basis."""
    folder = record(tmp_path, range(12))
    record(tmp_path, range(2, 8), append="force", branch_step=2)
    names = sorted(path.name for path in folder.glob("basis*"))
    assert names == ["basis-0000-00003.json", "basis-0001-00003.json"]
    check(open_buffer(folder), range(8))
    assert prune(folder).n_frames == 9
    assert [path.name for path in folder.glob("basis*")] == ["basis-0001-00003.json"]
    check(open_buffer(folder), range(8))
    assert verify(folder).ok


def test_prune_keeps_what_live_frames_need(tmp_path: Path) -> None:
    folder = record(tmp_path, range(20))
    record(tmp_path, range(10, 13), append="force", branch_step=10)
    prune(folder)
    names = sorted(path.name for path in folder.glob("basis*"))
    assert names == ["basis-0000-00003.json", "basis-0001-00003.json"]
    check(open_buffer(folder), range(13))


def test_the_stored_frame_is_compared_as_a_spectrum(tmp_path: Path) -> None:
    """A restart computes its first frame in full; what is stored is within the bound."""
    record(tmp_path, range(11))
    wrong = make_frame(10)
    wrong.soap[3, 5] += 4.0
    with (
        writer(tmp_path, store="pca 3", append=True, branch_step=10) as out,
        pytest.raises(BufferError, match="a component of the spectra differs by"),
    ):
        out.append(wrong)
    with writer(tmp_path, store="pca 3", append=True, branch_step=10) as out:
        assert not out.append(make_frame(10))


def write_together(path: Path, n_writers: int) -> Path:
    barrier, done = Barrier(n_writers), [True] * n_writers

    def run(number: int) -> None:
        def agree(mine: bool) -> bool:
            done[number] = mine
            barrier.wait()
            answer = all(done)
            barrier.wait()
            return answer

        out = writer(path, store="pca 3", writers=n_writers, writer=number, agree=agree,
                     seal_bytes=1500)  # fmt: skip
        for step in STEPS:
            out.append(make_reduced(step).take(out.rows))
        out.close()

    with ThreadPoolExecutor(n_writers) as pool:
        list(pool.map(run, range(n_writers)))
    return path / "run.sdl"


@pytest.mark.parametrize("n_writers", [2, 3])
def test_several_writers_have_one_basis(tmp_path: Path, n_writers: int) -> None:
    folder = write_together(tmp_path, n_writers)
    assert sorted(path.name for path in folder.glob("basis*")) == BASES
    check(open_buffer(folder))
    pack(folder, tmp_path / "run.h5")
    check(open_buffer(tmp_path / "run.h5"))


@pytest.mark.parametrize("compress", [None, *COMPRESSIONS])
@pytest.mark.parametrize("store", ["full", "pca 3"])
def test_packed_and_compressed(tmp_path: Path, store: str, compress: str | None) -> None:
    make = make_frame if store == "full" else make_reduced
    with writer(tmp_path, store=store, seal_bytes=3000) as out:
        for step in STEPS:
            out.append(make(step))
    report = pack(tmp_path / "run.sdl", tmp_path / "run.h5", compress=compress)
    assert (report.ok, report.n_frames) == (True, len(STEPS))
    buf = open_buffer(tmp_path / "run.h5")
    assert verify(tmp_path / "run.h5").ok
    off = 2.0**-21 if compress == "rounded" else 0.0
    for step in STEPS:
        found, stored = buf.stored_soap(step), make(step).soap
        assert np.abs(found - stored).max() <= off
        if off:
            np.testing.assert_array_equal(found, np.round(stored * 2.0**20) / 2.0**20)
        assert same(replace(buf.stored_frame(step), soap=stored), replace(make(step), basis=None))
    bound = 0.0 if store == "full" else 2.0
    assert buf.soap_error == pytest.approx(bound + off * np.sqrt(N_FEATURES), rel=1e-12)
    # packed once more it is the same, and the rounding is not forgotten
    pack(tmp_path / "run.h5", tmp_path / "again.h5")
    again = open_buffer(tmp_path / "again.h5")
    assert again.soap_error == buf.soap_error
    assert all((again.soap(k) == buf.soap(k)).all() for k in STEPS)


def test_other_programs_read_scores(tmp_path: Path) -> None:
    """By h5py alone: scores, mean and components of the packed file make up the spectra."""
    folder = record(tmp_path)
    pack(folder, tmp_path / "run.h5")
    buf = open_buffer(folder)
    with h5py.File(tmp_path / "run.h5") as file:
        group = file["particles/all/soap_pca00005"]
        assert group["step"][()].tolist() == list(range(16, 24))
        assert file["particles/all/soap/step"][()].tolist() == [0, 1, 2, 3, 15]
        spectra = group["mean"][()] + group["value"][2, :, :-1] @ group["components"][()]
        np.testing.assert_allclose(spectra, buf.soap(18), atol=1e-6)
        assert file["particles/all/soap_pca00003/value"].shape == (11, 7, 4)
        assert group["value"].attrs["n_max"] == 2


def test_a_flipped_bit_of_packed_scores_costs_one_frame(tmp_path: Path) -> None:
    pack(record(tmp_path), tmp_path / "run.h5")
    data = bytearray((tmp_path / "run.h5").read_bytes())
    data[data.index(make_reduced(20).soap.tobytes())] ^= 1
    (tmp_path / "run.h5").write_bytes(data)
    report = verify(tmp_path / "run.h5")
    assert report.n_frames == len(STEPS) - 1
    assert "step 20" in report.damage[0]


def test_compression_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = record(tmp_path)
    with pytest.raises(ConfigError, match=r"gzip, blosc2, rounded. Did you mean 'blosc2'"):
        pack(folder, tmp_path / "run.h5", compress="blosc")
    pack(folder, tmp_path / "run.h5", compress="blosc2")
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    for work in (
        lambda: pack(folder, tmp_path / "b.h5", compress="blosc2"),
        lambda: open_buffer(tmp_path / "run.h5").soap(0),
    ):
        with pytest.raises(ImportError, match=r"pip install 'strdyn-live\[compression\]'"):
            work()
    assert not os.path.lexists(tmp_path / "b.h5")


def test_two_bases_of_one_size_are_not_packed_together(tmp_path: Path) -> None:
    """Only a damaged file that was put back later can lead there."""
    folder = record(tmp_path, range(12))
    other = replace(make_basis().first(3), mean=np.zeros(N_FEATURES))
    with writer(tmp_path, store="pca 3", append=True, branch_step=11) as out:
        for step in (11, 12, 13):
            frame = make_frame(step)
            out.append(replace(frame, soap=other.project(frame.soap), basis=other))
    with pytest.raises(BufferError, match="another basis of 3 scores"):
        pack(folder, tmp_path / "run.h5")


def test_the_size_is_that_of_the_scores(tmp_path: Path) -> None:
    """7 atoms: a spectrum has 80 bytes, 3 scores and a residual have 16."""
    sizes = {}
    for step in (0, 10):
        with writer(tmp_path / str(step), store="pca 3") as out:
            out.append(make_reduced(step))
            sizes[step] = out.bytes_written
    fewer = sizes[0] - sizes[10]
    pairs = len(make_frame(0).neighbors.ids) - len(make_frame(10).neighbors.ids)
    assert fewer == len(IDS) * (80 - 16) + 4 * pairs
