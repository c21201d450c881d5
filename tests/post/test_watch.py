"""Analyses of a buffer that grows, and on the workers of a Dask scheduler."""

from __future__ import annotations

import numpy as np
import pytest
from memory_buffer import make_buffer, walk

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.buffer import BufferWriter
from strdyn_live.frame import Frame
from strdyn_post import AnalysisConfig, analyse, load_results
from strdyn_post.watch import watch_into

WALK = np.array([[0.96, 0.04, 0.0], [0.04, 0.92, 0.04], [0.0, 0.1, 0.9]])
STRUCTURE = np.array([0, 1, 2])
SETTINGS = AnalysisConfig(smoothing_window=5, min_cluster_size=40)


@pytest.fixture
def source():
    rng = np.random.default_rng(4)
    return make_buffer(walk(WALK, 80, 60, rng), STRUCTURE, np.array([1, 2, 8]))


def write(source, folder, rows, append):
    """Record some frames as a run would."""
    config = LiveConfig(
        r_cut=6.0, elements="Cu", n_max=2, l_max=3, file=str(folder / "run.sdl"), append=append
    )
    writer = BufferWriter(
        config, atom_ids=source.atom_ids, species=source.species, units=source.units
    )
    for k in rows:
        writer.append(
            Frame(
                step=int(source.steps[k]),
                time=float(source.times[k]),
                cell=np.eye(3) * 30.0,
                origin=np.zeros(3),
                positions=np.random.default_rng(0).uniform(0, 30, (len(source.atom_ids), 3)),
                soap=source.spectra[k].astype(np.float32),
                neighbors=source.lists[k],
            )
        )
    writer.close()


def test_watching_a_buffer_that_grows(source, tmp_path):
    """Fitted, then labelled by the fit, then fitted again; environments keep their identities."""
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
        assert set(first.identities) <= set(refitted.identities)


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
    for name in ("soap", "lens", "soap_lens"):
        np.testing.assert_array_equal(alone[name].scores, shared[name].scores)
        np.testing.assert_array_equal(alone[name].labels, shared[name].labels)
        np.testing.assert_array_equal(alone[name].counts, shared[name].counts)
