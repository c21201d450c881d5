"""LAMMPS as a Python library: it calls a function, whose errors are raised after the command."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from .lammps_io import LammpsError

__all__ = ["Callback"]


class Callback:
    """A function that LAMMPS, as a library, calls at steps that are a multiple of `every`.

    It is called at set-up as well, by a `fix external` that adds no force. An exception cannot
    pass through LAMMPS to the caller of ``run``: `after` is called when a command of the LAMMPS
    object has returned, and raises it there.

    Attributes
    ----------
    is_alone : bool
        Whether LAMMPS has failed on this rank only, so that no other rank answers any more.

    Raises
    ------
    LammpsError
        Where LAMMPS would not call: with `run_style respa`, and after a command that has removed
        the fix.
    """

    def __init__(
        self, lmp: Any, every: int, function: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self.is_alone = False
        self._lmp = lmp
        self._after = after
        _refuse_respa(lmp)
        self._fix_id = f"strdyn_live_{next(_attached)}"
        lmp.command(f"fix {self._fix_id} all external pf/callback {every} {2**31 - 1}")
        lmp.set_fix_external_callback(self._fix_id, lambda *_: function())
        _Commands.of(lmp).callbacks.append(self)

    def after(self) -> None:
        """Raise what went wrong during a command, and where LAMMPS does not call any more."""
        try:
            self._after()
        except BaseException:
            _run(self._lmp, "timer timeout off")  # else LAMMPS ends every later run as well
            raise
        _refuse_respa(self._lmp)
        if not self._lmp.has_id("fix", self._fix_id):
            _Commands.of(self._lmp).remove(self)
            raise LammpsError(
                "the fix of the recorder was removed, by 'clear' or 'unfix': nothing more is "
                "recorded. Close the recorder first, and attach a new one to the new system."
            )

    def detach(self) -> None:
        """Take the fix away."""
        _Commands.of(self._lmp).remove(self)
        if self._lmp.lmp and self._lmp.has_id("fix", self._fix_id):
            _run(self._lmp, f"unfix {self._fix_id}")


class _Commands:
    """The methods of a LAMMPS object that run commands, with what callbacks do afterwards."""

    _NAMES = ("command", "commands_list", "commands_string", "file")

    def __init__(self, lmp: Any) -> None:
        self._lmp = lmp
        self.callbacks: list[Callback] = []
        lmp.strdyn_live_commands = self
        for name in self._NAMES:
            setattr(lmp, name, self._watched(getattr(lmp, name)))

    @classmethod
    def of(cls, lmp: Any) -> _Commands:
        """Return those of an object."""
        return getattr(lmp, "strdyn_live_commands", None) or cls(lmp)

    def remove(self, callback: Callback) -> None:
        """Forget a callback; without any, the methods are those of the class again."""
        if callback in self.callbacks:
            self.callbacks.remove(callback)
        if not self.callbacks:
            for name in [*self._NAMES, "strdyn_live_commands"]:
                self._lmp.__dict__.pop(name, None)

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            try:
                result = method(*arguments, **options)
            except Exception as error:
                for callback in self.callbacks:
                    callback.is_alone = type(error).__name__ == "MPIAbortException"
                raise
            for callback in list(self.callbacks):
                callback.after()
            return result

        return run


_attached = itertools.count(1)


def _run(lmp: Any, command: str) -> None:
    """Run a command of our own, past what watches the user's."""
    type(lmp).command(lmp, command)


def _refuse_respa(lmp: Any) -> None:
    if lmp.extract_global("respa_levels"):
        raise LammpsError(
            "with 'run_style respa' LAMMPS does not call a recorder that a Python program has "
            "attached. Use 'run_style verlet', or record with 'fix python/invoke' in an input "
            "script, in a LAMMPS with the PYTHON package: that works with respa."
        )
