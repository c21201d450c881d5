"""LAMMPS dumps in text form, frame by frame, to the last digit.

MDAnalysis reads them as well, but in single precision, and without boundaries and the origin of the
box. Then a buffer would not equal that of the live run.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from strdyn_post.errors import TrajectoryError

from .snapshot import Snapshot
from .trajectory import Trajectory, Unread

__all__ = ["LammpsDump", "is_dump"]

# Columns of positions, the first that is there: as they are, or fractions of the box.
_PLACES = {"x y z": False, "xu yu zu": False, "xs ys zs": True, "xsu ysu zsu": True}
_LINES = {"UNITS": 1, "TIME": 1, "TIMESTEP": 1, "NUMBER OF ATOMS": 1, "BOX BOUNDS": 3}
_NEEDED = ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS")


class _EndError(Exception):
    """The file ends within a frame."""


def is_dump(path: Path) -> bool:
    """Return whether a file begins like a LAMMPS dump in text form."""
    return _head(path).startswith(b"ITEM: ")


def _head(path: Path) -> bytes:
    try:
        with _open(path) as file:
            return file.read(64)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TrajectoryError(
            f"{path} cannot be unpacked ({error}): expected a file packed by gzip. It is damaged."
        ) from error


class LammpsDump(Trajectory):
    """A text dump (``dump custom``, ``atom``), also packed by gzip.

    Attributes
    ----------
    units : str or None
        Unit style, where the dump tells it (``dump_modify units yes``).
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._bytes_per_frame = 0.0
        self._elements: NDArray[np.str_] | None = None  # by line of the first frame
        first, _, rest = _head(path).partition(b"\n")
        if first.strip() == b"ITEM: UNITS":
            self.units = rest.split(b"\n")[0].decode(errors="replace").strip()

    @property
    def n_frames(self) -> int | None:
        """About how many frames there are, once one is read; None if packed."""
        if not self._bytes_per_frame or self._path.suffix == ".gz":
            return None
        return round(os.path.getsize(self._path) / self._bytes_per_frame)

    def frames(self) -> Iterator[Unread]:
        """Yield the frames."""
        number = 0
        with _open(self._path) as file:
            while True:
                try:
                    found = _sections(file, number)
                    if found is None:
                        return
                    n_atoms = _whole(found["NUMBER OF ATOMS"][1][0], "number of atoms", number)
                    step = _whole(found["TIMESTEP"][1][0], "timestep", number)
                    lines = list(islice(file, n_atoms))
                    if len(lines) < n_atoms or not lines[-1].endswith(b"\n"):
                        whole = sum(line.endswith(b"\n") for line in lines)
                        raise _EndError(f"{whole} of {n_atoms} atoms")
                except (_EndError, EOFError, zlib.error) as end:  # the last two: a packed file
                    raise TrajectoryError(
                        f"{self.name} ends within frame {number} ({end}): the file was cut off, is "
                        "damaged there, or is still being written."
                    ) from None
                self._bytes_per_frame = file.tell() / (number + 1)
                yield Unread(step, partial(self._read, number, step, found, lines))
                number += 1

    def _read(
        self,
        number: int,
        step: int,
        found: dict[str, tuple[list[str], list[str]]],
        lines: list[bytes],
    ) -> Snapshot:
        columns = found["ATOMS"][0]
        where = f"frame {number} (step {step}) of {self.name}"
        names = next((each for each in _PLACES if set(each.split()) <= set(columns)), None)
        if names is None or "id" not in columns:
            raise TrajectoryError(
                f"{where} has the columns {' '.join(columns)}: expected id, and positions as "
                f"{', '.join(_PLACES)}. Write the dump with 'dump ... custom N FILE id type x y z'."
            )
        wanted = ["id", *names.split(), *(["type"] if "type" in columns else [])]
        try:
            table = np.loadtxt(
                lines, usecols=[columns.index(name) for name in wanted], ndmin=2, comments=None
            )
            periodic, cell, origin = _box(*found["BOX BOUNDS"])
            time = float(found["TIME"][1][0]) if "TIME" in found else None
        except (ValueError, IndexError) as error:
            raise TrajectoryError(
                f"{where} is damaged ({error}): expected numbers in the columns "
                f"{' '.join(wanted)} and in the box. Repair or cut the file there."
            ) from error
        positions = table[:, 1:4]
        if _PLACES[names]:
            positions = positions @ cell + origin
        symbols = None
        if "element" in columns:
            column = columns.index("element")
            symbols = np.array([line.split()[column].decode() for line in lines])
        snapshot = Snapshot.of(
            positions,
            symbols,
            types=table[:, 4] if "type" in columns else None,
            cell=cell,
            periodic=periodic,
            origin=origin,
            atom_ids=table[:, 0],
            step=step,
            time=time,
        )
        # as in a live run, an atom may have left the box by a part of the skin
        return snapshot if names == "x y z" else snapshot.wrapped()


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", (gzip.open if path.suffix == ".gz" else open)(path, "rb"))


def _sections(file: IO[bytes], number: int) -> dict[str, tuple[list[str], list[str]]] | None:
    """Return words and lines of every section up to ``ATOMS``; None at the end of the file."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    while "ATOMS" not in found:
        line = file.readline().decode(errors="replace")
        if not line.strip():
            if line:
                continue  # an empty line
            if found:
                raise _EndError(f"after {', '.join(found)}")
            return None
        if not line.endswith("\n"):
            raise _EndError(f"in {line[:40]!r}")
        text = line.removeprefix("ITEM: ").strip()
        names = (*_LINES, "ATOMS")
        name = next((each for each in names if f"{text} ".startswith(f"{each} ")), None)
        if name is None or text == line.strip():
            raise TrajectoryError(
                f"frame {number} of {file.name}: found the line {line.strip()[:60]!r}, expected "
                f"'ITEM:' and one of {', '.join(names)}. Is this a dump in text form, of atoms?"
            )
        lines = [file.readline().decode(errors="replace") for _ in range(_LINES.get(name, 0))]
        if not all(each.endswith("\n") for each in lines):
            raise _EndError(f"in {name}")
        found[name] = text[len(name) :].split(), lines
    if missing := [name for name in _NEEDED if name not in found]:
        raise TrajectoryError(
            f"frame {number} of {file.name} has no {', '.join(missing)}: expected a dump in text "
            "form as LAMMPS writes it."
        )
    return found


def _box(
    words: list[str], lines: list[str]
) -> tuple[tuple[bool, bool, bool], NDArray[np.float64], NDArray[np.float64]]:
    """Return periodic directions, box vectors as rows, and the corner."""
    bounds = np.array([[float(word) for word in line.split()] for line in lines])
    flags = [word[0] == "p" for word in words if len(word) == 2 and not set(word) - set("pfsm")]
    x, y, z = flags if len(flags) == 3 else (True, True, True)  # old dumps do not tell
    periodic = (x, y, z)
    if "abc" in words:  # general triclinic: vectors, then the corner
        return periodic, bounds[:, :3], bounds[:, 3]
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    # a dump holds the bounds of a tilted box
    low = bounds[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = bounds[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return periodic, cell, low


def _whole(line: str, what: str, number: int) -> int:
    try:
        return int(line)
    except ValueError:
        raise TrajectoryError(
            f"frame {number}: the {what} is {line.strip()[:40]!r}, expected a whole number. The "
            "dump is damaged there."
        ) from None
