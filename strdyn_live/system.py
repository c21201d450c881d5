"""What a recording follows: found before the first frame, and the same to the last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buffer import BufferWriter, check_start, writer_rows
from .config import LiveConfig
from .frame import LocalFrame, Rows, RunStart
from .lammps_io import (
    LammpsError,
    group_bits,
    is_minimizing,
    join_ranks,
    place_of_system,
    read_frame,
    squared_speeds,
)
from .neighbors import NeighborLists
from .parallel import Ranks

__all__ = ["System"]


@dataclass(frozen=True)
class System:
    """Ranks, groups and atoms of a recording.

    Attributes
    ----------
    config : LiveConfig
        Settings of the recording.
    ranks, writers : Ranks, Ranks or None
        All ranks; those that write, None on the others.
    group_bits : list of int
        Bits of the atom mask that stand for the groups of centers and of the environment.
    members : list of int
        Number and hash of the members of both groups (`LocalFrame.members`, of all ranks).
    n_atoms : int
        Atoms of the run.
    species_of_type : (n_types + 1,) int32 ndarray
        Index into the species of SOAP, by LAMMPS type (which counts from 1).
    atom_ids, species : (n_centers,) int64 and int32 ndarray
        All centers, sorted by ID, on the ranks that write; empty on the others.
    first_ids : list of int
        The first atom ID of each writer; 0 for the first one.
    periodic : (bool, bool, bool)
        Directions along which LAMMPS makes images.
    place : tuple of int
        Where in memory LAMMPS keeps the system.
    start : RunStart
        Step, time and speed of the atoms where this was found.
    """

    config: LiveConfig
    ranks: Ranks
    writers: Ranks | None
    group_bits: list[int]
    members: list[int]
    n_atoms: int
    species_of_type: NDArray[np.int32]
    atom_ids: NDArray[np.int64]
    species: NDArray[np.int32]
    first_ids: list[int]
    periodic: tuple[bool, bool, bool]
    place: tuple[int, ...]
    start: RunStart

    @classmethod
    def find(cls, lmp: Any, config: LiveConfig) -> System:
        """Check LAMMPS and the buffer against the settings (collective).

        Raises
        ------
        LammpsError, RankError
            If they do not fit.
        """
        ranks = join_ranks(lmp)
        with ranks.together():
            n_types = lmp.extract_global("ntypes")
            if len(config.elements) != n_types:
                raise LammpsError(
                    f"elements = {' '.join(config.elements)!r} names {len(config.elements)} atom "
                    f"types, but this run has {n_types}: give one name per type, as in pair_coeff."
                )
            if config.writers > ranks.size:
                raise LammpsError(
                    f"writers = {config.writers}, but this run has {ranks.size} ranks: expected "
                    "no more writers than ranks."
                )
        indices = [config.species.index(element) for element in config.elements]
        species_of_type = np.array([-1, *indices], dtype=np.int32)
        bits = group_bits(lmp, _groups(config), ranks)
        with ranks.together(n_sums=5, n_totals=1) as shared:
            frame = read_frame(lmp, *bits)
            n_mine = len(frame.centers)
            rows = Rows.of(
                frame,
                species_of_type[frame.types],
                np.empty((n_mine, 0), np.float32),
                NeighborLists.none_of(n_mine),
            )
            shared.sums[:] = [frame.n_owned, *frame.members]
            shared.totals[:] = squared_speeds(lmp)
        n_atoms, *members = shared.sums.tolist()
        speed = float(np.sqrt(shared.totals[0] / max(n_atoms, 1)))
        with ranks.alike():
            if config.writers > members[0]:
                raise LammpsError(
                    f"writers = {config.writers} for {members[0]} atoms: expected at most one "
                    "writer per atom."
                )
        kept = writer_rows(members[0], config.writers)
        places = [start for start, _ in kept]
        first_ids = [0, *ranks.nth_smallest(np.sort(rows.atom_ids), places[1:])]
        rows, _ = ranks.gather_by_id(rows, first_ids)
        with ranks.together():
            repeated = rows.atom_ids[1:][rows.atom_ids[1:] == rows.atom_ids[:-1]]
            if len(repeated):
                raise LammpsError(
                    f"two atoms have the ID {repeated[0]}: IDs must be unique. Put 'reset_atoms "
                    "id' before the run."
                )
        writers = ranks.first(config.writers)
        atom_ids, species = rows.atom_ids, rows.species
        if writers is not None:  # each file of a buffer names all its atoms
            atom_ids, species = writers.all_rows(atom_ids), writers.all_rows(species)
        system = cls(
            config=config,
            ranks=ranks,
            writers=writers,
            group_bits=bits,
            members=members,
            n_atoms=n_atoms,
            species_of_type=species_of_type,
            atom_ids=atom_ids,
            species=species,
            first_ids=first_ids,
            periodic=frame.box.periodic,
            place=place_of_system(lmp),
            start=replace(frame.run_start, speed=speed),
        )
        with ranks.together():
            if writers is not None:
                at_start = rows.frame if frame.step == system.start.step else None
                own = slice(*kept[writers.rank])
                check_start(config, system.start, at_start, own, **system._shared(lmp))
        return system

    @property
    def n_centers(self) -> int:
        """Number of centers of the run."""
        return self.members[0]

    def read(self, lmp: Any) -> tuple[System, LocalFrame]:
        """Read the current frame (collective).

        Returns
        -------
        System
            This one, with the bits that the groups have now.
        LocalFrame
            What this rank knows.

        Raises
        ------
        RankError
            If LAMMPS has another system now, or groups or boundaries are not those of the start.
        """
        system = self
        frame, members = self._read(lmp)
        if members != self.members:
            # a group that was deleted and defined again may have another bit
            system = replace(self, group_bits=group_bits(lmp, _groups(self.config), self.ranks))
            frame, members = system._read(lmp)
        with self.ranks.alike():
            self._require_same(members, frame)
        return system, frame

    def _read(self, lmp: Any) -> tuple[LocalFrame, list[int]]:
        with self.ranks.together(n_sums=len(self.members)) as shared:
            self._require_run(lmp)
            frame = read_frame(lmp, *self.group_bits)
            shared.sums[:] = frame.members
        return frame, shared.sums.tolist()

    def open_buffer(self, lmp: Any, every: int | None) -> BufferWriter:
        """Open the buffer (on the ranks that write, together); `every`: steps between frames."""
        writers = self.writers or Ranks()
        return BufferWriter(
            self.config,
            **self._shared(lmp),
            provenance={
                "lammps": lmp.version(),
                "n_ranks": self.ranks.size,
                **({} if every is None else {"every": every}),
            },
            writer=writers.rank,
            agree=lambda done: writers.max(not done) == 0,
        )

    def first_start(self, frame: LocalFrame) -> RunStart:
        """Return where the run of the first frame began, or an earlier one without the recorder."""
        if self.start.step < frame.run_start.step:
            return self.start
        return replace(frame.run_start, speed=self.start.speed)

    def _require_run(self, lmp: Any) -> None:
        """Raise LammpsError if LAMMPS has another system now, or minimizes."""
        if place_of_system(lmp) != self.place:
            raise LammpsError(
                "'clear' has removed the system that was recorded. Make a new Recorder, with "
                "another file, for the new system."
            )
        if is_minimizing(lmp):
            raise LammpsError(
                "'minimize' moves atoms without time, so its iterations are not frames. Minimize "
                "before you attach the recorder, or close it first and attach a new one, with "
                "another file, afterwards."
            )

    def _require_same(self, members: list[int], frame: LocalFrame) -> None:
        """Raise LammpsError if atoms or boundaries are not those of the start."""
        if frame.box.periodic != self.periodic:
            raise LammpsError(
                f"step {frame.step}: the periodic directions are {_axes(frame.box.periodic)} now, "
                f"at the start {_axes(self.periodic)}: the buffer holds one kind of boundary. "
                "Record to another file after 'change_box ... boundary'."
            )
        for k, group in enumerate(_groups(self.config)):
            setting = ("centers", "lens_environment")[k]
            n_now, n_then = members[k], self.members[k]
            if (n_now, members[k + 2]) != (n_then, self.members[k + 2]):
                found = (
                    f"has {n_now} atoms, at the start {n_then}"
                    if n_now != n_then
                    else f"has {n_now} atoms as at the start, but not the same ones"
                )
                raise LammpsError(
                    f"step {frame.step}: the group {group!r} ({setting}) {found}. Atoms that are "
                    "lost, added or change their group cannot be followed: give a group that keeps "
                    f"its members as {setting}."
                )

    def require_same_species(self, rows: Rows, kept: slice) -> None:
        """Raise LammpsError if a center has changed its species; `kept` are the writer's rows."""
        species = self.species[kept]
        changed = np.flatnonzero(rows.species != species)
        if len(changed):
            row = changed[0]
            names = self.config.species
            raise LammpsError(
                f"step {rows.frame.step}: atom ID {rows.atom_ids[row]} has changed its type from "
                f"{names[species[row]]} to {names[rows.species[row]]}: the buffer holds one "
                "species for each described atom. Leave such atoms out of the group of the centers "
                "(the atoms around them may change their type)."
            )

    def _shared(self, lmp: Any) -> dict[str, Any]:
        return {
            "atom_ids": self.atom_ids,
            "species": self.species,
            "units": lmp.extract_global("units"),
            "periodic": self.periodic,
        }


def _groups(config: LiveConfig) -> list[str]:
    return [config.centers, config.lens_environment]


def _axes(periodic: tuple[bool, bool, bool]) -> str:
    return " ".join(axis for axis, flag in zip("xyz", periodic, strict=True) if flag) or "none"
