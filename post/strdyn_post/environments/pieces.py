"""Clusters that are pieces of equal δ: if δ has few values, the rows at each value look dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Labels
from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.limits import FEW_VALUES, IN_PIECES, MORE_CLUSTERS

__all__ = ["pieces_of_equal_delta"]


def pieces_of_equal_delta(
    labels: Labels, delta: NDArray[np.floating[Any]], n_clusters: int, n_of_soap: int
) -> list[Finding]:
    """Find out whether HDBSCAN* has broken SOAP&LENS into pieces of equal δ.

    Short neighbor lists give few values of δ. Rows with the same δ are infinitely dense along δ,
    so each value looks like a cluster.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Clusters of SOAP&LENS before merging.
    delta : (n_frames, n_atoms) ndarray of float
        δ of the rows.
    n_clusters, n_of_soap : int
        Number of clusters of SOAP&LENS and of SOAP.
    """
    in_pieces = 0
    for label in range(n_clusters):
        values = delta[labels == label].round(9)
        counts = np.unique(values, return_counts=True)[1].astype(np.float64)
        if (counts**2).sum() * FEW_VALUES > counts.sum() ** 2:
            in_pieces += len(values)
    share = in_pieces / labels.size
    if share < IN_PIECES or n_clusters <= MORE_CLUSTERS * n_of_soap:
        return []
    found = {"n_clusters": n_clusters, "n_of_soap": n_of_soap, "share": share}
    return [Finding("few_delta_values", ATTENTION, values=found)]
