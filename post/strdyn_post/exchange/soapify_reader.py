"""An analysis of what cpctools (SOAPify) has computed: its HDF5 layout as a buffer."""

from __future__ import annotations

import hashlib
import math
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from strdyn_live import LiveConfig
from strdyn_live.box import Box
from strdyn_live.neighbors import NeighborLists
from strdyn_live.soap import Soap
from strdyn_post.signal.series import AnalysisError

from .periodic import periodic_neighbors

__all__ = ["SoapifyBuffer", "is_soapify", "read_soapify"]

_Path = str | os.PathLike[str]

_TRAJECTORY = {"Types": (None,), "Trajectory": (None, None, 3), "Box": (None, 6)}
_FARTHEST = 1e6  # box vectors from the corner: farther, too few digits are left of a position
_SAMPLES, _SAMPLE = 64, 16384  # blocks of a file that its identity rests on, and their bytes
_FLATTEST = 0.02  # cutoffs: no box of atoms is as flat


def is_soapify(path: _Path) -> bool:
    """Say whether a file holds trajectories and spectra in the layout of cpctools."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "Trajectories" in file and "SOAP" in file


def read_soapify(
    path: _Path,
    name: str | None = None,
    *,
    trajectories: _Path | None = None,
    lens_r_cut: float | None = None,
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> SoapifyBuffer:
    """Open trajectory and spectra in the HDF5 layout of cpctools (SOAPify) for an analysis.

    The layout holds no neighbor lists: they are found when they are asked for, among all atoms of
    the trajectory. It holds no timesteps either: steps and times count the frames.

    Parameters
    ----------
    path : path
        HDF5 file with ``SOAP/NAME``, spectra as DScribe returns them, and ``Trajectories/NAME``.
    name : str, optional
        Needed if the file holds several.
    trajectories : path, optional
        The file that holds ``Trajectories/NAME``, if it is another one.
    lens_r_cut : float, optional
        Cutoff of the neighbor lists [length]; by default `r_cut` of the spectra.
    periodic : (bool, bool, bool)
        Periodic directions of the box; the layout does not tell, cpctools takes all.

    Returns
    -------
    SoapifyBuffer

    Raises
    ------
    AnalysisError
        If the layout is another one, or what it holds does not fit together.
    ConfigError
        For an impossible setting of the spectra, or cutoff.
    """
    path, other = Path(path).absolute(), Path(trajectories or path).absolute()
    name = _choose(path, other, name)
    where = f"SOAP/{name} of {path}"
    spectra = _open(path, f"SOAP/{name}", (None, None, None))
    types, trajectory, boxes = (
        _open(other, f"Trajectories/{name}/{part}", shape) for part, shape in _TRAJECTORY.items()
    )
    if not len(spectra) == len(trajectory) == len(boxes):
        raise AnalysisError(
            f"{where} has {len(spectra)} frames, but its trajectory has {len(trajectory)} and its "
            f"box {len(boxes)}: they belong to different runs, or were not written to the end."
        )
    config = _settings(spectra.attrs, where, name, lens_r_cut)
    soap = Soap.of(config)
    if spectra.shape[2] != soap.n_features:
        raise AnalysisError(
            f"{where} has {spectra.shape[2]} components, but n_max = {config.n_max} and l_max = "
            f"{config.l_max} make {soap.n_features} for {' '.join(config.species)}: expected "
            "spectra as DScribe returns them, with cross terms and not filled."
        )
    if trajectory.shape[1] != len(types):
        raise AnalysisError(
            f"Trajectories/{name} of {other} has positions of {trajectory.shape[1]} atoms and "
            f"types of {len(types)}: expected as many."
        )
    centers = _centers(spectra, len(types), where)
    rows = np.argsort(centers)
    return SoapifyBuffer(
        path=path,
        name=name,
        uuid=_identity(name, *dict.fromkeys((path, other))),
        config=config,
        periodic=periodic,
        atom_ids=centers[rows],
        species=_species(types.asstr()[:][centers[rows]], config, where),
        spectra=spectra,
        rows=rows,
        isometry=soap.isometry,
        trajectory=trajectory,
        boxes=_boxes(boxes[:].astype(np.float64), periodic, config.lens_r_cut, where),
    )


def _reopen(uuid: str, path: Path, name: str, **options: Any) -> SoapifyBuffer:
    """Open the same file in another process."""
    buffer = read_soapify(path, name, **options)
    if buffer.uuid != uuid:
        raise AnalysisError(
            f"{path} is another file on host {socket.gethostname()} than where the analysis began, "
            f"or has changed since: its identity is {buffer.uuid}, expected {uuid}. All workers "
            "must see the same file under this path."
        )
    return buffer


@dataclass(frozen=True)
class SoapifyBuffer:
    """What an analysis asks of a buffer, from a file in cpctools' layout (see `read_soapify`).

    Attributes
    ----------
    path : Path
        The file of the spectra.
    name : str
        Of the trajectory in the file.
    uuid : str
        Identity of the trajectory, made of its name and of size and samples of its files.
    config : LiveConfig
        Settings of spectra and neighbor lists; `file` is named after the trajectory.
    periodic : (bool, bool, bool)
        Periodic directions of the box.
    atom_ids : (n_atoms,) int64 ndarray
        Of the described atoms: their index in the trajectory, counted from 0.
    species : (n_atoms,) int32 ndarray
        Index into ``config.species``.
    spectra : h5py.Dataset
        (n_frames, n_atoms, n_features), as DScribe returns them.
    rows : (n_atoms,) int64 ndarray
        Where the atoms are in `spectra`.
    isometry : (n_features,) float64 ndarray
        Of `Soap`.
    trajectory : h5py.Dataset
        (n_frames, n_all, 3), positions of all atoms, wrapped into the box or not [length].
    boxes : (n_frames, 6) float64 ndarray
        Lengths [length] and angles [degree].
    units : str
        The dimensionless style of LAMMPS: times are numbers of frames.
    """

    path: Path
    name: str
    uuid: str
    config: LiveConfig
    periodic: tuple[bool, bool, bool]
    atom_ids: NDArray[np.int64]
    species: NDArray[np.int32]
    spectra: Any
    rows: NDArray[np.int64]
    isometry: NDArray[np.float64]
    trajectory: Any
    boxes: NDArray[np.float64]
    units: str = "lj"

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.boxes)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Number of every frame, counted from 0, shape (n_frames,)."""
        return np.arange(self.n_frames, dtype=np.int64)

    @property
    def times(self) -> NDArray[np.float64]:
        """The same as times, shape (n_frames,) [frames]."""
        return self.steps.astype(np.float64)

    def soap(self, k: int | slice) -> NDArray[np.float64]:
        """Return compact spectra of a frame, (n_atoms, n_features), or of frames.

        Not normalised: their inner products are those of the filled spectra of DScribe.
        """
        spectra = np.asarray(self.spectra[k], dtype=np.float64)[..., self.rows, :]
        return np.asarray(spectra * self.isometry)

    def positions(self, k: int) -> NDArray[np.float64]:
        """Return the positions of the described atoms, shape (n_atoms, 3) [length]."""
        return self._all_positions(k)[self.atom_ids]

    def box(self, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the box vectors as rows, shape (3, 3), and its corner, 0 [length].

        The first vector lies along x, the second in the xy plane.
        """
        box = self._box(k)
        return box.cell, box.origin

    def _box(self, k: int) -> Box:
        from ase import Atoms

        # a direction without a length is not periodic: any vector does
        cell = np.array(Atoms(cell=self.boxes[k]).cell.complete())
        return Box(cell, np.zeros(3), self.periodic)

    def neighbors(self, k: int) -> NeighborLists:
        """Return the neighbor lists of the described atoms, among all atoms and their images."""
        return periodic_neighbors(
            self._all_positions(k), self._box(k), self.atom_ids, self.config.lens_r_cut
        )

    def _all_positions(self, k: int) -> NDArray[np.float64]:
        """Return positions that are known to be some, (n_all, 3)."""
        positions = np.asarray(self.trajectory[k], dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            strange = ~(np.abs(self._box(k).fractions(positions)) < _FARTHEST).all(axis=1)
        if strange.any():
            atom = int(strange.argmax())
            raise AnalysisError(
                f"frame {k} of Trajectories/{self.name} of {self.trajectory.file.filename} has "
                f"atom {atom} at {positions[atom].tolist()}: expected finite numbers, less than "
                f"{_FARTHEST:g} box vectors from the corner. The simulation has blown up, or the "
                "file is damaged; leave this frame out."
            )
        return positions

    def refresh(self) -> int:
        """Return the number of frames: such a file does not grow."""
        return self.n_frames

    def __reduce__(self) -> tuple[Callable[[], SoapifyBuffer], tuple[()]]:
        # another process opens the files anew
        read = partial(
            _reopen,
            self.uuid,
            self.path,
            self.name,
            trajectories=self.trajectory.file.filename,
            lens_r_cut=self.config.lens_r_cut,
            periodic=self.periodic,
        )
        return read, ()


def _choose(path: Path, trajectories: Path, name: str | None) -> str:
    """Return the name that was asked for, or the only one, of a trajectory with spectra."""
    spectra, others = _names(path, "SOAP"), _names(trajectories, "Trajectories")
    names = [each for each in others if each in spectra]
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    if not names:
        raise AnalysisError(
            f"{path} has spectra of {', '.join(spectra) or 'nothing'}, but the trajectories are "
            f"{', '.join(others) or 'none'}: expected a name in common."
        )
    found = ", ".join(names)
    if name is not None:
        raise AnalysisError(f"name = {name!r}: {path} holds {found}.")
    raise AnalysisError(
        f"{path} holds several trajectories: {found}. Choose one: "
        f"read_soapify({path.name!r}, name={names[0]!r})."
    )


def _names(path: Path, group: str) -> list[str]:
    import h5py

    if not h5py.is_hdf5(path):
        raise AnalysisError(f"{path} is no HDF5 file, or not there.")
    with h5py.File(path) as file:
        if group not in file:
            raise AnalysisError(
                f"{path} has no group {group!r}: the layout of cpctools is Trajectories/NAME, and "
                "SOAP/NAME in the same file or another one."
            )
        return sorted(file[group])


def _identity(name: str, *paths: Path) -> str:
    """Return a UUID of a trajectory: another one if its files are others or have changed.

    Size and 64 blocks of 16 kB, evenly spread, of every file; small files as a whole.
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


def _open(path: Path, key: str, shape: tuple[int | None, ...]) -> Any:
    """Open a dataset whose frames are read one by one: HDF5 keeps the chunk that it unpacked."""
    import h5py

    with h5py.File(path) as file:
        if key not in file or not isinstance(file[key], h5py.Dataset):
            raise AnalysisError(f"{path} has no {key}, or it is no dataset.")
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
                f"{wanted}."
            )
        n_bytes = file[key].dtype.itemsize * math.prod(file[key].chunks or (1,))
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, n_bytes, 0.75)
    return h5py.Dataset(h5py.h5d.open(h5py.File(path).id, key.encode(), access))


