"""A partition: the cluster of every atom at every frame, and the moves between clusters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .transitions import fluxes, transition_matrix

__all__ = ["Partition"]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The cluster of every atom at every frame, and the moves between clusters.

    Attributes
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Cluster, counted from 0; −1 is noise that belongs to no cluster.
    counts : (n_clusters, n_clusters) int64 ndarray
        Transitions N_ab; a pair of frames with noise at either end is not counted.
    """

    labels: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.counts)

    @cached_property
    def transition_matrix(self) -> NDArray[np.float64]:
        """Rows of the counts divided by their sums, (n_clusters, n_clusters)."""
        return transition_matrix(self.counts)

    @cached_property
    def fluxes(self) -> NDArray[np.int64]:
        """Counts between different clusters: zero diagonal."""
        return fluxes(self.counts)

    @cached_property
    def populations(self) -> NDArray[np.int64]:
        """Number of rows (observations) in every cluster, (n_clusters,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.n_clusters)
