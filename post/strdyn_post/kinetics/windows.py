"""Counting windows: every pair of frames of one atom that is counted, in groups and blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.signal.frames import iter_stretches

from .clustered import atom_groups, time_blocks

__all__ = ["Windows"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Counting windows of which both ends are known.

    Attributes
    ----------
    before, after : (n_windows,) int64 ndarray
        Clusters at both ends.
    cell : (n_windows,) int64 ndarray
        Group of the atom and block of the time, ``group * n_blocks + block``.
    time : (n_windows,) int64 ndarray
        Number of the first frame, counted over the frames that begin a window.
    n_groups, n_blocks : int
        Number of groups of atoms and of blocks of time.
    """

    before: Int
    after: Int
    cell: Int
    time: Int
    n_groups: int
    n_blocks: int

    @classmethod
    def of(cls, labels: NDArray[np.int32], lag: int, stretches: Int) -> Windows:
        """Find the windows of labels (n_frames, n_atoms), noise negative."""
        start = np.concatenate(
            [
                np.arange(rows.start, max(rows.start, rows.stop - lag))
                for rows in iter_stretches(stretches)
            ]
        )
        before, after = labels[start], labels[start + lag]
        time, atom = np.nonzero((before >= 0) & (after >= 0))
        group, block = atom_groups(labels.shape[1]), time_blocks(len(start), lag)
        n_blocks = int(block[-1]) + 1 if len(block) else 1
        return cls(
            before=before[time, atom].astype(np.int64),
            after=after[time, atom].astype(np.int64),
            cell=group[atom] * n_blocks + block[time],
            time=time,
            n_groups=int(group[-1]) + 1,
            n_blocks=n_blocks,
        )

    def tally(self, chosen: NDArray[np.bool_], column: Int, n: int) -> Float:
        """Count the chosen windows by group, block and column, (n_groups, n_blocks, n)."""
        index = self.cell[chosen] * n + column[chosen]
        counted = np.bincount(index, minlength=self.n_groups * self.n_blocks * n)
        return counted.reshape(self.n_groups, self.n_blocks, n).astype(np.float64)
