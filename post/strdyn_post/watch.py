"""From a buffer to results and report: once, or again and again while it grows."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import AnalysisConfig
from .files.folder import RESULTS, claim
from .files.output import OutputError
from .progress import Progress
from .signal.every_nth import n_comparable

if TYPE_CHECKING:
    from .files.folder import Claim
    from .results import AnalysisResult

__all__ = ["Tell", "analyse_into", "watch_into"]

Tell = Callable[["AnalysisResult", Path], None]
"""Called with every result and the page that shows it."""

_REFIT = 1.25  # fit anew when there are so many times the frames of the last fit
_PAUSE = 5.0  # seconds between looks at the buffer


class ChunkMemory:
    """A map of chunks that works each out once: what it has seen before, it remembers.

    A buffer only grows at its end, so all chunks but the last are the same at the next analysis:
    their LENS, moments and scores are not read from the buffer again.

    Parameters
    ----------
    map_chunks : callable
        Does the work (see `analyse`). Functions and chunks must pickle.
    """

    def __init__(self, map_chunks: Callable[..., Iterable[Any]] = map) -> None:
        self._map = map_chunks
        self._known: dict[bytes, Any] = {}
        self._used: set[bytes] = set()

    def __call__(self, function: Callable[[Any], Any], chunks: Iterable[Any]) -> Iterator[Any]:
        chunks = list(chunks)
        keys = [hashlib.sha256(pickle.dumps((function, chunk))).digest() for chunk in chunks]
        self._used.update(keys)
        new = {k: chunk for k, chunk in zip(keys, chunks, strict=True) if k not in self._known}
        results = iter(self._map(function, list(new.values())))
        for key in keys:
            if key not in self._known:
                self._known[key] = next(results)
            yield self._known[key]

    def forget(self, *, all_of_it: bool = False) -> None:
        """Forget what was not used since the last call, or everything."""
        self._known = {} if all_of_it else {key: self._known[key] for key in self._used}
        self._used = set()


def analyse_into(
    buffer: Any,
    config: AnalysisConfig | None,
    folder: str | os.PathLike[str],
    *,
    model: AnalysisResult | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    map_chunks: Callable[..., Iterable[Any]] = map,
    previous: AnalysisResult | None = None,
) -> AnalysisResult:
    """Analyse, save, and write the report; files appear whole.

    The folder is held from before the work until its end (see `folder.claim`).

    Parameters
    ----------
    buffer, config, model, progress, map_chunks
        As of `analyse`.
    folder : path
        Where `results.h5` and `report.html` go.
    tell : callable, optional
        Called as ``tell(result, page)``.
    previous : AnalysisResult, optional
        Environments that correspond to some of this result keep their identity.

    Raises
    ------
    OutputError
        If the folder cannot be written, before any work; if it becomes so, the message says where
        the results are.
    """
    from .environments.models import keep_identities
    from .page.report import write_report
    from .pipeline import analyse

    with claim(folder) as claimed:
        result = analyse(buffer, config, progress, map_chunks, model)
        if previous is not None:
            result = keep_identities(result, previous)
        _save_somewhere(result, claimed)
        try:
            page = write_report(result, buffer, claimed)
        except OutputError as error:
            raise OutputError(
                f"{error} The results are saved; the page is not: `strdyn report {claimed.folder}` "
                "draws it."
            ) from error
    if tell is not None:
        tell(result, page)
    return result


def _save_somewhere(result: AnalysisResult, claimed: Claim) -> None:
    """Save where it was asked for; if that fails, where there is room, and raise in any case."""
    try:
        result.save(claimed)
        return
    except OutputError as error:
        failed = error
    places = []
    for find in (tempfile.gettempdir, os.getcwd):
        with contextlib.suppress(OSError):  # none that takes a byte
            places.append(find())
    for place in places:
        rescue = ""
        try:
            rescue = tempfile.mkdtemp(prefix="strdyn-results-", dir=place)
            result.save(rescue)
        except OSError:
            if rescue:
                shutil.rmtree(rescue, ignore_errors=True)
            continue
        raise OutputError(
            f"{failed} The analysis is not lost: its results are in {rescue}. Move {RESULTS} from "
            f"there to {claimed.folder} once there is room; `strdyn report {claimed.folder}` draws "
            "the page."
        ) from failed
    raise OutputError(
        f"{failed} No other place was found for them ({', '.join(places) or 'none'} tried): the "
        "analysis has to be repeated. The variable TMPDIR names another place to try."
    ) from failed


def watch_into(
    buffer: Any,
    config: AnalysisConfig | None,
    folder: str | os.PathLike[str],
    *,
    model: AnalysisResult | None = None,
    tell: Tell | None = None,
    map_chunks: Callable[..., Iterable[Any]] = map,
    n_rounds: int | None = None,
    **options: Any,
) -> None:
    """Analyse a growing buffer whenever it has new frames, until interrupted.

    New frames are labelled by the last fit; once there are a quarter more of them, a new one is
    made, in which environments keep their identities. Either way only the new frames are read. Only
    frames that the analysis takes count as new (`stride`). The folder is held all the time.

    Parameters
    ----------
    n_rounds : int, optional
        End after so many analyses.
    model, map_chunks, **options
        As of `analyse_into`; a `model` that is given is never fitted anew.
    """
    with claim(folder) as claimed:
        memory = ChunkMemory(map_chunks)
        stride = (config or (model.config if model else AnalysisConfig())).stride
        fitted, previous, n_fitted = model, None, 0
        done: dict[int, int | None] = {}
        n_done, last = 0, 0
        while n_rounds is None or n_rounds > 0:
            n_frames = n_comparable(buffer, stride)
            starts = dict(getattr(buffer, "generations", {}))
            if (n_frames, starts) == (n_done, done) or n_frames < 2:
                time.sleep(_PAUSE)
                buffer.refresh()
                continue
            new = [step for start, step in starts.items() if start not in done]
            if any(step is not None and step < last for step in new):
                memory.forget(all_of_it=True)  # a restart has superseded frames
            refit = model is None and (fitted is None or n_frames >= _REFIT * n_fitted)
            previous = analyse_into(
                buffer,
                config,
                claimed,
                model=None if refit else fitted,
                previous=previous,
                tell=tell,
                map_chunks=memory,
                **options,
            )
            if refit:
                fitted, n_fitted = previous, n_frames
                memory.forget()  # the scores of earlier fits
            n_done, done, last = n_frames, starts, int(buffer.steps[-1])
            n_rounds = None if n_rounds is None else n_rounds - 1
