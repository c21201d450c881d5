"""From a recording to a folder with results and report."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from strdyn_live import Recorder, open_buffer
from strdyn_live.results_block import RESULTS

from .config import AnalysisConfig
from .errors import OutputError
from .files.folder import Claim, claim
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
    """Analyse a recording, save the results, and write the report.

    The folder is locked before the work begins and until it ends (see `files.folder.claim`).

    Parameters
    ----------
    recording, config, progress, map_chunks
        As of `analyse`.
    model : Fit, optional
        Label the frames with this fit, without a new fit.
    folder : path
        Folder for ``results.h5`` and ``report.html``.
    tell : callable, optional
        Called as ``tell(result, page)``.
    previous : AnalysisResult, optional
        Environments that correspond to those of this result keep their identity.

    Raises
    ------
    OutputError
        If the folder cannot be written. This is tested before the work. If writing fails later,
        the message says where the results are.
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
                f"{error} The results are saved, but the page is not. Run `strdyn report "
                f"{claimed.folder}` to draw it."
            ) from error
    if tell is not None:
        tell(result, page)
    return result


def _save_somewhere(result: AnalysisResult, claimed: Claim) -> None:
    """Save into the folder; if that fails, save into a temporary folder, and raise OutputError."""
    try:
        save_results(result, claimed)
        return
    except OutputError as error:
        failed = error
    places = []
    for find in (tempfile.gettempdir, os.getcwd):
        with contextlib.suppress(OSError):  # no temporary folder can be written
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
            f"there to {claimed.folder} when there is space, and run `strdyn report "
            f"{claimed.folder}` to draw the page."
        ) from failed
    raise OutputError(
        f"{failed} The results could not be saved in another place either (tried: "
        f"{', '.join(places) or 'none'}). Repeat the analysis; the variable TMPDIR can name "
        "another place."
    ) from failed


def analyse_run(
    recorder: Recorder,
    settings: str | Path | None = None,
    output: str | Path | None = None,
) -> None:
    """Analyse the buffer of a recorder, as ``strdyn analyse`` does, at the end of an input script.

    The recorder is closed. Rank 0 analyses; the other ranks go on.

    Parameters
    ----------
    recorder : Recorder
        Recorder of the run that has ended.
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
