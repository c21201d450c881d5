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
from .soapify import lengths_and_angles, symbols, write_soapify

if TYPE_CHECKING:
    from ase import Atoms

    from strdyn_live.buffer import Buffer

    from .results import AnalysisResult

__all__ = ["FORMATS", "check_same_run", "export", "to_ase", "to_mda", "write_soapify"]

_Path = str | os.PathLike[str]

# MDAnalysis counts time in ps, as metal does; lj has no clock and stays as it is
_PICOSECONDS = {"real": 1e-3, "electron": 1e-3, "nano": 1e3, "micro": 1e6, "si": 1e12, "cgs": 1e12}


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
        For an unknown format; an `AnalysisError` if the buffer is not that of the result.
    ImportError
        If the format needs a package that is not installed.
    """
    if to not in FORMATS:
        raise ValueError(f"unknown format {to!r}: expected one of {', '.join(FORMATS)}.")
    check_same_run(result, buffer)
    path = Path(path)
    part = path.with_name(path.name + ".part")
    FORMATS[to](result, buffer, part)
    os.replace(part, path)
    return path


def check_same_run(result: AnalysisResult, buffer: Buffer) -> None:
    """Make sure that a result is of this buffer; a result that names none passes.

    Parameters
    ----------
    result : AnalysisResult
    buffer : Buffer

    Raises
    ------
    AnalysisError
        If the result is that of another run.
    """
    analysed = result.provenance.get("buffer_uuid")
    if analysed is not None and str(analysed) != str(buffer.uuid):
        raise AnalysisError(
            f"the result is of run {analysed}, but the buffer {buffer.config.file} holds run "
            f"{buffer.uuid}: give the buffer that was analysed, or analyse this one again."
        )


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
    """Return an in-memory `MDAnalysis.Universe` whose timesteps carry the labels.

    Parameters
    ----------
    result : AnalysisResult
    buffer : Buffer

    Returns
    -------
    MDAnalysis.Universe
        ``timestep.data`` holds ``soap``, ``lens``, ``soap_lens``, ``delta`` and ``step`` of the
        frame that was read: ``u.atoms[ts.data["soap_lens"] == 3]``. Each has its own time, in ps
        (lj: in units of the run), also after a gap.

    Raises
    ------
    AnalysisError
        If the buffer is not that of the result.
    ImportError
        Without MDAnalysis.
    """
    try:
        import MDAnalysis
        from MDAnalysis.coordinates.memory import MemoryReader
    except ImportError as error:
        raise ImportError("to_mda needs MDAnalysis: pip install MDAnalysis.") from error
    frames = list(_frames(result, buffer))
    times = [frame.time * _PICOSECONDS.get(buffer.units, 1.0) for frame in frames]

    class LabelReader(MemoryReader):  # type: ignore[misc]
        # transformations of a reader in memory are applied once, not whenever a frame is read
        def _read_next_timestep(self, ts: Any = None) -> Any:
            ts = super()._read_next_timestep(ts)
            frame = frames[ts.frame]
            ts.data.update(frame.labels, delta=frame.delta, step=frame.step)
            ts.time = times[ts.frame]
            return ts

    first = frames[0]
    universe = MDAnalysis.Universe.empty(len(first.atom_ids), trajectory=True)
    universe.add_TopologyAttr("ids", first.atom_ids)
    for attribute in ("names", "types", "elements"):
        universe.add_TopologyAttr(attribute, first.symbols)
    universe.load_new(
        np.array([frame.positions for frame in frames], dtype=np.float32),
        format=LabelReader,
        order="fac",
        dimensions=np.array([lengths_and_angles(frame.cell) for frame in frames]),
        dt=times[1] - times[0] if len(times) > 1 else 1.0,
    )
    return universe


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
    check_same_run(result, buffer)
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
    elements = symbols(buffer)
    for k, step in enumerate(first.steps):
        at = int(np.searchsorted(buffer.steps, step))
        cell, origin = buffer.box(at)
        yield _Frame(
            step=int(step),
            time=float(first.times[k]),
            cell=cell,
            origin=origin,
            atom_ids=first.atom_ids,
            symbols=[elements[row] for row in rows],
            types=buffer.species[rows] + 1,
            positions=buffer.positions(at)[rows],
            labels={name: result[name].final.labels[k].copy() for name in ROUTES},
            delta=result["lens"].scores[k, :, 0].astype(np.float64),
        )


def _iter_ase(result: AnalysisResult, buffer: Buffer) -> Iterator[Atoms]:
    from ase import Atoms

    for frame in _frames(result, buffer):
        atoms = Atoms(
            frame.symbols, positions=frame.positions, cell=frame.cell, pbc=buffer.periodic
        )
        atoms.arrays.update(id=frame.atom_ids.copy(), **frame.labels, delta=frame.delta)
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
        file.write(f"ITEM: UNITS\n{buffer.units}\n")
        for frame in _frames(result, buffer):
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


FORMATS: dict[str, Callable[..., None]] = {
    "extxyz": _write_extxyz,
    "dump": _write_dump,
    "csv": _write_csv,
    "chemiscope": _write_chemiscope,
    "soapify": _write_soapify,
}
