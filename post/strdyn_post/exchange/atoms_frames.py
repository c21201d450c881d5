"""Trajectories as `ase.Atoms`, or as snapshots: of a file that ASE reads, or from a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_post.errors import TrajectoryError

from .snapshot import Snapshot
from .trajectory import Trajectory, Unread

__all__ = ["AtomsFrames"]


class AtomsFrames(Trajectory):
    """Frames that are `ase.Atoms` or `Snapshot`.

    Step, time, corner of the box and IDs are those that `strdyn export --to extxyz` writes:
    ``info["step"]``, ``info["time"]``, ``info["Origin"]`` and the array ``id``.

    Parameters
    ----------
    frames : iterable of ase.Atoms or Snapshot
        It is read once for every call of `collect`, from its beginning.
    name : str
        For messages.
    """

    def __init__(self, frames: Iterable[Any], name: str = "the trajectory") -> None:
        self.name = name
        self._given = frames

    @classmethod
    def of_file(cls, path: Path) -> AtomsFrames:
        """Return the frames of a file.

        Raises
        ------
        TrajectoryError
            If ASE does not know its format.
        """
        from ase.io import iread
        from ase.io.formats import UnknownFileTypeError, filetype

        try:
            filetype(str(path), guess=False)
        except (UnknownFileTypeError, UnicodeDecodeError) as error:
            raise TrajectoryError(
                f"{path}: unknown format. Expected a LAMMPS dump in text form, a trajectory of "
                "MDAnalysis (.xtc, .trr, .dcd, .gro, .pdb, .data, …; with -s TOPOLOGY), extended "
                "XYZ, or another file that ASE reads."
            ) from error
        return cls(iread(str(path), index=":"), str(path))

    @property
    def n_frames(self) -> int | None:
        """Number of frames, of a list."""
        return len(self._given) if isinstance(self._given, Sized) else None

    def frames(self) -> Iterator[Unread]:
        """Yield the frames."""
        number, frames = 0, iter(self._given)
        while True:
            try:
                frame = next(frames, None)
            except Exception as error:  # of many kinds
                raise TrajectoryError(
                    f"{self.name}: frame {number} cannot be read ({' '.join(str(error).split())}): "
                    "the file was cut off or is damaged there."
                ) from error
            if frame is None:
                return
            if isinstance(frame, Snapshot):
                yield Unread(frame.step, partial(_same, frame))
            elif hasattr(frame, "get_chemical_symbols"):
                yield Unread(_step(frame), partial(_snapshot, frame))
            else:
                raise TrajectoryError(
                    f"frame {number} is a {type(frame).__name__}: expected ase.Atoms, or "
                    "strdyn_post.Snapshot."
                )
            number += 1


def _same(frame: Snapshot) -> Snapshot:
    return frame


def _step(atoms: Any) -> int | None:
    step = atoms.info.get("step")
    return None if step is None else int(step)


def _snapshot(atoms: Any) -> Snapshot:
    cell, periodic = np.array(atoms.cell), tuple(bool(flag) for flag in atoms.pbc)
    origin = np.array(atoms.info.get("Origin", np.zeros(3)), dtype=np.float64)
    snapshot = Snapshot.of(
        atoms.positions,
        atoms.get_chemical_symbols(),
        cell=cell,
        periodic=periodic,
        origin=origin,
        atom_ids=atoms.arrays.get("id"),
        step=_step(atoms),
        time=atoms.info.get("time"),
    )
    return snapshot.wrapped()
