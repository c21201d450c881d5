"""The path of one atom through the system, and the atom with its neighbors."""

from __future__ import annotations

from typing import Any

import numpy as np

from strdyn_post.names import Names
from strdyn_post.quantities import time_axis
from strdyn_post.recording import Recording
from strdyn_post.routes import Route

from .snapshot import (
    VIEWS,
    frame_positions,
    plot_snapshot,
    render_spheres,
    sphere_radius,
    view_axes,
)
from .style import INK, axes_of, draw_mark, draw_time_line, dress

__all__ = ["plot_close_up", "plot_path"]

_AROUND = 3.2  # radius of a close-up [distance of nearest neighbors]


def plot_path(
    route: Route,
    recording: Recording,
    names: Names | None = None,
    *,
    atom_id: int | None = None,
    frames: tuple[int, int] | None = None,
    numbered: tuple[int, ...] = (),
    view: str = "above",
    ax: Any = None,
) -> Any:
    """Draw the path of an atom over a snapshot of the last frame of the path (fig. 2c).

    Parameters
    ----------
    route : Route
    recording : Recording
    names : Names, optional
    atom_id : int, optional
        By default the first atom.
    frames : (int, int), optional
        First and last frame of the path, as indices into ``route.steps``; by default all.
    numbered : tuple of int
        Frames in which the place of the atom is marked 1, 2, ….
    view : {"above", "oblique", "side"}
        Direction of the viewer.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    column = 0 if atom_id is None else route.column(atom_id)
    first, last = frames or (0, len(route.steps) - 1)
    middle = frame_positions(route, recording, (first + last) // 2)[0][column]
    ax = plot_snapshot(
        route, recording, names, frame=last, view=view, pale=True, center=middle, ax=ax
    )
    chosen = range(first, last + 1)
    found = [frame_positions(route, recording, k, middle) for k in chosen]
    places = np.array([positions[column] for positions, _ in found])
    # no line where the atom leaves the box and enters it on the other side, nor across a gap
    direct = np.diff(places, axis=0)
    nearest = np.array(
        [
            box.to_nearest_image(box.fractions(b[None]) - box.fractions(a[None]))[0]
            for (_, box), a, b in zip(found[1:], places[:-1], places[1:], strict=True)
        ]
    ).reshape(-1, 3)
    unbroken = np.isclose(direct, nearest).all(axis=1)
    unbroken &= np.diff(route.stretches[first : last + 1]) == 0
    seen = places @ view_axes(*VIEWS[view]).T[:, :2]
    times, symbol = time_axis(route.times, recording.units)
    draw_time_line(ax, seen, times[first : last + 1], unbroken, symbol)
    for number, k in enumerate(numbered, 1):
        x, y = seen[k - first].tolist()
        draw_mark(ax, x, y, str(number), INK, size=6.5)
    ax.title.set_text(f"atom {route.atom_ids[column]}")
    return ax


def plot_close_up(
    route: Route,
    recording: Recording,
    names: Names | None = None,
    *,
    atom_id: int | None = None,
    frame: int = -1,
    view: str = "oblique",
    ax: Any = None,
) -> Any:
    """Draw an atom, marked by a ring, with the atoms around it (fig. 2d).

    Atoms between it and the viewer are left out.

    Parameters
    ----------
    route : Route
    recording : Recording
    names : Names, optional
    atom_id : int, optional
        By default the first atom.
    frame : int
        Index into ``route.steps``.
    view : {"above", "oblique", "side"}
        Direction of the viewer.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patches import Circle

    ax, names = axes_of(route, names, ax)
    column = 0 if atom_id is None else route.column(atom_id)
    positions, box = frame_positions(route, recording, frame)
    radius = sphere_radius(positions)
    fractions = box.fractions(positions)
    around = box.to_nearest_image(fractions - fractions[column])
    seen = around @ view_axes(*VIEWS[view]).T
    reach = 2 * radius * _AROUND
    shown = (np.linalg.norm(around, axis=1) < reach) & (seen[:, 2] < radius)
    shown[column] = True
    labels = route.final.labels[frame]
    image, extent = render_spheres(seen[shown], radius, names.rgb(labels[shown]), n_pixels=420)
    ax.imshow(image, extent=extent, interpolation="antialiased")
    ax.add_patch(Circle((0.0, 0.0), radius, fill=False, edgecolor=INK, linewidth=2.0, zorder=5))
    edge = reach + radius
    ax.set(xlim=(-edge, edge), ylim=(-edge, edge))
    times, symbol = time_axis(route.times, recording.units)
    label = int(labels[column])
    where = names.names[label] if label >= 0 else "in no environment"
    ax.set_title(f"{times[frame]:.4g} {symbol}: {where}")
    dress(ax, frame=False)
    return ax
