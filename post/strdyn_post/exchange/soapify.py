"""Trajectory and spectra in the HDF5 layout of cpctools (SOAPify)."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import numpy as np

from strdyn_live.box import lengths_and_angles
from strdyn_live.buffer.storage import ForgivingFile
from strdyn_live.soap import Soap
from strdyn_post.files.output import new_file
from strdyn_post.recording import Recording
from strdyn_post.signal.regular import regular_frames

__all__ = ["CREATOR", "symbols", "write_soapify", "write_soapify_into"]

CREATOR = "written by strdyn"
"""Attribute of files that strdyn wrote; files of cpctools do not have it."""


def write_soapify(
    recording: Recording, path: str | os.PathLike[str], name: str | None = None
) -> Path:
    """Write trajectory and spectra in the HDF5 layout of cpctools (SOAPify).

    The spectra are as DScribe returns them, with n ≤ n' only in same-species blocks, but
    normalised, because the recorder normalises them. This does not matter for an analysis that
    normalises too, as in the paper (``fillSOAPVectorFromdscribe`` and ``normalizeArray``).

    Parameters
    ----------
    recording : Recording
        All of its regular frames are written: the format has no steps.
    path : path
        HDF5 file, with ``Trajectories/NAME`` and ``SOAP/NAME``.
    name : str, optional
        By default the name of the buffer.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with new_file(Path(path)) as file:
        write_soapify_into(file, recording, name)
    return Path(path)


def write_soapify_into(
    target: ForgivingFile, recording: Recording, name: str | None = None
) -> None:
    """Write the content of `write_soapify` into an open file."""
    import h5py

    recording = regular_frames(recording)
    config = recording.config
    name = name or Path(config.file).stem
    n_frames, n_atoms = len(recording.steps), len(recording.atom_ids)
    soap = Soap.of(config)
    rows_per_chunk = min(100, max(n_frames, 1))
    with h5py.File(target, "w") as file:
        file.attrs["creator"] = CREATOR
        group = file.create_group(f"Trajectories/{name}")
        group["Types"] = np.array(symbols(recording), dtype=h5py.string_dtype())
        compressed = {"compression": "gzip", "compression_opts": 9, "dtype": "f8"}
        positions = group.create_dataset(
            "Trajectory", (n_frames, n_atoms, 3), chunks=(rows_per_chunk, n_atoms, 3), **compressed
        )
        box = group.create_dataset("Box", (n_frames, 6), chunks=(rows_per_chunk, 6), **compressed)
        spectra = file.create_dataset(
            f"SOAP/{name}",
            (n_frames, n_atoms, soap.n_features),
            chunks=(rows_per_chunk, n_atoms, soap.n_features),
            **compressed,
        )
        for start in range(0, n_frames, rows_per_chunk):  # whole chunks: each is compressed once
            frames = range(start, min(start + rows_per_chunk, n_frames))
            rows = slice(frames.start, frames.stop)
            positions[rows] = [recording.positions(k) for k in frames]
            box[rows] = [lengths_and_angles(recording.box(k)[0]) for k in frames]
            spectra[rows] = (
                np.array([recording.soap(k) for k in frames], np.float64) / soap.isometry
            )
            target.check()
        spectra.attrs.update(
            SOAPengine="dscribe",
            l_max=config.l_max,
            n_max=config.n_max,
            r_cut=config.r_cut,
            sigma=config.sigma,
            species=list(config.species),
            **_species_locations(soap),
        )


def symbols(recording: Recording) -> list[str]:
    """Return the element of every described atom."""
    species = recording.config.species
    return [species[index] for index in recording.species]


def _species_locations(soap: Soap) -> dict[str, list[int]]:
    """Return the attributes with begin and end of the block of every ordered pair of species."""
    locations: dict[str, list[int]] = {}
    start = 0
    for first, second in itertools.combinations_with_replacement(soap.species, 2):
        n_pairs = math.comb(soap.n_max + 1, 2) if first == second else soap.n_max**2
        span = [start, start + n_pairs * (soap.l_max + 1)]
        for pair in (f"{first}-{second}", f"{second}-{first}"):
            locations[f"species_location_{pair}"] = span
        start = span[1]
    return locations
