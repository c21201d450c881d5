"""What is recorded of the atoms of a frame: live, and of a trajectory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    threads = threads or config.threads
    spectra, neighbors = soap.describe(frame, species, config.lens_r_cut, threads=threads)
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    return Rows.of(frame, species, spectra.astype(np.float32), neighbors)


def reach_of(soap: Soap, config: LiveConfig) -> float:
    """Return the distance from a center up to which atoms count [length]."""
    return max(soap.reach, config.lens_r_cut) if config.stored.spectra else config.lens_r_cut
