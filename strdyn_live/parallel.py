"""The only module that knows MPI: agreement on errors, and rows gathered by atom ID."""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frame import Rows
from .neighbors import NeighborLists

__all__ = ["RankError", "Ranks", "Route", "abort"]


class RankError(RuntimeError):
    """Some rank failed; raised on every rank with the same message.

    Attributes
    ----------
    ends_run : bool
        Whether a rank was told to end (Ctrl-C, `sys.exit`), so that nothing may go on.
    """

    ends_run = False


class Ranks:
    """The ranks of one LAMMPS world; rank 0 is the root, to which rows are gathered.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        A communicator of our own (a duplicate of LAMMPS's); None: one process without MPI.
    """

    def __init__(self, comm: Any = None) -> None:
        self._comm = comm if comm is not None and comm.size > 1 else None
        self.rank: int = self._comm.rank if self._comm else 0
        self.size: int = self._comm.size if self._comm else 1

    @property
    def is_root(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a block that communicates nothing; if it fails on one rank, fail on all.

        Raises
        ------
        RankError
            On every rank, with the message of the lowest rank that failed.
        """
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:  # an exit on one rank would hang the others as well
            error = raised
        told_to_end = error is not None and not isinstance(error, Exception)
        code = self.size - self.rank + self.size * told_to_end
        failed = int(self.max(0 if error is None else code))
        if not failed:
            return
        lowest = -failed % self.size
        if error is not None and not isinstance(error, (ValueError, OSError, RankError)):
            traceback.print_exception(error, file=sys.stderr)
        message = self.broadcast(_describe(error), root=lowest)
        where = f" (rank {lowest})" if self.size > 1 else ""
        agreed = RankError(message + where)
        agreed.ends_run = failed > self.size
        raise agreed from error

    def max(self, value: float) -> float:
        """Return the largest value of all ranks (collective)."""
        return float(self.maxima([value])[0])

    def maxima(self, values: list[float]) -> NDArray[np.float64]:
        """Return the largest of each value over all ranks (collective)."""
        mine = np.array(values, dtype=np.float64)
        if self._comm is None:
            return mine
        result = np.empty_like(mine)
        self._comm.Allreduce(mine, result, op=_mpi().MAX)
        return result

    def sums(self, values: Sequence[int]) -> NDArray[np.int64]:
        """Return the sum of each value over all ranks (collective)."""
        mine = np.array(values, dtype=np.int64)
        if self._comm is None:
            return mine
        result = np.empty_like(mine)
        self._comm.Allreduce(mine, result, op=_mpi().SUM)
        return result

    def total(self, value: float) -> float:
        """Return the sum of a value over all ranks (collective)."""
        return value if self._comm is None else float(self._comm.allreduce(value))

    def broadcast(self, value: Any, root: int = 0) -> Any:
        """Return one rank's Python object on all ranks (collective)."""
        return value if self._comm is None else self._comm.bcast(value, root=root)

    def all_rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of all ranks, in the order of ranks, on every rank (collective)."""
        return rows if self._comm is None else np.concatenate(self._comm.allgather(rows))

    def to_root(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of all ranks on rank 0, no rows elsewhere (collective)."""
        return self._gather_array(rows, 0)

    def first(self, n_ranks: int) -> Ranks | None:
        """Return the first ranks as a group of their own, None on the others (collective)."""
        if self._comm is None:
            return self
        mine = self.rank < n_ranks
        comm = self._comm.Split(0 if mine else _mpi().UNDEFINED, self.rank)
        return Ranks(comm) if mine else None

    def gather_by_id(self, rows: Rows, first_ids: list[int]) -> tuple[Rows, Route]:
        """Hand the rows of all ranks to the first ranks, by ranges of atom IDs (collective).

        Parameters
        ----------
        rows : Rows
            Of this rank.
        first_ids : list of int
            The first atom ID of each receiving rank, in increasing order.

        Returns
        -------
        Rows
            Sorted by atom ID; no rows beyond the receiving ranks.
        Route
            The way back: what a receiving rank says of its rows goes to the ranks they are from.
        """
        receiver = np.searchsorted(first_ids[1:], rows.atom_ids, side="right")
        mine = rows
        for root in range(len(first_ids)):
            # a copy of all spectra is worth avoiding
            part = rows if len(first_ids) == 1 else rows.take(np.flatnonzero(receiver == root))
            gathered = self._gather(part, root)
            if root in (0, self.rank):
                mine = gathered
        order = np.argsort(mine.atom_ids, kind="stable")
        return mine.take(order), Route(self._comm, receiver, order)

    def _gather(self, rows: Rows, root: int) -> Rows:
        frame = rows.frame
        return Rows(
            self._gather_array(rows.atom_ids, root),
            self._gather_array(rows.species, root),
            replace(
                frame,
                positions=self._gather_array(frame.positions, root),
                soap=self._gather_array(frame.soap, root),
                neighbors=NeighborLists.from_counts(
                    self._gather_array(frame.neighbors.counts, root),
                    self._gather_array(frame.neighbors.ids, root),
                ),
            ),
        )

    def _gather_array(self, values: NDArray[Any], root: int) -> NDArray[Any]:
        """Return the rows of all ranks, in the order of ranks, on one rank, no rows elsewhere."""
        if self._comm is None:
            return values
        mpi = _mpi()
        values = np.ascontiguousarray(values)
        counts = self._comm.gather(len(values), root=root) or [0]
        gathered = np.empty((sum(counts), *values.shape[1:]), values.dtype)
        # one MPI element is a whole row, so that counts stay far below 2**31
        row = mpi.BYTE.Create_contiguous(values.itemsize * math.prod(values.shape[1:])).Commit()
        try:
            into = [gathered, counts, row] if self.rank == root else None
            self._comm.Gatherv([values, len(values), row], into, root=root)
        finally:
            row.Free()
        return gathered

    def abort(self) -> None:
        """End all ranks at once, under MPI."""
        if self._comm is not None:
            self._comm.Abort(1)


class Route:
    """Which rows went from which rank to which, and in which order they lie there.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm or None
        All ranks.
    receiver : (n_rows,) int ndarray
        The rank that each row of this one went to.
    order : (n_received,) int ndarray
        Order in which the rows of all ranks, one rank after the other, were sorted here.
    """

    def __init__(self, comm: Any, receiver: NDArray[np.intp], order: NDArray[np.intp]) -> None:
        self._comm = comm
        self._receiver = receiver
        self._order = order

    def back(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what was said of the rows of this rank (collective).

        Parameters
        ----------
        values : (n_received, n_columns) float64 ndarray
            Of the sorted rows that this rank received.

        Returns
        -------
        (n_rows, n_columns) float64 ndarray
            Of the rows that this rank has sent, as they were before.
        """
        arrived = np.empty_like(values)
        arrived[self._order] = values
        if self._comm is None:
            return arrived
        n_columns = values.shape[1]
        to_me = np.bincount(self._receiver, minlength=self._comm.size)
        from_me = np.array(self._comm.alltoall(to_me.tolist()))
        returned = np.empty((len(self._receiver), n_columns))
        self._comm.Alltoallv([arrived, n_columns * from_me], [returned, n_columns * to_me])
        result = np.empty_like(returned)
        result[np.argsort(self._receiver, kind="stable")] = returned
        return result


def abort(ranks: Ranks | None) -> None:
    """End the whole job at once, with exit code 1; `ranks` may not be known yet."""
    sys.stdout.flush()
    sys.stderr.flush()
    if ranks is not None:
        ranks.abort()
    os._exit(1)  # mpirun ends the other ranks


def _mpi() -> Any:
    from mpi4py import MPI

    return MPI


def _describe(error: BaseException | None) -> str:
    if error is None:
        return ""
    expected = isinstance(error, (ValueError, OSError, RankError)) and str(error)
    return str(error) if expected else f"{type(error).__name__}: {error}"
