"""One frame of a trajectory: every atom of a system, as a file or a program tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_live.box import Box
from strdyn_post.errors import TrajectoryError

__all__ = ["Snapshot"]

_FLAT = 1e-9  # volume of a box over the product of its edges


@dataclass(frozen=True)
class Snapshot:
    """All atoms of one instant, sorted by atom ID; make it by `of`.

    Attributes
    ----------
    positions : (n_atoms, 3) float64 ndarray
        Positions [length].
    atom_ids : (n_atoms,) int64 ndarray
        Atom IDs, increasing.
    symbols : (n_atoms,) str ndarray or None
        Chemical elements.
    types : (n_atoms,) int64 ndarray or None
        LAMMPS atom types, counted from 1.
    box : Box
        Box and periodic directions. Around atoms without a box it is the smallest one along x, y, z
        that holds them.
    has_vector : (bool, bool, bool)
        Directions in which the trajectory has a box vector.
    step, time : int, float or None
        Of the frame, where they are known.
    """

    positions: NDArray[np.float64]
    atom_ids: NDArray[np.int64]
    symbols: NDArray[np.str_] | None
    types: NDArray[np.int64] | None
    box: Box
    has_vector: tuple[bool, bool, bool]
    step: int | None
    time: float | None

    @classmethod
    def of(
        cls,
        positions: ArrayLike,
        symbols: Sequence[str] | NDArray[np.str_] | None = None,
        *,
        types: ArrayLike | None = None,
        cell: ArrayLike | None = None,
        periodic: Sequence[bool] | None = None,
        origin: ArrayLike = (0.0, 0.0, 0.0),
        atom_ids: ArrayLike | None = None,
        step: int | None = None,
        time: float | None = None,
    ) -> Snapshot:
        """Check and copy what is known of a frame.

        Parameters
        ----------
        positions : (n_atoms, 3) array_like of float
            Positions, inside the box or not [length].
        symbols : sequence of str, optional
            Chemical element of each atom.
        types : (n_atoms,) array_like of int, optional
            LAMMPS atom types, instead.
        cell : (3, 3) or (3,) array_like of float, optional
            Box vectors as rows, or the lengths of a box along x, y, z [length]. A vector of zeros:
            none in this direction.
        periodic : three bool, optional
            Periodic directions; by default those that have a box vector.
        origin : (3,) array_like of float
            Corner of the box [length].
        atom_ids : (n_atoms,) array_like of int, optional
            Atom IDs; by default 1 to n_atoms.
        step, time : int, float, optional
            Timestep, and time in the time unit of the run.

        Raises
        ------
        TrajectoryError
            For shapes that do not fit, repeated IDs, or a box that is not there.

        Examples
        --------
        >>> frame = Snapshot.of([[0, 0, 0], [0, 0, 2.5]], ["Cu", "Cu"], cell=[10, 10, 10])
        >>> frame.box.periodic, frame.atom_ids.tolist()
        ((True, True, True), [1, 2])
        """
        places = np.array(positions, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != 3 or len(places) == 0:
            raise TrajectoryError(
                f"positions have the shape {places.shape}: expected (n_atoms, 3), and an atom."
            )
        given = np.arange(1, len(places) + 1) if atom_ids is None else atom_ids
        ids = _column("atom IDs", given, np.int64, len(places))
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        if len(repeated := ids[1:][ids[1:] == ids[:-1]]):
            raise TrajectoryError(
                f"two atoms have the ID {repeated[0]}: expected IDs that are unique. Write the "
                "trajectory with the IDs of the simulation, or without IDs."
            )
        elements = None if symbols is None else _column("symbols", symbols, np.str_, len(places))
        kinds = None if types is None else _column("types", types, np.int64, len(places))
        return cls(
            places[order],
            ids,
            None if elements is None else elements[order],
            None if kinds is None else kinds[order],
            *_box(places, cell, periodic, np.array(origin, dtype=np.float64)),
            None if step is None else int(step),
            None if time is None else float(time),
        )

    def wrapped(self) -> Snapshot:
        """Return the frame with its atoms inside the box, along periodic directions."""
        return replace(self, positions=self.box.wrap(self.positions))

    def periodic_along(self, periodic: Sequence[bool]) -> Snapshot:
        """Return the frame with other periodic directions.

        Raises
        ------
        TrajectoryError
            If there is no box vector in one of them.
        """
        flags = np.array(periodic, dtype=bool)
        _require_vectors(flags, self.has_vector)
        return replace(self, box=replace(self.box, periodic=_three(flags)))

    def take(self, atom_ids: NDArray[np.int64]) -> Snapshot:
        """Return the atoms with some IDs; those that are not there are left out."""
        rows = np.flatnonzero(np.isin(self.atom_ids, atom_ids))
        return replace(
            self,
            positions=self.positions[rows],
            atom_ids=self.atom_ids[rows],
            symbols=None if self.symbols is None else self.symbols[rows],
            types=None if self.types is None else self.types[rows],
        )


def _column(what: str, values: ArrayLike, dtype: type[np.generic], n_atoms: int) -> NDArray[Any]:
    column = np.array(values).astype(dtype)
    if column.shape != (n_atoms,):
        raise TrajectoryError(
            f"{what} have the shape {column.shape}: expected one for each of {n_atoms} atoms."
        )
    return column


def _box(
    positions: NDArray[np.float64],
    cell: ArrayLike | None,
    periodic: Sequence[bool] | None,
    origin: NDArray[np.float64],
) -> tuple[Box, tuple[bool, bool, bool]]:
    """Return the box, closed around the atoms where it has no vector, and where it has one."""
    vectors = np.zeros((3, 3)) if cell is None else np.array(cell, dtype=np.float64)
    if vectors.shape == (3,):
        vectors = np.diag(vectors)
    if vectors.shape != (3, 3) or not np.isfinite(vectors).all():
        raise TrajectoryError(
            f"the box is {vectors.tolist()}: expected three box vectors of finite numbers."
        )
    has_vector: NDArray[np.bool_] = np.any(vectors != 0.0, axis=1)
    flags: NDArray[np.bool_] = has_vector if periodic is None else np.array(periodic, dtype=bool)
    _require_vectors(flags, has_vector)
    if not has_vector.all():
        from ase.cell import Cell

        complete: Any = Cell(vectors)  # type: ignore[no-untyped-call]
        vectors = np.array(complete.complete(), dtype=np.float64)
        fractions = (positions - origin) @ np.linalg.inv(vectors)
        low, high = fractions.min(axis=0), fractions.max(axis=0)
        origin = origin + np.where(has_vector, 0.0, low) @ vectors
        vectors *= np.where(has_vector, 1.0, np.maximum(high - low, 1.0))[:, None]
    if abs(np.linalg.det(vectors)) < _FLAT * np.prod(np.linalg.norm(vectors, axis=1)):
        raise TrajectoryError(
            f"the box vectors {vectors.tolist()} span no volume: expected a parallelepiped."
        )
    return Box(vectors, origin, _three(flags)), _three(has_vector)


def _require_vectors(periodic: NDArray[np.bool_], has_vector: ArrayLike) -> None:
    missing = np.flatnonzero(periodic & ~np.asarray(has_vector))
    if len(missing):
        raise TrajectoryError(
            f"the trajectory has no box vector along {' '.join('xyz'[k] for k in missing)}, which "
            "is to be periodic: expected a box. Write the trajectory with it, or give only "
            "directions that have one (periodic='none': no direction)."
        )


def _three(flags: NDArray[np.bool_]) -> tuple[bool, bool, bool]:
    x, y, z = flags.tolist()
    return x, y, z
