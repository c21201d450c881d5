"""The message of a run that fails: from one rank, on the screen and in the log of LAMMPS."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from .lammps_io import tell_log

__all__ = ["is_embedded", "may_be_root", "tell_once"]

_HEAD_START = 0.5  # seconds
_RANK = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")


def tell_once(error: BaseException, *, is_root: bool) -> None:
    """Write an error into the log of LAMMPS, and let embedded Python print it as one line.

    Python would print the error with its traceback on every rank, and the log of LAMMPS would say
    only that the method failed. The first rank that ends kills the others, so the ranks that print
    nothing wait for the one that prints.
    """
    if is_root:
        tell_log(f"ERROR: strdyn-live: {error}")
    if not is_embedded():
        return
    if is_root:
        print(f"ERROR: strdyn-live: {error}", file=sys.stderr, flush=True)
    else:
        time.sleep(_HEAD_START)
    otherwise = sys.excepthook

    def hook(kind: Any, raised: Any, trace: Any) -> None:
        if raised is not error:
            otherwise(kind, raised, trace)

    sys.excepthook = hook


def is_embedded() -> bool:
    """Return whether LAMMPS runs Python, and not the other way round."""
    return sys.argv in ([], [""]) and not hasattr(sys, "ps1")


def may_be_root() -> bool:
    """Return whether this may be the first rank of its LAMMPS, before LAMMPS and MPI can be asked.

    With partitions every rank may be: the first partition that fails ends the others, so a message
    may be lost if a rank waits for another one to print it.
    """
    with contextlib.suppress(OSError):
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
        if is_embedded() and (b"-partition" in words or b"-p" in words):
            return True
    return all(os.environ.get(name, "0") == "0" for name in _RANK)
