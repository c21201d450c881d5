"""The HDF5 layout of cpctools (SOAPify), and checks of files in it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from strdyn_live import LiveConfig
from strdyn_post.errors import AnalysisError

__all__ = [
    "centers_of",
    "checked_boxes",
    "choose",
    "identity",
    "open_dataset",
    "settings_of",
    "species_of",
]

_SAMPLES, _SAMPLE = 64, 16384  # number of blocks that enter the identity of a file, and their bytes
_FLATTEST = 0.02  # [cutoffs]: every box of atoms is thicker


def choose(path: Path, trajectories: Path, name: str | None) -> str:
    """Return the name of a trajectory with spectra: the given one, or the only one."""
    spectra, others = _names(path, "SOAP"), _names(trajectories, "Trajectories")
    names = [each for each in others if each in spectra]
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    if not names:
        raise AnalysisError(
            f"{path} has spectra of {', '.join(spectra) or 'nothing'}, but the trajectories are "
            f"{', '.join(others) or 'none'}: expected a name in common. Give the file of the "
            "trajectory (trajectories=...)."
        )
    found = ", ".join(names)
    if name is not None:
        raise AnalysisError(f"name = {name!r}: {path} holds {found}. Give one of these names.")
    raise AnalysisError(
        f"{path} holds several trajectories: {found}. Choose one: "
        f"read_soapify({path.name!r}, name={names[0]!r})."
    )


def _names(path: Path, group: str) -> list[str]:
    import h5py

    if not h5py.is_hdf5(path):
        raise AnalysisError(
            f"{path} is not an HDF5 file, or does not exist. Give a file in the layout of cpctools."
        )
    with h5py.File(path) as file:
        if group not in file:
            raise AnalysisError(
                f"{path} has no group {group!r}: the layout of cpctools is Trajectories/NAME, and "
                "SOAP/NAME in the same file or another one."
            )
        return sorted(file[group])


def identity(name: str, *paths: Path) -> str:
    """Return a UUID of a trajectory, which tells whether its files are the same.

    It is made from the name, and from the size and 64 blocks of 16 kB, evenly spread, of every
    file.
    """
    found = hashlib.sha256(name.encode())
    for path in paths:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            found.update(size.to_bytes(8, "little"))
            for start in np.linspace(0, max(0, size - _SAMPLE), _SAMPLES, dtype=np.int64).tolist():
                file.seek(start)
                found.update(file.read(_SAMPLE))
    return str(uuid5(NAMESPACE_URL, found.hexdigest()))


def open_dataset(path: Path, key: str, shape: tuple[int | None, ...]) -> Any:
    """Open a dataset to read its frames one by one; HDF5 keeps the last unpacked chunk."""
    import h5py

    with h5py.File(path) as file:
        if key not in file or not isinstance(file[key], h5py.Dataset):
            raise AnalysisError(
                f"{path} has no dataset {key}: expected the layout of cpctools. Write it again."
            )
        found = file[key]
        is_text = h5py.check_string_dtype(found.dtype) is not None
        kind = "text" if key.endswith("/Types") else "numbers"
        fits = len(found.shape or ()) == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
        )
        if not fits or (not is_text if kind == "text" else found.dtype.kind not in "fiu"):
            wanted = " × ".join("any" if length is None else str(length) for length in shape)
            raise AnalysisError(
                f"{key} of {path} holds {found.dtype} of shape {found.shape}: expected {kind}, "
                f"{wanted}. Write the file again."
            )
        n_bytes = file[key].dtype.itemsize * math.prod(file[key].chunks or (1,))
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, n_bytes, 0.75)
    return h5py.Dataset(h5py.h5d.open(h5py.File(path).id, key.encode(), access))


def settings_of(
    attributes: Mapping[str, Any], where: str, name: str, lens_r_cut: float | None
) -> LiveConfig:
    """Return the settings of the spectra as a LiveConfig."""
    missing = [each for each in ("species", "r_cut", "n_max", "l_max") if each not in attributes]
    if missing:
        raise AnalysisError(
            f"{where} lacks the attributes {', '.join(missing)}, which define its components. Add "
            "them to the file."
        )
    engine = attributes.get("SOAPengine", "dscribe")
    if engine != "dscribe":
        raise AnalysisError(
            f"{where} was computed by {engine}: only the order of DScribe is known. "
            "Compute the spectra with DScribe."
        )
    return LiveConfig(
        r_cut=attributes["r_cut"],
        elements=tuple(np.asarray(attributes["species"]).astype(str)),
        file=f"{name}.sdl",
        n_max=attributes["n_max"],
        l_max=attributes["l_max"],
        sigma=attributes.get("sigma", 1.0),
        lens_r_cut=lens_r_cut,  # type: ignore[arg-type]  # None becomes r_cut
    )


def centers_of(spectra: Any, n_all: int, where: str) -> NDArray[np.int64]:
    """Return the index of every described atom in the trajectory."""
    given = np.atleast_1d(spectra.attrs.get("centersIndexes", np.arange(n_all)))
    is_index = given.dtype.kind in "iu" or (given.dtype.kind == "f" and (given % 1 == 0).all())
    if given.ndim != 1 or not is_index:
        raise AnalysisError(
            f"the attribute centersIndexes of {where} holds {given.dtype} of shape {given.shape}, "
            f"from {given.ravel()[0]}: expected whole numbers, one for each described atom. "
            "Correct the attribute."
        )
    if len(given) != spectra.shape[1] or not ((given >= 0) & (given < n_all)).all():
        raise AnalysisError(
            f"{where} describes {spectra.shape[1]} atoms; its attribute centersIndexes, by default "
            f"all, names {len(given)} of the {n_all} atoms of the trajectory: expected the index "
            "of each described atom. Correct the attribute."
        )
    centers = given.astype(np.int64)
    atoms, times = np.unique(centers, return_counts=True)
    if len(atoms) != len(centers):
        raise AnalysisError(
            f"the attribute centersIndexes of {where} names atom {atoms[times.argmax()]} "
            f"{times.max()} times: expected each described atom once. Correct the attribute."
        )
    return centers


def species_of(symbols: NDArray[Any], config: LiveConfig, where: str) -> NDArray[np.int32]:
    """Return the index of every symbol into the species of the spectra."""
    index = {symbol: k for k, symbol in enumerate(config.species)}
    strange = sorted(set(symbols) - set(index))
    if strange:
        raise AnalysisError(
            f"{where} is made for {', '.join(index)}; its trajectory holds {', '.join(strange)}. "
            "Give the trajectory that the spectra were computed from."
        )
    return np.array([index[symbol] for symbol in symbols], dtype=np.int32)


def checked_boxes(
    boxes: NDArray[np.float64], periodic: tuple[bool, bool, bool], r_cut: float, where: str
) -> NDArray[np.float64]:
    """Return boxes with all angles; raise AnalysisError for a box that cannot hold atoms."""
    boxes[:, 3:][boxes[:, 3:] == 0.0] = 90.0  # a missing box may be written as zeros
    flat = ((boxes[:, :3] <= 0.0) & periodic).any(axis=1)
    if flat.any():
        frame = int(flat.argmax())
        raise AnalysisError(
            f"frame {frame} of {where} has box lengths {boxes[frame, :3].tolist()}: expected "
            "lengths above 0 in periodic directions. Say which directions are periodic, as "
            "periodic=(False, False, False)."
        )
    lengths, angles = boxes[:, :3], np.radians(boxes[:, 3:])
    with np.errstate(all="ignore"):
        a, b, c = np.cos(angles).T
        volume = np.sqrt(1.0 + 2.0 * a * b * c - a**2 - b**2 - c**2)  # of unit vectors
        heights = lengths * volume[:, None] / np.sin(angles)
        thick = ~np.array(periodic) | (heights > _FLATTEST * r_cut)
        fine = (volume > 1e-4) & (thick & (lengths >= 0.0) & (lengths < 1e30)).all(axis=1)
    if not fine.all():
        frame = int(fine.argmin())
        raise AnalysisError(
            f"frame {frame} of {where} has a box of lengths {boxes[frame, :3].tolist()} and angles "
            f"{boxes[frame, 3:].tolist()}: expected three vectors that make a box of atoms within "
            f"reach of {r_cut:g}. Leave this frame out."
        )
    return boxes
