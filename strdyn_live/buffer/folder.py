"""The files of a buffer folder: their names, and the small ones in JSON."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .content import checked_json, integer, optional_step, read_json, sensible, text
from .document import Document
from .lock import NAME as LOCK_NAME
from .storage import PART, read_small, write_file

__all__ = [
    "CONFIG_NAME",
    "OLD",
    "Generation",
    "basis_name",
    "foreign_files",
    "generation_name",
    "generation_of",
    "last_name",
    "list_files",
    "live_name",
    "parts",
    "put_aside",
    "read_document",
    "segment_name",
    "tail_name",
]

CONFIG_NAME = "config.json"
OLD = ".old"  # suffix of a file that `prune` is about to delete

_PATTERNS = {
    "gen": r"gen-[0-9]{4,}\.json",
    "basis": r"basis-[0-9]{4,}-[0-9]{5,}\.json",
    "last": r"last-[0-9]{4,}(-w[0-9]{3,})?\.json",
    "tail": r"tail-[0-9]{4,}-[0-9]{4,}(-w[0-9]{3,})?\.log",
    "live": r"live-[0-9]{4,}\.jsonl",
    "seg": r"seg-[0-9]{4,}-[0-9]+-[0-9]+(-w[0-9]{3,})?\.h5",
}
_ANY = "|".join([re.escape(CONFIG_NAME), re.escape(LOCK_NAME), *_PATTERNS.values()])
_TOKEN = r"\.[0-9a-f]{16}"
# earlier versions gave unfinished files no random ending
_UNFINISHED = re.compile(rf"({_ANY})({_TOKEN})?{re.escape(PART)}")
_ASIDE = re.compile(rf"({_PATTERNS['seg']}|{_PATTERNS['basis']}){_TOKEN}{re.escape(OLD)}")


def tail_name(generation: int, number: int, writer: int, n_writers: int) -> str:
    """Return the name of a tail log."""
    return f"tail-{generation:04d}-{number:04d}{_suffix(writer, n_writers)}.log"


def segment_name(generation: int, first: int, last: int, writer: int, n_writers: int) -> str:
    """Return the name of a segment that holds the steps from `first` to `last`."""
    return f"seg-{generation:04d}-{first:012d}-{last:012d}{_suffix(writer, n_writers)}.h5"


def last_name(generation: int, writer: int, n_writers: int) -> str:
    """Return the name of the note of the last step known to be committed."""
    return f"last-{generation:04d}{_suffix(writer, n_writers)}.json"


def generation_name(number: int) -> str:
    """Return the name of the file of a start of a writer."""
    return f"gen-{number:04d}.json"


def basis_name(generation: int, n_scores: int) -> str:
    """Return the name of the file of the basis of so many scores."""
    return f"basis-{generation:04d}-{n_scores:05d}.json"


def live_name(generation: int) -> str:
    """Return the name of the log of what was known while the run went on."""
    return f"live-{generation:04d}.jsonl"


def list_files(folder: Path, kind: str) -> list[Path]:
    """Return the files of a kind, oldest first.

    The kinds are ``gen``, ``basis``, ``last``, ``tail``, ``live``, ``seg``.
    """
    names = [name for name in os.listdir(folder) if re.fullmatch(_PATTERNS[kind], name)]
    return [folder / name for name in sorted(names, key=_numbers)]


def generation_of(path: Path) -> int:
    """Return the generation in a file's name."""
    return _numbers(path.name)[0]


def parts(folder: Path) -> list[Path]:
    """Return files of a buffer that were never finished."""
    return [folder / name for name in sorted(os.listdir(folder)) if _UNFINISHED.fullmatch(name)]


def put_aside(folder: Path) -> dict[Path, Path]:
    """Return files that a killed `prune` had put aside, and where each was."""
    found = [_ASIDE.fullmatch(name) for name in sorted(os.listdir(folder))]
    aside = {folder / match[0]: folder / match[1] for match in found if match}
    return {name: path for name, path in aside.items() if name.is_file() and not name.is_symlink()}


def foreign_files(folder: Path) -> list[str]:
    """Return names that no buffer has."""
    return [
        name
        for name in sorted(os.listdir(folder))
        if not any(re.fullmatch(pattern, name) for pattern in (_ANY, _UNFINISHED, _ASIDE))
    ]


def read_document(folder: Path) -> Document:
    """Read config.json; DamageError if it is damaged, FileNotFoundError if it is not there."""
    path = folder / CONFIG_NAME
    content = read_json(read_small(path), str(path))
    return Document.from_dict(content, str(path))


@dataclass(frozen=True)
class Generation:
    """One start of a writer.

    Attributes
    ----------
    number : int
        Counted from 0.
    branch_step : int or None
        Step it goes on from: frames of older generations after it are superseded.
    n_writers : int
        Ranks that write.
    host, pid, started : str, int, str
        Who, and when (ISO 8601).
    provenance : dict
        What the recorder wants to remember (versions, ranks, interval).
    uuid : str or None
        Of the buffer; earlier versions did not write it.
    """

    number: int
    branch_step: int | None
    n_writers: int
    host: str
    pid: int
    started: str
    provenance: dict[str, Any] = field(default_factory=dict)
    uuid: str | None = None

    def write(self, folder: Path) -> None:
        """Make the generation known and durable; FileExistsError if another job was faster."""
        text = checked_json({"parent": self.number - 1 if self.number else None, **asdict(self)})
        write_file(folder / self.name, text, exclusive=True)

    @property
    def name(self) -> str:
        """Name of the file."""
        return generation_name(self.number)

    @classmethod
    def read(cls, path: Path) -> Generation:
        """Read a generation file; raise DamageError if it is damaged."""
        content = read_json(read_small(path), str(path))
        with sensible(str(path)):
            generation = cls(
                integer(content, "number"),
                optional_step(content, "branch_step"),
                integer(content, "n_writers", 1),
                text(content, "host"),
                integer(content, "pid"),
                text(content, "started"),
                dict(content["provenance"]),
                text(content, "uuid") if content.get("uuid") is not None else None,
            )
            if path.name != generation.name:
                raise ValueError(f"it is that of generation {generation.number}")
        return generation


def _suffix(writer: int, n_writers: int) -> str:
    return f"-w{writer:03d}" if n_writers > 1 else ""


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"(?<=[-w])[0-9]+", name))
