"""Which stored frames are live and whole, and where something is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from strdyn_live.frame import Frame

from .last import Last
from .record import Record
from .segment import Segment
from .tail import Tail

__all__ = ["Entry", "File", "Index", "Superseded", "build_index", "entries_of", "live_until"]

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


class Superseded(NamedTuple):
    """What a restart has superseded: stored, not served, deleted by `prune` only.

    Attributes
    ----------
    generation : int
        Start of a writer that went on from an earlier step.
    branch_step : int
        That step.
    n_frames : int
        Frames of older generations after it, those counted that no generation in between hides.
    """

    generation: int
    branch_step: int
    n_frames: int

    def __str__(self) -> str:
        return f"branch at step {self.branch_step}: {self.n_frames} frames after it are superseded"


@dataclass(frozen=True)
class Index:
    """The frames of some files, sorted out.

    Attributes
    ----------
    frames : list of list of Entry
        Live frames by step; of each the parts of all writers, by writer.
    superseded : list of Superseded
        Of every generation that hides frames.
    gaps : list of str
        Frames that must have been there, in words.
    """

    frames: list[list[Entry]]
    superseded: list[Superseded]
    gaps: list[str]


def build_index(
    files: Sequence[File], branches: Mapping[int, int | None], lasts: Sequence[Last] = ()
) -> Index:
    """Sort out the frames of some files.

    Parameters
    ----------
    files : sequence of Segment or Tail
        Segments first: their copy of a frame is preferred.
    branches : mapping of int to int or None
        Branch step of every generation.
    lasts : sequence of Last
        Steps that are known to be committed.
    """
    limits = live_until(branches)
    found: dict[int, dict[int, dict[int, Entry]]] = defaultdict(lambda: defaultdict(dict))
    n_writers: dict[int, int] = {}
    preceded: list[tuple[int, int, str]] = []
    gaps = []
    for file in files:
        origin = file.origin
        generation = origin.generation
        if n_writers.setdefault(generation, origin.n_writers) != origin.n_writers:
            gaps.append(
                f"{file.path.name} is of {origin.n_writers} writers, other files of generation "
                f"{generation} are of {n_writers[generation]}"
            )
            continue
        entries = entries_of(file)
        for entry in entries:
            found[generation][entry.step].setdefault(origin.writer, entry)
        live = [entry for entry in entries if entry.step <= limits[generation]]
        if live and origin.previous_step is not None:
            preceded.append((live[0].step, origin.previous_step, file.path.name))

    frames: dict[int, list[Entry]] = {}
    hidden: dict[int, int] = defaultdict(int)
    for generation, steps in sorted(found.items()):
        whole = {step for step, parts in steps.items() if len(parts) == n_writers[generation]}
        live_steps = {step for step in whole if step <= limits[generation]}
        for step in live_steps:
            # an older generation wins: a restart compares its first frame and does not write it
            frames.setdefault(step, [part for _, part in sorted(steps[step].items())])
        for step in whole - live_steps:
            hidden[_hidden_by(generation, step, branches)] += 1
        # later ones are on their way, or were never committed
        committed = max(live_steps, default=-1)
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
    gaps += [
        f"the end of generation {last.generation} is lost: step {last.step} was committed and is "
        "not there"
        for last in lasts
        if last.step <= limits[last.generation]
        and last.writer not in found[last.generation][last.step]
    ]
    superseded = [
        Superseded(generation, branch, hidden[generation])
        for generation, branch in sorted(branches.items())
        if branch is not None and hidden[generation]
    ]
    return Index([frames[step] for step in sorted(frames)], superseded, gaps)


def _hidden_by(generation: int, step: int, branches: Mapping[int, int | None]) -> int:
    """Return the first later generation that goes on from before a step."""
    return min(
        later
        for later, branch in branches.items()
        if later > generation and branch is not None and branch < step
    )
