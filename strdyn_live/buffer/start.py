"""The start of a writer: take the folder over, find where the run goes on, open a generation."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_live.frame import Frame

from .content import checked_json
from .document import Document, Origin
from .errors import APPEND, BufferError, DamageError, explain
from .folder import CONFIG_NAME, Generation, generation_of, is_foreign, list_files, parts
from .lock import Lock
from .reader import Buffer, read_quietly
from .sealing import recover
from .storage import sync_folder, write_file

__all__ = ["branch_off", "open_generation", "require_same_frame", "take_folder"]

# A frame at the step of a restart: the same positions come back, spectra may be summed in another
# order on another number of ranks.
_SAME_POSITION = 1e-6  # of the longest box vector
_SAME_SOAP = 1e-4


def take_folder(
    folder: Path, document: Document, append: bool, seal_bytes: int
) -> tuple[Lock, list[str]]:
    """Make a buffer folder, or recover one to go on with.

    Returns
    -------
    Lock
        Held.
    list of str
        What recovery found.

    Raises
    ------
    BufferError
        If it exists and `append` is not set, is written by another job, holds another run, or is
        no buffer.
    """
    lock = None
    try:
        if folder.is_symlink() and not folder.exists():
            raise BufferError(
                f"{folder} is a symbolic link to {os.readlink(folder)}, which is not there: make "
                "that folder, or give another name."
            )
        if not folder.exists():
            folder.mkdir(parents=True)
            sync_folder(folder.absolute().parent)
        elif not folder.is_dir():
            raise BufferError(f"{folder} is a file: a buffer is a folder, give another name.")
        if foreign := is_foreign(folder):
            raise BufferError(
                f"{folder} holds {foreign[0]!r}, which no buffer does: record elsewhere."
            )
        lock = Lock(folder)
        if not _names(folder):
            # a start that never came to its first frame leaves nothing worth keeping
            for path in parts(folder):
                path.unlink()
            write_file(folder / CONFIG_NAME, checked_json(document.to_dict()))
            return lock, []
        if not append:
            with read_quietly(folder) as stored:
                last = f" up to step {stored.steps[-1]}" if stored.n_frames else ""
                raise BufferError(
                    f"{folder} exists ({stored.n_frames} frames{last}) and is never overwritten: "
                    f"{APPEND} goes on with it; or record to another file, or delete it."
                )
        stored, notes = recover(folder, seal_bytes)
        stored.close()
        if stored.foreign and not _own_names(stored):
            raise BufferError(
                f"{folder} holds files of another buffer only ({stored.foreign[0]}): put its "
                f"{CONFIG_NAME} back, or record to another file."
            )
        stored.document.require_same(document, str(folder))
        return lock, notes
    except BaseException as error:
        if lock is not None:
            lock.release()
        if not isinstance(error, OSError) or isinstance(error, BufferError):
            raise
        raise explain(f"cannot open {folder} for writing", error) from error


def branch_off(
    stored: Buffer, origin: Origin, branch_step: int | None, frame: Frame
) -> tuple[Origin, bool, list[str]]:
    """Find where a run goes on; nothing is written.

    Parameters
    ----------
    stored : Buffer
        What is there.
    origin : Origin
        Of the new writer, without generation and branch.
    branch_step : int or None
        Step of the restart file; None for that of the first frame.
    frame : Frame
        First frame of the run.

    Returns
    -------
    Origin
        Complete.
    bool
        Whether the frame is stored already.
    list of str
        What was found on the way.

    Raises
    ------
    BufferError
        If the frame cannot follow, or differs from the one stored at the same step.
    """
    files = _data_files(stored.path)
    if not files:
        return origin, False, []
    branch = frame.step if branch_step is None else branch_step
    if frame.step < branch:
        raise BufferError(
            f"step {frame.step} was not written to {stored.path}: the run goes on from step "
            f"{branch}. Was the step number reset after reading the restart file?"
        )
    is_stored, notes = frame.step == branch and branch in stored.steps, []
    if is_stored:
        try:
            require_same_frame(stored, frame, slice(*origin.rows))
        except DamageError as damaged:
            notes.append(f"step {branch} is written again: {damaged}")
            is_stored, branch = False, branch - 1
    kept = stored.steps[stored.steps <= branch]
    complete = replace(
        origin,
        generation=1 + max(generation_of(path) for path in files),
        branch_step=branch,
        previous_step=int(kept[-1]) if len(kept) else None,
    )
    return complete, is_stored, notes


def open_generation(folder: Path, origin: Origin, provenance: Mapping[str, Any], step: int) -> None:
    """Make a new generation known: from now on it is what counts after its branch step."""
    generation = Generation(
        origin.generation,
        origin.branch_step,
        origin.n_writers,
        socket.gethostname(),
        os.getpid(),
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        dict(provenance),
        origin.uuid,
    )
    try:
        generation.write(folder)
    except FileExistsError as error:
        raise BufferError(
            f"another job has just started to write {folder}: end one of the two."
        ) from error
    except OSError as error:
        raise explain(f"cannot write step {step} to {folder}", error) from error


def require_same_frame(stored: Buffer, frame: Frame, rows: slice) -> None:
    """Raise BufferError unless some rows of a frame are those stored at its step, rounding apart.

    DamageError if the stored frame cannot be read.
    """
    old = stored.frame(int(np.searchsorted(stored.steps, frame.step)))
    length = float(np.abs(old.cell).max())
    # the restart file may hold an atom on the other side of the box
    fractions = (frame.positions - old.positions[rows]) @ np.linalg.inv(old.cell)
    fractions -= np.round(fractions) * stored.periodic
    moved = np.linalg.norm(fractions @ old.cell, axis=1)
    worst = int(moved.argmax())
    changed = float(np.abs(frame.soap - old.soap[rows]).max())
    resized = float(np.abs(frame.cell - old.cell).max())
    if moved[worst] > _SAME_POSITION * length:
        what = f"atom ID {stored.atom_ids[rows][worst]} is {moved[worst]:g} away"
    elif resized > _SAME_POSITION * length:
        what = f"a box vector differs by {resized:g}"
    elif changed > _SAME_SOAP:
        what = f"a component of the spectra differs by {changed:g}"
    else:
        return
    raise BufferError(
        f"step {frame.step} differs from the one stored in {stored.path}: {what}. Is this the "
        "restart file of that run? Nothing was changed: use the right one, or record to another "
        "file."
    )


def _names(folder: Path) -> list[Path]:
    return [path for kind in ("gen", "last", "tail", "seg") for path in list_files(folder, kind)]


def _own_names(stored: Buffer) -> list[Path]:
    return [path for path in _names(stored.path) if path.name not in stored.foreign]


def _data_files(folder: Path) -> list[Path]:
    """Return the files that a new generation comes after.

    Files of another buffer are not counted; where one has the number that comes next, that number
    is taken all the same.
    """
    with read_quietly(folder) as stored:
        files = _own_names(stored)
        others = [folder / name for name in stored.foreign]
    newest = max((generation_of(path) for path in files), default=-1)
    for path in sorted(others, key=generation_of):
        if generation_of(path) == newest + 1:
            newest += 1
            files.append(path)
    return files
