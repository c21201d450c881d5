"""A worker in another process opens the buffer itself: it must find the frames that were meant."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .series import AnalysisError

__all__ = ["KnownFrames"]


@dataclass(frozen=True)
class KnownFrames:
    """Some frames of a buffer, with what tells them from others.

    Attributes
    ----------
    numbers : list of int
        Where they are in the buffer.
    keys : list of tuple
        Step, and the stored checksums where the buffer has them.
    """

    numbers: list[int]
    keys: list[tuple[Any, ...]]

    @classmethod
    def of(cls, buffer: Any, frames: NDArray[Any]) -> KnownFrames:
        """Note some frames of a buffer."""
        numbers = frames.tolist()
        return cls(numbers, [_key(buffer, k) for k in numbers])

    def check(self, buffer: Any) -> None:
        """Raise AnalysisError where a buffer that was opened elsewhere has other frames."""
        for k, key in zip(self.numbers, self.keys, strict=True):
            found = _key(buffer, k)
            if found == key:
                continue
            there = "not there" if not found else f"that of step {found[0]}"
            if found[:1] == key[:1]:
                there = "another one of this step"
            raise AnalysisError(
                f"frame {k} of {buffer.path}, of step {key[0]}, is {there} for the process on host "
                f"{socket.gethostname()}: the run went on from an earlier step meanwhile, or that "
                "host does not see all files of the buffer. Analyse again; if this comes again, "
                "without --scheduler."
            )


def _key(buffer: Any, k: int) -> tuple[Any, ...]:
    if k >= len(buffer.steps):
        return ()
    entries = getattr(buffer, "entries", None)
    parts = () if entries is None else (part.record.crcs for part in entries[k])
    return (int(buffer.steps[k]), *parts)
