"""Files of the frames around events: complete, sorted by atom ID, beside the buffer."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buffer.storage import PART, new_suffix, sync_folder, write_all, write_file
from .config import LiveConfig
from .dump_text import dump_text
from .events import Occurrence
from .ring import ATOM, Ring, Snapshot

__all__ = ["EventFiles", "events_folder"]

Gather = Callable[[NDArray[Any]], NDArray[Any] | None]
"""Returns the rows of all ranks on rank 0, None or no rows on the others (collective)."""


def events_folder(config: LiveConfig) -> Path:
    """Return the folder of the frames around events: ``NAME.events`` beside ``NAME.sdl``."""
    return Path(config.file).with_suffix(".events")


class EventFiles:
    """Keeps the last frames, and writes those before, at and after each event.

    All ranks call `add` with the same steps and events. A file begins with the frames before an
    event and ends `event_frames` frames after it, or after the last event in between: events that
    overlap share a file. A frame is written as it comes, so that only the frames before an event
    take memory. The file has its name when it is complete and on the disk; before that, it ends in
    ``.part``. What cannot be written is said in `notes`, and the run goes on.

    Parameters
    ----------
    config : LiveConfig
        ``file``, ``elements``, ``event_frames``; all settings are written beside the frames.
    units : str
        LAMMPS unit style.
    gather : callable
        Concatenates rows of all ranks on rank 0 (collective).
    is_root : bool
        Whether this is rank 0, which writes.
    numbers : sequence of int, optional
        Numbers of the environments in the files, by label: those of exports. By default the labels.

    Attributes
    ----------
    notes : list of str
        What could not be written, and why; on rank 0.
    """

    def __init__(
        self,
        config: LiveConfig,
        units: str,
        gather: Gather,
        *,
        is_root: bool,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._config, self._units = config, units
        self._gather, self._is_root = gather, is_root
        self._numbers = None if numbers is None else np.array([*numbers, -1])
        self._ring = Ring(config.event_frames)
        self._n_left: int | None = None  # frames after the last event; None: no file is open
        self._file: _File | None = None

    def add(
        self,
        frame: Snapshot,
        occurrences: Sequence[Occurrence] = (),
        atom_ids: Sequence[Sequence[int] | NDArray[Any] | None] = (),
    ) -> str:
        """Take the next frame (collective).

        Parameters
        ----------
        frame : Snapshot
            The atoms of this rank.
        occurrences : sequence of Occurrence
            Events in this frame whose frames are wanted; the same on all ranks.
        atom_ids : sequence of sequence of int
            Atoms that caused each of them; used on rank 0.

        Returns
        -------
        str
            The file that this frame is in, from the folder of the buffer on; empty if there is
            none, and on ranks other than 0.
        """
        if occurrences:
            if self._n_left is None:
                first = occurrences[0]
                self._open(f"{first.name}-{first.step}")
                for earlier in self._ring.take():
                    self._write(earlier)
            self._n_left = self._config.event_frames + 1
        if self._n_left is None:
            self._ring.add(frame)
            return ""
        self._write(frame)
        name = "" if self._file is None else f"{self._file.path.parent.name}/{self._file.path.name}"
        if self._file is not None:
            for occurrence, atoms in zip(occurrences, atom_ids, strict=True):
                ids = [] if atoms is None else np.asarray(atoms).tolist()
                self._file.events.append(occurrence.entry(frame.time, ids, name) | {"atoms": ids})
        self._n_left -= 1
        if self._n_left == 0:
            self.close()
        return name

    def close(self) -> None:
        """Complete an open file: the run ends, or its last frame is there."""
        self._n_left = None
        file, self._file = self._file, None
        if file is not None:
            with self._noting(file):
                file.close(self._config)

    def _open(self, name: str) -> None:
        if not self._is_root:
            return
        folder = events_folder(self._config)
        try:
            folder.mkdir(exist_ok=True)
            self._file = _File(_free(folder, name))
        except OSError as error:
            self._note(folder / name, error)
            return
        with self._noting(self._file):
            self._file.write(f"ITEM: UNITS\n{self._units}\n")

    def _write(self, frame: Snapshot) -> None:
        n_bytes = ATOM.itemsize
        rows = self._gather(frame.atoms.view(np.uint8).reshape(-1, n_bytes))
        if self._file is None or rows is None:
            return
        atoms = np.ascontiguousarray(rows).view(ATOM)[:, 0]
        atoms = atoms[np.argsort(atoms["id"], kind="stable")]
        elements = np.array(["", *self._config.elements])  # types count from 1
        environments = atoms["environment"]
        if self._numbers is not None:
            environments = self._numbers[environments]
        x, y, z = atoms["position"].T.tolist()
        text = dump_text(
            frame.step,
            frame.time,
            frame.box,
            [
                ("id", "%d", atoms["id"].tolist()),
                ("type", "%d", atoms["type"].tolist()),
                ("element", "%s", elements[atoms["type"]].tolist()),
                ("x", "%.10g", x),
                ("y", "%.10g", y),
                ("z", "%.10g", z),
                ("delta", "%.6g", atoms["delta"].tolist()),
                ("environment", "%d", environments.tolist()),
            ],
        )
        with self._noting(self._file):
            self._file.write(text)
            self._file.steps.append(frame.step)

    @contextlib.contextmanager
    def _noting(self, file: _File) -> Iterator[None]:
        """Give a file up that cannot be written: no part of it is left, and a note says why."""
        try:
            yield
        except OSError as error:
            file.give_up()
            self._file = None
            self._note(file.path, error)

    def _note(self, path: Path, error: OSError) -> None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Free space" if full else "Put this folder in order"
        self.notes.append(
            f"cannot write {path}: {error.strerror or error}. The run and its buffer go on without "
            f"these frames. {remedy}, so that the next event is written."
        )


class _File:
    """A dump that appears under its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: list[int] = []
        self.events: list[dict[str, Any]] = []
        self._part = path.with_name(path.name + new_suffix(PART))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor: int | None = os.open(self._part, flags, 0o666)

    def write(self, text: str) -> None:
        """Append text."""
        if self._descriptor is not None:
            write_all(self._descriptor, [text.encode()])

    def close(self, config: LiveConfig) -> None:
        """Make the file durable, give it its name, and write what it holds beside it."""
        if self._descriptor is None:
            return
        os.fsync(self._descriptor)
        descriptor, self._descriptor = self._descriptor, None
        os.close(descriptor)
        os.rename(self._part, self.path)
        sync_folder(self.path.absolute().parent)
        about = {"frames": self.steps, "events": self.events, "settings": config.as_dict()}
        text = json.dumps(about, indent=1, ensure_ascii=False)
        write_file(self.path.with_suffix(".json"), f"{text}\n".encode())

    def give_up(self) -> None:
        """Leave no part of it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(self._part)


def _free(folder: Path, name: str) -> Path:
    """Return a path that nothing has yet: a run that goes on from an earlier step comes back."""
    path, number = folder / f"{name}.dump", 2
    while os.path.lexists(path):
        path, number = folder / f"{name}-{number}.dump", number + 1
    return path
