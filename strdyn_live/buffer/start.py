"""The start of a writer: take the folder over, find where the run goes on, open a generation."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_live.box import Box
from strdyn_live.config import LiveConfig
from strdyn_live.frame import Frame, RunStart

from .content import checked_json
from .document import Document, Origin
from .errors import APPEND, FORCE, BufferError, DamageError, explain
from .folder import CONFIG_NAME, Generation, foreign_files, generation_of, list_files, parts
from .lock import Lock
from .pace import LOOK_BACK, Pace
from .reader import Buffer, read_quietly
from .sealing import recover
from .storage import sync_folder, write_file

__all__ = ["branch_off", "check_start", "open_generation", "require_same_frame", "take_folder"]

# A frame at the step of a restart: the same positions come back, spectra may be summed in another
# order on another number of ranks.
_SAME_POSITION = 1e-6  # of the longest box vector
_SAME_SOAP = 1e-4


def take_folder(
    folder: Path, document: Document, append: bool | str, seal_bytes: int
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
        _require_folder(folder)
        if not folder.exists():
            folder.mkdir(parents=True)
            sync_folder(folder.absolute().parent)
        lock = Lock(folder)
        if not _names(folder):
            # a start without a first frame has left nothing to keep
            for path in parts(folder):
                path.unlink()
            write_file(folder / CONFIG_NAME, checked_json(document.to_dict()))
            return lock, []
        if not append:
            with read_quietly(folder) as stored:
                _require_append(stored, append)
        stored, notes = recover(folder, seal_bytes)
        stored.close()
        _require_own(stored)
        stored.document.require_same(document, str(folder))
        return lock, notes
    except BaseException as error:
        if lock is not None:
            lock.release()
        if not isinstance(error, OSError) or isinstance(error, BufferError):
            raise
        raise explain(f"cannot open {folder} for writing", error) from error


def check_start(
    config: LiveConfig,
    start: RunStart,
    at_start: Frame | None,
    rows: slice = slice(None),
    **shared: Any,
) -> None:
    """Raise BufferError if a run cannot be recorded where the settings say; nothing is written.

    For the start of a run, which may be long before its first frame.

    Parameters
    ----------
    config : LiveConfig
        Settings of the run.
    start : RunStart
        Where it starts.
    at_start : Frame, optional
        The frame there; spectra and neighbor lists may be left out.
    rows : slice
        Rows of the sorted atoms that `at_start` holds.
    **shared
        atom_ids, species, units and periodic, as of `BufferWriter`.
    """
    folder = Path(config.file)
    _require_folder(folder)
    if not folder.exists() or not _names(folder):
        return
    with read_quietly(folder) as stored:
        _require_append(stored, config.append)
        _require_own(stored)
        stored.document.require_same(Document.create(config, **shared), str(folder))
        branch, _ = _on_our_clock(stored, start)
        _require_few_superseded(stored, branch, config.append)
        if at_start is not None and at_start.step in stored.steps:
            with contextlib.suppress(DamageError):  # then it is written again
                require_same_frame(stored, at_start, rows)


def _require_folder(folder: Path) -> None:
    """Raise BufferError if there is something that is no buffer."""
    if folder.is_symlink() and not folder.exists():
        raise BufferError(
            f"{folder} is a symbolic link to {os.readlink(folder)}, which is not there: make that "
            "folder, or give another name."
        )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BufferError(f"{folder} is a file: a buffer is a folder, give another name.")
    if foreign := foreign_files(folder):
        raise BufferError(
            f"{folder} holds {foreign[0]!r}, which is no file of a buffer: record to another file."
        )


def _require_append(stored: Buffer, append: bool | str) -> None:
    if not append:
        last = f" up to step {stored.steps[-1]}" if stored.n_frames else ""
        raise BufferError(
            f"{stored.path} exists ({stored.n_frames} frames{last}) and is never overwritten: "
            f"{APPEND} goes on with it; or record to another file, or delete it."
        )


def _require_own(stored: Buffer) -> None:
    if stored.foreign and not _own_names(stored):
        raise BufferError(
            f"{stored.path} holds files of another buffer only ({stored.foreign[0]}): put its "
            f"{CONFIG_NAME} back, or record to another file."
        )


@dataclass(frozen=True)
class Branch:
    """Where a run goes on with a buffer.

    Attributes
    ----------
    origin : Origin
        Of the new files.
    is_stored : bool
        Whether the first frame is stored already.
    time_shift : float
        What to add to LAMMPS's times, so that they go on from the stored ones.
    notes : list of str
        What was found on the way.
    """

    origin: Origin
    is_stored: bool = False
    time_shift: float = 0.0
    notes: list[str] = field(default_factory=list)


def branch_off(
    stored: Buffer, origin: Origin, start: RunStart | None, frame: Frame, append: bool | str
) -> Branch:
    """Find where a run goes on; nothing is written.

    Parameters
    ----------
    stored : Buffer
        What is there.
    origin : Origin
        Of the new writer, without generation and branch.
    start : RunStart or None
        Where the run began; None for the step of the first frame.
    frame : Frame
        First frame of the run.
    append : bool or "force"
        As of `LiveConfig`.

    Raises
    ------
    BufferError
        If the frame cannot follow, differs from the one stored at the same step, or would
        supersede more than the last stretch.
    """
    files = _data_files(stored.path)
    if not files:
        return Branch(replace(origin, branch_step=None if start is None else start.step))
    start = start or RunStart(frame.step)
    branch, shift = _on_our_clock(stored, start)
    if frame.step < branch:
        raise BufferError(
            f"step {frame.step} was not written to {stored.path}: the run goes on from step "
            f"{branch}. Was the step number reset after reading the restart file? Record that run "
            "to another file."
        )
    notes = _require_few_superseded(stored, branch, append)
    is_stored = frame.step == branch and branch in stored.steps
    if is_stored:
        try:
            require_same_frame(stored, frame, slice(*origin.rows))
        except DamageError as damaged:
            notes.append(f"step {branch} is written again: {damaged}")
            is_stored, branch = False, branch - 1
    elif append != "force":
        _require_continuation(stored, branch, frame, slice(*origin.rows), start)
    kept = stored.steps[stored.steps <= branch]
    complete = replace(
        origin,
        generation=1 + max(generation_of(path) for path in files),
        branch_step=branch,
        previous_step=int(kept[-1]) if len(kept) else None,
    )
    return Branch(complete, is_stored, shift, notes)


def _on_our_clock(stored: Buffer, start: RunStart) -> tuple[int, float]:
    """Return the step that a run goes on from, and what to add to LAMMPS's times.

    The clock of an old LAMMPS begins at 0 when it reads a restart file: times then go on from the
    stored ones, with the timestep of the frames before.
    """
    branch = start.step if start.restart_step is None else start.restart_step
    kept = np.flatnonzero(stored.steps <= branch)
    if start.time is None or not len(kept):
        return branch, 0.0
    last = kept[-1]
    timestep = start.timestep
    if len(kept) > 1:
        steps, times = stored.steps[kept[-2:]], stored.times[kept[-2:]]
        timestep = float((times[1] - times[0]) / (steps[1] - steps[0]))
    expected = float(stored.times[last] + (branch - stored.steps[last]) * timestep)
    found = start.time if start.restart_step is None else 0.0
    behind = start.restart_step is not None or found < stored.times[last] - 0.5 * timestep
    return branch, expected - found if behind else 0.0


def _require_few_superseded(stored: Buffer, branch: int, append: bool | str) -> list[str]:
    """Say what a branch supersedes; raise BufferError if it is more than the last stretch."""
    later = np.flatnonzero(stored.steps > branch).tolist()
    if not len(later):
        return []
    first, last = stored.steps[later[0]], stored.steps[later[-1]]
    frames = f"the frame of step {first}"
    if len(later) > 1:
        frames = f"{len(later)} frames (steps {first} to {last})"
    says = f"the run goes on from step {branch}, and supersedes {frames}"
    if append != "force":
        began = stored.generations.get(0)
        if branch <= (stored.steps[0] if began is None else began):
            raise BufferError(
                f"this run starts anew from step {branch} and would supersede {frames} of "
                f"{stored.path}. Read the restart file before the run, or record to another file. "
                f"If this run is meant to take their place: {FORCE}."
            )
        newest = max(_generation(stored, k) for k in range(stored.n_frames))
        if any(_generation(stored, k) < newest for k in later):
            raise BufferError(
                f"{says}: more than the last job has written. Is this the newest restart file? If "
                f"these frames are meant to go: {FORCE}."
            )
    return [f"{says} (they stay on disk until `strdyn prune`)"]


def _generation(stored: Buffer, k: int) -> int:
    origin = stored.entries[k][0].file.origin
    return origin.generation if origin else 0


def _require_continuation(
    stored: Buffer, branch: int, frame: Frame, rows: slice, start: RunStart
) -> None:
    """Raise BufferError unless the first frame can follow the last one that is kept.

    With `fix python/invoke` no frame is called at the step of the restart file, so the first frame
    after it is compared. `check_start` compares exactly where it gets the positions of that step.
    """
    pace = Pace(stored.config.r_cut)
    for k in np.flatnonzero(stored.steps <= branch)[-LOOK_BACK:].tolist():
        box = Box(*stored.box(k), stored.periodic)
        pace.add(stored.positions(k)[rows], box, int(stored.steps[k]))
    box = Box(frame.cell, frame.origin, stored.periodic)
    found = pace.departure(frame.positions, box, frame.step, start.speed * start.timestep)
    if found:
        raise BufferError(
            f"step {frame.step} does not follow step {pace.last_step} stored in {stored.path}: "
            f"{found}. Is this the restart file of that run? Nothing was changed: use the right "
            f"one, or record to another file. If the system was changed on purpose: {FORCE}."
        )


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
    box = Box(old.cell, old.origin, stored.periodic)
    length = float(np.abs(old.cell).max())
    # the restart file may hold an atom on the other side of the box
    fractions = (frame.positions - old.positions[rows]) @ box.inverse
    moved = np.linalg.norm(box.to_nearest_image(fractions), axis=1)
    worst = int(moved.argmax())
    changed, allowed = 0.0, _SAME_SOAP + stored.soap_error
    if frame.soap.size and old.soap.size:
        changed = float(np.abs(frame.spectra - old.soap[rows]).max())
    resized = float(np.abs(frame.cell - old.cell).max())
    if moved[worst] > _SAME_POSITION * length:
        what = f"atom ID {stored.atom_ids[rows][worst]} is {moved[worst]:g} away"
    elif resized > _SAME_POSITION * length:
        what = f"a box vector differs by {resized:g}"
    elif changed > allowed:
        what = f"a component of the spectra differs by {changed:g}"
    else:
        return
    raise BufferError(
        f"step {frame.step} differs from the one stored in {stored.path}: {what}. Is this the "
        "restart file of that run? Nothing was changed: use the right one, or record to another "
        "file."
    )


def _names(folder: Path) -> list[Path]:
    kinds = ("gen", "basis", "last", "tail", "live", "seg")
    return [path for kind in kinds for path in list_files(folder, kind)]


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
