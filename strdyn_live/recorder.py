"""The in-situ flow: LAMMPS → frame → SOAP and neighbor lists → rows by atom ID → buffer."""

from __future__ import annotations

import atexit
import sys
import traceback
from typing import Any

import numpy as np

from .buffer import BufferWriter
from .config import LiveConfig
from .frame import Frame, LocalFrame, Rows
from .ghost_shell import check_ghost_shell
from .lammps_io import (
    LammpsError,
    attach_callback,
    connect,
    default_skin,
    group_bits,
    join_ranks,
    raise_after_commands,
    read_frame,
    stop_softly,
)
from .parallel import RankError, Ranks, abort
from .soap import Soap

__all__ = ["Recorder"]


class Recorder:
    """Record SOAP spectra and neighbor lists of a LAMMPS run into a buffer.

    In an input script of a LAMMPS with the PYTHON package::

        python sd here "from strdyn_live import Recorder; sd = Recorder(r_cut=6.0, &
                        elements='Cu', file='run.sdl')"
        fix sd all python/invoke 500 end_of_step sd

    With LAMMPS as a Python module::

        with Recorder(r_cut=6.0, elements="Cu", file="run.sdl").attach(lmp, every=500):
            lmp.command("run 100000")

    Parameters
    ----------
    config : LiveConfig, optional
        Ready settings.
    **settings
        The fields of `LiveConfig`, instead.

    Raises
    ------
    ConfigError
        If a setting is missing, unknown or out of range.
    """

    def __init__(self, config: LiveConfig | None = None, **settings: Any) -> None:
        self.config = config or LiveConfig.from_mapping(settings)
        self._soap = Soap(
            self.config.species,
            self.config.r_cut,
            self.config.n_max,
            self.config.l_max,
            self.config.sigma,
            self.config.backend,
        )
        # index into the species of SOAP, by LAMMPS type (which counts from 1)
        indices = [self.config.species.index(element) for element in self.config.elements]
        self._species_of_type = np.array([-1, *indices], dtype=np.int32)
        self._lmp: Any = None
        self._ranks: Ranks | None = None
        self._writer: BufferWriter | None = None
        self._last_step: int | None = None
        self._error: BaseException | None = None
        atexit.register(self.close)

    def attach(self, lmp: Any, every: int) -> Recorder:
        """Record at every step that is a multiple of `every`, and at the start of each run.

        Call it on all ranks, once the system is defined and after any minimization.
        """
        self._lmp = lmp
        raise_after_commands(lmp, self._raise_error)
        attach_callback(lmp, every, self._called_back)
        return self

    def __call__(self, pointer: Any) -> None:
        """Record the current step: what ``fix python/invoke`` calls."""
        if self._lmp is None:
            self._lmp = connect(pointer)
        self._record_or_fail()
        self._raise_error()

    def close(self) -> None:
        """Seal the buffer; the recorder records no more."""
        atexit.unregister(self.close)
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _called_back(self) -> None:
        if self._error is None:
            self._record_or_fail()
        if self._error is not None:
            stop_softly(self._lmp)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _record_or_fail(self) -> None:
        """Record; if that fails, all ranks know it afterwards."""
        try:
            self._record()
        except RankError as error:
            if self.config.on_error == "drop" and self._last_step is not None:
                if self._ranks is not None and self._ranks.is_root:
                    print(f"strdyn-live: frame dropped: {error}", file=sys.stderr, flush=True)
                return
            self._error = error
        except BaseException as error:
            # Not agreed on: the other ranks may wait for this one forever.
            if self._lmp.extract_setting("universe_size") > 1:
                traceback.print_exc()
                abort(self._ranks)
            self._error = error
        if self._error is not None:
            self.close()

    def _record(self) -> None:
        """Describe the current step and commit it: the whole in-situ flow (collective)."""
        ranks = self._ranks or self._begin()
        with ranks.together():
            frame = read_frame(self._lmp, self._centers_bit, self._environment_bit)
        if frame.step == self._last_step:
            return  # the last step of a run is the first of the next
        self._check(frame, ranks)
        with ranks.together():
            species = self._species_of_type[frame.types]
            spectra, neighbors = self._soap.describe(frame, species, self.config.lens_r_cut)
            spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
        rows = ranks.gather_by_id(
            Rows(
                frame.atom_ids[frame.centers],
                species[frame.centers],
                frame.positions[frame.centers],
                spectra.astype(np.float32),
                neighbors,
            )
        )
        with ranks.together():
            if ranks.is_root:
                self._commit(frame, rows)
        self._last_step = frame.step

    def _begin(self) -> Ranks:
        """Check LAMMPS against the settings, before the first frame."""
        lmp, config = self._lmp, self.config
        ranks = join_ranks(lmp)
        with ranks.together():
            n_types = lmp.extract_global("ntypes")
            if len(config.elements) != n_types:
                raise LammpsError(
                    f"elements = {' '.join(config.elements)!r} names {len(config.elements)} atom "
                    f"types, but this run has {n_types}: give one name per type, as in pair_coeff."
                )
        groups = [config.centers, config.lens_environment]
        self._centers_bit, self._environment_bit = group_bits(lmp, groups, ranks)
        self._ranks = ranks
        return ranks

    def _check(self, frame: LocalFrame, ranks: Ranks) -> None:
        """Raise on all ranks unless all atoms are still there, and all ghosts."""
        counts = ranks.sums([frame.n_owned, len(frame.centers), frame.n_environment])
        first = self._last_step is None
        with ranks.together():
            if first:
                self._counts = counts
            elif (counts != self._counts).any():
                raise LammpsError(
                    f"step {frame.step}: the run has {counts[0]} atoms, {counts[1]} centers and "
                    f"{counts[2]} environment atoms; it began with {self._counts[0]}, "
                    f"{self._counts[1]} and {self._counts[2]}. Atoms that are lost, added or "
                    "change their group cannot be followed: record a group that stays the same."
                )
        reach = max(self._soap.reach, self.config.lens_r_cut)
        skin = default_skin(self._lmp) if first else None
        check_ghost_shell(frame, reach, ranks, skin=skin)

    def _commit(self, frame: LocalFrame, rows: Rows) -> None:
        """Append a frame to the buffer (on the root)."""
        if self._writer is None:
            self._writer = self._open(rows)
            self._atom_ids = rows.atom_ids
        elif not np.array_equal(rows.atom_ids, self._atom_ids):
            lost = np.setdiff1d(self._atom_ids, rows.atom_ids)
            new = np.setdiff1d(rows.atom_ids, self._atom_ids)
            raise LammpsError(
                f"step {frame.step}: group {self.config.centers!r} has changed: it lost the atom "
                f"IDs {lost[:5].tolist()} and won {new[:5].tolist()}. Record a group that stays "
                "the same."
            )
        self._writer.append(
            Frame(
                step=frame.step,
                time=frame.time,
                cell=frame.cell,
                origin=frame.origin,
                positions=rows.positions,
                soap=rows.soap,
                neighbors=rows.neighbors,
            )
        )

    def _open(self, rows: Rows) -> BufferWriter:
        repeated = rows.atom_ids[1:][rows.atom_ids[1:] == rows.atom_ids[:-1]]
        if len(repeated):
            raise LammpsError(f"two atoms have the ID {repeated[0]}: IDs must be unique.")
        writer = BufferWriter(
            self.config,
            atom_ids=rows.atom_ids,
            species=rows.species,
            units=self._lmp.extract_global("units"),
        )
        print(
            f"strdyn-live: recording {len(rows.atom_ids)} of {self._counts[0]} atoms, "
            f"{self._soap.n_features} SOAP components each, into {self.config.file}",
            flush=True,
        )
        return writer
