"""From a recording to results and report in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from strdyn_live import Recorder, open_buffer

from .config import AnalysisConfig
from .errors import OutputError
from .files.folder import RESULTS, Claim, claim
from .files.results_file import save_results
from .page.report import write_report
from .pipeline import analyse, label
from .recording import Recording
from .results import AnalysisResult, Fit, renamed
from .routes.identities import keep_identities
from .work import MapChunks, Progress

__all__ = ["Tell", "analyse_into", "analyse_run"]

Tell = Callable[[AnalysisResult, Path], None]
"""Called with every result and the page that shows it."""


def analyse_into(
    recording: Recording,
    config: AnalysisConfig | None,
    folder: str | os.PathLike[str],
    *,
    model: Fit | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    map_chunks: MapChunks = map,
    previous: AnalysisResult | None = None,
) -> AnalysisResult:
    """Analyse, save, and write the report; files appear whole.

    The folder is held from before the work until its end (see `folder.claim`).

    Parameters
    ----------
    recording, config, progress, map_chunks
        As of `analyse`.
    model : Fit, optional
        Label the frames with it, instead of fitting them.
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
    with claim(folder) as claimed:
        if model is None:
            result = analyse(recording, config, progress=progress, map_chunks=map_chunks)
        else:
            result = label(model, recording, config, progress=progress, map_chunks=map_chunks)
        if previous is not None:
            kept = keep_identities(result.routes, previous.routes)
            result = renamed(result, routes=kept)
        _save_somewhere(result, claimed)
        try:
            page = write_report(result, recording, claimed)
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
        save_results(result, claimed)
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
            save_results(result, rescue)
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


def analyse_run(
    recorder: Recorder,
    settings: str | Path | None = None,
    output: str | Path | None = None,
) -> None:
    """Analyse what a recorder has recorded, as ``strdyn analyse`` does: the end of an input script.

    The recorder is closed; rank 0 analyses, the other ranks go on.

    Parameters
    ----------
    recorder : Recorder
        Of the run that has ended.
    settings : path, optional
        An ``analysis.toml``.
    output : path, optional
        Folder of results and report; by default ``NAME-analysis``.
    """
    recorder.close()
    if not recorder.is_root:
        return
    file = Path(recorder.config.file)
    analyse_into(
        open_buffer(file),
        AnalysisConfig.from_toml(settings) if settings else None,
        output or file.with_name(f"{file.stem}-analysis"),
    )
