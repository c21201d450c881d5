"""SOAP power spectra: definition, sizes, reach, compact form, and the two ways to compute them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .config import LiveConfig
from .definition import reach
from .elements import ATOMIC_NUMBERS, by_atomic_number
from .frame import LocalFrame
from .kernel import CoincidenceError, Kernel, check_settings
from .neighbors import NeighborLists, find_neighbors

__all__ = ["Soap"]

# DScribe's spectra may differ from the definition by this share of their norm.
_DSCRIBE_ACCURACY = 1e-7


class Soap:
    """The power spectrum of DScribe (rbf ``gto``, version 2.1), in compact isometric form.

    Same-species blocks hold n ≤ n' once, with n < n' multiplied by √2: norms, inner products and
    so PCA are those of the filled form with 44 % fewer numbers (one species). Components run over
    pairs of species Z ≤ Z', then l, n, n'.
    Source: Bartók, Kondor, Csányi, PRB 87, 184115 (2013); Himanen et al., Comput. Phys. Commun.
    247, 106949 (2020).

    Every component is right to 10⁻⁹ of the norm of its spectrum, on every processor; settings that
    do not allow it are refused. Many radial functions within a short cutoff are nearly the same
    function, so `n_max` may be at most 9 at r_cut = 2, 11 at 3, 13 at 4.48, 14 at 6, 15 at 10, and
    16 from 20 on. (The criterion: the condition of the radial functions, see
    `strdyn_live.kernel.gto_basis`, × 2⁻⁵² is at most 10⁻⁹.) DScribe itself orthonormalises in
    double precision, and is off by up to condition² × 2⁻⁵²: at 6 Å 10⁻¹⁰ for 8 functions, 10⁻⁶ for
    12, 4 % for 16.

    Parameters
    ----------
    species : sequence of str, or str
        Elements; a single string is split at blanks. ``species`` arrays index this sequence after
        sorting by atomic number (`self.species`).
    r_cut : float
        Cutoff radius [length], above 1.
    n_max, l_max : int
        Number of radial functions (1 to 16), largest degree of the spherical harmonics (0 to 12).
    sigma : float
        Width of the Gaussians [length], from 10⁻⁴ on.
    backend : {"native", "dscribe"}
        What computes. `dscribe` is refused where its own error (see above) is above 10⁻⁷: the
        spectra that are stored, in float32, are the same.

    Attributes
    ----------
    reach : float
        Every atom closer than this enters the spectrum [length]: r_cut + sigma √(−2 ln 10⁻³).
    n_features : int
        Length of a compact spectrum (324 for one species and n_max = l_max = 8).
    isometry : (n_features,) float64 ndarray
        Factor of every component over that of DScribe: √2 for n < n' of same-species blocks, 1
        else.

    Raises
    ------
    TypeError, ValueError
        For a setting of a wrong type or out of range. Whether so many radial functions can be told
        apart is found by `check`, or by the first spectrum.

    Examples
    --------
    Two atoms that see the same surroundings, mirrored, have the same spectrum.

    >>> soap = Soap("Cu", r_cut=6.0)
    >>> soap.n_features, round(soap.reach, 2)
    (324, 9.72)
    >>> positions = np.array([[0.0, 0, 0], [2.5, 0, 0], [0, 2.5, 0]])
    >>> spectra = soap.compute(positions, species=[0, 0, 0], centers=[1, 2])
    >>> np.allclose(spectra[0], spectra[1])
    True
    """

    def __init__(
        self,
        species: Sequence[str] | str,
        r_cut: float,
        n_max: int = 8,
        l_max: int = 8,
        sigma: float = 1.0,
        backend: str = "native",
    ) -> None:
        names = species.split() if isinstance(species, str) else species
        unknown = [name for name in names if name not in ATOMIC_NUMBERS]
        if unknown or len(names) == 0:
            raise ValueError(
                f"species = {species!r}: expected symbols of chemical elements, as in "
                f"species=('O', 'H'){f'; {unknown[0]!r} is none' if unknown else ''}."
            )
        self.species = by_atomic_number(names)
        check_settings(len(self.species), r_cut, n_max, l_max, sigma)
        self.r_cut = float(r_cut)
        self.n_max = int(n_max)
        self.l_max = int(l_max)
        self.sigma = float(sigma)
        self.backend = backend
        if backend not in ("native", "dscribe"):
            raise ValueError(f"backend = {backend!r}: expected native or dscribe.")
        self.reach = reach(self.r_cut, self.sigma)
        self.isometry, self._filled = _layout(len(self.species), self.n_max, self.l_max)
        self.n_features = len(self.isometry)

    @classmethod
    def of(cls, config: LiveConfig) -> Soap:
        """Return the calculator of the settings of a recording."""
        return cls(
            config.species, config.r_cut, config.n_max, config.l_max, config.sigma, config.backend
        )

    def check(self) -> None:
        """Build what computes now, not with the first spectrum.

        It takes about 0.1 s; reading spectra needs none of it.

        Raises
        ------
        ValueError
            If spectra with these settings would not be right to 10⁻⁹ of their norm (`dscribe`:
            10⁻⁷).
        """
        _ = self._kernel if self.backend == "native" else self._dscribe

    def compute(
        self, positions: ArrayLike, species: ArrayLike, centers: ArrayLike, *, threads: int = 1
    ) -> NDArray[np.float64]:
        """Describe the environments of some atoms of a finite set.

        Parameters
        ----------
        positions : (n_local, 3) array_like of float
            Every atom within `reach` of a center, images included; no box [length].
        species : (n_local,) array_like of int
            Index into `self.species`.
        centers : (n_centers,) array_like of int
            Rows of the atoms to describe.
        threads : int
            Threads of the native backend; the numbers do not depend on it.

        Returns
        -------
        (n_centers, n_features) float64 ndarray
            Compact spectra, not normalised.

        Raises
        ------
        TypeError, ValueError
            For a wrong dtype, shape or value; the message names row and value. CoincidenceError (of
            `strdyn_live.kernel`), a ValueError, for an atom that lies exactly on a center.
        """
        if self.backend == "native":
            return self._kernel.soap(positions, species, centers, threads=threads)
        positions, species, centers = map(np.asarray, (positions, species, centers))
        # the native backend checks the input, of all atoms and of all centers
        self._kernel.soap(positions, species, [])
        find_neighbors(positions, species, centers, np.ones(len(positions), bool), self.reach)
        if len(centers) == 0:
            return np.empty((0, self.n_features))
        from ase import Atoms

        symbols = np.array(self.species)[species]
        spectra = self._dscribe.create(
            Atoms(symbols=symbols, positions=positions), centers=[int(row) for row in centers]
        )
        return np.asarray(spectra, dtype=np.float64).reshape(len(centers), -1) * self.isometry

    def describe(
        self,
        frame: LocalFrame,
        species: NDArray[np.int32],
        lens_r_cut: float,
        take: Callable[[int, NDArray[np.float64]], object],
        *,
        threads: int = 1,
    ) -> NeighborLists:
        """Describe the centers of a frame by spectra and neighbor lists, with one search.

        Parameters
        ----------
        frame : LocalFrame
            Owned and ghost atoms.
        species : (n_local,) int32 ndarray
            Index into `self.species`.
        lens_r_cut : float
            Cutoff of the neighbor lists [length].
        take : callable
            ``take(start, spectra)`` gets the spectra of some centers at a time, of `start` and of
            those that follow, (n, n_features) float64: compact, not normalised. They may be changed
            in place, and are no longer there after the call.
        threads : int
            As for `compute`.

        Returns
        -------
        NeighborLists
            Of the centers.

        Raises
        ------
        TypeError, ValueError
            As `compute`; for atoms that coincide, or a position that is not finite, the message
            has step and atom IDs.
        """
        try:
            if self.backend == "dscribe":
                take(0, self.compute(frame.positions, species, frame.centers))
                return find_neighbors(
                    frame.positions, frame.atom_ids, frame.centers, frame.environment, lens_r_cut
                )
            counts, ids = self._kernel.describe(
                frame.positions,
                species,
                frame.centers,
                frame.atom_ids,
                frame.environment,
                lens_r_cut,
                take,
                threads=threads,
            )
        except CoincidenceError as error:
            raise ValueError(_coincidence(frame, *error.rows)) from error
        except ValueError as error:
            nowhere = np.flatnonzero(~np.isfinite(frame.positions).all(axis=1))
            if len(nowhere) == 0:
                raise
            raise ValueError(
                f"step {frame.step}: atom {frame.atom_ids[nowhere[0]]} is at "
                f"{_point(frame, nowhere[0])}: expected finite numbers. The simulation has become "
                "unstable: use a smaller timestep, or minimize before the run."
            ) from error
        return NeighborLists.from_counts(counts, ids)

    def fill(self, compact: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the filled form: all (n, n') of same-species blocks (576 for one species).

        Parameters
        ----------
        compact : (..., n_features) array_like of float
            Compact spectra.

        Returns
        -------
        (..., n_filled) ndarray
            Same dtype (float64 for integers); its inner products equal those of the compact form.

        Raises
        ------
        ValueError
            If the last axis is not as long as a spectrum.
        """
        compact = np.asarray(compact)
        if compact.dtype.kind != "f":
            compact = compact.astype(np.float64)
        if compact.shape[-1:] != (self.n_features,):
            raise ValueError(
                f"compact has shape {compact.shape}: expected {self.n_features} components on the "
                "last axis."
            )
        plain: NDArray[np.floating[Any]] = compact / self.isometry.astype(compact.dtype)
        return plain[..., self._filled]

    @cached_property
    def _kernel(self) -> Kernel:
        return Kernel(len(self.species), self.r_cut, self.n_max, self.l_max, self.sigma)

    @cached_property
    def _dscribe(self) -> Any:
        error = self._kernel.condition**2 * float(np.finfo(np.float64).eps)
        if error > _DSCRIBE_ACCURACY:
            raise ValueError(
                f"n_max = {self.n_max} with backend dscribe: DScribe orthonormalises its radial "
                f"functions in double precision, and up to r_cut = {self.r_cut:g} its spectra are "
                f"wrong by about {error:.0e} of their norm. Use backend native, or a smaller n_max."
            )
        from dscribe.descriptors import SOAP

        return SOAP(
            species=self.species,
            r_cut=self.r_cut,
            n_max=self.n_max,
            l_max=self.l_max,
            sigma=self.sigma,
            rbf="gto",
            periodic=False,
        )


