"""Which reader a trajectory needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from strdyn_post.errors import TrajectoryError

from .atoms_frames import AtomsFrames
from .followed import View
from .lammps_dump import LammpsDump, is_dump
from .trajectory import Trajectory
from .universe import UniverseFrames, open_universe

__all__ = ["open_trajectory"]

# ASE reads the box and the boundaries of these; MDAnalysis does not.
_OF_ASE = {".xyz", ".extxyz", ".traj", ".cfg", ".cif"}
_OF_MDANALYSIS = {
    ".xtc", ".trr", ".dcd", ".gro", ".pdb", ".data", ".nc", ".ncdf", ".tng", ".trz", ".gsd",
    ".mdcrd", ".tpr", ".psf",
}  # fmt: skip


def open_trajectory(
    trajectory: Any, view: View, elements: str | Sequence[str], units: str
) -> Trajectory:
    """Return the frames of a file, a universe or an iterable.

    Parameters
    ----------
    trajectory : path, MDAnalysis.Universe, MDAnalysis.AtomGroup, or iterable
        As of `collect`.
    view : View
        Topology, and selection of the atoms: readers of MDAnalysis leave out the others.
    elements : str or sequence of str
        Given elements; may be empty.
    units : str
        Unit style of the run.

    Raises
    ------
    TrajectoryError
        If it is not there, of no known format, or lacks its topology.
    ImportError
        If the format needs a package that is missing.
    """
    if isinstance(trajectory, str | os.PathLike):
        path, topology = Path(trajectory), view.topology
        for each in filter(None, (path, topology)):
            if not each.is_file():
                found = "is no file" if each.exists() else "does not exist"
                raise TrajectoryError(f"{each} {found}: expected a trajectory. Check the path.")
        if is_dump(path):
            return LammpsDump(path)
        kind = path.suffix.lower()
        if kind in _OF_ASE or (topology is None and kind not in _OF_MDANALYSIS):
            return AtomsFrames.of_file(path)
        trajectory = open_universe(path, topology)
    if hasattr(trajectory, "select_atoms"):
        try:
            group = trajectory.select_atoms(view.atoms)
        except Exception as error:  # of many kinds
            raise TrajectoryError(
                f"atoms = {view.atoms!r} cannot be selected ({error}): expected the selection "
                "language of MDAnalysis, as in 'not name MW'."
            ) from error
        names = elements.split() if isinstance(elements, str) else elements
        return UniverseFrames(group, tuple(names), units)
    if isinstance(trajectory, Iterable):
        return AtomsFrames(trajectory)
    raise TrajectoryError(
        f"the trajectory is a {type(trajectory).__name__}: expected a path, an MDAnalysis Universe "
        "or AtomGroup, or an iterable of ase.Atoms or strdyn_post.Snapshot."
    )
