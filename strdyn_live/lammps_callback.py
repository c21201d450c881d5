"""LAMMPS as a Python library: have it call a function, and raise what cannot pass through it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .lammps_io import LammpsError

__all__ = ["Callback"]


class Callback:
    """A function that LAMMPS, as a library, calls at steps that are a multiple of `every`.

    It is called at set-up as well, by a `fix external` that adds no force. An exception cannot
    pass through LAMMPS to the caller of ``run``: `after` is called when a command of the LAMMPS
    object has returned, and raises it there.

    Raises
    ------
    LammpsError
        Where LAMMPS would not call: with `run_style respa`; later, before a command that
        minimizes, and after one that has removed the fix.
    """

    def __init__(
        self, lmp: Any, every: int, function: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._lmp = lmp
        self.after = after
        _refuse_respa(lmp)
        self._fix_id = f"strdyn_live_{next(_attached)}"
        lmp.command(f"fix {self._fix_id} all external pf/callback {every} {2**31 - 1}")
        lmp.set_fix_external_callback(self._fix_id, lambda *_: function())
        _Commands.of(lmp).callbacks.append(self)

    def before(self, text: str) -> None:
        """Raise if commands minimize: trial moves of a minimizer are no frames."""
        if _minimizes(text):
            raise LammpsError(
                "'minimize' moves atoms without time, and LAMMPS would call the recorder for its "
                "trial moves. Minimize before you attach the recorder, or close it first and "
                "attach a new one to another file afterwards."
            )

    def check(self) -> None:
        """Raise if LAMMPS does not call any more."""
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
            self._lmp.command(f"unfix {self._fix_id}")


class _Commands:
    """The methods of a LAMMPS object that run commands, with what callbacks do before and after."""

    _NAMES = ("command", "commands_list", "commands_string", "file")

    def __init__(self, lmp: Any) -> None:
        self._lmp = lmp
        self.callbacks: list[Callback] = []
        lmp.strdyn_live_commands = self
        for name in self._NAMES:
            setattr(lmp, name, self._watched(name, getattr(lmp, name)))

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

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(argument: Any, *more: Any, **options: Any) -> Any:
            text = argument if isinstance(argument, str) else "\n".join(map(str, argument))
            for callback in self.callbacks:
                callback.before(_script(Path(text)) if name == "file" else text)
            result = method(argument, *more, **options)
            for callback in list(self.callbacks):
                callback.after()
                callback.check()
            return result

        return run


_attached = itertools.count(1)
_MINIMIZE = re.compile(r"""^\s*(?:if\b.*["']\s*)?minimize(?:/kk)?\s""", re.MULTILINE)
_INCLUDE = re.compile(r"^\s*include\s+(\S+)", re.MULTILINE)


def _minimizes(text: str) -> bool:
    return _MINIMIZE.search(text + "\n") is not None


def _script(path: Path, depth: int = 9) -> str:
    """Return an input script with the files that it includes, as far as they can be read."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""  # LAMMPS says it better
    included = _INCLUDE.findall(text) if depth else []
    return "\n".join([text, *(_script(Path(name), depth - 1) for name in included)])


def _refuse_respa(lmp: Any) -> None:
    if lmp.extract_global("respa_levels"):
        raise LammpsError(
            "with 'run_style respa' LAMMPS does not call a recorder that a Python program has "
            "attached. Use 'run_style verlet', or record with 'fix python/invoke' in an input "
            "script, in a LAMMPS with the PYTHON package: that works with respa."
        )
