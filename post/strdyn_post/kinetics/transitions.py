"""Transitions between environments: counts, probabilities, fluxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.signal.frames import iter_stretches

__all__ = ["count_moves", "count_transitions", "fluxes", "transition_matrix"]


def count_transitions(
    labels: ArrayLike,
    n_clusters: int | None = None,
    lag: int = 1,
    stretches: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Count how often atoms go from cluster a to cluster b within `lag` frames.

    Parameters
    ----------
    labels : (n_frames, n_atoms) array_like of int
        Clusters from 0; a negative label is noise. One dimension is one atom.
    n_clusters : int, optional
        Number of clusters; by default the largest label + 1.
    lag : int
        Distance of the two frames [frames]; every frame starts a count (sliding window).
    stretches : (n_frames,) array_like of int, optional
        Gapless stretches of `find_stretches`; by default the frames have no gap.

    Returns
    -------
    (n_clusters, n_clusters) int64 ndarray
        N_ab, summed over atoms and frames. A pair with noise at either end is not counted, nor is
        one whose frames lie in different stretches.

    Raises
    ------
    ValueError
        If the lag is below 1, or a label is larger than n_clusters − 1.

    Examples
    --------
    An atom that is in the clusters 0, 0, 1, 0 at four frames stays once and moves twice.

    >>> count_transitions([0, 0, 1, 0])
    array([[1, 1],
           [1, 0]])
    """
    labels = np.asarray(labels)
    labels = labels[:, None] if labels.ndim == 1 else labels
    highest = int(labels.max(initial=-1))
    n_clusters = highest + 1 if n_clusters is None else n_clusters
    if lag < 1:
        raise ValueError(f"lag = {lag}: expected 1 frame or more.")
    if highest >= n_clusters:
        raise ValueError(
            f"label {highest} found, but n_clusters = {n_clusters}: expected labels below it. Give "
            "a larger n_clusters."
        )
    stretches = np.zeros(len(labels), np.int64) if stretches is None else np.asarray(stretches)
    counts = np.zeros(n_clusters * n_clusters, dtype=np.int64)
    for rows in iter_stretches(stretches):
        before = labels[rows][:-lag].ravel().astype(np.int64)
        after = labels[rows][lag:].ravel()
        known = (before >= 0) & (after >= 0)
        counts += np.bincount(
            before[known] * n_clusters + after[known], minlength=n_clusters * n_clusters
        )
    return counts.reshape(n_clusters, n_clusters)


def count_moves(
    labels: ArrayLike, n_clusters: int, lag: int = 1, stretches: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Count the moves from cluster a to cluster b, each of them once.

    Counting windows overlap if the lag is above 1, so that `count_transitions` counts one move up
    to `lag` times. Here windows of one atom that follow each other and have the same ends are one
    move. At a lag of 1 both numbers agree.

    Parameters
    ----------
    labels : (n_frames, n_atoms) array_like of int
        Clusters from 0; a negative label is noise.
    n_clusters : int
        Number of clusters.
    lag : int
        Distance of the two frames [frames].
    stretches : (n_frames,) array_like of int, optional
        Gapless stretches of `find_stretches`; by default the frames have no gap.

    Returns
    -------
    (n_clusters, n_clusters) int64 ndarray
        Zero on the diagonal: to stay is no move.

    Examples
    --------
    An atom moves once; two windows of two frames hold the move.

    >>> labels = np.array([[0], [0], [0], [1], [1], [1]])
    >>> int(count_transitions(labels, 2, lag=2)[0, 1]), int(count_moves(labels, 2, lag=2)[0, 1])
    (2, 1)
    """
    labels = np.asarray(labels)
    stretches = np.zeros(len(labels), np.int64) if stretches is None else np.asarray(stretches)
    moves = np.zeros(n_clusters * n_clusters, dtype=np.int64)
    for rows in iter_stretches(stretches):
        before, after = labels[rows][:-lag].astype(np.int64), labels[rows][lag:]
        moved = (before >= 0) & (after >= 0) & (before != after)
        way = np.where(moved, before * n_clusters + after, -1)
        moved[1:] &= way[1:] != way[:-1]
        moves += np.bincount(way[moved], minlength=n_clusters * n_clusters)
    return moves.reshape(n_clusters, n_clusters)


def transition_matrix(counts: ArrayLike) -> NDArray[np.float64]:
    """Return the rows of `counts` divided by their sums.

    Parameters
    ----------
    counts : (n_clusters, n_clusters) array_like
        N_ab.

    Returns
    -------
    (n_clusters, n_clusters) float64 ndarray
        Probability to go from a to b. A cluster without counts has a row of zeros: its
        probabilities are not known.

    Examples
    --------
    >>> transition_matrix([[3, 1], [2, 2]])
    array([[0.75, 0.25],
           [0.5 , 0.5 ]])
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    matrix: NDArray[np.float64] = np.zeros(counts.shape)
    np.divide(counts, total, out=matrix, where=total > 0.0)
    return matrix


def fluxes(counts: ArrayLike) -> NDArray[np.int64]:
    """Return the counts between different clusters: N_ab with a zero diagonal."""
    counts = np.array(counts)
    np.fill_diagonal(counts, 0)
    return counts
