"""What all frames of a buffer share (config.json), and where a file's frames come from."""

from __future__ import annotations

import itertools
import reprlib
import uuid
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_live.config import LiveConfig
from strdyn_live.soap import Soap

from .content import (
    checked_json,
    integer,
    optional_step,
    pack_array,
    read_json,
    sensible,
    text,
    unpack_array,
)
from .errors import BufferError

__all__ = ["FORMAT_VERSION", "Document", "Origin", "header_json", "read_header", "writer_rows"]

FORMAT_VERSION = 2  # 1 is the same without scores, and is written where there are none

# These may differ between a run and its continuation: they do not change what a frame means.
_FREE_SETTINGS = {
    *("file", "append", "on_error", "backend", "writers", "threads", "overlap"),
    *("model", "lens_threshold"),
    *("event", "event_every", "event_frames", "event_cooldown", "adaptive"),
}


def writer_rows(n_atoms: int, n_writers: int) -> list[tuple[int, int]]:
    """Return the rows of the sorted atoms that each writer keeps: start and stop."""
    edges = [n_atoms * writer // n_writers for writer in range(n_writers + 1)]
    return list(itertools.pairwise(edges))


@dataclass(frozen=True)
class Origin:
    """Which start of which writer wrote the frames of a file.

    Attributes
    ----------
    uuid : str
        Of the buffer.
    generation : int
        Starts of a writer, counted from 0.
    branch_step : int or None
        Step the generation goes on from: older frames after it are superseded.
    writer, n_writers : int
        This writer, of how many.
    rows : (int, int)
        Its rows of the sorted atoms: start and stop.
    previous_step : int or None
        Live step before the first frame: a missing file leaves a gap that can be named.
    every : int or None
        Steps between the regular frames, if known.
    rounded_to : float
        Spectra are multiples of this; 0 if they were not rounded. Only a packed file has them.
    """

    uuid: str
    generation: int = 0
    branch_step: int | None = None
    writer: int = 0
    n_writers: int = 1
    rows: tuple[int, int] = (0, 0)
    previous_step: int | None = None
    every: int | None = None
    rounded_to: float = 0.0

    @classmethod
    def from_dict(cls, content: dict[str, Any], n_atoms: int) -> Origin:
        """Read back what ``asdict`` wrote to JSON; ValueError or KeyError if it cannot be."""
        n_writers = integer(content, "n_writers", 1, n_atoms)
        writer = integer(content, "writer", 0, n_writers - 1)
        rows = writer_rows(n_atoms, n_writers)[writer]
        if content["rows"] != list(rows):
            raise ValueError(f"rows is {reprlib.repr(content['rows'])}")
        return cls(
            text(content, "uuid"),
            integer(content, "generation"),
            optional_step(content, "branch_step"),
            writer,
            n_writers,
            rows,
            optional_step(content, "previous_step"),
            # earlier versions did not write it
            None if content.get("every") is None else integer(content, "every", 1),
            abs(float(content.get("rounded_to", 0.0))),
        )


@dataclass(frozen=True)
class Document:
    """What all frames of a buffer share; stored in config.json and again in every data file.

    Attributes
    ----------
    config : LiveConfig
        Settings of the recording.
    atom_ids : (n_atoms,) int64 ndarray
        Sorted IDs of the described atoms.
    species : (n_atoms,) int32 ndarray
        Index into ``config.species``.
    units : str
        LAMMPS unit style.
    periodic : (bool, bool, bool)
        Periodic directions of the box.
    uuid : str
        Identity of the buffer.
    """

    config: LiveConfig
    atom_ids: NDArray[np.int64]
    species: NDArray[np.int32]
    units: str
    periodic: tuple[bool, bool, bool]
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @classmethod
    def create(
        cls,
        config: LiveConfig,
        atom_ids: ArrayLike,
        species: ArrayLike,
        units: str,
        periodic: tuple[bool, bool, bool],
    ) -> Document:
        """Check and copy what a writer was given."""
        ids = np.array(atom_ids, dtype=np.int64)
        kinds = np.array(species, dtype=np.int32)
        if ids.ndim != 1 or len(ids) == 0 or kinds.shape != ids.shape:
            raise BufferError(
                f"{ids.shape} atom IDs and {kinds.shape} species: expected two equally long, "
                f"non-empty lists. Is the group {config.centers!r} empty?"
            )
        if (repeated := np.flatnonzero(np.diff(ids) <= 0)).size:
            first = repeated[0]
            raise BufferError(
                f"atom IDs {ids[first]}, {ids[first + 1]}: expected sorted IDs, each once. "
                "Put 'reset_atoms id' before the run, and take out 'atom_modify id no'."
            )
        if kinds.min() < 0 or kinds.max() >= len(config.species):
            raise BufferError(
                f"species from {kinds.min()} to {kinds.max()}: expected an index into "
                f"{' '.join(config.species)}. Give one element per LAMMPS type."
            )
        x, y, z = (bool(axis) for axis in periodic)
        return cls(config, ids, kinds, str(units), (x, y, z))

    @cached_property
    def n_features(self) -> int:
        """Length of a spectrum with these settings."""
        return Soap.of(self.config).n_features

    def allows(self, n_columns: int) -> bool:
        """Return whether frames may hold so many numbers for each atom in place of a spectrum."""
        return self.config.stored.allows(n_columns, self.n_features)

    @cached_property
    def _packed(self) -> dict[str, str]:
        # zlib of little-endian differences: some hundred bytes for a contiguous group
        return {
            "atom_ids": pack_array(np.diff(self.atom_ids, prepend=0), "<i8"),
            "atom_species": pack_array(self.species, "<i4"),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "format": "strdyn-live buffer",
            "format_version": 1 if self.config.store == "full" else FORMAT_VERSION,
            "uuid": self.uuid,
            "units": self.units,
            "periodic": list(self.periodic),
            "species": list(self.config.species),
            "n_atoms": len(self.atom_ids),
            **self._packed,
            "config": self.config.as_dict(),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any], name: str) -> Document:
        """Read back `to_dict`; `name` is the file it came from, for the errors."""
        with sensible(name):
            version = integer(content, "format_version", 1)
            if version > FORMAT_VERSION:
                raise BufferError(
                    f"{name} has format {version}, this strdyn-live reads up to {FORMAT_VERSION}: "
                    "upgrade it (pip install -U strdyn-live)."
                )
            known = {item.name for item in fields(LiveConfig)}
            settings = {key: value for key, value in content["config"].items() if key in known}
            config = LiveConfig.from_mapping(settings)
            x, y, z = content["periodic"]
            if not all(isinstance(axis, bool) for axis in (x, y, z)):
                raise ValueError(f"periodic is {reprlib.repr(content['periodic'])}")
            n_atoms = integer(content, "n_atoms", 1)
            document = cls(
                config,
                np.cumsum(unpack_array(text(content, "atom_ids"), "<i8", n_atoms)).astype(np.int64),
                unpack_array(text(content, "atom_species"), "<i4", n_atoms).astype(np.int32),
                text(content, "units"),
                (x, y, z),
                text(content, "uuid"),
            )
            kinds = document.species
            if (np.diff(document.atom_ids) <= 0).any():
                raise ValueError("the atom IDs are not sorted")
            if kinds.min() < 0 or kinds.max() >= len(config.species):
                raise ValueError(f"species go from {kinds.min()} to {kinds.max()}")
        return document

    def differences(self, other: Document) -> list[str]:
        """Return where `other` means something else than this, with both values, in words."""
        stored, given = self.config.as_dict(), other.config.as_dict()
        pairs = [(key, stored[key], given[key]) for key in stored if key not in _FREE_SETTINGS] + [
            ("units", self.units, other.units),
            ("periodic directions", self.periodic, other.periodic),
            ("number of atoms", len(self.atom_ids), len(other.atom_ids)),
        ]
        differ = [
            f"{key} is {old!r} there and {new!r} now" for key, old, new in pairs if old != new
        ]
        if not differ:
            for what, old, new in (
                ("atom ID", self.atom_ids, other.atom_ids),
                ("species", self.species, other.species),
            ):
                if (rows := np.flatnonzero(old != new)).size:
                    row = int(rows[0])
                    differ.append(
                        f"{what} of row {row} is {old[row]} there and {new[row]} now "
                        f"({rows.size} differ)"
                    )
        return differ

    def require_same(self, other: Document, name: str) -> None:
        """Raise BufferError, with both values, if `other` cannot continue this buffer."""
        if differ := self.differences(other):
            raise BufferError(
                f"{name} cannot be continued: {'; '.join(differ)}. Go back to the stored values "
                "or record to another file."
            )


def header_json(origin: Origin, document: Document) -> bytes:
    """Return the text every data file carries: its origin and a copy of config.json."""
    return checked_json({"origin": asdict(origin), "document": document.to_dict()})


def read_header(data: bytes, name: str) -> tuple[Origin, Document]:
    """Read `header_json`."""
    content = read_json(data, name)
    with sensible(name):
        document = Document.from_dict(content["document"], name)
        origin = Origin.from_dict(content["origin"], len(document.atom_ids))
        if origin.uuid != document.uuid:
            raise ValueError("it belongs to two buffers")
    return origin, document
