"""Frames: the steps, times, gaps and atom IDs of a series or a route."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.errors import AnalysisError

__all__ = ["Frames", "find_stretches", "iter_stretches", "usual_spacing"]


@dataclass(frozen=True)
class Frames:
    """Some frames of a recording, and the atoms that are described in them.

    Attributes
    ----------
    steps : (n_frames,) int64 ndarray
        Timestep of every frame, increasing.
    times : (n_frames,) float64 ndarray
        Simulated time [time unit of the run].
    stretches : (n_frames,) int64 ndarray
        Number of the gapless stretch of every frame (see `find_stretches`).
    atom_ids : (n_atoms,) int64 ndarray
        Atom ID of every column of a series.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    stretches: NDArray[np.int64]
    atom_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atom_ids)

    @property
    def spacing(self) -> float:
        """Usual distance of two frames [time unit of the run]; 0 for fewer than two."""
        return usual_spacing(self.times)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Frames:
        """Return some of the frames."""
        return Frames(self.steps[rows], self.times[rows], self.stretches[rows], self.atom_ids)


def usual_spacing(times: ArrayLike) -> float:
    """Return the median distance of successive times; 0 for fewer than two."""
    times = np.asarray(times, dtype=np.float64)
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def find_stretches(
    steps: ArrayLike, times: ArrayLike | None = None
) -> tuple[NDArray[np.int64], int]:
    """Find the stretches of frames that follow each other at the usual distance.

    Parameters
    ----------
    steps : (n_frames,) array_like of int
        Increasing timesteps.
    times : (n_frames,) array_like of float, optional
        Their times. If the timestep of the run was changed, the time between two frames changes at
        the same distance in steps: a new stretch begins there too.

    Returns
    -------
    stretches : (n_frames,) int64 ndarray
        Number of the stretch of every frame, counted from 0.
    interval : int
        The usual distance: the most common difference of steps (the smaller one of two equally
        common); 0 for fewer than two frames.

    Raises
    ------
    AnalysisError
        If the steps do not increase.
    """
    steps = np.asarray(steps, dtype=np.int64)
    if len(steps) < 2:
        return np.zeros(len(steps), dtype=np.int64), 0
    differences = np.diff(steps)
    if differences.min() <= 0:
        row = int(np.argmax(differences <= 0))
        raise AnalysisError(
            f"steps must increase, but step {steps[row]} is followed by {steps[row + 1]}. Sort the "
            "frames by step, and keep each step once."
        )
    values, counts = np.unique(differences, return_counts=True)
    interval = int(values[counts.argmax()])
    usual = differences == interval
    if times is not None:
        durations = np.diff(np.asarray(times, dtype=np.float64))
        # the median, taken from the values that occur
        expected = np.quantile(durations[usual], 0.5, method="lower")
        usual &= np.abs(durations - expected) <= 1e-3 * abs(expected)
    return np.concatenate([[0], np.cumsum(~usual)]).astype(np.int64), interval


def iter_stretches(stretches: NDArray[np.int64]) -> Iterator[slice]:
    """Yield the rows of every stretch as a slice."""
    bounds = np.flatnonzero(np.diff(stretches)) + 1
    edges = [0, *bounds.tolist(), len(stretches)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield slice(start, stop)
