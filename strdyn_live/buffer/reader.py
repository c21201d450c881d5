"""Buffer: the recorded frames as arrays, safe to read while they are written."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from strdyn_live.basis import Basis
from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists

from .bases import find_basis
from .document import Document
from .errors import BufferError, BufferWarning, DamageError, explain
from .files import EXPECTED, Files
from .folder import basis_name
from .index import Entry, File, Superseded, build_index
from .live_log import LiveFile, LiveLine, labels_of, parse_lines, served_lines
from .segment import Segment

__all__ = ["Buffer", "open_buffer", "read_quietly"]

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
    n_scores_of : (n_frames,) int64 ndarray
        Number of scores that each frame is stored by; 0 for spectra in full, or none.
    bases : mapping of (int, int) to Basis
        Bases of scores by generation and number of scores.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    n_scores_of: NDArray[np.int64]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.damage: tuple[str, ...] = ()
        self.foreign: tuple[str, ...] = ()
        self.superseded: list[Superseded] = []
        self.files: list[File] = []  # our own that can be read, segments first; superseded ones too
        self.generations: dict[int, int | None] = {}
        self.lives: tuple[LiveFile, ...] = ()  # our own logs of values
        self.bases: Mapping[tuple[int, int], Basis] = {}
        self._files = Files(self.path)
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
    def intervals(self) -> NDArray[np.int64]:
        """Steps between the regular frames of the start that wrote each frame, (n_frames,).

        0 where they are not known. A frame at a step that is no multiple is an extra one, of
        adaptive sampling or of the start of a run.
        """
        every = (parts[0].file.origin.every for parts in self.entries)
        return np.fromiter((n or 0 for n in every), dtype=np.int64, count=self.n_frames)

    @property
    def every(self) -> int | None:
        """Steps between the regular frames of the newest start that knows them; None if unknown."""
        origins = [file.origin for file in self.files if file.origin.every is not None]
        return max(origins, key=lambda origin: origin.generation).every if origins else None

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

        Of a frame that is stored by scores they are what the scores make up: each is within
        `soap_error` of the spectrum, and so is its norm of 1 (see `residuals`).

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
            If what is stored is damaged, or the recording has no spectra (``store none``); the
            message names file and step.
        """
        if not isinstance(k, slice):
            if not self.config.stored.spectra:
                raise BufferError(
                    f"{self.path} has no spectra: it was recorded with store = 'none'. Neighbor "
                    "lists and positions are there. Record again with store='full' or 'pca 32'."
                )
            stored = self.stored_soap(k)
            return self.basis_of(k).expand(stored) if self.n_scores_of[k] else stored
        frames = range(self.n_frames)[k]
        spectra = np.empty((len(frames), len(self.atom_ids), self.n_features), dtype=np.float32)
        for row, frame in enumerate(frames):
            spectra[row] = self.soap(frame)
        return spectra

    def stored_soap(self, k: int) -> NDArray[np.float32]:
        """Return what is stored in place of spectra: these, or scores and residual, or nothing."""
        return _joined(self._parts(k, lambda file, row: file.soap(row)))

    def scores(self, k: int) -> NDArray[np.float32]:
        """Return the scores of a frame by the newest basis.

        Those of an older one are followed by zeros, and spectra stored in full are projected, so
        that all frames have the same number.

        Returns
        -------
        (n_atoms, n_scores) float32 ndarray

        Raises
        ------
        BufferError
            If there is no basis, or what is stored is damaged.
        """
        newest = self.basis
        if newest is None:
            raise BufferError(
                f"{self.path} has no scores: all its frames hold spectra in full, or none. "
                "buf.soap(k) returns spectra."
            )
        stored = self.stored_soap(k)
        known = stored if self.n_scores_of[k] else newest.project(stored)
        scores = np.zeros((len(stored), newest.n_scores), dtype=np.float32)
        scores[:, : known.shape[1] - 1] = known[:, :-1]
        return scores

    def residuals(self, k: int) -> NDArray[np.float32]:
        """Return how far each row of `soap` is from the spectrum that was computed, (n_atoms,).

        0 for a frame that is stored in full.
        """
        if not self.n_scores_of[k]:
            return np.zeros(len(self.atom_ids), dtype=np.float32)
        residuals: NDArray[np.float32] = self.stored_soap(k)[:, -1].copy()
        return residuals

    def has_basis(self, k: int) -> bool:
        """Return whether a frame is stored in full, or its basis can be read."""
        in_full = self.n_scores_of[k] == 0
        return bool(in_full) or find_basis(self.bases, *self._basis_key(k)) is not None

    def basis_of(self, k: int) -> Basis:
        """Return the basis that a frame is stored by.

        Raises
        ------
        DamageError
            If it is damaged or not there, or the frame is stored in full.
        """
        generation, n_scores = self._basis_key(k)
        basis = find_basis(self.bases, generation, n_scores)
        if basis is None:
            raise DamageError(
                f"{self.path}: step {self.steps[k]} is stored by the basis of {n_scores} scores of "
                f"generation {generation}, which cannot be read. Put back a copy of "
                f"{basis_name(generation, n_scores)}."
            )
        return basis

    @property
    def basis(self) -> Basis | None:
        """The largest basis of a frame; None if no frame is stored by scores."""
        n_scores_of = self.n_scores_of
        if not n_scores_of.any():
            return None
        return self.basis_of(int(n_scores_of.argmax()))

    @property
    def soap_error(self) -> float:
        """No row of `soap` is farther than this from the spectrum that was computed.

        0 if all frames are stored in full.
        """
        first = {self._basis_key(int(k)): int(k) for k in np.flatnonzero(self.n_scores_of)}
        bounds = [self.basis_of(k).bound for k in first.values()]
        rounded = max((file.origin.rounded_to for file in self.files), default=0.0)
        return max(bounds, default=0.0) + rounded / 2 * float(np.sqrt(self.n_features))

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
        """Return one whole frame, with its spectra if it has some."""
        stored = self.stored_frame(k)
        return replace(stored, soap=self.soap(k)) if self.n_scores_of[k] else stored

    def stored_frame(self, k: int) -> Frame:
        """Return one whole frame as it is stored, by scores or not."""
        return Frame(
            int(self.steps[k]),
            float(self.times[k]),
            *self.box(k),
            self.positions(k),
            self.stored_soap(k),
            self.neighbors(k),
        )

    def live(self, kind: str) -> list[dict[str, Any]]:
        """Return what was known while the run went on; what a restart has superseded is left out.

        Lines written since the buffer was opened are there after `refresh`, and those of logs that
        were there before at once.

        Parameters
        ----------
        kind : str
            "values": of each frame `step`, `previous_step`, `lens_mean`, `lens_max`, `n_above`,
            `distance_max`, `populations`, `moves`, and packed labels (see `live_labels`).
            "event": what a rule has found, with `step` and `name`. "model": the model of each
            start of the run, with `run_id`, `marks`, `names`, `colors`.

        Returns
        -------
        list of dict
            By step.

        Warns
        -----
        BufferWarning
            For lines that are damaged; the others are served.
        """
        lines, damage = self.live_lines()
        if damage:
            text = f"{self.path}: {'; '.join(damage[:10])}"
            warnings.warn(text, BufferWarning, stacklevel=2)
        return [line.content for line in lines if line.kind == kind]

    def live_labels(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the labels that a model gave while the run went on.

        Only those of the newest model, if a restart has changed the model. There are none for a
        recording with several writers.

        Returns
        -------
        steps : (n,) int64 ndarray
            Steps of the labelled frames. The label of a frame was known one interval later.
        labels : (n, n_atoms) int32 ndarray
            Environments, as `strdyn_post.label` gives them; −1 for noise.
        """
        return labels_of(self.live("values"), len(self.atom_ids))

    def live_lines(self) -> tuple[list[LiveLine], list[str]]:
        """Return the lines that `live` serves, and what is damaged, in words."""
        if self.path.is_dir():
            return served_lines(self.lives, self.generations)
        lines: list[LiveLine] = []
        damage: list[str] = []
        for file in self.files:
            if isinstance(file, Segment):
                lines, damage = parse_lines(file.live(), file.path.name)
        return lines, damage

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
        raise BufferError(f"{self.path} is no buffer. {EXPECTED}")

    def close(self) -> None:
        """Close all files; the buffer can still be refreshed."""
        self._files.close()

    def __reduce__(self) -> tuple[Callable[[Path, str], Buffer], tuple[Path, str]]:
        # another process, with a working directory of its own, opens the files anew
        return _reopen, (self.path.absolute(), self.uuid)

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        found = self._files.scan()
        index = build_index(found.files, found.branches, found.lasts)
        self._document, self.foreign = found.document, found.foreign
        self.files, self.generations, self.lives = found.files, found.branches, found.lives
        self.entries, self.superseded = index.frames, index.superseded
        self.bases = found.bases
        columns = np.array([parts[0].record.n_features for parts in self.entries], dtype=np.int64)
        in_full = (columns == self.n_features) | (columns == 0)
        self.n_scores_of = np.where(in_full, 0, columns - 1)
        self.steps = np.array([parts[0].step for parts in self.entries], dtype=np.int64)
        self.times = np.array([parts[0].record.time for parts in self.entries], dtype=np.float64)
        damage = found.damage + index.gaps + self._lost_bases()
        new = [text for text in damage if text not in self.damage]
        self.damage = tuple(damage)
        if new:
            more = f"; and {len(new) - 10} more, see `strdyn verify`" if len(new) > 10 else ""
            text = f"{self.path}: {'; '.join(new[:10])}{more}"
            warnings.warn(text, BufferWarning, stacklevel=4)

    def _basis_key(self, k: int) -> tuple[int, int]:
        """Return generation and number of scores of a frame."""
        entry = self.entries[k][0]
        return entry.file.origin.generation, entry.record.n_features - 1

    def _lost_bases(self) -> list[str]:
        """Return which bases of live frames cannot be read, in words."""
        lost: dict[tuple[int, int], list[int]] = {}
        for k in np.flatnonzero(self.n_scores_of).tolist():
            if not self.has_basis(k):
                lost.setdefault(self._basis_key(k), []).append(int(self.steps[k]))
        return [
            f"{basis_name(*key)} cannot be read, and so the spectra of {len(steps)} frames (steps "
            f"{steps[0]} to {steps[-1]})"
            for key, steps in lost.items()
        ]

    def _parts(self, k: int, read: Callable[[File, int], _T]) -> list[_T]:
        """Read one thing of every writer's part of a frame."""
        values = []
        for part in self.entries[k]:
            if isinstance(part.file, Segment):
                self._files.use(part.file)
            try:
                values.append(read(part.file, part.row))
            except FileNotFoundError as error:
                raise BufferError(
                    f"{part.file.path} has gone: buf.refresh() finds where its frames are now."
                ) from error
        return values


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
