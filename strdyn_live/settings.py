"""Settings, declared once: kind, unit, range and words; checks, docstrings and pages read them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from inspect import cleandoc
from textwrap import fill
from types import NoneType, UnionType
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

__all__ = ["ConfigError", "Setting", "Settings", "declared", "documented", "nearest", "setting"]

_WORDS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_Config = TypeVar("_Config")


class ConfigError(ValueError):
    """A setting is missing, unknown or out of range; the message says how to mend it."""


@dataclass(frozen=True)
class Setting:
    """The declaration of one setting; from `name` on it is that of the field.

    Attributes
    ----------
    about, use : str
        What it is; when to change it.
    unit : str
        Of the values.
    low, above, high : float
        Values are `low` or more, more than `above`, `high` or less.
    choices : tuple of str
        The words allowed.
    sentence : bool
        Whether a value is several words. In an input script it goes on to the next name of a
        setting, and the name of many of them is repeated.
    example : object
        A value for messages; only a setting without a default needs it.
    name : str
        Of the field.
    kind, many, optional : type, bool, bool
        By the annotation: ``tuple[int, ...] | None`` is many of int, and may be switched off by
        None, or by "none" where there is no null.
    default, needed : object, bool
        Where a value is needed there is no default.
    """

    about: str
    use: str = ""
    unit: str = ""
    low: float = -math.inf
    above: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    sentence: bool = False
    example: Any = None
    name: str = ""
    kind: type = str
    many: bool = False
    optional: bool = False
    default: Any = None
    needed: bool = False

    @property
    def range(self) -> str:
        """The values allowed, in words; empty for any."""
        words = [*(("true", "false") if self.kind is bool else ()), *self.choices]
        if words:
            return f"{', '.join(words[:-1])} or {words[-1]}"
        if self.low > -math.inf:
            return f"from {self.low:.15g} to {self.high:.15g}"
        limits = [("above", self.above), ("at most", self.high)]
        return " and ".join(f"{word} {x:.15g}" for word, x in limits if math.isfinite(x))

    @property
    def expected(self) -> str:
        """The values allowed, as a message says them."""
        noun = {int: "a whole number", float: "a finite number", str: "a text"}.get(self.kind, "")
        noun = "" if self.choices else f"{noun[2:]}s" if self.many else noun
        unit = f"[{self.unit}]" if self.unit else ""
        text = " ".join(filter(None, (noun, self.range, unit)))
        return f'{text}, or "none"' if self.optional else text

    def check(self, value: Any) -> Any:
        """Return a value in its kind; raise ConfigError if it is not allowed."""
        if self.optional and (value is None or (isinstance(value, str) and value == "none")):
            return None
        try:
            if not self.many:
                return self._one(value)
            several = isinstance(value, Sequence) and not isinstance(value, str)
            return tuple(self._one(each) for each in (value if several else [value]))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ConfigError(
                f"{self.name} = {shown(value)}: expected {self.expected}."
                f"{nearest(value, self.choices)}"
            ) from None

    def _one(self, value: Any) -> Any:
        if self.kind is bool:
            word = value.lower() if isinstance(value, str) else value
            if isinstance(word, bool) or word in self.choices:
                return word
            return _WORDS[word]
        if self.kind is str:
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                raise ValueError
            return value
        if self.kind not in (int, float):  # checked by its class
            return value
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not (math.isfinite(number) and self.low <= number <= self.high and number > self.above):
            raise ValueError
        if self.kind is int and number != int(number):
            raise ValueError
        return self.kind(number)


def setting(about: str, *, default: Any = MISSING, **declaration: Any) -> Any:
    """Declare a setting: a dataclass field whose words and limits are those of a `Setting`."""
    metadata = {"setting": Setting(about, **declaration)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, hash=False, metadata=metadata)
    return field(default=default, metadata=metadata)


def declared(config: type[Settings]) -> tuple[Setting, ...]:
    """Return every setting of a class, in order, with what its field says."""
    hints = get_type_hints(config)
    settings = []
    for item in fields(config):
        hint = hints[item.name]
        parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        kind, many = get_origin(parts[0]) or parts[0], get_origin(parts[0]) is tuple
        made = item.default_factory is not MISSING
        settings.append(
            replace(
                item.metadata["setting"],
                name=item.name,
                kind=get_args(parts[0])[0] if many else kind,
                many=many,
                optional=NoneType in parts,
                default={} if made else item.default,
                needed=item.default is MISSING and not made,
            )
        )
    return tuple(settings)


@dataclass(frozen=True)
class Settings:
    """Frozen settings, each of them checked by its declaration.

    Rules between settings belong into the `__post_init__` of a subclass, which calls this one.
    """

    def __post_init__(self) -> None:
        for each in declared(type(self)):
            self._set(each.name, each.check(getattr(self, each.name)))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Build from names and values; raise ConfigError for a missing or unknown name."""
        known = [each.name for each in declared(cls)]
        for name in settings:
            if name not in known:
                raise ConfigError(
                    f"unknown setting {shown(name)}.{nearest(name, known)} Known: "
                    f"{', '.join(known)}."
                )
        needed = [each for each in declared(cls) if each.needed]
        if missing := [each.name for each in needed if settings.get(each.name) is None]:
            example = ", ".join(f"{each.name}={each.example!r}" for each in needed)
            raise ConfigError(
                f"{' and '.join(missing)} not given: what depends on the system has no default "
                f"(for example {example})."
            )
        return cls(**settings)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON types; `from_mapping` reads them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def documented(config: type[_Config]) -> type[_Config]:
    """Add the declarations of a class to its docstring, as its parameters."""
    lines = []
    for each in declared(config):  # type: ignore[arg-type]
        kind = each.kind.__name__
        if each.choices:
            kind = f"{'bool or ' * (each.kind is bool)}{{{', '.join(map(repr, each.choices))}}}"
        kind = f"sequence of {kind}" if each.many else kind
        optional = ", optional" if each.optional else ""
        limits = "" if each.choices or each.kind is bool else each.range
        limits = ", ".join(filter(None, (f"in {each.unit}" if each.unit else "", limits)))
        notes = [
            limits[:1].upper() + limits[1:],
            "" if each.needed else f"Default: {each.default!r}",
        ]
        text = " ".join([each.about, *(f"{note}." for note in notes if note), each.use])
        lines.append(f"{each.name} : {kind}{optional}")
        lines.append(fill(text.strip(), 96, initial_indent="    ", subsequent_indent="    "))
    head = "Parameters\n----------"
    config.__doc__ = "\n".join([cleandoc(config.__doc__ or ""), "", head, *lines, ""])
    return config


def shown(value: Any) -> str:
    """Return a value as a message shows it: a long one without its middle."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python does not write very long numbers
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= 80 else f"{text[:50]} … {text[-20:]}"


def nearest(name: Any, known: Sequence[str]) -> str:
    """Return the question whether the nearest known name was meant; empty if none is near."""
    near = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""
