"""Which stored frames are live and whole, and where something is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from strdyn_live.frame import Frame

from .record import Record
from .segment import Segment
from .tail import Tail

__all__ = ["Entry", "File", "build_index", "entries_of", "live_until"]

File: TypeAlias = Segment | Tail


@dataclass(frozen=True)
class Entry:
    """A frame, or one writer's rows of it, in a file."""

    file: File
    row: int
    record: Record

    @property
    def step(self) -> int:
        """Timestep."""
        return self.record.step

    def read(self) -> Frame:
        """Return the frame (or these rows of it), checked."""
        return Frame(
            self.record.step,
            self.record.time,
            self.record.cell,
            self.record.origin,
            self.file.positions(self.row),
            self.file.soap(self.row),
            self.file.neighbors(self.row),
        )


def entries_of(file: File) -> list[Entry]:
    """Return the frames of a file whose headers are intact."""
    return [Entry(file, row, record) for row, record in file.records.items()]


def live_until(branches: Mapping[int, int | None]) -> dict[int, float]:
    """Return the last live step of every generation.

    A generation with branch step R goes on from R: whatever older ones hold after R is superseded.
    """
    limits: dict[int, float] = {}
    lowest = float("inf")
    for generation in sorted(branches, reverse=True):
        limits[generation] = lowest
        branch = branches[generation]
        if branch is not None:
            lowest = min(lowest, branch)
    return limits


def build_index(
    files: Sequence[File], branches: Mapping[int, int | None]
) -> tuple[list[list[Entry]], list[str]]:
    """Sort out the frames of some files.

    Parameters
    ----------
    files : sequence of Segment or Tail
        Segments first: their copy of a frame is preferred.
    branches : mapping of int to int or None
        Branch step of every generation.

    Returns
    -------
    frames : list of list of Entry
        Live frames by step; of each the parts of all writers, by writer.
    gaps : list of str
        Frames that must have been there, in words.
    """
    limits = live_until(branches)
    found: dict[int, dict[int, dict[int, Entry]]] = defaultdict(lambda: defaultdict(dict))
    n_writers: dict[int, int] = {}
    preceded: list[tuple[int, int, str]] = []
    for file in files:
        origin = file.origin
        assert origin is not None
        generation = origin.generation
        n_writers[generation] = origin.n_writers
        live = [entry for entry in entries_of(file) if entry.step <= limits[generation]]
        for entry in live:
            found[generation][entry.step].setdefault(origin.writer, entry)
        if live and origin.previous_step is not None:
            preceded.append((live[0].step, origin.previous_step, file.path.name))

    gaps = []
    frames: dict[int, list[Entry]] = {}
    for generation, steps in sorted(found.items()):
        whole = {step for step, parts in steps.items() if len(parts) == n_writers[generation]}
        for step in whole:
            # an older generation wins: a restart compares its first frame and does not write it
            frames.setdefault(step, [part for _, part in sorted(steps[step].items())])
        # later ones are on their way, or were never committed
        committed = max(whole, default=-1)
        gaps += [
            f"step {step}: only {len(parts)} of {n_writers[generation]} writers' rows are there"
            for step, parts in sorted(steps.items())
            if step not in whole and step < committed
        ]
    gaps += [
        f"a gap before step {step} ({name}): step {previous} came before it and is not there"
        for step, previous, name in sorted(preceded)
        if previous not in frames
    ]
    return [frames[step] for step in sorted(frames)], gaps
