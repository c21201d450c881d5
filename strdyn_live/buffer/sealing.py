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

from .document import Document, Origin, checked_json
from .errors import BufferError, BufferWarning, DamageError, explain
from .folder import CONFIG_NAME, list_files, parts, read_document, segment_name
from .reader import Buffer
from .segment import Segment, build_segment
from .storage import sync_folder, write_file
from .tail import Tail

__all__ = ["SEAL_BYTES", "SEAL_SECONDS", "recover", "seal_tail", "write_segment"]

SEAL_BYTES = 64 * 2**20
SEAL_SECONDS = 300.0


def write_segment(
    folder: Path,
    document: Document,
    origin: Origin,
    frames: Sequence[Frame],
    damage: Sequence[str] = (),
) -> Path:
    """Write frames as one durable segment; return its path."""
    first, last = frames[0].step, frames[-1].step
    name = segment_name(origin.generation, first, last, origin.writer, origin.n_writers)
    image = build_segment(document, origin, frames, damage)
    try:
        write_file(folder / name, [image])
    except OSError as error:
        raise explain(
            f"cannot seal steps {first} to {last} into {folder / name}",
            error,
            "What has been committed before is safe.",
        ) from error
    return folder / name


def seal_tail(path: Path, seal_bytes: int = SEAL_BYTES, last_step: int | None = None) -> list[str]:
    """Move the frames of a tail log into segments, then remove the log.

    Parameters
    ----------
    path : Path
        The log; nobody writes to it.
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
        tail = Tail(path)
    except OSError as error:
        raise explain(f"cannot seal {path}", error) from error
    try:
        notes = list(tail.damage)
        if tail.torn and not tail.damage:
            after = f" after step {tail.records[-1].step}" if tail.records else ""
            notes.append(f"{path.name}: dropped {tail.torn} bytes{after}, no committed frame")
        if tail.origin is None or not tail.records:
            # damage without a frame beside it stays where it is: readers go on naming it
            if not tail.damage:
                os.unlink(path)
            return notes
        assert tail.document is not None
        origin, damage = tail.origin, tail.damage
        if last_step is None or origin.n_writers == 1:
            last_step = tail.records[-1].step
        for group in _groups(tail, seal_bytes, last_step):
            frames = [tail.frame(row) for row in group]
            if not _is_sealed(path.parent, origin, frames):
                write_segment(path.parent, tail.document, origin, frames, damage)
            origin, damage = replace(origin, previous_step=frames[-1].step), []
        # a segment found from before a crash may not have a durable name yet
        sync_folder(path.parent)
        os.unlink(path)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BufferWarning)  # the notes say it
            buffer = Buffer(folder)
        notes = list(buffer.damage)
        try:
            read_document(folder)
        except (FileNotFoundError, DamageError):
            # every data file has a copy
            write_file(folder / CONFIG_NAME, [checked_json(buffer.document.to_dict())])
            notes.append(f"{folder / CONFIG_NAME} was restored")
        last_step = int(buffer.steps[-1]) if buffer.n_frames else -1
        for path in list_files(folder, "tail"):
            notes += seal_tail(path, seal_bytes, last_step)
        buffer.refresh()
    except OSError as error:
        if isinstance(error, BufferError):
            raise
        raise explain(f"cannot recover {folder}", error, "No frame was touched.") from error
    return buffer, list(dict.fromkeys(notes))


def _groups(tail: Tail, seal_bytes: int, last_step: int) -> Iterator[list[int]]:
    """Split the frames of a log into segments; one that grew while sealing failed is longer."""
    group: list[int] = []
    size = 0
    for row, record in enumerate(tail.records):
        if record.step > last_step:
            break
        if group and size + record.size > 2 * seal_bytes:
            yield group
            group, size = [], 0
        group.append(row)
        size += record.size
    if group:
        yield group


def _is_sealed(folder: Path, origin: Origin, frames: Sequence[Frame]) -> bool:
    """Return whether a crash came after these frames were sealed and before their log went."""
    first, last = frames[0].step, frames[-1].step
    name = segment_name(origin.generation, first, last, origin.writer, origin.n_writers)
    try:
        segment = Segment(folder / name)
    except (FileNotFoundError, DamageError):
        return False
    try:
        if list(segment.steps) != [frame.step for frame in frames]:
            return False
        for row in range(len(frames)):
            segment.frame(row)
    except DamageError:
        return False
    finally:
        segment.close()
    return True
