"""Flicker: neighbors that cross the cutoff to and fro, and count in LENS each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists

from .series import find_stretches

__all__ = ["flicker", "flicker_share"]

_FRAMES_PER_CHUNK = 32


def flicker(
    before: NeighborLists, now: NeighborLists, after: NeighborLists
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the changes of neighbors that the next frame undoes.

    Parameters
    ----------
    before, now, after : NeighborLists
        Lists of the same centers at three successive frames.

    Returns
    -------
    changes, undone : (n_centers,) int64 ndarray
        Neighbors that came or went from `before` to `now`, and those of them that are in `after`
        as they were in `before`.
    """
    first, second, third = (_pairs(lists) for lists in (before, now, after))
    changed = np.setxor1d(first, second, assume_unique=True)
    undone = np.intersect1d(
        changed, np.setxor1d(second, third, assume_unique=True), assume_unique=True
    )
    n_centers = len(now)
    return (
        np.bincount(changed >> 40, minlength=n_centers),
        np.bincount(undone >> 40, minlength=n_centers),
    )


def flicker_share(buffer: Any, map_chunks: Callable[..., Iterable[Any]] = map) -> float:
    """Return the share of all changes of neighbors that the next frame undoes.

    Near 1, LENS shows atoms that vibrate at the cutoff; near 0, atoms that move on. A buffer
    without three successive frames has no answer: NaN.
    """
    stretches, _ = find_stretches(buffer.steps, buffer.times)
    same = np.diff(stretches) == 0
    middle = np.flatnonzero(same[:-1] & same[1:]) + 1
    chunks = np.split(middle, range(_FRAMES_PER_CHUNK, len(middle), _FRAMES_PER_CHUNK))
    counted = sum(map_chunks(partial(_count, buffer), chunks), np.zeros(2, dtype=np.int64))
    return float(counted[1] / counted[0]) if counted[0] else float("nan")


def _count(buffer: Any, middle: NDArray[np.int64]) -> NDArray[np.int64]:
    lists: dict[int, NeighborLists] = {}
    counted = np.zeros(2, dtype=np.int64)
    for k in middle.tolist():
        lists = {j: lists.get(j) or buffer.neighbors(j) for j in (k - 1, k, k + 1)}
        changes, undone = flicker(*lists.values())
        counted += changes.sum(), undone.sum()
    return counted


def _pairs(lists: NeighborLists) -> NDArray[np.int64]:
    """Return (center, neighbor ID) of every pair as one number; IDs stay below 2⁴⁰."""
    return (np.repeat(np.arange(len(lists)), lists.counts) << 40) + lists.ids
