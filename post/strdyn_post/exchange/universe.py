"""Trajectories that MDAnalysis reads: XTC, TRR, DCD, GRO, PDB, LAMMPS data and more."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.elements import ATOMIC_NUMBERS
from strdyn_post.errors import TrajectoryError
from strdyn_post.quantities import in_picoseconds, length_unit

from .snapshot import Snapshot
from .trajectory import Trajectory, Unread

__all__ = ["UniverseFrames", "import_mdanalysis", "open_universe"]

# Columns of the section "Atoms # STYLE" of a LAMMPS data file; MDAnalysis expects those of "full".
_COLUMNS = {
    "atomic": "id type x y z",
    "charge": "id type charge x y z",
    **dict.fromkeys(("angle", "bond", "molecular"), "id resid type x y z"),
    "full": "id resid type charge x y z",
}


def import_mdanalysis(what: str) -> Any:
    """Return the package; ImportError, saying what needs it, if it is missing."""
    try:
        import MDAnalysis
    except ImportError as error:
        raise ImportError(
            f"{what} needs MDAnalysis: pip install 'strdyn-live[mdanalysis]'."
        ) from error
    return MDAnalysis


def open_universe(path: Path, topology: Path | None = None) -> Any:
    """Return the `MDAnalysis.Universe` of a trajectory.

    Raises
    ------
    TrajectoryError
        If a topology is needed, or a file cannot be read.
    ImportError
        If MDAnalysis is missing.
    """
    package = import_mdanalysis(f"to read {path.name}")
    files = [path] if topology is None else [topology, path]
    style = _atom_style(files[0])
    options = {"atom_style": style} if style else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what it guesses, and does not know
        try:
            return package.Universe(*map(str, files), **options)
        except Exception as error:  # of many kinds
            if topology is None and _needs_topology(path):
                raise _no_topology(str(path)) from error
            raise TrajectoryError(
                f"MDAnalysis cannot read {' with '.join(map(str, files))} ({_one_line(error)}): "
                "expected a trajectory and a topology of the same atoms."
            ) from error


class UniverseFrames(Trajectory):
    """The frames of a universe, of all atoms or of some of them.

    Atom IDs count the atoms from 1. Lengths are in Å. The step is that of the trajectory if it has
    one, and times are converted from ps to the unit of the run.

    Parameters
    ----------
    atoms : MDAnalysis.AtomGroup
        What the frames hold.
    elements : sequence of str
        Elements that the names of atoms may stand for, if the topology has no elements.
    units : str
        Unit style of the run.
    """

    def __init__(self, atoms: Any, elements: tuple[str, ...], units: str) -> None:
        if length_unit(units) not in ("Å", ""):
            raise TrajectoryError(
                f"units = {units!r}: MDAnalysis has lengths in Å, expected metal, real or lj."
            )
        self.atoms = atoms.universe.atoms[np.unique(atoms.indices)]
        self._reader = atoms.universe.trajectory
        self.name = str(getattr(self._reader, "filename", None) or "the universe")
        self._types, self._symbols = _kinds(self.atoms, elements, self.name)
        self._tick = in_picoseconds(units)
        self._clock = self._find_clock()
        self._crystal = _crystal(Path(self.name))

    @property
    def n_frames(self) -> int | None:
        """Number of frames."""
        return len(self._reader)

    def frames(self) -> Iterator[Unread]:
        """Yield the frames."""
        number, frames = 0, iter(self._reader)
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    moment = next(frames, None)
            except Exception as error:  # of many kinds
                raise TrajectoryError(
                    f"{self.name}: frame {number} cannot be read ({_one_line(error)}): the file "
                    "was cut off or is damaged there."
                ) from error
            if moment is None:
                break
            step, time = self._when(moment, number)
            yield Unread(step, partial(self._read, moment, step, time))
            number += 1
        n_frames = max(len(self._reader), _declared(Path(self.name)))
        if number < n_frames:
            raise TrajectoryError(
                f"{self.name} ends within frame {number} of {n_frames}: the file was cut off, or "
                "is still being written."
            )

    def _read(self, moment: Any, step: int | None, time: float | None) -> Snapshot:
        cell, dimensions = None, moment.dimensions
        if dimensions is None:
            dimensions = self._crystal
        if dimensions is not None and np.any(dimensions[:3]):
            from MDAnalysis.lib.mdamath import triclinic_vectors

            cell = triclinic_vectors(dimensions, dtype=np.float64)
        snapshot = Snapshot.of(
            self.atoms.positions,
            self._symbols,
            types=self._types,
            cell=cell,
            step=step,
            time=time,
        )
        return snapshot.wrapped()

    def _find_clock(self) -> tuple[int, int, float] | None:
        """Return first step, steps between frames and timestep of a DCD; None for others.

        MDAnalysis takes the times of a DCD to be in the unit of CHARMM; those that LAMMPS writes
        are in the unit of the run.
        """
        header = getattr(getattr(self._reader, "_file", None), "header", None)
        if not isinstance(header, dict) or not header.get("nsavc"):
            return None
        timestep = 0.0
        if "LAMMPS" in str(header.get("remarks", "")):
            timestep = float(str(np.float32(header["delta"])))  # 0.002, not 0.0020000000949
        return int(header["istart"]), int(header["nsavc"]), timestep

    def _when(self, moment: Any, number: int) -> tuple[int | None, float | None]:
        """Return step and time of a frame, None where the trajectory does not tell."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UserWarning)
            try:
                time: float | None = float(moment.time) / self._tick
            except UserWarning:  # "Reader has no dt information, set to 1.0 ps"
                time = None
        if self._clock is None:
            step = moment.data.get("step")
            return None if step is None else int(step), time
        start, every, timestep = self._clock
        step = start + number * every
        return step, step * timestep if timestep else time


