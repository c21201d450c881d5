"""Where the time of a recording goes, over all ranks; printed as LAMMPS prints its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from .shared import Shared

__all__ = ["SHARED", "Timings"]

SECTIONS = ("read", "describe", "gather", "write", "follow", "wait")
SHARED = {"n_totals": len(SECTIONS), "n_maxima": 2 * len(SECTIONS)}
"""What `Timings.share` needs."""


class Timings:
    """Seconds spent in each section, here and over all ranks.

    Work on other threads than that of a frame does not count: LAMMPS does not wait for it.

    Attributes
    ----------
    over_ranks : (3, n_sections) float64 ndarray
        Least, mean and most of all ranks, as of the last frame.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._thread = threading.current_thread()
        self._mine = dict.fromkeys(SECTIONS, 0.0)
        self.over_ranks: NDArray[np.float64] = np.zeros((3, len(SECTIONS)))

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Add the time of a block to a section."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if threading.current_thread() is self._thread:
                self._mine[name] += time.perf_counter() - start

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Time a frame; what is in no section is waiting for other ranks."""
        self._thread = threading.current_thread()
        start, before = time.perf_counter(), sum(self._mine.values())
        yield
        in_sections = sum(self._mine.values()) - before
        self._mine["wait"] += time.perf_counter() - start - in_sections

    def share(self, shared: Shared) -> None:
        """Say what was spent here, as the first of the numbers that are reduced (`SHARED`).

        At every frame: ranks cannot communicate any more at the end of an embedded run.
        """
        mine = np.array(list(self._mine.values()))
        shared.maxima[: 2 * len(mine)] = [*-mine, *mine]
        shared.totals[:] = mine

    def take(self, shared: Shared, n_ranks: int) -> None:
        """Take what was spent on all ranks."""
        n = len(SECTIONS)
        least, most = -shared.maxima[:n], shared.maxima[n : 2 * n]
        self.over_ranks = np.array([least, shared.totals / n_ranks, most])

    def table(self) -> str:
        """Return a table of the sections: least, mean and most, and the share of the run so far."""
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        lines = [f"{'section':<10}|{'min time':>10} |{'avg time':>10} |{'max time':>10} |% of run"]
        rows = [*zip(SECTIONS, *self.over_ranks, strict=True)]
        for name, least, mean, most in [*rows, ("together", *self.over_ranks.sum(axis=1))]:
            share = 100.0 * mean / elapsed
            lines.append(f"{name:<10}|{least:>10.4g} |{mean:>10.4g} |{most:>10.4g} |{share:>7.2f}")
        return "\n".join(lines)
