"""BufferWriter: frames become durable one by one, and sealed segments in time."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from strdyn_live.basis import Basis
from strdyn_live.beside import Beside
from strdyn_live.box import Box
from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame, RunStart

from .bases import StoredBasis
from .document import Document, Origin, header_json, writer_rows
from .errors import BufferError, BufferWarning, OtherWriterError, explain
from .folder import tail_name
from .last import note_last
from .lock import Lock
from .pace import Pace
from .reader import read_quietly
from .record import check_frame, encode
from .sealing import SEAL_BYTES, SEAL_SECONDS, seal_tail, write_segment
from .start import branch_off, open_generation, require_same_frame, take_folder
from .tail import TailWriter

__all__ = ["BufferWriter", "forecast"]


def forecast(path: str | os.PathLike[str], frame_bytes: int) -> int:
    """Return how many more frames of a size fit on the file system of a buffer.

    A frame needs its space twice until its segment is sealed; that is negligible in the long run.
    """
    folder = Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // max(1, frame_bytes)


class BufferWriter:
    """Writes the frames of one run into a buffer folder.

    Parameters
    ----------
    config : LiveConfig
        Settings; ``config.file`` is the folder, ``config.append`` allows to go on with one. With
        ``config.overlap`` a thread seals the logs.
    atom_ids : (n_atoms,) array_like of int
        Sorted IDs of all described atoms.
    species : (n_atoms,) array_like of int
        Index into ``config.species``.
    units : str
        LAMMPS unit style.
    periodic : (bool, bool, bool)
        Periodic directions of the box.
    branch_step : int, optional
        When a run goes on: step of its restart file. Stored frames after it are superseded by the
        first new one. By default the step of the first frame.
    provenance : mapping, optional
        JSON types to remember about this start (versions, number of ranks); ``every`` are the steps
        between its regular frames, if known.
    writer : int
        Which of the ``config.writers`` this is; frames then hold only `rows`.
    agree : callable, optional
        With several writers: takes whether this one has succeeded, returns whether all have.
    seal_bytes, seal_seconds : int, float
        Size and age at which the tail log becomes a segment.

    Attributes
    ----------
    rows : slice
        Rows of the sorted atoms that `append` expects.
    run_start : RunStart or None
        Where the run of the next frame began, if more than its step is known.
    notes : list of str
        What recovery found: dropped, damaged, restored.
    n_frames : int
        Live frames in the buffer.
    bytes_written : int
        Size of the frames appended by this writer.
    last_step : int or None
        Step of the newest live frame.

    Raises
    ------
    BufferError
        If the buffer exists, belongs to another run or another job, or cannot be written; the
        message says how to mend it.
    """

    def __init__(
        self,
        config: LiveConfig,
        *,
        atom_ids: ArrayLike,
        species: ArrayLike,
        units: str,
        periodic: tuple[bool, bool, bool] = (True, True, True),
        branch_step: int | None = None,
        provenance: Mapping[str, Any] | None = None,
        writer: int = 0,
        agree: Callable[[bool], bool] | None = None,
        seal_bytes: int = SEAL_BYTES,
        seal_seconds: float = SEAL_SECONDS,
    ) -> None:
        self.path = Path(config.file)
        self.notes: list[str] = []
        self.bytes_written = 0
        self.n_frames = 0
        self.last_step: int | None = None
        self._committed: int | None = None  # newest step of this writer's own
        self._noted: Path | None = None  # log of which a step is noted
        self._n_scores = 0  # of the largest basis that is durable
        self._agree = agree or bool
        self._writer = writer
        self._n_writers = config.writers
        self._append = config.append
        self._time_shift = 0.0
        self._pace = Pace(config.r_cut)
        self._followed: int | None = None
        self.run_start = None if branch_step is None else RunStart(branch_step)
        self._provenance = dict(provenance or {})
        self._seal_bytes, self._seal_seconds = seal_bytes, seal_seconds
        self._sealed_at = time.monotonic()
        self._unsealed: list[Path] = []
        self._unsealed_bytes = 0
        self._n_tails = 0
        self._beside = Beside(has_thread=config.overlap)
        self._sealing: Future[None] | None = None
        self._tail: TailWriter | None = None
        self._origin: Origin | None = None
        self._lock: Lock | None = None
        self._closed = False
        document = Document.create(config, atom_ids, species, units, periodic)
        if config.writers > len(document.atom_ids):
            raise BufferError(
                f"writers = {config.writers} for {len(document.atom_ids)} atoms: expected at most "
                "one writer per atom."
            )
        start, stop = writer_rows(len(document.atom_ids), self._n_writers)[writer]
        self.rows = slice(start, stop)
        try:
            with self._together():
                if writer == 0:  # the others wait until the folder is in order
                    self._lock, self.notes = take_folder(
                        self.path, document, config.append, seal_bytes
                    )
            with self._together():
                self._stored = read_quietly(self.path)
                self._document = self._stored.document
        except BaseException:
            self._release()
            raise
        self.n_frames = self._stored.n_frames
        self.last_step = int(self._stored.steps[-1]) if self.n_frames else None

    @property
    def uuid(self) -> str:
        """Identity of the buffer."""
        return self._document.uuid

    @property
    def generation(self) -> int | None:
        """Number of this start of a writer; None before the first frame."""
        return None if self._origin is None else self._origin.generation

    def append(self, frame: Frame) -> bool:
        """Commit a frame: it is durable, with all writers, when this returns.

        A frame at the step a run goes on from is compared with the stored one, not written twice.
        After an error the frame is not in the buffer, everything before it is, and the next frame
        may be tried.

        Parameters
        ----------
        frame : Frame
            The rows of this writer; with scores and their basis only where ``store`` is ``pca K``.

        Returns
        -------
        bool
            Whether it was written; False if it is stored already.

        Raises
        ------
        BufferError
            If it is not written; the message names file, step and remedy.
        """
        if self._closed:
            raise BufferError(f"step {frame.step} was not written: {self.path} is closed.")
        if self._origin is None:
            is_stored = self._begin(frame)
        else:
            with self._together():
                self._check(frame)
                is_stored = self._is_repeated(frame)
        self._follow(frame)
        if is_stored:
            return False
        if frame.basis is not None and frame.basis.n_scores > self._n_scores:
            with self._together():
                self._store_basis(frame.basis, frame.step)
            self._n_scores = frame.basis.n_scores
        undo = None
        try:
            with self._together():
                undo = self._commit(frame)
        except BaseException:
            if undo is not None:
                undo()
            raise
        self.n_frames += 1
        self.last_step = self._committed = frame.step
        age = time.monotonic() - self._sealed_at
        if self._unsealed_bytes >= self._seal_bytes or age >= self._seal_seconds:
            self._start_sealing()
        if self._sealing is not None and self._sealing.done():
            self._in_passing(self._end_sealing, "sealing")
        elif self._tail is not None and self._tail.path != self._noted:
            self._in_passing(self._note_last, "the note of the last step")
        return True

    def seal(self) -> None:
        """Move all frames from the tail log into a segment.

        Raises
        ------
        BufferError
            If that fails; the frames stay in the log, and the next start of a writer seals them.
        """
        self._start_sealing()
        self._end_sealing()

    def seal_in_passing(self) -> None:
        """Seal; where that fails, warn, and let the next time do it: all frames are committed."""
        self._in_passing(self.seal, "sealing")

    def close(self) -> None:
        """Seal and let others write; with several writers all have to call it."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._together():
                self.seal()
        finally:
            self._beside.end()
            self._release()

    def __enter__(self) -> BufferWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, frame: Frame) -> bool:
        """Open the generation of this run; return whether its first frame is stored already."""
        origin = Origin(
            self._document.uuid,
            writer=self._writer,
            n_writers=self._n_writers,
            rows=(self.rows.start, self.rows.stop),
            every=self._provenance.get("every"),
        )
        with self._together():
            self._check(frame)
            branch = branch_off(self._stored, origin, self.run_start, frame, self._append)
        origin = branch.origin
        with self._together():
            if self._writer == 0:
                open_generation(self.path, origin, self._provenance, frame.step)
        self.notes += branch.notes
        self._origin = origin
        self._time_shift = branch.time_shift
        if origin.branch_step is not None:
            self.n_frames = int((self._stored.steps <= origin.branch_step).sum())
        self.last_step = origin.previous_step
        self._stored.close()
        return branch.is_stored

    def _follow(self, frame: Frame) -> None:
        """Warn if a new run does not go on where the last one ended."""
        started = None if self.run_start is None else self.run_start.step
        box = Box(frame.cell, frame.origin, self._document.periodic)
        if started != self._followed:
            found = self._pace.departure(frame.positions, box, frame.step)
            if found:
                warnings.warn(
                    f"step {frame.step}: since step {self._pace.last_step} {found}. If the system "
                    "was changed between two runs, LENS between these frames is no dynamics: "
                    "record to another file after such a change.",
                    BufferWarning,
                    stacklevel=3,
                )
        self._followed = started
        self._pace.add(frame.positions, box, frame.step)

    def _is_repeated(self, frame: Frame) -> bool:
        """Return whether this is the newest frame once more; raise if it is an older step."""
        if self.last_step is None or frame.step > self.last_step:
            return False
        if frame.step < self.last_step:
            raise BufferError(
                f"step {frame.step} was not written to {self.path}: it comes after step "
                f"{self.last_step}. Was the step number reset? Record that run to another file."
            )
        self._in_passing(self._end_sealing, "sealing")  # HDF5 is not for two threads
        with read_quietly(self.path) as stored:
            require_same_frame(stored, frame, self.rows)
        return True

    def _check(self, frame: Frame) -> None:
        atom_ids, document = self._document.atom_ids[self.rows], self._document
        n_columns = document.n_features if document.config.stored.spectra else 0
        if frame.basis is not None and document.allows(frame.basis.n_scores + 1):
            n_columns = frame.basis.n_scores + 1
        check_frame(frame, atom_ids, n_columns, str(self.path))

    def _store_basis(self, basis: Basis, step: int) -> None:
        """Make a basis durable, before the first frame that needs it."""
        if self._writer != 0 or self._origin is None:
            return
        stored = StoredBasis(self._document.uuid, self._origin.generation, basis)
        try:
            stored.write(self.path)
        except OSError as error:
            kept = "The frames before it are safe."
            raise explain(f"cannot write step {step} to {self.path}", error, kept) from error

    def _commit(self, frame: Frame) -> Callable[[], None]:
        """Make a frame durable; return how to take it back."""
        if self._origin is None:
            raise BufferError(f"step {frame.step} was not written: {self.path} is not open yet.")
        record, payload = encode(replace(frame, time=frame.time + self._time_shift))
        origin = replace(self._origin, previous_step=self.last_step)
        if record.size >= self._seal_bytes:
            self._in_passing(self._end_sealing, "sealing")  # HDF5 is not for two threads
            path = write_segment(self.path, self._document, origin, [(record, frame)])
            self.bytes_written += record.size
            return partial(_unlink, path)
        if self._tail is not None and self._tail.broken:
            self._close_tail()
        if self._tail is None:
            name = tail_name(origin.generation, self._n_tails, self._writer, self._n_writers)
            self._n_tails += 1
            self._tail = TailWriter(
                self.path / name, header_json(origin, self._document), frame.step
            )
        size = self._tail.size
        self._unsealed_bytes += self._tail.append([record.to_bytes(), *payload], frame.step)
        self.bytes_written += record.size
        return partial(self._tail.truncate, size)

    def _start_sealing(self) -> None:
        """Close the log, and start to move all that is not sealed into segments."""
        self._in_passing(self._end_sealing, "sealing")  # what has failed is tried again
        self._sealed_at = time.monotonic()
        self._unsealed_bytes = 0
        self._close_tail()
        self._sealing = self._beside.start(partial(self._seal_logs, self._committed))

    def _end_sealing(self) -> None:
        """Wait until what was started is sealed; raise what went wrong."""
        sealing, self._sealing = self._sealing, None
        if sealing is not None:
            sealing.result()

    def _seal_logs(self, committed: int | None) -> None:
        """Move closed logs into segments; with `overlap` on a thread: no other writer is asked."""
        while self._unsealed:
            self.notes += seal_tail(self._unsealed[0], self._document, self._seal_bytes)
            self._unsealed.pop(0)
        if self._origin is not None and committed is not None:
            note_last(self.path, self._origin, committed)

    def _in_passing(self, task: Callable[[], None], name: str) -> None:
        try:
            task()
        except (BufferError, MemoryError) as error:
            # the frames are committed: not an error of this step, and tried again later
            warnings.warn(f"{name} is put off: {error}", BufferWarning, stacklevel=3)

    def _note_last(self) -> None:
        if self._origin is not None and self._committed is not None:
            note_last(self.path, self._origin, self._committed)
            self._noted = self._tail.path if self._tail is not None else None

    def _close_tail(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._unsealed.append(self._tail.path)
            self._tail = None

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Let all writers succeed, or fail, in what follows."""
        try:
            yield
        except BaseException:
            self._agree(False)
            raise
        if not self._agree(True):
            raise OtherWriterError(f"another writer of {self.path} failed: see its message.")


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
