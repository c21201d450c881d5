"""Say which vertices of the particle sink in, and when: python rosettes.py au309.sdl.

From the positions alone, without SOAP and LENS. A vertex of the icosahedron has six neighbors: five
around it on the surface, and one below. When it sinks in, a sixth atom joins the ring around it.
The center of such a rosette has eight neighbors: six around it and two below.
"""

from __future__ import annotations

import sys
from typing import Any

import icosahedron
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from strdyn_live import open_buffer

NEIGHBORS = 3.5  # Å: between the first shell of neighbors (2.9) and the second (4.1)
INSIDE = 11  # an atom with so many neighbors is not on the surface; inside the particle it has 12
HELD = 400.0  # ps: a ring of six that opens again sooner is not counted


def around_and_below(positions: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return the numbers of neighbors of each atom on the surface and inside, (n_atoms, 2)."""
    pairs = cKDTree(positions).query_pairs(NEIGHBORS, output_type="ndarray")
    one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
    n_atoms = len(positions)
    inside = np.bincount(one, minlength=n_atoms) >= INSIDE
    counts = [np.bincount(one[inside[other] == below], minlength=n_atoms) for below in (0, 1)]
    return np.stack(counts, axis=1)


def find_vertices() -> NDArray[np.int64]:
    """Return the atom IDs of the twelve vertices, as in au309.data."""
    around = around_and_below(icosahedron.icosahedron())
    return 1 + np.flatnonzero((around == (5, 1)).all(axis=1))


def find_rosettes(recording: Any) -> dict[int, float]:
    """Return when each vertex that sinks in does so.

    Parameters
    ----------
    recording : Buffer
        Of the whole particle, as `strdyn_live.open_buffer` returns it, in units metal.

    Returns
    -------
    dict of int to float
        Atom ID of the vertex → time after the first frame [ps], the earliest first: from then on,
        six atoms are around it in at least half of the frames within `HELD`.
    """
    times = recording.times - recording.times[0]
    vertices = np.searchsorted(recording.atom_ids, find_vertices())
    counts = [around_and_below(recording.positions(k))[vertices] for k in range(len(times))]
    six = (np.array(counts) >= (6, 2)).all(axis=2)
    n_held = 1 + int(np.searchsorted(times, HELD))
    found = {}
    for vertex, ring in zip(vertices.tolist(), six.T, strict=True):
        share = np.convolve(ring, np.full(n_held, 1.0 / n_held), mode="valid")
        starts = np.flatnonzero(ring[: len(share)] & (share >= 0.5))
        if len(starts):
            found[int(recording.atom_ids[vertex])] = float(times[starts[0]])
    return dict(sorted(found.items(), key=lambda each: each[1]))


if __name__ == "__main__":
    for atom_id, time in find_rosettes(open_buffer(sys.argv[1])).items():
        print(f"vertex {atom_id} has sunk in at {time / 1000:.2f} ns")
