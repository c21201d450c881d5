"""Work beside LAMMPS: a thread describes a frame, or seals a log, while the simulation goes on.

What runs there needs neither LAMMPS nor MPI. The compiled kernel and LAMMPS do not hold Python's
lock, so both run at the same time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Beside"]

_T = TypeVar("_T")


class Beside:
    """Does one thing after the other, on a thread of its own or at once.

    Parameters
    ----------
    has_thread : bool
        Whether work is done on a thread.
    """

    def __init__(self, *, has_thread: bool) -> None:
        self._pool = ThreadPoolExecutor(1, "strdyn-live") if has_thread else None

    def start(self, work: Callable[[], _T]) -> Future[_T]:
        """Start some work; the result, or the error, is in what is returned."""
        if self._pool is not None:
            with contextlib.suppress(RuntimeError):  # the program ends: no thread starts any more
                return self._pool.submit(work)
        done: Future[_T] = Future()
        try:
            done.set_result(work())
        except BaseException as error:  # as on a thread
            done.set_exception(error)
        return done

    def end(self) -> None:
        """Let the thread go, once it has done its work."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
