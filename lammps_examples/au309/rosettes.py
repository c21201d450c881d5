"""Say which vertices of the particle sink in, and when: python rosettes.py au309.sdl.

From the positions alone, without SOAP and LENS. A vertex that sinks in comes nearer to the
middle of the particle. It has six neighbors: five around it on the surface, and one below. If a
sixth atom joins the ring around it, it is the center of a rosette: six around it and two below.
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
DEPTH = 0.5  # Å: sunken vertices are deeper by 0.7 to 2 Å
HELD = 400.0  # ps: a vertex that comes out again sooner is not counted
VERTEX, ROSETTE = (5, 1), (6, 2)  # neighbors on the surface, and inside


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
    return 1 + np.flatnonzero((around == VERTEX).all(axis=1))


def find_sunken(recording: Any) -> dict[int, tuple[float, float | None]]:
    """Return when each vertex that sinks in does so, and when it becomes the center of a rosette.

    Parameters
    ----------
    recording : Buffer
        Of the whole particle, as `strdyn_live.open_buffer` returns it, in units metal.

    Returns
    -------
    dict of int to (float, float or None)
        Atom ID of the vertex → times after the first frame [ps], the earliest first. From the first
        time on, it is deeper by `DEPTH` than vertices at the start in at least half of the frames
        within `HELD`; from the second time on, it is the center of a rosette in half of them (None:
        never).
    """
    times = recording.times - recording.times[0]
    vertices = np.searchsorted(recording.atom_ids, find_vertices())
    around, radius = [], []
    for k in range(len(times)):
        positions = recording.positions(k)
        around.append(around_and_below(positions)[vertices])
        radius.append(np.linalg.norm(positions[vertices] - positions.mean(axis=0), axis=1))
    sunken = np.array(radius) < np.median(radius[0]) - DEPTH
    rosette = (np.array(around) >= ROSETTE).all(axis=2)
    n_held = 1 + int(np.searchsorted(times, HELD))
    found = {}
    for k, vertex in enumerate(vertices):
        start = _first(sunken[:, k], times, n_held)
        if start is not None:
            of_vertex = start, _first(rosette[:, k], times, n_held)
            found[int(recording.atom_ids[vertex])] = of_vertex
    return dict(sorted(found.items(), key=lambda each: each[1][0]))


def _first(holds: NDArray[np.bool_], times: NDArray[np.float64], n_held: int) -> float | None:
    """Return the first time from which on something holds in half of so many frames."""
    share = np.convolve(holds, np.full(n_held, 1.0 / n_held), mode="valid")
    starts = np.flatnonzero(holds[: len(share)] & (share >= 0.5))
    return float(times[starts[0]]) if len(starts) else None


if __name__ == "__main__":
    for atom_id, (sunken, rosette) in find_sunken(open_buffer(sys.argv[1])).items():
        later = "" if rosette is None else f", center of a rosette at {rosette / 1000:.2f} ns"
        print(f"vertex {atom_id}: sunken at {sunken / 1000:.2f} ns{later}")
