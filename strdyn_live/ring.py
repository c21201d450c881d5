"""The last frames of a run in memory: each rank keeps its own atoms, all of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .frame import LocalFrame
from .values import AtomValues

__all__ = ["ATOM", "Ring", "Snapshot"]

ATOM = np.dtype(
    [
        ("id", "<i8"),
        ("type", "<i4"),
        ("position", "<f8", 3),
        ("delta", "<f4"),
        ("environment", "<i4"),
    ]
)
"""What is kept of an atom, 44 bytes. Positions are those of the run, in float64: the frames can be
described again (``rerun``) with the same numbers."""


@dataclass(frozen=True)
class Snapshot:
    """The atoms that a rank owns, at one step.

    Attributes
    ----------
    step, time : int, float
        Timestep, and time of the run.
    box : Box
    atoms : (n_owned,) ndarray of ATOM
        δ is 0 and the environment −1 where they are not known.
    """

    step: int
    time: float
    box: Box
    atoms: NDArray[np.void]

    @classmethod
    def of(cls, frame: LocalFrame, values: AtomValues | None = None) -> Snapshot:
        """Copy what a rank owns.

        Parameters
        ----------
        frame : LocalFrame
        values : AtomValues, optional
            Of ``frame.centers``, in their order; None if the frame is not recorded.
        """
        owned = slice(frame.n_owned)
        atoms = np.zeros(frame.n_owned, dtype=ATOM)
        atoms["id"], atoms["type"] = frame.atom_ids[owned], frame.types[owned]
        atoms["position"], atoms["environment"] = frame.positions[owned], -1
        if values is not None:
            atoms["delta"][frame.centers] = values.delta
            atoms["environment"][frame.centers] = values.environment
        return cls(frame.step, frame.time, frame.box, atoms)


class Ring:
    """The last frames, the oldest of which gives way to a new one.

    Parameters
    ----------
    n_frames : int
        Frames kept; the memory is 44 bytes for each of them and each atom of this rank.
    """

    def __init__(self, n_frames: int) -> None:
        self._frames: deque[Snapshot] = deque(maxlen=n_frames)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def n_bytes(self) -> int:
        """Memory of the atoms in it."""
        return sum(frame.atoms.nbytes for frame in self._frames)

    def add(self, frame: Snapshot) -> None:
        """Keep a frame."""
        self._frames.append(frame)

    def take(self) -> list[Snapshot]:
        """Hand over all frames, the oldest first; none is left."""
        frames = list(self._frames)
        self._frames.clear()
        return frames
