"""From a trajectory to a buffer: the flow of a live run, for frames that are there already."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_live import open_buffer
from strdyn_live.buffer import Buffer, BufferWriter
from strdyn_live.describe import describe, reach_of
from strdyn_live.frame import Frame
from strdyn_live.parallel import Ranks
from strdyn_live.reduction import Reduction
from strdyn_live.soap import Soap
from strdyn_post.errors import ConfigError, TrajectoryError
from strdyn_post.quantities import UNIT_STYLES
from strdyn_post.work import Progress

from .followed import Followed, View
from .snapshot import Snapshot
from .trajectories import open_trajectory
from .trajectory import Trajectory, Unread

__all__ = ["collect"]

_MEMORY = 2e9  # bytes that the frames described at once may take

_Numbered = tuple[int, Unread]


def collect(
    trajectory: Any,
    file: str | os.PathLike[str],
    *,
    topology: str | os.PathLike[str] | None = None,
    begin: int = 0,
    end: int | None = None,
    step: int = 1,
    atoms: str = "all",
    periodic: str | tuple[bool, bool, bool] | None = None,
    units: str | None = None,
    timestep: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Buffer:
    """Make a buffer from a trajectory: the same as that of a live run, to the file's precision.

    Frames are streamed: of the trajectory only those being described are in memory. If it is
    interrupted, the same call goes on after the last committed frame; it describes that one again,
    and compares. So a trajectory that has grown can be collected again as well.

    Parameters
    ----------
    trajectory : path, MDAnalysis.Universe, MDAnalysis.AtomGroup, or iterable
        A LAMMPS dump in text form; XTC, TRR, DCD, GRO, PDB, LAMMPS data and others that MDAnalysis
        reads; extended XYZ and others that ASE reads. Or an iterable of `ase.Atoms` or of
        `Snapshot`.
    file : path
        The buffer, a folder ``NAME.sdl``.
    topology : path, optional
        What the atoms are, where the trajectory does not tell (XTC, TRR, DCD); for a dump, more to
        select by.
    begin, end, step : int
        Frames `begin`, `begin` + `step`, … before `end`, counted from 0.
    atoms : str
        Selection of the atoms that there are, such as "not name MW" to leave out virtual sites.
    periodic : str or three bool, optional
        Periodic directions, such as "xy" or "none". By default those that the trajectory tells; if
        it tells none, all directions with a box vector.
    units : str, optional
        Unit style of LAMMPS for lengths and times; by default that of the dump, or metal (Å, ps).
    timestep : float, optional
        Time from one step to the next [time unit of the run]: time = step x timestep. Needed where
        the trajectory has no times. Where it has no steps, frames are counted, and this is the time
        from one frame to the next.
    threads : int, optional
        Threads that describe; by default one for each core. The numbers do not depend on it.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    **settings
        Of `LiveConfig`: r_cut, elements, n_max, ...; `centers` and `lens_environment` are
        selections in the language of MDAnalysis, made in the first frame. `elements` may be left
        out if the trajectory tells the elements.

    Returns
    -------
    Buffer
        The buffer, opened for reading.

    Raises
    ------
    TrajectoryError
        If the trajectory cannot be read or described. All frames before are in the buffer.
    ConfigError
        If a setting is missing or wrong.
    BufferError
        If the buffer cannot be written, or is that of something else.
    ImportError
        If a format or a selection needs a package that is missing.

    Examples
    --------
    Four copper atoms that do not move, in three frames 2 ps apart.

    >>> import tempfile
    >>> from strdyn_post import Snapshot, collect
    >>> places = [[0, 0, 0], [0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]
    >>> frame = Snapshot.of(places, ["Cu"] * 4, cell=[3.6, 3.6, 3.6])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     buf = collect([frame] * 3, f"{folder}/cu.sdl", r_cut=3.0, n_max=4, timestep=2.0)
    ...     buf.times.tolist(), buf.neighbors(0)[0].tolist()
    ([0.0, 2.0, 4.0], [2, 3, 4])
    """
    _check(begin, end, step, units, timestep, threads)
    view = View(atoms, periodic, None if topology is None else Path(topology))
    source = open_trajectory(trajectory, view, settings.get("elements") or (), units or "metal")
    chosen = islice(enumerate(source.frames()), begin, end, step)
    first = _first(chosen, source, begin, end)
    given = {**settings, "file": os.fspath(file), "append": True}
    followed = Followed.find(first[1].read(), source.atoms, view, given)
    describer = _Describer(followed, source.name, timestep, threads)
    writer = BufferWriter(
        followed.config,
        atom_ids=followed.atom_ids,
        species=followed.species,
        units=_same_units(source, units),
        periodic=followed.periodic,
        provenance={"trajectory": source.name, "begin": begin, "stride": step},
    )
    reduction, alone = Reduction(followed.config), Ranks()
    with writer, ThreadPoolExecutor(describer.at_once) as pool:
        missing = _missing(chain([first], chosen), writer, source.name)
        try:
            for frame in _in_order(pool, describer, missing):
                writer.append(reduction.of_frame(frame, alone))
                reduction.resume(writer.path, frame, alone)
                _tell(progress, writer.n_frames, _expected(source, slice(begin, end, step)))
        except ValueError as error:
            kept = f"All frames before are safe: {writer.n_frames} are in {writer.path}."
            raise TrajectoryError(f"{error} {kept if writer.n_frames else ''}".strip()) from error
        _tell(progress, writer.n_frames, writer.n_frames)
    return open_buffer(writer.path)


class _Describer:
    """Describes the centers of a frame, as `Recorder` does.

    Attributes
    ----------
    at_once : int
        Frames that are described at the same time, as far as they fit into memory.
    """

    def __init__(
        self, followed: Followed, name: str, timestep: float | None, threads: int | None
    ) -> None:
        self._followed, self._name, self._timestep = followed, name, timestep
        self._soap = Soap.of(followed.config)
        self._soap.check()
        n_threads = threads or _cores()
        # spectra in single precision, with DScribe in double as well; atoms with their images
        size = len(followed.atom_ids) * self._soap.n_features * 12 + len(followed.all_ids) * 500
        self.at_once = int(np.clip(_MEMORY // size, 1, n_threads))
        self._threads = max(1, n_threads // self.at_once)

    def __call__(self, number: int, step: int, snapshot: Snapshot) -> Frame:
        """Return what is stored of a frame."""
        where = f"frame {number} (step {step}) of {self._name}"
        reach = reach_of(self._soap, self._followed.config)
        time = self._time(where, step, snapshot.time)
        seen = self._followed.seen(snapshot)
        frame, species = self._followed.local_frame(seen, where, step, time, reach)
        rows = describe(frame, species, self._soap, self._followed.config, threads=self._threads)
        # as they lie in the trajectory: a live run does not wrap either
        return replace(rows.frame, positions=seen.positions[self._followed.centers])

    def _time(self, where: str, step: int, told: float | None) -> float:
        if self._timestep is not None:
            return step * self._timestep
        if told is None:
            raise TrajectoryError(
                f"{where} has no time: expected one in the trajectory, or the time from one step "
                "to the next (--timestep 0.001, in the time unit of the run)."
            )
        return told


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(
    begin: int,
    end: int | None,
    step: int,
    units: str | None,
    timestep: float | None,
    threads: int | None,
) -> None:
    """Raise ConfigError for an option that makes no sense."""
    if begin < 0 or step < 1 or (end is not None and end <= begin):
        raise ConfigError(
            f"begin = {begin}, end = {end}, step = {step}: expected frames counted from 0, an end "
            "after the begin, and a step of at least 1."
        )
    if units is not None and units not in UNIT_STYLES:
        raise ConfigError(f"units = {units!r}: expected one of {', '.join(UNIT_STYLES)}.")
    if timestep is not None and not 0.0 < timestep < np.inf:
        raise ConfigError(f"timestep = {timestep!r}: expected a number above 0.")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads = {threads!r}: expected at least 1.")


def _same_units(source: Trajectory, units: str | None) -> str:
    if units and source.units and units != source.units:
        raise TrajectoryError(
            f"units = {units!r}, but {source.name} says {source.units}: expected the same. Leave "
            "units out."
        )
    return source.units or units or "metal"


def _first(
    chosen: Iterator[_Numbered], source: Trajectory, begin: int, end: int | None
) -> _Numbered:
    first = next(chosen, None)
    if first is None:
        found = "no frame" if begin == 0 else f"{source.n_frames or 'fewer'} frames"
        raise TrajectoryError(
            f"{source.name} has {found}, expected some from {begin} to {end or 'its end'}: frames "
            "are counted from 0."
        )
    return first


def _missing(
    chosen: Iterable[_Numbered], writer: BufferWriter, name: str
) -> Iterator[tuple[int, int, Snapshot]]:
    """Read the frames that are not in the buffer yet, and the last one that is, to compare it.

    Yields number, step and frame.
    """
    with open_buffer(writer.path) as buffer:
        stored = buffer.steps.tolist()
    last, count = -1, 0
    for number, unread in chosen:
        step = number if unread.step is None else unread.step
        if step == last:
            continue  # the last frame of a run is the first of the next
        if step < last:
            raise TrajectoryError(
                f"frame {number} of {name} has step {step}, the one before step {last}: expected "
                "steps that increase. Collect the frames from here on (begin) into another buffer."
            )
        last, count = step, count + 1
        if count <= len(stored) and step != stored[count - 1]:
            raise TrajectoryError(
                f"frame {number} of {name} has step {step}, but frame {count - 1} of {writer.path} "
                f"has step {stored[count - 1]}: expected the trajectory, and the frames of it, "
                "that this buffer was collected from. Give another buffer."
            )
        if count >= len(stored):
            yield number, step, unread.read()


def _in_order(
    pool: ThreadPoolExecutor, describer: _Describer, frames: Iterator[tuple[int, int, Snapshot]]
) -> Iterator[Frame]:
    """Describe some frames at once, and yield them in order; an error comes after those before."""
    waiting: deque[Future[Frame]] = deque()
    failed = None
    while True:
        try:
            following = next(frames, None)
        except TrajectoryError as error:
            failed, following = error, None
        if following is None:
            break
        waiting.append(pool.submit(describer, *following))
        if len(waiting) > describer.at_once:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
    if failed is not None:
        raise failed


def _expected(source: Trajectory, chosen: slice) -> int:
    """Return how many frames there will be, as far as it is known."""
    return 0 if source.n_frames is None else len(range(source.n_frames)[chosen])


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress("collect", done, max(done, total))
