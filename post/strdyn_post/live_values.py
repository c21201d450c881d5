"""The values of a running simulation on the terminal: a table that is kept up to date."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_live.buffer import Buffer

from .quantities import percent, time_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["follow_values", "newest_values", "values_line", "values_table"]

_PAUSE = 1.0  # seconds between looks at the buffer
_WIDTH = 30  # characters of a bar


def newest_values(buffer: Buffer) -> dict[str, Any] | None:
    """Return the newest values of a run as JSON types; None if the run computes none.

    Returns
    -------
    dict or None
        `step`, `time`, `frames`, `lens_mean`, `lens_max`, `n_above`, `atoms`, and of each
        environment `mark`, `name`, `color`, `atoms` and `share`.
    """
    lines = buffer.live("values")
    return _described(buffer, lines[-1]) if lines else None


def values_line(values: dict[str, Any], units: str) -> str:
    """Return values as one line of text."""
    shares = ", ".join(
        f"{each['mark']} ({each['name']}) {percent(each['share'])} %"
        for each in values["environments"]
    )
    return "; ".join(filter(None, (", ".join(_facts(values, units)), shares)))


def values_table(values: dict[str, Any], units: str) -> Table:
    """Return values as a table of `rich`: each environment with its share as a bar."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=", ".join(_facts(values, units)), box=None, title_justify="left")
    for name in ("mark", "environment", "share [%]", ""):
        table.add_column(name, justify="right" if "share" in name else "left")
    for each in values["environments"]:
        bar = "█" * round(_WIDTH * each["share"])
        table.add_row(
            Text(each["mark"]),
            Text(each["name"]),
            percent(each["share"]),
            Text(bar.ljust(_WIDTH), style=each["color"]),
        )
    return table


def follow_values(buffer: Buffer, *, n_rounds: int | None = None) -> None:
    """Show the values of a run until interrupted: a table on a terminal, else a line for each.

    Parameters
    ----------
    buffer : Buffer
        With values.
    n_rounds : int, optional
        End after so many looks at the buffer.
    """
    rounds = _rounds(buffer, n_rounds)
    if not sys.stdout.isatty():
        for new in rounds:
            for each in new:
                print(values_line(each, buffer.units), flush=True)
        return
    from rich.live import Live

    with Live() as shown:
        for new in rounds:
            if new:
                shown.update(values_table(new[-1], buffer.units))


def _rounds(buffer: Buffer, n_rounds: int | None) -> Iterator[list[dict[str, Any]]]:
    """Yield the values that are new at each look at the buffer, at first the newest."""
    seen: int | None = None
    while n_rounds is None or n_rounds > 0:
        lines = buffer.live("values")
        # a run that went on from an earlier step is shown from its newest values on
        start = len(lines) - 1
        if seen is not None and lines and lines[-1]["step"] >= seen:
            start = next((k for k, each in enumerate(lines) if each["step"] > seen), len(lines))
        yield [_described(buffer, each) for each in lines[max(start, 0) :]]
        seen = lines[-1]["step"] if lines else None
        n_rounds = None if n_rounds is None else n_rounds - 1
        time.sleep(_PAUSE)
        buffer.refresh()


def _described(buffer: Buffer, line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of values with its time, and with marks and names of the environments."""
    n_atoms = len(buffer.atom_ids)
    row = int(np.searchsorted(buffer.steps, line["step"]))
    is_there = row < buffer.n_frames and buffer.steps[row] == line["step"]
    counts = line["populations"]
    numbers = [str(k) for k in range(len(counts))]
    model = {"marks": numbers, "names": numbers, "colors": ["default"] * len(counts)}
    models = buffer.live("model")
    if models and len(models[-1]["marks"]) == len(counts):
        model |= models[-1]
    return {
        "step": line["step"],
        "time": float(buffer.times[row]) if is_there else None,
        "frames": int((buffer.steps <= line["step"]).sum()),
        **{name: line[name] for name in ("lens_mean", "lens_max", "n_above")},
        "atoms": n_atoms,
        "environments": [
            {
                "mark": model["marks"][k],
                "name": model["names"][k],
                "color": model["colors"][k],
                "atoms": count,
                "share": count / n_atoms,
            }
            for k, count in enumerate(counts)
        ],
    }


def _facts(values: dict[str, Any], units: str) -> list[str]:
    when = [] if values["time"] is None else [time_text(values["time"], units)]
    return [
        f"step {values['step']}",
        *when,
        f"{values['frames']} frames",
        f"mean δ {values['lens_mean']:.3f}",
        f"largest δ {values['lens_max']:.3f}",
        f"{values['n_above']} of {values['atoms']} atoms above the threshold",
    ]
