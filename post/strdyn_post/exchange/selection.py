"""Selections of atoms in the language of MDAnalysis."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.box import lengths_and_angles
from strdyn_post.errors import TrajectoryError

from .snapshot import Snapshot
from .universe import import_mdanalysis, open_universe

__all__ = ["Selector"]


class Selector:
    """Selects atoms of the first frame; the selection holds for all frames.

    Parameters
    ----------
    first : Snapshot
        The first frame.
    atoms : MDAnalysis.AtomGroup, optional
        The same atoms, if MDAnalysis reads the trajectory and is at this frame.
    topology : path, optional
        Otherwise: a file with more to select by, such as molecules and names. Without one, atoms
        have ``id``, ``index``, ``type``, ``element``, ``name`` and a place.
    """

    def __init__(self, first: Snapshot, atoms: Any = None, topology: Path | None = None) -> None:
        self._first = first
        self._atoms = atoms
        self._topology = topology

    def ids(self, words: str, name: str) -> NDArray[np.int64]:
        """Return the IDs of the selected atoms; `name` is that of the setting.

        Raises
        ------
        TrajectoryError
            If the selection is not understood, or no atom is selected.
        ImportError
            If MDAnalysis is missing; ``all`` does not need it.
        """
        if words == "all":
            return self._first.atom_ids
        if self._atoms is None:
            self._atoms = self._make_atoms(f"{name} = {words!r}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                chosen = self._atoms.select_atoms(words)
            except Exception as error:  # of many kinds
                raise TrajectoryError(
                    f"{name} = {words!r} cannot be selected ({' '.join(str(error).split())}): "
                    "expected the selection language of MDAnalysis, as in 'type 1', 'name O*' or "
                    "'prop z > 20'."
                ) from error
        selected = np.isin(self._atoms.indices, chosen.indices)
        if not selected.any():
            raise TrajectoryError(
                f"{name} = {words!r} selects no atom of the first frame: expected at least one. "
                f"There are {self._known()}."
            )
        return self._first.atom_ids[selected]

    def _make_atoms(self, what: str) -> Any:
        package, first = import_mdanalysis(what), self._first
        if self._topology is not None:
            universe = open_universe(self._topology)
            if len(universe.atoms) != len(first.atom_ids):
                raise TrajectoryError(
                    f"{self._topology} has {len(universe.atoms)} atoms, the trajectory "
                    f"{len(first.atom_ids)}: expected a topology of the same atoms."
                )
            ids = np.asarray(getattr(universe.atoms, "ids", first.atom_ids))
            same = np.array_equal(np.sort(ids), first.atom_ids)
            order = np.argsort(ids) if same else np.arange(len(ids))
        else:
            universe = package.Universe.empty(len(first.atom_ids))
            universe.add_TopologyAttr("ids", first.atom_ids)
            if first.symbols is not None:
                universe.add_TopologyAttr("names", first.symbols)
                universe.add_TopologyAttr("elements", first.symbols)
            kinds = first.symbols if first.types is None else first.types.astype(str)
            universe.add_TopologyAttr("types", kinds)
            order = np.arange(len(first.atom_ids))
        positions = np.empty((1, len(order), 3), dtype=np.float32)
        positions[0, order] = first.positions
        universe.load_new(positions, dimensions=lengths_and_angles(first.box.cell)[None])
        return universe.atoms[order]

    def _known(self) -> str:
        found = []
        for attribute in ("types", "names", "elements", "resnames"):
            values = np.unique(np.asarray(getattr(self._atoms, attribute, []), dtype=str))
            if len(values):
                found.append(f"{attribute} {', '.join(values[:12].tolist())}")
        return "; ".join(found)
