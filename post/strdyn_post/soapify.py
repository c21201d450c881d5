"""Trajectory and spectra in the HDF5 layout of cpctools (SOAPify)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from strdyn_live.buffer import Buffer

__all__ = ["lengths_and_angles", "symbols", "write_soapify"]


def write_soapify(buffer: Buffer, path: str | os.PathLike[str], name: str | None = None) -> Path:
    """Write trajectory and spectra in the HDF5 layout of cpctools (SOAPify).

    The layout wants spectra as DScribe returns them: same-species blocks with n ≤ n' only. Ours
    have lost their norm when they were recorded, which no analysis notices that normalises
    (``fillSOAPVectorFromdscribe`` and ``normalizeArray``, the way of the paper).

    Parameters
    ----------
    buffer : Buffer
        All of its frames are written.
    path : path
        HDF5 file; groups ``Trajectories/NAME`` and ``SOAP/NAME``.
    name : str, optional
        By default that of the buffer.

    Returns
    -------
    Path
    """
    import h5py

    config, path = buffer.config, Path(path)
    name = name or Path(config.file).stem
    n_frames, n_atoms = buffer.n_frames, len(buffer.atom_ids)
    blocks, isometry = _species_blocks(config.species, config.n_max, config.l_max)
    rows_per_chunk = min(100, max(n_frames, 1))
    with h5py.File(path, "w") as file:
        group = file.create_group(f"Trajectories/{name}")
        group["Types"] = np.array(symbols(buffer), dtype=h5py.string_dtype())
        compressed = {"compression": "gzip", "compression_opts": 9, "dtype": "f8"}
        positions = group.create_dataset(
            "Trajectory", (n_frames, n_atoms, 3), chunks=(rows_per_chunk, n_atoms, 3), **compressed
        )
        box = group.create_dataset("Box", (n_frames, 6), chunks=(rows_per_chunk, 6), **compressed)
        spectra = file.create_dataset(
            f"SOAP/{name}",
            (n_frames, n_atoms, len(isometry)),
            chunks=(rows_per_chunk, n_atoms, len(isometry)),
            **compressed,
        )
        for start in range(0, n_frames, rows_per_chunk):  # whole chunks: each is compressed once
            frames = range(start, min(start + rows_per_chunk, n_frames))
            rows = slice(frames.start, frames.stop)
            positions[rows] = [buffer.positions(k) for k in frames]
            box[rows] = [lengths_and_angles(buffer.box(k)[0]) for k in frames]
            spectra[rows] = np.asarray(buffer.soap(rows), dtype=np.float64) / isometry
        spectra.attrs.update(
            SOAPengine="dscribe",
            l_max=config.l_max,
            n_max=config.n_max,
            r_cut=config.r_cut,
            sigma=config.sigma,
            species=list(config.species),
            **{f"species_location_{pair}": span for pair, span in blocks.items()},
        )
    return path


def symbols(buffer: Buffer) -> list[str]:
    """Return the element of every described atom."""
    species = buffer.config.species
    return [species[index] for index in buffer.species]


def lengths_and_angles(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a, b, c, α, β, γ of a box with vectors as rows, angles in degrees."""
    lengths = np.linalg.norm(cell, axis=1)
    a, b, c = cell / lengths[:, None]
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip([b @ c, a @ c, a @ b], -1, 1)))])


def _species_blocks(
    species: tuple[str, ...], n_max: int, l_max: int
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
    """Return where every ordered pair of species lies, and the factor of every component."""
    n, m = np.triu_indices(n_max)
    same = np.tile(np.where(n < m, np.sqrt(2.0), 1.0), l_max + 1)
    cross = np.ones(n_max**2 * (l_max + 1))
    blocks: dict[str, NDArray[np.int64]] = {}
    factors: list[NDArray[np.float64]] = []
    start = 0
    for i, first in enumerate(species):
        for second in species[i:]:
            factors.append(same if first == second else cross)
            span = np.array([start, start + len(factors[-1])])
            blocks[f"{first}-{second}"] = blocks[f"{second}-{first}"] = span
            start += len(factors[-1])
    return blocks, np.concatenate(factors)
