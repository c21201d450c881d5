"""What smoothing alone makes of δ: labels of δ that is shuffled in time, then smoothed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.config import AnalysisConfig
from strdyn_post.signal.frames import Frames, iter_stretches
from strdyn_post.signal.series import Series
from strdyn_post.signal.smoothing import smooth

from .committed import commit
from .transitions import count_transitions

__all__ = ["FilterNull", "filter_null"]

_SHUFFLES = 3
_ROWS = 30_000

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class FilterNull:
    """Labels of a route with δ shuffled in time.

    Attributes
    ----------
    atoms : (n_chosen,) int64 ndarray
        Columns of the labels.
    labels : (n_shuffles, n_frames, n_chosen) int32 ndarray
        Of every shuffle.
    window : int
        Smoothing window [frames].
    """

    atoms: NDArray[np.int64]
    labels: Labels
    window: int

    def compare(
        self,
        committed: Labels,
        n_clusters: int,
        frames: int,
        stretches: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compare committed stays with those of the null.

        Parameters
        ----------
        committed : (n_frames, n_atoms) int32 ndarray
            Of `commit`.
        n_clusters : int
            Number of environments.
        frames : int
            m; the null is committed by the same m.
        stretches : (n_frames,) int64 ndarray
            Gapless stretches.

        Returns
        -------
        stays : (n_clusters,) float64 ndarray
            Mean committed stay in the null [frames]; infinite without exits, 0 without atoms.
        structural : (n_clusters,) float64 ndarray
            Share of the committed exits that happen in the null, too: the atom is in the same two
            environments m − 1 frames before and after the move. NaN without exits.
        """
        real = committed[:, self.atoms]
        time, atom = np.nonzero((real[:-1] >= 0) & (real[1:] >= 0) & (real[:-1] != real[1:]))
        inside = stretches[time] == stretches[time + 1]
        time, atom = time[inside], atom[inside]
        source, target = real[time, atom], real[time + 1, atom]
        early, late = time - frames + 1, time + frames
        counts = np.zeros((n_clusters, n_clusters), np.int64)
        same = np.zeros(n_clusters)
        for labels in self.labels:
            found = commit(labels, frames, stretches)
            counts += count_transitions(found, n_clusters, 1, stretches)
            agrees = (found[early, atom] == source) & (found[late, atom] == target)
            same += np.bincount(source[agrees], minlength=n_clusters)
        spent, left = counts.sum(axis=1), counts.sum(axis=1) - np.diag(counts)
        stays = np.where(spent > 0, np.inf, 0.0)
        np.divide(spent, left, out=stays, where=left > 0)
        n_exits = len(self.labels) * np.bincount(source, minlength=n_clusters)
        nothing = np.full(n_clusters, np.nan)
        return stays, np.divide(same, n_exits, out=nothing, where=n_exits > 0)


def filter_null(
    delta: Series,
    frames: Frames,
    config: AnalysisConfig,
    label: Callable[[NDArray[np.floating[Any]], NDArray[np.int64]], Labels],
) -> FilterNull:
    """Shuffle δ of every atom in time, smooth it, and label it.

    What is left is the mean δ of every atom, and the memory of the filter.

    Parameters
    ----------
    delta : Series
        δ before smoothing.
    frames : Frames
        The frames that are labelled.
    config : AnalysisConfig
        Of the smoothing; `seed`.
    label : callable
        Called with the smoothed δ, (n_shuffles, n_frames, n_chosen), and the chosen atoms; returns
        labels.

    Returns
    -------
    FilterNull
        Three shuffles of as many atoms as have about 30 000 observations.
    """
    n_atoms, rng = delta.frames.n_atoms, np.random.default_rng(config.seed)
    n_chosen = min(n_atoms, max(1, _ROWS // max(1, len(frames))))
    atoms = np.sort(rng.choice(n_atoms, n_chosen, replace=False))
    values = [smooth(each, config)[0].values for each in _shuffles(delta, atoms, rng)]
    return FilterNull(atoms, label(np.stack(values), atoms), config.smoothing_window)


def _shuffles(
    delta: Series, atoms: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[Series]:
    """Yield δ of some atoms with the times of every gapless stretch in another order for each."""
    frames = delta.frames
    some = Frames(frames.steps, frames.times, frames.stretches, frames.atom_ids[atoms])
    for _ in range(_SHUFFLES):
        values = delta.values[:, atoms].copy()
        for rows in iter_stretches(frames.stretches):
            values[rows] = rng.permuted(values[rows], axis=0)
        yield Series(values, some)
