"""Errors of sums over atoms and times that depend on each other, and intervals from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.limits import CLEAR, CONFIDENCE

__all__ = [
    "Spread",
    "atom_groups",
    "share_interval",
    "smallest_seen",
    "spread",
    "standard_errors",
    "student_factor",
    "time_blocks",
    "waves",
    "waves_without_drift",
]

_ATOM_GROUPS = 2000
_TIME_BLOCKS = 64
_SLOW = 4
_COMPARED = 24
_STANDS_OUT = 0.98

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """How far sums over atoms and times may be from their means.

    Attributes
    ----------
    variance : (...) float64 ndarray
        Of the sums; infinite if there are too few times to know it.
    freedom : (...) float64 ndarray
        Degrees of freedom of the variance, for Student's t.
    n_atoms : (...) float64 ndarray
        Effective number of atoms that contribute; infinite for a single atom, which is judged by
        its times alone.
    slow : (...) bool ndarray
        Whether most of the variance comes from changes that last about as long as the run. Then
        the run holds one or two independent times, and cannot tell how far the sum may be off.
    """

    variance: Float
    freedom: Float
    n_atoms: Float
    slow: NDArray[np.bool_]


def atom_groups(n_atoms: int) -> Int:
    """Return the group of every atom: each atom is one, or up to 2000 groups of neighbors in ID."""
    return np.arange(n_atoms) * min(n_atoms, _ATOM_GROUPS) // max(1, n_atoms)


def time_blocks(n_times: int, lag: int = 1) -> Int:
    """Return the block of every time: at most 64, and none shorter than `lag`."""
    n_blocks = max(1, min(n_times // lag, _TIME_BLOCKS))
    return np.arange(n_times) * n_blocks // max(1, n_times)


def waves(n_blocks: int) -> Float:
    """Return cosines over the blocks, slowest first, (n_waves, n_blocks): mean 0, mean square 1."""
    order = np.arange(1, min(n_blocks, _COMPARED + 1))[:, None]
    return np.asarray(np.sqrt(2.0) * np.cos(np.pi * order * (np.arange(n_blocks) + 0.5) / n_blocks))


def waves_without_drift(n_blocks: int) -> Float:
    """Return waves without the part that a drift has: a straight line, a step in the middle."""
    place = (np.arange(n_blocks) + 0.5) / n_blocks - 0.5
    all_waves = waves(n_blocks)[:-2] if n_blocks > 3 else np.empty((0, n_blocks))
    columns = np.column_stack([place, np.sign(place), all_waves.T])
    return np.asarray(np.sqrt(n_blocks) * np.linalg.qr(columns)[0][:, 2:].T)


def spread(
    parts: NDArray[Any],
    weights: Float,
    basis: Float,
    *,
    sums: Float | None = None,
    test: bool = False,
) -> Spread:
    """Return the two-way variance of a sum over atoms and times.

    Rows of one atom depend on each other, and so do rows of one time, and of times close to each
    other. The variance of the sum is V_atoms + V_time − V_both (Cameron, Gelbach, Miller, J. Bus.
    Econ. Stat. 29, 238 (2011)), where V_time − V_both is never taken below 0. The long-run
    variances V_time and V_both are means of the squared projections on the slowest cosines
    (Müller, J. Econom. 141, 1331 (2007); Lazarus et al., J. Bus. Econ. Stat. 36, 541 (2018)): four
    of them, which describe correlations up to about a tenth of the run. If the first one or two
    stand out of the first 24 (F test), only those are taken: few degrees of freedom, and thus a
    wide interval. The degrees of freedom of the sum are Satterthwaite's (1946).

    Parameters
    ----------
    parts : (n_groups, n_blocks, ...) ndarray
        Influence of the rows of every group of atoms and block of time on the result, with the
        mean 0 if the hypothesis that is tested holds.
    weights : (n_groups,) or (n_groups, ...) float64 ndarray
        Rows of each group, which say how many atoms the result rests on.
    basis : (n_waves, n_blocks) float64 ndarray
        Of `waves`.
    sums : (n_groups, ...) float64 ndarray, optional
        Influence of each group, if it is not the sum over the blocks.
    test : bool
        For a test at `CLEAR` standard errors: eight cosines, or four if these stand out, and the
        degrees of freedom of V_time − V_both alone. It has more power; at 95 % it is less careful.
    """
    n_groups, shape = len(parts), parts.shape[2:]
    if not len(basis):
        nothing = np.ones(shape)
        return Spread(nothing * np.inf, nothing, nothing, nothing > 0)
    own = np.tensordot(basis, parts, axes=(1, 1))  # (n_waves, n_groups, ...)
    at_times = own.sum(axis=1) ** 2
    both = (own**2).sum(axis=1)
    most = min(2 * _SLOW if test else _SLOW, len(basis))
    n_used = _n_used(at_times, most, (_SLOW,) if test else (_SLOW // 2, 1))
    time, shared = _mean_of_first(at_times, n_used), _mean_of_first(both, n_used)
    if n_groups == 1:
        return Spread(time, n_used.astype(np.float64), np.full(shape, np.inf), n_used < most)
    sums = parts.sum(axis=1) if sums is None else sums
    atoms = (sums**2).sum(axis=0) * n_groups / (n_groups - 1)
    total, squared = weights.sum(axis=0), (weights**2).sum(axis=0)
    n_atoms = np.divide(total**2, squared, out=np.ones_like(total), where=squared > 0)
    of_atoms = np.maximum(1.0, n_atoms - 1.0)
    excess = np.maximum(0.0, time - shared)
    variance = atoms + excess
    unsure = atoms**2 / of_atoms + (excess if test else time) ** 2 / n_used
    freedom = np.divide(variance**2, unsure, out=n_used.astype(np.float64), where=unsure > 0.0)
    freedom = np.maximum(freedom, np.minimum(n_used, of_atoms))
    slow = (n_used < most) & (2.0 * excess > variance)
    return Spread(variance, freedom, n_atoms + 0.0 * variance, slow)


def _n_used(at_times: Float, most: int, fewer: tuple[int, ...]) -> Int:
    """Return how many waves describe the long-run variance: fewer if the slowest stand out."""
    from scipy.stats import f

    used = np.full(at_times.shape[1:], most, dtype=np.int64)
    for n_first in fewer:
        if n_first < most:
            limit = f.ppf(_STANDS_OUT, n_first, len(at_times) - n_first)
            slowest, others = at_times[:n_first].mean(axis=0), at_times[n_first:].mean(axis=0)
            used = np.where(slowest > limit * others, n_first, used)
    return used


def _mean_of_first(values: Float, n_first: Int) -> Float:
    """Return the mean of the first values, of a number for each column."""
    summed = np.cumsum(values, axis=0)
    return np.asarray(np.take_along_axis(summed, n_first[None] - 1, axis=0)[0] / n_first)


def standard_errors(total: Float, found: Spread) -> Float:
    """Return a sum in standard errors.

    A sum that few degrees of freedom judge is given as the number of standard errors of a normal
    distribution that is as improbable.
    """
    from scipy.stats import norm, t

    ratio = np.divide(
        total, np.sqrt(found.variance), out=np.zeros_like(total), where=found.variance > 0.0
    )
    chance = np.maximum(t.sf(np.abs(ratio), found.freedom), np.finfo(np.float64).tiny)
    return np.asarray(np.sign(ratio) * norm.isf(chance))


def smallest_seen(found: Spread) -> Float:
    """Return the smallest sum that would have been seen: `CLEAR` standard errors in 95 % of cases.

    A sum adds to the variance over the atoms: n atoms that agree make at most √n standard errors.
    """
    from scipy.stats import norm, t

    clear = t.isf(norm.sf(CLEAR), found.freedom) + norm.ppf(CONFIDENCE)
    room = np.maximum(0.0, 1.0 - clear**2 / found.n_atoms)
    seen = np.full(room.shape, np.inf)
    np.divide(clear * np.sqrt(found.variance), np.sqrt(room), out=seen, where=room > 0.0)
    return seen


def student_factor(freedom: ArrayLike, level: float = CONFIDENCE) -> Float:
    """Return (z / t)², the quantiles of the normal distribution and of Student's t.

    As many independent rows would give the interval that is as wide as Student's (Korn, Graubard,
    Surv. Methodol. 24, 193 (1998)).
    """
    from scipy.stats import norm, t

    tail = (1.0 - level) / 2.0
    return np.asarray((norm.ppf(tail) / t.ppf(tail, freedom)) ** 2)


def share_interval(
    share: ArrayLike, n_effective: ArrayLike, level: float = CONFIDENCE
) -> tuple[Float, Float]:
    """Return the confidence interval of a share of independent rows (Clopper–Pearson).

    Parameters
    ----------
    share : (...) array_like
        Of the rows.
    n_effective : (...) array_like
        Number of independent rows: of all rows, divided by the design effect, times
        `student_factor`.
    level : float
        Coverage.
    """
    from scipy.stats import beta

    tail = (1.0 - level) / 2.0
    n = np.asarray(n_effective)
    k = n * np.asarray(share)
    # beta gives nan for a share of 0 or 1: the bound is then 0 or 1
    low = np.nan_to_num(beta.ppf(tail, k, n - k + 1.0), nan=0.0)
    high = np.nan_to_num(beta.ppf(1.0 - tail, k + 1.0, n - k), nan=1.0)
    return low, high
