"""The only module that knows MPI: agreement on errors, and rows gathered by atom ID.

Every call of MPI of the project stands here, so that the order of the collectives on all ranks can
be read in one place. docs/scaling.md says how many there are in a frame. What the messages hold is
in `shared` (numbers that are reduced) and `parcels` (rows).
"""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .frame import Rows
from .parcels import UNIT, Parcels, pack_rows, unpack_rows
from .shared import Shared, combine

__all__ = ["RankError", "Ranks", "Route", "abort", "outcome_of"]

_T = TypeVar("_T")


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
        self._comm: Any = comm if comm is not None and comm.size > 1 else None
        self.rank: int = self._comm.rank if self._comm else 0
        self.size: int = self._comm.size if self._comm else 1

    @property
    def is_root(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @contextmanager
    def together(
        self, *, n_sums: int = 0, n_totals: int = 0, n_maxima: int = 0
    ) -> Iterator[Shared]:
        """Run a block that communicates nothing; if it fails on one rank, fail on all (collective).

        Parameters
        ----------
        n_sums, n_totals, n_maxima : int
            Numbers that all ranks reduce with the same message: the block writes what this rank
            says into the `Shared` that it gets, and what all say is there after the block.

        Raises
        ------
        RankError
            On every rank, with the message of the lowest rank that failed.
        """
        shared = Shared.nothing(n_sums, n_totals, n_maxima)
        error: BaseException | None = None
        try:
            yield shared
        except BaseException as raised:  # an exit on one rank would hang the others as well
            error = raised
        code = self._code(error)
        self._agree(code if self._comm is None else self._reduce(shared, code), error)

    @contextmanager
    def alike(self) -> Iterator[None]:
        """Run a block that knows the same on every rank, and so refuses it on all or on none.

        Raises
        ------
        RankError
            For a ValueError or an OSError.
        """
        try:
            yield
        except (ValueError, OSError) as error:
            raise RankError(str(error)) from error

    def _code(self, error: BaseException | None) -> int:
        """Return a number whose maximum tells the lowest rank that failed worst; 0: none has."""
        if error is None:
            return 0
        echo = getattr(error, "is_echo", False)  # the error that it repeats says more
        grave = 2 if not isinstance(error, Exception) else int(not echo)
        return self.size - self.rank + grave * self.size

    def _reduce(self, shared: Shared, code: int) -> int:
        """Reduce the numbers of all ranks; return the largest code."""
        message = shared.to_bytes(code)
        # one element: MPI may not take it apart
        whole = _mpi().BYTE.Create_contiguous(message.nbytes).Commit()
        try:
            reduced = np.empty_like(message)
            self._comm.Allreduce([message, 1, whole], [reduced, 1, whole], op=_reduction())
        finally:
            whole.Free()
        return int(shared.take(reduced))

    def _agree(self, failed: int, error: BaseException | None) -> None:
        """Raise on all ranks if one has failed (collective, if so)."""
        if not failed:
            return
        lowest = -failed % self.size
        if error is not None and not isinstance(error, (ValueError, OSError, RankError)):
            traceback.print_exception(error, file=sys.stderr)
        message = self.broadcast(_describe(error), root=lowest)
        where = f" (rank {lowest})" if self.size > 1 else ""
        agreed = RankError(message if message.endswith(where) else message + where)
        agreed.ends_run = failed > 2 * self.size
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
        with self.together(n_totals=1) as shared:
            shared.totals[0] = value
        return float(shared.totals[0])

    def broadcast(self, value: Any, root: int = 0) -> Any:
        """Return one rank's Python object on all ranks (collective)."""
        return value if self._comm is None else self._comm.bcast(value, root=root)

    def all_rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of all ranks, in the order of ranks, on every rank (collective)."""
        return rows if self._comm is None else np.concatenate(self._comm.allgather(rows))

    def each(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each rank gives, the same shape from all, (n_ranks, ...) (collective)."""
        if self._comm is None:
            return values[np.newaxis]
        gathered = np.empty((self.size, *values.shape))
        self._comm.Allgather(np.ascontiguousarray(values), gathered)
        return gathered

    def nth_smallest(self, values: NDArray[np.int64], places: Sequence[int]) -> list[int]:
        """Find the values at some places of the sorted values of all ranks (collective).

        No rank sees more than its own: the places are found by halving intervals, with a sum over
        all ranks for each half.

        Parameters
        ----------
        values : (n,) int64 ndarray
            Of this rank, sorted, from 0 on.
        places : sequence of int
            Counted from 0.
        """
        if len(places) == 0:
            return []
        wanted = np.array(places, dtype=np.int64)
        bits = int(self.max(int(values[-1]).bit_length() if len(values) else 0))
        low, high = np.zeros_like(wanted), np.full_like(wanted, 2**bits - 1)
        for _ in range(bits):
            middle = low + (high - low) // 2
            counted = np.searchsorted(values, middle, side="right")
            enough = self.sums(counted.tolist()) > wanted
            low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
        return [int(value) for value in low]

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

    def gather_by_id(
        self, rows: Rows | BaseException, first_ids: Sequence[int]
    ) -> tuple[Rows, Route]:
        """Hand the rows of all ranks to the first ranks, by ranges of atom IDs (collective).

        Parameters
        ----------
        rows : Rows or BaseException
            Of this rank; or what went wrong in making them (see `outcome_of`).
        first_ids : sequence of int
            The first atom ID of each receiving rank, in increasing order; smaller ones than the
            first go there as well.

        Returns
        -------
        Rows
            Sorted by atom ID; no rows beyond the receiving ranks.
        Route
            The way back: what a receiving rank says of its rows goes to the ranks they are from.

        Raises
        ------
        RankError
            On every rank, if something went wrong on one.
        """
        if self._comm is None:
            with self.together():
                sent = _raised(rows)
                order = np.argsort(sent.atom_ids, kind="stable")
            return sent.take(order), Route(
                None, np.zeros_like(order), order, np.array([len(order)])
            )

        receivers = np.empty(0, dtype=np.intp)

        def packed() -> Parcels:
            nonlocal receivers
            sent = _raised(rows)
            receivers = np.searchsorted(first_ids[1:], sent.atom_ids, side="right")
            return pack_rows(sent, receivers, self.size)

        # the parcels are not kept here: they may be as large as all that is received
        received = self.exchange(outcome_of(packed))
        mine, order, n_rows = unpack_rows(received, _raised(rows), self.size)
        return mine, Route(self._comm, receivers, order, n_rows)

    def ask_by_id(
        self,
        wanted: NDArray[np.int64],
        first_ids: Sequence[int],
        atom_ids: NDArray[np.int64],
        values: NDArray[np.float64],
        unknown: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Ask the first ranks for what they know of some atoms, wherever these are (collective).

        Parameters
        ----------
        wanted : (n_wanted,) int64 ndarray
            IDs of the atoms that this rank asks for.
        first_ids : sequence of int
            As of `gather_by_id`.
        atom_ids, values : (n_rows,) int64 ndarray, (n_rows, n_columns) float64 ndarray
            What this rank knows, sorted by ID.
        unknown : (n_columns,) float64 ndarray
            Is said of atoms that no rank knows.

        Returns
        -------
        (n_wanted, n_columns) float64 ndarray
        """
        n_columns = len(unknown)

        def known(ids: NDArray[np.int64]) -> NDArray[np.float64]:
            found = np.tile(unknown, (len(ids), 1))
            places = np.searchsorted(atom_ids, ids)
            here = np.flatnonzero(places < len(atom_ids))
            here = here[atom_ids[places[here]] == ids[here]]
            found[here] = values[places[here]]
            return found

        if self._comm is None:
            return known(wanted)
        receivers = np.searchsorted(first_ids[1:], wanted, side="right")
        order = np.argsort(receivers, kind="stable")
        n_asked = np.bincount(receivers, minlength=self.size)
        n_heard = np.empty_like(n_asked)
        self._comm.Alltoall(n_asked, n_heard)
        heard = np.empty(n_heard.sum(), dtype=np.int64)
        self._comm.Alltoallv([wanted[order], n_asked], [heard, n_heard])
        answers = np.empty((len(wanted), n_columns))
        self._comm.Alltoallv([known(heard), n_columns * n_heard], [answers, n_columns * n_asked])
        result = np.empty_like(answers)
        result[order] = answers
        return result

    def exchange(self, parcels: Parcels | BaseException) -> dict[int, NDArray[np.uint8]]:
        """Hand parcels over (collective).

        The sizes are told first, eight bytes for each pair of ranks, and with them whether a rank
        has failed.

        Parameters
        ----------
        parcels : Parcels or BaseException
            For all ranks; or what went wrong in making them (see `outcome_of`).

        Returns
        -------
        dict of int to (n_bytes,) uint8 ndarray
            Those for this rank by sender, in the order of ranks.

        Raises
        ------
        RankError
            On every rank, if something went wrong on one.
        """
        error = parcels if isinstance(parcels, BaseException) else None
        if self._comm is None:
            self._agree(self._code(error), error)
            return {0: _raised(parcels).content}
        told = np.zeros((self.size, 2), dtype=np.int32)
        told[:, 1] = self._code(error)
        if not isinstance(parcels, BaseException):
            told[:, 0] = parcels.units
        heard = np.empty_like(told)
        self._comm.Alltoall(told, heard)
        self._agree(int(heard[:, 1].max()), error)
        to, from_ = told[:, 0], heard[:, 0]
        received = np.empty(UNIT * from_.sum(dtype=np.int64), dtype=np.uint8)
        unit = _mpi().BYTE.Create_contiguous(UNIT).Commit()
        try:
            self._comm.Alltoallv([_raised(parcels).content, to, unit], [received, from_, unit])
        finally:
            unit.Free()
        senders = np.flatnonzero(from_)
        ends = UNIT * np.cumsum(from_[senders], dtype=np.int64)
        return dict(zip(senders.tolist(), np.split(received, ends[:-1]), strict=False))

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
    receivers : (n_rows,) int ndarray
        The rank that each row of this one went to.
    order : (n_received,) int ndarray
        Order in which the rows of all ranks, one rank after the other, were sorted here.
    n_received : (n_ranks,) int64 ndarray
        Rows that came from each rank.
    """

    def __init__(
        self,
        comm: Any,
        receivers: NDArray[np.intp],
        order: NDArray[np.intp],
        n_received: NDArray[np.int64],
    ) -> None:
        self._comm = comm
        self._receivers = receivers
        self._order = order
        self._n_received = n_received

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
        n_sent = np.bincount(self._receivers, minlength=self._comm.size)
        returned = np.empty((len(self._receivers), n_columns))
        self._comm.Alltoallv(
            [arrived, n_columns * self._n_received], [returned, n_columns * n_sent]
        )
        result = np.empty_like(returned)
        result[np.argsort(self._receivers, kind="stable")] = returned
        return result


def outcome_of(work: Callable[[], _T]) -> _T | BaseException:
    """Do some work, and return what went wrong instead of raising it.

    For the work before a collective that tells all ranks of it (`Ranks.exchange`).
    """
    try:
        return work()
    except BaseException as error:  # the other ranks wait in the collective
        return error


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


@cache
def _reduction() -> Any:
    """Return the operation that reduces messages of `Shared`."""

    def reduce(message: Any, into: Any, _: Any) -> None:
        combine(np.frombuffer(message, np.uint8), np.frombuffer(into, np.uint8))

    return _mpi().Op.Create(reduce, commute=True)


def _raised(outcome: _T | BaseException) -> _T:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _describe(error: BaseException | None) -> str:
    if error is None:
        return ""
    expected = isinstance(error, (ValueError, OSError, RankError)) and str(error)
    return str(error) if expected else f"{type(error).__name__}: {error}"
