"""SOAP power spectra and neighbor lists from compiled code; input is checked here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _kernel
from .basis import gto_basis

__all__ = [
    "CoincidenceError",
    "Kernel",
    "available_isas",
    "check_settings",
    "find_neighbors",
    "gto_basis",
    "lens",
]

# No length is meant to be larger, or 1 / this smaller: keeps every intermediate number finite.
_FAR = 1e4

CoincidenceError = _kernel.CoincidenceError
"""A ValueError: an atom lies exactly on a center; `rows` are the rows of the two."""


class Kernel:
    """SOAP power spectra (rbf ``gto``) and neighbor lists of atoms of a finite set.

    The definition, the order of the components and the compact form are those of
    `strdyn_live.soap.Soap`.

    Parameters
    ----------
    n_species : int
        Number of species, 1 to 255.
    r_cut : float
        Cutoff radius [length], above 1.
    n_max, l_max : int
        Number of radial functions (1 to 16), largest degree of the harmonics (0 to 12).
    sigma : float
        Width of the Gaussians of the density [length].
    isa : str
        Instruction set, one of `available_isas`; by default the widest of this processor.

    Attributes
    ----------
    reach : float
        Every atom up to this distance enters the spectrum [length].
    n_features : int
        Length of a spectrum.
    condition : float
        Spectra are right to about condition × 2⁻⁵² of their norm (`basis.gto_basis`).

    Raises
    ------
    TypeError, ValueError
        As `check_settings`; and for more radial functions than can be told apart.
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
        self.reach = r_cut + sigma * math.sqrt(-2.0 * math.log(1e-3))
        self.n_features = n_species * n_max * (n_species * n_max + 1) // 2 * (l_max + 1)
        exponents, weights, self.condition = gto_basis(r_cut, n_max, l_max, sigma)
        self._power_spectrum = _kernel.PowerSpectrum(
            n_species, self.reach, exponents, weights, self.condition
        )

    def soap(
        self, positions: ArrayLike, species: ArrayLike, centers: ArrayLike, *, threads: int = 1
    ) -> NDArray[np.float64]:
        """Compute the spectra of some atoms.

        Parameters
        ----------
        positions : (n_local, 3) array_like of float
            Every atom within `reach` of a center, images included; no box [length].
        species : (n_local,) array_like of int
            0 to n_species - 1.
        centers : (n_centers,) array_like of int
            Rows of the atoms to describe.
        threads : int
            Number of threads; the numbers do not depend on it.

        Returns
        -------
        (n_centers, n_features) float64 ndarray
            Compact spectra, not normalised.

        Raises
        ------
        TypeError, ValueError
            For a wrong dtype, shape or value, a row out of range, and an atom that lies exactly
            on a center; the message names row and value.
        """
        return self._power_spectrum.spectra(
            _vectors(positions),
            _integers("species", species, np.int32),
            _integers("centers", centers),
            _check_count("threads", threads, 1, 1024),
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
        *,
        threads: int = 1,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Compute spectra and neighbor lists of some atoms with one search.

        Parameters
        ----------
        positions, species, centers, threads
            As for `soap`; `positions` must reach as far as `lens_r_cut`, too.
        atom_ids, environment, lens_r_cut
            As for `find_neighbors`.

        Returns
        -------
        spectra : (n_centers, n_features) float64 ndarray
            Compact spectra, not normalised.
        counts : (n_centers,) int64 ndarray
            Number of neighbors of every center.
        ids : (n_pairs,) int64 ndarray
            Their atom IDs, one list after the other, each sorted.

        Raises
        ------
        TypeError, ValueError
            As `soap`.
        """
        return self._power_spectrum.spectra_and_neighbors(
            _vectors(positions),
            _integers("species", species, np.int32),
            _integers("centers", centers),
            _integers("atom_ids", atom_ids),
            _mask("environment", environment),
            _number("lens_r_cut", lens_r_cut),
            _check_count("threads", threads, 1, 1024),
            self.isa,
        )


def check_settings(n_species: int, r_cut: float, n_max: int, l_max: int, sigma: float) -> None:
    """Raise for settings that no kernel takes, without the work of building one.

    Raises
    ------
    TypeError, ValueError
        For a wrong type or a value out of range; the message names the setting.
    """
    _check_count("n_species", n_species, 1, 255)
    _check_count("n_max", n_max, 1, 16)
    _check_count("l_max", l_max, 0, 12)
    if not 1.0 < r_cut <= _FAR:
        raise ValueError(
            f"r_cut = {r_cut!r}: the radial basis `gto` needs r_cut > 1 in the unit of the "
            f"positions (SOAP is meant for lengths in Å), and at most {_FAR:g}."
        )
    if not 1.0 / _FAR <= sigma <= _FAR:
        raise ValueError(
            f"sigma = {sigma!r}: expected a width from {1.0 / _FAR:g} to {_FAR:g} in the unit of "
            "the positions."
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
    """Find the IDs around some atoms of a finite set.

    Parameters
    ----------
    positions : (n_local, 3) array_like of float
        Atoms as they lie, images included; no box [length].
    atom_ids : (n_local,) array_like of int
        Atom IDs; images share the ID of their atom.
    centers : (n_centers,) array_like of int
        Rows of the centers.
    environment : (n_local,) array_like of bool
        Atoms that count as neighbors.
    r_cut : float
        A neighbor is closer than this [length].
    threads : int
        Number of threads; the lists do not depend on it.
    isa : str
        Instruction set, one of `available_isas`; by default the widest of this processor.

    Returns
    -------
    counts : (n_centers,) int64 ndarray
        Number of neighbors of every center.
    ids : (n_pairs,) int64 ndarray
        Their atom IDs, one list after the other; each sorted, without repetition and without the
        ID of the center.

    Raises
    ------
    TypeError, ValueError
        For a wrong dtype, shape or value, a row out of range, and an atom that lies exactly on a
        center; the message names row and value.
    """
    return _kernel.neighbors(
        _vectors(positions),
        _integers("atom_ids", atom_ids),
        _integers("centers", centers),
        _mask("environment", environment),
        _number("r_cut", r_cut),
        _check_count("threads", threads, 1, 1024),
        isa,
    )


def lens(
    offsets_before: ArrayLike, ids_before: ArrayLike, offsets_after: ArrayLike, ids_after: ArrayLike
) -> NDArray[np.float64]:
    """Compute LENS from two sets of sorted lists (`strdyn_live.lens.lens` gives the equation).

    Parameters
    ----------
    offsets_before, offsets_after : (n_centers + 1,) array_like of int
        Where the list of every center begins, and the end.
    ids_before, ids_after : (n_pairs,) array_like of int
        Atom IDs, sorted and without repetition within a list.

    Returns
    -------
    (n_centers,) float64 ndarray
        0: no change (or no neighbor in both frames); 1: nothing in common.

    Raises
    ------
    TypeError, ValueError
        For a wrong dtype or shape, offsets that do not fit, lists that are not sorted, and
        differing numbers of centers.
    """
    return _kernel.lens(
        _integers("offsets_before", offsets_before),
        _integers("ids_before", ids_before, copy=False),
        _integers("offsets_after", offsets_after),
        _integers("ids_after", ids_after, copy=False),
    )


def _check_count(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} = {value!r}: expected a whole number.")
    if not low <= value <= high:
        raise ValueError(f"{name} = {value}: expected {low} to {high}.")
    return int(value)


def _number(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} = {value!r}: expected a finite number above 0.")
    return float(value)


# What follows returns arrays that nobody else can change: they are read while other threads of
# Python run, and a center that moves out of the array after its check would crash. IDs of lists
# are large and never an index: they may be changed at the caller's own risk.


def _vectors(positions: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(positions)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"positions has dtype {found.dtype}: expected floating-point numbers.")
    if found.ndim != 2 or found.shape[1] != 3:
        raise ValueError(f"positions has shape {found.shape}: expected (n_local, 3).")
    return np.array(found, dtype=np.float64, order="C")


def _integers(
    name: str, values: ArrayLike, dtype: type[np.integer[Any]] = np.int64, *, copy: bool = True
) -> Any:
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}: expected one dimension.")
    if found.dtype.kind not in "iu" and len(found) > 0:
        raise TypeError(f"{name} has dtype {found.dtype}: expected integers.")
    limits = np.iinfo(dtype)
    if found.dtype.itemsize >= limits.dtype.itemsize and found.dtype != dtype and len(found) > 0:
        for row in (int(found.argmin()), int(found.argmax())):
            if not limits.min <= int(found[row]) <= limits.max:
                raise ValueError(f"{name}: row {row} is {found[row]}, too large in magnitude.")
    return np.array(found, dtype=dtype) if copy else np.require(found, dtype, ["C", "A"])


def _mask(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}: expected one dimension.")
    if found.dtype != np.bool_ and len(found) > 0:
        raise TypeError(f"{name} has dtype {found.dtype}: expected booleans.")
    return np.array(found, dtype=np.bool_)
