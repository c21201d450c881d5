"""The note of the last step that is known to be committed, so that a lost end can be named.

A data file holds the step that came before its first one, so a lost file leaves a gap that the next
file names. The last file has no next one. ``last-GGGG.json`` holds a step that a generation (and
writer) has committed. It is written when the first frame of a log is durable, when a log has been
sealed, by recovery, and when the buffer is closed in order; it costs no fsync per frame.

After an orderly end, and after recovery, any loss at the end is found. While a run goes on, or
after it was killed, the loss of the last log, of its first frame, or of the last segment is found.
How many more frames a log held when its writer was killed cannot be known: a log that is cut off
after its first frame reads like one whose writer died earlier.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from .content import checked_json, integer, optional_step, read_json, sensible, text
from .document import Origin
from .errors import DamageError, explain
from .folder import last_name
from .storage import read_small, write_file

__all__ = ["Last", "note_last"]

_one_at_a_time = threading.Lock()  # a log may be sealed while the next one gets its first frame


@dataclass(frozen=True)
class Last:
    """What the note says.

    Attributes
    ----------
    uuid, generation, branch_step, writer, n_writers
        As in `Origin`.
    step : int
        A step that this writer has committed, the newest that is known.
    """

    uuid: str
    generation: int
    branch_step: int | None
    writer: int
    n_writers: int
    step: int

    @classmethod
    def read(cls, path: Path) -> Last:
        """Read a note; DamageError if it is damaged."""
        content = read_json(read_small(path), str(path))
        with sensible(str(path)):
            n_writers = integer(content, "n_writers", 1)
            last = cls(
                text(content, "uuid"),
                integer(content, "generation"),
                optional_step(content, "branch_step"),
                integer(content, "writer", 0, n_writers - 1),
                n_writers,
                integer(content, "step"),
            )
            if path.name != last_name(last.generation, last.writer, n_writers):
                raise ValueError(f"it is that of generation {last.generation}")
        return last


def note_last(folder: Path, origin: Origin, step: int) -> None:
    """Make it durable that a step is committed, if that is not known already."""
    path = folder / last_name(origin.generation, origin.writer, origin.n_writers)
    try:
        with _one_at_a_time:
            try:
                known = Last.read(path)
            except (FileNotFoundError, DamageError):
                known = None
            if known is not None and (known.uuid != origin.uuid or known.step >= step):
                return  # a file of another buffer is left alone
            note = Last(
                origin.uuid,
                origin.generation,
                origin.branch_step,
                origin.writer,
                origin.n_writers,
                step,
            )
            write_file(path, checked_json(asdict(note)))
    except OSError as error:
        raise explain(f"cannot write {path}", error, "All frames are safe.") from error
