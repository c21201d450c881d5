"""A small run on disk, and the command in this process."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest
from memory_buffer import make_buffer, walk

from strdyn_live import LiveConfig
from strdyn_live.buffer import BufferWriter
from strdyn_live.frame import Frame
from strdyn_live.results_block import seal
from strdyn_post.cli import main
from strdyn_post.files.folder import run_of
from strdyn_post.page.panels import Panel

SETTINGS = 'smoothing_window = 1\nmin_cluster_size = 20\ntree = "approx"\n'


def made_up(n_frames, seed):
    matrix = np.array([[0.95, 0.05, 0.0], [0.05, 0.9, 0.05], [0.0, 0.1, 0.9]])
    states = walk(matrix, n_frames, 24, np.random.default_rng(seed))
    return make_buffer(states, np.array([0, 1, 2]), np.array([1, 2, 8]), seed)


def record(folder, n_frames=30, first=0, name="run.sdl", seed=4, append=False):
    """Write a run of 24 atoms, or go on with it from some frame; another seed changes the next."""
    source, other = made_up(n_frames, 4), made_up(n_frames, seed)
    source.spectra[first + 1 :] = other.spectra[first + 1 :]
    config = LiveConfig(
        r_cut=6.0, elements="Cu", n_max=2, l_max=3, file=str(folder / name), append=append
    )
    positions = np.random.default_rng(0).uniform(0, 30, (24, 3))
    with BufferWriter(
        config, atom_ids=source.atom_ids, species=source.species, units="metal"
    ) as writer:
        for k in range(first, n_frames):
            writer.append(
                Frame(
                    int(source.steps[k]),
                    float(source.times[k]),
                    np.eye(3) * 30.0,
                    np.zeros(3),
                    positions,
                    source.spectra[k].astype(np.float32),
                    source.lists[k],
                )
            )
    return folder / name


def write(source, folder, rows, append):
    """Record some frames of a buffer in memory as a run would."""
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


def strdyn(monkeypatch, *words):
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["strdyn", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


PANELS = {
    "map_density": "pca_density_soap",
    "map_environment": "pca_environment_soap",
    "variance": "variance",
    "dendrogram": "dendrogram_soap",
    "matrix": "matrix_soap",
    "chord": "chord_soap",
    "timescales": "timescales_soap",
    "persistence": "persistence_soap",
    "lens": "lens_series",
    "snapshot_above": "snapshot_above_soap",
    "snapshot_oblique": "snapshot_oblique_soap",
    "snapshot_time": "snapshot_start",
    "snapshot_neighbors": "snapshot_neighbors_start",
    "path": "path",
    "close_up": "close_up_1",
    "unmerged": "unmerged_map_soap",
    "cluster_sizes": "cluster_sizes_soap",
    "alluvial": "alluvial",
}


def with_empty_figures(monkeypatch):
    """Write pages with one empty figure in each section, without explorer: most of the time."""

    def panels(*_):
        for section, name in PANELS.items():
            yield Panel(section, name, name, (0.3, 0.3), lambda ax: ax.set_axis_off())

    monkeypatch.setattr("strdyn_post.page.report.draw_panels", panels)
    monkeypatch.setattr("strdyn_post.page.report.find_spec", lambda _: None)


def change(path, action):
    """Change entries of results and make the checksum right again."""
    with h5py.File(path, "r+") as file:
        action(file)
    run_id = run_of(path)
    with path.open("r+b", buffering=0) as file:
        seal(file, run_id)
