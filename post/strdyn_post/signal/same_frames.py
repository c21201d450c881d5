"""Workers in other processes open the buffer again: a check that they see the same frames."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from strdyn_post.errors import AnalysisError
from strdyn_post.recording import Recording

__all__ = ["KnownFrames"]


@dataclass(frozen=True)
class KnownFrames:
    """Some frames of a buffer, with keys that identify them.

    Attributes
    ----------
    numbers : list of int
        Their indices in the buffer.
    keys : list of tuple
        Step, and the stored checksums if the buffer has them.
    """

    numbers: list[int]
    keys: list[tuple[Any, ...]]

    @classmethod
    def of(cls, recording: Recording, frames: NDArray[Any]) -> KnownFrames:
        """Return the keys of some frames of a buffer."""
        numbers = frames.tolist()
        return cls(numbers, [_key(recording, k) for k in numbers])

    def check(self, recording: Recording) -> None:
        """Raise AnalysisError if the buffer as opened here has other frames."""
        for k, key in zip(self.numbers, self.keys, strict=True):
            found = _key(recording, k)
            if found == key:
                continue
            there = "not there" if not found else f"that of step {found[0]}"
            if found[:1] == key[:1]:
                there = "another one of this step"
            raise AnalysisError(
                f"frame {k} of {recording.path}, of step {key[0]}, is {there} for the process on "
                f"host {socket.gethostname()}: the run has gone on from an earlier step, or that "
                "host does not see all files of the buffer. Analyse again; if the error is the "
                "same, analyse without --scheduler."
            )


def _key(recording: Recording, k: int) -> tuple[Any, ...]:
    if k >= len(recording.steps):
        return ()
    entries = getattr(recording, "entries", None)
    parts = () if entries is None else (part.record.crcs for part in entries[k])
    return (int(recording.steps[k]), *parts)
