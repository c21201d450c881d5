"""How far atoms move between frames, and whether a frame can follow the one before."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from strdyn_live.box import Box

__all__ = ["LOOK_BACK", "Pace"]

LOOK_BACK = 10  # frames

_PLAUSIBLE = 3.0
_SHARES = (0.5, 0.9)  # a few atoms may hop, but half of them and nine in ten move as before


class Pace:
    """What half of the atoms, and nine in ten, have moved between the last frames.

    The numbers are larger for a frame that goes on from another restart file, or after atoms were
    displaced or numbered anew. Two nearly equal systems cannot be told apart.

    Parameters
    ----------
    r_cut : float
        Cutoff of the spectra: a displacement below a hundredth of it is never a departure.
    """

    def __init__(self, r_cut: float) -> None:
        self._r_cut = r_cut
        self._last: tuple[NDArray[np.float64], Box, int] | None = None
        self._paces: deque[tuple[int, NDArray[np.float64]]] = deque(maxlen=LOOK_BACK)

    @property
    def last_step(self) -> int | None:
        """Step of the last frame."""
        return None if self._last is None else self._last[2]

    def add(self, positions: NDArray[np.float64], box: Box, step: int) -> None:
        """Remember a frame: (n_atoms, 3) positions [length] in a box."""
        if self._last is not None:
            self._paces.append((step - self._last[2], self._moved(positions, box)))
        self._last = positions, box, step

    def departure(
        self, positions: NDArray[np.float64], box: Box, step: int, per_step: float = 0.0
    ) -> str:
        """Say how a frame departs from the pace of those before; empty if it follows them.

        Parameters
        ----------
        per_step : float
            How far atoms fly in a step at their velocities [length]; used with one frame only.
        """
        if self._last is None:
            return ""
        n_steps = step - self._last[2]
        found = self._moved(positions, box)
        if self._paces:
            usual = np.max([pace * max(1.0, n_steps / n) for n, pace in self._paces], axis=0)
        else:
            usual = np.full(len(_SHARES), per_step * n_steps)
            if not per_step:
                return ""
        # of few atoms a single one that hops is half of them
        least = (0.01 if len(positions) >= 8 else 0.5) * self._r_cut
        if (found <= np.maximum(_PLAUSIBLE * usual, least)).all():
            return ""
        return (
            f"half of the atoms have moved by more than {found[0]:.3g} and one in ten by more than "
            f"{found[1]:.3g}; expected were about {usual[0]:.3g} and {usual[1]:.3g}"
        )

    def _moved(self, positions: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
        """Return the shares of the displacements since the last frame, box aside [length]."""
        before, box_before, _ = self._last or (positions, box, 0)
        change = box.fractions(positions) - box_before.fractions(before)
        moved = np.linalg.norm(box.to_nearest_image(change), axis=1)
        return np.quantile(moved, _SHARES) if len(moved) else np.zeros(len(_SHARES))
