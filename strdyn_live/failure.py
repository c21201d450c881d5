"""Work in a callback of LAMMPS: where it fails, all ranks agree on what follows."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from .parallel import RankError, Ranks, abort

__all__ = ["attempt"]


def attempt(
    work: Callable[[], object], lmp: Any, ranks: Ranks | None, *, may_drop: bool
) -> BaseException | None:
    """Do some work; return the error that ends the run, the same on all ranks (collective).

    An error that the ranks have not agreed on ends a run on several ranks at once, because the
    other ranks may wait for this one forever.

    Parameters
    ----------
    work : callable
        What to do.
    lmp : lammps.lammps
        The running LAMMPS.
    ranks : Ranks or None
        All ranks, if they are known yet.
    may_drop : bool
        Whether a frame that all ranks fail at is reported and left out.
    """
    try:
        work()
        return None
    except RankError as agreed:
        if may_drop and not agreed.ends_run:
            if ranks is not None and ranks.is_root:
                print(f"strdyn-live: frame dropped: {agreed}", file=sys.stderr, flush=True)
            return None
        error: BaseException = agreed
    except BaseException as raised:
        if lmp.extract_setting("universe_size") > 1:
            traceback.print_exc()
            abort(ranks)
        error = raised
    return error
