"""The in-situ flow: LAMMPS → frame → SOAP and neighbor lists → rows by atom ID → buffer."""

from __future__ import annotations

import atexit
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from .basis import Basis
from .beside import Beside
from .buffer import BufferWriter, forecast, frame_bytes
from .config import ConfigError, LiveConfig
from .describe import describe, reach_of
from .failure import attempt
from .frame import LocalFrame, Rows
from .ghost_shell import check_ghost_shell, check_images
from .lammps_callback import Callback
from .lammps_io import (
    LammpsError,
    connect,
    current_step,
    default_skin,
    property_receiver,
    stop_softly,
    tell_log,
)
from .live import Happened, Live
from .messages import may_be_root, tell_once
from .parallel import Ranks, Route
from .pending import News, Pending, Stored
from .reduction import Reduction
from .soap import Soap
from .system import System
from .termination import Termination
from .timings import SHARED, Timings
from .values import FrameValues

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

    _tells_errors = True  # itself; LAMMPS does it where a fix of LAMMPS calls
    _can_restart = False  # a fix can

    def __init__(self, config: LiveConfig | None = None, **settings: Any) -> None:
        try:
            self.config = config or LiveConfig.from_mapping(settings)
            self._soap = Soap.of(self.config)
            self._soap.check()
            self._reduction = Reduction(self.config)
            self._live = Live(self.config)
        except ValueError as error:
            self._tell(error, is_root=may_be_root())
            raise
        self._lmp: Any = None
        self._callback: Callback | None = None
        self._system: System | None = None
        self._writer: BufferWriter | None = None
        self._every: int | None = None
        self._certain_shell = 0.0  # width of the ghost shell that LAMMPS guarantees, if known
        self._timings = Timings()
        self._termination = Termination()
        self._beside = Beside(has_thread=self.config.overlap)
        self._pending: Pending | None = None  # is described
        self._news: News | None = None  # is committed, and not handed back yet
        self._last_step: int | None = None
        self._asked = 0  # signal that tells the run to end
        self._error: BaseException | None = None
        self._closed = False
        self._ended = False
        atexit.register(self.close)

    @property
    def is_root(self) -> bool:
        """Whether this process is rank 0 of the run; False before the first check or frame."""
        return self._system is not None and self._system.ranks.is_root

    @property
    def values(self) -> FrameValues:
        """Dynamics of the newest frame, the same on all ranks."""
        return self._live.values

    @property
    def reach(self) -> float:
        """Distance from a center up to which atoms count [length]."""
        return reach_of(self._soap, self.config)

    def attach(self, lmp: Any, every: int) -> Recorder:
        """Record at every step that is a multiple of `every`, and at the start of each run.

        Call it on all ranks, once the system is defined and after any minimization. It checks all
        that can be known before the run, and compares a restarted run with the stored frame.

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
        self._lmp, self._every = lmp, every
        interval = self._live.every(every)
        self._attempt(self._begin)
        try:
            self._raise_error()
            self._callback = Callback(lmp, interval, self._called_back, self._returned)
        except BaseException:
            self.close()
            raise
        return self

    def __call__(self, pointer: Any) -> None:
        """Record the current step: what ``fix python/invoke`` calls.

        Between runs, where ``python ... invoke`` calls it, it checks all that can be known before.
        """
        if self._lmp is None:
            try:
                self._lmp = connect(pointer)
            except LammpsError as error:
                self._tell(error, is_root=may_be_root())
                raise
        if self._ended:
            stop_softly(self._lmp)
        elif not self._closed:
            self._attempt(self._begin)
            if self._lmp.is_running and not self._closed:
                self._take(*current_step(self._lmp))
        self._raise_error()

    def close(self) -> None:
        """Seal the buffer; from now on nothing is recorded."""
        atexit.unregister(self.close)
        callback, self._callback = self._callback, None
        try:
            if self._pending is not None and not (callback and callback.is_alone):
                self._attempt(self._finish)  # LAMMPS has failed in the middle of a run
            self._seal()
            self._raise_error()
        finally:
            self._beside.end()
            if callback is not None:
                callback.detach()

    def analyse(self, *_: object, **__: object) -> NoReturn:
        """Close, then raise RuntimeError: the analysis is `strdyn_post.analyse_run`."""
        self.close()
        error = RuntimeError(
            "Recorder.analyse was taken out; the buffer is sealed, and nothing is lost. Write "
            "instead: from strdyn_post import analyse_run; analyse_run(sd, 'analysis.toml')"
        )
        self._tell(error, is_root=self.is_root if self._system is not None else may_be_root())
        raise error

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _called_back(self) -> None:
        """Record the current step: what LAMMPS as a library calls."""
        if not self._closed:
            self._take(*current_step(self._lmp))
        if self._ended or self._error is not None:
            stop_softly(self._lmp)

    def _returned(self) -> None:
        """Complete what a run has left, and raise what went wrong: after a command of LAMMPS."""
        self._settle()
        self._raise_error()

    def _settle(self) -> None:
        """Complete the last frame of a run."""
        self._complete()
        self._end_if_asked()

    def _take(self, step: int, starts: bool = False) -> None:
        """Complete the frame before; then record a step, or keep its atoms for an event."""
        self._complete()
        if self._closed:
            return
        if starts or self._live.due(step):
            self._attempt(self._record)
        elif self._live.keeps(step):
            self._attempt(self._keep)
        self._end_if_asked()

    def _complete(self) -> None:
        """Commit the frame that is described, and hand back its values, if there is one."""
        if self._pending is not None:
            self._attempt(self._finish)
        if self._news is not None and not self._closed:
            self._attempt(self._hand_back)

    def _keep(self) -> None:
        """Keep the atoms of a step that is not recorded (collective)."""
        system = self._begin()
        self._system, frame = system.read(self._lmp)
        self._live.keep(frame)

    def _attempt(self, work: Callable[[], object]) -> None:
        """Check or record; seal the buffer if the run cannot go on."""
        ranks = None if self._system is None else self._system.ranks
        may_drop = self.config.on_error == "drop" and self._last_step is not None
        error = attempt(work, self._lmp, ranks, may_drop=may_drop)
        if error is None:
            return
        self._tell(error, is_root=self._lmp.extract_setting("world_rank") == 0)
        self._error = error
        try:
            self._seal()
        except (OSError, ValueError) as second:  # to raise it would hide the first
            print(f"strdyn-live: not sealed: {second}", file=sys.stderr, flush=True)

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _record(self) -> None:
        """Read the current step and have it described: the whole in-situ flow (collective).

        With `overlap` the rest is done when LAMMPS calls the next time, but at the first frame. One
        rank sends nothing, so its frames are also committed beside LAMMPS.
        """
        system, section = self._begin(), self._timings.section
        at_once = not self.config.overlap or self._last_step is None or bool(self._asked)
        with self._timings.frame():
            with section("read"):
                self._system, frame = system.read(self._lmp)
            if frame.step == self._last_step:
                return  # the last step of a run is the first of the next
            self._check(frame, system)
            with section("describe"):
                basis, start = self._reduction.next_basis, self._beside.start
                if system.ranks.size > 1 or at_once:
                    rows = start(partial(self._describe, frame, system, basis))
                    self._pending = Pending(frame, system, basis, rows=rows)
                else:
                    stored = start(partial(self._store, frame, system))
                    self._pending = Pending(frame, system, basis, stored=stored)
        if at_once:
            self._finish()
            self._hand_back(at_once=True)

    def _store(self, frame: LocalFrame, system: System) -> Stored:
        """Describe and commit a frame of one rank."""
        rows, route = self._gather(system, partial(self._describe, frame, system))
        with system.ranks.together():
            return Stored(rows, route, self._commit(frame, rows, system))

    def _finish(self) -> None:
        """Commit the frame that is described, and find what happens in it (collective)."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        frame, system, section = pending.frame, pending.system, self._timings.section
        ranks = system.ranks
        is_new: bool | None = None
        with self._timings.frame():
            if pending.stored is None:
                rows, route = self._gather(system, partial(self._rows_of, pending))
            else:
                with section("describe"):
                    rows, route, is_new = pending.stored.result()
            del pending  # what it holds may be large
            with ranks.together(**self._live.shared_sizes) as shared:
                if is_new is None:
                    is_new = self._commit(frame, rows, system)
                with section("follow"):
                    seen = self._live.look(frame, rows, self._writer, shared, again=not is_new)
            self._reduction.resume(self.config.file, rows.frame, ranks)
            with section("follow"):
                mine, happened = self._live.follow(
                    frame, rows, route, system, self._writer, seen, shared
                )
        self._last_step = frame.step
        self._news = News(system, frame.centers, mine, rows.atom_ids, seen.values, happened)
        self._say(*self._reduction.take_notes())

    def _begin(self) -> System:
        """Check LAMMPS and the buffer against the settings, before the first frame (collective)."""
        if self._system is None:
            self._system = system = System.find(self._lmp, self.config)
            with system.ranks.together():
                self._live.begin(system, self._lmp.extract_global("units"))
                if not self._can_restart and self._live.asks_for("restart"):
                    raise ConfigError(
                        "an event with 'do restart' needs 'fix strdyn': from Python, LAMMPS cannot "
                        "write a restart file in the middle of a run. Take 'restart' out, or use "
                        "the fix."
                    )
                if self.config.overlap and self._every is None:
                    raise ConfigError(
                        "overlap = yes with 'fix python/invoke': there LAMMPS keeps the lock of "
                        "Python while it runs, so nothing can be described beside it. Use 'fix "
                        "strdyn' or Recorder.attach, or take overlap out."
                    )
                if receiver := property_receiver(self._lmp):
                    self._live.receivers.append(receiver)
            self._termination.watch()
        return self._system

    def _check(self, frame: LocalFrame, system: System) -> None:
        """Raise on all ranks unless the ghosts are complete and in their place (collective)."""
        if frame.box_changes:
            check_images(frame, system.ranks)
        if self._certain_shell >= self.reach:
            return
        skin = default_skin(self._lmp) if self._last_step is None else None
        if uncertain := check_ghost_shell(frame, self.reach, system.ranks, skin=skin):
            self._say(uncertain)

    def _describe(self, frame: LocalFrame, system: System, basis: Basis | None = None) -> Rows:
        """Describe the centers that this rank owns, in full or by scores."""
        species = system.species_of_type[frame.types]
        return describe(frame, species, self._soap, self.config, basis=basis)

    def _rows_of(self, pending: Pending, basis: Basis | None) -> Rows:
        """Return the rows of this rank by a basis, as they are described beside LAMMPS or anew."""
        if pending.rows is not None and basis is pending.basis:
            return pending.rows.result()
        return self._describe(pending.frame, pending.system, basis)

    def _gather(
        self, system: System, describe_by: Callable[[Basis | None], Rows]
    ) -> tuple[Rows, Route]:
        """Hand described rows to the ranks that write; return those of this rank (collective)."""
        with self._timings.section("describe"):
            described = self._reduction.of_rows(describe_by, system.ranks)
        with self._timings.section("gather"):
            return system.ranks.gather_by_id(described, system.first_ids)

    def _commit(self, frame: LocalFrame, rows: Rows, system: System) -> bool:
        """Append a frame to the buffer; return False where it is stored already."""
        if system.writers is None:
            return True
        with self._timings.section("write"):
            return self._append(frame, rows, system)

    def _append(self, frame: LocalFrame, rows: Rows, system: System) -> bool:
        opened = self._writer is None
        writer = self._writer = self._writer or system.open_buffer(self._lmp, self._every)
        writer.run_start = system.first_start(frame) if opened else frame.run_start
        with (system.writers or Ranks()).together():  # the other writers would wait for this one
            system.require_same_species(rows, writer.rows)
        is_new = writer.append(rows.frame)
        if opened and self.is_root:
            n_atoms, n_columns = system.n_centers, rows.frame.soap.shape[1]
            mean = rows.frame.neighbors.counts.mean()
            size = frame_bytes(n_atoms, n_columns, mean)
            usual = frame_bytes(n_atoms, self.config.stored.n_columns(n_columns), mean)
            reduced = f", {usual / 1e6:.3g} MB once scores are stored" if usual < size else ""
            beside = "described beside LAMMPS and committed one interval later, "
            self._say(
                f"recording {n_atoms} of {system.n_atoms} atoms, {n_columns} SOAP components "
                f"each, into {self.config.file}: {size / 1e6:.3g} MB a frame{reduced}, "
                f"{beside if self.config.overlap else ''}room for "
                f"{forecast(self.config.file, usual)} frames",
                *writer.notes,
            )
        return is_new

    def _hand_back(self, *, at_once: bool = False) -> None:
        """Hand the values of a frame back, and act on what happened in it (collective).

        Unless it is done at once, atoms have moved between ranks meanwhile.
        """
        news, self._news = self._news, None
        if news is None:
            return
        ranks = news.system.ranks
        if not at_once:
            news = news.moved(self._lmp, is_wanted=bool(self._live.receivers))
        sizes = {**SHARED, "n_maxima": SHARED["n_maxima"] + 1}
        with ranks.together(**sizes) as shared:
            with self._timings.section("follow"):
                if news.centers is not None:
                    self._live.hand_back(news.centers, news.mine)
            self._timings.share(shared)
            shared.maxima[-1] = self._termination.asked
        self._timings.take(shared, ranks.size)
        self._asked = int(shared.maxima[-1])
        self._act(news.happened)

    def _act(self, happened: list[Happened]) -> None:
        """Do what was asked for at events (on all ranks)."""
        for each in happened:
            if self.is_root and "print" in each.occurrence.actions:
                self._say(str(each))
                tell_log(f"strdyn-live: {each}")
        if any("halt" in each.occurrence.actions for each in happened):
            self._say(f"the run is ended by an event at step {self._last_step}.")
            stop_softly(self._lmp)
        self._say(*self._live.notes())

    def _end_if_asked(self) -> None:
        """End the run in order, if a signal has asked for it (collective)."""
        if self._asked and not self._closed:
            self._attempt(self._end)

    def _end(self) -> None:
        asked, self._ended = signal.Signals(self._asked), True
        with (Ranks() if self._system is None else self._system.ranks).together():
            self._seal()
        stop_softly(self._lmp)
        if asked == signal.SIGINT and self._callback is not None:
            self._error = KeyboardInterrupt()
        self._say(f"{asked.name}: the buffer is sealed, the run ends at step {self._last_step}.")

    def _seal(self) -> None:
        """Close the buffer for good, and say what is in it."""
        self._closed = True
        self._termination.restore()
        self._live.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            self._say(
                f"{writer.n_frames} frames in {self.config.file}, the last of step "
                f"{writer.last_step}\n{self._timings.table()}"
            )

    def _tell(self, error: BaseException, *, is_root: bool) -> None:
        if self._tells_errors:
            tell_once(error, is_root=is_root)

    def _say(self, *lines: str) -> None:
        if self.is_root and lines:
            print(*(f"strdyn-live: {line}" for line in lines), sep="\n", flush=True)
