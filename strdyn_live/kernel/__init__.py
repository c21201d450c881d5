"""SOAP power spectra and neighbor lists from compiled code.

The definitions are in `strdyn_live.soap`, `strdyn_live.neighbors` and `strdyn_live.lens`. Every
function here takes array_like. A wrong dtype, shape or value is a TypeError or a ValueError that
names the row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_live.definition import reach

from . import _kernel
from .basis import gto_basis
from .checks import check_count, check_settings, integers, mask, number, vectors

__all__ = [
    "CoincidenceError",
    "Kernel",
    "available_isas",
    "check_settings",
    "find_neighbors",
    "gto_basis",
    "lens",
]

CoincidenceError = _kernel.CoincidenceError
"""A ValueError: an atom lies exactly on a center; `rows` are the rows of the two."""


class Kernel:
    """SOAP power spectra, and neighbor lists with the same search (see `strdyn_live.soap.Soap`).

    Parameters
    ----------
    n_species : int
        Number of species, 1 to 255; species are numbers from 0 on.
    r_cut, n_max, l_max, sigma
        As of `Soap`.
    isa : str
        Instruction set, one of `available_isas`; by default the widest of this processor.

    Attributes
    ----------
    reach, n_features : float, int
        As of `Soap`.
    condition : float
        Spectra are right to about condition × 2⁻⁵² of their norm (`basis.gto_basis`).
    """

    def __init__(
        self,
        n_species: int,
        r_cut: float,
        n_max: int = 8,
        l_max: int = 8,
        sigma: float = 1.0,
        *,
        isa: str = "",
    ) -> None:
        check_settings(n_species, r_cut, n_max, l_max, sigma)
        r_cut, sigma = float(r_cut), float(sigma)  # a NumPy float32 would stay one
        if isa and isa not in available_isas():
            raise ValueError(f"isa = {isa!r}: this processor has {', '.join(available_isas())}.")
        self.isa = isa
        self.reach = reach(r_cut, sigma)
        self.n_features = n_species * n_max * (n_species * n_max + 1) // 2 * (l_max + 1)
        exponents, weights, self.condition = gto_basis(r_cut, n_max, l_max, sigma)
        self._power_spectrum = _kernel.PowerSpectrum(
            n_species, self.reach, exponents, weights, self.condition
        )

    def soap(
        self, positions: ArrayLike, species: ArrayLike, centers: ArrayLike, *, threads: int = 1
    ) -> NDArray[np.float64]:
        """Compute the spectra of some atoms, as `Soap.compute`."""
        return self._power_spectrum.spectra(
            vectors(positions),
            integers("species", species, np.int32),
            integers("centers", centers),
            check_count("threads", threads, 1, 1024),
            self.isa,
        )

    def describe(
        self,
        positions: ArrayLike,
        species: ArrayLike,
        centers: ArrayLike,
        atom_ids: ArrayLike,
        environment: ArrayLike,
        lens_r_cut: float,
        take: Callable[[int, NDArray[np.float64]], object],
        *,
        threads: int = 1,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Compute what `soap` does, and return what `find_neighbors` does, with one search.

        `positions` must reach as far as `lens_r_cut`, too.

        The spectra of all centers may be too many to keep. So ``take(start, spectra)`` gets those
        of a few centers at a time, of `start` and of the ones that follow, 8 MB at most if there is
        more than one. They lie in the same memory at every call, and may be changed there.
        """
        return self._power_spectrum.spectra_and_neighbors(
            vectors(positions),
            integers("species", species, np.int32),
            integers("centers", centers),
            integers("atom_ids", atom_ids),
            mask("environment", environment),
            number("lens_r_cut", lens_r_cut),
            take,
            check_count("threads", threads, 1, 1024),
            self.isa,
        )


def available_isas() -> list[str]:
    """Return the instruction sets this processor can run, the widest last."""
    return _kernel.available_isas()


def find_neighbors(
    positions: ArrayLike,
    atom_ids: ArrayLike,
    centers: ArrayLike,
    environment: ArrayLike,
    r_cut: float,
    *,
    threads: int = 1,
    isa: str = "",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the IDs around some atoms, as `strdyn_live.neighbors.find_neighbors`.

    Returns
    -------
    counts : (n_centers,) int64 ndarray
        Number of neighbors of every center.
    ids : (n_pairs,) int64 ndarray
        Their atom IDs, one list after the other; each sorted, without repetition and without the
        ID of the center.
    """
    return _kernel.neighbors(
        vectors(positions),
        integers("atom_ids", atom_ids),
        integers("centers", centers),
        mask("environment", environment),
        number("r_cut", r_cut),
        check_count("threads", threads, 1, 1024),
        isa,
    )


def lens(
    offsets_before: ArrayLike, ids_before: ArrayLike, offsets_after: ArrayLike, ids_after: ArrayLike
) -> NDArray[np.float64]:
    """Compute what `strdyn_live.lens.lens` does, from offsets and IDs of `NeighborLists`."""
    return _kernel.lens(
        integers("offsets_before", offsets_before),
        integers("ids_before", ids_before, copy=False),
        integers("offsets_after", offsets_after),
        integers("ids_after", ids_after, copy=False),
    )
