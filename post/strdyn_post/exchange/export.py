"""Results for other programs: OVITO, ASE, MDAnalysis, spreadsheets, cpctools, chemiscope."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from strdyn_live.buffer.storage import ForgivingFile
from strdyn_post.files.output import OutputError, check_not_in_buffer, is_ours, new_file, write_text
from strdyn_post.page.explorer import explorer_data
from strdyn_post.palette import make_palettes
from strdyn_post.results import ROUTES
from strdyn_post.signal.series import AnalysisError

from .soapify import CREATOR, lengths_and_angles, symbols, write_soapify, write_soapify_into

if TYPE_CHECKING:
    from ase import Atoms

    from strdyn_live.buffer import Buffer
    from strdyn_post.results import AnalysisResult

__all__ = [
    "FORMATS",
    "check_output",
    "check_same_run",
    "export",
    "to_ase",
    "to_mda",
    "write_soapify",
]

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
        The file to write; an older export of this format is replaced, another file is not.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        For an unknown format; an `AnalysisError` if the buffer is not that of the result.
    OutputError
        If the file cannot be written, or another one has its name.
    ImportError
        If the format needs a package that is not installed.
    """
    check_same_run(result, buffer)
    path = check_output(to, path)
    with new_file(path) as file:
        FORMATS[to].write(result, buffer, file)
    return path


def check_output(to: str, path: _Path) -> Path:
    """Raise what `export` would, as far as format and file tell; return the path."""
    if to not in FORMATS:
        raise ValueError(f"unknown format {to!r}: expected one of {', '.join(FORMATS)}.")
    path = Path(path)
    check_not_in_buffer(path)
    if path.is_dir() or not path.name:
        raise OutputError(f"cannot write {path}: it is a folder. Give the name of a file (-o).")
    if os.path.lexists(path) and not is_ours(path, FORMATS[to].sign):
        raise OutputError(
            f"cannot write {path}: it is there, and is no {to} that strdyn has written. "
            "Move it away, or give another file (-o)."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write {path}: its folder is not there, or this user has no right to write "
            "there. Give another file (-o)."
        )
    return path


def check_same_run(result: AnalysisResult, buffer: Buffer) -> None:
    """Make sure that a buffer holds what was analysed; what a result does not name passes.

    Parameters
    ----------
    result : AnalysisResult
    buffer : Buffer

    Raises
    ------
    AnalysisError
        If the result is that of another run, or frames or atoms of it have gone.
    """
    analysed = result.provenance.get("buffer_uuid")
    if analysed is not None and str(analysed) != str(buffer.uuid):
        raise AnalysisError(
            f"the result is of run {analysed}, but the buffer {buffer.config.file} holds run "
            f"{buffer.uuid}: give the buffer that was analysed, or analyse this one again."
        )
    first = result["soap_lens"]
    missing = np.setdiff1d(first.steps, buffer.steps)
    strange = np.setdiff1d(first.atom_ids, buffer.atom_ids)
    if len(missing) or len(strange):
        what = f"step {missing[0]}" if len(missing) else f"atom {strange[0]}"
        raise AnalysisError(
            f"{what} of the result is not in the buffer {buffer.config.file}: give the buffer that "
            "was analysed. If it is this one, frames have gone (`strdyn verify` names what is "
            "damaged): analyse it again."
        )
    _check_same_frames(result.provenance, buffer)


