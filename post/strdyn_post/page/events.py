"""The events that a run acted on, from the buffer's own list, for the page and ``summary.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.quantities import time_axis
from strdyn_post.recording import Recording

__all__ = ["event_marks", "event_rows"]


def event_rows(recording: Recording) -> list[dict[str, Any]]:
    """Return the events that a run acted on, by step, as JSON types.

    Parameters
    ----------
    recording : Recording
        A buffer lists its events with ``live("event")``; other recordings have none.

    Returns
    -------
    list of dict
        ``name``, ``step``, ``time`` with ``time_unit``, ``cause``, ``actions``, ``atoms`` (the
        first IDs) and their number ``n_atoms``, ``file`` (of the frames around it; may be empty).
    """
    found = sorted(_entries(recording), key=lambda entry: int(entry["step"]))
    times, unit = time_axis(np.array([float(entry["time"]) for entry in found]), recording.units)
    return [
        {
            "name": str(entry["name"]),
            "step": int(entry["step"]),
            "time": float(f"{time:.6g}"),
            "time_unit": unit,
            "cause": str(entry.get("cause", "")),
            "actions": [str(action) for action in entry.get("actions", [])],
            "atoms": [int(atom_id) for atom_id in entry.get("atoms", [])],
            "n_atoms": int(entry.get("n_atoms", len(entry.get("atoms", [])))),
            "file": str(entry.get("file", "")),
        }
        for entry, time in zip(found, times.tolist(), strict=True)
    ]


def event_marks(recording: Recording) -> list[tuple[float, str]]:
    """Return times [time unit of the run] and names of the events, for figures."""
    return [(float(entry["time"]), str(entry["name"])) for entry in _entries(recording)]


def _entries(recording: Recording) -> list[dict[str, Any]]:
    read = getattr(recording, "live", None)
    return [] if read is None else list(read("event"))
