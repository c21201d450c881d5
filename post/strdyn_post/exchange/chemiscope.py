"""The dataset of chemiscope: a map of SOAP&LENS, linked with the structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.names import Names
from strdyn_post.quantities import time_axis, time_unit
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult

__all__ = ["chemiscope_data", "load_chemiscope"]

MAX_POINTS = 50_000
_NEIGHBORHOOD = 3.5  # [length]: radius that the viewer may cut out around an atom

Column = tuple[Any, str, str]
"""Values, unit and description of a property."""


def chemiscope_data(
    result: AnalysisResult,
    recording: Recording,
    *,
    max_points: int = MAX_POINTS,
    keep: int | None = None,
) -> dict[str, Any]:
    """Return map and structures of SOAP&LENS as a chemiscope dataset.

    Environments are counted from 1 in the order of their marks; 0 is noise.

    Parameters
    ----------
    result : AnalysisResult
    recording : Recording
        Its positions, boxes and species are read.
    max_points : int
        Largest number of points; whole frames are taken, evenly spread.
    keep : int, optional
        Index, in the steps of SOAP&LENS, of a frame that is always taken.

    Returns
    -------
    dict
        As `chemiscope.create_input` returns it.

    Raises
    ------
    ImportError
        If chemiscope is not installed.
    """
    chemiscope = load_chemiscope()
    chi, names = result["soap_lens"], result.names["soap_lens"]
    frames = _pick(len(chi.frames), max_points // max(chi.frames.n_atoms, 1), keep)
    data: dict[str, Any] = chemiscope.create_input(
        _structures(result, recording, frames),
        metadata={"name": str(recording.config.file), "description": "SOAP & LENS analysis"},
        properties={
            name: {
                "target": "atom",
                "values": _plain(values),
                "units": unit,
                "description": description,
            }
            for name, (values, unit, description) in _columns(result, recording, frames).items()
        },
        environments=[
            (s, a, _NEIGHBORHOOD) for s in range(len(frames)) for a in range(chi.frames.n_atoms)
        ],
        settings=_settings(len(names.marks), 2 if chi.n_components > 1 else 1),
    )
    return data


def _pick(n_frames: int, most: int, keep: int | None) -> list[int]:
    """Choose frames, evenly spread; `keep` is always one of them."""
    n_picked = max(1, min(n_frames, most))
    picked = {int(k) for k in np.linspace(0, n_frames - 1, n_picked)}
    if keep is not None and keep not in picked:
        # it replaces the nearest frame: the number of points stays
        picked.remove(min(picked, key=lambda k: abs(k - keep)))
        picked.add(keep)
    return sorted(picked)


def _structures(
    result: AnalysisResult, recording: Recording, frames: list[int]
) -> list[dict[str, Any]]:
    chi = result["soap_lens"]
    rows = np.searchsorted(recording.atom_ids, chi.atom_ids)
    symbols = np.asarray(recording.config.species)[recording.species[rows]].tolist()
    structures = []
    for k in frames:
        at = int(np.flatnonzero(recording.steps == chi.steps[k])[0])
        positions = np.asarray(recording.positions(at), dtype=np.float64)[rows].round(2)
        cell = np.asarray(recording.box(at)[0]).round(4)
        x, y, z = (column.tolist() for column in positions.T)
        structures.append(
            {
                "size": len(rows),
                "names": symbols,
                "x": x,
                "y": y,
                "z": z,
                "cell": cell.ravel().tolist(),
            }
        )
    return structures


def _columns(
    result: AnalysisResult, recording: Recording, frames: list[int]
) -> Mapping[str, Column]:
    """Return the properties of the points of the map."""
    chi, soap = result["soap_lens"], result["soap"]
    shape = (len(frames), chi.frames.n_atoms)
    times, symbol = time_axis(chi.times, recording.units)
    columns: dict[str, Column] = {
        "environment": _places(result.names["soap_lens"], chi.final.labels[frames]),
        "time": (np.broadcast_to(times[frames][:, None], shape), symbol, ""),
        "atom ID": (np.broadcast_to(chi.atom_ids, shape), "", ""),
    }
    for route in (chi, soap):
        for component in range(min(route.n_components, 3)):
            columns[f"{route.title}: component {component + 1}"] = (
                route.scores[frames, :, component],
                "",
                f"principal component {component + 1} of {route.title}",
            )
    delta = result.smoothed_delta.values[frames]
    columns["δ"] = (delta, "", "share of neighbors exchanged (LENS)")
    expected = result.expected_events
    if expected is not None:
        columns["expected events"] = (
            expected[frames],
            f"1/{time_unit(recording.units)}",
            "lasting changes of neighbors that the structure lets expect",
        )
    return columns


def _places(names: Names, labels: NDArray[np.int32]) -> Column:
    """Return environments as numbers in the order of their marks, as chemiscope needs them."""
    order = names.order
    place = np.empty(len(order) + 1, dtype=np.int64)  # the last one is that of label -1
    place[order] = np.arange(1, len(order) + 1)
    place[-1] = 0
    words = (
        f"{place}: {names.names[label]} ({names.marks[label]})"
        for place, label in enumerate(order, start=1)
    )
    return place[labels], "", ", ".join(words)


def _settings(n_environments: int, y_component: int) -> dict[str, Any]:
    """Return the settings with which the viewer starts."""
    color = {
        "property": "environment",
        "min": -0.5,
        "max": n_environments + 0.5,
        "palette": "tab10",
    }
    return {
        "target": "atom",
        "map": {
            "x": {"property": "SOAP & LENS: component 1"},
            "y": {"property": f"SOAP & LENS: component {y_component}"},
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
    }


def _plain(values: Any) -> list[float] | list[int]:
    """Return the numbers as a flat list, with 4 decimals, or 4 digits of the largest one."""
    array = np.asarray(values).ravel()
    if array.dtype.kind in "iu":
        return array.tolist()
    largest = float(np.abs(array).max(initial=0.0))
    decimals = 4 - int(np.floor(np.log10(largest))) if 0.0 < largest < 1.0 else 4
    return array.astype(np.float64).round(decimals).tolist()


def load_chemiscope() -> Any:
    """Import chemiscope; the ImportError says what to install."""
    try:
        import chemiscope
    except ImportError as error:
        raise ImportError(
            "the explorer needs chemiscope: pip install 'strdyn-live[explorer]'."
        ) from error
    return chemiscope
