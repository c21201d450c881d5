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

__all__ = ["LabelledFrame", "labelled_frames"]


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
    delta : (n_atoms,) float64 ndarray
        Smoothed δ.
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
    delta: NDArray[np.float64]


def labelled_frames(result: AnalysisResult, recording: Recording) -> Iterator[LabelledFrame]:
    """Join result and recording by step and atom ID."""
    check_same_run(result, recording)
    first = result["soap_lens"]
    rows = np.searchsorted(recording.atom_ids, first.atom_ids)
    elements = symbols(recording)
    delta = result.smoothed_delta.values
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
            delta=delta[k].astype(np.float64),
        )
