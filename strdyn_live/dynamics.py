"""Dynamics: each frame compared with the one an interval before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frame import Frame
from .lens import lens
from .live_model import LiveModel
from .neighbors import NeighborLists
from .values import AtomValues

__all__ = ["Dynamics"]


@dataclass(frozen=True)
class _Past:
    """What is kept of a frame: its lists, spectra for a model, and its environments."""

    neighbors: NeighborLists
    soap: NDArray[np.float32] | None
    environment: NDArray[np.int32]


@dataclass(frozen=True)
class _Newest:
    """The newest frame, and what was said of it."""

    step: int
    said: tuple[AtomValues, NDArray[np.int32]]


class Dynamics:
    """Compares the frames of a run as they come; held by a rank that writes.

    The frames of the last interval are kept, as neighbor lists, and as spectra if there is a model.

    Parameters
    ----------
    interval : int or None
        Steps between the two frames that are compared; None: any frame with the one before it.
        With a model: `LiveModel.interval`, asked again where the timestep changes.
    model : LiveModel or None
        Labels the frames.

    Attributes
    ----------
    previous_step : int or None
        Step of the frame that the newest one was compared with; None if there was none.

    Examples
    --------
    One of four neighbors is replaced within 10 steps: 2 of 8 IDs are in one list only.

    >>> from strdyn_live.neighbors import NeighborLists
    >>> def frame(step, *ids):
    ...     lists = NeighborLists(np.array([0, 4]), np.array(ids))
    ...     nothing = np.zeros((1, 3))
    ...     return Frame(step, 0.0, np.eye(3), np.zeros(3), nothing, np.ones((1, 1), "f4"), lists)
    >>> dynamics = Dynamics(10, None)
    >>> dynamics.update(frame(0, 2, 3, 4, 5))[0].delta
    array([0.])
    >>> dynamics.update(frame(10, 2, 3, 4, 6))[0].delta
    array([0.25])
    """

    def __init__(self, interval: int | None, model: LiveModel | None) -> None:
        self._interval = interval
        self._model = model
        self._past: dict[int, _Past] = {}
        self._newest: _Newest | None = None
        self.previous_step: int | None = None

    def seed(self, frames: Iterable[Frame]) -> None:
        """Go on with a recording after a restart.

        Parameters
        ----------
        frames : iterable of Frame
            The last stored frames, by step. Those of one interval give the next frame its δ and its
            environments; those of two intervals also the environments before.
        """
        for frame in frames:
            self.update(frame)

    def update(self, frame: Frame) -> tuple[AtomValues, NDArray[np.int32]]:
        """Compare a frame with the one exactly an interval before.

        For the newest frame once more, as at the step of a restart, the answer is the same.

        Parameters
        ----------
        frame : Frame
            Rows of the same atoms, in the same order, as all frames before.

        Returns
        -------
        values : AtomValues
            `AtomValues.unknown` if there is no such frame.
        before : (n_atoms,) int32 ndarray
            Environments of the same atoms as they were at that frame; −1 if not known.
        """
        if self._newest is not None and frame.step == self._newest.step:
            return self._newest.said
        n_atoms = len(frame.neighbors)
        step = self.previous_step = self._compared(frame.step)
        values = AtomValues.unknown(n_atoms)
        before = values.environment
        if step is not None:
            past = self._past[step]
            before = past.environment
            delta = lens(past.neighbors, frame.neighbors)
            values = AtomValues(delta, values.environment, values.distance)
            if self._model is not None and past.soap is not None:
                values = AtomValues(delta, *self._model.label(past.soap, delta))
        self._keep(frame, values.environment)
        self._newest = _Newest(frame.step, (values, before))
        return values, before

    def _compared(self, step: int) -> int | None:
        """Return the step of the frame to compare with; None if there is none."""
        if self._interval is None:
            return max((each for each in self._past if each < step), default=None)
        before = step - self._interval
        return before if before in self._past else None

    def _keep(self, frame: Frame, environment: NDArray[np.int32]) -> None:
        """Keep a frame, and forget those that no later frame is compared with."""
        # frames of this step and later ones: the run has gone back, as after a restart
        oldest = frame.step if self._interval is None else frame.step - self._interval + 1
        self._past = {
            step: past for step, past in self._past.items() if oldest <= step < frame.step
        }
        soap = None if self._model is None else frame.spectra
        self._past[frame.step] = _Past(frame.neighbors, soap, environment)
