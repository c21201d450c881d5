"""Frames on their way: described or stored beside LAMMPS, and news for the atoms of now."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .basis import Basis
from .frame import LocalFrame, Rows
from .lammps_io import owned_centers, place_of_system
from .live import Happened
from .parallel import Route
from .system import System
from .values import AtomValues

__all__ = ["News", "Pending", "Stored"]


@dataclass(frozen=True)
class Pending:
    """A frame on its way: described or stored beside LAMMPS.

    Attributes
    ----------
    frame : LocalFrame
        What this rank knows.
    system : System
        As it was then.
    basis : Basis or None
        Basis of the scores in `rows`; None: they are spectra.
    rows : Future of Rows, optional
        Of this rank; or what went wrong in making them.
    stored : Future of Stored, optional
        On one rank, instead of `rows`.
    """

    frame: LocalFrame
    system: System
    basis: Basis | None
    rows: Future[Rows] | None = None
    stored: Future[Stored] | None = None


class Stored(NamedTuple):
    """A frame that is committed: its rows, sorted, their way back, and whether it is new."""

    rows: Rows
    route: Route
    is_new: bool


@dataclass(frozen=True)
class News:
    """What a committed frame says, for those who wait for it.

    Attributes
    ----------
    system : System
        As it was in this frame.
    centers : (n_centers,) int64 ndarray or None
        Rows of the centers of this rank; None where they are not known any more.
    mine : AtomValues
        Of these.
    atom_ids : (n_rows,) int64 ndarray
        Sorted IDs of the rows that this rank has gathered.
    values : AtomValues
        Of these.
    happened : list of Happened
        Events to act on.
    """

    system: System
    centers: NDArray[np.int64] | None
    mine: AtomValues
    atom_ids: NDArray[np.int64]
    values: AtomValues
    happened: list[Happened]

    def moved(self, lmp: Any, *, is_wanted: bool) -> News:
        """Return this for the atoms that each rank owns now (collective).

        An atom that has come to the group meanwhile gets the values of a first frame.

        Parameters
        ----------
        lmp : lammps.lammps
            The running LAMMPS. After ``clear`` there is no atom to give values to.
        is_wanted : bool
            Whether anything on this rank takes them.
        """
        ranks, nobody = self.system.ranks, np.empty(0, dtype=np.int64)
        with ranks.together(n_maxima=1) as shared:
            is_there = place_of_system(lmp) == self.system.place
            centers, wanted = (
                owned_centers(lmp, self.system.group_bits[0]) if is_there else (nobody, nobody)
            )
            shared.maxima[0] = is_wanted and is_there
        if not shared.maxima[0]:
            return replace(self, centers=None)
        unknown = AtomValues.unknown(1).columns[0]
        columns = ranks.ask_by_id(
            wanted, self.system.first_ids, self.atom_ids, self.values.columns, unknown
        )
        return replace(self, centers=centers, mine=AtomValues.of_columns(columns))
