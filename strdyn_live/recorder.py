"""The in-situ flow: LAMMPS → frame → SOAP and neighbor lists → rows by atom ID → buffer."""

from __future__ import annotations

import atexit
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from .buffer import BufferWriter, forecast, writer_rows
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
        self._writers: Ranks | None = None  # None on a rank that does not write
        self._writer: BufferWriter | None = None
        self._first_ids: list[int] = []
        self._timings = Timings()
        self._last_step: int | None = None
        self._error: BaseException | None = None
        self._closed = False
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
        if not self._closed:
            self._record_or_fail()
        self._raise_error()

    def close(self) -> None:
        """Seal the buffer; from now on nothing is recorded."""
        atexit.unregister(self.close)
        self._closed = True
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if self._writers is not None and self._writers.is_root:
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
        if self._ranks is None or not self._ranks.is_root:
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
        if not self._closed:
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
            try:
                self.close()
            except (OSError, ValueError) as error:  # to raise it would hide the first
                print(f"strdyn-live: not sealed: {error}", file=sys.stderr, flush=True)

    def _record(self) -> None:
        """Describe the current step and commit it: the whole in-situ flow (collective)."""
        ranks, section = self._ranks or self._begin(), self._timings.section
        with self._timings.frame(ranks):
            with ranks.together(), section("read"):
                frame = read_frame(self._lmp, self._centers_bit, self._environment_bit)
            if frame.step == self._last_step:
                return  # the last step of a run is the first of the next
            ending = self._check(frame, ranks)
            with ranks.together(), section("describe"):
                rows = self._describe(frame)
            with section("gather"):
                rows = ranks.gather_by_id(rows, self._first_ids or self._share_out(rows, ranks))
            with ranks.together(), section("write"):
                if self._writers is not None:
                    self._commit(frame, rows)
        self._last_step = frame.step
        if ending:
            self._end(ranks)

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
            if config.writers > ranks.size:
                raise LammpsError(
                    f"writers = {config.writers}, but this run has {ranks.size} ranks: expected "
                    "no more writers than ranks."
                )
        groups = [config.centers, config.lens_environment]
        self._centers_bit, self._environment_bit = group_bits(lmp, groups, ranks)
        self._writers = ranks.first(config.writers)
        self._termination = Termination()
        self._ranks = ranks
        return ranks

    def _check(self, frame: LocalFrame, ranks: Ranks) -> bool:
        """Raise on all ranks unless all atoms and ghosts are there; return whether to end here."""
        *counts, asked = ranks.sums(
            [frame.n_owned, len(frame.centers), frame.n_environment, self._termination.asked]
        ).tolist()
        first = self._last_step is None
        with ranks.together():
            if first:
                self._counts = counts
            elif counts != self._counts:
                raise LammpsError(
                    f"step {frame.step}: the run has {counts[0]} atoms, {counts[1]} centers and "
                    f"{counts[2]} environment atoms; it began with {self._counts[0]}, "
                    f"{self._counts[1]} and {self._counts[2]}. Atoms that are lost, added or "
                    "change their group cannot be followed: record a group that stays the same."
                )
        reach = max(self._soap.reach, self.config.lens_r_cut)
        skin = default_skin(self._lmp) if first else None
        check_ghost_shell(frame, reach, ranks, skin=skin)
        return bool(asked)

    def _share_out(self, rows: Rows, ranks: Ranks) -> list[int]:
        """Give every writer a range of atom IDs; return the first of each."""
        atom_ids, species = ranks.all_rows(rows.atom_ids), ranks.all_rows(rows.species)
        with ranks.together():
            order = np.argsort(atom_ids)
            self._atom_ids, self._species = atom_ids[order], species[order]
            repeated = self._atom_ids[1:][self._atom_ids[1:] == self._atom_ids[:-1]]
            if len(repeated):
                raise LammpsError(f"two atoms have the ID {repeated[0]}: IDs must be unique.")
            shares = writer_rows(len(atom_ids), self.config.writers)
            self._first_ids = [int(self._atom_ids[start]) for start, _ in shares]
        return self._first_ids

    def _commit(self, frame: LocalFrame, rows: Rows) -> None:
        """Append a frame to the buffer (on the ranks that write)."""
        opened = self._writer is None
        writer = self._writer or self._open(frame)
        expected = self._atom_ids[writer.rows]
        if not np.array_equal(rows.atom_ids, expected):
            lost, new = np.setdiff1d(expected, rows.atom_ids), np.setdiff1d(rows.atom_ids, expected)
            raise LammpsError(
                f"step {frame.step}: group {self.config.centers!r} has changed: it lost the atom "
                f"IDs {lost[:5].tolist()} and won {new[:5].tolist()}. Record a group that stays "
                "the same."
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
        if opened and self._writers is not None and self._writers.is_root:
            size = writer.bytes_written * self.config.writers
            print(
                f"strdyn-live: recording {len(self._atom_ids)} of {self._counts[0]} atoms, "
                f"{self._soap.n_features} SOAP components each, into {self.config.file}: "
                f"{size / 1e6:.3g} MB a frame, room for {forecast(self.config.file, size)} frames",
                *writer.notes,
                sep="\nstrdyn-live: ",
                flush=True,
            )

    def _open(self, frame: LocalFrame) -> BufferWriter:
        writers = self._writers or Ranks()
        self._writer = BufferWriter(
            self.config,
            atom_ids=self._atom_ids,
            species=self._species,
            units=self._lmp.extract_global("units"),
            periodic=(bool(frame.periodic[0]), bool(frame.periodic[1]), bool(frame.periodic[2])),
            branch_step=frame.run_start,
            provenance={
                "lammps": self._lmp.version(),
                "n_ranks": self._lmp.extract_setting("universe_size"),
            },
            writer=writers.rank,
            agree=lambda done: writers.max(not done) == 0,
        )
        return self._writer

    def _end(self, ranks: Ranks) -> None:
        """End the run in order, as SIGTERM asks for (collective)."""
        with ranks.together():
            self.close()
        stop_softly(self._lmp)
        if ranks.is_root:
            print(
                f"strdyn-live: SIGTERM: the buffer is sealed, the run ends at step "
                f"{self._last_step}.",
                flush=True,
            )
