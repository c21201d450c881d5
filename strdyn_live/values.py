"""What a frame says of the dynamics: of each atom, and of all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .shared import Shared

__all__ = ["AtomValues", "FrameValues"]


@dataclass(frozen=True)
class AtomValues:
    """Dynamics of some centers between the frame before and this one.

    Attributes
    ----------
    delta : (n_atoms,) float64 ndarray
        LENS δ from the frame before to this one, not smoothed; 0 at the first frame.
    environment : (n_atoms,) int32 ndarray
        Label of (spectrum of the frame before, δ) by a fitted model, as the analysis labels the
        frame before; −1 without a model, at the first frame, and for noise.
    distance : (n_atoms,) float64 ndarray
        Distance of (spectrum of the frame before, δ) to the model; 0 without one.
    """

    delta: NDArray[np.float64]
    environment: NDArray[np.int32]
    distance: NDArray[np.float64]

    @classmethod
    def unknown(cls, n_atoms: int) -> AtomValues:
        """Return the values at a first frame."""
        return cls(np.zeros(n_atoms), np.full(n_atoms, -1, np.int32), np.zeros(n_atoms))

    @property
    def columns(self) -> NDArray[np.float64]:
        """The values as an array (n_atoms, 3)."""
        return np.stack([self.delta, self.environment.astype(np.float64), self.distance], axis=1)

    @classmethod
    def of_columns(cls, columns: NDArray[np.float64]) -> AtomValues:
        """Read back `columns`."""
        delta, environment, distance = columns.T
        return cls(delta, environment.astype(np.int32), distance)


@dataclass(frozen=True)
class FrameValues:
    """Dynamics of all centers between the frame before and this one; the same on all ranks.

    Attributes
    ----------
    step : int
        Of this frame.
    previous_step : int or None
        Of the frame before; None at the first frame.
    lens_mean, lens_max : float
        Mean and largest δ of the centers.
    n_above : int
        Centers whose δ is above the setting ``lens_threshold``.
    distance_max : float
        Largest distance to the model.
    populations : (n_environments,) int64 ndarray
        Centers in each environment; empty without a model.
    moves : (n_environments, n_environments) int64 ndarray
        Centers that went from one environment (row) to another (column) since the frame before.
    """

    step: int
    previous_step: int | None
    lens_mean: float
    lens_max: float
    n_above: int
    distance_max: float
    populations: NDArray[np.int64]
    moves: NDArray[np.int64]

    @classmethod
    def unknown(cls, n_environments: int) -> FrameValues:
        """Return the values before the first frame, of step −1."""
        n = n_environments
        return cls(-1, None, 0.0, 0.0, 0, 0.0, np.zeros(n, np.int64), np.zeros((n, n), np.int64))

    @property
    def vector(self) -> NDArray[np.float64]:
        """Mean and largest δ, number above the threshold, largest distance, populations."""
        first = [self.lens_mean, self.lens_max, self.n_above, self.distance_max]
        return np.array([*first, *self.populations], dtype=np.float64)

    @staticmethod
    def shared_sizes(n_environments: int) -> dict[str, int]:
        """Return how many numbers all ranks reduce for the values of a frame."""
        return {"n_sums": 2 + n_environments + n_environments**2, "n_totals": 1, "n_maxima": 3}

    @staticmethod
    def share(
        shared: Shared,
        values: AtomValues,
        before: NDArray[np.int32],
        *,
        previous_step: int | None,
        threshold: float,
        n_environments: int,
    ) -> None:
        """Say what a rank contributes, as the first of the numbers that are reduced.

        Parameters
        ----------
        shared : Shared
            Of at least `shared_sizes`.
        values : AtomValues
            Of some centers; every center on one rank.
        before : (n_atoms,) int32 ndarray
            Environments of the same centers one frame earlier.
        previous_step : int or None
            Known to the ranks that have centers.
        """
        n = n_environments
        now = values.environment
        known = (before >= 0) & (now >= 0)
        moves = np.bincount(before[known] * n + now[known], minlength=n * n)
        populations = np.bincount(now[now >= 0], minlength=n)
        counted = [len(now), int((values.delta > threshold).sum()), *populations, *moves]
        largest = [values.delta.max(initial=0.0), values.distance.max(initial=0.0)]
        shared.sums[: len(counted)] = counted
        shared.totals[0] = values.delta.sum()
        shared.maxima[:3] = [*largest, -1 if previous_step is None else previous_step]

    @classmethod
    def of(cls, shared: Shared, step: int, n_environments: int) -> FrameValues:
        """Read what all ranks say of a frame."""
        n = n_environments
        n_atoms, n_above, *rest = shared.sums.tolist()
        lens_max, distance_max, earlier = shared.maxima[:3].tolist()
        return cls(
            step=step,
            previous_step=None if earlier < 0 else int(earlier),
            lens_mean=float(shared.totals[0]) / max(n_atoms, 1),
            lens_max=lens_max,
            n_above=n_above,
            distance_max=distance_max,
            populations=np.array(rest[:n], dtype=np.int64),
            moves=np.array(rest[n : n + n * n], dtype=np.int64).reshape(n, n),
        )
