"""One instant of a run: as a rank sees it, what it makes of it, and as it is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .basis import Basis
from .box import Box
from .neighbors import NeighborLists

__all__ = ["Frame", "LocalFrame", "Rows", "RunStart"]


@dataclass(frozen=True)
class RunStart:
    """Where the current ``run`` began, as LAMMPS knows it.

    Attributes
    ----------
    step : int
        Absolute timestep.
    time : float, optional
        LAMMPS's own time there.
    timestep : float
        Time between two steps.
    restart_step : int, optional
        Step of the restart file, where LAMMPS tells it: versions before May 2022 count their time
        from there.
    speed : float
        Root mean square of the atoms' velocities at the first frame [length/time]; 0 if unknown.
    """

    step: int
    time: float | None = None
    timestep: float = 0.0
    restart_step: int | None = None
    speed: float = 0.0


@dataclass(frozen=True)
class LocalFrame:
    """What one MPI rank knows of a timestep: its own atoms first, then its ghosts.

    Every array is a copy: nothing here moves when LAMMPS sorts or migrates its atoms.

    Attributes
    ----------
    step : int
        Absolute timestep.
    run_start : RunStart
        Where the current ``run`` began.
    time : float
        LAMMPS's time, in the time unit of the run.
    box : Box
        As it is now; its periodic directions are those along which LAMMPS makes images.
    box_changes : bool
        Whether a fix changes the box during the run.
    bounds : (2, 3) float64 ndarray
        Sub-domain of this rank, lower and upper, in fractions of the box vectors.
    n_owned : int
        Number of atoms this rank owns: the first rows of the arrays below.
    atom_ids : (n_local,) int64 ndarray
        Atom IDs; a ghost has the ID of the atom it is an image of.
    types : (n_local,) int32 ndarray
        LAMMPS atom types, counted from 1.
    positions : (n_local, 3) float64 ndarray
        Owned and ghost atoms as they lie in and around the sub-domain, never wrapped [length].
    centers : (n_centers,) int64 ndarray
        Rows of the owned atoms that are described.
    environment : (n_local,) bool ndarray
        Atoms that count as neighbors for LENS.
    """

    step: int
    run_start: RunStart
    time: float
    box: Box
    box_changes: bool
    bounds: NDArray[np.float64]
    n_owned: int
    atom_ids: NDArray[np.int64]
    types: NDArray[np.int32]
    positions: NDArray[np.float64]
    centers: NDArray[np.int64]
    environment: NDArray[np.bool_]

    @property
    def members(self) -> list[int]:
        """Number of owned centers and of owned environment atoms, and a hash of each set of IDs.

        The sums over all ranks tell whether the two groups have the same members as before.
        """
        environment = np.flatnonzero(self.environment[: self.n_owned])
        return [
            len(self.centers),
            len(environment),
            _hash(self.atom_ids[self.centers]),
            _hash(self.atom_ids[environment]),
        ]


@dataclass(frozen=True)
class Frame:
    """One instant as it is stored: described atoms, sorted by atom ID once it is committed.

    Attributes
    ----------
    step : int
        Absolute timestep.
    time : float
        Simulated time, in the time unit of the run.
    cell : (3, 3) float64 ndarray
        Box vectors as rows [length].
    origin : (3,) float64 ndarray
        Corner of the box [length].
    positions : (n_atoms, 3) float64 ndarray
        Positions of the centers [length].
    soap : (n_atoms, n_features) float32 ndarray
        Compact power spectra of unit norm. With a `basis`, (n_atoms, n_scores + 1): scores and
        residuals. Without columns where none are recorded.
    neighbors : NeighborLists
        Neighbor IDs of the centers within ``lens_r_cut``.
    basis : Basis, optional
        Of the scores.
    """

    step: int
    time: float
    cell: NDArray[np.float64]
    origin: NDArray[np.float64]
    positions: NDArray[np.float64]
    soap: NDArray[np.float32]
    neighbors: NeighborLists
    basis: Basis | None = None

    @property
    def spectra(self) -> NDArray[np.float32]:
        """Spectra, (n_atoms, n_features); of scores, what they make up."""
        return self.soap if self.basis is None else self.basis.expand(self.soap)

    def take(self, rows: NDArray[np.intp] | slice) -> Frame:
        """Return some of the atoms, in the order of `rows`."""
        if isinstance(rows, slice):
            rows = np.arange(len(self.positions))[rows]
        return replace(
            self,
            positions=self.positions[rows],
            soap=self.soap[rows],
            neighbors=self.neighbors.take(rows),
        )


@dataclass(frozen=True)
class Rows:
    """A frame, or a rank's part of it, with the identity of its rows.

    Attributes
    ----------
    atom_ids : (n_atoms,) int64 ndarray
        Atom IDs.
    species : (n_atoms,) int32 ndarray
        Index into the species of SOAP.
    frame : Frame
        What is stored of these atoms.
    """

    atom_ids: NDArray[np.int64]
    species: NDArray[np.int32]
    frame: Frame

    @classmethod
    def of(
        cls,
        frame: LocalFrame,
        species: NDArray[np.int32],
        soap: NDArray[np.float32],
        neighbors: NeighborLists,
    ) -> Rows:
        """Return the centers of a rank: `species` of all its atoms, the rest of the centers."""
        rows = frame.centers
        return cls(
            frame.atom_ids[rows],
            species[rows],
            Frame(
                frame.step,
                frame.time,
                frame.box.cell,
                frame.box.origin,
                frame.positions[rows],
                soap,
                neighbors,
            ),
        )

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Return some rows in the order given."""
        return Rows(self.atom_ids[rows], self.species[rows], self.frame.take(rows))


def _hash(atom_ids: NDArray[np.int64]) -> int:
    """Return a number that depends on every ID and not on their order; sums of parts add up."""
    mixed = atom_ids.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)  # SplitMix64
    return int(mixed.sum(dtype=np.uint64).view(np.int64))
