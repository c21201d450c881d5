"""Files of cpctools (SOAPify) as a recording, so that they can be analysed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live import LiveConfig
from strdyn_live.box import Box
from strdyn_live.neighbors import NeighborLists
from strdyn_live.soap import Soap
from strdyn_post.errors import AnalysisError

from .periodic import periodic_neighbors
from .soapify_layout import (
    centers_of,
    checked_boxes,
    choose,
    identity,
    open_dataset,
    settings_of,
    species_of,
)

__all__ = ["SoapifyBuffer", "is_soapify", "read_soapify"]

_Path = str | os.PathLike[str]

_TRAJECTORY = {"Types": (None,), "Trajectory": (None, None, 3), "Box": (None, 6)}
_FARTHEST = 1e6  # box vectors from the corner; beyond, positions have too few digits


def is_soapify(path: _Path) -> bool:
    """Whether a file holds trajectories and spectra in the layout of cpctools."""
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

    The layout holds no neighbor lists: they are computed when they are read, among all atoms of
    the trajectory. It holds no timesteps: steps and times are numbers of frames.

    Parameters
    ----------
    path : path
        HDF5 file with ``SOAP/NAME``, spectra as DScribe returns them, and ``Trajectories/NAME``.
    name : str, optional
        Name of the trajectory; needed if the file holds several.
    trajectories : path, optional
        The file that holds ``Trajectories/NAME``, if it is another one.
    lens_r_cut : float, optional
        Cutoff of the neighbor lists [length]; by default `r_cut` of the spectra.
    periodic : (bool, bool, bool)
        Periodic directions of the box. The layout does not hold them; cpctools takes all three.

    Returns
    -------
    SoapifyBuffer

    Raises
    ------
    AnalysisError
        If the file has another layout, or its parts do not fit together.
    ConfigError
        If a setting of the spectra, or the cutoff, is impossible.
    """
    path, other = Path(path).absolute(), Path(trajectories or path).absolute()
    name = choose(path, other, name)
    where = f"SOAP/{name} of {path}"
    spectra = open_dataset(path, f"SOAP/{name}", (None, None, None))
    types, trajectory, boxes = (
        open_dataset(other, f"Trajectories/{name}/{part}", shape)
        for part, shape in _TRAJECTORY.items()
    )
    if not len(spectra) == len(trajectory) == len(boxes):
        raise AnalysisError(
            f"{where} has {len(spectra)} frames, but its trajectory has {len(trajectory)} and its "
            f"box {len(boxes)}: expected the same number. Give spectra and "
            "trajectory of one run that were written to the end."
        )
    config = settings_of(spectra.attrs, where, name, lens_r_cut)
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
            f"types of {len(types)}: expected the same number. Write the file again."
        )
    centers = centers_of(spectra, len(types), where)
    rows = np.argsort(centers)
    return SoapifyBuffer(
        path=path,
        name=name,
        uuid=identity(name, *dict.fromkeys((path, other))),
        config=config,
        periodic=periodic,
        atom_ids=centers[rows],
        species=species_of(types.asstr()[:][centers[rows]], config, where),
        spectra=spectra,
        rows=rows,
        isometry=soap.isometry,
        trajectory=trajectory,
        boxes=checked_boxes(boxes[:].astype(np.float64), periodic, config.lens_r_cut, where),
    )


def _reopen(uuid: str, path: Path, name: str, **options: Any) -> SoapifyBuffer:
    """Open the same file in another process."""
    buffer = read_soapify(path, name, **options)
    if buffer.uuid != uuid:
        raise AnalysisError(
            f"{path} on host {socket.gethostname()} is not the file with which the analysis began, "
            f"or it has changed: its identity is {buffer.uuid}, expected {uuid}. Let all workers "
            "see the same file under this path."
        )
    return buffer


@dataclass(frozen=True)
class SoapifyBuffer:
    """A `Recording` from a file in the layout of cpctools (see `read_soapify`).

    Attributes
    ----------
    path : Path
        The file of the spectra.
    name : str
        Name of the trajectory in the file.
    uuid : str
        Identity of the trajectory, made from its name and from size and samples of its files.
    config : LiveConfig
        Settings of spectra and neighbor lists; `file` is named after the trajectory.
    periodic : (bool, bool, bool)
        Periodic directions of the box.
    atom_ids : (n_atoms,) int64 ndarray
        Index of the described atoms in the trajectory, counted from 0.
    species : (n_atoms,) int32 ndarray
        Index into ``config.species``.
    spectra : h5py.Dataset
        (n_frames, n_atoms, n_features), as DScribe returns them.
    rows : (n_atoms,) int64 ndarray
        Rows of the atoms in `spectra`.
    isometry : (n_features,) float64 ndarray
        Factor of every component (see `Soap`).
    trajectory : h5py.Dataset
        (n_frames, n_all, 3), positions of all atoms, wrapped into the box or not [length].
    boxes : (n_frames, 6) float64 ndarray
        Lengths [length] and angles [degree].
    units : str
        "lj", the dimensionless style of LAMMPS: times are numbers of frames.
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
        """The steps as times, shape (n_frames,) [frames]."""
        return self.steps.astype(np.float64)

    def soap(self, k: int | slice) -> NDArray[np.float64]:
        """Return compact spectra of a frame, (n_atoms, n_features), or of a slice of frames.

        They are not normalised: their inner products are those of the filled spectra of DScribe.
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

        # a direction without a length is not periodic: any vector can stand for it
        cell = np.array(Atoms(cell=self.boxes[k]).cell.complete())
        return Box(cell, np.zeros(3), self.periodic)

    def neighbors(self, k: int) -> NeighborLists:
        """Return the neighbor lists of the described atoms, among all atoms and their images."""
        return periodic_neighbors(
            self._all_positions(k), self._box(k), self.atom_ids, self.config.lens_r_cut
        )

    def _all_positions(self, k: int) -> NDArray[np.float64]:
        """Return the positions of all atoms, (n_all, 3); raise for an impossible one."""
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
        # another process opens the files again
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
