"""Buffer: the recorded frames as arrays, safe to read while they are written."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

from .document import Document, Origin
from .errors import AccessError, BufferError, BufferWarning, DamageError, explain
from .folder import CONFIG_NAME, Generation, generation_of, list_files, read_document
from .index import Entry, File, Superseded, build_index
from .last import Last
from .ownership import find_foreign
from .segment import Segment
from .storage import open_regular
from .tail import Tail

__all__ = ["Buffer", "open_buffer", "read_quietly"]

_OPEN_FILES = 32  # HDF5 files kept open at a time
_HDF5 = b"\x89HDF\r\n\x1a\n"  # how such a file begins
_EXPECTED = (
    "Expected a folder NAME.sdl that a Recorder has written, or a file made by `strdyn pack`."
)
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
    foreign : tuple of str
        Names of files there that belong to another buffer; nothing of them is served, and nothing
        is done to them.
    superseded : list of Superseded
        Restarts that went on from an earlier step, and how many frames each of them hides.
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
        self.foreign: tuple[str, ...] = ()
        self.superseded: list[Superseded] = []
        self.files: list[File] = []  # our own that can be read, segments first; superseded ones too
        self.generations: dict[int, int | None] = {}
        self._segments: dict[str, Segment] = {}
        self._tails: dict[str, Tail] = {}
        self._recent: list[Segment] = []
        self.entries: list[list[Entry]] = []
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

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
                raise explain(f"cannot read {error.filename or self.path}", error) from error
            return self.n_frames
        raise BufferError(f"{self.path} is no buffer. {_EXPECTED}")

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
            packed = self._read_packed()
            self._document = packed.document
            self._index([packed], {0: None}, [], list(packed.damage))
            return
        damage: list[str] = []
        # Notes of the last step before tails before segments before generations: a frame moves from
        # a tail to a segment, so it is in what is listed first or in what is listed later; a note
        # comes after its frame, a tail after its generation.
        lasts = self._read_each("last", Last.read, damage)
        tails = self._read_tails(damage)
        segments = self._read_segments(damage)
        generations = self._read_each("gen", Generation.read, damage)
        files: list[File] = [*segments, *tails]
        self._share(self._read_document(files, generations.values(), damage))
        ours = self._own(files, lasts, generations, damage)
        branches = {each.number: each.branch_step for each in generations.values()}
        origins: list[Origin | Last] = [*(file.origin for file in ours), *lasts.values()]
        for origin in origins:
            # a lost generation file: the other files know the branch as well
            branch = branches.setdefault(origin.generation, origin.branch_step)
            if branch != origin.branch_step:
                damage.append(
                    f"the files of generation {origin.generation} contradict each other: it goes "
                    f"on from step {branch} or {origin.branch_step}"
                )
                # nothing is hidden on the word of one
                known = [step for step in (branch, origin.branch_step) if step is not None]
                branches[origin.generation] = max(known) if len(known) == 2 else None
        self._index(ours, branches, list(lasts.values()), damage)

    def _read_packed(self) -> Segment:
        segment = self._segments.get("")
        if segment is None:
            path = Path(os.path.realpath(self.path))  # it was given by name: that may be a link
            with open(open_regular(path), "rb") as file:
                start = file.read(len(_HDF5))
            if start != _HDF5:
                raise BufferError(f"{self.path} is no buffer, it is no HDF5 file. {_EXPECTED}")
            try:
                segment = Segment(path)
            except DamageError as error:
                raise DamageError(f"{error} Is it a buffer at all? {_EXPECTED}") from error
        self._segments = {"": segment}
        return segment

    def _read_each(self, kind: str, read: Callable[[Path], _T], damage: list[str]) -> dict[str, _T]:
        """Read the small files of a kind, by name."""
        contents = {}
        for path in list_files(self.path, kind):
            try:
                contents[path.name] = read(path)
            except DamageError as error:
                damage.append(str(error))
        return contents

    def _read_tails(self, damage: list[str]) -> list[Tail]:
        tails = {}
        for path in list_files(self.path, "tail"):
            tail = self._tails.pop(path.name, None)
            try:
                if tail is None:
                    tail = Tail(path)
                else:
                    tail.scan()
            except FileNotFoundError:  # sealed: its segment is listed next
                continue
            except DamageError as error:
                damage.append(str(error))
                if tail is not None:
                    tail.close()
                continue
            except PermissionError as error:
                damage.append(str(explain(f"cannot read {path}", error)))
                continue
            tails[path.name] = tail
        for gone in self._tails.values():
            gone.close()
        self._tails = tails
        for tail in tails.values():
            damage.extend(tail.damage)
        return [tail for tail in tails.values() if tail.started]

    def _read_segments(self, damage: list[str]) -> list[Segment]:
        segments = {}
        for path in list_files(self.path, "seg"):
            segment = self._segments.get(path.name)
            if segment is None:
                try:
                    segment = Segment(path)
                except (DamageError, AccessError) as error:
                    damage.append(str(error))
                    continue
                self._use(segment)
            segments[path.name] = segment
            damage.extend(segment.damage)
        self._segments = segments
        return list(segments.values())

    def _read_document(
        self, files: list[File], generations: Iterable[Generation], damage: list[str]
    ) -> Document:
        try:
            return read_document(self.path)
        except (FileNotFoundError, DamageError) as error:
            if not files:
                if isinstance(error, FileNotFoundError):
                    raise
                raise DamageError(f"{error} Is it a buffer at all? {_EXPECTED}") from error
            missing = isinstance(error, FileNotFoundError)
            damage.append(f"{self.path / CONFIG_NAME} is missing." if missing else str(error))
        uuids = {file.origin.uuid for file in files}
        if len(uuids | {each.uuid for each in generations if each.uuid is not None}) > 1:
            raise BufferError(
                f"{damage[-1]} The other files there belong to several buffers, so nothing tells "
                f"which of them are its own: put its {CONFIG_NAME} back, or move the files of the "
                "other buffers away."
            )
        return files[0].document

    def _share(self, document: Document) -> None:
        """Take a document, or keep the one there is: files read before refer to it."""
        known: Document | None = self.__dict__.get("_document")
        if known is None or known.uuid != document.uuid or known.differences(document):
            self._document = document

    def _own(
        self,
        files: list[File],
        lasts: dict[str, Last],
        generations: dict[str, Generation],
        damage: list[str],
    ) -> list[File]:
        """Return the files of this buffer; leave what belongs to another one out everywhere."""
        foreign = find_foreign(self._document.uuid, files, lasts, generations)
        for name in foreign:
            lasts.pop(name, None)
            generations.pop(name, None)
        self.foreign = tuple(sorted(foreign))
        damage.extend(
            f"{name} belongs to another buffer and is left alone: move it away"
            for name in self.foreign
        )
        ours = []
        for file in files:
            if file.path.name in foreign:
                continue
            if file.origin.generation != generation_of(file.path):
                damage.append(
                    f"{file.path.name} is of generation {file.origin.generation}: rename it back"
                )
                continue
            if file.document is not self._document:
                if differ := self._document.differences(file.document):
                    damage.append(
                        f"{file.path.name} contradicts {CONFIG_NAME}: {'; '.join(differ)}"
                    )
                    continue
                file.document = self._document  # once in memory
            ours.append(file)
        return ours

    def _index(
        self,
        files: list[File],
        branches: dict[int, int | None],
        lasts: list[Last],
        damage: list[str],
    ) -> None:
        index = build_index(files, branches, lasts)
        self.files, self.generations = files, branches
        self.entries, self.superseded = index.frames, index.superseded
        self.steps = np.array([parts[0].step for parts in self.entries], dtype=np.int64)
        self.times = np.array([parts[0].record.time for parts in self.entries], dtype=np.float64)
        new = [text for text in damage + index.gaps if text not in self.damage]
        self.damage = tuple(damage + index.gaps)
        if new:
            more = f"; and {len(new) - 10} more, see `strdyn verify`" if len(new) > 10 else ""
            text = f"{self.path}: {'; '.join(new[:10])}{more}"
            warnings.warn(text, BufferWarning, stacklevel=5)

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
