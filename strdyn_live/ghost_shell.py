"""Proof that a rank has every atom that its descriptors need, at its present place.

LAMMPS sends a rank the images of atoms around its sub-domain up to the communication cutoff, and
chooses them anew only at reneighboring. A shell that is too thin gives wrong numbers without a
warning. The images are counted at the first frame, and at every frame whose outermost ghosts do not
show that the shell is full.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .definition import REACH_IN_SIGMA
from .frame import LocalFrame
from .parallel import Ranks

__all__ = ["check_ghost_shell", "check_images"]

_ROUNDING = 1e-6  # of the reach: an image on the edge of the shell may fall to either side
_SAME_PLACE = 1e-10  # of a box vector
_LEAST_SKIN = 0.1  # of the default: with less room a run would soon be stopped


def check_ghost_shell(
    frame: LocalFrame, reach: float, ranks: Ranks, *, skin: float | None = None
) -> str:
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
        Given at the first frame: the neighbor skin that LAMMPS has by default. Then every image is
        counted; without it only if the outermost ghosts do not show that the shell is full.

    Returns
    -------
    str
        At the first frame, if the shell is complete now but has less room than `skin` for atoms
        that drift: what remains uncertain, and what to do. Else empty.

    Raises
    ------
    RankError
        Naming the `comm_modify cutoff` to set, or the atom that has left its sub-domain.
    """
    with ranks.together():
        with np.errstate(over="ignore", invalid="ignore"):
            distance = _outside(frame, frame.positions)
        strayed = float(distance[: frame.n_owned].max(initial=0.0))
        if not strayed <= reach:  # it may be infinite, or no number
            atom_id = frame.atom_ids[int(distance[: frame.n_owned].argmax())]
            raise ValueError(
                f"step {frame.step}: atom ID {atom_id} lies {strayed:.4g} outside of the "
                f"sub-domain of its rank, farther than descriptors reach ({reach:.2f}): it has "
                "moved too far since the last reneighboring. Has the simulation blown up? If not, "
                "let LAMMPS reneighbor more often (neigh_modify delay 0 every 1 check yes)."
            )
        farthest = float(distance[frame.n_owned :].max(initial=0.0))
    strayed, farthest = (float(value) for value in ranks.maxima([strayed, farthest]))
    # The farthest ghost lies at most `strayed` beyond the communication cutoff; an atom can come
    # in, and one of ours go out, by as much.
    if skin is None and farthest >= reach + 3.0 * strayed:
        return ""
    needed = reach + max(strayed, _LEAST_SKIN * (skin or 0.0))
    wanted = reach + (skin or 0.0)
    owned = ranks.all_rows(frame.positions[: frame.n_owned])
    with ranks.together():
        complete = _complete_to(frame, distance, owned, max(needed, wanted))
    complete = -ranks.max(-complete)
    if complete < needed:
        with ranks.together():
            room = skin if skin is not None else 4.0 * strayed
            raise ValueError(
                f"step {frame.step}: the ghost atoms of some rank end about {complete:.2f} from "
                f"its sub-domain, but descriptors reach {reach:.2f} (r_cut + "
                f"{REACH_IN_SIGMA:.3f} sigma) and atoms drift until the next reneighboring. Put "
                f"'comm_modify cutoff {reach + room:.2f}' before the run (reach + neighbor skin of "
                f"{room:.2f}; more if your 'neighbor' command sets more)."
            )
    if complete < wanted:
        return (
            f"the ghost atoms end about {complete - reach:.2f} beyond the reach of the descriptors "
            f"({reach:.2f}). That is enough if your 'neighbor' command sets a skin of at most "
            f"{complete - reach:.2f}. With a larger skin the run may be stopped later: put "
            f"'comm_modify cutoff' to {reach:.2f} + skin."
        )
    return ""


def check_images(frame: LocalFrame, ranks: Ranks) -> None:
    """Raise on all ranks if the box has changed since the ghosts were placed (collective).

    A fix that changes the box at the end of a step (deform, press/berendsen) moves the owned atoms
    and leaves the ghosts where they were. The outermost ghosts are compared with their owners.

    Raises
    ------
    RankError
        Saying in which order to define the fixes.
    """
    ghosts = np.arange(frame.n_owned, len(frame.positions))
    if len(ghosts):
        places = frame.positions[ghosts]
        ghosts = ghosts[[*places.argmin(axis=0), *places.argmax(axis=0)]]
    asked = ranks.all_rows(frame.atom_ids[ghosts])
    with ranks.together():
        order = np.argsort(frame.atom_ids[: frame.n_owned])
        found = np.searchsorted(frame.atom_ids[order], asked).clip(0, max(len(order) - 1, 0))
        owners = np.full((len(asked), 3), -np.inf)
        if len(order):
            mine = frame.atom_ids[order[found]] == asked
            owners[mine] = frame.positions[order[found[mine]]]
    owners = ranks.maxima(owners.ravel().tolist()).reshape(-1, 3)
    with ranks.together():
        owner_of = dict(zip(asked.tolist(), owners, strict=True))
        between = [frame.positions[row] - owner_of[int(frame.atom_ids[row])] for row in ghosts]
        shifts = np.reshape(between, (-1, 3)) @ frame.box.inverse
        if not (np.abs(shifts - np.round(shifts)) < _SAME_PLACE).all():
            raise ValueError(
                f"step {frame.step}: the box has changed since the ghost atoms were placed: a fix "
                "that changes it (deform, press/berendsen) acts before the recorder. Put the line "
                "of the recorder before the line of that fix."
            )


def _outside(frame: LocalFrame, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each position lies outside the sub-domain, along the normals of its faces."""
    fraction = frame.box.fractions(positions)
    low, high = frame.bounds
    outside = np.maximum(low - fraction, fraction - high) * frame.box.heights
    farthest: NDArray[np.float64] = outside.max(axis=1, initial=-np.inf)
    return farthest.clip(0.0)


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
    fraction = frame.box.fractions(owned)
    shifts = frame.box.shifts(width, [fraction.min(axis=0), fraction.max(axis=0)], frame.bounds)
    expected = [
        _outside(frame, owned + np.array(shift, dtype=float) @ frame.box.cell) for shift in shifts
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
