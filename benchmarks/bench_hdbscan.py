"""HDBSCAN* of many rows against hdbscan and fast_plscan, all with the exact spanning tree.

    python benchmarks/bench_hdbscan.py [N_ROWS ...]

Scores of 5 components are made up. "surface": six compact clusters of 3 to 55 % of the rows, and a
sparse tail; "heavy": Student's t with two degrees of freedom about four means. Each way runs in a
process of its own. The ways take turns, and medians of three runs are printed: CPU seconds of the
clusters with soft membership, those of the tree alone (of hdbscan: all but the membership), wall
seconds, peak memory. fast_plscan makes the tree only. hdbscan is left out above 100 000 rows and
fast_plscan above 1 000 000, where they take too long or too much memory; a single run is made
there. "weight" is the relative difference of the sum of all weights of the tree from the last way
that is printed, "labels" the adjusted Rand index with hdbscan.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _timing import processor

SIZE = 80  # min_cluster_size
MOST = {"ours": 10**9, "fast_plscan": 1_000_000, "hdbscan": 100_000}


def surface(n_rows):
    rng = np.random.default_rng(1)
    means = rng.normal(size=(6, 5)) * 0.45 * 0.6 ** np.arange(5)
    widths = np.array([0.02, 0.025, 0.015, 0.02, 0.03, 0.02])
    rows = np.empty((n_rows, 5), dtype=np.float32)
    for k in range(0, n_rows, 1_000_000):
        part = rows[k : k + 1_000_000]
        state = rng.choice(6, len(part), p=[0.6, 0.17, 0.09, 0.06, 0.05, 0.03])
        part[:] = widths[state, None] * rng.normal(size=part.shape)
        tail = rng.random(len(part)) < 0.07
        part[tail] = 0.05 * rng.standard_t(3, (tail.sum(), 5))
        part *= 0.8 ** np.arange(5)
        part += means[state]
    return rows


def heavy(n_rows):
    rng = np.random.default_rng(2)
    means = 4 * rng.normal(size=(4, 5))
    rows = np.empty((n_rows, 5), dtype=np.float32)
    for k in range(0, n_rows, 1_000_000):
        part = rows[k : k + 1_000_000]
        state = rng.choice(4, len(part), p=[0.5, 0.3, 0.15, 0.05])
        part[:] = means[state] + rng.standard_t(2, part.shape)
    return rows


def ours(rows):
    from strdyn_post.environments.hdbscan_tree import find_clusters
    from strdyn_post.environments.spanning_tree import spanning_tree

    start = time.process_time(), time.perf_counter()
    found = find_clusters(rows, SIZE)
    found.most_probable()
    spent = time.process_time() - start[0], time.perf_counter() - start[1]
    start = time.process_time()
    _, weights = spanning_tree(rows, SIZE)
    return found.labels, weights.sum(), spent, time.process_time() - start


def with_fast_plscan(rows):
    from fast_plscan import compute_mutual_spanning_tree
    from scipy.spatial import cKDTree

    start = time.process_time(), time.perf_counter()
    near = rows[cKDTree(rows).indices]  # in the order given it takes three times as long
    _, tree, _, _ = compute_mutual_spanning_tree(near, min_samples=SIZE)
    spent = time.process_time() - start[0], time.perf_counter() - start[1]
    return np.empty(0), np.sum(tree.distance, dtype=np.float64), spent, spent[0]


def with_hdbscan(rows):
    import hdbscan

    start = time.process_time(), time.perf_counter()
    fitted = hdbscan.HDBSCAN(
        min_cluster_size=SIZE,
        approx_min_span_tree=False,
        gen_min_span_tree=True,
        prediction_data=True,
        core_dist_n_jobs=1,
    ).fit(rows.astype(np.float64))
    tree = time.process_time() - start[0]
    hdbscan.all_points_membership_vectors(fitted)
    spent = time.process_time() - start[0], time.perf_counter() - start[1]
    return fitted.labels_, fitted.minimum_spanning_tree_.to_numpy()[:, 2].sum(), spent, tree


def run(way, data, n_rows, file):
    rows = {"surface": surface, "heavy": heavy}[data](int(n_rows))
    call = {"ours": ours, "fast_plscan": with_fast_plscan, "hdbscan": with_hdbscan}[way]
    labels, weight, (cpu, seconds), tree = call(rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    np.save(file, labels)
    print(json.dumps({"cpu": cpu, "tree": tree, "wall": seconds, "peak": peak, "weight": weight}))


def compare(data, n_rows, folder):
    from sklearn.metrics import adjusted_rand_score

    ways = [way for way, most in MOST.items() if n_rows <= most]
    reports = {way: [] for way in ways}
    for _ in range(3 if n_rows <= 1_000_000 else 1):
        for way in ways:
            command = [sys.executable, __file__, way, data, str(n_rows), f"{folder}/{way}.npy"]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            reports[way].append(json.loads(lines.splitlines()[-1]))
    found = {
        way: {key: statistics.median(each[key] for each in several) for key in several[0]}
        for way, several in reports.items()
    }
    labels = {way: np.load(f"{folder}/{way}.npy") for way in ways}
    best, reference = found["ours"], found[ways[-1]]
    for way, here in found.items():
        times, trees = here["cpu"] / best["cpu"], here["tree"] / best["tree"]
        line = (
            f"{data:8} {n_rows:9} {way:12} CPU {here['cpu']:7.2f} s ({times:5.1f} x)"
            f"  tree {here['tree']:7.2f} s ({trees:5.1f} x)  wall {here['wall']:7.2f} s"
            f"  peak {here['peak']:5.2f} GB  weight {here['weight'] / reference['weight'] - 1:+.0e}"
        )
        if "hdbscan" in ways and len(labels[way]):
            line += f"  labels {adjusted_rand_score(labels['hdbscan'], labels[way]):.5f}"
        print(line, flush=True)
    inside = np.bincount(labels["ours"] + 1)
    print(f"{'':19}{len(inside) - 1} clusters, noise {inside[0] / n_rows:.1%}", flush=True)


def main():
    if len(sys.argv) > 2 and sys.argv[1] in MOST:
        return run(*sys.argv[1:])
    print(f"{processor()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        for n_rows in [int(each) for each in sys.argv[1:]] or [20_000]:
            for data in ("surface", "heavy"):
                compare(data, n_rows, Path(folder))
    return None


if __name__ == "__main__":
    main()
