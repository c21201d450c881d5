"""The analysis against the plain way: whole arrays, scikit-learn's PCA, hdbscan on its own.

    python benchmarks/bench_analysis.py [BUFFER]

Without a buffer, one is made up: 481 frames of 900 atoms, 324 features, like the paper's Cu(211).
Each way runs in a process of its own; time, peak memory and agreement are printed. Compare on a
quiet machine: one way uses the cores better than the other, and CPU seconds are printed too.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

ROUTES = ("soap", "soap_lens")
OUT = Path(__file__).with_name("out")


def make_buffer(path, n_frames=502, n_atoms=900, seed=0, **settings):
    from strdyn_live import LiveConfig
    from strdyn_live.buffer import BufferWriter
    from strdyn_live.frame import Frame
    from strdyn_live.neighbors import NeighborLists
    from strdyn_live.soap import Soap

    config = LiveConfig(r_cut=6.0, elements="Cu", file=str(path), **settings)
    n_features = Soap(("Cu",), config.r_cut, config.n_max, config.l_max).n_features
    rng = np.random.default_rng(seed)
    # five structures in a row, a rare one aside; vibration in three soft modes and white noise
    line = rng.normal(size=(2, n_features)) * [[0.05], [0.02]]
    prototypes = rng.random(n_features) * 0.05 + np.linspace(-1, 1, 5)[:, None] * line[0]
    prototypes = np.vstack([prototypes, prototypes[4] + line[1]])
    modes = rng.normal(size=(3, n_features)) * 0.004 / np.arange(1, 4)[:, None]
    restless = np.array([0.01, 0.01, 0.02, 0.02, 0.03, 0.4])
    walk = np.eye(6) * 0.97 + 0.012 * (np.eye(6, k=1) + np.eye(6, k=-1))
    walk[4, 5] = 0.001
    walk /= walk.sum(axis=1, keepdims=True)
    cumulative = walk.cumsum(axis=1)
    states = rng.choice(6, n_atoms, p=[0.4, 0.25, 0.2, 0.1, 0.049, 0.001])
    ids = rng.integers(1, 2401, (n_atoms, 78))
    atoms = np.arange(1, n_atoms + 1)
    writer = BufferWriter(
        config, atom_ids=atoms, species=np.zeros(n_atoms, np.int32), units="metal"
    )
    with writer:
        for k in range(n_frames):
            states = (rng.random(n_atoms)[:, None] > cumulative[states]).sum(axis=1).clip(0, 5)
            spectra = prototypes[states] + rng.standard_t(5, (n_atoms, 3)) @ modes
            spectra += rng.normal(0, 1e-4, spectra.shape)
            spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
            swap = rng.random(ids.shape) < restless[states][:, None]
            ids = np.where(swap, rng.integers(1, 2401, ids.shape), ids)
            lists = np.sort(ids, axis=1)
            kept = lists != atoms[:, None]
            kept[:, 1:] &= np.diff(lists, axis=1) > 0  # each once
            neighbors = NeighborLists.from_counts(kept.sum(axis=1), lists[kept])
            cell = (np.eye(3) * 50, np.zeros(3), np.zeros((n_atoms, 3)))
            writer.append(Frame(k * 500, k * 2.5, *cell, spectra.astype(np.float32), neighbors))


def plain(buffer, config):
    """The analysis as it is usually written, with the same parameters and the exact tree."""
    import hdbscan
    from scipy.signal import savgol_filter
    from sklearn.decomposition import PCA

    from strdyn_live.lens import lens

    lists = [buffer.neighbors(k) for k in range(buffer.n_frames)]
    delta = np.array([lens(a, b) for a, b in pairwise(lists)])
    margin = config.smoothing_window // 2
    delta = savgol_filter(delta, config.smoothing_window, config.smoothing_order, axis=0)
    delta = delta.clip(0, 1)[margin:-margin]
    soap = buffer.soap(slice(margin, margin + len(delta))).astype(np.float64)
    soap /= np.linalg.norm(soap, axis=2, keepdims=True)
    chi = np.concatenate([soap, delta[..., None]], axis=2).reshape(-1, soap.shape[2] + 1)
    found = {}
    for name, rows in (("soap", chi[:, :-1]), ("soap_lens", chi)):
        scores = PCA(config.variance, svd_solver="full").fit_transform(rows)
        # hdbscan's membership vectors are wrong for the Fortran order that PCA returns
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        start = time.perf_counter()
        fitted = hdbscan.HDBSCAN(
            min_cluster_size=config.min_cluster_size,
            approx_min_span_tree=False,
            prediction_data=True,
        ).fit(scores)
        soft = hdbscan.all_points_membership_vectors(fitted)
        labels = np.where(fitted.labels_ < 0, soft.argmax(axis=1), fitted.labels_)
        found[name] = labels, time.perf_counter() - start
    return found


def ours(buffer, config):
    from strdyn_post import analyse

    result = analyse(buffer, config)
    return {
        name: (result[name].labels.ravel(), result.timings[f"clusters of {name}"])
        for name in ROUTES
    }


def run(way, path, labels):
    from strdyn_live import open_buffer
    from strdyn_post import AnalysisConfig

    config = AnalysisConfig(max_cluster_share=None)  # as hdbscan chooses by default
    start, cpu = time.perf_counter(), time.process_time()
    found = {"plain": plain, "ours": ours}[way](open_buffer(path), config)
    report = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "clustering": {name: seconds for name, (_, seconds) in found.items()},
        "clusters": {name: int(each.max()) + 1 for name, (each, _) in found.items()},
    }
    np.savez(labels, **{name: each for name, (each, _) in found.items()})
    print(json.dumps(report))


def main():
    from sklearn.metrics import adjusted_rand_score

    if len(sys.argv) > 2:
        return run(*sys.argv[1:])
    path = Path(sys.argv[1]) if len(sys.argv) == 2 else OUT / "analysis.sdl"
    if not path.exists():
        OUT.mkdir(exist_ok=True)
        make_buffer(path)
    labels = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in ("ours", "plain"):
            file = Path(folder) / f"{way}.npz"
            command = [sys.executable, __file__, way, str(path), str(file)]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            report = json.loads(lines.splitlines()[-1])
            labels[way] = dict(np.load(file))
            clustering = ", ".join(f"{k} {v:.1f} s" for k, v in report["clustering"].items())
            print(
                f"{way:6} {report['seconds']:7.1f} s  CPU {report['cpu']:7.1f} s  peak "
                f"{report['peak_gb']:.2f} GB  clusters {report['clusters']}  clustering: "
                f"{clustering}",
                flush=True,
            )
    for name in ROUTES:
        print(
            f"{name}: rows {len(labels['ours'][name])}, adjusted Rand index "
            f"{adjusted_rand_score(labels['ours'][name], labels['plain'][name]):.5f}"
        )
    return None


if __name__ == "__main__":
    main()
