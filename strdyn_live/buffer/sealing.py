"""From tail logs to sealed segments: by the writer as it goes, and after a crash.

Every step can be repeated: a kill anywhere leaves either the tail, or the tail and its segment, or
the segment; readers take each frame once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from strdyn_live.frame import Frame

from .content import checked_json
from .document import Document, Origin
from .errors import BufferError, BufferWarning, DamageError, explain
from .folder import (
    CONFIG_NAME,
    generation_of,
    list_files,
    parts,
    put_aside,
    read_document,
    segment_name,
)
from .index import entries_of
from .last import note_last
from .reader import Buffer, read_quietly
from .record import Record
from .segment import Segment
from .segment_writer import Sizes, write_frames
from .storage import new_file, sync_folder, write_file
from .tail import Tail

__all__ = [
    "SEAL_BYTES",
    "SEAL_SECONDS",
    "is_sealed",
    "recover",
    "seal_tail",
    "segment_path",
    "write_segment",
]

SEAL_BYTES = 64 * 2**20
SEAL_SECONDS = 300.0


def write_segment(
    folder: Path,
    document: Document,
    origin: Origin,
    frames: Sequence[tuple[Record, Frame]],
    damage: Sequence[str] = (),
) -> Path:
    """Write frames as one durable segment; return its path."""
    path = segment_path(folder, origin, frames)
    _spare_foreign(path, document)
    sizes = Sizes.of(record for record, _ in frames)
    try:
        with new_file(path) as file:
            write_frames(file, document, origin, sizes, frames, damage)
    except OSError as error:
        steps = f"steps {frames[0][0].step} to {frames[-1][0].step}"
        kept = "What has been committed before is safe."
        raise explain(f"cannot seal {steps} into {path}", error, kept) from error
    return path


def seal_tail(
    path: Path, document: Document, seal_bytes: int = SEAL_BYTES, last_step: int | None = None
) -> list[str]:
    """Move the frames of a tail log into segments, then remove the log.

    Parameters
    ----------
    path : Path
        The log; nobody writes to it.
    document : Document
        Of the buffer; a log that does not belong to it is left alone.
    seal_bytes : int
        Usual size of a segment; none becomes larger than twice that.
    last_step : int, optional
        With several writers: later frames were never committed by all of them.

    Returns
    -------
    list of str
        What was dropped or is damaged, in words.
    """
    try:
        tail = Tail(path, check=False)
    except DamageError as error:
        return [str(error)]
    except OSError as error:
        raise explain(f"cannot seal {path}", error) from error
    try:
        if not tail.started:
            return _drop_unstarted(tail)
        if not _belongs(tail, document):
            return []
        damage, origin = list(tail.damage), tail.origin
        step = None
        for frames in _groups(tail, 2 * seal_bytes, last_step, damage):
            if not is_sealed(segment_path(path.parent, origin, frames), document.uuid, frames):
                write_segment(path.parent, document, origin, frames, damage)
            step = frames[-1][0].step
            origin = replace(origin, previous_step=step)
        notes = damage
        if tail.torn and not tail.damage:
            after = (
                f" after step {tail.records[len(tail.records) - 1].step}" if tail.records else ""
            )
            notes = [*damage, f"{path.name}: dropped {tail.torn} bytes{after}, no frame"]
        if step is not None:
            note_last(path.parent, origin, step)
        # a log with damage and no frame stays, so that readers go on naming the damage
        if step is not None or not damage:
            _remove(path)
        return notes
    except OSError as error:
        if isinstance(error, BufferError):
            raise
        raise explain(f"cannot seal {path}", error, "Its frames are safe.") from error
    finally:
        tail.close()


def recover(folder: Path, seal_bytes: int = SEAL_BYTES) -> tuple[Buffer, list[str]]:
    """Put in order what a killed writer left: call it with the lock held.

    Returns
    -------
    Buffer
        What is there.
    list of str
        What was dropped or is damaged, in words.
    """
    try:
        for path in parts(folder):
            os.unlink(path)
        for aside, path in put_aside(folder).items():
            if not os.path.lexists(path):
                os.rename(aside, path)
        buffer = read_quietly(folder)  # the notes say what is damaged
        notes = list(buffer.damage)
        try:
            read_document(folder)
        except (FileNotFoundError, DamageError):
            # every data file has a copy
            write_file(folder / CONFIG_NAME, checked_json(buffer.document.to_dict()))
            notes.append(f"{folder / CONFIG_NAME} was restored")
        last_step = int(buffer.steps[-1]) if buffer.n_frames else -1
        for path in list_files(folder, "tail"):
            notes += seal_tail(path, buffer.document, seal_bytes, last_step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BufferWarning)
            buffer.refresh()
    except OSError as error:
        if isinstance(error, BufferError):
            raise
        raise explain(f"cannot recover {folder}", error, "No frame was touched.") from error
    return buffer, list(dict.fromkeys(notes))


def _belongs(tail: Tail, document: Document) -> bool:
    """Return whether readers count a log as a part of a buffer; they name it if not."""
    return (
        tail.origin.uuid == document.uuid
        and tail.origin.generation == generation_of(tail.path)
        and not document.differences(tail.document)
    )


def _drop_unstarted(tail: Tail) -> list[str]:
    """Remove a log whose first bytes never came, unless damage took them: then it stays."""
    if tail.damage:
        return list(tail.damage)
    _remove(tail.path)
    return [f"{tail.path.name}: dropped {tail.torn} bytes, no frame"] if tail.torn else []


def _remove(path: Path) -> None:
    # the name of a segment from before a crash may not be durable yet
    sync_folder(path.parent)
    os.unlink(path)


def _spare_foreign(path: Path, document: Document) -> None:
    """Raise BufferError if another buffer's segment has the name of one of ours."""
    try:
        segment = Segment(path)
    except (FileNotFoundError, DamageError):
        return
    segment.close()
    if segment.origin.uuid != document.uuid:
        raise BufferError(
            f"{path} belongs to another buffer, and its name is needed: move it away."
        )


def _groups(
    tail: Tail, n_bytes: int, last_step: int | None, damage: list[str]
) -> Iterator[list[tuple[Record, Frame]]]:
    """Read the frames of a log in groups of at most `n_bytes`; note those that are damaged."""
    group: list[tuple[Record, Frame]] = []
    size = 0
    for entry in entries_of(tail):
        several = tail.origin.n_writers > 1
        if several and last_step is not None and entry.step > last_step:
            break
        try:
            frame = entry.read()
        except DamageError as error:
            damage.append(str(error))
            continue
        if group and size + entry.record.size > n_bytes:
            yield group
            group, size = [], 0
        group.append((entry.record, frame))
        size += entry.record.size
    if group:
        yield group


def segment_path(folder: Path, origin: Origin, frames: Sequence[tuple[Record, Frame]]) -> Path:
    """Return where a segment of these frames belongs."""
    first, last = frames[0][0].step, frames[-1][0].step
    return folder / segment_name(origin.generation, first, last, origin.writer, origin.n_writers)


def is_sealed(path: Path, uuid: str, frames: Sequence[tuple[Record, Frame]]) -> bool:
    """Return whether a segment of a buffer holds just these frames, and all of them read back."""
    try:
        segment = Segment(path)
    except (FileNotFoundError, DamageError):
        return False
    try:
        entries = entries_of(segment)
        if segment.origin.uuid != uuid or [entry.record.to_bytes() for entry in entries] != [
            record.to_bytes() for record, _ in frames
        ]:
            return False
        for entry in entries:
            entry.read()
    except DamageError:
        return False
    finally:
        segment.close()
    return True