def _settings(
    attributes: Mapping[str, Any], where: str, name: str, lens_r_cut: float | None
) -> LiveConfig:
    missing = [each for each in ("species", "r_cut", "n_max", "l_max") if each not in attributes]
    if missing:
        raise AnalysisError(
            f"{where} lacks the attributes {', '.join(missing)}: they say what its components are."
        )
    engine = attributes.get("SOAPengine", "dscribe")
    if engine != "dscribe":
        raise AnalysisError(f"{where} was computed by {engine}: only DScribe's order is known.")
    return LiveConfig(
        r_cut=attributes["r_cut"],
        elements=tuple(np.asarray(attributes["species"]).astype(str)),
        file=f"{name}.sdl",
        n_max=attributes["n_max"],
        l_max=attributes["l_max"],
        sigma=attributes.get("sigma", 1.0),
        lens_r_cut=lens_r_cut,  # type: ignore[arg-type]  # None becomes r_cut
    )


def _centers(spectra: Any, n_all: int, where: str) -> NDArray[np.int64]:
    """Return the index of every described atom in the trajectory."""
    given = np.atleast_1d(spectra.attrs.get("centersIndexes", np.arange(n_all)))
    is_index = given.dtype.kind in "iu" or (given.dtype.kind == "f" and (given % 1 == 0).all())
    if given.ndim != 1 or not is_index:
        raise AnalysisError(
            f"the attribute centersIndexes of {where} holds {given.dtype} of shape {given.shape}, "
            f"from {given.ravel()[0]}: expected whole numbers, one for each described atom."
        )
    if len(given) != spectra.shape[1] or not ((given >= 0) & (given < n_all)).all():
        raise AnalysisError(
            f"{where} describes {spectra.shape[1]} atoms; its attribute centersIndexes, by default "
            f"all, names {len(given)} of the {n_all} atoms of the trajectory."
        )
    centers = given.astype(np.int64)
    atoms, times = np.unique(centers, return_counts=True)
    if len(atoms) != len(centers):
        raise AnalysisError(
            f"the attribute centersIndexes of {where} names atom {atoms[times.argmax()]} "
            f"{times.max()} times: expected each described atom once."
        )
    return centers


def _species(symbols: NDArray[Any], config: LiveConfig, where: str) -> NDArray[np.int32]:
    index = {symbol: k for k, symbol in enumerate(config.species)}
    strange = sorted(set(symbols) - set(index))
    if strange:
        raise AnalysisError(
            f"{where} is made for {', '.join(index)}; its trajectory holds {', '.join(strange)}."
        )
    return np.array([index[symbol] for symbol in symbols], dtype=np.int32)


def _boxes(
    boxes: NDArray[np.float64], periodic: tuple[bool, bool, bool], r_cut: float, where: str
) -> NDArray[np.float64]:
    boxes[:, 3:][boxes[:, 3:] == 0.0] = 90.0  # no box may be written as zeros
    flat = ((boxes[:, :3] <= 0.0) & periodic).any(axis=1)
    if flat.any():
        frame = int(flat.argmax())
        raise AnalysisError(
            f"frame {frame} of {where} has box lengths {boxes[frame, :3].tolist()}: say which "
            "directions are periodic, as periodic=(False, False, False)."
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
