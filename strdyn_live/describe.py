"""What is recorded of the atoms of a frame: live, and of a trajectory."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .basis import Basis, blas_threads
from .config import LiveConfig
from .frame import LocalFrame, Rows
from .neighbors import find_neighbors
from .soap import Soap

__all__ = ["describe", "reach_of"]


def describe(
    frame: LocalFrame,
    species: NDArray[np.int32],
    soap: Soap,
    config: LiveConfig,
    *,
    basis: Basis | None = None,
    threads: int | None = None,
) -> Rows:
    """Describe the centers of a frame by spectra of unit norm and neighbor lists.

    Parameters
    ----------
    frame : LocalFrame
        Owned and ghost atoms.
    species : (n_local,) int32 ndarray
        Index into ``config.species``.
    soap : Soap
        Of the settings.
    config : LiveConfig
        With ``store none`` there are no spectra.
    basis : Basis, optional
        Scores and residuals instead of spectra: they become these a few at a time, and are never
        all in memory.
    threads : int, optional
        As for `Soap.compute`; by default those of the settings.

    Raises
    ------
    ValueError
        As `Soap.describe`.
    """
    if not config.stored.spectra:
        neighbors = find_neighbors(
            frame.positions, frame.atom_ids, frame.centers, frame.environment, config.lens_r_cut
        )
        nothing = np.empty((len(frame.centers), 0), dtype=np.float32)
        return Rows.of(frame, species, nothing, neighbors)
    n_columns = soap.n_features if basis is None else basis.n_scores + 1
    kept = np.empty((len(frame.centers), n_columns), dtype=np.float32)

    def take(start: int, spectra: NDArray[np.float64]) -> None:
        spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
        rows = spectra.astype(np.float32)
        kept[start : start + len(rows)] = rows if basis is None else basis.project(rows)

    threads = threads or config.threads
    with contextlib.nullcontext() if basis is None else blas_threads(threads):
        neighbors = soap.describe(frame, species, config.lens_r_cut, take, threads=threads)
    rows = Rows.of(frame, species, kept, neighbors)
    return replace(rows, frame=replace(rows.frame, basis=basis))


def reach_of(soap: Soap, config: LiveConfig) -> float:
    """Return the distance from a center up to which atoms count [length]."""
    return max(soap.reach, config.lens_r_cut) if config.stored.spectra else config.lens_r_cut
