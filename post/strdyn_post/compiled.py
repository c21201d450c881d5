"""Modules of functions that numba compiles and keeps, also where it may keep nothing."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["import_compiled"]


def import_compiled(name: str) -> Any:
    """Import a module whose functions numba keeps on disk once compiled.

    Numba refuses the import where it can write neither beside the module nor in the home folder
    (a read-only installation, a job without HOME). The functions are then compiled anew by every
    process, unless NUMBA_CACHE_DIR names a folder.
    """
    try:
        return import_module(name)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    import numba

    folder = _folder_for_this_process().name
    os.environ["NUMBA_CACHE_DIR"] = folder
    numba.config.reload_config()  # type: ignore[no-untyped-call]
    return import_module(name)


@cache
def _folder_for_this_process() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="strdyn-numba-")  # gone with the process
