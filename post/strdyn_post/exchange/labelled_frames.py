"""Frames of a result with positions and environments, for all exports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.provenance import check_same_run
from strdyn_post.recording import Recording
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES

from .soapify import symbols

__all__ = ["LabelledFrame", "labelled_frames", "values_of_atoms"]


@dataclass(frozen=True)
class LabelledFrame:
    """One frame of a result, by atom ID.

    Attributes
    ----------
    step, time, cell, origin, atom_ids, symbols, types, positions
        As recorded; types count from 1.
    numbers : dict of str to (n_atoms,) int32 ndarray
        For every route the numbers of `Names.numbers`; −1 is noise.
    labels : (n_atoms,) int32 ndarray
        Final labels of SOAP&LENS.
    values : dict of str to (n_atoms,) float64 ndarray
        ``delta``: smoothed δ. ``expected_events``: lasting changes of neighbors that the structure
        lets expect [1/time]; missing without `AnalysisResult.event_model`.
    """

    step: int
    time: float
    cell: NDArray[np.float64]
    origin: NDArray[np.float64]
    atom_ids: NDArray[np.int64]
    symbols: list[str]
    types: NDArray[np.int32]
    positions: NDArray[np.float64]
    numbers: dict[str, NDArray[np.int32]]
    labels: NDArray[np.int32]
    values: dict[str, NDArray[np.float64]]


def values_of_atoms(result: AnalysisResult) -> dict[str, NDArray[np.float32]]:
    """Return the numbers that every atom has in every frame, by column of the exports."""
    expected = result.expected_events
    return {
        "delta": result.smoothed_delta.values,
        **({} if expected is None else {"expected_events": expected}),
    }


def labelled_frames(result: AnalysisResult, recording: Recording) -> Iterator[LabelledFrame]:
    """Join result and recording by step and atom ID."""
    check_same_run(result, recording)
    first = result["soap_lens"]
    rows = np.searchsorted(recording.atom_ids, first.atom_ids)
    elements = symbols(recording)
    values = values_of_atoms(result)
    for k, step in enumerate(first.steps):
        at = int(np.searchsorted(recording.steps, step))
        cell, origin = recording.box(at)
        yield LabelledFrame(
            step=int(step),
            time=float(first.times[k]),
            cell=cell,
            origin=origin,
            atom_ids=first.atom_ids,
            symbols=[elements[row] for row in rows],
            types=recording.species[rows] + 1,
            positions=np.asarray(recording.positions(at), dtype=np.float64)[rows],
            numbers={
                name: result.names[name].numbers_of(result[name].final.labels[k]) for name in ROUTES
            },
            labels=first.final.labels[k],
            values={name: value[k].astype(np.float64) for name, value in values.items()},
        )
