"""Atoms as shaded spheres, coloured by environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.box import Box
from strdyn_post.names import Names
from strdyn_post.quantities import time_axis
from strdyn_post.recording import Recording
from strdyn_post.routes import Route

from .style import Scale, axes_of, dress

__all__ = ["VIEWS", "frame_positions", "plot_snapshot"]

# direction of the viewer: elevation above the xy plane and azimuth [degree]
VIEWS = {"above": (90.0, -90.0), "oblique": (32.0, -62.0), "side": (0.0, -90.0)}
_LIGHT = np.array([-0.35, 0.50, 0.79])


def plot_snapshot(
    route: Route,
    recording: Recording,
    names: Names | None = None,
    *,
    frame: int = -1,
    view: str = "oblique",
    pale: bool = False,
    center: NDArray[np.float64] | None = None,
    values: NDArray[Any] | None = None,
    scale: Scale | None = None,
    about: str = "",
    ax: Any = None,
) -> Any:
    """Draw the analysed atoms of one frame as spheres in the colours of their environments.

    Parameters
    ----------
    route : Route
    recording : Recording
        The positions. The frame is found by its step, the atoms by their IDs.
    names : Names, optional
    frame : int
        Index into ``route.steps``.
    view : {"above", "oblique", "side"}
        Direction of the viewer; z points up, except for "above".
    pale : bool
        Draw all but the highlighted environments in pale colours.
    center : (3,) ndarray, optional
        Place that is put in the middle of the box along its periodic directions [length].
    values : (n_atoms,) ndarray, optional
        Colour the atoms by these numbers of this frame: whole numbers on a linear scale, others,
        which are not negative, on a logarithmic one.
    scale : Scale, optional
        Of the colours; by default that of `values`.
    about : str
        What the numbers are, with their unit, for the colour bar.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the view is unknown, or the recording does not hold the frame.
    """
    if view not in VIEWS:
        raise ValueError(f"view = {view!r}: expected one of {', '.join(VIEWS)}.")
    ax, names = axes_of(route, names, ax)
    positions, _ = frame_positions(route, recording, frame, center)
    if values is None:
        colors = _colors(route.final.labels[frame], names, pale)
    else:
        scale = scale or Scale.of(values)
        colors = scale.rgb(values)
        scale.draw_bar(ax, about)
    seen = positions @ view_axes(*VIEWS[view]).T
    image, extent = render_spheres(seen, sphere_radius(positions), colors)
    ax.imshow(image, extent=extent, interpolation="antialiased")
    times, symbol = time_axis(route.times, recording.units)
    title = f"{times[frame]:.4g} {symbol}"
    ax.set_title(f"{route.title}, {title}" if values is None else title)
    dress(ax, frame=False)
    return ax


def frame_positions(
    route: Route, recording: Recording, frame: int, center: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], Box]:
    """Return the analysed atoms of a frame inside the box, (n_atoms, 3) [length], and the box.

    `center` is put in the middle of the box along its periodic directions.
    """
    step = int(route.steps[frame])
    found = np.flatnonzero(recording.steps == step)
    if len(found) == 0:
        raise ValueError(
            f"step {step} of the result is not in the buffer (steps {recording.steps[0]} to "
            f"{recording.steps[-1]}): give the buffer that was analysed."
        )
    k = int(found[0])
    rows = np.searchsorted(recording.atom_ids, route.atom_ids)
    box = Box(*recording.box(k), recording.periodic)
    positions = np.asarray(recording.positions(k), dtype=np.float64)[rows]
    if center is not None:
        shift = np.where(recording.periodic, 0.5 - box.fractions(center[None])[0], 0.0)
        positions = positions + shift @ box.cell
    return box.wrap(positions), box


def _colors(labels: NDArray[np.int32], names: Names, pale: bool) -> NDArray[np.float64]:
    colors = names.rgb(labels)
    if pale:
        others = ~np.isin(labels, names.highlighted)
        colors[others] = 0.35 * colors[others] + 0.65 * 0.92
    return colors


def view_axes(elevation: float, azimuth: float) -> NDArray[np.float64]:
    """Return unit vectors to the right, up and towards the viewer as rows, (3, 3)."""
    theta, phi = np.radians(elevation), np.radians(azimuth)
    toward = np.array([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)])
    right = np.array([-np.sin(phi), np.cos(phi), 0.0])
    return np.array([right, np.cross(toward, right), toward])


def sphere_radius(positions: NDArray[np.float64]) -> float:
    """Return the radius at which nearest neighbors nearly touch [length]."""
    from scipy.spatial import cKDTree

    if len(positions) < 2:
        return 1.0
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    return float(0.54 * np.median(nearest)) or 1.0


def may_be_seen(seen: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Return which spheres are not behind others for certain, so that large systems are drawn soon.

    The picture is divided into squares. A sphere covers those that are inside of its disk, wherever
    in its own square the center lies, up to a height above the center. A sphere that reaches less
    far than this in every square that it touches is hidden.
    """
    from scipy.ndimage import grey_dilation, minimum_filter

    n = 4  # squares in a radius
    squares = ((seen[:, :2] - seen[:, :2].min(axis=0)) * (n / radius)).astype(int)
    shape = squares.max(axis=0) + 1
    if shape.prod() > 64 * len(seen):  # a sparse picture: hardly any sphere is behind another
        return np.full(len(seen), True)
    highest = np.full(shape, -np.inf)
    np.maximum.at(highest, tuple(squares.T), seen[:, 2])
    farthest = (1 + np.abs(np.arange(1 - n, n))) / n
    inside = 1 - farthest[:, None] ** 2 - farthest**2
    height = np.where(inside >= 0, radius * np.sqrt(np.maximum(inside, 0)), -np.inf)
    covered = grey_dilation(highest, structure=height, mode="constant", cval=-np.inf)
    behind = minimum_filter(covered, 2 * n + 1, mode="constant", cval=-np.inf)
    return np.asarray(seen[:, 2] + radius > behind[tuple(squares.T)])


