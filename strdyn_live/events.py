"""Rare events: the rules that a user gives, what they ask for, and when they are acted on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .conditions import Condition, words_of
from .settings import ConfigError, nearest, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .values import AtomValues, FrameValues

__all__ = ["ACTIONS", "Adaptive", "Densely", "Event", "EventWatch", "Occurrence"]

ACTIONS = ("dump", "restart", "halt", "print")
"""What may be done at an event: write the frames around it, write a restart file, end the run, say
it on the screen."""

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_FORM = "NAME when CONDITION do ACTION ..., as hop when lens_max > 0.5 do dump"
_FEW = 20  # atoms in the list of events


@dataclass(frozen=True)
class Event:
    """A rule: what is an event, and what is done then.

    Attributes
    ----------
    name : str
        Names its files.
    condition : Condition
        Holds at the event.
    actions : tuple of str
        Some of `ACTIONS`.

    Examples
    --------
    >>> event = Event.parse("hop when lens_max>0.50 do dump print")
    >>> str(event), event.actions
    ('hop when lens_max > 0.5 do dump print', ('dump', 'print'))
    """

    name: str
    condition: Condition
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Event:
        """Read ``NAME when CONDITION do ACTION ...``.

        Raises
        ------
        ConfigError
            If it is no such rule: what was found, what was expected.
        """
        where, words = f"event = {shown(text)}", words_of(text)
        if not words or not _NAME.fullmatch(words[0]):
            found = f"{shown(words[0])} is no name of a file" if words else "it is empty"
            raise ConfigError(
                f"{where}: {found}: expected letters, digits, _ and - (at most 64). "
                f"The form is {_FORM}."
            )
        if words[1:2] != ["when"]:
            found = shown(words[1]) if len(words) > 1 else "the end"
            raise ConfigError(
                f"{where}: expected 'when' after the name, found {found}. The form is {_FORM}."
            )
        if "do" not in words[2:]:
            raise ConfigError(
                f"{where}: no 'do' after the condition: expected do and what to do "
                f"({', '.join(ACTIONS)}). The form is {_FORM}."
            )
        end = words.index("do", 2)
        condition, actions = Condition.parse(words[2:end], where), words[end + 1 :]
        if not actions:
            raise ConfigError(f"{where}: nothing after 'do': expected {', '.join(ACTIONS)}.")
        for action in actions:
            if action not in ACTIONS:
                raise ConfigError(
                    f"{where}: unknown action {shown(action)}.{nearest(action, ACTIONS)} "
                    f"Expected one or more of {', '.join(ACTIONS)}."
                )
            if actions.count(action) > 1:
                raise ConfigError(f"{where}: action {action!r} is given twice.")
        return cls(words[0], condition, tuple(actions))

    def __str__(self) -> str:
        return f"{self.name} when {self.condition} do {' '.join(self.actions)}"

    def holds(self, values: FrameValues, labels_of_marks: Mapping[str, int]) -> bool:
        """Return whether the event is there in a frame (see `Condition.holds`)."""
        return self.condition.holds(values, labels_of_marks)

    def cause(self, values: FrameValues, labels_of_marks: Mapping[str, int]) -> str:
        """Say with which value it is there."""
        return self.condition.cause(values, labels_of_marks)


@dataclass(frozen=True)
class Occurrence:
    """An event that is acted on.

    Attributes
    ----------
    name : str
        Of the event.
    step : int
        Of the frame in which it is there.
    cause : str
        The value that made it, in words.
    actions : tuple of str
        What is done.
    """

    name: str
    step: int
    cause: str
    actions: tuple[str, ...]

    def entry(self, time: float, atom_ids: Sequence[int], file: str = "") -> dict[str, Any]:
        """Return what the list of events in the buffer says of it, as JSON types.

        Parameters
        ----------
        time : float
            Of the frame [time unit of the run].
        atom_ids : sequence of int
            Atoms that caused it; the list has the first 20 of them, and their number.
        file : str
            Of the frames around it.
        """
        return {
            "name": self.name,
            "step": self.step,
            "time": float(time),
            "cause": self.cause,
            "actions": list(self.actions),
            "atoms": [int(atom_id) for atom_id in atom_ids[:_FEW]],
            "n_atoms": len(atom_ids),
            "file": file,
        }


class EventWatch:
    """Finds in each recorded frame which events are acted on; the same on all ranks.

    An event that was there is not acted on again before it has been away for `cooldown` recorded
    frames. So one that stays, or flickers, is acted on once.

    Parameters
    ----------
    events : iterable of Event
        The rules.
    cooldown : int
        Recorded frames, counted from the last one with the event.
    labels_of_marks : mapping of str to int, optional
        Labels of the environments of the model.

    Raises
    ------
    ConfigError
        If a rule names an environment that the model does not have.
    """

    def __init__(
        self,
        events: Iterable[Event],
        cooldown: int,
        labels_of_marks: Mapping[str, int] | None = None,
    ) -> None:
        self._labels = dict(labels_of_marks or {})
        self._events = {event.name: event for event in events}
        self._cooldown = cooldown
        self._quiet = dict.fromkeys(self._events, 0)  # frames in which it is not acted on
        for event in self._events.values():
            event.condition.check_marks(self._labels)

    def update(self, values: FrameValues) -> list[Occurrence]:
        """Take the next recorded frame; return the events to act on, in the order of the rules."""
        found = []
        for event in self._events.values():
            if event.holds(values, self._labels):
                if not self._quiet[event.name]:
                    cause = event.cause(values, self._labels)
                    found.append(Occurrence(event.name, values.step, cause, event.actions))
                self._quiet[event.name] = self._cooldown
            elif self._quiet[event.name]:
                self._quiet[event.name] -= 1
        return found

    def atoms(
        self,
        occurrence: Occurrence,
        values: AtomValues,
        before: NDArray[np.int32],
        threshold: float,
    ) -> NDArray[np.bool_]:
        """Return which of some centers caused an event (see `Condition.atoms`)."""
        condition = self._events[occurrence.name].condition
        return condition.atoms(values, before, self._labels, threshold)


@dataclass(frozen=True)
class Densely:
    """A rule: how often frames are recorded while a condition holds.

    Attributes
    ----------
    every : int
        Steps between frames.
    condition : Condition
        While it holds.

    Examples
    --------
    >>> Densely.parse("100 while lens_max > 0.3").every
    100
    """

    every: int
    condition: Condition

    @classmethod
    def parse(cls, text: str) -> Densely:
        """Read ``n while CONDITION``.

        Raises
        ------
        ConfigError
            If it is no such rule.
        """
        where, words = f"adaptive = {shown(text)}", words_of(text)
        if words[1:2] != ["while"] or not re.fullmatch("[1-9][0-9]{0,17}", words[0], re.ASCII):
            raise ConfigError(
                f"{where}: expected the number of steps between frames, then while and a "
                "condition, as 100 while lens_max > 0.3."
            )
        return cls(int(words[0]), Condition.parse(words[2:], where))

    def __str__(self) -> str:
        return f"{self.every} while {self.condition}"


class Adaptive:
    """Tells at which steps frames are recorded: regularly, and densely while a condition holds.

    Frames are dense until the condition has not held for one regular interval. The regular frames
    are always recorded.

    Parameters
    ----------
    every : int
        The regular interval [steps].
    rule : Densely, optional
        Without one there are regular frames only.
    labels_of_marks : mapping of str to int, optional
        Labels of the environments of the model.

    Raises
    ------
    ConfigError
        If the intervals do not fit, or the rule names an environment that the model does not have.
    """

    def __init__(
        self,
        every: int,
        rule: Densely | None = None,
        labels_of_marks: Mapping[str, int] | None = None,
    ) -> None:
        self._every, self._rule = every, rule
        self._labels = dict(labels_of_marks or {})
        self._last_held: int | None = None
        if rule is None:
            return
        if every % rule.every:
            raise ConfigError(
                f"adaptive = {str(rule)!r}: {rule.every} does not divide {every}, the steps "
                f"between regular frames. Choose one of {_divisors(every)}."
            )
        rule.condition.check_marks(self._labels)

    def due(self, step: int) -> bool:
        """Return whether a frame is recorded at a step."""
        if step % self._every == 0:
            return True
        if self._rule is None or self._last_held is None:
            return False
        return step % self._rule.every == 0 and step - self._last_held <= self._every

    def update(self, values: FrameValues) -> None:
        """Take the values of a recorded frame."""
        if self._rule is None:
            return
        if self._rule.condition.holds(values, self._labels):
            self._last_held = values.step
        elif self._last_held is not None and values.step - self._last_held >= self._every:
            self._last_held = None


def _divisors(every: int) -> str:
    """Return a few intervals that divide a regular one, in words."""
    found = [n for n in range(1, min(every // 2, 10**6) + 1) if every % n == 0]
    return ", ".join(map(str, found[-5:])) or str(every)
