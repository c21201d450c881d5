"""Verify, pack and prune a buffer."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from strdyn_live.basis import Basis
from strdyn_live.frame import Frame

from .bases import StoredBasis
from .compression import Compression
from .document import Origin
from .errors import BufferError, DamageError, explain
from .folder import OLD, basis_name
from .index import Entry, File, Superseded, entries_of, live_until
from .live_log import rewrite
from .lock import Lock
from .reader import Buffer, read_quietly
from .record import Record, encode
from .sealing import is_sealed, recover, segment_path, write_segment
from .segment import Segment
from .segment_writer import Sizes, write_frames
from .storage import new_file, new_suffix, sync_folder
from .tail import Tail

__all__ = ["PruneReport", "VerifyReport", "pack", "preview_prune", "prune", "verify"]


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
    """What `prune` has removed, or what it would remove.

    Attributes
    ----------
    superseded : tuple of Superseded
        The restarts whose superseded frames these are.
    n_frames : int
        Superseded frames.
    n_bytes : int
        Space gained; before it is done, about.
    notes : tuple of str
        What recovery found, and files left alone because they are damaged.
    """

    superseded: tuple[Superseded, ...]
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


def pack(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    partial: bool = False,
    compress: str | None = None,
) -> VerifyReport:
    """Copy the live frames of a buffer into one H5MD file, which `open_buffer` reads as well.

    Parameters
    ----------
    path : path-like
        A buffer; if it is being written, the copy ends with a frame of now.
    out : path-like
        The file; it must not exist, and appears when it is complete. Until then it is called
        ``NAME.DIGITS.part``; one that a killed `pack` left may be deleted.
    partial : bool
        Pack a buffer of which something is damaged or missing as well: such frames are left out,
        and the copy names them.
    compress : {"gzip", "blosc2", "rounded"}, optional
        How spectra and scores are made smaller: lossless; lossless by the package hdf5plugin, which
        reading needs as well; rounded to multiples of 2⁻²⁰, then gzip.

    Returns
    -------
    VerifyReport
        What was found in the buffer: ``n_frames`` are in the file.

    Raises
    ------
    BufferError
        If `out` exists or cannot be written, if no frame can be read, or if something is damaged
        or missing and `partial` is not set.
    ConfigError, ImportError
        If there is no such compression, or its package is not installed.
    """
    squeeze = Compression.named(compress)
    target = Path(out)
    exists = BufferError(f"{target} exists: delete it or give another name.")
    if os.path.lexists(target):
        raise exists
    with read_quietly(path) as buffer:
        report, rows = _verify(buffer)
        live = b"".join(line.to_bytes() for line in buffer.live_lines()[0])
        if report.damage and not partial:
            more = f" (and {len(report.damage) - 1} more)" if len(report.damage) > 1 else ""
            raise BufferError(
                f"{buffer.path} is not whole, nothing was packed: {report.damage[0].rstrip('.')}"
                f"{more}. `strdyn verify` names everything; --partial (partial=True) packs what is "
                "intact."
            )
        if not rows:
            raise BufferError(f"{buffer.path} has no frame that can be read: nothing to pack.")
        # steps of two kinds of regular frames cannot be told apart in one file
        every = buffer.every if len(set(buffer.intervals.tolist())) == 1 else None
        origin = Origin(buffer.uuid, rows=(0, len(buffer.atom_ids)), every=every)
        known = max((file.origin.rounded_to for file in buffer.files), default=0.0)
        rounded_to = max(known, squeeze.rounded_to if squeeze else 0.0)
        origin = replace(origin, rounded_to=rounded_to)
        # counted first: a data set that grows would have to be chunked
        parts = [[part.record for part in buffer.entries[row]] for row in rows]
        sizes = Sizes(
            len(rows),
            sum(record.n_pairs for records in parts for record in records),
            max(record.id_size for records in parts for record in records),
            Counter(records[0].n_features for records in parts),
        )
        try:
            with new_file(target, exclusive=True) as file:
                write_frames(
                    file,
                    buffer.document,
                    origin,
                    sizes,
                    _frames(buffer, rows, squeeze),
                    report.damage,
                    live,
                    _bases(buffer, rows),
                    squeeze.filters if squeeze else None,
                )
        except FileExistsError as error:
            raise exists from error
        except OSError as error:
            if isinstance(error, BufferError):
                raise
            raise explain(f"cannot pack {buffer.path} into {target}", error) from error
    return report


def preview_prune(path: str | os.PathLike[str]) -> PruneReport:
    """Return what `prune` would remove; nothing is changed, and a job may write meanwhile.

    Raises
    ------
    BufferError
        If it is no buffer folder, or cannot be read.
    """
    with read_quietly(_folder(path)) as buffer:
        return _plan(buffer)


def prune(path: str | os.PathLike[str], agreed: PruneReport | None = None) -> PruneReport:
    """Delete the frames that restarts have superseded; live frames are never touched.

    Every segment that holds some of both is written anew first. Then all that goes is put aside
    (renamed), the live frames are compared with those before, and only then it is deleted. A kill
    before that leaves everything there: the next start of a writer, or the next `prune`, puts back
    what was put aside. Files of other buffers, and names that no buffer has, are left alone.

    Parameters
    ----------
    path : path-like
        A buffer folder.
    agreed : PruneReport, optional
        What `preview_prune` has shown: nothing is removed if that has changed since.

    Raises
    ------
    BufferError
        If a job writes the buffer, or files cannot be written or removed.
    """
    folder = _folder(path)
    read_quietly(folder).close()  # a foreign folder gets no lock file
    lock = Lock(folder)
    try:
        buffer, notes = recover(folder)
        plan = _plan(buffer)
        if agreed is not None and agreed.superseded != plan.superseded:
            raise BufferError(
                f"{folder} has changed since it was looked at, nothing was removed: it has "
                f"{plan.n_frames} superseded frames now, {agreed.n_frames} were shown. Look again."
            )
        before = _used(folder)
        outdated, n_frames = [], set()
        for file, live, dead in _sorted_out(buffer):
            if isinstance(file, Tail):
                continue  # recovery has left it where it is: it is damaged
            try:
                if live:
                    _write_live(file, live)
                elif file.damage:
                    raise DamageError("what is damaged in it may be live.")
            except DamageError as error:
                notes.append(f"{file.path.name} was left alone: {error}")
                continue
            outdated.append(file.path)
            n_frames |= {(file.origin.generation, entry.step) for entry in dead}
        _remove(buffer, [*outdated, *_unused_bases(buffer, outdated)])
        notes += _prune_lives(buffer)
        buffer.close()
        n_bytes = before - _used(folder)
    except OSError as error:
        if isinstance(error, BufferError):
            raise
        raise explain(f"cannot prune {folder}", error, "Live frames are safe.") from error
    finally:
        lock.release()
    return PruneReport(plan.superseded, len(n_frames), n_bytes, tuple(notes))


def _folder(path: str | os.PathLike[str]) -> Path:
    folder = Path(path)
    if folder.is_file():
        raise BufferError(f"{folder} is no buffer folder: a packed file has nothing to prune.")
    return folder


def _sorted_out(buffer: Buffer) -> Iterator[tuple[File, list[Entry], list[Entry]]]:
    """Return the files that hold superseded frames, with their live and their superseded ones."""
    limits = live_until(buffer.generations)
    for file in buffer.files:
        entries = entries_of(file)
        limit = limits[file.origin.generation]
        dead = [entry for entry in entries if entry.step > limit]
        if dead:
            yield file, [entry for entry in entries if entry.step <= limit], dead


def _plan(buffer: Buffer) -> PruneReport:
    frames, n_bytes = set(), 0
    for file, _, dead in _sorted_out(buffer):
        frames |= {(file.origin.generation, entry.step) for entry in dead}
        n_bytes += sum(entry.record.size for entry in dead)
    return PruneReport(tuple(buffer.superseded), len(frames), n_bytes, ())


def _write_live(file: File, live: list[Entry]) -> None:
    """Write the live frames of a segment once more; DamageError if that cannot be done."""
    frames = [(entry.record, entry.read()) for entry in live]
    path = segment_path(file.path.parent, file.origin, frames)
    if not os.path.lexists(path):
        write_segment(file.path.parent, file.document, file.origin, frames, file.damage)
    if path == file.path or not is_sealed(path, file.origin.uuid, frames):
        raise DamageError(f"{path} has the name that its live frames need: move it away.")


def _remove(buffer: Buffer, outdated: list[Path]) -> None:
    """Delete files if the live frames are the same without them, else put them back."""
    folder, expected = buffer.path, _fingerprint(buffer)
    aside = {path: path.with_name(path.name + new_suffix(OLD)) for path in outdated}
    try:
        for path, name in aside.items():
            os.rename(path, name)
        sync_folder(folder)
        with read_quietly(folder) as rest:
            if _fingerprint(rest) != expected:
                raise BufferError(
                    f"{folder}: nothing was removed, because live frames need a part of it. "
                    "`strdyn verify` may name a reason."
                )
    except BaseException:
        for path, name in aside.items():
            if os.path.lexists(name):
                os.rename(name, path)
        raise
    for name in aside.values():
        os.unlink(name)
    sync_folder(folder)


def _unused_bases(buffer: Buffer, outdated: list[Path]) -> list[Path]:
    """Return the files of bases that no frame needs once some files have gone."""
    needed, limits = set(), live_until(buffer.generations)
    for file in buffer.files:
        generation = file.origin.generation
        for entry in entries_of(file):
            if file.path not in outdated or entry.step <= limits[generation]:
                needed.add((generation, entry.record.n_features - 1))
        if file.damage:  # what cannot be read may need any of them
            needed |= {key for key in buffer.bases if key[0] == generation}
    unused = [basis_name(*key) for key in buffer.bases if key not in needed]
    return [buffer.path / name for name in unused if name not in buffer.foreign]


def _prune_lives(buffer: Buffer) -> list[str]:
    """Take superseded lines out of the logs of values; return which logs were left alone."""
    limits = live_until(buffer.generations)
    notes = []
    for file in buffer.lives:
        lines, damage = file.lines()
        kept = [line for line in lines if line.step is None or line.step <= limits[file.generation]]
        if len(kept) == len(lines):
            continue
        if damage:
            notes.append(f"{file.path.name} was left alone: {damage[0]}")
        else:
            rewrite(file, kept)
    return notes


def _fingerprint(buffer: Buffer) -> bytes:
    """Return a hash of the headers of all live frames, which hold the checksums of their data."""
    sums = hashlib.sha256()
    for row, parts in enumerate(buffer.entries):
        for part in parts:
            sums.update(part.record.to_bytes())
        sums.update(bytes([buffer.has_basis(row)]))
    return sums.digest()


def _used(folder: Path) -> int:
    return sum(os.lstat(folder / name).st_size for name in os.listdir(folder))


def _frames(
    buffer: Buffer, rows: list[int], squeeze: Compression | None
) -> Iterator[tuple[Record, Frame]]:
    """Read frames as they are stored, and round what is to be rounded.

    A frame that is rounded, or that several writers had a part in, gets checksums of its own.
    """
    for row in rows:
        frame, parts = buffer.stored_frame(row), buffer.entries[row]
        rounded = squeeze is not None and squeeze.rounded_to > 0.0
        if squeeze is not None and rounded:
            frame = replace(frame, soap=squeeze.round(frame.soap))
        same = len(parts) == 1 and not rounded
        yield parts[0].record if same else encode(frame)[0], frame


def _bases(buffer: Buffer, rows: list[int]) -> list[StoredBasis]:
    """Return the bases of some frames, for one file."""
    bases: dict[int, Basis] = {}
    for row in rows:
        n_scores = int(buffer.n_scores_of[row])
        if n_scores == 0:
            continue
        basis = buffer.basis_of(row)
        known = bases.setdefault(n_scores, basis)
        if known is not basis and not known.is_same(basis):
            raise BufferError(
                f"{buffer.path}: step {buffer.steps[row]} has another basis of {n_scores} scores "
                "than frames before it, and one file holds one. Nothing was packed."
            )
    return [StoredBasis(buffer.uuid, 0, basis) for basis in bases.values()]


def _verify(buffer: Buffer) -> tuple[VerifyReport, list[int]]:
    """Return the report on a buffer, and which of its frames are intact."""
    limits = live_until(buffer.generations)
    damaged: set[tuple[Path, int]] = set()
    damage = [*buffer.damage, *buffer.live_lines()[1]]
    n_superseded = 0
    for file in buffer.files:
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
        and buffer.has_basis(row)
    ]
    n_unsealed = sum(isinstance(buffer.entries[row][0].file, Tail) for row in rows)
    return VerifyReport(len(rows), n_superseded, n_unsealed, tuple(damage)), rows
