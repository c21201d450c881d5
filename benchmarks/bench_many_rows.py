"""The analysis of ten million rows: time, peak memory, clusters.

    python benchmarks/bench_many_rows.py [N_FRAMES]

5000 frames of 2000 atoms by default, 40 features: what grows with the rows is the same for any
number of features, as spectra are streamed. The buffer is made up (two minutes) and kept.
"""

from __future__ import annotations

import resource
import sys
import time

from bench_analysis import OUT, make_buffer


def main():
    from strdyn_live import open_buffer
    from strdyn_post import AnalysisConfig, analyse

    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    path = OUT / f"rows_{n_frames}.sdl"
    if not path.exists():
        OUT.mkdir(exist_ok=True)
        make_buffer(path, n_frames, n_atoms=2000, n_max=4, l_max=3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start, used = time.perf_counter(), time.process_time()
    result = analyse(open_buffer(path), AnalysisConfig())
    seconds, used = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    chi = result["soap_lens"]
    print(f"{chi.labels.size} rows: {seconds:.0f} s, {used:.0f} s of CPU,")
    print(f"  peak {peak:.1f} GB ({before:.1f} GB before)")
    for stage, value in result.timings.items():
        print(f"  {stage:24} {value:7.1f} s")
    for name, route in result.routes.items():
        print(
            f"  {name:9} {route.n_clusters} clusters, noise {route.fit.noise_share:.1%}, "
            f"agreement {route.fit.agreement}"
        )


if __name__ == "__main__":
    main()
