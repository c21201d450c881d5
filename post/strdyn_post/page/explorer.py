"""The linked map and structure of chemiscope: its data, and its viewer to put into a page."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from strdyn_post.figures.style import time_axis
from strdyn_post.palette import NOISE, Palette

if TYPE_CHECKING:
    from strdyn_live.buffer import Buffer
    from strdyn_post.results import AnalysisResult

__all__ = ["explorer_data", "explorer_payload"]

MAX_POINTS = 50_000
_BUNDLE = "sphinx/static/chemiscope.min.js"


def explorer_data(
    result: AnalysisResult,
    buffer: Buffer,
    palettes: Mapping[str, Palette],
    *,
    max_points: int = MAX_POINTS,
    keep: int | None = None,
) -> dict[str, Any]:
    """Return map and structures of SOAP&LENS as a chemiscope dataset.

    Parameters
    ----------
    result : Analysis
    buffer : Buffer
        Positions, boxes, species.
    palettes : mapping of str to Palette
        Of `make_palettes`; environments are counted from 1 in its order, 0 is given to none.
    max_points : int
        Whole frames are taken, evenly spread, so that not more points than this come out.
    keep : int, optional
        Index into the steps of SOAP&LENS of a frame to take in any case.

    Returns
    -------
    dict
        As `chemiscope.create_input` makes it.

    Raises
    ------
    ImportError
        Without the package chemiscope.
    """
    chemiscope = _chemiscope()
    chi, soap, lens = result["soap_lens"], result["soap"], result["lens"]
    n_frames = max(1, min(len(chi.steps), max_points // max(len(chi.atom_ids), 1)))
    picked = {int(k) for k in np.linspace(0, len(chi.steps) - 1, n_frames)}
    if keep is not None and keep not in picked:
        # in place of its neighbor: the number of points stays
        picked.remove(min(picked, key=lambda k: abs(k - keep)))
        picked.add(keep)
    frames = sorted(picked)

    rows = np.searchsorted(buffer.atom_ids, chi.atom_ids)
    names = np.asarray(buffer.config.species)[buffer.species[rows]].tolist()
    structures = []
    for k in frames:
        at = int(np.flatnonzero(buffer.steps == chi.steps[k])[0])
        positions = np.asarray(buffer.positions(at), dtype=np.float64)[rows].round(2)
        cell = np.asarray(buffer.box(at)[0]).round(4)
        x, y, z = (column.tolist() for column in positions.T)
        structures.append(
            {
                "size": len(rows),
                "names": names,
                "x": x,
                "y": y,
                "z": z,
                "cell": cell.ravel().tolist(),
            }
        )

    times, symbol = time_axis(chi.times, buffer.units)
    order = palettes["soap_lens"].order
    position = np.empty(len(order) + 1, dtype=np.int64)  # the last place is that of label -1
    position[order] = np.arange(1, len(order) + 1)
    position[-1] = 0
    columns: dict[str, tuple[Any, str, str]] = {
        "environment": (
            position[chi.final.labels[frames]],
            "",
            ", ".join(
                f"{place}: {palettes['soap_lens'].names[label]}"
                for place, label in enumerate(order, start=1)
            ),
        ),
        "time": (np.broadcast_to(times[frames][:, None], (len(frames), len(rows))), symbol, ""),
        "atom ID": (np.broadcast_to(chi.atom_ids, (len(frames), len(rows))), "", ""),
    }
    for route, title in ((chi, "SOAP & LENS"), (soap, "SOAP")):
        for component in range(min(route.n_components, 3)):
            columns[f"{title}: component {component + 1}"] = (
                route.scores[frames, :, component],
                "",
                f"principal component {component + 1} of {title}",
            )
    columns["δ"] = (lens.scores[frames, :, 0], "", "share of neighbors exchanged (LENS)")

    color = {
        "property": "environment",
        "min": -0.5,
        "max": len(order) + 0.5,
        "palette": "tab10",
    }
    y_axis = 2 if chi.n_components > 1 else 1
    data: dict[str, Any] = chemiscope.create_input(
        structures,
        metadata={"name": str(buffer.config.file), "description": "SOAP & LENS analysis"},
        properties={
            name: {
                "target": "atom",
                "values": _plain(values),
                "units": unit,
                "description": description,
            }
            for name, (values, unit, description) in columns.items()
        },
        environments=[(s, a, 3.5) for s in range(len(frames)) for a in range(len(rows))],
        settings={
            "target": "atom",
            "map": {
                "x": {"property": "SOAP & LENS: component 1"},
                "y": {"property": f"SOAP & LENS: component {y_axis}"},
                "color": {**color, "opacity": 70},
                "size": {"factor": 20},
                "joinPoints": False,
            },
            "structure": [
                {
                    "spaceFilling": True,
                    "bonds": False,
                    "keepOrientation": True,
                    "color": color,
                    "environments": {"activated": False},
                }
            ],
        },
    )
    return data


def explorer_payload(data: Mapping[str, Any], palette: Palette) -> dict[str, str]:
    """Return viewer and data as gzip in base64, to be put into a page and unpacked by it.

    Parameters
    ----------
    data : mapping
        Of `explorer_data`.
    palette : Palette
        Of SOAP&LENS: the viewer shows the colours of the figures.

    Returns
    -------
    dict of str to str
        ``code`` (JavaScript) and ``data`` (JSON).
    """
    bundle = Path(_chemiscope().__file__).parent / _BUNDLE
    if not bundle.exists():
        raise ImportError(
            f"chemiscope has no {_BUNDLE}: its layout has changed. "
            "Install the one this was made for: pip install 'chemiscope>=1.1,<2'."
        )
    code = _with_palette(bundle.read_text(encoding="utf-8"), palette)
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return {"code": _pack(code), "data": _pack(text)}


def _with_palette(code: str, palette: Palette) -> str:
    """Put our colours in the place of the qualitative palette tab10: chemiscope takes no others."""
    colors = [NOISE, *(palette.colors[label] for label in palette.order)]
    stops = []
    for place, color in enumerate(colors):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        stops += [[place / len(colors), rgb], [(place + 1) / len(colors), rgb]]
    table = json.dumps(stops, separators=(",", ":"))
    changed, n_places = re.subn(r"(\btab10:\w+\()\[\[0,.*?\]\]\]\)", rf"\g<1>{table})", code)
    if n_places == 0:
        raise ImportError(
            "the colours of chemiscope's viewer are not where they were. "
            "Install the one this was made for: pip install 'chemiscope>=1.1,<2'."
        )
    return changed


def _plain(values: Any) -> list[float] | list[int]:
    """Return numbers in a row with the digits that a screen shows."""
    array = np.asarray(values).ravel()
    if array.dtype.kind in "iu":
        return array.tolist()
    return array.astype(np.float64).round(4).tolist()


def _pack(text: str) -> str:
    # no time stamp: the same analysis makes the same page
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _chemiscope() -> Any:
    try:
        import chemiscope
    except ImportError as error:
        raise ImportError(
            "the explorer needs chemiscope: pip install 'strdyn-live[explorer]'."
        ) from error
    return chemiscope
