"""The table of times counts what LAMMPS waits for."""

from __future__ import annotations

import threading
import time

from strdyn_live.parallel import Ranks
from strdyn_live.timings import SECTIONS, SHARED, Timings


def test_work_on_another_thread_is_not_counted():
    timings = Timings()

    def work():
        with timings.section("write"):
            time.sleep(0.05)

    with timings.frame():
        thread = threading.Thread(target=work)
        thread.start()
        with timings.section("read"):
            time.sleep(0.01)
        thread.join()
    with Ranks().together(**SHARED) as shared:
        timings.share(shared)
    timings.take(shared, 1)
    mean = dict(zip(SECTIONS, timings.over_ranks[1], strict=True))
    assert mean["write"] == 0.0
    assert mean["read"] >= 0.01
    assert mean["wait"] >= 0.03  # for the thread
