"""Verify, pack and prune a buffer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strdyn_live.frame import Frame

from .document import Origin
from .errors import BufferError, DamageError, explain
from .index import Entry, entries_of, live_until
from .lock import Lock
from .reader import Buffer, read_quietly
from .record import Record, encode
from .sealing import recover, write_segment
from .segment import Segment, Sizes, write_frames
from .storage import new_file, sync_folder
from .tail import Tail

__all__ = ["PruneReport", "VerifyReport", "pack", "prune", "verify"]


@dataclass(frozen=True)
class VerifyReport:
    """What every checksum of a buffer says.

    Attributes
    ----------
    n_frames : int
        Live frames that are intact.
    n_superseded : int
        Intact frames that a restart has superseded.
    n_unsealed : int
        Live frames that are still in a tail log.
    damage : tuple of str
        Everything that is damaged or missing, with file and step.
    """

    n_frames: int
    n_superseded: int
    n_unsealed: int
    damage: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.damage


@dataclass(frozen=True)
class PruneReport:
    """What `prune` has removed.

    Attributes
    ----------
    n_frames : int
        Superseded frames (of each writer).
    n_bytes : int
        Space gained.
    notes : tuple of str
        What recovery found, and files left alone because they are damaged.
    """

    n_frames: int
    n_bytes: int
    notes: tuple[str, ...]


def verify(path: str | os.PathLike[str]) -> VerifyReport:
    """Read every frame of a buffer, folder or packed file, and test every checksum.

    Raises
    ------
    BufferError
        If there is no buffer, or nothing of it can be read.
    """
    with read_quietly(path) as buffer:
        report, _ = _verify(buffer)
    return report


def pack(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> VerifyReport:
    """Copy the live frames of a buffer into one H5MD file, which `open_buffer` reads as well.

    Damaged frames are left out, and the copy names them.

    Parameters
    ----------
    path : path-like
        A buffer; it may be growing, the copy then ends somewhere.
    out : path-like
        The file; it must not exist, and appears when it is complete.

    Returns
    -------
    VerifyReport
        What was found in the buffer: ``n_frames`` are in the file.

    Raises
    ------
    BufferError
        If `out` exists or cannot be written, or no frame can be read.
    """
    target = Path(out)
    if target.exists():
        raise BufferError(f"{target} exists: delete it or give another name.")
    with read_quietly(path) as buffer:
        report, rows = _verify(buffer)
        if not rows:
            raise BufferError(f"{buffer.path} has no frame that can be read: nothing to pack.")
        origin = Origin(buffer.uuid, rows=(0, len(buffer.atom_ids)))
        # counted first: a data set that grows would have to be chunked
        sizes = Sizes.of(record for record, _ in _frames(buffer, rows))
        try:
            with new_file(target) as file:
                frames = _frames(buffer, rows)
                write_frames(file, buffer.document, origin, sizes, frames, report.damage)
        except OSError as error:
            if isinstance(error, BufferError):
                raise
            raise explain(f"cannot pack {buffer.path} into {target}", error) from error
    return report


def prune(path: str | os.PathLike[str]) -> PruneReport:
    """Delete the frames that restarts have superseded; live frames are never touched.

    Every segment that holds some of both is written anew before it goes.

    Raises
    ------
    BufferError
        If a job writes the buffer, or files cannot be written or removed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BufferError(f"{folder} is no buffer folder: a packed file has nothing to prune.")
    read_quietly(folder).close()  # a foreign folder gets no lock file
    lock = Lock(folder)
    try:
        buffer, notes = recover(folder)
        limits = live_until(buffer.generations)
        n_frames = n_bytes = 0
        for file in buffer.files:
            assert file.origin is not None
            entries = entries_of(file)
            live = [entry for entry in entries if entry.step <= limits[file.origin.generation]]
            if isinstance(file, Tail) or len(live) == len(entries):
                continue
            try:
                n_bytes += _shrink(file, live)
                n_frames += len(entries) - len(live)
            except DamageError as error:
                notes.append(f"{file.path.name} was left alone: {error}")
        buffer.close()
    except OSError as error:
        if isinstance(error, BufferError):
            raise
        raise explain(f"cannot prune {folder}", error, "Live frames are safe.") from error
    finally:
        lock.release()
    return PruneReport(n_frames, n_bytes, tuple(notes))


def _frames(buffer: Buffer, rows: list[int]) -> Iterator[tuple[Record, Frame]]:
    """Read frames; where several writers had a part in one, it gets checksums of its own."""
    for row in rows:
        frame = buffer.frame(row)
        yield encode(frame)[0], frame


def _shrink(segment: Segment, live: list[Entry]) -> int:
    """Replace a segment by one of its live frames; return the bytes gained."""
    path = segment.path
    size = path.stat().st_size
    if live:
        frames = [(entry.record, entry.read()) for entry in live]
        new = write_segment(path.parent, segment.document, segment.origin, frames, segment.damage)
        size -= new.stat().st_size
    segment.close()
    path.unlink()
    sync_folder(path.parent)
    return size


def _verify(buffer: Buffer) -> tuple[VerifyReport, list[int]]:
    """Return the report on a buffer, and which of its frames are intact."""
    limits = live_until(buffer.generations)
    damaged: set[tuple[Path, int]] = set()
    damage = list(buffer.damage)
    n_superseded = 0
    for file in buffer.files:
        assert file.origin is not None
        for entry in entries_of(file):
            try:
                entry.read()
            except DamageError as error:
                damaged.add((file.path, entry.row))
                damage.append(str(error))
            else:
                superseded = entry.step > limits[file.origin.generation]
                n_superseded += superseded and file.origin.writer == 0
        if isinstance(file, Segment):
            file.close()
    rows = [
        row
        for row, parts in enumerate(buffer.entries)
        if damaged.isdisjoint((part.file.path, part.row) for part in parts)
    ]
    n_unsealed = sum(isinstance(buffer.entries[row][0].file, Tail) for row in rows)
    return VerifyReport(len(rows), n_superseded, n_unsealed, tuple(damage)), rows
