"""The observations of an analysis: δ before and after smoothing, the rows of χ, events, gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.recording import Recording
from strdyn_post.work import Work

from .dataset import Dataset
from .events import Events, find_events
from .every_nth import every_nth, skipped_stretches
from .frames import find_stretches
from .lens_series import lens_series
from .regular import extra_frames
from .series import Series
from .smoothing import smooth

__all__ = ["Observations", "observe"]


@dataclass(frozen=True)
class Observations:
    """The frames that an analysis takes of a recording, with LENS.

    Attributes
    ----------
    recording : Recording
        With the frames taken.
    delta : Series
        δ of every atom from each frame to the next.
    smoothed : Series
        δ as it enters χ.
    data : Dataset
        The rows of χ.
    events : Events
        Changes of neighbors that last.
    findings : tuple of Finding
        Gaps, and what the regular frames, smoothing and stride leave out.
    """

    recording: Recording
    delta: Series
    smoothed: Series
    data: Dataset
    events: Events
    findings: tuple[Finding, ...]


def observe(
    recording: Recording,
    config: AnalysisConfig,
    work: Work,
    known: Observations | None = None,
) -> Observations:
    """Compare the neighbors of successive frames, and pair LENS with the spectra.

    Parameters
    ----------
    recording : Recording
        With all regular frames.
    config : AnalysisConfig
        `stride`, `smoothing_window`, `smoothing_order`, `trim`.
    work : Work
        Maps the chunks.
    known : Observations, optional
        Of the same recording at the same stride: only the smoothing is repeated.

    Raises
    ------
    AnalysisError
        If the recording holds too little to compare.
    """
    if known is None:
        taken = every_nth(recording, config.stride)
        delta = lens_series(taken, work.map_chunks)
        events = find_events(taken, work.map_chunks)
    else:
        taken, delta, events = known.recording, known.delta, known.events
    smoothed, found = smooth(delta, config)
    return Observations(
        recording=taken,
        delta=delta,
        smoothed=smoothed,
        data=Dataset.join(taken, smoothed),
        events=events,
        findings=(*extra_frames(recording), *_gaps(taken), *skipped_stretches(taken), *found),
    )


def _gaps(recording: Recording) -> list[Finding]:
    """Find the gaps: nothing is compared or counted across them."""
    steps = np.asarray(recording.steps)
    stretches, interval = find_stretches(steps, recording.times)
    gaps = np.flatnonzero(np.diff(stretches))
    if not len(gaps):
        return []
    values = {
        "interval": interval,
        "gaps": [[int(steps[k]), int(steps[k + 1])] for k in gaps],
        "timestep_changed": (np.diff(steps)[gaps] == interval).tolist(),
    }
    return [Finding("gaps", ATTENTION, values=values)]
