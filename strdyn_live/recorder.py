"""The in-situ flow: LAMMPS → frame → SOAP and neighbor lists → rows by atom ID → buffer."""

from __future__ import annotations

import atexit
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .buffer import BufferWriter, forecast, frame_bytes
from .config import LiveConfig
from .frame import Frame, LocalFrame, Rows
from .ghost_shell import check_ghost_shell, check_images
from .lammps_callback import Callback
from .lammps_io import (
    LammpsError,
    connect,
    default_skin,
    group_bits,
    read_frame,
    stop_softly,
)
from .messages import may_be_root, tell_once
from .parallel import RankError, Ranks, abort
from .soap import Soap
from .system import System
from .termination import Termination
from .timings import Timings

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
    ValueError
        If a setting is missing, unknown, out of range, or no basis for SOAP.
    """

    def __init__(self, config: LiveConfig | None = None, **settings: Any) -> None:
        try:
            self.config = config or LiveConfig.from_mapping(settings)
            self._soap = Soap(
                self.config.species,
                self.config.r_cut,
                self.config.n_max,
                self.config.l_max,
                self.config.sigma,
                self.config.backend,
            )
            self._soap.check()
        except ValueError as error:
            tell_once(error, is_root=may_be_root())
            raise
        # index into the species of SOAP, by LAMMPS type (which counts from 1)
        indices = [self.config.species.index(element) for element in self.config.elements]
        self._species_of_type = np.array([-1, *indices], dtype=np.int32)
        self._lmp: Any = None
        self._callback: Callback | None = None
        self._system: System | None = None
        self._bits: list[int] = []
        self._writer: BufferWriter | None = None
        self._timings = Timings()
        self._termination = Termination()
        self._last_step: int | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._ended = False
        atexit.register(self.close)

    def attach(self, lmp: Any, every: int) -> Recorder:
        """Record at every step that is a multiple of `every`, and at the start of each run.

        Call it on all ranks, once the system is defined and after any minimization. What can be
        known beforehand is checked here; a restarted run is compared with the stored frame.

        Raises
        ------
        RankError, LammpsError
            If the settings do not fit the system, or the buffer cannot be written there.
        """
        if self._closed or self._lmp is not None:
            raise LammpsError(
                f"this Recorder is {'closed' if self._closed else 'attached already'}: expected a "
                "new one. Make another, with another file, or with append=True to go on."
            )
        self._lmp = lmp
        self._work_or_fail(self._begin)
        try:
            self._raise_error()
            self._callback = Callback(lmp, every, self._called_back, self._raise_error)
        except BaseException:
            self.close()
            raise
        return self

    def __call__(self, pointer: Any) -> None:
        """Record the current step: what ``fix python/invoke`` calls.

        Between runs, where ``python ... invoke`` calls it, what can be known beforehand is checked.
        """
        if self._lmp is None:
            try:
                self._lmp = connect(pointer)
            except LammpsError as error:
                tell_once(error, is_root=may_be_root())
                raise
        if self._ended:
            stop_softly(self._lmp)
        elif not self._closed:
            self._work_or_fail(self._record if self._lmp.is_running else self._begin)
        self._raise_error()

    def close(self) -> None:
        """Seal the buffer; from now on nothing is recorded."""
        atexit.unregister(self.close)
        callback, self._callback = self._callback, None
        try:
            self._seal()
        finally:
            if callback is not None:
                callback.detach()

    def _seal(self) -> None:
        self._closed = True
        self._termination.restore()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if self._system is not None and self._system.ranks.is_root:
            print(
                f"strdyn-live: {writer.n_frames} frames in {self.config.file}, "
                f"the last of step {writer.last_step}\n{self._timings.table()}",
                flush=True,
            )

    def analyse(self, settings: str | None = None, output: str | None = None) -> None:
        """Close, then analyse on rank 0 what was recorded, as ``strdyn analyse`` does.

        The one place that reaches for the offline half: the end of an input script.

        Parameters
        ----------
        settings : str, optional
            Path of an ``analysis.toml``.
        output : str, optional
            Folder of results and report; by default ``NAME-analysis``.
        """
        self.close()
        if self._system is None or not self._system.ranks.is_root:
            return
        from strdyn_post import AnalysisConfig
        from strdyn_post.watch import analyse_into

        from .buffer import open_buffer

        file = Path(self.config.file)
        analyse_into(
            open_buffer(file),
            AnalysisConfig.from_toml(settings) if settings else None,
            Path(output) if output else file.with_name(f"{file.stem}-analysis"),
        )

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _called_back(self) -> None:
        """Record the current step: what LAMMPS as a library calls."""
        if not self._closed:
            self._work_or_fail(self._record)
        if self._ended or self._error is not None:
            stop_softly(self._lmp)

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work_or_fail(self, work: Callable[[], object]) -> None:
        """Record or check; if that fails, all ranks know it afterwards."""
        try:
            work()
            return
        except RankError as error:
            if (
                self.config.on_error == "drop"
                and self._last_step is not None
                and not error.ends_run
            ):
                if self._system is not None and self._system.ranks.is_root:
                    print(f"strdyn-live: frame dropped: {error}", file=sys.stderr, flush=True)
                return
            self._error = error
        except BaseException as error:
            # Not agreed on: the other ranks may wait for this one forever.
            if self._lmp.extract_setting("universe_size") > 1:
                traceback.print_exc()
                abort(None if self._system is None else self._system.ranks)
            self._error = error
        tell_once(self._error, is_root=self._lmp.extract_setting("world_rank") == 0)
        try:
            self._seal()
        except (OSError, ValueError) as error:  # to raise it would hide the first
            print(f"strdyn-live: not sealed: {error}", file=sys.stderr, flush=True)

    def _record(self) -> None:
        """Describe the current step and commit it: the whole in-situ flow (collective)."""
        system, section = self._system or self._begin(), self._timings.section
        ranks = system.ranks
        with self._timings.frame(ranks):
            with section("read"):
                frame = self._read(system)
            if frame.step == self._last_step:
                return  # the last step of a run is the first of the next
            self._check(frame, system)
            with ranks.together(), section("describe"):
                rows = self._describe(frame)
            with section("gather"):
                rows = ranks.gather_by_id(rows, system.first_ids)
            with ranks.together(), section("write"):
                if system.writers is not None:
                    self._commit(frame, rows, system)
        self._last_step = frame.step
        self._end_if_asked(ranks)

    def _begin(self) -> System:
        """Check LAMMPS and the buffer against the settings, before the first frame (collective)."""
        if self._system is None:
            self._system = System.find(self._lmp, self.config, self._species_of_type)
            self._bits = self._system.group_bits
            self._termination.watch()
        return self._system

    def _read(self, system: System) -> LocalFrame:
        """Read the frame with the groups as they are; raise if they have other members now."""
        for attempt in (1, 2):
            with system.ranks.together():
                system.require_run(self._lmp)
                frame = read_frame(self._lmp, *self._bits)
            members = system.ranks.sums(frame.members).tolist()
            if members == system.members or attempt == 2:
                break
            # a group that was deleted and defined again may have another bit
            self._bits = group_bits(self._lmp, system.groups, system.ranks)
        with system.ranks.together():
            system.require_same(members, frame)
        return frame

    def _check(self, frame: LocalFrame, system: System) -> None:
        """Raise on all ranks unless the ghosts are complete and in their place (collective)."""
        if frame.box_changes:
            check_images(frame, system.ranks)
        first = self._last_step is None
        uncertain = check_ghost_shell(
            frame,
            max(self._soap.reach, self.config.lens_r_cut),
            system.ranks,
            skin=default_skin(self._lmp) if first else None,
        )
        if uncertain and system.ranks.is_root:
            print(f"strdyn-live: {uncertain}", flush=True)

    def _describe(self, frame: LocalFrame) -> Rows:
        """Describe the centers that this rank owns."""
        species = self._species_of_type[frame.types]
        spectra, neighbors = self._soap.describe(frame, species, self.config.lens_r_cut)
        spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
        centers = frame.centers
        return Rows(
            frame.atom_ids[centers],
            species[centers],
            frame.positions[centers],
            spectra.astype(np.float32),
            neighbors,
        )

    def _commit(self, frame: LocalFrame, rows: Rows, system: System) -> None:
        """Append a frame to the buffer (on the ranks that write)."""
        opened = self._writer is None
        if self._writer is None:
            self._writer = system.open_buffer(self._lmp, self.config)
        writer = self._writer
        writer.run_start = system.first_start(frame) if opened else frame.run_start
        changed = np.flatnonzero(rows.species != system.species[writer.rows])
        if len(changed):
            raise LammpsError(
                f"step {frame.step}: atom ID {rows.atom_ids[changed[0]]} has changed its type from "
                f"{self.config.species[system.species[writer.rows][changed[0]]]} to "
                f"{self.config.species[rows.species[changed[0]]]}: the buffer holds one species "
                "for each described atom. Leave such atoms out of the group of the centers (the "
                "atoms around them may change their type)."
            )
        writer.append(
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
        if opened and system.ranks.is_root:
            n_atoms, n_neighbors = len(system.atom_ids), rows.neighbors.counts.mean()
            size = frame_bytes(n_atoms, self._soap.n_features, n_neighbors)
            print(
                f"strdyn-live: recording {n_atoms} of {system.n_atoms} atoms, "
                f"{self._soap.n_features} SOAP components each, into {self.config.file}: "
                f"{size / 1e6:.3g} MB a frame, room for {forecast(self.config.file, size)} frames",
                *writer.notes,
                sep="\nstrdyn-live: ",
                flush=True,
            )

    def _end_if_asked(self, ranks: Ranks) -> None:
        """End the run in order, where a signal asks for it (collective)."""
        asked = int(ranks.max(self._termination.asked))
        if not asked:
            return
        name = signal.Signals(asked).name
        self._ended = True
        with ranks.together():
            self._seal()
        stop_softly(self._lmp)
        if asked == signal.SIGINT and self._callback is not None:
            self._error = KeyboardInterrupt()
        if ranks.is_root:
            print(
                f"strdyn-live: {name}: the buffer is sealed, the run ends at step "
                f"{self._last_step}.",
                flush=True,
            )
