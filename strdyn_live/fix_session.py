"""A recording that the LAMMPS command ``fix ID group strdyn N key value ...`` drives."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buffer import open_buffer
from .buffer.errors import APPEND, FORCE
from .config import ConfigError, LiveConfig
from .frame import LocalFrame
from .in_situ import InSitu
from .lammps_io import LammpsError, connect, read_frame, stop_softly
from .live import Happened
from .recorder import Recorder
from .rehearsal import ASKED, measure
from .system import System
from .values import AtomValues

__all__ = ["FixSession"]

_BETWEEN = "\x1f"
_AS_WORDS = {APPEND: "append yes", FORCE: "append force"}
_N_GLOBAL = 4  # values of all atoms together, before the populations
_WAVE_VECTORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 3, 5]], dtype=np.float64)
_WAVE_LENGTH = 10.0  # where there is no box length to divide by
_SAME_WAVES = 1e-9  # per atom: rounding of sums over other numbers of ranks


class FixSession(Recorder):
    """The recorder behind the fix style: its methods are what the C++ of the plugin calls.

    Every method takes a text first and returns something that `str` makes into an answer. What it
    raises becomes an error of LAMMPS, on all ranks.

    Parameters
    ----------
    pointer : PyCapsule
        LAMMPS.
    text : str
        Group, number of this partition and of all, N, and the words of the fix.
    keeps_lock : int
        Whether LAMMPS keeps the lock of Python between calls.
    """

    _tells_errors = False
    _can_restart = True

    def __init__(self, pointer: Any, text: str, keeps_lock: int = 0) -> None:
        group, world, n_worlds, every, *words = text.split(_BETWEEN)
        if not every.isdecimal() or int(every) == 0:
            raise ConfigError(
                f"N = {every!r}: expected a number of steps from 1 on, as in "
                "'fix sd all strdyn 500 r_cut 6.0 elements Cu file run.sdl'."
            )
        try:
            config = LiveConfig.from_words([*words, "centers", group])
        except ConfigError as error:
            if "'centers' is given twice" not in str(error):
                raise
            raise ConfigError(
                "'centers' is the group of the fix: take the word out, and give the group as "
                "'fix ID group strdyn ...'."
            ) from None
        if config.overlap and keeps_lock:
            raise ConfigError(
                "overlap yes: this LAMMPS has started Python itself (package PYTHON), and keeps "
                "its lock while it runs, so nothing can be described beside it. Take overlap out, "
                "or use a LAMMPS without that package, or Recorder.attach."
            )
        # replicas run the same script: each writes a buffer of its own
        super().__init__(replace(config, file=config.file.replace("%p", world)))
        self._n_worlds = int(n_worlds)
        self._every = int(every)
        self._interval = self._live.every(self._every)
        self._live.receivers.append(self._receive)
        numbers = () if self._live.model is None else self._live.model.numbers
        # populations by the number of their mark: 1, 2, ..., 101 (A), ...
        self._order = [*range(_N_GLOBAL), *(_N_GLOBAL + np.argsort(numbers, kind="stable"))]
        self._lmp = connect(pointer)
        self._atoms: NDArray[np.float64] = np.empty((0, 3))
        self._ended_at: int | None = None
        self._resumed: _State | None = None
        self._restarts = False

    def interval(self, _: str) -> int:
        """Return every how many steps to call `step`."""
        return self._interval

    def reach_of(self, _: str) -> float:
        """Return how far from a center atoms count [length]."""
        return self.reach

    def n_values(self, _: str) -> int:
        """Return the length of the global vector."""
        return _N_GLOBAL + self._live.n_environments

    def wants_restart(self, _: str) -> int:
        """Return 1 if an event asks for restart files, else 0."""
        return int(self._live.asks_for("restart"))

    def start(self, _: str, step: int, n_owned: int, atoms: int, values: int, shell: int) -> str:
        """Check at the start of a run what can be known, and record its first step if it is due."""
        if self._ended_at not in (None, step) and self._last_step is not None:
            raise LammpsError(
                f"the last run ended at step {self._ended_at}, and this one starts at step {step}. "
                "The steps of a buffer go on: 'unfix' the recorder before 'reset_timestep', and "
                "define it again, with another file, afterwards."
            )
        if os.environ.get(ASKED):
            self._attempt(self._rehearse)
            self._raise_error()
        self._attempt(self._begin)
        self._raise_error()
        return self.step(_, step, n_owned, atoms, values, shell)

    def step(self, _: str, step: int, n_owned: int, atoms: int, values: int, shell: int) -> str:
        """Record a step, or keep its atoms; return "restart" if a restart file is to be written.

        With `overlap` the frame before is completed first, and this one described while LAMMPS
        goes on.

        Parameters
        ----------
        step : int
            Absolute timestep.
        n_owned : int
            Owned atoms.
        atoms, values : int
            Addresses of the per-atom array (n_owned, 3) and of the global vector, float64.
        shell : int
            Width of the ghost shell that LAMMPS guarantees [length], 0 if unknown: the bits of a
            float64.
        """
        if self._ended:  # by a signal: so do all later runs of the script
            stop_softly(self._lmp)
        self._begin().certain_shell = struct.unpack("d", struct.pack("q", shell))[0]
        return self._at_arrays(partial(self._take, step), n_owned, atoms, values)

    def _at_arrays(self, work: Callable[[], None], n_owned: int, atoms: int, values: int) -> str:
        """Do some work whose values go into the arrays of the fix; return its wish."""
        if self._closed:
            return ""
        self._restarts = False
        self._atoms = _array_at(atoms, (n_owned, 3))
        work()
        self._atoms = np.empty((0, 3))  # LAMMPS may move its array
        self._raise_error()
        vector = self.values.vector[self._order]
        _array_at(values, vector.shape)[:] = vector
        return "restart" if self._restarts else ""

    def _rehearse(self) -> None:
        """Describe the first frame, say what it costs, and end the run (collective)."""
        in_situ = self._begin()
        system, frame = in_situ.system.read(self._lmp)
        with system.ranks.together():
            rows = in_situ.describe(frame, system)  # the first time it also builds tables
            begin = time.perf_counter()
            rows = in_situ.describe(frame, system)
            seconds = time.perf_counter() - begin
        n_features = self._soap.n_features
        cost = measure(self.config, system, rows, seconds, n_features, self._every or 1)
        if system.ranks.is_root:
            print(cost.to_line(), flush=True)
        raise LammpsError("strdyn check has measured the first frame; the run ends here.")

    def _act(self, happened: list[Happened]) -> None:
        super()._act(happened)
        self._restarts |= any("restart" in each.occurrence.actions for each in happened)

    def _receive(self, centers: NDArray[np.int64], values: AtomValues) -> None:
        self._atoms[:, 0] = self._atoms[:, 2] = 0.0
        self._atoms[:, 1] = -1.0
        self._atoms[centers] = values.columns

    def _raise_error(self) -> None:
        """Raise what went wrong, with settings as words of the fix."""
        try:
            super()._raise_error()
        except Exception as error:
            text = str(error)
            for setting, words in _AS_WORDS.items():
                text = text.replace(setting, words)
            if self._n_worlds > 1 and "%p" not in text:
                text += " With -partition, 'file NAME%p.sdl' gives each partition its own buffer."
            raise LammpsError(text) from error

    def minimize(self, _: str, *__: int) -> None:
        """Refuse a minimization between two frames; before the first it does no harm."""
        if self._last_step is not None:
            raise LammpsError(
                "'minimize' moves atoms without time, so its iterations are not frames. Minimize "
                "before the first run, or 'unfix' the recorder first and define it again, with "
                "another file, afterwards."
            )

    def end(self, _: str, step: int, n_owned: int, atoms: int, values: int, *__: int) -> str:
        """Complete the last frame of a run, and note where it has ended; otherwise as `step`."""
        self._ended_at = step
        return self._at_arrays(self._settle, n_owned, atoms, values)

    def state(self, _: str) -> str:
        """Seal the buffer, and return what a restart file is to hold: JSON, empty without a frame.

        The atoms are where they are now, so that another trajectory can be told from this one.
        """
        self._commit()
        self._raise_error()
        if self._closed or self._in_situ is None or self._in_situ.last_step is None:
            return ""
        system, writer = self._in_situ.system, self._in_situ.writer
        with system.ranks.together():
            if writer is not None:
                writer.seal_in_passing()
        uuid = "" if writer is None else writer.uuid
        return json.dumps(asdict(_State.of(self._lmp, system, uuid, self._in_situ.last_step)))

    def resume(self, text: str) -> None:
        """Take what `state` has put into the restart file that was read."""
        self._resumed = _State(**json.loads(text)) if text else None

    def _begin(self) -> InSitu:
        if self._in_situ is not None:
            return self._in_situ
        resumes = self._resumed is not None and Path(self.config.file).exists()
        if resumes and not self.config.append:
            self.config = replace(self.config, append=True)
        in_situ = super()._begin()
        if resumes and self._resumed is not None and self.config.append != "force":
            self._resumed.require_same(self._lmp, in_situ.system)
        return in_situ

    def close(self, _: str = "") -> None:
        """Seal the buffer; from now on nothing is recorded."""
        super().close()


@dataclass(frozen=True)
class _State:
    """Where a recording stood when a restart file was written.

    Attributes
    ----------
    uuid : str
        Of the buffer.
    last_step : int
        Newest frame.
    step : int
        Of the restart file.
    waves : list of float
        Amplitudes of some plane waves over the centers: other positions have others, and wrapping
        an atom into the box does not change them.
    n_atoms : int
        Number of centers.
    """

    uuid: str
    last_step: int
    step: int
    waves: list[float]
    n_atoms: int

    @classmethod
    def of(cls, lmp: Any, system: System, uuid: str, last_step: int) -> _State:
        """Return the state at the current step (collective)."""
        ranks = system.ranks
        with ranks.together(n_totals=2 * len(_WAVE_VECTORS)) as shared:
            frame = read_frame(lmp, *system.group_bits)
            shared.totals[:] = _waves(frame)
        return cls(uuid, last_step, frame.step, shared.totals.tolist(), system.n_centers)

    def require_same(self, lmp: Any, system: System) -> None:
        """Raise on all ranks unless buffer, step and atoms are those of the restart file."""
        ranks, file = system.ranks, system.config.file
        now = _State.of(lmp, system, self.uuid, self.last_step)
        with ranks.together():
            if ranks.is_root:
                with open_buffer(file) as stored:
                    found = stored.uuid
                if found != self.uuid:
                    raise LammpsError(
                        f"the restart file was written while {self.uuid} was recorded, but {file} "
                        f"holds {found}: expected the same recording. Give the file of that "
                        "recording, or a new file."
                    )
            if now.step != self.step:
                raise LammpsError(
                    f"the restart file is of step {self.step}, and this run starts at step "
                    f"{now.step}. Take out 'reset_timestep', or record to another file."
                )
            apart = float(np.abs(np.subtract(now.waves, self.waves)).max())
            if now.n_atoms != self.n_atoms or not apart < _SAME_WAVES * self.n_atoms:
                raise LammpsError(
                    f"step {now.step}: the atoms are not where they were when the restart file was "
                    f"written, so this run does not go on with {file}. Define the fix right after "
                    "'read_restart' and before anything that moves atoms, or record to another "
                    "file. If the system was changed on purpose: append force."
                )


def _waves(frame: LocalFrame) -> list[float]:
    """Return real and imaginary parts of some plane waves over the centers of a rank."""
    positions = frame.positions[frame.centers]
    fractions = frame.box.fractions(positions)
    for axis, periodic in enumerate(frame.box.periodic):
        if not periodic:  # the box may be shrink-wrapped anew when a restart file is read
            fractions[:, axis] = positions[:, axis] / _WAVE_LENGTH
    weights = np.cos(frame.atom_ids[frame.centers])  # so that exchanged atoms are told apart
    phases = 2.0 * np.pi * fractions @ _WAVE_VECTORS.T
    return [*(weights @ np.cos(phases)), *(weights @ np.sin(phases))]


def _array_at(address: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array of LAMMPS as it lies in memory."""
    if not address or 0 in shape:
        return np.empty(shape)
    pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_double))
    return np.ctypeslib.as_array(pointer, shape)
