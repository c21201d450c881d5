"""What is done with a frame once it is committed: dynamics, labels, events, values handed back."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buffer import BufferError, BufferWarning, BufferWriter, LiveLog, values_content
from .buffer.errors import DamageError
from .buffer.reader import read_quietly
from .config import ConfigError, LiveConfig
from .dynamics import Dynamics
from .event_files import EventFiles
from .events import Adaptive, EventWatch, Occurrence
from .frame import LocalFrame, Rows
from .live_model import LiveModel
from .parallel import Route
from .ring import Snapshot
from .shared import Shared
from .system import System
from .values import AtomValues, FrameValues

__all__ = ["Live", "Receiver"]

Receiver = Callable[[NDArray[np.int64], AtomValues], None]
"""Takes the rows of the owned atoms that are centers, and what is known of them."""


class Live:
    """Follows a run frame by frame.

    Parameters
    ----------
    config : LiveConfig
        Settings of the recording.

    Attributes
    ----------
    model : LiveModel or None
        Fit that labels the frames.
    receivers : list of Receiver
        Are given the values of this rank's atoms, frame by frame.
    values : FrameValues
        Of the newest frame.

    Raises
    ------
    ConfigError, ResultsError
        If a rule names an environment that the model does not have, or the model does not fit.
    """

    def __init__(self, config: LiveConfig) -> None:
        self.model = None if config.model is None else LiveModel.load(config.model, config)
        self.receivers: list[Receiver] = []
        self.values = FrameValues.unknown(self.n_environments)
        self._config = config
        self._marks: Mapping[str, int] = {}
        if self.model is not None:
            self._marks = {mark: label for label, mark in enumerate(self.model.marks)}
        self._watch = EventWatch(config.events, config.event_cooldown, self._marks)
        self._every: int | None = None
        self._adaptive: Adaptive | None = None
        self._timestep = 0.0
        self._dynamics = Dynamics(None, None)
        self._look_back: int | None = None
        self._files: EventFiles | None = None
        self._log: LiveLog | None = None

    @property
    def n_environments(self) -> int:
        """Number of environments of the model."""
        return 0 if self.model is None else self.model.n_environments

    def asks_for(self, action: str) -> bool:
        """Return whether an event asks for an action."""
        return any(action in event.actions for event in self._config.events)

    def every(self, every: int) -> int:
        """Take the steps between regular frames; return those between calls.

        Raises
        ------
        ConfigError
            If the interval of dense frames does not divide it.
        """
        config = self._config
        self._every = every
        self._adaptive = Adaptive(every, config.densely, self._marks)
        dense = every if config.densely is None else config.densely.every
        ring = config.event_every if config.event_every and self.asks_for("dump") else every
        return math.gcd(every, dense, ring)

    def due(self, step: int) -> bool:
        """Return whether a frame is recorded at a step."""
        return self._adaptive is None or self._adaptive.due(step)

    def begin(self, system: System, units: str) -> None:
        """Take the run that is followed.

        Raises
        ------
        ConfigError, ResultsError
            If what is asked for cannot be had in this run.
        """
        config = self._config
        if self._every is None and (config.densely is not None or config.event_every):
            raise ConfigError(
                "event_every and adaptive need calls between the recorded frames, and "
                "'fix python/invoke' calls at the recorded frames only. Use 'fix strdyn' or "
                "Recorder.attach, or take these settings out."
            )
        if self.model is not None:
            self.model.check_units(units)
        self._compare_over(system.start.timestep)
        if self.asks_for("dump"):
            self._files = EventFiles(
                config,
                units,
                system.ranks.to_root,
                is_root=system.ranks.is_root,
                numbers=None if self.model is None else self.model.numbers,
            )

    def _compare_over(self, timestep: float) -> None:
        """Set the steps between the two frames that are compared; with a model, its Δt.

        Raises
        ------
        ConfigError, ResultsError
            If no two frames of this run are that far apart.
        """
        interval = self._every
        if self.model is not None:
            interval = self.model.interval(timestep)
            if self._every is not None and interval % self._every:
                raise ConfigError(
                    f"N = {self._every} steps between frames, but the model compares frames "
                    f"{interval} steps apart ({self.model.interval_time:g} time units): expected "
                    f"an N that divides {interval}."
                )
        self._timestep = timestep
        self._dynamics = Dynamics(interval, self.model)
        self._look_back = None if interval is None else 2 * interval

    def keeps(self, step: int) -> bool:
        """Return whether the atoms of a step that is not recorded are kept for an event."""
        every = self._config.event_every
        return self._files is not None and every > 0 and step % every == 0

    def keep(self, frame: LocalFrame) -> None:
        """Keep the atoms of a step that is not recorded (collective)."""
        if self._files is not None:
            self._files.add(Snapshot.of(frame))

    @property
    def shared_sizes(self) -> dict[str, int]:
        """How many numbers `look` shares with all ranks."""
        sizes = FrameValues.shared_sizes(self.n_environments)
        return {**sizes, "n_sums": sizes["n_sums"] + 1}

    def look(
        self,
        frame: LocalFrame,
        rows: Rows,
        writer: BufferWriter | None,
        shared: Shared,
        *,
        again: bool,
    ) -> Seen:
        """Find the dynamics of the rows of this rank since the frame before.

        Parameters
        ----------
        frame : LocalFrame
            What this rank knows.
        rows : Rows
            What this rank has gathered.
        writer : BufferWriter, optional
            On the ranks that write.
        shared : Shared
            Takes what this rank says of the frame.
        again : bool
            Whether the frame is stored already, as at the step of a restart.
        """
        values = AtomValues.unknown(0)
        before = values.environment
        timestep = frame.run_start.timestep
        if (
            self.model is not None and timestep != self._timestep
        ):  # its Δt is another number of steps
            self._compare_over(timestep)
        if writer is not None:
            self._seed(writer, rows.frame.step)
            values, before = self._dynamics.update(rows.frame)
        FrameValues.share(
            shared,
            values,
            before,
            previous_step=self._dynamics.previous_step,
            threshold=self._config.lens_threshold,
            n_environments=self.n_environments,
        )
        shared.sums[-1] = again
        return Seen(values, before)

    def follow(
        self,
        frame: LocalFrame,
        rows: Rows,
        route: Route,
        system: System,
        writer: BufferWriter | None,
        seen: Seen,
        shared: Shared,
    ) -> tuple[AtomValues, list[Happened]]:
        """Find the events of a frame (collective).

        Parameters
        ----------
        frame, rows : LocalFrame, Rows
            What this rank knows; what it has gathered.
        route : Route
            The way back to the ranks that own the atoms.
        system : System
            The run.
        writer : BufferWriter, optional
            On the ranks that write.
        seen, shared : Seen, Shared
            What `look` has found here; what all ranks say. If the frame was stored already, what
            happens in it has been acted on.

        Returns
        -------
        AtomValues
            Of the centers of this rank, for `hand_back`.
        list of Happened
            Events to act on; the same on all ranks, but for atoms and file.
        """
        ranks, threshold, values = system.ranks, self._config.lens_threshold, seen.values
        again = shared.sums[-1] > 0
        self.values = FrameValues.of(shared, frame.step, self.n_environments)
        mine = AtomValues.of_columns(route.back(values.columns))
        if self._adaptive is not None:
            self._adaptive.update(self.values)
        occurrences = self._watch.update(self.values)
        found = []
        for each in [] if again else occurrences:
            caused = self._watch.atoms(each, values, seen.before, threshold)
            found.append((each, ranks.to_root(rows.atom_ids[caused])))
        file = self._keep_recorded(frame, mine, found)
        happened = [
            Happened(each, ids, file if "dump" in each.actions else "") for each, ids in found
        ]
        if writer is not None and system.writers is not None:
            labels = None if self.model is None else system.writers.to_root(values.environment)
            if ranks.is_root and not again:
                self._note(self.values, labels, happened, frame.time, writer)
        return mine, happened

    def hand_back(self, centers: NDArray[np.int64], mine: AtomValues) -> None:
        """Give the values of this rank's centers, rows of its atoms, to those who wait for them."""
        for receive in self.receivers:
            receive(centers, self._numbered(mine))

    def close(self) -> None:
        """Complete what is open."""
        if self._files is not None:
            self._files.close()
        if self._log is not None:
            self._log.close()

    def notes(self) -> list[str]:
        """Return what could not be written, once."""
        if self._files is None:
            return []
        notes, self._files.notes = self._files.notes, []
        return notes

    def _seed(self, writer: BufferWriter, step: int) -> None:
        """Give the stored frames of the last intervals to the dynamics, where a run goes on."""
        if self.values.step >= 0 or writer.n_frames < 2:
            return
        with read_quietly(writer.path) as stored:
            earlier = np.flatnonzero(stored.steps < step)
            if self._look_back is None:
                earlier = earlier[-2:]
            else:
                earlier = earlier[stored.steps[earlier] >= step - self._look_back]
            for k in earlier.tolist():
                with contextlib.suppress(DamageError):
                    self._dynamics.seed([stored.frame(k).take(writer.rows)])

    def _keep_recorded(
        self,
        frame: LocalFrame,
        mine: AtomValues,
        found: Sequence[tuple[Occurrence, NDArray[np.int64]]],
    ) -> str:
        """Keep a recorded frame for events, or write it; return its file (collective)."""
        if self._files is None:
            return ""
        wanted = [(each, ids) for each, ids in found if "dump" in each.actions]
        if not wanted and self._config.event_every and not self.keeps(frame.step):
            return ""
        return self._files.add(
            Snapshot.of(frame, mine), [each for each, _ in wanted], [ids for _, ids in wanted]
        )

    def _numbered(self, values: AtomValues) -> AtomValues:
        """Return values with the marks of environments as numbers."""
        if self.model is None:
            return values
        numbers = np.array([*self.model.numbers, -1], dtype=np.int32)
        return replace(values, environment=numbers[values.environment])

    def _note(
        self,
        values: FrameValues,
        labels: NDArray[np.int32] | None,
        happened: Iterable[Happened],
        time: float,
        writer: BufferWriter,
    ) -> None:
        """Write the log of the run; the frames do not depend on it."""
        run_id = None if self.model is None else self.model.run_id
        try:
            if self._log is None:
                if writer.generation is None:
                    return
                self._log = LiveLog(writer.path, writer.generation)
                if self.model is not None:
                    self._log.append("model", self.model.description)
            self._log.append("values", values_content(values, labels, run_id))
            for each in happened:
                self._log.append("event", each.entry(time))
        except BufferError as error:
            warnings.warn(str(error), BufferWarning, stacklevel=2)


@dataclass(frozen=True)
class Seen:
    """What a rank that writes finds in a frame: values, and environments one frame earlier."""

    values: AtomValues
    before: NDArray[np.int32]


@dataclass(frozen=True)
class Happened:
    """An event that is acted on, its atoms and its file.

    Attributes
    ----------
    occurrence : Occurrence
    atom_ids : (n,) int64 ndarray
        Atoms that caused it, on rank 0.
    file : str
        Of the frames around it; on rank 0.
    """

    occurrence: Occurrence
    atom_ids: NDArray[np.int64]
    file: str

    def entry(self, time: float) -> dict[str, Any]:
        """Return what the list of events says of it."""
        return self.occurrence.entry(time, self.atom_ids.tolist(), self.file)

    def __str__(self) -> str:
        atoms = ", ".join(map(str, self.atom_ids[:5].tolist()))
        more = f" and {len(self.atom_ids) - 5} more" if len(self.atom_ids) > 5 else ""
        return (
            f"event {self.occurrence.name} at step {self.occurrence.step}: {self.occurrence.cause}"
            + (f"; atom IDs {atoms}{more}" if atoms else "")
        )
