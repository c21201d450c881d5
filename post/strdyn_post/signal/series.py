"""Series: one number per atom and frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import Frames

__all__ = ["Series"]


@dataclass(frozen=True)
class Series:
    """Values of every atom at some frames.

    Attributes
    ----------
    values : (n_frames, n_atoms) ndarray of float
        The numbers.
    frames : Frames
        Their steps, times, gaps and atom IDs.
    """

    values: NDArray[np.floating[Any]]
    frames: Frames

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Series:
        """Return the series at some of its frames."""
        return Series(self.values[rows], self.frames.take(rows))
