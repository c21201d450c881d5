"""The files of a buffer: which are there, which are our own, what is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from strdyn_live.basis import Basis

from .bases import StoredBasis
from .document import Document, Origin
from .errors import AccessError, BufferError, DamageError, explain
from .folder import CONFIG_NAME, Generation, generation_of, list_files, read_document
from .index import File
from .last import Last
from .live_log import LiveFile
from .ownership import find_foreign
from .segment import Segment
from .storage import open_regular
from .tail import Tail

__all__ = ["EXPECTED", "Files", "Listing"]

EXPECTED = (
    "Expected a folder NAME.sdl that a Recorder has written, or a file made by `strdyn pack`."
)
_OPEN_FILES = 32  # HDF5 files kept open at a time
_HDF5 = b"\x89HDF\r\n\x1a\n"  # how such a file begins
_T = TypeVar("_T")


@dataclass(frozen=True)
class Listing:
    """What was found in a buffer folder, or in a packed file.

    Attributes
    ----------
    document : Document
        What all frames share.
    files : list of File
        Our own data files that can be read, segments first; also those with superseded frames.
    branches : dict of int to int or None
        Branch step of every start of a writer.
    lasts : list of Last
        Steps that are known to be committed.
    damage : list of str
        What is damaged or missing, in words.
    foreign : tuple of str
        Names of files that belong to another buffer.
    lives : list of LiveFile
        Our own logs of what was known while the run went on.
    bases : dict of (int, int) to Basis
        By generation and number of scores.
    """

    document: Document
    files: list[File]
    branches: dict[int, int | None]
    lasts: list[Last]
    damage: list[str]
    foreign: tuple[str, ...] = ()
    lives: tuple[LiveFile, ...] = ()
    bases: Mapping[tuple[int, int], Basis] = field(default_factory=dict)


class Files:
    """The data files of a buffer; those that were read before are not read again.

    Parameters
    ----------
    path : Path
        The folder, or the packed file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document: Document | None = None
        self._segments: dict[str, Segment] = {}
        self._tails: dict[str, Tail] = {}
        self._lives: dict[str, LiveFile] = {}
        self._bases: dict[str, StoredBasis] = {}
        self._recent: list[Segment] = []

    def scan(self) -> Listing:
        """Look for what is there now.

        Raises
        ------
        BufferError
            If nothing of it can be read.
        OSError
            As the system reports it: files may have been moved meanwhile.
        """
        if not self.path.is_dir():
            packed = self._read_packed()
            return Listing(
                packed.document,
                [packed],
                {0: None},
                [],
                list(packed.damage),
                bases={each.key: each.basis for each in packed.bases},
            )
        damage: list[str] = []
        # Notes of the last step before tails before segments before generations: a frame moves from
        # a tail to a segment, so it is in what is listed first or in what is listed later; a note
        # comes after its frame, a tail and a log of values after their generation, a frame after
        # its basis.
        lasts = self._read_each("last", Last.read, damage)
        lives = self._read_lives(damage)
        tails = self._read_tails(damage)
        segments = self._read_segments(damage)
        generations = self._read_each("gen", Generation.read, damage)
        bases = self._read_bases(damage)
        files: list[File] = [*segments, *tails]
        document = self._share(self._read_document(files, generations.values(), damage))
        foreign = find_foreign(document.uuid, files, lasts, lives, generations, bases)
        for name in foreign:
            lasts.pop(name, None)
            lives.pop(name, None)
            generations.pop(name, None)
            bases.pop(name, None)
        damage.extend(
            f"{name} belongs to another buffer and is left alone: move it away"
            for name in sorted(foreign)
        )
        ours = _own([file for file in files if file.path.name not in foreign], document, damage)
        origins: list[Origin | Last | LiveFile] = [
            *(file.origin for file in ours),
            *lasts.values(),
            *lives.values(),
        ]
        branches = _branches(generations.values(), origins, damage)
        return Listing(
            document,
            ours,
            branches,
            list(lasts.values()),
            damage,
            tuple(sorted(foreign)),
            tuple(lives.values()),
            {each.key: each.basis for each in _fitting(bases, document, damage)},
        )

    def close(self) -> None:
        """Close all files; they can be read again."""
        for segment in self._segments.values():
            segment.close()
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        self._recent.clear()

    def use(self, segment: Segment) -> None:
        """Keep the files read last open, and no more."""
        if segment in self._recent:
            self._recent.remove(segment)
        self._recent.append(segment)
        if len(self._recent) > _OPEN_FILES:
            self._recent.pop(0).close()

    def _read_packed(self) -> Segment:
        segment = self._segments.get("")
        if segment is None:
            path = Path(os.path.realpath(self.path))  # the user may give a link
            with open(open_regular(path), "rb") as file:
                start = file.read(len(_HDF5))
            if start != _HDF5:
                raise BufferError(f"{self.path} is no buffer: it is no HDF5 file. {EXPECTED}")
            try:
                segment = Segment(path)
            except DamageError as error:
                raise DamageError(f"{error} Is it a buffer at all? {EXPECTED}") from error
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

    def _read_lives(self, damage: list[str]) -> dict[str, LiveFile]:
        lives = {}
        for path in list_files(self.path, "live"):
            try:
                lives[path.name] = self._lives.get(path.name) or LiveFile(path)
            except DamageError as error:
                damage.append(str(error))
            except PermissionError as error:
                damage.append(str(explain(f"cannot read {path}", error)))
        self._lives = dict(lives)
        return lives

    def _read_bases(self, damage: list[str]) -> dict[str, StoredBasis]:
        """Read the bases that were not read before: they do not change."""
        found = self._read_each(
            "basis", lambda path: self._bases.get(path.name) or StoredBasis.read(path), damage
        )
        self._bases = dict(found)
        return found

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
                self.use(segment)
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
                raise DamageError(f"{error} Is it a buffer at all? {EXPECTED}") from error
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

    def _share(self, document: Document) -> Document:
        """Return a document, or the one there is if it says the same: files refer to it."""
        known = self._document
        if known is None or known.uuid != document.uuid or known.differences(document):
            self._document = known = document
        return known


