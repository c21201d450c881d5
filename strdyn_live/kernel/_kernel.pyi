"""The compiled module; `strdyn_live.kernel` checks the input and is what to use."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

def available_isas() -> list[str]: ...

class CoincidenceError(ValueError):
    rows: tuple[int, int]

class PowerSpectrum:
    def __init__(
        self,
        n_species: int,
        reach: float,
        exponents: NDArray[np.float64],
        weights: NDArray[np.float64],
        condition: float,
    ) -> None: ...
    def spectra(
        self,
        positions: NDArray[np.float64],
        species: NDArray[np.int32],
        centers: NDArray[np.int64],
        threads: int,
        isa: str,
    ) -> NDArray[np.float64]: ...
    def spectra_and_neighbors(
        self,
        positions: NDArray[np.float64],
        species: NDArray[np.int32],
        centers: NDArray[np.int64],
        atom_ids: NDArray[np.int64],
        environment: NDArray[np.bool_],
        r_cut: float,
        take: Callable[[int, NDArray[np.float64]], object],
        threads: int,
        isa: str,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

def neighbors(
    positions: NDArray[np.float64],
    atom_ids: NDArray[np.int64],
    centers: NDArray[np.int64],
    environment: NDArray[np.bool_],
    r_cut: float,
    threads: int,
    isa: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def lens(
    offsets_before: NDArray[np.int64],
    ids_before: NDArray[np.int64],
    offsets_after: NDArray[np.int64],
    ids_after: NDArray[np.int64],
) -> NDArray[np.float64]: ...
