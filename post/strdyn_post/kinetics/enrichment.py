"""Where an environment lies: its share in each environment of another route, against chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import FEW_EVENTS

from .clustered import atom_groups, share_interval, spread, student_factor, time_blocks, waves

__all__ = ["Sites", "find_sites"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Sites:
    """Shares of selected rows in the environments of another route.

    Attributes
    ----------
    shares : (n_clusters,) float64 ndarray
        Shares of the selected rows.
    low, high : (n_clusters,) float64 ndarray
        Their 95 % confidence intervals.
    expected : (n_clusters,) float64 ndarray
        Shares of all rows, which are those by chance.
    """

    shares: Float
    low: Float
    high: Float
    expected: Float


def find_sites(inside: NDArray[np.bool_], reference: NDArray[np.int32], n_clusters: int) -> Sites:
    """Find in which environments of a reference the selected rows are.

    A fast environment alone proves little: the tail of any column can make such a cluster. But its
    place in the environments of SOAP does not follow from δ. The intervals hold errors over atoms
    and over times (`spread`), with an effective number of rows (`share_interval`). An environment
    with few of the rows cannot tell how much they depend on each other: the largest design effect
    of all environments is taken.

    Parameters
    ----------
    inside : (n_frames, n_atoms) bool ndarray
        The selected rows.
    reference : (n_frames, n_atoms) int32 ndarray
        Environments of all rows; negative is noise, which is not counted.
    n_clusters : int
        Number of environments of the reference.

    Returns
    -------
    Sites
    """
    known = reference >= 0
    frame, atom = np.nonzero(inside & known)
    group, block = atom_groups(inside.shape[1]), time_blocks(len(inside))
    shape = int(group[-1]) + 1, int(block[-1]) + 1, n_clusters
    cell = (group[atom] * shape[1] + block[frame]) * n_clusters + reference[frame, atom]
    parts = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
    counts, rows = parts.sum(axis=(0, 1)), parts.sum(axis=2, keepdims=True)
    total = counts.sum()
    shares = counts / max(1.0, total)
    found = spread(parts - shares * rows, rows.sum(axis=(1, 2)), waves(shape[1]))
    alone = counts * (1.0 - shares)
    # where all rows are in one environment nothing varies: those of one atom count once
    n_atoms = len(np.unique(atom))
    design = np.full(n_clusters, total / max(1, n_atoms))
    np.divide(found.variance, alone, out=design, where=alone > 0.0)
    design = np.maximum(1.0, design)
    design = np.where(counts < FEW_EVENTS * design, design.max(initial=1.0), design)
    low, high = share_interval(shares, total / design * student_factor(found.freedom))
    return Sites(
        shares=shares,
        low=low,
        high=high,
        expected=np.bincount(reference[known], minlength=n_clusters) / max(1, known.sum()),
    )
