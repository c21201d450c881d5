"""The clock of an analysis: how long every stage takes, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Clock", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``."""


class Clock:
    """Times the stages and passes their progress on.

    Attributes
    ----------
    seconds : dict of str to float
        Duration of every finished stage.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage, self._total = "", 1

    @contextmanager
    def __call__(self, stage: str, total: int = 1) -> Iterator[None]:
        """Time what is done inside ``with clock(stage, total):``."""
        self._stage, self._total = stage, total
        self._tell(0)
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
        self._tell(total)

    def watch(self, parts: Iterable[Any]) -> Iterator[Any]:
        """Pass parts on and report each as done."""
        for done, part in enumerate(parts, start=1):
            yield part
            self._tell(done)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._stage, done, self._total)
