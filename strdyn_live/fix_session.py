"""A recording that the LAMMPS command ``fix ID group strdyn N key value ...`` drives."""

from __future__ import annotations

import ctypes
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import ConfigError, LiveConfig
from .frame import LocalFrame
from .lammps_io import LammpsError, connect
from .recorder import Recorder
from .system import System
from .values import AtomValues

__all__ = ["FixSession"]

_BETWEEN = "\x1f"
_N_GLOBAL = 4  # values of all atoms together, before the populations


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
    """

    _tells_errors = False

    def __init__(self, pointer: Any, text: str) -> None:
        group, world, n_worlds, every, *words = text.split(_BETWEEN)
        if "centers" in words[::2]:
            raise ConfigError(
                "'centers' is the group of the fix: take the word out, and give the group as "
                "'fix ID group strdyn ...'."
            )
        if not every.isdecimal() or int(every) == 0:
            raise ConfigError(
                f"N = {every!r}: expected a number of steps from 1 on, as in "
                "'fix sd all strdyn 500 r_cut 6.0 elements Cu file run.sdl'."
            )
        super().__init__(LiveConfig.from_words([*words, "centers", group]))
        self._every = int(every)
        self._lmp = connect(pointer)
        self._receivers.append(self._receive)
        self._atoms: NDArray[np.float64] = np.empty((0, 3))

    def interval(self, _: str) -> int:
        """Return every how many steps to call `step`."""
        return self._every

    def reach_of(self, _: str) -> float:
        """Return how far from a center atoms count [length]."""
        return self.reach

    def n_values(self, _: str) -> int:
        """Return the length of the global vector."""
        return _N_GLOBAL

    def start(self, _: str, step: int, n_owned: int, atoms: int, values: int, shell: int) -> None:
        """Check at the start of a run what can be known, and record its first step if it is due."""
        self._attempt(self._begin)
        self._raise_error()
        self.step(_, step, n_owned, atoms, values, shell)

    def step(self, _: str, step: int, n_owned: int, atoms: int, values: int, shell: int) -> None:
        """Record a step.

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
        if step % self._every or self._closed:
            return
        self._certain_shell = struct.unpack("d", struct.pack("q", shell))[0]
        self._atoms = _array_at(atoms, (n_owned, 3))
        self._attempt(self._record)
        self._atoms = np.empty((0, 3))  # LAMMPS may move its array
        self._raise_error()
        if self.values is not None:
            vector = self.values.vector
            _array_at(values, (len(vector),))[:] = vector

    def _receive(self, centers: NDArray[np.int64], values: AtomValues) -> None:
        self._atoms[:, 0] = self._atoms[:, 2] = 0.0
        self._atoms[:, 1] = -1.0
        self._atoms[centers] = values.columns

    def minimize(self, _: str, *__: int) -> None:
        """Refuse a minimization between two frames; before the first it does no harm."""
        if self._last_step is not None:
            raise LammpsError(
                "'minimize' moves atoms without time, so its iterations are not frames. Minimize "
                "before the first run, or 'unfix' the recorder first and define it again, with "
                "another file, afterwards."
            )

    def end(self, _: str) -> None:
        """Note the end of a run."""

    def close(self, _: str = "") -> None:
        """Seal the buffer; from now on nothing is recorded."""
        super().close()


def _array_at(address: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array of LAMMPS as it lies in memory."""
    if not address or 0 in shape:
        return np.empty(shape)
    pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_double))
    return np.ctypeslib.as_array(pointer, shape)
