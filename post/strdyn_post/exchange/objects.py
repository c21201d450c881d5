"""Results as objects of other packages: ASE, MDAnalysis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_live.box import lengths_and_angles
from strdyn_post.quantities import in_picoseconds
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES

from .labelled_frames import labelled_frames

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["iter_ase", "to_ase", "to_mda"]


def to_ase(result: AnalysisResult, recording: Recording) -> list[Atoms]:
    """Return one `ase.Atoms` for each frame, with labels and δ as arrays.

    Parameters
    ----------
    result : AnalysisResult
    recording : Recording

    Returns
    -------
    list of ase.Atoms
        Arrays ``id``, ``soap``, ``lens``, ``soap_lens``, ``delta``, ``expected_events``; info
        ``step``, ``time``, ``Origin`` (the corner of the box).
    """
    return list(iter_ase(result, recording))


def iter_ase(result: AnalysisResult, recording: Recording) -> Iterator[Atoms]:
    """Yield the frames of `to_ase`."""
    from ase import Atoms

    legends = {f"{name}_names": result.names[name].legend for name in ROUTES}
    for frame in labelled_frames(result, recording):
        atoms = Atoms(
            frame.symbols, positions=frame.positions, cell=frame.cell, pbc=recording.periodic
        )
        atoms.arrays.update(id=frame.atom_ids.copy(), **frame.numbers, **frame.values)
        atoms.info.update(step=frame.step, time=frame.time, Origin=frame.origin, **legends)
        yield atoms


def to_mda(result: AnalysisResult, recording: Recording) -> Any:
    """Return an in-memory `MDAnalysis.Universe` whose timesteps carry the labels.

    Parameters
    ----------
    result : AnalysisResult
    recording : Recording

    Returns
    -------
    MDAnalysis.Universe
        ``timestep.data`` holds ``soap``, ``lens``, ``soap_lens``, ``delta``, ``expected_events``
        and ``step`` of the current frame: ``u.atoms[ts.data["soap_lens"] == 3]``. Every frame has
        its own time in ps (lj: in units of the run), also after a gap.

    Raises
    ------
    AnalysisError
        If the result is of another recording.
    ImportError
        If MDAnalysis is not installed.
    """
    try:
        import MDAnalysis
        from MDAnalysis.coordinates.memory import MemoryReader
    except ImportError as error:
        raise ImportError("to_mda needs MDAnalysis: pip install MDAnalysis.") from error
    frames = list(labelled_frames(result, recording))
    # MDAnalysis has times in ps; those of lj are not converted
    times = [frame.time * in_picoseconds(recording.units) for frame in frames]

    class LabelReader(MemoryReader):  # type: ignore[misc]
        # MDAnalysis applies transformations in memory only once, not each time a frame is read
        def _read_next_timestep(self, ts: Any = None) -> Any:
            ts = super()._read_next_timestep(ts)
            frame = frames[ts.frame]
            ts.data.update(frame.numbers, **frame.values, step=frame.step)
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