def _point(frame: LocalFrame, row: int) -> str:
    return "(" + ", ".join(f"{x:g}" for x in frame.positions[row]) + ")"


def _coincidence(frame: LocalFrame, row: int, other: int) -> str:
    first, second = frame.atom_ids[[row, other]].tolist()
    if first == second:
        return (
            f"step {frame.step}: atom {first} and an image of it are the same point "
            f"{_point(frame, row)}: expected images a box vector apart. Is the box of zero size?"
        )
    return (
        f"step {frame.step}: atoms {first} and {second} are the same point {_point(frame, row)}. "
        "Two atoms cannot coincide: remove one of them (`delete_atoms overlap`), or minimize "
        "before the run."
    )


def _layout(
    n_species: int, n_max: int, l_max: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the factor of every compact component, and which one each filled component copies."""
    n, m = np.triu_indices(n_max)
    triangle = np.empty((n_max, n_max), dtype=np.int64)
    triangle[n, m] = triangle[m, n] = np.arange(len(n))
    same = (np.where(n < m, math.sqrt(2.0), 1.0), triangle.ravel())
    cross = (np.ones(n_max**2), np.arange(n_max**2))

    isometry: list[NDArray[np.float64]] = []
    filled: list[NDArray[np.int64]] = []
    start = 0
    for first in range(n_species):
        for second in range(first, n_species):
            factors, copies = same if first == second else cross
            for _ in range(l_max + 1):
                isometry.append(factors)
                filled.append(start + copies)
                start += len(factors)
    return np.concatenate(isometry), np.concatenate(filled)
