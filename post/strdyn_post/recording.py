"""What an analysis needs of a recording: a buffer, a file of cpctools, or another object."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from strdyn_live.config import LiveConfig
from strdyn_live.neighbors import NeighborLists

__all__ = ["Recording"]


class Recording(Protocol):
    """Spectra, neighbor lists and positions of the same atoms, frame by frame.

    `strdyn_live.open_buffer` and `read_soapify` return such objects. You can also use an object of
    your own with these attributes and methods. It must pickle if the work is spread over
    processes.

    It may have more: ``every``, the steps between its regular frames, or ``intervals``, the same
    for each frame (0 where it is not known). Frames between the regular ones are then left out.
    ``soap_error``, how far a spectrum may be from the one that was computed: the report says it.
    """

    @property
    def steps(self) -> NDArray[np.int64]:
        """Timestep of every frame, increasing, shape (n_frames,)."""

    @property
    def times(self) -> NDArray[np.float64]:
        """Simulated time of every frame, shape (n_frames,) [time unit of the run]."""

    @property
    def atom_ids(self) -> NDArray[np.int64]:
        """Atom ID of every described atom, increasing, shape (n_atoms,)."""

    @property
    def species(self) -> NDArray[np.int32]:
        """Index into ``config.species`` of every described atom, shape (n_atoms,)."""

    @property
    def config(self) -> LiveConfig:
        """Settings of spectra and neighbor lists."""

    @property
    def units(self) -> str:
        """LAMMPS unit style: "metal", "real", "lj", …; times of "lj" have no unit."""

    @property
    def uuid(self) -> str:
        """Identity of the recording."""

    @property
    def path(self) -> Any:
        """Where it is stored; if it is not stored, a name for messages."""

    @property
    def periodic(self) -> tuple[bool, bool, bool]:
        """Periodic directions of the box."""

    def soap(self, k: int, /) -> NDArray[np.floating[Any]]:
        """Return the SOAP spectra of a frame, (n_atoms, n_features), of any norm above 0."""

    def neighbors(self, k: int, /) -> NeighborLists:
        """Return the neighbor lists of a frame, one for each of `atom_ids`, in their order."""

    def positions(self, k: int, /) -> NDArray[np.floating[Any]]:
        """Return the positions of a frame, (n_atoms, 3) [length]."""

    def box(self, k: int, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the box vectors of a frame as rows, (3, 3), and its origin, (3,) [length]."""
