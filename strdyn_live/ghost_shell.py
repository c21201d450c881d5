"""Proof that a rank knows every atom its descriptors need.

LAMMPS sends a rank the images of atoms around its sub-domain up to the communication cutoff, and
renews the choice only at reneighboring. A shell that is too thin gives wrong numbers without any
sign, so it is proved at the first frame, and again whenever a frame gives no evidence of its own.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from .frame import LocalFrame
from .parallel import Ranks

__all__ = ["check_ghost_shell"]

_ROUNDING = 1e-6  # of the reach: an image on the edge of the shell may fall to either side


def check_ghost_shell(
    frame: LocalFrame, reach: float, ranks: Ranks, *, skin: float | None = None
) -> None:
    """Raise on all ranks if a rank lacks an atom within `reach` of one of its own (collective).

    Parameters
    ----------
    frame : LocalFrame
        What this rank knows.
    reach : float
        Radius of the descriptors [length].
    ranks : Ranks
        All ranks of the run.
    skin : float, optional
        Given at the first frame: the neighbor skin that the shell must have room for. Then every
        image is counted; without it only if the ghosts at hand are no evidence of a full shell.

    Raises
    ------
    RankError
        Naming the `comm_modify cutoff` to set.
    """
    with ranks.together():
        distance = _outside(frame, frame.positions)
        strayed = float(distance[: frame.n_owned].max(initial=0.0))
        farthest = float(distance[frame.n_owned :].max(initial=0.0))
    strayed, farthest = (float(value) for value in ranks.maxima([strayed, farthest]))
    # The farthest ghost lies at most `strayed` beyond the communication cutoff; an atom can come
    # in, and one of ours go out, by as much.
    if skin is None and farthest >= reach + 3.0 * strayed:
        return
    needed = reach + max(strayed, 0.5 * (skin or 0.0))
    owned = ranks.all_rows(frame.positions[: frame.n_owned])
    with ranks.together():
        complete = _complete_to(frame, distance, owned, needed)
    complete = -ranks.max(-complete)
    if math.isinf(complete):
        return
    with ranks.together():
        room = skin if skin is not None else 4.0 * strayed
        raise ValueError(
            f"step {frame.step}: the ghost atoms of some rank end about {complete:.2f} from its "
            f"sub-domain, but descriptors reach {reach:.2f} (r_cut + 3.717 sigma) and atoms drift "
            f"until the next reneighboring. Put 'comm_modify cutoff {reach + room:.2f}' before the "
            f"run (reach + neighbor skin of {room:.2f}; more if your 'neighbor' command sets more)."
        )


def _outside(frame: LocalFrame, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each position lies outside the sub-domain, along the normals of its faces."""
    inverse = np.linalg.inv(frame.cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    fraction = (positions - frame.origin) @ inverse
    low, high = frame.bounds
    outside: NDArray[np.float64] = (np.maximum(low - fraction, fraction - high) * heights).max(
        axis=1, initial=-np.inf
    )
    return outside.clip(0.0)


def _complete_to(
    frame: LocalFrame,
    distance: NDArray[np.float64],
    owned: NDArray[np.float64],
    width: float,
) -> float:
    """Return the distance from the sub-domain of the nearest image that is not there.

    Parameters
    ----------
    distance : (n_local,) float64 ndarray
        Of the atoms at hand, from the sub-domain.
    owned : (n_atoms, 3) float64 ndarray
        Positions of all atoms of the run.
    width : float
        Look no farther than this; infinity is returned if nothing is missing up to here.
    """
    inverse = np.linalg.inv(frame.cell)
    margin = width * np.linalg.norm(inverse, axis=0)
    fraction = (owned - frame.origin) @ inverse
    low, high = frame.bounds
    shifts = [
        range(math.ceil(low[k] - margin[k] - fraction[:, k].max()),
              math.floor(high[k] + margin[k] - fraction[:, k].min()) + 1)
        if frame.periodic[k] else (0,)
        for k in range(3)
    ]  # fmt: skip
    expected = [
        _outside(frame, owned + np.array(shift, dtype=float) @ frame.cell)
        for shift in itertools.product(*shifts)
    ]
    wanted = np.sort(np.concatenate([part[part <= width] for part in expected]))
    present = np.sort(distance[distance <= width])
    n_common = min(len(wanted), len(present))
    tolerance = _ROUNDING * width
    differs = np.flatnonzero(np.abs(wanted[:n_common] - present[:n_common]) > tolerance)
    first = differs[0] if len(differs) else n_common
    if first == len(wanted) or wanted[first] > width - tolerance:
        return math.inf
    return float(wanted[first])