def _check_same_frames(provenance: Mapping[str, Any], buffer: Buffer) -> None:
    """Raise if frames went, or gave way to others, since they were analysed."""
    if not {"n_frames", "first_step", "last_step"} <= provenance.keys():
        return
    first, last, n_frames = (provenance[name] for name in ("first_step", "last_step", "n_frames"))
    found = int(((buffer.steps >= first) & (buffer.steps <= last)).sum())
    if found != n_frames:
        raise AnalysisError(
            f"{n_frames} frames from step {first} to {last} were analysed, the buffer "
            f"{buffer.config.file} now holds {found}: `strdyn verify` names what is damaged. "
            "Analyse it again."
        )
    starts = getattr(buffer, "generations", {})
    known = provenance.get("generations", starts)
    for start, step in starts.items():
        if start not in known and step is not None and step < last:
            raise AnalysisError(
                f"the run went on from step {step} after the analysis of steps {first} to {last}: "
                f"the frames in {buffer.config.file} are others now. Analyse it again."
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


def _write_extxyz(result: AnalysisResult, buffer: Buffer, file: ForgivingFile) -> None:
    from ase.io.extxyz import write_extxyz

    columns = ["symbols", "positions", "id", *ROUTES, "delta"]
    for atoms in _iter_ase(result, buffer):
        text = io.StringIO()
        write_extxyz(text, [atoms], columns=columns)
        write_text(file, text.getvalue())


def _write_dump(result: AnalysisResult, buffer: Buffer, file: ForgivingFile) -> None:
    periodic = ["pp" if each else "ff" for each in buffer.periodic]
    write_text(file, f"ITEM: UNITS\n{buffer.units}\n")
    for frame in _frames(result, buffer):
        lines = [
            f"ITEM: TIME\n{frame.time!r}\nITEM: TIMESTEP\n{frame.step}\n",
            f"ITEM: NUMBER OF ATOMS\n{len(frame.atom_ids)}\n",
            _box_bounds(frame.cell, frame.origin, periodic),
            f"ITEM: ATOMS id type element x y z {_COLUMNS}\n".replace(",", " "),
        ]
        for row, atom_id in enumerate(frame.atom_ids):
            x, y, z = frame.positions[row]
            labels = " ".join(str(frame.labels[name][row]) for name in ROUTES)
            lines.append(
                f"{atom_id} {frame.types[row]} {frame.symbols[row]} "
                f"{x:.8g} {y:.8g} {z:.8g} {labels} {frame.delta[row]:.6g}\n"
            )
        write_text(file, "".join(lines))


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


def _write_csv(result: AnalysisResult, buffer: Buffer, file: ForgivingFile) -> None:
    write_text(file, f"step,time,atom_id,x,y,z,{_COLUMNS}\n")
    for frame in _frames(result, buffer):
        lines = []
        for row, atom_id in enumerate(frame.atom_ids):
            x, y, z = frame.positions[row]
            labels = ",".join(str(frame.labels[name][row]) for name in ROUTES)
            lines.append(
                f"{frame.step},{frame.time!r},{atom_id},{x:.8g},{y:.8g},{z:.8g},"
                f"{labels},{frame.delta[row]:.6g}\n"
            )
        write_text(file, "".join(lines))


def _write_chemiscope(result: AnalysisResult, buffer: Buffer, file: ForgivingFile) -> None:
    palettes = make_palettes(result.routes)
    text = json.dumps(explorer_data(result, buffer, palettes), separators=(",", ":"))
    # no time stamp: the same analysis makes the same file
    with gzip.GzipFile(CREATOR, "wb", 9, cast("BinaryIO", file), mtime=0) as packed:
        packed.write(text.encode())


def _write_soapify(_result: AnalysisResult, buffer: Buffer, file: ForgivingFile) -> None:
    write_soapify_into(file, buffer)


class _Format(NamedTuple):
    write: Callable[[AnalysisResult, Buffer, ForgivingFile], None]
    sign: str
    """What stands near the beginning of every file of this format that we write."""


_COLUMNS = ",".join((*ROUTES, "delta"))

FORMATS = {
    "extxyz": _Format(_write_extxyz, ":soap:I:1:lens:I:1:soap_lens:I:1:delta:R:1"),
    "dump": _Format(_write_dump, _COLUMNS.replace(",", " ")),
    "csv": _Format(_write_csv, _COLUMNS),
    "chemiscope": _Format(_write_chemiscope, CREATOR),
    "soapify": _Format(_write_soapify, CREATOR),
}