def render_spheres(
    seen: NDArray[np.float64], radius: float, colors: NDArray[np.float64], n_pixels: int = 620
) -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """Ray-cast equal spheres seen along −z, with shading, contact shadow and depth.

    Parameters
    ----------
    seen : (n_atoms, 3) float64 ndarray
        Right, up and towards the viewer [length].
    radius : float
        Radius of every sphere [length].
    colors : (n_atoms, 3) float64 ndarray
        In [0, 1].
    n_pixels : int
        Width or height of the image, whichever is larger.

    Returns
    -------
    image : (height, width, 4) float64 ndarray
        RGBA, transparent where there is no atom; first row on top.
    extent : tuple of float
        Left, right, bottom, top [length].
    """
    from scipy.ndimage import gaussian_filter

    low = seen[:, :2].min(axis=0) - 1.3 * radius
    high = seen[:, :2].max(axis=0) + 1.3 * radius
    scale = 2 * n_pixels / float((high - low).max())  # drawn at twice the size, then averaged
    width, height = (2 * np.ceil((high - low) * scale / 2)).astype(int)
    depth = np.full((height, width), -np.inf)
    owner = np.full((height, width), -1)

    reach = int(np.ceil(radius * scale)) + 1
    grid = np.arange(-reach, reach + 1)
    for atom in np.flatnonzero(may_be_seen(seen, radius)):
        x, y = (seen[atom, :2] - low) * scale
        column, row = int(x), int(y)
        dx, dy = (grid + column + 0.5 - x) / scale, (grid + row + 0.5 - y) / scale
        cap = radius**2 - dx[None, :] ** 2 - dy[:, None] ** 2
        rows = slice(max(row - reach, 0), row + reach + 1)
        columns = slice(max(column - reach, 0), column + reach + 1)
        cap = cap[rows.start - row + reach :, columns.start - column + reach :]
        cap = cap[: height - rows.start, : width - columns.start]
        surface = np.where(cap > 0, seen[atom, 2] + np.sqrt(np.maximum(cap, 0)), -np.inf)
        front = surface > depth[rows, columns]
        depth[rows, columns][front] = surface[front]
        owner[rows, columns][front] = atom

    hit = owner >= 0
    atoms = owner[hit]
    y_pixel, x_pixel = np.nonzero(hit)
    normal = np.stack(
        [
            (x_pixel + 0.5) / scale + low[0] - seen[atoms, 0],
            (y_pixel + 0.5) / scale + low[1] - seen[atoms, 1],
            depth[hit] - seen[atoms, 2],
        ],
        axis=1,
    )
    normal /= radius
    lit = np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    shade = (0.50 + 0.55 * lit) * np.clip(0.55 + 1.1 * normal[:, 2], 0, 1)

    # points lower than their surroundings are darker, and so are points far back
    floor = depth[hit].min()
    filled = np.where(hit, depth, floor)
    coarse = max(1, int(radius * scale / 6))  # a blur as wide as an atom needs no fine grid
    around = gaussian_filter(filled[::coarse, ::coarse], radius * scale / coarse, truncate=2.0)
    sunken = (around[y_pixel // coarse, x_pixel // coarse] - filled[hit]) / radius
    shade *= 1 - 0.30 * np.clip(sunken, 0, 1)
    back = np.clip((depth[hit].max() - depth[hit]) / max(float(np.ptp(seen[:, 2])), radius), 0, 1)
    shade *= 1 - 0.18 * back

    image = np.zeros((height, width, 4))
    gloss = 0.22 * lit[:, None] ** 24
    image[hit, :3] = np.clip(colors[atoms] * shade[:, None] + gloss, 0, 1)
    image[hit, 3] = 1
    image[..., :3] *= image[..., 3:]
    pairs = (image[::2] + image[1::2])[::-1]
    image = (pairs[:, ::2] + pairs[:, 1::2]) / 4
    image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    return image, (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
