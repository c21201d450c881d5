"""The model of docs/scaling.md: what a rank sends, receives and keeps in a frame.

`python docs/scaling.py` prints the table of the page. tests/mpi/test_scaling_live.py counts the
same in real runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["PCA", "frame_calls", "parcel", "table"]

UNIT = 64  # bytes that a parcel is a multiple of
N_FEATURES = 324  # one species, n_max = l_max = 8
N_NEIGHBORS = 78  # copper, 6 Å
ATOMS_OF_A_RANK = 1000
SEAL_BYTES = 64 * 2**20  # a larger frame becomes a segment by itself

Call = tuple[str, int]


def message(n_sums: int = 0, n_totals: int = 0, n_maxima: int = 0) -> int:
    """Bytes of a message that all ranks reduce: two lengths, an error code, and the numbers."""
    return 8 * (3 + n_sums + n_totals + n_maxima)


READ = message(n_sums=4)  # members of the two groups
SHELL = message(n_maxima=2)  # how far atoms have strayed, how far the ghosts reach
MISSING = message(n_maxima=1)  # the nearest image that is not there
END = message(n_totals=6, n_maxima=13)  # times of six sections, and a signal


def found(n_environments: int = 0) -> int:
    """Bytes of the values of a frame: numbers of atoms, moves, δ, and whether it is stored."""
    n = n_environments
    return message(n_sums=3 + n + n * n, n_totals=1, n_maxima=3)


def parcel(n_rows: int, n_neighbors: int, n_columns: int) -> int:
    """Bytes of the rows that one rank sends to one writer.

    A row is the ID (8), the position (24), the species (4), the number of neighbors (4), and the
    spectrum, of `n_features` columns, or K scores and a residual; neighbor IDs take 4 bytes each (8
    where one is 2³¹ or more).
    """
    if n_rows == 0:
        return 0
    size = 24 + n_rows * (40 + 4 * n_columns) + 4 * n_neighbors
    return -(-size // UNIT) * UNIT


@dataclass(frozen=True)
class PCA:
    """What `store pca K` sends in addition.

    A ``bcast`` hands over the numbers that are counted here, and less than `AROUND` bytes around
    them.

    Attributes
    ----------
    n_features : int
        Components of a spectrum.
    n_scores : int
        K.
    is_root : bool
        Whether this is rank 0: it finds eigenvectors, and hands them to all.
    """

    AROUND = 1000

    n_features: int
    n_scores: int
    is_root: bool

    @property
    def _triangle(self) -> int:
        return self.n_features * (self.n_features + 1) // 2

    def _bcast(self, n_numbers: int) -> Call:
        return "bcast", 8 * n_numbers if self.is_root else 0

    def begins(self) -> list[Call]:
        """Return the calls once the first frame of a buffer is written."""
        first, *rest = self.learns()
        origin = message(n_sums=1, n_totals=self.n_features)
        return [("Allreduce", message()), self._bcast(0), first, ("Allreduce", origin), *rest]

    def learns(self) -> list[Call]:
        """Return the calls before the rows are sent, while the basis is open."""
        tested = message(n_sums=1, n_totals=1, n_maxima=2)
        moments = message(n_sums=1, n_totals=self.n_features + self._triangle)
        calls = [("Allreduce", size) for size in (tested, moments, message())]
        return [*calls, self._bcast((1 + self.n_scores) * self.n_features)]  # the mean as well

    def projects(self) -> list[Call]:
        """Return the calls before scores are sent.

        Before a frame beyond the bound is sent in full, they are made twice if the frame before was
        within the bound: its spectra are described again.
        """
        return [("Allreduce", message(n_maxima=1))]

    def grows(self) -> list[Call]:
        """Return the calls that follow where the basis may still grow."""
        products = message(n_sums=1, n_totals=self._triangle)
        calls = [("Allreduce", products), ("Allreduce", message())]
        left_out = message(n_maxima=self.n_features)
        return [*calls, self._bcast(self.n_features**2), ("Allreduce", left_out)]


def moved(n_ranks: int, n_asked: int, n_kept: int) -> list[Call]:
    """Return what `overlap` adds, where values are taken, before they are handed back.

    A rank asks for the atoms that it has now, and answers for the rows that it writes.
    """
    asked = [("Alltoall", 8 * n_ranks), ("Alltoallv", 8 * n_asked), ("Alltoallv", 24 * n_kept)]
    return [("Allreduce", message(n_maxima=1)), *asked]


def frame_calls(
    n_ranks: int,
    parcels: Iterable[int],
    *,
    n_kept: int = 0,
    counted: int | None = None,
    by_fix: bool = False,
    writes_with_others: bool = False,
    reduced: Sequence[Call] = (),
    first: Sequence[Call] = (),
    stores_basis: bool = False,
    later: Sequence[Call] = (),
) -> list[Call]:
    """Return the calls of MPI of one rank in one frame, with the bytes that it hands over.

    Parameters
    ----------
    n_ranks : int
        All ranks.
    parcels : iterable of int
        Bytes of what this rank sends to each writer.
    n_kept : int
        Rows that this rank writes.
    counted : int, optional
        If images are counted (with `fix strdyn` they never are): bytes of the distances.
    by_fix : bool
        Whether LAMMPS guarantees the ghost shell.
    writes_with_others : bool
        Whether this rank is one of several writers, which agree among themselves.
    reduced, first : sequence of Call
        With ``store pca K``: what `PCA` adds before the rows are sent, and at the first frame after
        they are written.
    stores_basis : bool
        Whether these are the first scores of a basis, or of one that has grown.
    later : sequence of Call
        With `overlap`: what `moved` adds in the next interval, but at the first frame.
    """
    if n_ranks == 1:
        return []
    calls = [("Allreduce", READ)]
    if not by_fix:
        calls.append(("Allreduce", SHELL))
    if counted is not None:
        calls += [("Allgather", 48), ("Alltoall", 8 * n_ranks), ("Alltoallv", counted)]
        calls.append(("Allreduce", MISSING))
    calls += [*reduced, ("Alltoall", 8 * n_ranks), ("Alltoallv", sum(parcels))]
    if writes_with_others:  # same species; may be written; basis is stored; is written
        calls += [("Allreduce", message()), *[("Allreduce", 8)] * (2 + stores_basis)]
    calls += [("Allreduce", found()), *first]
    return [*calls, ("Alltoallv", 24 * n_kept), *later, ("Allreduce", END)]


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5 or unit == "GB":
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return ""


def _row(n_ranks: int, n_writers: int) -> Sequence[str]:
    n = ATOMS_OF_A_RANK
    sent = parcel(n, n * N_NEIGHBORS, N_FEATURES)
    own = frame_calls(n_ranks, [sent], by_fix=True)
    rows = n_ranks * n // n_writers
    frame = rows * (28 + 4 * N_FEATURES + 4 * N_NEIGHBORS)
    files = n_writers * min(1.0, frame / SEAL_BYTES)
    return [
        f"{n_ranks:,}".replace(",", " "),
        str(n_writers),
        str(len(own)),
        _size(sent) if n_ranks > 1 else "0",
        _size(sum(n_bytes for _, n_bytes in own) - sent) if n_ranks > 1 else "0",
        _size(120 * n_ranks),
        _size(n_ranks * sent / n_writers),
        _size(2 * n_ranks * sent / n_writers + 24 * n_ranks * n),
        f"{files:.2f}" if files < 1 else f"{files:.0f}",
    ]


def table() -> str:
    """Return the table of the page."""
    heads = [
        "ranks",
        "writers",
        "calls of MPI",
        "rows sent",
        "else sent",
        "kept for the ranks",
        "rows received by a writer",
        "memory of a writer",
        "segments",
    ]
    sizes = [(1, 1), (2, 1), (4, 1), (16, 1), (100, 1), (1000, 1), (1000, 10)]
    sizes += [(10_000, 1), (10_000, 100)]
    lines = [heads, ["---:"] * len(heads), *(_row(*size) for size in sizes)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    print(table())
