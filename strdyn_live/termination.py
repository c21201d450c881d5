"""SIGTERM, what a batch system sends before it kills a job, and Ctrl-C (SIGINT)."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

__all__ = ["Termination"]


class Termination:
    """Remembers that a signal came, so that the run can end in order; a second one ends it at once.

    Attributes
    ----------
    asked : int
        Number of the signal that told this process to end; 0: none.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[int, Any] = {}

    def watch(self) -> None:
        """Take the two signals over, until `restore`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # outside the main thread it has its usual effect
                self._before[number] = signal.signal(number, self._remember) or signal.SIG_DFL

    def _remember(self, number: int, _: object) -> None:
        self.asked = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    def restore(self) -> None:
        """Give the signals the effect again that they had before."""
        while self._before:
            with contextlib.suppress(ValueError):
                signal.signal(*self._before.popitem())
