"""Repeated analysis of a buffer while it grows."""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

from .chunk_memory import ChunkMemory
from .config import AnalysisConfig
from .files.folder import claim
from .recording import Recording
from .results import Fit
from .run import Tell, analyse_into
from .signal.every_nth import n_comparable
from .signal.regular import regular_frames
from .work import MapChunks

__all__ = ["GrowingRecording", "watch_into"]

_REFIT = 1.25  # fit again when there are so many times the frames of the last fit
_PAUSE = 5.0  # seconds between looks at the buffer


class GrowingRecording(Recording, Protocol):
    """A recording to which frames are added."""

    def refresh(self) -> Any:
        """Look for new frames."""


def watch_into(
    recording: GrowingRecording,
    config: AnalysisConfig | None,
    folder: str | os.PathLike[str],
    *,
    model: Fit | None = None,
    tell: Tell | None = None,
    map_chunks: MapChunks = map,
    n_rounds: int | None = None,
    **options: Any,
) -> None:
    """Analyse a growing buffer whenever it has new frames, until interrupted.

    New frames are labelled by the last fit. When there are a quarter more frames than in this fit,
    a new fit is made, in which environments keep their identities. In both cases only new frames
    are read. A frame counts as new only if it is a regular one and the `stride` takes it. The
    folder stays locked.

    Parameters
    ----------
    n_rounds : int, optional
        End after so many analyses.
    model, map_chunks, **options
        As of `analyse_into`. With a `model` there is no new fit.
    """
    with claim(folder) as claimed:
        memory = ChunkMemory(map_chunks)
        stride = (config or (model.config if model else AnalysisConfig())).stride
        fitted, previous, n_fitted = model, None, 0
        done: dict[int, int | None] = {}
        n_done, last = 0, 0
        while n_rounds is None or n_rounds > 0:
            n_frames = n_comparable(regular_frames(recording), stride)
            starts = dict(getattr(recording, "generations", {}))
            if (n_frames, starts) == (n_done, done) or n_frames < 2:
                time.sleep(_PAUSE)
                recording.refresh()
                continue
            new = [step for start, step in starts.items() if start not in done]
            if any(step is not None and step < last for step in new):
                memory.forget(all_of_it=True)  # a restart has superseded frames
            refit = model is None and (fitted is None or n_frames >= _REFIT * n_fitted)
            previous = analyse_into(
                recording,
                config,
                claimed,
                model=None if refit else fitted,
                previous=previous,
                tell=tell,
                map_chunks=memory,
                **options,
            )
            if refit:
                fitted, n_fitted = previous.fit, n_frames
                memory.forget()  # the scores of earlier fits
            n_done, done, last = n_frames, starts, int(recording.steps[-1])
            n_rounds = None if n_rounds is None else n_rounds - 1
