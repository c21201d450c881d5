"""What a source of frames is: a name, and frames that are read one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .snapshot import Snapshot

__all__ = ["Trajectory", "Unread"]


class Unread(NamedTuple):
    """A frame that is not read yet.

    Attributes
    ----------
    step : int or None
        Its timestep, if the trajectory tells one.
    read : callable
        Reads it; only until the next frame is asked for.
    """

    step: int | None
    read: Callable[[], Snapshot]


class Trajectory(ABC):
    """Frames in order, streamed: never more than one is in memory.

    Attributes
    ----------
    name : str
        For messages.
    units : str or None
        Unit style of LAMMPS, if the trajectory tells it.
    atoms : MDAnalysis.AtomGroup or None
        The atoms, if MDAnalysis reads them.
    """

    name: str
    atoms: Any = None
    units: str | None = None

    @property
    @abstractmethod
    def n_frames(self) -> int | None:
        """How many frames there are, or about how many; None if nobody knows."""

    @abstractmethod
    def frames(self) -> Iterator[Unread]:
        """Yield the frames, from the first on.

        Raises
        ------
        TrajectoryError
            Where the trajectory ends too early, or cannot be read.
        """
