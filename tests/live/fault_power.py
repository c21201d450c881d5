"""Replays a recorded run up to a loss of power: what had not been fsynced may or may not be there.

The disk is as unkind as it may be: of the data written to a file since its last fsync any subset of
pages has arrived, its length is any it had since then; of the names created, renamed or removed in
a folder since that folder's last fsync any subset has arrived.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

PAGE = 4096


@dataclass
class Operation:
    """One recorded file operation."""

    kind: str
    path: str
    to: str
    offset: int
    data: bytes


def read_log(path: Path) -> Iterator[Operation]:
    """Read what fault_injector.c recorded."""
    with path.open("rb") as file:
        while line := file.readline():
            kind, name, to, offset, size = line.decode().rstrip("\n").split("\t")
            yield Operation(kind, name, to, int(offset), file.read(int(size)))


@dataclass
class _File:
    versions: list[bytes] = field(default_factory=lambda: [b""])  # durable, then as changed

    def change(self, content: bytes) -> None:
        self.versions.append(content)

    def sync(self) -> None:
        self.versions = self.versions[-1:]

    def after_power_loss(self, rng: random.Random) -> bytes:
        length = len(rng.choice(self.versions))
        pages = []
        for start in range(0, length, PAGE):
            page = rng.choice(self.versions)[start : start + PAGE]
            pages.append(page.ljust(min(PAGE, length - start), b"\0"))
        return b"".join(pages)[:length]


class Disk:
    """A folder tree below `root` as the operations leave it, and as a loss of power may."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: dict[str, _File] = {}
        self.durable: dict[str, _File | None] = {}  # None: a folder
        self.pending: list[tuple[str, str, str, _File | None]] = []

    def apply(self, operation: Operation) -> None:
        """Do one operation."""
        path, kind = operation.path, operation.kind
        if kind == "mkdir":
            self.pending.append(("add", path, "", None))
        elif kind == "create":
            self.files[path] = _File()
            self.pending.append(("add", path, "", self.files[path]))
        elif kind == "rename":
            self.files[operation.to] = self.files.pop(path)
            self.pending.append(("move", path, operation.to, self.files[operation.to]))
        elif kind == "link":
            self.files[operation.to] = self.files[path]
            self.pending.append(("add", operation.to, "", self.files[path]))
        elif kind == "unlink":
            del self.files[path]
            self.pending.append(("remove", path, "", None))
        elif kind == "write":
            file = self.files[path]
            old = file.versions[-1].ljust(operation.offset, b"\0")
            end = operation.offset + len(operation.data)
            file.change(old[: operation.offset] + operation.data + old[end:])
        elif kind == "truncate":
            file = self.files[path]
            file.change(file.versions[-1][: operation.offset].ljust(operation.offset, b"\0"))
        elif kind == "sync" and path in self.files:
            self.files[path].sync()
        elif kind == "sync":
            kept = []
            for change in self.pending:
                if str(PurePosixPath(change[1]).parent) == path:
                    self._enter(change, self.durable)
                else:
                    kept.append(change)
            self.pending = kept

    @staticmethod
    def _enter(change: tuple[str, str, str, _File | None], names: dict[str, _File | None]) -> None:
        kind, path, to, file = change
        if kind == "add":
            names[path] = file
        else:
            names.pop(path, None)
            if kind == "move":
                names[to] = file

    def lose_power(self, target: Path, rng: random.Random) -> None:
        """Build in `target` what may be left."""
        names = dict(self.durable)
        for change in self.pending:
            if rng.random() < 0.5:
                self._enter(change, names)
        for name, file in sorted(names.items()):
            path = target / PurePosixPath(name).relative_to(self.root)
            if not all(
                str(parent) in names
                for parent in PurePosixPath(name).parents
                if str(parent).startswith(self.root + "/")
            ):
                continue  # its folder has not arrived
            if file is None:
                path.mkdir()
            else:
                path.write_bytes(file.after_power_loss(rng))
