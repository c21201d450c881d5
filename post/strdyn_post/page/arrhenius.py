"""The files of a comparison of temperatures."""

from __future__ import annotations

import json
import os
from pathlib import Path

from strdyn_post.figures import plot_arrhenius, save_figure
from strdyn_post.files.output import cannot_write, check_not_in_buffer, new_file, write_text
from strdyn_post.temperature import Temperatures

__all__ = ["write_arrhenius"]


def write_arrhenius(found: Temperatures, folder: str | os.PathLike[str]) -> Path:
    """Write ``arrhenius.json`` and the figures ``arrhenius_events``, ``arrhenius_moves``.

    Parameters
    ----------
    found : Temperatures
    folder : path
        Made if it does not exist. Files of these names are replaced.

    Returns
    -------
    Path
        Path of ``arrhenius.json``.

    Raises
    ------
    OutputError
        If the folder is a buffer, or cannot be written.
    """
    from matplotlib.figure import Figure

    folder = Path(folder)
    check_not_in_buffer(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for name, events in (("arrhenius_events", True), ("arrhenius_moves", False)):
        figure = Figure(figsize=(5.6, 5.2), layout="constrained")
        plot_arrhenius(found, events=events, ax=figure.subplots())
        save_figure(figure, folder, name, "Rates over inverse temperature")
    path = folder / "arrhenius.json"
    with new_file(path) as file:
        write_text(file, json.dumps(found.as_dict(), indent=2, ensure_ascii=False) + "\n")
    return path
