"""Environments described by their number of neighbors and their depth below a surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.box import Box
from strdyn_live.models import Labels
from strdyn_post.limits import OUTERMOST, SURFACE_NEIGHBORS
from strdyn_post.recording import Recording
from strdyn_post.signal.frames import Frames
from strdyn_post.signal.same_frames import KnownFrames
from strdyn_post.work import MapChunks

__all__ = ["Description", "depth_series", "depths", "describe_environments"]

_N_FRAMES = 16
_FRAMES_PER_CHUNK = 32


@dataclass(frozen=True)
class Description:
    """Means over frames of a recording.

    Attributes
    ----------
    n_neighbors : (n_environments,) float64 ndarray
        Mean number of neighbors in the lists of LENS; NaN for an environment without atoms.
    depth : (n_environments,) float64 ndarray
        Mean depth below the surface [length]; NaN without a surface.
    """

    n_neighbors: NDArray[np.float64]
    depth: NDArray[np.float64]


def describe_environments(
    recording: Recording,
    frames: Frames,
    labels: Mapping[str, tuple[Labels, int]],
    map_chunks: MapChunks = map,
) -> dict[str, Description]:
    """Describe the environments of every route, from 16 to 31 frames, evenly spread.

    Parameters
    ----------
    recording : Recording
        Its neighbor lists, positions and boxes are read.
    frames : Frames
        Frames of the labels.
    labels : mapping of str to ((n_frames, n_atoms) int32 ndarray, int)
        For every route: environment of every row, and number of environments.
    map_chunks : callable
        ``map``, or another map that returns results in order.

    Returns
    -------
    dict of str to Description
    """
    # steps of a power of 2: as a recording grows, every other frame is left out, none is new
    picked = np.arange(0, len(frames), 1 << max(0, (len(frames) // _N_FRAMES).bit_length() - 1))
    rows = np.searchsorted(recording.steps, frames.steps[picked])
    chunks = [KnownFrames.of(recording, rows[k : k + 1]) for k in range(len(rows))]
    neighbors, depth = (
        np.array(values)
        for values in zip(*map_chunks(partial(_look, recording), chunks), strict=True)
    )
    return {
        name: Description(
            _means(found[picked], neighbors, n_environments),
            _means(found[picked], depth, n_environments),
        )
        for name, (found, n_environments) in labels.items()
    }


def _look(
    recording: Recording, known: KnownFrames
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return number of neighbors and depth of the atoms of a frame."""
    known.check(recording)
    k = known.numbers[0]
    n_neighbors = recording.neighbors(k).counts.astype(np.float64)
    return n_neighbors, depths(recording, k, n_neighbors)


def depths(
    recording: Recording, k: int, n_neighbors: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return how far below a surface the described atoms of a frame lie.

    A surface needs one direction of the box, and only one, in which the described atoms leave a
    gap wider than the cutoff of their neighbor lists. The atoms next to the gap are a surface if
    they have fewer neighbors than usual. The depth of an atom is its distance along the normal to
    the outermost described atom within half a cutoff of this normal. With two surfaces, the nearer
    one counts.

    Parameters
    ----------
    recording : Recording
    k : int
        Frame of the recording.
    n_neighbors : (n_atoms,) ndarray of float
        Number of neighbors of the atoms in this frame.

    Returns
    -------
    (n_atoms,) float64 ndarray
        Depths [length]; NaN without a surface.
    """
    from scipy.spatial import cKDTree

    unknown = np.full(len(n_neighbors), np.nan)
    box = Box(*recording.box(k), recording.periodic)
    inside = box.fractions(np.asarray(recording.positions(k), dtype=np.float64))
    cutoff = recording.config.lens_r_cut
    least = box.margins(cutoff)
    starts = [_after_the_gap(inside[:, axis], least[axis]) for axis in range(3)]
    open_axes = [(axis, start) for axis, start in enumerate(starts) if start is not None]
    if len(open_axes) != 1:
        return unknown
    axis, start = open_axes[0]
    inside[:, axis] = (inside[:, axis] - start) % 1.0
    height = inside[:, axis] * box.heights[axis]
    normal = box.inverse[:, axis] * box.heights[axis]
    lateral = inside @ box.cell - height[:, None] * normal
    order = np.argsort(height)
    n_outermost = max(1, round(OUTERMOST * len(order)))
    few = SURFACE_NEIGHBORS * np.median(n_neighbors)
    one, other = cKDTree(lateral).query_pairs(cutoff / 2.0, output_type="ndarray").T
    found = []
    if n_neighbors[order[-n_outermost:]].mean() < few:
        found.append(_outermost(np.maximum, height, one, other) - height)
    if n_neighbors[order[:n_outermost]].mean() < few:
        found.append(height - _outermost(np.minimum, height, one, other))
    return np.min(found, axis=0) if found else unknown


def depth_series(
    recording: Recording,
    rows: NDArray[np.int64],
    n_neighbors: NDArray[np.int64],
    map_chunks: MapChunks = map,
) -> NDArray[np.float64]:
    """Return the depths of the described atoms in some frames (see `depths`).

    Parameters
    ----------
    recording : Recording
    rows : (n_frames,) int64 ndarray
        Frames of the recording.
    n_neighbors : (n_frames, n_atoms) int64 ndarray
        Number of neighbors in these frames.
    map_chunks : callable
        ``map`` or one of its kind.

    Returns
    -------
    (n_frames, n_atoms) float64 ndarray
        Depths [length]; NaN in frames without a surface.
    """
    chunks = [
        (
            KnownFrames.of(recording, rows[k : k + _FRAMES_PER_CHUNK]),
            n_neighbors[k : k + _FRAMES_PER_CHUNK],
        )
        for k in range(0, len(rows), _FRAMES_PER_CHUNK)
    ]
    return np.concatenate(list(map_chunks(partial(_depths_of, recording), chunks)))


def _depths_of(
    recording: Recording, chunk: tuple[KnownFrames, NDArray[np.int64]]
) -> NDArray[np.float64]:
    known, n_neighbors = chunk
    known.check(recording)
    frames = zip(known.numbers, n_neighbors, strict=True)
    return np.array([depths(recording, k, counts) for k, counts in frames])


def _outermost(
    further: np.ufunc,
    height: NDArray[np.float64],
    one: NDArray[np.intp],
    other: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the largest (smallest) height of every atom and its partners in pairs."""
    found = height.copy()
    further.at(found, one, height[other])
    further.at(found, other, height[one])
    return found


def _after_the_gap(fractions: NDArray[np.float64], least: float) -> float | None:
    """Return where atoms begin after the widest gap; None if the gap is narrower than `least`."""
    places = np.sort(fractions % 1.0)
    gaps = np.diff(places, append=places[0] + 1.0)
    widest = int(gaps.argmax())
    return float(places[(widest + 1) % len(places)]) if gaps[widest] > least else None


def _means(labels: Labels, values: NDArray[np.float64], n_environments: int) -> NDArray[np.float64]:
    """Return the mean of the finite values in every environment; NaN if there are none."""
    known = (labels >= 0) & np.isfinite(values)
    total = np.bincount(labels[known], values[known], n_environments)
    size = np.bincount(labels[known], minlength=n_environments)
    return np.asarray(np.divide(total, size, out=np.full(n_environments, np.nan), where=size > 0))
