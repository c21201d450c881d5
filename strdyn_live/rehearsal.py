"""What a run will cost: measured on its first frame, of which nothing is written."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, dataclass

from .buffer import forecast, frame_bytes
from .config import LiveConfig
from .frame import Rows
from .system import System

__all__ = ["ASKED", "Cost", "measure"]

ASKED = "STRDYN_CHECK"
"""Environment variable: a fix measures its first frame, writes nothing, and ends the run."""
_SIGN = "strdyn-live cost: "


@dataclass(frozen=True)
class Cost:
    """What one frame costs.

    Attributes
    ----------
    n_described, n_atoms, n_ranks : int
        Centers, atoms of the run, MPI ranks.
    n_features : int
        Length of a spectrum.
    frame_bytes : int
        Of one frame on disk; with ``store pca K`` of one that is stored by scores.
    n_frames_fit : int
        Frames that fit on that file system.
    seconds : float
        To describe the frame on the slowest rank.
    memory : int
        Largest resident memory of a rank so far, LAMMPS included [bytes].
    every : int
        Steps between frames.
    settings : dict
        Of the recording.
    """

    n_described: int
    n_atoms: int
    n_ranks: int
    n_features: int
    frame_bytes: int
    n_frames_fit: int
    seconds: float
    memory: int
    every: int
    settings: dict[str, object]

    def to_line(self) -> str:
        """Return it as a line that `find` finds in the output of a run."""
        return _SIGN + json.dumps(asdict(self))

    @classmethod
    def find(cls, output: str) -> Cost | None:
        """Return what a run has printed; None if it has not come so far."""
        lines = (line for line in output.splitlines() if line.startswith(_SIGN))
        return next((cls(**json.loads(line.removeprefix(_SIGN))) for line in lines), None)


def measure(
    config: LiveConfig, system: System, rows: Rows, seconds: float, n_features: int, every: int
) -> Cost:
    """Add up what the ranks have found (collective).

    Parameters
    ----------
    rows : Rows
        The described atoms of this rank.
    seconds : float
        That their description has taken.
    """
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = kibibytes * (1 if sys.platform == "darwin" else 1024)
    slowest, largest = system.ranks.maxima([seconds, memory]).tolist()
    n_described, n_pairs = system.ranks.sums(
        [len(rows.atom_ids), len(rows.frame.neighbors.ids)]
    ).tolist()
    n_columns = config.stored.n_columns(n_features)
    size = frame_bytes(n_described, n_columns, n_pairs / max(n_described, 1))
    return Cost(
        n_described=n_described,
        n_atoms=system.n_atoms,
        n_ranks=system.ranks.size,
        n_features=n_features,
        frame_bytes=size,
        n_frames_fit=forecast(config.file, size),
        seconds=slowest,
        memory=int(largest),
        every=every,
        settings=config.as_dict(),
    )
