"""Neighbor lists and LENS of one frame, against the way of dynsight's `compute_lens`.

dynsight needs an older NumPy, so it is not run here. Its way is written anew below and compiled by
numba: linked cells as wide as the cutoff, pairs counted first and then stored, differences of two
atoms as small arrays, both lists of a pair of frames built every time. "scalars" is the same with
the differences in scalars: what the way costs at its best.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _timing import copper, medians, processor, with_images

from strdyn_live.kernel import available_isas, find_neighbors, lens


@numba.njit(fastmath=True)
def squared_by_arrays(positions, i, j, box):
    d = positions[j] - positions[i]
    for k in range(3):
        d[k] -= np.rint(d[k] / box[k]) * box[k]
    return d[0] ** 2 + d[1] ** 2 + d[2] ** 2


@numba.njit(fastmath=True)
def squared_by_scalars(positions, i, j, box):
    total = 0.0
    for k in range(3):
        d = positions[j, k] - positions[i, k]
        d -= np.rint(d / box[k]) * box[k]
        total += d * d
    return total


@numba.njit(fastmath=True)
def linked_cells(positions, box, n_cells):
    head = np.full(n_cells[0] * n_cells[1] * n_cells[2], -1, np.int32)
    after = np.full(len(positions), -1, np.int32)
    where = np.empty((len(positions), 3), np.int32)
    for i in range(len(positions)):
        for k in range(3):
            where[i, k] = int(np.floor(positions[i, k] / box[k] * n_cells[k])) % n_cells[k]
        cell = (where[i, 0] * n_cells[1] + where[i, 1]) * n_cells[2] + where[i, 2]
        after[i] = head[cell]
        head[cell] = i
    return head, after, where


@numba.njit(fastmath=True)
def visit(squared, positions, box, r_cut, n_cells, cells, starts, ids):
    """Count the neighbors of every atom in starts[i + 1] or, if `ids` has room, store them."""
    head, after, where = cells
    for i in range(len(positions)):
        found = 0
        for a in range(-1, 2):
            for b in range(-1, 2):
                for c in range(-1, 2):
                    x = (where[i, 0] + a) % n_cells[0]
                    y = (where[i, 1] + b) % n_cells[1]
                    z = (where[i, 2] + c) % n_cells[2]
                    j = head[(x * n_cells[1] + y) * n_cells[2] + z]
                    while j != -1:
                        if j != i and squared(positions, i, j, box) < r_cut * r_cut:
                            if len(ids):
                                ids[starts[i] + found] = j
                            found += 1
                        j = after[j]
        if len(ids):
            ids[starts[i] : starts[i + 1]].sort()
        else:
            starts[i + 1] = found


def list_by_numba(squared, positions, box, r_cut):
    n_cells = np.maximum(3, (box // r_cut).astype(np.int64))
    cells = linked_cells(positions, box, n_cells)
    starts = np.zeros(len(positions) + 1, np.int64)
    visit(squared, positions, box, r_cut, n_cells, cells, starts, np.empty(0, np.int64))
    starts = np.cumsum(starts)
    ids = np.empty(starts[-1], np.int64)
    visit(squared, positions, box, r_cut, n_cells, cells, starts, ids)
    return starts, ids


def both_lists(squared, frames, box, r_cut):
    """LENS with both lists built: the same merge of sorted lists as ours."""
    before, after = (list_by_numba(squared, positions, box, r_cut) for positions in frames)
    return lens(*before, *after)


def one_list(before, positions, rows, n_atoms, r_cut):
    """LENS with the list of the earlier frame at hand, as the recorder and the reader have it."""
    counts, ids = find_neighbors(
        positions, rows, np.arange(n_atoms), np.ones(len(rows), bool), r_cut
    )
    after = np.concatenate([[0], np.cumsum(counts)]), ids
    return after, lens(*before, *after)


def compare(n_atoms: int, r_cut: float) -> None:
    atoms = copper(n_atoms)
    n_atoms = len(atoms)
    atoms.wrap()
    box = np.diag(np.asarray(atoms.cell)).copy()
    later = atoms.copy()
    later.positions += np.random.default_rng(3).normal(0.0, 0.15, later.positions.shape)
    later.wrap()
    frames = [atoms.positions, later.positions]
    ghosts = [with_images(frame, r_cut) for frame in (atoms, later)]
    nothing = np.zeros(n_atoms + 1, np.int64), np.empty(0, np.int64)
    before, _ = one_list(nothing, *ghosts[0], n_atoms, r_cut)
    seconds = medians(
        {
            "ours": lambda: one_list(before, *ghosts[1], n_atoms, r_cut),
            "arrays": lambda: both_lists(squared_by_arrays, frames, box, r_cut),
            "scalars": lambda: both_lists(squared_by_scalars, frames, box, r_cut),
        }
    )
    _, ours = one_list(before, *ghosts[1], n_atoms, r_cut)
    same = np.array_equal(ours, both_lists(squared_by_scalars, frames, box, r_cut))
    ours_, arrays, scalars = (1e6 * value / n_atoms for value in seconds.values())
    print(
        f"{n_atoms:7} atoms, {r_cut:4.2f} Å, {len(before[1]) / n_atoms:5.1f} neighbors: "
        f"ours {ours_:5.2f} µs an atom; dynsight's way {arrays:6.1f} µs "
        f"({arrays / ours_:4.1f} ×, goal 20 ×), with scalars {scalars:5.1f} µs "
        f"({scalars / ours_:4.1f} ×); {'same numbers' if same else 'NUMBERS DIFFER'}"
    )


if __name__ == "__main__":
    print(f"{processor()}, one core, {available_isas()[-1]}; medians of 7 runs in turn")
    for r_cut_ in (6.0, 4.48):
        compare(4_000, r_cut_)
    compare(100_000, 6.0)
