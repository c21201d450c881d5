"""The bases of scores: one file each, durable before the first frame that needs it.

``basis-GGGG-KKKKK.json`` holds the basis of K scores that frames of generation GGGG are stored by.
A frame with K + 1 numbers for each atom is read by it. Many frames depend on it, so the file holds
it twice, and one intact line is enough. Where the file is lost, any larger basis of the same
generation does, as a basis only grows. A packed buffer holds the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.basis import Basis

from .content import checked_line, integer, pack_array, read_json, sensible, text, unpack_array
from .errors import DamageError
from .folder import basis_name
from .storage import read_small, write_file

__all__ = ["StoredBasis", "find_basis"]


@dataclass(frozen=True)
class StoredBasis:
    """A basis, and the frames that it is for.

    Attributes
    ----------
    uuid, generation
        As in `Origin`.
    basis : Basis
    """

    uuid: str
    generation: int
    basis: Basis

    @property
    def name(self) -> str:
        """Name of the file."""
        return basis_name(self.generation, self.basis.n_scores)

    @property
    def key(self) -> tuple[int, int]:
        """Generation and number of scores."""
        return self.generation, self.basis.n_scores

    def to_bytes(self) -> bytes:
        """Return one line of JSON with its CRC32."""
        basis = self.basis
        return checked_line(
            {
                "uuid": self.uuid,
                "generation": self.generation,
                "n_scores": basis.n_scores,
                "n_features": basis.n_features,
                "bound": basis.bound,
                "mean": pack_array(basis.mean, "<f8"),
                "components": pack_array(basis.components, "<f8"),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str, n_features: int | None = None) -> StoredBasis:
        """Read `to_bytes`; DamageError if it is damaged, or for spectra of another length."""
        content = read_json(data, name)
        with sensible(name):
            length = integer(content, "n_features", 1)
            if n_features not in (None, length):
                raise ValueError(f"it is for spectra of {length} components")
            n_scores = integer(content, "n_scores", 1, length)
            basis = Basis(
                _array(content, "mean", length),
                _array(content, "components", n_scores * length).reshape(n_scores, length),
                float(content["bound"]),
            )
            if not 0.0 < basis.bound < np.inf:
                raise ValueError(f"bound is {basis.bound}")
            return cls(text(content, "uuid"), integer(content, "generation"), basis)

    def write(self, folder: Path) -> None:
        """Write the file, durable."""
        write_file(folder / self.name, 2 * self.to_bytes())

    @classmethod
    def read(cls, path: Path) -> StoredBasis:
        """Read a file; DamageError if both lines of it are damaged."""
        first, _, second = read_small(path).partition(b"\n")
        try:
            stored = cls.from_bytes(first, str(path))
        except DamageError:
            stored = cls.from_bytes(second, str(path))
        with sensible(str(path)):
            if path.name != stored.name:
                raise ValueError(f"it is {stored.name}")
        return stored


def find_basis(
    bases: Mapping[tuple[int, int], Basis], generation: int, n_scores: int
) -> Basis | None:
    """Return the basis of some frames, as large as they need it; None if there is none."""
    grown = [n for number, n in bases if number == generation and n >= n_scores]
    return bases[generation, min(grown)].first(n_scores) if grown else None


def _array(content: dict[str, Any], name: str, length: int) -> NDArray[np.float64]:
    values = unpack_array(text(content, name), "<f8", length).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} is not finite")
    return values
