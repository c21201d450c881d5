"""Where an environment lies: its share in each environment of another route, against chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import CONFIDENCE

from .uncertainty import TIME_BLOCKS

__all__ = ["Sites", "find_sites"]

_N_RESAMPLES = 400

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


def find_sites(
    inside: NDArray[np.bool_], reference: NDArray[np.int32], n_clusters: int, seed: int = 0
) -> Sites:
    """Find in which environments of a reference the selected rows are.

    A fast environment alone proves little: the tail of any column can make such a cluster. But its
    place in the environments of SOAP does not follow from δ. Each interval covers three intervals:
    the bootstrap over atoms, the bootstrap over blocks of time, and the binomial one of independent
    rows (Clopper–Pearson).

    Parameters
    ----------
    inside : (n_frames, n_atoms) bool ndarray
        The selected rows.
    reference : (n_frames, n_atoms) int32 ndarray
        Environments of all rows; negative is noise, which is not counted.
    n_clusters : int
        Number of environments of the reference.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Sites
    """
    from scipy.stats import beta

    known = reference >= 0
    frame, atom = np.nonzero(inside & known)
    cluster = reference[frame, atom].astype(np.int64)
    counts = np.bincount(cluster, minlength=n_clusters)
    total, n_frames, n_atoms = counts.sum(), *inside.shape
    tail = (1.0 - CONFIDENCE) / 2.0
    # beta gives nan for a share of 0 or 1: the bound is then 0 or 1
    low = np.nan_to_num(beta.ppf(tail, counts, total - counts + 1), nan=0.0)
    high = np.nan_to_num(beta.ppf(1.0 - tail, counts + 1, total - counts), nan=1.0)
    rng = np.random.default_rng(seed)
    n_blocks = min(TIME_BLOCKS, n_frames)
    for unit, n_units in ((atom, n_atoms), (frame * n_blocks // n_frames, n_blocks)):
        of_unit = np.zeros((n_units, n_clusters), dtype=np.int64)
        np.add.at(of_unit, (unit, cluster), 1)
        drawn = rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=_N_RESAMPLES)
        drawn = drawn @ of_unit
        drawn = drawn[drawn.any(axis=1)]
        if len(drawn):
            ratios = drawn / drawn.sum(axis=1, keepdims=True)
            bounds = np.quantile(ratios, [tail, 1.0 - tail], axis=0)
            low, high = np.minimum(low, bounds[0]), np.maximum(high, bounds[1])
    return Sites(
        shares=counts / max(1, total),
        low=low,
        high=high,
        expected=np.bincount(reference[known], minlength=n_clusters) / max(1, known.sum()),
    )
