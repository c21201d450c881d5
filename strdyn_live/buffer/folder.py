"""The files of a buffer folder: their names, and the small ones in JSON."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .document import Document, checked_json, read_json
from .lock import NAME as LOCK_NAME
from .storage import PART, write_file

__all__ = [
    "CONFIG_NAME",
    "Generation",
    "generation_of",
    "is_foreign",
    "list_files",
    "parts",
    "read_document",
    "segment_name",
    "tail_name",
]

CONFIG_NAME = "config.json"

_PATTERNS = {
    "gen": re.compile(r"gen-\d{4,}\.json"),
    "tail": re.compile(r"tail-\d{4,}-\d{4,}(-w\d{3,})?\.log"),
    "seg": re.compile(r"seg-\d{4,}-\d+-\d+(-w\d{3,})?\.h5"),
}


def tail_name(generation: int, number: int, writer: int, n_writers: int) -> str:
    """Return the name of a tail log."""
    return f"tail-{generation:04d}-{number:04d}{_suffix(writer, n_writers)}.log"


def segment_name(generation: int, first: int, last: int, writer: int, n_writers: int) -> str:
    """Return the name of a segment that holds the steps from `first` to `last`."""
    return f"seg-{generation:04d}-{first:012d}-{last:012d}{_suffix(writer, n_writers)}.h5"


def list_files(folder: Path, kind: str) -> list[Path]:
    """Return the files of one kind (``gen``, ``tail``, ``seg``), oldest first."""
    names = [name for name in os.listdir(folder) if _PATTERNS[kind].fullmatch(name)]
    return [folder / name for name in sorted(names, key=_numbers)]


def generation_of(path: Path) -> int:
    """Return the generation in a file's name."""
    return _numbers(path.name)[0]


def parts(folder: Path) -> list[Path]:
    """Return files that were never finished."""
    return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(PART)]


def is_foreign(folder: Path) -> list[str]:
    """Return names that no buffer has."""
    ours = (CONFIG_NAME, LOCK_NAME)
    return [
        name
        for name in sorted(os.listdir(folder))
        if name.removesuffix(PART) not in ours
        and not any(pattern.fullmatch(name.removesuffix(PART)) for pattern in _PATTERNS.values())
    ]


def read_document(folder: Path) -> Document:
    """Read config.json; DamageError if it is damaged, FileNotFoundError if it is not there."""
    path = folder / CONFIG_NAME
    return Document.from_dict(read_json(path.read_bytes(), str(path)), str(path))


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
    """

    number: int
    branch_step: int | None
    n_writers: int
    host: str
    pid: int
    started: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Make the generation known and durable; FileExistsError if another job was faster."""
        text = checked_json({"parent": self.number - 1 if self.number else None, **asdict(self)})
        write_file(folder / f"gen-{self.number:04d}.json", text, exclusive=True)

    @classmethod
    def read(cls, path: Path) -> Generation:
        """Read a generation file; raise DamageError if it is damaged."""
        content = read_json(path.read_bytes(), str(path))
        return cls(**{item.name: content[item.name] for item in fields(cls)})


def _suffix(writer: int, n_writers: int) -> str:
    return f"-w{writer:03d}" if n_writers > 1 else ""


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"(?<=[-w])\d+", name))
