"""LiveConfig: every setting of the live half, defined, checked and documented once."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .elements import ATOMIC_NUMBERS

__all__ = ["ConfigError", "LiveConfig"]


class ConfigError(ValueError):
    """A setting is missing, unknown or out of range; the message says how to mend it."""


@dataclass(frozen=True)
class LiveConfig:
    """Settings of a recording; equal settings mean equal numbers in the buffer.

    The same names serve keyword arguments (``Recorder(r_cut=6.0, ...)``), the words of an input
    script (``r_cut 6.0 elements Cu ...``, see `from_words`) and JSON (`as_dict`).

    Parameters
    ----------
    r_cut : float
        SOAP cutoff radius [length unit of the run, Å in `real` and `metal`]; above 1.
    elements : sequence of str
        One name per LAMMPS atom type, as in ``pair_coeff``; a single string is split at blanks.
    file : str
        The buffer, a folder ``NAME.sdl``.
    centers : str
        LAMMPS group of the atoms that are described.
    n_max, l_max : int
        Radial functions (1 to 16) and largest degree of the spherical harmonics (0 to 12). Many
        functions within a short cutoff cannot be told apart: `n_max` is at most 9 at r_cut = 2, 11
        at 3, 13 at 4.48, 14 at 6, 15 at 10, and 16 from 20 on (see `strdyn_live.soap.Soap`).
    sigma : float
        Width of the Gaussians of the density [length].
    lens_r_cut : float, optional
        Cutoff of the neighbor lists of LENS [length]; by default `r_cut`.
    lens_environment : str
        LAMMPS group of the atoms that count as neighbors.
    append : bool or "force"
        Go on with an existing buffer, as a restarted run does; without it an existing buffer is an
        error. With "force" also where the run supersedes more than the last job has written, or
        does not look like a continuation.
    on_error : {"stop", "drop"}
        End the run at a failed frame, or report the frame and go on.
    backend : {"native", "dscribe"}
        What computes SOAP; both give the same numbers. `dscribe` is refused where DScribe loses
        them, above 10 functions at 6 Å.
    writers : int
        Number of ranks that write.

    Raises
    ------
    ConfigError
        For every missing, unknown or impossible value, with what was found and expected.
    """

    r_cut: float
    elements: tuple[str, ...]
    file: str
    centers: str = "all"
    n_max: int = 8
    l_max: int = 8
    sigma: float = 1.0
    lens_r_cut: float = None  # type: ignore[assignment]  # None becomes r_cut
    lens_environment: str = "all"
    append: bool | str = False
    on_error: str = "stop"
    backend: str = "native"
    writers: int = 1

    def __post_init__(self) -> None:
        elements = self.elements.split() if isinstance(self.elements, str) else self.elements
        _set = object.__setattr__
        _set(self, "elements", tuple(str(name) for name in elements))
        _set(self, "file", os.path.expanduser(str(self.file)))
        _set(self, "r_cut", _number("r_cut", self.r_cut))
        _set(self, "sigma", _number("sigma", self.sigma))
        lens_r_cut = self.r_cut if self.lens_r_cut is None else self.lens_r_cut
        _set(self, "lens_r_cut", _number("lens_r_cut", lens_r_cut))
        _set(self, "n_max", _integer("n_max", self.n_max, 1, 16))
        _set(self, "l_max", _integer("l_max", self.l_max, 0, 12))
        _set(self, "writers", _integer("writers", self.writers, 1, 2**31))
        append = str(self.append).lower()
        _set(self, "append", append if append == "force" else _boolean("append", self.append))
        if self.r_cut <= 1.0:
            raise ConfigError(
                f"r_cut = {self.r_cut:g} is too small: the radial basis `gto` needs r_cut > 1 "
                "in the length unit of the run (SOAP is meant for units with lengths in Å)."
            )
        if not self.elements:
            raise ConfigError(
                "elements is empty: give one name per LAMMPS atom type, as in pair_coeff "
                "(elements='O H')."
            )
        for name in self.elements:
            if name not in ATOMIC_NUMBERS:
                near = difflib.get_close_matches(name.capitalize(), ATOMIC_NUMBERS, n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ConfigError(
                    f"elements = {' '.join(self.elements)!r}: {name!r} is not the symbol of a "
                    f"chemical element.{hint}"
                )
        _check_choice("on_error", self.on_error, ("stop", "drop"))
        _check_choice("backend", self.backend, ("native", "dscribe"))
        for name in ("centers", "lens_environment"):
            group = getattr(self, name)
            if not isinstance(group, str) or not group or len(group.split()) != 1:
                raise ConfigError(f"{name} = {group!r} is not the name of a LAMMPS group.")
        if "$" in self.file:
            raise ConfigError(
                f"file = {self.file!r}: LAMMPS puts no variables into text in quotes. Hand the "
                "name over with 'python ... input 1 v_NAME format s' (user guide, Replicas)."
            )
        if Path(self.file).suffix != ".sdl":
            raise ConfigError(
                f"file = {self.file!r}: the buffer is a folder whose name ends in .sdl "
                f"(file='{Path(self.file).stem or 'run'}.sdl')."
            )

    @property
    def species(self) -> tuple[str, ...]:
        """Distinct elements by atomic number: the order of the blocks of the power spectrum."""
        return tuple(sorted(set(self.elements), key=ATOMIC_NUMBERS.__getitem__))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> LiveConfig:
        """Build from names and values; raise ConfigError for a missing or unknown name."""
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ConfigError(f"unknown setting {name!r}.{hint} Known: {', '.join(known)}.")
        missing = [
            field.name
            for field in fields(cls)
            if field.default is MISSING and settings.get(field.name) is None
        ]
        if missing:
            raise ConfigError(
                f"{' and '.join(missing)} not given: what depends on the system has no default "
                "(for example r_cut=6.0, elements='Cu', file='run.sdl')."
            )
        return cls(**settings)

    @classmethod
    def from_words(cls, words: list[str] | str) -> LiveConfig:
        """Build from the words of an input script: ``r_cut 6.0 elements O H file run.sdl``.

        A name is followed by its value; `elements` takes every word up to the next name.
        """
        words = words.split() if isinstance(words, str) else words
        known = {field.name for field in fields(cls)}
        settings: dict[str, str] = {}
        start = 0
        while start < len(words):
            name, stop = words[start], start + 2
            if name == "elements":
                while stop < len(words) and words[stop] not in known:
                    stop += 1
            if name in settings:
                raise ConfigError(f"setting {name!r} is given twice.")
            if start + 1 >= len(words):
                raise ConfigError(f"setting {name!r} has no value.")
            settings[name] = " ".join(words[start + 1 : stop])
            start = stop
        return cls.from_mapping(settings)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON types; ``LiveConfig.from_mapping`` reads them back."""
        return {**asdict(self), "elements": list(self.elements)}


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} = {value!r} is not a number.") from None
    if isinstance(value, bool) or not math.isfinite(number) or number <= 0.0:
        raise ConfigError(f"{name} = {value!r}: expected a finite number above 0.")
    return number


def _integer(name: str, value: Any, low: int, high: int) -> int:
    try:
        number = int(value)
        whole = isinstance(value, str) or number == value
    except (TypeError, ValueError, OverflowError):
        whole = False
    if isinstance(value, bool) or not whole or not low <= number <= high:
        raise ConfigError(f"{name} = {value!r}: expected a whole number from {low} to {high}.")
    return number


def _boolean(name: str, value: Any) -> bool:
    words = {"yes": True, "no": False, "on": True, "off": False, "true": True, "false": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() in words:
        return words[str(value).lower()]
    raise ConfigError(f"{name} = {value!r}: expected yes, no or force.")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{name} = {value!r}: expected {' or '.join(choices)}.{hint}")
