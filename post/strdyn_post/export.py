"""Results for other programs: OVITO, ASE, MDAnalysis, spreadsheets, cpctools, chemiscope."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .explorer import explorer_data
from .palette import make_palettes
from .results import ROUTES
from .series import AnalysisError

if TYPE_CHECKING:
    from ase import Atoms

    from strdyn_live.buffer import Buffer

    from .results import AnalysisResult

__all__ = ["FORMATS", "export", "to_ase", "to_mda", "write_soapify"]

_Path = str | os.PathLike[str]


def export(result: AnalysisResult, buffer: Buffer, to: str, path: _Path) -> Path:
    """Write a result in the format of another program.

    Labels are those after merging, one column for each route, −1 for none; `delta` is the smoothed
    LENS signal. Every file holds the frames of the result, the atoms by their IDs.

    Parameters
    ----------
    result : AnalysisResult
    buffer : Buffer
        What was analysed.
    to : {"extxyz", "dump", "csv", "chemiscope", "soapify"}
        Extended XYZ (OVITO, ASE), LAMMPS dump (OVITO, LAMMPS), CSV, the explorer's data (open it
        at chemiscope.org), trajectory and spectra in the HDF5 layout of cpctools.
    path : path
        The file to write; an older one is replaced.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        For an unknown format, or a buffer that is not that of the result.
    ImportError
        If the format needs a package that is not installed.
    """
    if to not in FORMATS:
        raise ValueError(f"unknown format {to!r}: expected one of {', '.join(FORMATS)}.")
    path = Path(path)
    part = path.with_name(path.name + ".part")
    FORMATS[to](result, buffer, part)
    os.replace(part, path)
    return path


def to_ase(result: AnalysisResult, buffer: Buffer) -> list[Atoms]:
    """Return one `ase.Atoms` for each frame, with labels and δ as arrays.

    Parameters
    ----------
    result : AnalysisResult
    buffer : Buffer

    Returns
    -------
    list of ase.Atoms
        Arrays ``id``, ``soap``, ``lens``, ``soap_lens``, ``delta``; info ``step``, ``time``,
        ``Origin`` (the corner of the box).
    """
    return list(_iter_ase(result, buffer))


def to_mda(result: AnalysisResult, buffer: Buffer) -> Any:
    """Return an in-memory `MDAnalysis.Universe` whose atoms follow their environment.

    Parameters
    ----------
    result : AnalysisResult
    buffer : Buffer

    Returns
    -------
    MDAnalysis.Universe
        Positions of all frames; B factors (``tempfactors``) hold the label of SOAP&LENS and
        ``occupancies`` hold δ, both set anew whenever a frame is read.

    Raises
    ------
    ImportError
        Without MDAnalysis.
    """
    try:
        import MDAnalysis
        from MDAnalysis.coordinates.memory import MemoryReader
    except ImportError as error:
        raise ImportError("to_mda needs MDAnalysis: pip install MDAnalysis.") from error
    frames = list(_frames(result, buffer))
    universe = MDAnalysis.Universe.empty(len(frames[0].atom_ids), trajectory=True)
    names = list(frames[0].symbols)
    for attribute, values in (
        ("ids", frames[0].atom_ids),
        ("names", names),
        ("types", names),
        ("elements", names),
        ("tempfactors", np.zeros(len(names))),
        ("occupancies", np.zeros(len(names))),
    ):
        universe.add_TopologyAttr(attribute, values)
    times = [frame.time for frame in frames]
    universe.load_new(
        np.array([frame.positions for frame in frames], dtype=np.float32),
        format=MemoryReader,
        order="fac",
        dimensions=np.array([_lengths_and_angles(frame.cell) for frame in frames]),
        dt=times[1] - times[0] if len(times) > 1 else 1.0,
        time_offset=times[0],
    )

    def follow(timestep: Any) -> Any:
        frame = frames[timestep.frame]
        universe.atoms.tempfactors = frame.labels["soap_lens"].astype(np.float64)
        universe.atoms.occupancies = frame.delta
        return timestep

    universe.trajectory.add_transformations(follow)
    return universe


def write_soapify(buffer: Buffer, path: _Path, name: str | None = None) -> Path:
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
        group["Types"] = np.array(_symbols(buffer), dtype=h5py.string_dtype())
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
            box[rows] = [_lengths_and_angles(buffer.box(k)[0]) for k in frames]
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


@dataclass(frozen=True)
class _Frame:
    """One frame of a result: positions of the buffer, labels of the routes, by atom ID."""

    step: int
    time: float
    cell: NDArray[np.float64]
    origin: NDArray[np.float64]
    atom_ids: NDArray[np.int64]
    symbols: list[str]
    types: NDArray[np.int32]
    positions: NDArray[np.float64]
    labels: dict[str, NDArray[np.int32]]
    delta: NDArray[np.float64]


def _frames(result: AnalysisResult, buffer: Buffer) -> Iterator[_Frame]:
    """Join result and buffer by step and atom ID."""
    first = result["soap_lens"]
    missing = np.setdiff1d(first.steps, buffer.steps)
    strange = np.setdiff1d(first.atom_ids, buffer.atom_ids)
    if len(missing) or len(strange):
        what = f"step {missing[0]}" if len(missing) else f"atom {strange[0]}"
        raise AnalysisError(
            f"{what} of the result is not in the buffer {buffer.config.file}: "
            "give the buffer that was analysed."
        )
    rows = np.searchsorted(buffer.atom_ids, first.atom_ids)
    symbols = [_symbols(buffer)[row] for row in rows]
    for k, step in enumerate(first.steps):
        at = int(np.searchsorted(buffer.steps, step))
        cell, origin = buffer.box(at)
        yield _Frame(
            step=int(step),
            time=float(first.times[k]),
            cell=cell,
            origin=origin,
            atom_ids=first.atom_ids,
            symbols=symbols,
            types=buffer.species[rows] + 1,
            positions=buffer.positions(at)[rows],
            labels={name: result[name].final.labels[k] for name in ROUTES},
            delta=result["lens"].scores[k, :, 0].astype(np.float64),
        )


def _symbols(buffer: Buffer) -> list[str]:
    species = buffer.config.species
    return [species[index] for index in buffer.species]


def _iter_ase(result: AnalysisResult, buffer: Buffer) -> Iterator[Atoms]:
    from ase import Atoms

    for frame in _frames(result, buffer):
        atoms = Atoms(
            frame.symbols, positions=frame.positions, cell=frame.cell, pbc=buffer.periodic
        )
        atoms.new_array("id", frame.atom_ids)
        for name, labels in frame.labels.items():
            atoms.new_array(name, labels)
        atoms.new_array("delta", frame.delta)
        atoms.info.update(step=frame.step, time=frame.time, Origin=frame.origin)
        yield atoms


def _write_extxyz(result: AnalysisResult, buffer: Buffer, path: Path) -> None:
    from ase.io.extxyz import write_extxyz

    columns = ["symbols", "positions", "id", *ROUTES, "delta"]
    with path.open("w", encoding="utf-8") as file:
        for atoms in _iter_ase(result, buffer):
            write_extxyz(file, [atoms], columns=columns)


def _write_dump(result: AnalysisResult, buffer: Buffer, path: Path) -> None:
    periodic = ["pp" if each else "ff" for each in buffer.periodic]
    with path.open("w", encoding="utf-8") as file:
        for frame in _frames(result, buffer):
            file.write(f"ITEM: UNITS\n{buffer.units}\n")
            file.write(f"ITEM: TIME\n{frame.time!r}\nITEM: TIMESTEP\n{frame.step}\n")
            file.write(f"ITEM: NUMBER OF ATOMS\n{len(frame.atom_ids)}\n")
            file.write(_box_bounds(frame.cell, frame.origin, periodic))
            file.write(f"ITEM: ATOMS id type element x y z {' '.join(ROUTES)} delta\n")
            for row, atom_id in enumerate(frame.atom_ids):
                x, y, z = frame.positions[row]
                labels = " ".join(str(frame.labels[name][row]) for name in ROUTES)
                file.write(
                    f"{atom_id} {frame.types[row]} {frame.symbols[row]} "
                    f"{x:.8g} {y:.8g} {z:.8g} {labels} {frame.delta[row]:.6g}\n"
                )


def _box_bounds(cell: NDArray[np.float64], origin: NDArray[np.float64], periodic: list[str]) -> str:
    """Return the box section of a dump: bounds of the box that holds the tilted one."""
    above = cell[np.triu_indices(3, 1)]
    if np.abs(above).max() > 1e-6 * np.abs(cell).max():
        raise AnalysisError(
            "a LAMMPS dump needs the first box vector along x and the second in the xy plane; "
            f"found {cell.tolist()}. Export to extxyz instead."
        )
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    low, high = origin, origin + np.diag(cell)
    if not (xy or xz or yz):
        rows = [f"{a!r} {b!r}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        return "\n".join([f"ITEM: BOX BOUNDS {' '.join(periodic)}", *rows, ""])
    bounds = [
        (low[0] + min(0, xy, xz, xy + xz), high[0] + max(0, xy, xz, xy + xz), xy),
        (low[1] + min(0, yz), high[1] + max(0, yz), xz),
        (low[2], high[2], yz),
    ]
    rows = [" ".join(repr(float(value)) for value in row) for row in bounds]
    return "\n".join([f"ITEM: BOX BOUNDS xy xz yz {' '.join(periodic)}", *rows, ""])


def _write_csv(result: AnalysisResult, buffer: Buffer, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("step,time,atom_id,x,y,z," + ",".join(ROUTES) + ",delta\n")
        for frame in _frames(result, buffer):
            for row, atom_id in enumerate(frame.atom_ids):
                x, y, z = frame.positions[row]
                labels = ",".join(str(frame.labels[name][row]) for name in ROUTES)
                file.write(
                    f"{frame.step},{frame.time!r},{atom_id},{x:.8g},{y:.8g},{z:.8g},"
                    f"{labels},{frame.delta[row]:.6g}\n"
                )


def _write_chemiscope(result: AnalysisResult, buffer: Buffer, path: Path) -> None:
    palettes = make_palettes(result.routes)
    text = json.dumps(explorer_data(result, buffer, palettes), separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _write_soapify(_result: AnalysisResult, buffer: Buffer, path: Path) -> None:
    write_soapify(buffer, path)


def _species_blocks(
    species: tuple[str, ...], n_max: int, l_max: int
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
    """Return where every ordered pair of species lies, and the factor of every compact component."""
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


def _lengths_and_angles(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a, b, c, α, β, γ of a box with vectors as rows, angles in degrees."""
    lengths = np.linalg.norm(cell, axis=1)
    a, b, c = cell / lengths[:, None]
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip([b @ c, a @ c, a @ b], -1, 1)))])


FORMATS: dict[str, Callable[..., None]] = {
    "extxyz": _write_extxyz,
    "dump": _write_dump,
    "csv": _write_csv,
    "chemiscope": _write_chemiscope,
    "soapify": _write_soapify,
}
