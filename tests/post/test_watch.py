"""Analyses of a buffer that grows, and on the workers of a Dask scheduler."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from recorded import with_empty_figures, write

from strdyn_live import open_buffer
from strdyn_live.buffer import Buffer, BufferError
from strdyn_post import AnalysisConfig, analyse, label, load_results
from strdyn_post.chunk_memory import ChunkMemory
from strdyn_post.errors import AnalysisError
from strdyn_post.watch import watch_into

WALK = np.array([[0.96, 0.04, 0.0], [0.04, 0.92, 0.04], [0.0, 0.1, 0.9]])
STRUCTURE = np.array([0, 1, 2])
SETTINGS = AnalysisConfig(smoothing_window=5, min_cluster_size=40)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr("strdyn_post.watch._PAUSE", 0.0)


@pytest.fixture
def source():
    rng = np.random.default_rng(4)
    return make_buffer(walk(WALK, 80, 60, rng), STRUCTURE, np.array([1, 2, 8]))


def test_watching_a_buffer_that_grows(source, tmp_path, monkeypatch):
    """Fitted, then labelled by the fit, then fitted again; environments keep their identities."""
    with_empty_figures(monkeypatch)
    write(source, tmp_path, range(40), append=False)
    seen = []

    def last(result):
        return int(result["soap"].steps[-1])

    def tell(result, page):
        seen.append(result)
        assert page.exists()
        assert last(load_results(tmp_path / "out")) == last(result)
        if len(seen) < 3:
            write(source, tmp_path, range(40, 44) if len(seen) == 1 else range(44, 80), append=True)

    buf = open_buffer(tmp_path / "run.sdl")
    watch_into(buf, SETTINGS, tmp_path / "out", tell=tell, n_rounds=3)
    assert ["model" in result.provenance for result in seen] == [False, True, False]
    assert [result.provenance["n_frames"] for result in seen] == [40, 44, 80]
    for name in ("soap", "soap_lens"):
        first, labelled, refitted = (result[name] for result in seen)
        common = np.isin(labelled.steps, first.steps)
        np.testing.assert_array_equal(labelled.labels[common], first.labels)
        assert set(first.fit.identities) <= set(refitted.fit.identities)


@pytest.fixture
def frames_read(monkeypatch):
    """Frames whose lists, and whose spectra, were read."""
    found = {"neighbors": [], "soap": []}
    for name, frames in found.items():
        read = getattr(Buffer, name)

        def note(buffer, k, read=read, frames=frames):
            frames.append(k)
            return read(buffer, k)

        monkeypatch.setattr(Buffer, name, note)
    return found


def without_report(monkeypatch):
    monkeypatch.setattr("strdyn_post.run.write_report", lambda *given: given[-1])


def test_only_new_frames_are_read_again(source, tmp_path, frames_read, monkeypatch):
    without_report(monkeypatch)
    monkeypatch.setattr(
        "strdyn_post.signal.dataset.Dataset.chunks",
        lambda data: [slice(k, k + 8) for k in range(0, len(data.frames), 8)],
    )
    write(source, tmp_path, range(72), append=False)
    seen, counts = [], []

    def tell(result, page):
        seen.append(result)
        counts.append({name: sorted(set(frames)) for name, frames in frames_read.items()})
        for frames in frames_read.values():
            frames.clear()
        if len(seen) == 1:
            write(source, tmp_path, range(72, 80), append=True)

    buf = open_buffer(tmp_path / "run.sdl")
    watch_into(buf, SETTINGS, tmp_path / "out", tell=tell, n_rounds=2)
    assert counts[0]["neighbors"] == list(range(72))
    # smoothing leaves out 2 frames at the start; the first one is also the origin of the moments
    assert counts[0]["soap"] == list(range(2, 69))
    # events of the new frames need the 7 frames before the first of them, which is 64
    assert min(counts[1]["neighbors"]) == 57
    assert min(set(counts[1]["soap"]) - {0}) >= 66
    alone = label(seen[0].fit, open_buffer(tmp_path / "run.sdl"), SETTINGS)
    assert_same(seen[1], alone)
    assert seen[1].flicker_share == alone.flicker_share


def test_superseded_frames_are_forgotten(source, tmp_path, monkeypatch):
    without_report(monkeypatch)
    write(source, tmp_path, range(60), append=False)
    states = walk(WALK, 80, 60, np.random.default_rng(5))
    other = make_buffer(states, STRUCTURE, np.array([1, 2, 8]), seed=1)
    source.spectra[31:], source.lists[31:] = other.spectra[31:], other.lists[31:]
    seen = []

    def tell(result, page):
        seen.append(result)
        if len(seen) == 1:
            write(source, tmp_path, range(30, 61), append=True)

    buf = open_buffer(tmp_path / "run.sdl")
    watch_into(buf, SETTINGS, tmp_path / "out", tell=tell, n_rounds=2)
    alone = label(seen[0].fit, open_buffer(tmp_path / "run.sdl"), SETTINGS)
    assert_same(seen[1], alone)
    assert not np.array_equal(seen[0]["lens"].scores, seen[1]["lens"].scores[: 60 - 5])


def test_a_memory_is_a_map():
    done = []

    def work(function, chunks):
        done.extend(chunks)
        return map(function, chunks)

    memory = ChunkMemory(work)
    assert list(memory(abs, [-1, -1, 2])) == [1, 1, 2]
    assert list(memory(abs, [-1, 2, -3])) == [1, 2, 3]
    assert list(memory(float, [2])) == [2.0]
    assert done == [-1, 2, -3, 2]
    memory.forget()
    assert list(memory(abs, [2])) == [2]
    memory.forget()  # −1 and −3 were not asked for
    list(memory(abs, [2, -1]))
    assert done == [-1, 2, -3, 2, -1]
    memory.forget(all_of_it=True)
    list(memory(abs, [2]))
    assert done[-1] == 2


def assert_same(one, other):
    for name in ("soap", "lens", "soap_lens"):
        np.testing.assert_array_equal(one[name].scores, other[name].scores)
        np.testing.assert_array_equal(one[name].labels, other[name].labels)
        np.testing.assert_array_equal(one[name].counts, other[name].counts)


def test_a_copy_opens_the_same_buffer_from_another_working_directory(source, tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        write(source, folder, range(4), append=False)
    monkeypatch.chdir(one)
    buffer = open_buffer("run.sdl")
    text = pickle.dumps(buffer)
    monkeypatch.chdir(other)
    copy = pickle.loads(text)
    assert (copy.path, copy.uuid) == (one / "run.sdl", buffer.uuid)
    (one / "run.sdl").rename(one / "old.sdl")
    (other / "run.sdl").rename(one / "run.sdl")
    found = open_buffer(one / "run.sdl").uuid
    with pytest.raises(
        BufferError, match=f"holds run {found} on host .*, expected run {buffer.uuid}"
    ):
        pickle.loads(text)


def test_frames_that_a_worker_finds_elsewhere_are_refused(source, tmp_path):
    """A worker that misses a file, or looks after a restart, has other frames in their places."""
    write(source, tmp_path, range(60), append=False)
    buffer = open_buffer(tmp_path / "run.sdl")

    def then(change):
        def elsewhere(function, chunks):
            work = [pickle.dumps((function, chunk)) for chunk in chunks]
            change()
            for function, chunk in map(pickle.loads, work):
                yield function(chunk)

        return elsewhere

    def go_on_from_frame_30():
        source.spectra[31:] = source.spectra[31:, ::-1]
        write(source, tmp_path, range(30, 61), append=True)

    def lose_the_first_file():
        shutil.rmtree(tmp_path / "run.sdl")
        shutil.copytree(tmp_path / "kept.sdl", tmp_path / "run.sdl")
        write(source, tmp_path, range(60, 70), append=True)
        next((tmp_path / "run.sdl").glob("seg-0000-*")).unlink()

    shutil.copytree(tmp_path / "run.sdl", tmp_path / "kept.sdl")
    with pytest.raises(AnalysisError, match=r"of step 15500, is another one of this step"):
        analyse(buffer, SETTINGS, map_chunks=then(go_on_from_frame_30))
    with (
        pytest.warns(UserWarning, match=r"run\.sdl"),
        pytest.raises(AnalysisError, match=r"frame 0 of .*, of step 0, is that of step 30000"),
    ):
        analyse(buffer, SETTINGS, map_chunks=then(lose_the_first_file))


def test_dask_gives_the_same_numbers(source, tmp_path):
    from distributed import Client, LocalCluster

    write(source, tmp_path, range(80), append=False)
    buf = open_buffer(tmp_path / "run.sdl")
    alone = analyse(buf, SETTINGS)  # leaves files open, which cannot travel
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        shared = analyse(buf, SETTINGS, map_chunks=client.get_executor(pure=False).map)
    assert_same(alone, shared)
