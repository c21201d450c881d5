"""The simulation box: fractions of its vectors, its heights, images of atoms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Box", "lengths_and_angles"]

_WHOLE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # lowest and highest fractions of the box itself


@dataclass(frozen=True)
class Box:
    """A parallelepiped of any shape, and the directions along which it repeats.

    Attributes
    ----------
    cell : (3, 3) float64 ndarray
        Box vectors as rows [length].
    origin : (3,) float64 ndarray
        Corner of the box [length].
    periodic : (bool, bool, bool)
        Periodic directions.
    """

    cell: NDArray[np.float64]
    origin: NDArray[np.float64]
    periodic: tuple[bool, bool, bool]

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """Inverse of `cell`: vectors (as rows) times it are fractions of the box vectors."""
        inverse: NDArray[np.float64] = np.linalg.inv(self.cell).astype(np.float64, copy=False)
        return inverse

    @property
    def heights(self) -> NDArray[np.float64]:
        """Distances between opposite faces, shape (3,) [length]."""
        heights: NDArray[np.float64] = 1.0 / self.margins(1.0)
        return heights

    def margins(self, distance: float) -> NDArray[np.float64]:
        """Return the fraction of each box vector that spans a layer of some thickness, (3,)."""
        margins: NDArray[np.float64] = distance * np.linalg.norm(self.inverse, axis=0)
        return margins

    def fractions(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions as fractions of the box vectors, from the corner on, (n_atoms, 3)."""
        fractions: NDArray[np.float64] = (positions - self.origin) @ self.inverse
        return fractions

    def wrap(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions inside the box along its periodic directions, (n_atoms, 3) [length]."""
        return self._inside(positions) @ self.cell + self.origin

    def to_nearest_image(self, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return differences of positions, given as fractions, as vectors [length].

        Along periodic directions a difference is taken to the image that is at most half a box
        vector away.
        """
        return (fractions - np.round(fractions) * self.periodic) @ self.cell

    def images(
        self, positions: NDArray[np.float64], distance: float
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Find all atoms in the box and around it.

        Parameters
        ----------
        positions : (n_atoms, 3) float64 ndarray
            Atoms, wrapped into the box or not [length].
        distance : float
            From the faces of the box [length]; it may be larger than the box.

        Returns
        -------
        positions : (n_images, 3) float64 ndarray
            All atoms, wrapped, then their images up to `distance` from the box [length].
        rows : (n_images,) int64 ndarray
            Row of the atom that each is an image of.
        """
        inside, margins = self._inside(positions), self.margins(distance)
        free = ~np.array(self.periodic)
        images, rows = [], []
        for shift in sorted(self.shifts(distance, _WHOLE, _WHOLE), key=any):  # no shift first
            moved = inside + shift
            near = ((moved >= -margins) & (moved <= 1.0 + margins)) | free
            rows.append(np.flatnonzero(near.all(axis=1)))
            images.append(moved[rows[-1]] @ self.cell + self.origin)
        return np.concatenate(images), np.concatenate(rows)

    def shifts(
        self, distance: float, atoms: ArrayLike, region: ArrayLike
    ) -> Iterator[tuple[int, ...]]:
        """Return the multiples of the box vectors that may bring an atom near a region.

        Parameters
        ----------
        distance : float
            How near [length].
        atoms, region : (2, 3) array_like of float
            Lowest and highest fractions of the atoms, and of the region.
        """
        (atoms_low, atoms_high), (low, high) = np.asarray(atoms), np.asarray(region)
        margins = self.margins(distance)
        first, last = low - margins - atoms_high, high + margins - atoms_low
        return itertools.product(
            *(
                range(math.ceil(first[k]), math.floor(last[k]) + 1) if self.periodic[k] else (0,)
                for k in range(3)
            )
        )

    def _inside(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        fractions = self.fractions(positions)
        fractions -= np.floor(fractions) * self.periodic
        return fractions


def lengths_and_angles(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a, b, c, α, β, γ of box vectors as rows, angles in degrees."""
    lengths = np.linalg.norm(cell, axis=1)
    a, b, c = cell / lengths[:, None]
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip([b @ c, a @ c, a @ b], -1, 1)))])
