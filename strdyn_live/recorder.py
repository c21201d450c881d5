"""A recording from the first call of LAMMPS to the sealed buffer: when what is done."""

from __future__ import annotations

import atexit
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from .config import ConfigError, LiveConfig
from .describe import reach_of
from .failure import attempt
from .in_situ import InSitu
from .lammps_callback import Callback
from .lammps_io import (
    LammpsError,
    connect,
    current_step,
    property_receiver,
    stop_softly,
    tell_log,
)
from .live import Happened, Live
from .messages import may_be_root, tell_once
from .reduction import Reduction
from .soap import Soap
from .system import System
from .termination import Termination
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
        self._in_situ: InSitu | None = None  # once the system is known
        self._every: int | None = None
        self._termination = Termination()
        self._error: BaseException | None = None
        self._closed = False
        self._ended = False
        atexit.register(self.close)

    @property
    def is_root(self) -> bool:
        """Whether this process is rank 0 of the run; False before the first check or frame."""
        return self._in_situ is not None and self._in_situ.ranks.is_root

    @property
    def _last_step(self) -> int | None:
        return None if self._in_situ is None else self._in_situ.last_step

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
            if not (callback and callback.is_alone):
                self._commit()  # where LAMMPS has failed in the middle of a run
            self._seal()
            self._raise_error()
        finally:
            if self._in_situ is not None:
                self._in_situ.end()
            if callback is not None:
                callback.detach()

    def analyse(self, *_: object, **__: object) -> NoReturn:
        """Close, then raise RuntimeError: the analysis is `strdyn_post.analyse_run`."""
        self.close()
        error = RuntimeError(
            "Recorder.analyse was taken out; the buffer is sealed, and nothing is lost. Write "
            "instead: from strdyn_post import analyse_run; analyse_run(sd, 'analysis.toml')"
        )
        self._tell(error, is_root=self.is_root if self._in_situ is not None else may_be_root())
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
        self._commit()
        if self._in_situ is not None and self._in_situ.has_news and not self._closed:
            self._attempt(self._hand_back)

    def _commit(self) -> None:
        if self._in_situ is not None and self._in_situ.is_pending:
            self._attempt(self._in_situ.commit)

    def _keep(self) -> None:
        self._begin().keep()

    def _attempt(self, work: Callable[[], object]) -> None:
        """Check or record; seal the buffer if the run cannot go on."""
        ranks = None if self._in_situ is None else self._in_situ.ranks
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

    def _begin(self) -> InSitu:
        """Check LAMMPS and the buffer against the settings, before the first frame (collective)."""
        if self._in_situ is None:
            system = System.find(self._lmp, self.config)
            self._in_situ = InSitu(
                self._lmp,
                system,
                soap=self._soap,
                reduction=self._reduction,
                live=self._live,
                every=self._every,
            )
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
        return self._in_situ

    def _record(self) -> None:
        """Record the current step: the whole in-situ flow (collective)."""
        in_situ = self._begin()
        if in_situ.record():
            in_situ.commit()
            self._hand_back(at_once=True)

    def _hand_back(self, *, at_once: bool = False) -> None:
        """Hand the values of a frame back, and act on what happened in it (collective)."""
        self._act(self._begin().hand_back(self._termination.asked, at_once=at_once))

    def _act(self, happened: list[Happened]) -> None:
        """Do what was asked for at events (on all ranks)."""
        say = self._begin().say
        for each in happened:
            if self.is_root and "print" in each.occurrence.actions:
                say(str(each))
                tell_log(f"strdyn-live: {each}")
        if any("halt" in each.occurrence.actions for each in happened):
            say(f"the run is ended by an event at step {self._last_step}.")
            stop_softly(self._lmp)
        say(*self._live.notes())

    def _end_if_asked(self) -> None:
        """End the run in order, if a signal has asked for it (collective)."""
        if self._in_situ is not None and self._in_situ.asked and not self._closed:
            self._attempt(self._end)

    def _end(self) -> None:
        in_situ, self._ended = self._begin(), True
        asked = signal.Signals(in_situ.asked)
        with in_situ.ranks.together():
            self._seal()
        stop_softly(self._lmp)
        if asked == signal.SIGINT and self._callback is not None:
            self._error = KeyboardInterrupt()
        in_situ.say(f"{asked.name}: the buffer is sealed, the run ends at step {self._last_step}.")

    def _seal(self) -> None:
        """Close the buffer for good."""
        self._closed = True
        self._termination.restore()
        self._live.close()
        if self._in_situ is not None:
            self._in_situ.seal()

    def _tell(self, error: BaseException, *, is_root: bool) -> None:
        if self._tells_errors:
            tell_once(error, is_root=is_root)
