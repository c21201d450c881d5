"""Files whose checksums fit and which make no sense all the same; sizes that nothing backs."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import os
import resource
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fault_frames import IDS, N_FEATURES, make_frame, same, writer

from strdyn_live.buffer import BufferError, BufferWarning, open_buffer, verify
from strdyn_live.buffer.content import checked_json

STRANGE = [None, -5, 0, 3, "x", "", [], [7, 0], {}, 1e300, 2**70, True, [[1]], float("nan")]
PREAMBLE = struct.Struct("<8sQI")


def fill(path: Path) -> Path:
    """Return a buffer of frames 0 to 2 in a segment, 3 in a log, both of generation 1."""
    with writer(path) as out:
        out.append(make_frame(0))
    out = writer(path, append=True, branch_step=0)
    for step in range(1, 3):
        out.append(make_frame(step))
    out.seal()
    out.append(make_frame(3))
    out._release()
    return path / "run.sdl"


def rewrite_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    del content["crc32"]
    change(content)
    path.write_bytes(checked_json(content))


def rewrite_tail(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = path.read_bytes()
    magic, length, _ = PREAMBLE.unpack_from(data)
    start = PREAMBLE.size + 4
    content = json.loads(data[start : start + length])
    del content["crc32"]
    change(content)
    text = checked_json(content)
    head = PREAMBLE.pack(magic, len(text), zlib.crc32(text))
    head += zlib.crc32(head).to_bytes(4, "little")
    path.write_bytes(head + text + data[start + length :])


def rewrite_segment(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with h5py.File(path, "r+") as hdf:
        content = json.loads(hdf["strdyn/header"][()])
        del content["crc32"]
        change(content)
        del hdf["strdyn/header"]
        hdf["strdyn/header"] = np.bytes_(checked_json(content))


WAYS: dict[str, Callable[[Path, Callable[[dict[str, Any]], None]], None]] = {
    "config.json": rewrite_json,
    "gen-0001.json": rewrite_json,
    "last-0001.json": rewrite_json,
    "tail-0001-0001.log": rewrite_tail,
    "seg-0001-000000000001-000000000002.h5": rewrite_segment,
}


def fields(content: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in content.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from fields(value, (*above, name))


def all_fields(path: Path, way: Callable[..., None]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    spare = path.with_name("spare")
    shutil.copy(path, spare)
    way(spare, lambda content: found.extend(fields(content)))
    spare.unlink()
    return found


def put(content: dict[str, Any], name: tuple[str, ...], value: Any) -> None:
    for part in name[:-1]:
        content = content[part]
    if value is ...:
        del content[name[-1]]
    else:
        content[name[-1]] = copy.deepcopy(value)


@pytest.mark.parametrize(
    "stride", [pytest.param(1, marks=pytest.mark.slow), 23], ids=["all", "some"]
)
@pytest.mark.parametrize("name", WAYS)
def test_fields_that_cannot_be(tmp_path: Path, name: str, stride: int) -> None:
    """Whatever a field says: frames served are the right ones, or an error of the buffer comes."""
    folder = fill(tmp_path / "whole")
    found = all_fields(folder / name, WAYS[name])
    n_named = 0
    for field, value in list(itertools.product(found, [..., *STRANGE]))[::stride]:
        path = tmp_path / "trial"
        shutil.copytree(folder.parent, path)
        WAYS[name](path / "run.sdl" / name, lambda content: put(content, field, value))  # noqa: B023
        served: list[int] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BufferWarning)
            try:
                buf = open_buffer(path / "run.sdl")
                served = buf.steps.tolist()
                assert all(same(buf.frame(k), make_frame(s)) for k, s in enumerate(served))
                n_named += bool(buf.damage)
                assert served == [0, 1, 2, 3] or buf.damage or buf.superseded, (field, value)
                buf.close()
            except BufferError:
                n_named += 1
            try:
                out = writer(path, append=True, branch_step=3)
                out.append(make_frame(4))
                out.close()
                assert set(served) <= set(open_buffer(path / "run.sdl").steps.tolist())
            except BufferError:
                pass
        shutil.rmtree(path)
    assert n_named > 0


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("config.json", "n_atoms", 6, "does not have the length of 6 atoms"),
        ("config.json", "units", 5, "units is 5"),
        ("config.json", "uuid", ..., "'uuid' is missing"),
        ("config.json", "periodic", [1, 1, 1], r"periodic is \[1, 1, 1\]"),
        ("gen-0001.json", "n_writers", 0, "n_writers is 0"),
        ("gen-0001.json", "branch_step", "0", "branch_step is '0'"),
        ("gen-0001.json", "number", 7, "it is that of generation 7"),
        ("gen-0001.json", "branch_step", 2, "contradict each other: it goes on from step 2 or 0"),
        ("last-0001.json", "step", -1, "step is -1"),
    ],
)
def test_message_says_which_field(
    tmp_path: Path, name: str, field: str, value: Any, message: str
) -> None:
    folder = fill(tmp_path)
    rewrite_json(folder / name, lambda content: put(content, (field,), value))
    with pytest.warns(BufferWarning, match=message):
        assert open_buffer(folder).steps.tolist() == [0, 1, 2, 3]


def test_file_of_other_settings_is_not_mixed_in(tmp_path: Path) -> None:
    """The same uuid, another meaning: rows of other atoms would look like ours."""
    folder = fill(tmp_path)

    def other_atoms(content: dict[str, Any]) -> None:
        ids = np.diff(IDS + 1, prepend=0).astype("<i8").tobytes()
        content["document"]["atom_ids"] = base64.b64encode(zlib.compress(ids)).decode()

    rewrite_segment(next(folder.glob("seg-0001*")), other_atoms)
    with pytest.warns(BufferWarning, match=r"contradicts config.json: atom ID of row 0 is 3 there"):
        assert open_buffer(folder).steps.tolist() == [0, 3]


# --- sizes ----------------------------------------------------------------------------------------


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let no more than 300 MB be allocated beyond what is."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def record_header(n_atoms: int, n_features: int, n_pairs: int) -> bytes:
    """Return an intact header, built by hand."""
    body = b"SDLFRAME" + struct.pack("<qd12d", 9, 1.0, *np.eye(4, 3).ravel())
    body += struct.pack("<IIQI", n_atoms, n_features, n_pairs, 4) + struct.pack("<4I", 0, 0, 0, 0)
    return body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize("n_bytes", [2**31, 2**36])
@pytest.mark.parametrize("kind", ["zeros", "record", "other atoms"])
def test_sparse_log(tmp_path: Path, little_memory: None, kind: str, n_bytes: int) -> None:
    folder = fill(tmp_path)
    tail = next(folder.glob("tail*"))
    with tail.open("ab") as file:
        if kind == "record" and n_bytes == 2**31:  # the zeros have to be read
            file.write(record_header(7, N_FEATURES, 2**29 - 1000))
        if kind == "other atoms":
            file.write(record_header(2**31, 2**31, 5))
        file.truncate(n_bytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BufferWarning)
        buf = open_buffer(folder)
        buf.close()
        assert buf.steps.tolist() == [0, 1, 2, 3]
        assert bool(buf.damage) == (kind == "other atoms" or (kind, n_bytes) == ("record", 2**31))
        writer(tmp_path, append=True).close()
        assert open_buffer(folder).steps.tolist() == [0, 1, 2, 3]


def test_frame_after_a_record_that_claims_the_rest(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    tail = next(folder.glob("tail*"))
    data = tail.read_bytes()
    start = data.index(b"SDLFRAME")
    tail.write_bytes(data[:start] + record_header(7, N_FEATURES, 10**12) + data[start:])
    with pytest.warns(BufferWarning, match=r"bytes cannot be read"):
        assert open_buffer(folder).steps.tolist() == [0, 1, 2, 3]


def test_atoms_that_unpack_to_more_than_they_are(tmp_path: Path, little_memory: None) -> None:
    folder = fill(tmp_path)
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(2**9)) + packer.flush()
    bomb = base64.b64encode(packed).decode()
    rewrite_json(folder / "config.json", lambda content: content.update(atom_ids=bomb))
    with pytest.warns(BufferWarning, match="does not have the length of 7 atoms"):
        assert open_buffer(folder).n_frames == 4


@pytest.mark.parametrize("name", ["config.json", "gen-0001.json", "last-0001.json"])
def test_small_file_that_is_huge(tmp_path: Path, little_memory: None, name: str) -> None:
    folder = fill(tmp_path)
    with (folder / name).open("ab") as file:
        file.truncate(2**36)
    with pytest.warns(BufferWarning, match="no such file of a buffer is that large"):
        assert open_buffer(folder).n_frames == 4


@pytest.mark.parametrize(
    "name",
    ["position/value", "soap/value", "neigh/count", "neigh/offset", "neigh/id", "step", "time"],
)
def test_data_set_that_claims_more_than_is_stored(
    tmp_path: Path, little_memory: None, name: str
) -> None:
    folder = fill(tmp_path)
    with h5py.File(next(folder.glob("seg-0001*")), "r+") as hdf:
        particles = hdf["particles/all"]
        shape, dtype = particles[name].shape, particles[name].dtype
        del particles[name]
        particles.create_dataset(name, (2**40, *shape[1:]), dtype, chunks=(1, *shape[1:]))
    with pytest.warns(BufferWarning, match=f"{name} claims more than is stored"):
        assert open_buffer(folder).steps.tolist() == [0, 3]


@pytest.mark.parametrize("name", ["strdyn/record", "strdyn/damage", "strdyn/header"])
def test_index_that_claims_more_than_is_stored(
    tmp_path: Path, little_memory: None, name: str
) -> None:
    folder = fill(tmp_path)
    with h5py.File(next(folder.glob("seg-0001*")), "r+") as hdf:
        del hdf[name]
        hdf.create_dataset(name, (2**30,), "S216")  # contiguous, nothing of it written
    with pytest.warns(BufferWarning, match=f"{name} claims more than is stored"):
        assert open_buffer(folder).steps.tolist() == [0, 3]


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    with h5py.File(next(folder.glob("seg-0001*")), "r+") as hdf:
        soap = hdf["particles/all/soap/value"][()]
        del hdf["particles/all/soap/value"]
        hdf["particles/all/soap/value"] = soap.astype("<f8")
    with pytest.warns(BufferWarning, match=r"soap/value is \(\(2, 7, 20\), '<f8'\), expected"):
        assert open_buffer(folder).steps.tolist() == [0, 3]


def test_neighbors_that_do_not_fit_their_counts(tmp_path: Path) -> None:
    """Every checksum fits; the counts add up to another number of neighbors."""
    folder = fill(tmp_path)
    tail = next(folder.glob("tail*"))
    data = bytearray(tail.read_bytes())
    start = data.index(b"SDLFRAME")
    frame = make_frame(3)
    n_ids = len(frame.neighbors.ids)
    at = len(data) - 4 * n_ids - 4 * 7
    counts = frame.neighbors.counts.astype("<u4")
    counts[0] += 1
    data[at : at + 28] = counts.tobytes()
    header = 8 + 8 + 8 + 96 + 20  # magic, step, time, box, sizes
    struct.pack_into("<I", data, start + header + 12, zlib.crc32(bytes(data[at:])))
    end = start + header + 16
    struct.pack_into("<I", data, end, zlib.crc32(bytes(data[start:end])))
    tail.write_bytes(data)
    buf = open_buffer(folder)
    with pytest.raises(BufferError, match="step 3: the number of neighbors does not fit"):
        buf.neighbors(3)
    report = verify(folder)
    assert (report.n_frames, len(report.damage)) == (3, 1)
