"""What was known while a run went on: one line of JSON for each frame and each event.

``live-GGGG.jsonl`` stands beside the frames of generation GGGG. Its first line says which buffer
and which generation it belongs to. Every line has its own CRC32. Lines are only appended; a last
line that was cut off is ignored. Everything in it follows from the frames and from a model, so its
loss costs no data.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.values import FrameValues

from .content import (
    checked_line,
    integer,
    optional_step,
    pack_array,
    read_json,
    sensible,
    text,
    unpack_array,
)
from .errors import BufferError, DamageError, explain
from .folder import Generation, generation_name, generation_of, live_name
from .index import live_until
from .storage import new_file, open_regular, read_at, write_all, write_file

__all__ = [
    "LiveFile",
    "LiveLine",
    "LiveLog",
    "labels_of",
    "parse_lines",
    "rewrite",
    "served_lines",
    "values_content",
]

_LABEL = "<i2"
_FIRST_BYTES = 4096  # the first line is shorter


@dataclass(frozen=True)
class LiveLine:
    """One line.

    Attributes
    ----------
    generation : int
        Start of a writer that wrote it.
    kind : str
        "values", "event", "model".
    content : dict
        What it says, as JSON types.
    """

    generation: int
    kind: str
    content: dict[str, Any]

    @property
    def step(self) -> int | None:
        """Timestep; None for a line that is of no single step."""
        return self.content.get("step")

    def to_bytes(self) -> bytes:
        """Return the line with its checksum."""
        return checked_line({"kind": self.kind, "content": self.content})


class LiveLog:
    """Appends lines to the log of a generation; held by writer 0.

    Parameters
    ----------
    folder : Path
        The buffer.
    generation : int
        `BufferWriter.generation`, which is there after the first frame.

    Raises
    ------
    BufferError
        If the log cannot be written. The frames do not depend on it.
    """

    def __init__(self, folder: str | os.PathLike[str], generation: int) -> None:
        self.path = Path(folder) / live_name(generation)
        self._descriptor: int | None = None
        try:
            of = Generation.read(Path(folder) / generation_name(generation))
            header = {"uuid": of.uuid, "generation": of.number, "branch_step": of.branch_step}
            first = checked_line(header)
            write_file(self.path, first, exclusive=True)
        except OSError as error:
            raise self._failed(error) from error
        self._size = len(first)

    def append(self, kind: str, content: Mapping[str, Any]) -> None:
        """Add a line; one of kind "event" is durable when this returns.

        Parameters
        ----------
        kind : str
            "values" (see `values_content`), "event", or "model" (`LiveModel.description`).
        content : mapping
            JSON types and NumPy arrays. `step` says what a restart supersedes.

        Raises
        ------
        BufferError
            If it is not written; the log is as it was, and the next line may be tried.
        """
        plain = json.loads(json.dumps(dict(content), default=_plain))
        line = checked_line({"kind": kind, "content": plain})
        try:
            if self._descriptor is None:
                self._descriptor = open_regular(self.path, os.O_WRONLY | os.O_APPEND)
                os.ftruncate(self._descriptor, self._size)
            write_all(self._descriptor, [line])
            if kind == "event":
                os.fsync(self._descriptor)
        except OSError as error:
            self._take_back()
            raise self._failed(error) from error
        self._size += len(line)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _take_back(self) -> None:
        """Remove what was written of a line; where that fails the next line does it."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
        self.close()

    def _failed(self, error: OSError) -> BufferError:
        if isinstance(error, BufferError):
            return error
        return explain(f"cannot write {self.path}", error, "All frames are safe.")


