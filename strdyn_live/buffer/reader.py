"""Buffer: the recorded frames as arrays, safe to read while they are written."""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

from .document import Document
from .errors import BufferError, BufferWarning, DamageError, explain
from .folder import CONFIG_NAME, Generation, list_files, read_document
from .index import Entry, File, build_index
from .segment import Segment
from .tail import Tail

__all__ = ["Buffer", "open_buffer", "read_quietly"]

_OPEN_FILES = 32  # HDF5 files kept open at a time
_T = TypeVar("_T")


def open_buffer(path: str | os.PathLike[str]) -> Buffer:
    """Open a buffer folder or a packed file for reading.

    Parameters
    ----------
    path : path-like
        A folder ``NAME.sdl`` or a file made by `pack`.

    Returns
    -------
    Buffer
        Its committed frames.

    Raises
    ------
    BufferError
        If there is no buffer, or nothing of it can be read.

    Warns
    -----
    BufferWarning
        For what is damaged or missing; the rest is served.
    """
    return Buffer(path)


def read_quietly(path: str | os.PathLike[str]) -> Buffer:
    """Open a buffer whose damage someone else reports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BufferWarning)
        return Buffer(path)


class Buffer:
    """Recorded frames, sorted by step, each once.

    Reading takes no lock and never disturbs a writer. Every part of a frame is checked against its
    CRC32 when it is read.

    Attributes
    ----------
    path : Path
        The folder or file.
    steps, times : (n_frames,) int64 and float64 ndarray
        Timesteps, and times in the time unit of the run.
    damage : tuple of str
        What is damaged or missing, in words; no such frame is served.
    generations : dict of int to int or None
        Branch step of every start of a writer.
    entries : list of list of Entry
        Where each frame is stored: one entry per writer.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.float64]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.damage: tuple[str, ...] = ()
        self.generations: dict[int, int | None] = {}
        self._segments: dict[str, Segment] = {}
        self._tails: dict[str, Tail] = {}
        self._recent: list[Segment] = []
        self.entries: list[list[Entry]] = []
        self.refresh()

    # what all frames share

    @property
    def config(self) -> LiveConfig:
        """Settings of the recording."""
        return self._document.config

    @property
    def atom_ids(self) -> NDArray[np.int64]:
        """Sorted IDs of the described atoms, shape (n_atoms,)."""
        return self._document.atom_ids

    @property
    def species(self) -> NDArray[np.int32]:
        """Index into ``config.species`` of every atom, shape (n_atoms,)."""
        return self._document.species

    @property
    def units(self) -> str:
        """LAMMPS unit style."""
        return self._document.units

    @property
    def periodic(self) -> tuple[bool, bool, bool]:
        """Periodic directions of the box."""
        return self._document.periodic

    @property
    def uuid(self) -> str:
        """Identity of the buffer; the same in a packed copy."""
        return self._document.uuid

    @property
    def document(self) -> Document:
        """All of the above, as stored."""
        return self._document

    @property
    def n_features(self) -> int:
        """Length of a spectrum."""
        return self._document.n_features

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.entries)

    def __len__(self) -> int:
        return self.n_frames

    # frames

    @overload
    def soap(self, k: int) -> NDArray[np.float32]: ...
    @overload
    def soap(self, k: slice) -> NDArray[np.float32]: ...

    def soap(self, k: int | slice) -> NDArray[np.float32]:
        """Return compact power spectra of unit norm.

        Parameters
        ----------
        k : int or slice
            Frame, or frames.

        Returns
        -------
        (n_atoms, n_features) or (n, n_atoms, n_features) float32 ndarray
            Rows sorted by atom ID.

        Raises
        ------
        BufferError
            If what is stored is damaged; the message names file and step.
        """
        if not isinstance(k, slice):
            return _joined(self._parts(k, lambda file, row: file.soap(row)))
        frames = range(self.n_frames)[k]
        spectra = np.empty((len(frames), len(self.atom_ids), self.n_features), dtype=np.float32)
        for row, frame in enumerate(frames):
            spectra[row] = self.soap(frame)
        return spectra

    def positions(self, k: int) -> NDArray[np.float64]:
        """Return the positions of the described atoms, shape (n_atoms, 3) [length]."""
        return _joined(self._parts(k, lambda file, row: file.positions(row)))

    def box(self, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the box vectors as rows, shape (3, 3), and its corner, shape (3,) [length]."""
        record = self.entries[k][0].record
        return record.cell.copy(), record.origin.copy()

    def neighbors(self, k: int) -> NeighborLists:
        """Return the neighbor lists of the described atoms."""
        lists = self._parts(k, lambda file, row: file.neighbors(row))
        if len(lists) == 1:
            return lists[0]
        counts = np.concatenate([each.counts for each in lists])
        return NeighborLists.from_counts(counts, np.concatenate([each.ids for each in lists]))

    def frame(self, k: int) -> Frame:
        """Return one whole frame."""
        return Frame(
            int(self.steps[k]),
            float(self.times[k]),
            *self.box(k),
            self.positions(k),
            self.soap(k),
            self.neighbors(k),
        )

    def refresh(self) -> int:
        """Look for frames written since; return the number of frames.

        Frames already seen keep their data. After a restart from an earlier step, superseded
        frames are gone.
        """
        for _ in range(20):
            try:
                self._read()
            except BufferError:
                raise
            except FileNotFoundError:
                # sealed, pruned or moved between listing and opening: look again
                if not self.path.exists():
                    break
                continue
            except OSError as error:
                raise explain(f"cannot read {self.path}", error) from error
            return self.n_frames
        raise BufferError(
            f"{self.path} is no buffer: expected a folder NAME.sdl that a Recorder has written, "
            "or a file made by `strdyn pack`."
        )

    @property
    def files(self) -> list[File]:
        """Data files that can be read, segments first; superseded ones too."""
        tails = [tail for tail in self._tails.values() if tail.origin is not None]
        return [*self._segments.values(), *tails]

    def close(self) -> None:
        """Close all files; the buffer can still be refreshed."""
        for segment in self._segments.values():
            segment.close()
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        self._recent.clear()

    def __reduce__(self) -> tuple[Callable[[Path, str], Buffer], tuple[Path, str]]:
        # another process, with a working directory of its own, opens the files anew
        return _reopen, (self.path.absolute(), self.uuid)

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        if not self.path.is_dir():
            segment = self._segments.get("") or Segment(self.path)
            self._segments = {"": segment}
            self._document = segment.document
            self._index([segment], {0: None}, list(segment.damage))
            return
        damage: list[str] = []
        # Tails before segments before generations: a frame moves from a tail to a segment, so it is
        # in what is listed first or in what is listed later; a tail comes after its generation.
        tails = self._read_tails(damage)
        segments = self._read_segments(damage)
        generations = self._read_generations([*segments, *tails], damage)
        self._document = self._read_document([*segments, *tails], damage)
        self._index([*segments, *tails], generations, damage)

    def _read_tails(self, damage: list[str]) -> list[Tail]:
        tails = {}
        for path in list_files(self.path, "tail"):
            with contextlib.suppress(FileNotFoundError):  # sealed: its segment is listed next
                tail = self._tails.pop(path.name, None)
                if tail is None:
                    tail = Tail(path)
                else:
                    tail.scan()
                tails[path.name] = tail
        for gone in self._tails.values():
            gone.close()
        self._tails = tails
        for tail in tails.values():
            damage.extend(tail.damage)
        return [tail for tail in tails.values() if tail.origin is not None]

    def _read_segments(self, damage: list[str]) -> list[Segment]:
        segments = {}
        for path in list_files(self.path, "seg"):
            name = path.name
            try:
                segment = self._segments.get(name) or Segment(path)
            except DamageError as error:
                damage.append(str(error))
                continue
            segments[name] = segment
            self._use(segment)
            damage.extend(segment.damage)
        self._segments = segments
        return list(segments.values())

    def _read_generations(self, files: list[File], damage: list[str]) -> dict[int, int | None]:
        branches: dict[int, int | None] = {}
        for path in list_files(self.path, "gen"):
            try:
                generation = Generation.read(path)
                branches[generation.number] = generation.branch_step
            except DamageError as error:
                damage.append(str(error))
        for file in files:  # a lost generation file: its data files know the branch as well
            if file.origin is not None and file.origin.generation not in branches:
                branches[file.origin.generation] = file.origin.branch_step
        return branches

    def _read_document(self, files: list[File], damage: list[str]) -> Document:
        try:
            return read_document(self.path)
        except FileNotFoundError:
            if not files:
                raise
            damage.append(f"{self.path / CONFIG_NAME} is missing.")
        except DamageError as error:
            if not files:
                raise
            damage.append(str(error))
        document = files[0].document
        assert document is not None
        return document

    def _index(self, files: list[File], branches: dict[int, int | None], damage: list[str]) -> None:
        ours = []
        for file in files:
            if file.origin is not None and file.origin.uuid == self._document.uuid:
                ours.append(file)
            else:
                damage.append(f"{file.path.name} belongs to another buffer: move it away")
        self.entries, gaps = build_index(ours, branches)
        self.generations = branches
        self.steps = np.array([parts[0].step for parts in self.entries], dtype=np.int64)
        self.times = np.array([parts[0].record.time for parts in self.entries], dtype=np.float64)
        new = [text for text in damage + gaps if text not in self.damage]
        self.damage = tuple(damage + gaps)
        if new:
            warnings.warn(f"{self.path}: " + "; ".join(new), BufferWarning, stacklevel=5)

    def _parts(self, k: int, read: Callable[[File, int], _T]) -> list[_T]:
        """Read one thing of every writer's part of a frame."""
        values = []
        for part in self.entries[k]:
            if isinstance(part.file, Segment):
                self._use(part.file)
            try:
                values.append(read(part.file, part.row))
            except FileNotFoundError as error:
                raise BufferError(
                    f"{part.file.path} has gone: buf.refresh() looks where its frames are now."
                ) from error
        return values

    def _use(self, segment: Segment) -> None:
        """Keep the files read last open, and no more."""
        if segment in self._recent:
            self._recent.remove(segment)
        self._recent.append(segment)
        if len(self._recent) > _OPEN_FILES:
            self._recent.pop(0).close()


def _reopen(path: Path, uuid: str) -> Buffer:
    """Open a buffer in another process, and nothing else that stands there."""
    buffer = open_buffer(path)
    if buffer.uuid != uuid:
        raise BufferError(
            f"{path} holds run {buffer.uuid} on host {socket.gethostname()}, expected run {uuid}: "
            "every process must see the same buffer under this path."
        )
    return buffer


def _joined(values: list[NDArray[Any]]) -> NDArray[Any]:
    return values[0] if len(values) == 1 else np.concatenate(values)
