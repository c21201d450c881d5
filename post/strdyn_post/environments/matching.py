"""Matching of the clusters of two labellings, by their observations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.limits import SAME

__all__ = ["match_labels"]


def match_labels(
    labels: ArrayLike, reference: ArrayLike, n_clusters: int, n_reference: int, least: float = SAME
) -> NDArray[np.int32]:
    """Find the cluster of a reference that corresponds to each cluster, by their rows.

    The assignment (Hungarian method) maximises the summed overlap 2 |A ∩ B| / (|A| + |B|).

    Parameters
    ----------
    labels, reference : (n_rows,) array_like of int
        Two labellings of the same rows; negative is noise.
    n_clusters, n_reference : int
        Numbers of clusters.
    least : float
        Smallest overlap of a correspondence.

    Returns
    -------
    (n_clusters,) int32 ndarray
        Corresponding cluster of the reference; −1 if there is none.
    """
    from scipy.optimize import linear_sum_assignment

    labels, reference = np.asarray(labels).ravel(), np.asarray(reference).ravel()
    both = (labels >= 0) & (reference >= 0)
    common = np.bincount(
        labels[both].astype(np.int64) * n_reference + reference[both],
        minlength=n_clusters * n_reference,
    ).reshape(n_clusters, n_reference)
    sizes = np.bincount(labels[labels >= 0], minlength=n_clusters)
    others = np.bincount(reference[reference >= 0], minlength=n_reference)
    overlap = 2.0 * common / np.maximum(1, sizes[:, None] + others)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    match = np.full(n_clusters, -1, dtype=np.int32)
    close = overlap[rows, columns] >= least
    match[rows[close]] = columns[close]
    return match