class LiveFile:
    """A log for reading; what was read before is not read again.

    Attributes
    ----------
    path : Path
        The file.
    uuid, generation, branch_step
        As in `Origin`.

    Raises
    ------
    DamageError
        If its first line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._first = self._read(0, _FIRST_BYTES).split(b"\n")[0]
        content = read_json(self._first, f"{path}: the first line")
        with sensible(str(path)):
            self.uuid = text(content, "uuid")
            self.generation = integer(content, "generation")
            self.branch_step = optional_step(content, "branch_step")
            if self.generation != generation_of(path):
                raise ValueError(f"it is that of generation {self.generation}")
        self._forget()

    @property
    def first_line(self) -> bytes:
        """What it begins with."""
        return self._first + b"\n"

    def lines(self) -> tuple[list[LiveLine], list[str]]:
        """Return all whole lines, and what is damaged, in words."""
        new = self._read(self._offset)
        if len(new) == 0 and os.lstat(self.path).st_size < self._offset:  # written anew
            self._forget()
            new = self._read(self._offset)
        whole = new[: new.rfind(b"\n") + 1]
        lines, damage = parse_lines(whole, self.path.name, self.generation, self._number)
        self._offset += len(whole)
        self._number += whole.count(b"\n")
        self._lines += lines
        self._damage += damage
        return self._lines, self._damage

    def _forget(self) -> None:
        self._offset, self._number = len(self.first_line), 2
        self._lines: list[LiveLine] = []
        self._damage: list[str] = []

    def _read(self, offset: int, most: int | None = None) -> bytes:
        descriptor = open_regular(self.path)
        try:
            size = max(0, os.fstat(descriptor).st_size - offset)
            return read_at(descriptor, size if most is None else min(size, most), offset).tobytes()
        finally:
            os.close(descriptor)


def parse_lines(
    data: bytes, name: str, generation: int = 0, number: int = 1
) -> tuple[list[LiveLine], list[str]]:
    """Read whole lines of a log.

    Parameters
    ----------
    data : bytes
        Lines, each with its end.
    name : str
        Of the file, for messages.
    generation : int
        Of the log.
    number : int
        Of the first line.

    Returns
    -------
    lines : list of LiveLine
        Those that are intact.
    damage : list of str
        The others, in words.
    """
    lines, damage = [], []
    for k, line in enumerate(data.split(b"\n")[:-1], start=number):
        try:
            found = read_json(line, f"{name}: line {k}")
            with sensible(f"{name}: line {k}"):
                content = dict(found["content"])
                if "step" in content:
                    integer(content, "step")
                lines.append(LiveLine(generation, text(found, "kind"), content))
        except DamageError as error:
            damage.append(str(error))
    return lines, damage


def served_lines(
    files: Sequence[LiveFile], branches: Mapping[int, int | None]
) -> tuple[list[LiveLine], list[str]]:
    """Return the lines that no restart has superseded, by step, and what is damaged.

    The rule is that of the frames: a generation that goes on from step R hides what older ones say
    of later steps, and what an older one says of R is preferred.

    Parameters
    ----------
    files : sequence of LiveFile
        Logs of one buffer.
    branches : mapping of int to int or None
        Branch step of every generation.
    """
    limits = live_until(branches)
    served: list[LiveLine] = []
    damage: list[str] = []
    said_by: dict[tuple[str, int], int] = {}
    for file in sorted(files, key=lambda file: file.generation):
        try:
            lines, damaged = file.lines()
        except OSError as error:
            damage.append(str(explain(f"cannot read {file.path}", error)))
            continue
        damage += damaged
        for line in lines:
            if line.step is not None:
                first = said_by.setdefault((line.kind, line.step), line.generation)
                if line.step > limits[line.generation] or first != line.generation:
                    continue
            served.append(line)
    return sorted(served, key=lambda line: -1 if line.step is None else line.step), damage


def rewrite(file: LiveFile, lines: Sequence[LiveLine]) -> None:
    """Put some of its lines in the place of a log; nobody writes to it."""
    with new_file(file.path) as new:
        new.write(file.first_line + b"".join(line.to_bytes() for line in lines))


def values_content(
    values: FrameValues, labels: NDArray[np.int32] | None = None, run_id: str | None = None
) -> dict[str, Any]:
    """Return the content of a line of kind "values".

    Parameters
    ----------
    values : FrameValues
        Of all centers.
    labels : (n_atoms,) int32 ndarray, optional
        Environments of all centers, sorted by atom ID; only if there is a model.
    run_id : str, optional
        `LiveModel.run_id`: labels of two models are not comparable.
    """
    content: dict[str, Any] = {
        "step": values.step,
        "previous_step": values.previous_step,
        "lens_mean": values.lens_mean,
        "lens_max": values.lens_max,
        "n_above": values.n_above,
        "distance_max": values.distance_max,
        "populations": values.populations.tolist(),
        "moves": values.moves.tolist(),
    }
    if labels is not None:
        content |= {"labels": pack_array(labels, _LABEL), "model": run_id}
    return content


def labels_of(
    lines: Sequence[dict[str, Any]], n_atoms: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the labels in lines of kind "values": those of the newest model.

    Parameters
    ----------
    lines : sequence of dict
        Contents, by step.
    n_atoms : int
        Number of centers.

    Returns
    -------
    steps : (n,) int64 ndarray
        Step of every frame that has labels: the frame before, not that of the line.
    labels : (n, n_atoms) int32 ndarray
        Environments; −1 for noise.
    """
    known = [each for each in lines if "labels" in each and each["previous_step"] is not None]
    rows = {}
    for each in known:
        if each.get("model") == known[-1].get("model"):
            with sensible(f"the labels of step {each['step']}"):
                step = integer(each, "previous_step")
                rows[step] = unpack_array(text(each, "labels"), _LABEL, n_atoms)
    steps = sorted(rows)
    labels = np.array([rows[step] for step in steps], dtype=np.int32).reshape(-1, n_atoms)
    return np.array(steps, dtype=np.int64), labels


def _plain(value: Any) -> Any:
    """Return a NumPy array or number as JSON types."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{value!r} is no JSON type")
