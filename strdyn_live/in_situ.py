"""The in-situ flow: LAMMPS → frame → SOAP and neighbor lists → rows by atom ID → buffer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .basis import Basis
from .beside import Beside
from .buffer import BufferWriter, forecast, frame_bytes
from .describe import describe, reach_of
from .frame import LocalFrame, Rows
from .ghost_shell import check_ghost_shell, check_images
from .lammps_io import default_skin
from .live import Happened, Live
from .parallel import Ranks, Route
from .pending import News, Pending, Stored
from .reduction import Reduction
from .soap import Soap
from .system import System
from .timings import SHARED, Timings

__all__ = ["InSitu"]


class InSitu:
    """What becomes of a frame, once the system is known: `record`, `commit`, `hand_back`.

    Without `overlap` one follows the other in a callback. With it a frame is committed and handed
    back when LAMMPS calls the next time.

    Parameters
    ----------
    lmp : lammps.lammps
        The running LAMMPS.
    system : System
        As it was found at the start.
    soap, reduction, live
        What describes, reduces and follows its frames.
    every : int, optional
        Steps between frames, if they are known.

    Attributes
    ----------
    system : System
        As it is in the newest frame.
    writer : BufferWriter or None
        None before the first frame, and on ranks that do not write.
    last_step : int or None
        Step of the newest committed frame.
    asked : int
        Signal that tells the run to end, the same on all ranks; 0: none.
    certain_shell : float
        Width of the ghost shell that LAMMPS guarantees [length], if it is known.
    """

    def __init__(
        self,
        lmp: Any,
        system: System,
        *,
        soap: Soap,
        reduction: Reduction,
        live: Live,
        every: int | None,
    ) -> None:
        self.system, self.config = system, system.config
        self.writer: BufferWriter | None = None
        self.last_step: int | None = None
        self.asked = 0
        self.certain_shell = 0.0
        self._lmp, self._every = lmp, every
        self._soap, self._reduction, self._live = soap, reduction, live
        self._timings = Timings()
        self._beside = Beside(has_thread=self.config.overlap)
        self._pending: Pending | None = None  # is described
        self._news: News | None = None  # is committed, and not handed back yet

    @property
    def ranks(self) -> Ranks:
        """All ranks."""
        return self.system.ranks

    @property
    def is_pending(self) -> bool:
        """Whether a frame is described, and not committed yet."""
        return self._pending is not None

    @property
    def has_news(self) -> bool:
        """Whether a frame is committed, and not handed back yet."""
        return self._news is not None

    def record(self) -> bool:
        """Have the current step described; return whether to commit it at once (collective).

        With `overlap` it waits until LAMMPS calls the next time, but at the first frame. One rank
        sends nothing, so its frames are also committed beside LAMMPS.
        """
        system, section = self.system, self._timings.section
        at_once = not self.config.overlap or self.last_step is None or bool(self.asked)
        with self._timings.frame():
            with section("read"):
                self.system, frame = system.read(self._lmp)
            if frame.step == self.last_step:
                return False  # the last step of a run is the first of the next
            self._check(frame, system)
            with section("describe"):
                basis, start = self._reduction.next_basis, self._beside.start
                if system.ranks.size > 1 or at_once:
                    rows = start(partial(self.describe, frame, system, basis))
                    self._pending = Pending(frame, system, basis, rows=rows)
                else:
                    stored = start(partial(self._store, frame, system))
                    self._pending = Pending(frame, system, basis, stored=stored)
        return at_once

    def commit(self) -> None:
        """Commit the frame that is described, and find what happens in it (collective)."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        frame, system, section = pending.frame, pending.system, self._timings.section
        ranks = system.ranks
        is_new: bool | None = None
        with self._timings.frame():
            if pending.stored is None:
                rows, route = self._gather(system, partial(self._rows_of, pending))
            else:
                with section("describe"):
                    rows, route, is_new = pending.stored.result()
            del pending  # what it holds may be large
            with ranks.together(**self._live.shared_sizes) as shared:
                if is_new is None:
                    is_new = self._append(frame, rows, system)
                with section("follow"):
                    seen = self._live.look(frame, rows, self.writer, shared, again=not is_new)
            self._reduction.resume(self.config.file, rows.frame, ranks)
            with section("follow"):
                mine, happened = self._live.follow(
                    frame, rows, route, system, self.writer, seen, shared
                )
        self.last_step = frame.step
        self._news = News(system, frame.centers, mine, rows.atom_ids, seen.values, happened)
        self.say(*self._reduction.take_notes())

    def hand_back(self, asked: int, *, at_once: bool = False) -> list[Happened]:
        """Hand the values of the committed frame back; return what happened in it (collective).

        Parameters
        ----------
        asked : int
            Signal that tells this rank to end the run; 0: none.
        at_once : bool
            Whether this is still the frame's step. Otherwise atoms have moved between ranks.
        """
        news, self._news = self._news, None
        if news is None:
            return []
        ranks = news.system.ranks
        if not at_once:
            news = news.moved(self._lmp, is_wanted=bool(self._live.receivers))
        sizes = {**SHARED, "n_maxima": SHARED["n_maxima"] + 1}
        with ranks.together(**sizes) as shared:
            with self._timings.section("follow"):
                if news.centers is not None:
                    self._live.hand_back(news.centers, news.mine)
            self._timings.share(shared)
            shared.maxima[-1] = asked
        self._timings.take(shared, ranks.size)
        self.asked = int(shared.maxima[-1])
        return news.happened

    def keep(self) -> None:
        """Keep the atoms of a step that is not recorded, for an event (collective)."""
        self.system, frame = self.system.read(self._lmp)
        self._live.keep(frame)

    def seal(self) -> None:
        """Close the buffer for good, and say what is in it."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()
            self.say(
                f"{writer.n_frames} frames in {self.config.file}, the last of step "
                f"{writer.last_step}\n{self._timings.table()}"
            )

    def end(self) -> None:
        """Let the thread go, once it has done its work."""
        self._beside.end()

    def say(self, *lines: str) -> None:
        """Print some lines once."""
        if self.ranks.is_root and lines:
            print(*(f"strdyn-live: {line}" for line in lines), sep="\n", flush=True)

    def describe(self, frame: LocalFrame, system: System, basis: Basis | None = None) -> Rows:
        """Describe the centers that this rank owns, in full or by scores."""
        species = system.species_of_type[frame.types]
        return describe(frame, species, self._soap, self.config, basis=basis)

    def _check(self, frame: LocalFrame, system: System) -> None:
        """Raise on all ranks unless the ghosts are complete and in their place (collective)."""
        if frame.box_changes:
            check_images(frame, system.ranks)
        reach = reach_of(self._soap, self.config)
        if self.certain_shell >= reach:
            return
        skin = default_skin(self._lmp) if self.last_step is None else None
        if uncertain := check_ghost_shell(frame, reach, system.ranks, skin=skin):
            self.say(uncertain)

    def _store(self, frame: LocalFrame, system: System) -> Stored:
        """Describe and commit a frame of one rank."""
        rows, route = self._gather(system, partial(self.describe, frame, system))
        with system.ranks.together():
            return Stored(rows, route, self._append(frame, rows, system))

    def _rows_of(self, pending: Pending, basis: Basis | None) -> Rows:
        """Return the rows of this rank by a basis, as they are described beside LAMMPS or anew."""
        if pending.rows is not None and basis is pending.basis:
            return pending.rows.result()
        return self.describe(pending.frame, pending.system, basis)

    def _gather(
        self, system: System, describe_by: Callable[[Basis | None], Rows]
    ) -> tuple[Rows, Route]:
        """Hand described rows to the ranks that write; return those of this rank (collective)."""
        with self._timings.section("describe"):
            described = self._reduction.of_rows(describe_by, system.ranks)
        with self._timings.section("gather"):
            return system.ranks.gather_by_id(described, system.first_ids)

    def _append(self, frame: LocalFrame, rows: Rows, system: System) -> bool:
        """Append a frame to the buffer; return False where it is stored already."""
        if system.writers is None:
            return True
        with self._timings.section("write"):
            opened = self.writer is None
            writer = self.writer = self.writer or system.open_buffer(self._lmp, self._every)
            writer.run_start = system.first_start(frame) if opened else frame.run_start
            with system.writers.together():  # the other writers would wait for this one
                system.require_same_species(rows, writer.rows)
            is_new = writer.append(rows.frame)
        if opened and self.ranks.is_root:
            self._say_opened(writer, rows, system)
        return is_new

    def _say_opened(self, writer: BufferWriter, rows: Rows, system: System) -> None:
        n_atoms, n_columns = system.n_centers, rows.frame.soap.shape[1]
        mean = rows.frame.neighbors.counts.mean()
        size = frame_bytes(n_atoms, n_columns, mean)
        usual = frame_bytes(n_atoms, self.config.stored.n_columns(n_columns), mean)
        reduced = f", {usual / 1e6:.3g} MB once scores are stored" if usual < size else ""
        beside = "described beside LAMMPS and committed one interval later, "
        self.say(
            f"recording {n_atoms} of {system.n_atoms} atoms, {n_columns} SOAP components "
            f"each, into {self.config.file}: {size / 1e6:.3g} MB a frame{reduced}, "
            f"{beside if self.config.overlap else ''}room for "
            f"{forecast(self.config.file, usual)} frames",
            *writer.notes,
        )