def _own(files: Iterable[File], document: Document, damage: list[str]) -> list[File]:
    """Return the files that fit the document; name the others."""
    ours = []
    for file in files:
        if file.origin.generation != generation_of(file.path):
            damage.append(
                f"{file.path.name} is of generation {file.origin.generation}: rename it back"
            )
            continue
        if file.document is not document:
            if differ := document.differences(file.document):
                damage.append(f"{file.path.name} contradicts {CONFIG_NAME}: {'; '.join(differ)}")
                continue
            file.document = document  # once in memory
        ours.append(file)
    return ours


def _fitting(
    bases: Mapping[str, StoredBasis], document: Document, damage: list[str]
) -> Iterable[StoredBasis]:
    """Yield the bases that are for spectra of this length; name the others."""
    for name, each in bases.items():
        if each.basis.n_features == document.n_features:
            yield each
        else:
            damage.append(f"{name} is for spectra of {each.basis.n_features} components")


def _branches(
    generations: Iterable[Generation],
    origins: Iterable[Origin | Last | LiveFile],
    damage: list[str],
) -> dict[int, int | None]:
    """Return the branch step of every generation, and name contradictions."""
    branches = {each.number: each.branch_step for each in generations}
    for origin in origins:
        # a lost generation file: the other files know the branch as well
        branch = branches.setdefault(origin.generation, origin.branch_step)
        if branch != origin.branch_step:
            damage.append(
                f"the files of generation {origin.generation} contradict each other: it goes "
                f"on from step {branch} or {origin.branch_step}"
            )
            # frames are hidden only where all files agree
            known = [step for step in (branch, origin.branch_step) if step is not None]
            branches[origin.generation] = max(known) if len(known) == 2 else None
    return branches
