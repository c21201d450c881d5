"""Conditions on the dynamics of a frame, as a user writes them: ``lens_max > 0.5``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .settings import ConfigError, nearest, shown

if TYPE_CHECKING:  # a setting is checked without the compiled kernel
    import numpy as np
    from numpy.typing import NDArray

    from .values import AtomValues, FrameValues

__all__ = ["Condition", "words_of"]

_MARK = re.compile(r"[0-9A-Za-z]{1,8}")
_MOST = 2.0**53  # the largest count that a float holds


@dataclass(frozen=True)
class _Kind:
    """One kind of condition.

    Attributes
    ----------
    shape : str
        How it is written.
    limits : str
        The numbers allowed, in words.
    n_marks : int
        Environments that it names.
    signs : tuple of str
        Comparisons allowed.
    whole : bool
        Whether it counts atoms.
    below : float
        The limit is smaller than this.
    """

    shape: str
    limits: str
    n_marks: int = 0
    signs: tuple[str, ...] = (">",)
    whole: bool = False
    below: float = math.inf


_OF_DELTA = "X from 0 to below 1"
_OF_ATOMS = "K a whole number of atoms"
_KINDS = {
    "lens_max": _Kind("lens_max > X", _OF_DELTA, below=1.0),
    "lens_mean": _Kind("lens_mean > X", _OF_DELTA, below=1.0),
    "count": _Kind("count > K", _OF_ATOMS, whole=True),
    "distance": _Kind("distance > X", "X from 0 on"),
    "population": _Kind(
        "population E > K or population E < K",
        f"E the mark of an environment, {_OF_ATOMS}",
        n_marks=1,
        signs=(">", "<"),
        whole=True,
    ),
    "move": _Kind(
        "move A B or move A B > K",
        f"A and B marks of environments, {_OF_ATOMS}",
        n_marks=2,
        whole=True,
    ),
}
_SHAPES = ", ".join(kind.shape for kind in _KINDS.values())


@dataclass(frozen=True)
class Condition:
    """One condition on a frame.

    Attributes
    ----------
    name : str
        ``lens_max`` or ``lens_mean``: the largest or the mean δ of the centers; ``count``: centers
        whose δ is above the setting ``lens_threshold``; ``distance``: the largest distance to the
        model; ``population``: centers in an environment; ``move``: centers that went from one
        environment to another since the frame before.
    marks : tuple of str
        Environments, by their marks in the report.
    sign : {">", "<"}
        Comparison.
    limit : float
        What the value is compared with.

    Examples
    --------
    >>> condition = Condition.parse(words_of("move 1 A"), "event")
    >>> str(condition), condition.needs_model
    ('move 1 A > 0', True)
    """

    name: str
    marks: tuple[str, ...]
    sign: str
    limit: float

    @classmethod
    def parse(cls, words: Sequence[str], where: str) -> Condition:
        """Read the words of a condition; `where` begins the messages.

        Raises
        ------
        ConfigError
            If they are no condition, or one that can never hold.
        """
        if not words:
            raise ConfigError(f"{where}: no condition found, expected one of {_SHAPES}.")
        name = words[0]
        kind = _KINDS.get(name)
        if kind is None:
            raise ConfigError(
                f"{where}: unknown condition {shown(name)}.{nearest(name, list(_KINDS))} "
                f"Expected one of {_SHAPES}."
            )
        wrong = ConfigError(
            f"{where}: found {shown(' '.join(words))}, expected {kind.shape}, with {kind.limits}."
        )
        marks, rest = tuple(words[1 : 1 + kind.n_marks]), list(words[1 + kind.n_marks :])
        if name == "move" and not rest:
            rest = [">", "0"]
        named = len(marks) == kind.n_marks and all(map(_MARK.fullmatch, marks))
        if not named or len(rest) != 2 or rest[0] not in kind.signs:
            raise wrong
        limit = _number(rest[1])
        if not 0 <= limit < min(kind.below, _MOST) or (kind.whole and limit != int(limit)):
            raise wrong
        if rest[0] == "<" and limit == 0:
            raise ConfigError(f"{where}: {' '.join(words)} never holds: no number is below 0.")
        if name == "move" and marks[0] == marks[1]:
            raise ConfigError(
                f"{where}: {' '.join(words)} never holds: a move leads to another environment."
            )
        return cls(name, marks, rest[0], limit)

    def __str__(self) -> str:
        return " ".join([self.name, *self.marks, self.sign, f"{self.limit:.15g}"])

    @property
    def needs_model(self) -> bool:
        """Whether it can only be told with a fitted model."""
        return bool(self.marks) or self.name == "distance"

    def check_marks(self, labels_of_marks: Mapping[str, int]) -> None:
        """Raise ConfigError for an environment that the model does not have."""
        for mark in self.marks:
            if mark not in labels_of_marks:
                known = sorted(labels_of_marks)
                raise ConfigError(
                    f"{self}: the model has no environment {mark!r}.{nearest(mark, known)} Its "
                    f"environments: {', '.join(known) or 'none'}. Marks are those of its report."
                )

    def holds(self, values: FrameValues, labels_of_marks: Mapping[str, int]) -> bool:
        """Return whether it holds in a frame; never in a first frame, which has no dynamics.

        Parameters
        ----------
        values : FrameValues
        labels_of_marks : mapping of str to int
            Labels of the environments of the model.
        """
        return values.previous_step is not None and self._compare(
            self._value(values, labels_of_marks)
        )

    def cause(self, values: FrameValues, labels_of_marks: Mapping[str, int]) -> str:
        """Say with which value it holds: "lens_max = 0.62 > 0.5"."""
        value = self._value(values, labels_of_marks)
        text = f"{value:.15g}" if _KINDS[self.name].whole else f"{value:.4g}"
        if not self._compare(float(text)):  # a value just above its limit must not read as equal
            text = repr(value)
        if self.name == "move":
            before, after = self.marks
            atoms = "atom" if value == 1 else "atoms"
            return f"{text} {atoms} moved from {before} to {after} (> {self.limit:.15g})"
        return f"{' '.join([self.name, *self.marks])} = {text} {self.sign} {self.limit:.15g}"

    def atoms(
        self,
        values: AtomValues,
        before: NDArray[np.int32],
        labels_of_marks: Mapping[str, int],
        threshold: float,
    ) -> NDArray[np.bool_]:
        """Return which centers make it hold.

        Parameters
        ----------
        values : AtomValues
            Of some centers.
        before : (n_atoms,) int32 ndarray
            Environments of the same centers one frame earlier.
        labels_of_marks : mapping of str to int
            Labels of the environments of the model.
        threshold : float
            The setting ``lens_threshold``.

        Returns
        -------
        (n_atoms,) bool ndarray
            For ``population`` the centers in the environment; for ``lens_mean`` those whose δ is
            above the limit of the mean.
        """
        labels = [labels_of_marks[mark] for mark in self.marks]
        caused: NDArray[np.bool_]
        if self.name == "move":
            caused = (before == labels[0]) & (values.environment == labels[1])
        elif self.name == "population":
            caused = values.environment == labels[0]
        elif self.name == "distance":
            caused = values.distance > self.limit
        else:
            caused = values.delta > (threshold if self.name == "count" else self.limit)
        return caused

    def _value(self, values: FrameValues, labels_of_marks: Mapping[str, int]) -> float:
        labels = tuple(labels_of_marks[mark] for mark in self.marks)
        if self.name == "move":
            return float(values.moves[labels])
        if self.name == "population":
            return float(values.populations[labels])
        found: dict[str, Any] = {
            "lens_max": values.lens_max,
            "lens_mean": values.lens_mean,
            "count": values.n_above,
            "distance": values.distance_max,
        }
        return float(found[self.name])

    def _compare(self, value: float) -> bool:
        return value > self.limit if self.sign == ">" else value < self.limit


def words_of(text: str) -> list[str]:
    """Return the words of a rule; comparisons are words also without blanks around them."""
    return re.findall(r"[<>]=?|[^\s<>]+", text)


def _number(word: str) -> float:
    """Return a number; NaN for any other word."""
    try:
        return float(word)
    except ValueError:
        return math.nan
