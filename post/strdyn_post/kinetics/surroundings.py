"""Whether an environment is a place in space: whether its neighbors were in it before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists
from strdyn_post.limits import BESIDE, CLEAR, CONFIDENCE, LIKE_AN_INTERFACE

from .clustered import atom_groups, spread, standard_errors, time_blocks, waves

__all__ = ["Surroundings", "find_surroundings", "shares_around"]

Float = NDArray[np.float64]
Labels = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Of the neighbors of the atoms of an environment, how many were in it before.

    Attributes
    ----------
    gap : int
        Before: so many frames, in which the smoothed δ have no frame in common.
    shares : (n_environments,) float64 ndarray
        Share of these neighbors; NaN where it is not known.
    expected : (n_environments,) float64 ndarray
        The share if structure alone decided, and not δ.
    errors : (n_environments,) float64 ndarray
        `excess` in standard errors, over atoms and over times.
    high : (n_environments,) float64 ndarray
        Upper end of the 95 % confidence interval of `excess`.
    """

    gap: int
    shares: Float
    expected: Float
    errors: Float
    high: Float

    @property
    def excess(self) -> Float:
        """How far the shares are on the way from the expected share to 1, (n_environments,)."""
        room = 1.0 - self.expected
        return np.divide(
            self.shares - self.expected, room, out=np.zeros_like(room), where=room > 0.0
        )

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Whether each environment is a place in space."""
        return np.asarray((self.excess >= BESIDE) & (self.errors > CLEAR))

    @property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether it may be one, but the run cannot tell."""
        possible = ~(self.high < LIKE_AN_INTERFACE)
        return np.asarray(~self.clear & ((self.excess >= BESIDE) | possible))


def shares_around(
    lists: NeighborLists, atom_ids: NDArray[np.int64], inside: NDArray[np.bool_]
) -> Float:
    """Return which share of the neighbors of each center is inside.

    Parameters
    ----------
    lists : NeighborLists
        Of n_centers centers.
    atom_ids : (n_atoms,) int64 ndarray
        Sorted IDs; neighbors with other IDs are not counted.
    inside : (n_atoms,) bool ndarray
        Of these atoms.

    Returns
    -------
    (n_centers,) float64 ndarray
        NaN without neighbors.
    """
    center = np.repeat(np.arange(len(lists)), lists.counts)
    column = np.minimum(np.searchsorted(atom_ids, lists.ids), len(atom_ids) - 1)
    known = atom_ids[column] == lists.ids
    center, column = center[known], column[known]
    some, all_of = (
        np.bincount(each, minlength=len(lists)) for each in (center[inside[column]], center)
    )
    nothing = np.full(len(lists), np.nan)
    return np.asarray(np.divide(some, all_of, out=nothing, where=all_of > 0))


def find_surroundings(
    rows: Iterable[tuple[NDArray[np.bool_], Float, Float]], structure: Labels, n_of_soap: int
) -> tuple[float, float, float, float]:
    r"""Compare the surroundings of an environment with those that structure explains.

    In each frame, atoms of the same environment of SOAP are compared. Let y be 1 for an atom in the
    environment that is judged, p the probability that its structure gives it with the δ of another
    atom, and x the share of its neighbors that were in this environment before. If δ has nothing to
    do with where an atom is, the covariance of y − p and x is zero, whatever structure does. Its
    sum, for each atom with y = 1, is the share that structure does not explain.

    Parameters
    ----------
    rows : iterable of (y, p, x)
        For each frame, (n_atoms,) each; x is NaN for atoms without neighbors.
    structure : (n_frames, n_atoms) int32 ndarray
        Environments of SOAP; negative is noise, which is not counted.
    n_of_soap : int
        Number of environments of SOAP.

    Returns
    -------
    share, expected, errors, high : float
        As of `Surroundings`.
    """
    from scipy.stats import t

    n_frames, n_atoms = structure.shape
    group, block = atom_groups(n_atoms), time_blocks(n_frames)
    shape = int(group[-1]) + 1, int(block[-1]) + 1
    excess, inside, around = np.zeros(shape), np.zeros(shape), 0.0
    for k, (y, p, x) in enumerate(rows):
        counted = (structure[k] >= 0) & np.isfinite(x)
        of_soap = structure[k, counted]
        here = np.where(counted, y, False)
        around += float(x[here].sum())
        inside[:, block[k]] += np.bincount(group, weights=here, minlength=shape[0])
        products = _centered(y[counted] - p[counted], of_soap, n_of_soap)
        products *= _centered(x[counted], of_soap, n_of_soap)
        excess[:, block[k]] += np.bincount(group[counted], weights=products, minlength=shape[0])
    n_inside = inside.sum()
    if not n_inside:
        return np.nan, np.nan, 0.0, np.nan
    share, more = around / n_inside, excess.sum() / n_inside
    found = spread(excess - more * inside, inside.sum(axis=1), waves(shape[1]), test=True)
    errors = float(standard_errors(np.asarray(more * n_inside), found))
    factor = float(t.ppf(0.5 + CONFIDENCE / 2.0, found.freedom))
    high = (more + factor * float(np.sqrt(found.variance)) / n_inside) / max(
        1e-12, 1 - share + more
    )
    return share, share - more, errors, high


def _centered(values: Float, of_soap: Labels, n_of_soap: int) -> Float:
    """Return values less the mean of their environment of SOAP."""
    sizes = np.bincount(of_soap, minlength=n_of_soap)
    means = np.bincount(of_soap, weights=values, minlength=n_of_soap) / np.maximum(1, sizes)
    return np.asarray(values - means[of_soap])
