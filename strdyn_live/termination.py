"""SIGTERM: what a batch system sends before it kills a job."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

__all__ = ["Termination"]


class Termination:
    """Remembers that SIGTERM came, so that the run can end in order; a second one ends it at once.

    Attributes
    ----------
    asked : bool
        Whether this process was told to end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = signal.SIG_DFL
        with contextlib.suppress(ValueError):  # outside the main thread it keeps its usual effect
            self._before = signal.signal(signal.SIGTERM, self._remember) or signal.SIG_DFL

    def _remember(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGTERM, self._before)