def _kinds(
    atoms: Any, elements: tuple[str, ...], name: str
) -> tuple[NDArray[np.int64] | None, NDArray[np.str_] | None]:
    """Return LAMMPS types, or elements, of some atoms of a universe."""
    types = np.array(getattr(atoms, "types", []), dtype=str)
    if len(types) and all(each.isdigit() for each in types):
        return types.astype(np.int64), None
    known = np.array(getattr(atoms, "elements", []), dtype=str)
    known = np.array([each.capitalize() for each in known])
    if len(known) and all(each in ATOMIC_NUMBERS for each in known):
        return None, known
    names = np.array(getattr(atoms, "names", types), dtype=str)
    if len(names) == 0:
        raise _no_topology(name)
    found = {each: _element(each, elements) for each in sorted(set(names))}
    if unknown := [each for each, element in found.items() if not element]:
        given = f"one of the elements {' '.join(elements)}" if elements else "elements"
        raise TrajectoryError(
            f"the topology has no elements, but atoms with the names {', '.join(found)}: "
            f"{', '.join(unknown)} cannot be told to be {given}. Name all elements (elements='O "
            "H'); leave virtual sites out (atoms='not name MW')."
        )
    return None, np.array([found[each] for each in names])


def _element(name: str, elements: tuple[str, ...]) -> str:
    """Return the longest of some elements that a name begins with; empty if there is none.

    Without elements, a name must be one: "Cu", but not "CU", "CA" or "OW".
    """
    if not elements:
        return name if name in ATOMIC_NUMBERS else ""
    letters = re.sub(r"^[\d\s]+", "", name).lower()
    fitting = [each for each in elements if letters.startswith(each.lower())]
    return max(fitting, key=len, default="")


def _atom_style(topology: Path) -> str:
    """Return the columns of a LAMMPS data file, as MDAnalysis names them; empty if not known."""
    if topology.suffix.lower() == ".data":
        with open(topology, errors="replace") as lines:
            for line in lines:
                if line.startswith("Atoms"):
                    return _COLUMNS.get(line.partition("#")[2].strip(), "")
    return ""


def _no_topology(name: str) -> TrajectoryError:
    return TrajectoryError(
        f"{name} holds positions, but not what the atoms are: expected a topology. Give a file "
        "with the same atoms (-s run.data, .gro, .pdb, .tpr or .psf)."
    )


def _needs_topology(path: Path) -> bool:
    package = import_mdanalysis("to read trajectories")
    kind = path.suffix[1:].upper()
    return kind in package._READERS and kind not in package._PARSERS


def _declared(path: Path) -> int:
    """Return how many frames the header of a DCD counts; MDAnalysis leaves a broken last out."""
    if path.suffix.lower() != ".dcd":
        return 0
    with open(path, "rb") as file:
        start = file.read(12)
    order = "<" if start[:4] == b"T\0\0\0" else ">"
    return int(struct.unpack(f"{order}i", start[8:12])[0])


def _crystal(path: Path) -> list[float] | None:
    """Return lengths and angles of a PDB's box, which MDAnalysis does not give to later models."""
    if path.suffix.lower() != ".pdb" or not path.is_file():
        return None
    with open(path, errors="replace") as lines:
        for line in lines:
            if line.startswith("CRYST1"):
                edges = [
                    line[6:15],
                    line[15:24],
                    line[24:33],
                    line[33:40],
                    line[40:47],
                    line[47:54],
                ]
                found = [float(word) for word in edges]
                return None if found[:3] == [1.0, 1.0, 1.0] else found  # "no crystal"
            if line.startswith(("ATOM", "HETATM")):
                break
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
