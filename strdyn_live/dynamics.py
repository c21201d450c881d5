"""Placeholder of the dynamics between frames: δ against the frame before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frame import Frame
from .lens import lens
from .values import AtomValues

__all__ = ["Dynamics"]


class Dynamics:
    def __init__(self, interval: int | None, model: Any = None) -> None:
        self._last: Frame | None = None

    def update(self, frame: Frame) -> tuple[AtomValues, NDArray[np.int32]]:
        before, self._last = self._last, frame
        values = AtomValues.unknown(len(frame.positions))
        if before is not None:
            delta = lens(before.neighbors, frame.neighbors)
            values = AtomValues(delta, values.environment, values.distance)
        return values, values.environment
