"""The work of an analysis: the map of chunks, the time of every stage, the progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["MapChunks", "Progress", "Work"]

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``."""

MapChunks = Callable[..., Iterable[Any]]
"""``map``, or another map that returns results in order, such as that of an executor."""


class Work:
    """Maps chunks, times the stages and passes their progress on.

    Parameters
    ----------
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    map_chunks : callable
        ``map``, or another map that returns results in order.

    Attributes
    ----------
    seconds : dict of str to float
        Duration of every finished stage.
    """

    def __init__(self, progress: Progress | None = None, map_chunks: MapChunks = map) -> None:
        self.seconds: dict[str, float] = {}
        self.map_chunks = map_chunks
        self._progress = progress
        self._stage, self._total = "", 1

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[None]:
        """Time the code inside ``with work.stage(name, total):``."""
        self._stage, self._total = name, total
        self._tell(0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self._tell(total)

    def watch(self, parts: Iterable[Any]) -> Iterator[Any]:
        """Yield the parts, and report each as done."""
        for done, part in enumerate(parts, start=1):
            yield part
            self._tell(done)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._stage, done, self._total)
