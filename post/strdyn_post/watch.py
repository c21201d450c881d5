"""From a buffer to results and report: once, or again and again while it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import AnalysisConfig
from .progress import Progress

if TYPE_CHECKING:
    from .results import AnalysisResult

__all__ = ["Tell", "analyse_into", "watch_into"]

Tell = Callable[["AnalysisResult", Path], None]
"""Called with every result and the page that shows it."""

_REFIT = 1.25  # fit anew when there are so many times the frames of the last fit
_PAUSE = 5.0  # seconds between looks at the buffer


def analyse_into(
    buffer: Any,
    config: AnalysisConfig | None,
    folder: Path,
    *,
    model: AnalysisResult | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    map_chunks: Callable[..., Iterable[Any]] = map,
    previous: AnalysisResult | None = None,
) -> AnalysisResult:
    """Analyse, save, and write the report; files appear whole.

    Parameters
    ----------
    buffer, config, model, progress, map_chunks
        As of `analyse`.
    folder : Path
        Where `results.h5` and `report.html` go.
    tell : callable, optional
        Called as ``tell(result, page)``.
    previous : AnalysisResult, optional
        Environments that correspond to some of this result keep their identity.
    """
    from .models import keep_identities
    from .pipeline import analyse
    from .report import write_report

    result = analyse(buffer, config, progress, map_chunks, model)
    if previous is not None:
        result = keep_identities(result, previous)
    result.save(folder)
    page = write_report(result, buffer, folder)
    if tell is not None:
        tell(result, page)
    return result


def watch_into(
    buffer: Any,
    config: AnalysisConfig | None,
    folder: Path,
    *,
    model: AnalysisResult | None = None,
    tell: Tell | None = None,
    n_rounds: int | None = None,
    **options: Any,
) -> None:
    """Analyse a growing buffer whenever it has new frames, until interrupted.

    New frames are labelled by the last fit; once there are a quarter more of them, a new one is
    made, in which environments keep their identities.

    Parameters
    ----------
    n_rounds : int, optional
        End after so many analyses.
    model, **options
        As of `analyse_into`; a `model` that is given is never fitted anew.
    """
    fitted, previous, n_fitted, n_done = model, None, 0, 0
    while n_rounds is None or n_rounds > 0:
        n_frames = buffer.n_frames
        if n_frames == n_done or n_frames < 2:
            time.sleep(_PAUSE)
            buffer.refresh()
            continue
        refit = model is None and (fitted is None or n_frames >= _REFIT * n_fitted)
        previous = analyse_into(
            buffer,
            config,
            folder,
            model=None if refit else fitted,
            previous=previous,
            tell=tell,
            **options,
        )
        if refit:
            fitted, n_fitted = previous, n_frames
        n_done = n_frames
        n_rounds = None if n_rounds is None else n_rounds - 1
