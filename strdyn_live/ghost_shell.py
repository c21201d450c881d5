"""Proof that a rank has every atom that its descriptors need, at its present place.

LAMMPS sends a rank the images of atoms around its sub-domain up to the communication cutoff, and
chooses them anew only at reneighboring. A shell that is too thin gives wrong numbers without a
warning. The images are counted at the first frame, and at every frame whose outermost ghosts do not
show that the shell is full. Each rank is told by the ranks around it which of their atoms it should
see; no rank gets to know more than its surroundings, and where the sub-domains are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .definition import REACH_IN_SIGMA
from .frame import LocalFrame
from .parallel import Ranks, outcome_of
from .parcels import Parcels, numbers_in, pack_numbers

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
    with ranks.together(n_maxima=2) as shared:
        with np.errstate(over="ignore", invalid="ignore"):
            distance = _outside(frame.box, frame.bounds, frame.positions)
        strayed = float(distance[: frame.n_owned].max(initial=0.0))
        if not strayed <= reach:  # it may be infinite, or no number
            atom_id = frame.atom_ids[int(distance[: frame.n_owned].argmax())]
            raise ValueError(
                f"step {frame.step}: atom ID {atom_id} lies {strayed:.4g} outside of the "
                f"sub-domain of its rank, farther than descriptors reach ({reach:.2f}): it has "
                "moved too far since the last reneighboring. Has the simulation blown up? If not, "
                "let LAMMPS reneighbor more often (neigh_modify delay 0 every 1 check yes)."
            )
        shared.maxima[:] = strayed, distance[frame.n_owned :].max(initial=0.0)
    strayed, farthest = shared.maxima.tolist()
    # The farthest ghost lies at most `strayed` beyond the communication cutoff; an atom can come
    # in, and one of ours go out, by as much.
    if skin is None and farthest >= reach + 3.0 * strayed:
        return ""
    needed = reach + max(strayed, _LEAST_SKIN * (skin or 0.0))
    wanted = reach + (skin or 0.0)
    width = max(needed, wanted)
    sub_domains = ranks.each(frame.bounds)
    expected = ranks.exchange(outcome_of(partial(_to_be_seen, frame, sub_domains, width)))
    with ranks.together(n_maxima=1) as shared:
        shared.maxima[:] = -_complete_to(distance, numbers_in(expected), width)
    complete = -float(shared.maxima[0])
    if complete < needed:
        with ranks.alike():
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
    and leaves the ghosts where they were. The outermost ghosts of the run along each box vector,
    which are images in the next box, are compared with their owners.

    Raises
    ------
    RankError
        Saying in which order to define the fixes.
    """
    with ranks.together(n_maxima=6) as shared:
        ghosts = frame.box.fractions(frame.positions[frame.n_owned :])
        outermost = np.concatenate([-ghosts, ghosts], axis=1).max(axis=0, initial=-np.inf)
        shared.maxima[:] = outermost
    if not np.isfinite(shared.maxima).all():  # no ghosts
        return
    mine = outermost == shared.maxima
    with ranks.together(n_maxima=6) as holder:
        holder.maxima[mine] = ranks.rank
    mine &= holder.maxima == ranks.rank
    with ranks.together(n_maxima=24) as shared:
        ids, places = shared.maxima[:6], shared.maxima[6:].reshape(6, 3)
        for side in np.flatnonzero(mine).tolist():
            along = ghosts[:, side % 3]
            nearest = along.argmin() if side < 3 else along.argmax()
            row = frame.n_owned + int(nearest)
            ids[side], places[side] = frame.atom_ids[row], frame.positions[row]
    with ranks.together(n_maxima=18) as owners:
        owned = frame.atom_ids[: frame.n_owned]
        for side, atom_id in enumerate(ids.astype(np.int64)):
            place = frame.positions[np.flatnonzero(owned == atom_id)].max(axis=0, initial=-np.inf)
            owners.maxima[3 * side : 3 * side + 3] = place
    with ranks.alike():
        shifts = (places - owners.maxima.reshape(6, 3)) @ frame.box.inverse
        if not (np.abs(shifts - np.round(shifts)) < _SAME_PLACE).all():
            raise ValueError(
                f"step {frame.step}: the box has changed since the ghost atoms were placed: a fix "
                "that changes it (deform, press/berendsen) acts before the recorder. Put the line "
                "of the recorder before the line of that fix."
            )


def _outside(
    box: Box, bounds: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far each position lies outside a sub-domain, along the normals of its faces."""
    fraction = box.fractions(positions)
    low, high = bounds
    outside = np.maximum(low - fraction, fraction - high) * box.heights
    farthest: NDArray[np.float64] = outside.max(axis=1, initial=-np.inf)
    return farthest.clip(0.0)


def _to_be_seen(frame: LocalFrame, sub_domains: NDArray[np.float64], width: float) -> Parcels:
    """Return how far from each sub-domain the atoms of this rank, and their images, lie.

    Parameters
    ----------
    frame : LocalFrame
        What this rank knows.
    sub_domains : (n_ranks, 2, 3) float64 ndarray
        Bounds of all ranks, in fractions of the box vectors.
    width : float
        No farther than this [length].
    """
    owned, box = frame.positions[: frame.n_owned], frame.box
    distances: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    if len(owned):
        fraction, margins = box.fractions(owned), box.margins(width)
        atoms = np.array([fraction.min(axis=0), fraction.max(axis=0)])
        low, high = sub_domains[:, 0] - margins, sub_domains[:, 1] + margins
        region = [sub_domains[:, 0].min(axis=0), sub_domains[:, 1].max(axis=0)]
        for shift in box.shifts(width, atoms, region):
            first, last = atoms + shift
            moved = owned + np.array(shift, dtype=float) @ box.cell
            for rank in np.flatnonzero(((first <= high) & (last >= low)).all(axis=1)).tolist():
                distance = _outside(box, sub_domains[rank], moved)
                distances[rank].append(distance[distance <= width])
    return pack_numbers(
        {rank: np.concatenate(parts) for rank, parts in distances.items()}, len(sub_domains)
    )


def _complete_to(
    distance: NDArray[np.float64], expected: NDArray[np.float64], width: float
) -> float:
    """Return the distance from the sub-domain of the nearest image that is not there.

    Parameters
    ----------
    distance : (n_local,) float64 ndarray
        Of the atoms at hand, from the sub-domain.
    expected : (n_images,) float64 ndarray
        Of all atoms and images up to `width`.
    width : float
        Infinity is returned if nothing is missing up to here.
    """
    wanted = np.sort(expected)
    present = np.sort(distance[distance <= width])
    n_common = min(len(wanted), len(present))
    tolerance = _ROUNDING * width
    differs = np.flatnonzero(np.abs(wanted[:n_common] - present[:n_common]) > tolerance)
    first = differs[0] if len(differs) else n_common
    if first == len(wanted) or wanted[first] > width - tolerance:
        return math.inf
    return float(wanted[first])
