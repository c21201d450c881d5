"""What ranks send each other, counted in real runs, against the model of docs/scaling.md."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from strdyn_live import open_buffer
from strdyn_live.buffer.document import writer_rows
from strdyn_live.soap import Soap

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("counting_driver.py")
DOCS = Path(__file__).parents[2] / "docs"
FLOAT32 = 1.2e-7  # relative rounding of what is stored
RUNS = [(1, 1), (2, 1), (2, 2), (4, 3), (7, 1), (7, 2), (16, 1), (16, 3)]
PCA_RUNS = [(2, 1), (4, 3), (16, 1)]
OVERLAP_RUNS = [(1, 1), (2, 1), (4, 3), (16, 1)]
REACH = 7.9 / 160  # of the box: the ghost shell


@pytest.fixture(scope="module")
def model():
    sys.path.insert(0, str(DOCS))
    found = importlib.import_module("scaling")
    sys.path.remove(str(DOCS))
    return found


@pytest.fixture(scope="module")
def folder(driver_in, tmp_path_factory):
    """Buffers and counts of all runs, RANKS-WRITERS."""
    folder = tmp_path_factory.mktemp("scaling")
    for n_ranks, n_writers in RUNS:
        name = f"{n_ranks}-{n_writers}"
        done = driver_in(folder)(DRIVER, name, f"writers={n_writers}", n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
    for n_ranks, n_writers in PCA_RUNS:
        changes = ["store=pca 10", "n_hot_steps=150", f"writers={n_writers}"]
        name = f"pca-{n_ranks}-{n_writers}"
        done = driver_in(folder)(DRIVER, name, *changes, n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
        (folder / f"{name}.out").write_text(done.stdout)
    for n_ranks, n_writers in OVERLAP_RUNS:
        changes = ["overlap=yes", "property=yes", f"writers={n_writers}"]
        name = f"overlap-{n_ranks}-{n_writers}"
        done = driver_in(folder)(DRIVER, name, *changes, n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
    for name, change, n_ranks in (("threads", "threads=3", 2), ("tiled", "tiled=yes", 4)):
        done = driver_in(folder)(DRIVER, name, change, n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
    return folder


def counted(folder, n_ranks, n_writers):
    """Calls at the start and in each frame, with what the frame was about, by rank."""
    return json.loads((folder / f"{n_ranks}-{n_writers}.json").read_text())


def parcels_of(frame, atom_ids, kept, n_columns, model):
    """Bytes to each writer of the rows of a rank, with so many numbers of a spectrum each."""
    rows = np.searchsorted(atom_ids, frame["seen"][0])
    neighbors = np.array(frame["seen"][1])
    inside = [(rows >= first) & (rows < last) for first, last in kept]
    return [model.parcel(int(here.sum()), int(neighbors[here].sum()), n_columns) for here in inside]


@pytest.mark.parametrize(("n_ranks", "n_writers"), RUNS)
def test_each_frame_sends_what_the_model_says(n_ranks, n_writers, folder, model):
    atom_ids = open_buffer(folder / f"{n_ranks}-{n_writers}.sdl").atom_ids
    kept = writer_rows(len(atom_ids), n_writers)
    n_features = Soap.of(open_buffer(folder / f"{n_ranks}-{n_writers}.sdl").config).n_features
    found = counted(folder, n_ranks, n_writers)
    assert len(found) == n_ranks
    for rank, of_rank in enumerate(found):
        assert len(of_rank["frames"]) == 3
        for number, frame in enumerate(of_rank["frames"]):
            calls = [(name, n_bytes) for name, n_bytes, _ in frame["calls"]]
            parcels = parcels_of(frame, atom_ids, kept, n_features, model)
            first, last = kept[rank] if rank < n_writers else (0, 0)
            expected = model.frame_calls(
                n_ranks,
                parcels,
                n_kept=last - first,
                # images are counted at the first frame; by whom and of what, see below
                counted=calls[4][1] if number == 0 and n_ranks > 1 else None,
                writes_with_others=n_writers > 1 and rank < n_writers,
            )
            if number == 0:  # the writers also agree on opening the buffer
                calls, expected = ([c for c in each if c[1] != 8] for each in (calls, expected))
            assert calls == expected, (rank, number)


@pytest.mark.parametrize(("n_ranks", "n_writers"), OVERLAP_RUNS)
def test_overlap_sends_what_the_model_says(n_ranks, n_writers, folder, model):
    buffer = open_buffer(folder / f"overlap-{n_ranks}-{n_writers}.sdl")
    n_features, n_atoms = Soap.of(buffer.config).n_features, len(buffer.atom_ids)
    kept = writer_rows(n_atoms, n_writers)
    found = counted(folder, f"overlap-{n_ranks}", n_writers)
    n_asked_last = 0
    for rank, of_rank in enumerate(found):
        first, last = kept[rank] if rank < n_writers else (0, 0)
        frames = of_rank["frames"]
        assert len(frames) == buffer.n_frames == 3
        for number, frame in enumerate(frames):
            calls = [(name, n_bytes) for name, n_bytes, _ in frame["calls"]]
            if number == 2:  # the atoms at the end of the run
                n_asked = calls[-3][1] // 8 if n_ranks > 1 else n_atoms
                n_asked_last += n_asked
            else:
                n_asked = len(frames[number + 1]["seen"][0])
            expected = model.frame_calls(
                n_ranks,
                parcels_of(frame, buffer.atom_ids, kept, n_features, model),
                n_kept=last - first,
                counted=calls[4][1] if number == 0 and n_ranks > 1 else None,
                writes_with_others=n_writers > 1 and rank < n_writers,
                later=model.moved(n_ranks, n_asked, last - first) if number > 0 else (),
            )
            if number == 0:
                calls, expected = ([c for c in each if c[1] != 8] for each in (calls, expected))
            assert calls == expected, (rank, number)
    assert n_asked_last == n_atoms


@pytest.mark.parametrize(("n_ranks", "n_writers"), PCA_RUNS)
def test_scores_send_what_the_model_says(n_ranks, n_writers, folder, model):
    """A basis that is sought, is found, holds, and grows in a melt until it may not any more."""
    name = f"pca-{n_ranks}-{n_writers}"
    buffer = open_buffer(folder / f"{name}.sdl")
    said = (folder / f"{name}.out").read_text()
    last_grown = int(re.search(r"step (\d+): .*it stays as it is", said)[1])
    atom_ids, n_scores = buffer.atom_ids, buffer.n_scores_of
    n_features = Soap.of(buffer.config).n_features
    found = int(np.flatnonzero(n_scores)[0])
    kept = writer_rows(len(atom_ids), n_writers)
    for rank, of_rank in enumerate(json.loads((folder / f"{name}.json").read_text())):
        assert len(of_rank["frames"]) == buffer.n_frames
        for number, frame in enumerate(of_rank["frames"]):
            calls = [(name, n_bytes) for name, n_bytes, _ in frame["calls"]]
            pca = model.PCA(n_features, 10, is_root=rank == 0)
            if number < found:
                reduced = pca.learns() if number > 0 else []
            else:
                reduced = pca.projects()
                if n_scores[number] == 0:
                    reduced += pca.projects() if n_scores[number - 1] > 0 else []
                    reduced += pca.grows() if buffer.steps[number] <= last_grown else []
            n_columns = n_scores[number] + 1 if n_scores[number] else n_features
            parcels = parcels_of(frame, atom_ids, kept, n_columns, model)
            first, last = kept[rank] if rank < n_writers else (0, 0)
            expected = model.frame_calls(
                n_ranks,
                parcels,
                n_kept=last - first,
                counted=calls[4][1] if number == 0 else None,
                writes_with_others=n_writers > 1 and rank < n_writers,
                reduced=reduced,
                first=pca.begins() if number == 0 else (),
                stores_basis=n_scores[number] > n_scores[:number].max(initial=0),
            )
            if number == 0:
                calls, expected = ([c for c in each if c[1] != 8] for each in (calls, expected))
            assert [call for call, _ in calls] == [call for call, _ in expected], (rank, number)
            for (call, n_bytes), (_, n_expected) in zip(calls, expected, strict=True):
                around = model.PCA.AROUND if call == "bcast" and rank == 0 else 0
                assert n_expected <= n_bytes <= n_expected + around, (rank, number, call)
    assert len(set(n_scores)) > 2  # none, those found, more
    assert buffer.steps[-1] > last_grown


@pytest.mark.parametrize(("n_ranks", "n_writers"), RUNS)
def test_only_neighbors_are_told_of_atoms_near_them(n_ranks, n_writers, folder):
    """The wire is cut into equal pieces: those within the ghost shell, and no others."""
    if n_ranks == 1:
        return
    width = 1 / n_ranks
    near = {0, *(k for k in range(1, n_ranks) if min(k, n_ranks - k) - 1 < REACH / width)}
    for rank, of_rank in enumerate(counted(folder, n_ranks, n_writers)):
        name, n_bytes, receivers = of_rank["frames"][0]["calls"][4]
        assert name == "Alltoallv"
        assert n_bytes > 0
        assert {(receiver - rank) % n_ranks for receiver in receivers} <= near
    assert n_ranks < 7 or len(near) < n_ranks


@pytest.mark.parametrize(("n_ranks", "n_writers"), RUNS)
def test_a_rank_that_does_not_write_learns_no_ids(n_ranks, n_writers, folder):
    for of_rank in counted(folder, n_ranks, n_writers)[n_writers:]:
        names = {name for name, *_ in of_rank["start"]}
        assert names == {"Allreduce", "Alltoall", "Alltoallv"}
        assert sum(name == "Alltoallv" for name, *_ in of_rank["start"]) == 1
        assert all(n_bytes <= 248 for name, n_bytes, _ in of_rank["start"] if name == "Allreduce")


def test_the_buffer_is_the_same_on_any_number_of_ranks_and_writers(folder):
    one = open_buffer(folder / "1-1.sdl")
    assert one.atom_ids.tolist() == list(range(1, 401))
    for name in (*(f"{n_ranks}-{n_writers}" for n_ranks, n_writers in RUNS[1:]), "tiled"):
        other = open_buffer(folder / f"{name}.sdl")
        assert other.steps.tolist() == one.steps.tolist() == [0, 10, 20]
        assert other.atom_ids.tolist() == one.atom_ids.tolist()
        for k in range(one.n_frames):
            np.testing.assert_allclose(other.positions(k), one.positions(k), rtol=0, atol=1e-6)
            np.testing.assert_allclose(other.soap(k), one.soap(k), rtol=0, atol=2 * FLOAT32)
            assert other.neighbors(k).offsets.tolist() == one.neighbors(k).offsets.tolist()
            assert other.neighbors(k).ids.tolist() == one.neighbors(k).ids.tolist()


def test_threads_change_no_bit(folder):
    one, three = open_buffer(folder / "2-1.sdl"), open_buffer(folder / "threads.sdl")
    assert (one.config.threads, three.config.threads) == (1, 3)
    for k in range(one.n_frames):
        assert three.soap(k).tobytes() == one.soap(k).tobytes()
        assert three.positions(k).tobytes() == one.positions(k).tobytes()
        assert three.neighbors(k).ids.tobytes() == one.neighbors(k).ids.tobytes()
