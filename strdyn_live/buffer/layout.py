"""What the writer and the reader of a segment agree on: names, types, coding of the IDs.

The layout is that of H5MD. Positions are stored as float64 although that is more than most analyses
need: a frame then has the same bytes, and the same checksums, in the tail log, in its segment and
in a packed file, and a restart can be compared with what is stored; they are 2 % of the spectra.
Spectra and positions are contiguous: they are written and read without a copy, and a flipped bit
costs one frame, not a chunk of them. Their checksums are those of the record headers, kept in
``/strdyn/record``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists

__all__ = [
    "BASES",
    "CHUNK_BYTES",
    "COUNT",
    "DAMAGE",
    "HEADER",
    "ID",
    "LIVE",
    "OFFSET",
    "PARTICLES",
    "POSITION",
    "RECORD",
    "SOAP",
    "SOAP_ROW",
    "STEP",
    "TIME",
    "differences",
    "soap_name",
    "undo_differences",
]

PARTICLES = "particles/all"
POSITION, SOAP = f"{PARTICLES}/position/value", f"{PARTICLES}/soap/value"
COUNT, OFFSET, ID = (f"{PARTICLES}/neigh/{name}" for name in ("count", "offset", "id"))
STEP, TIME = f"{PARTICLES}/step", f"{PARTICLES}/time"
RECORD, HEADER, DAMAGE = (f"strdyn/{name}" for name in ("record", "header", "damage"))
LIVE = "strdyn/live"  # of a packed buffer only
BASES = "strdyn/bases"  # the same
SOAP_ROW = "strdyn/soap_row"  # where not all frames hold spectra
CHUNK_BYTES = 2 * 2**20  # of the neighbor IDs, the only part that is compressed


def soap_name(n_columns: int, n_features: int) -> str:
    """Return the data set of frames that hold so many numbers for each atom: spectra, or scores."""
    return SOAP if n_columns == n_features else f"{PARTICLES}/soap_pca{n_columns - 1:05d}/value"


def differences(lists: NeighborLists) -> NDArray[np.int64]:
    """Return the first ID of every list, then the step from each to the next: small numbers."""
    steps = np.diff(lists.ids, prepend=0)
    starts = lists.offsets[:-1][lists.counts > 0]
    steps[starts] = lists.ids[starts]
    return steps


def undo_differences(offsets: NDArray[np.int64], stored: NDArray[Any]) -> NDArray[np.int64]:
    """Return the IDs that `differences` was made of."""
    sums = np.zeros(len(stored) + 1, dtype=np.int64)
    np.cumsum(stored, out=sums[1:])
    before = np.repeat(sums[offsets[:-1]], np.diff(offsets))
    ids: NDArray[np.int64] = sums[1:] - before
    return ids
