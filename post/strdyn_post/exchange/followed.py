"""What is followed along a trajectory: found in the first frame, and the same to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.config import LiveConfig
from strdyn_live.elements import ATOMIC_NUMBERS, by_atomic_number
from strdyn_live.frame import LocalFrame, RunStart
from strdyn_post.errors import ConfigError, TrajectoryError

from .selection import Selector
from .snapshot import Snapshot

__all__ = ["Followed", "View"]


@dataclass(frozen=True)
class View:
    """What of a trajectory is looked at.

    Attributes
    ----------
    atoms : str
        Selection of the atoms that there are.
    periodic : str, three bool, or None
        Periodic directions: letters of "xyz", "none", or flags; None for those of the trajectory.
    topology : path or None
        A file with what the atoms are.
    """

    atoms: str = "all"
    periodic: str | Sequence[bool] | None = None
    topology: Path | None = None

    @property
    def flags(self) -> tuple[bool, ...] | None:
        """The periodic directions; ConfigError if they are none."""
        given = self.periodic
        if given is None:
            return None
        if isinstance(given, str):
            letters = given.replace(" ", "")
            if given == "none" or (letters and not letters.strip("xyz")):
                return tuple(axis in letters and given != "none" for axis in "xyz")
        elif len(given) == 3:
            return tuple(bool(flag) for flag in given)
        raise ConfigError(
            f"periodic = {given!r}: expected directions such as 'xyz' or 'xy', or none."
        )


@dataclass(frozen=True)
class Followed:
    """Atoms and settings of a trajectory that is collected.

    Attributes
    ----------
    config : LiveConfig
        Settings of the buffer.
    by_type : bool
        Whether ``config.elements`` are by LAMMPS type.
    all_ids : (n_all,) int64 ndarray
        IDs of all atoms of a frame.
    centers : (n_atoms,) int64 ndarray
        Rows of the atoms that are described.
    environment : (n_all,) bool ndarray
        Atoms that count as neighbors.
    species : (n_atoms,) int32 ndarray
        Of the centers: index into ``config.species``.
    periodic : (bool, bool, bool)
        Periodic directions.
    only : (n_all,) int64 ndarray or None
        IDs of the atoms that are looked at; None for all, or if the reader leaves out the others.
    flags : three bool, or None
        The periodic directions that were asked for.
    """

    config: LiveConfig
    by_type: bool
    all_ids: NDArray[np.int64]
    centers: NDArray[np.int64]
    environment: NDArray[np.bool_]
    species: NDArray[np.int32]
    periodic: tuple[bool, bool, bool]
    only: NDArray[np.int64] | None
    flags: tuple[bool, ...] | None

    @classmethod
    def find(cls, first: Snapshot, group: Any, view: View, settings: dict[str, Any]) -> Followed:
        """Find atoms and species in the first frame.

        Parameters
        ----------
        first : Snapshot
            The first frame.
        group : MDAnalysis.AtomGroup or None
            Its atoms, if MDAnalysis reads the trajectory.
        view : View
            What is looked at.
        settings : dict
            Of `LiveConfig`; ``elements`` may be missing.

        Raises
        ------
        ValueError
            If settings, elements or selections do not fit.
        """
        flags = view.flags
        selector = Selector(first, group, view.topology)
        only = None
        if group is None and view.atoms != "all":
            only = selector.ids(view.atoms, "atoms")
        by_type = first.types is not None and bool(settings.get("elements"))
        first = _seen(first, only, flags)
        if not settings.get("elements"):
            settings = {**settings, "elements": _elements(first)}
        config = LiveConfig.from_mapping(settings)
        chosen = selector.ids(config.centers, "centers")
        neighbors = selector.ids(config.lens_environment, "lens_environment")
        found = cls(
            config,
            by_type,
            first.atom_ids,
            np.flatnonzero(np.isin(first.atom_ids, chosen)),
            np.isin(first.atom_ids, neighbors),
            np.empty(0, np.int32),
            first.box.periodic,
            only,
            flags,
        )
        return replace(found, species=found._species(first, "the first frame")[found.centers])

    @property
    def atom_ids(self) -> NDArray[np.int64]:
        """IDs of the centers, shape (n_atoms,)."""
        return self.all_ids[self.centers]

    def seen(self, snapshot: Snapshot) -> Snapshot:
        """Return what is looked at of a frame."""
        return _seen(snapshot, self.only, self.flags)

    def local_frame(
        self, snapshot: Snapshot, where: str, step: int, time: float, reach: float
    ) -> tuple[LocalFrame, NDArray[np.int32]]:
        """Return a frame with the images of its atoms, and the species of them all.

        Parameters
        ----------
        snapshot : Snapshot
            A frame.
        where : str
            Which one, for messages.
        step, time : int, float
            Of the frame.
        reach : float
            How far around the box images are needed [length].

        Raises
        ------
        TrajectoryError
            If atoms, species of centers or boundaries are not those of the first frame.
        """
        self._require_same(snapshot, where)
        species = self._species(snapshot, where)
        changed = np.flatnonzero(species[self.centers] != self.species)
        if len(changed):
            row, names = changed[0], self.config.species
            raise TrajectoryError(
                f"{where}: atom ID {self.atom_ids[row]} has changed from "
                f"{names[self.species[row]]} to {names[species[self.centers[row]]]}: expected one "
                "species for each described atom. Leave such atoms out of the centers."
            )
        positions, rows = snapshot.box.images(snapshot.positions, reach)
        frame = LocalFrame(
            step=step,
            run_start=RunStart(step),
            time=time,
            box=snapshot.box,
            box_changes=False,
            bounds=np.array([np.zeros(3), np.ones(3)]),
            n_owned=len(snapshot.atom_ids),
            atom_ids=snapshot.atom_ids[rows],
            types=species[rows] + np.int32(1),
            positions=positions,
            centers=self.centers,
            environment=self.environment[rows],
        )
        return frame, species[rows]

    def _require_same(self, snapshot: Snapshot, where: str) -> None:
        n_now, n_then = len(snapshot.atom_ids), len(self.all_ids)
        if n_now != n_then:
            raise TrajectoryError(
                f"{where} has {n_now} atoms, the first one {n_then}: expected the same atoms in "
                "all frames. Collect the frames before it (end), or a trajectory of atoms that "
                "stay."
            )
        if len(others := np.setdiff1d(snapshot.atom_ids, self.all_ids)):
            raise TrajectoryError(
                f"{where} has an atom with ID {others[0]}, which the first one has not: expected "
                "the same atoms in all frames."
            )
        if snapshot.box.periodic != self.periodic:
            raise TrajectoryError(
                f"{where} is periodic along {_axes(snapshot.box.periodic)}, the first one along "
                f"{_axes(self.periodic)}: the buffer holds one kind of boundary. Give the periodic "
                "directions, or collect these frames into another buffer."
            )
        nowhere = np.flatnonzero(~np.isfinite(snapshot.positions).all(axis=1))
        if len(nowhere):
            raise TrajectoryError(
                f"{where}: atom {snapshot.atom_ids[nowhere[0]]} is at "
                f"{snapshot.positions[nowhere[0]].tolist()}: expected finite numbers. The "
                "simulation has become unstable, or the file is damaged."
            )

    def _species(self, snapshot: Snapshot, where: str) -> NDArray[np.int32]:
        """Return the species of all atoms of a frame, (n_all,)."""
        config = self.config
        if self.by_type and snapshot.types is not None:
            types = snapshot.types
            if types.min() < 1 or types.max() > len(config.elements):
                raise TrajectoryError(
                    f"{where} has atom types from {types.min()} to {types.max()}, but elements = "
                    f"{' '.join(config.elements)!r} names {len(config.elements)}: give one name "
                    "per type, as in pair_coeff."
                )
            indices = [config.species.index(element) for element in config.elements]
            return np.array([-1, *indices], dtype=np.int32)[types]
        if snapshot.symbols is None:
            raise TrajectoryError(f"{where} does not tell the elements, as the first one does.")
        names, inverse = np.unique(snapshot.symbols, return_inverse=True)
        for name in names.tolist():
            if name not in config.species:
                raise TrajectoryError(
                    f"{where} has atoms of {name!r}, but elements = {' '.join(config.elements)!r}: "
                    "expected all elements of the trajectory. Name this one as well, or leave "
                    "these atoms out (atoms='not element ...')."
                )
        known = np.array([config.species.index(name) for name in names.tolist()], dtype=np.int32)
        return known[inverse.ravel()]


def _seen(
    snapshot: Snapshot, only: NDArray[np.int64] | None, flags: Sequence[bool] | None
) -> Snapshot:
    snapshot = snapshot if only is None else snapshot.take(only)
    return snapshot if flags is None else snapshot.periodic_along(flags)


def _elements(first: Snapshot) -> tuple[str, ...]:
    """Return the elements that a frame tells."""
    if first.symbols is None:
        kinds = "" if first.types is None else " " + ", ".join(map(str, np.unique(first.types)))
        raise TrajectoryError(
            f"elements not given: the trajectory has atom types{kinds}, which are no elements. "
            "Give one name per LAMMPS type, as in pair_coeff (elements='O H')."
        )
    names = np.unique(first.symbols).tolist()
    if unknown := [name for name in names if name not in ATOMIC_NUMBERS]:
        raise TrajectoryError(
            f"the trajectory has atoms of {unknown[0]!r}: expected symbols of chemical elements. "
            "Write it with elements, or leave these atoms out (atoms='not name ...')."
        )
    return by_atomic_number(names)


def _axes(periodic: tuple[bool, bool, bool]) -> str:
    return " ".join(axis for axis, flag in zip("xyz", periodic, strict=True) if flag) or "none"
