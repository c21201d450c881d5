"""Maps of the observations on the principal components, and the variance that these hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.colors import HIGHLIGHT
from strdyn_post.names import Names
from strdyn_post.quantities import time_axis
from strdyn_post.routes import Route

from .style import INK, MUTED, PAPER, Scale, axes_of, draw_mark, draw_time_line, dress, new_axes

__all__ = ["plot_pca", "plot_variance"]


def plot_pca(
    route: Route,
    names: Names | None = None,
    *,
    color: str = "environment",
    atom_id: int | None = None,
    units: str | None = None,
    values: NDArray[Any] | None = None,
    about: str = "",
    ax: Any = None,
) -> Any:
    """Draw all (frame, atom) rows on the first two principal components.

    A pixel has the mean colour of its rows. It is more opaque if it holds more rows (logarithmic),
    so that half a million rows and a dozen rare ones are both visible.

    Parameters
    ----------
    route : Route
        With scores (n_frames, n_atoms, k); if k = 1 the second axis is 0.
    names : Names, optional
        Of ``result.names``: the colours agree between routes.
    color : {"environment", "density"}
        By environment with its mark, or by number of rows alone.
    atom_id : int, optional
        Draw the path of this atom on top, coloured by time.
    units : str, optional
        LAMMPS `units` of the run, for the time scale of the path.
    values : (n_frames, n_atoms) ndarray, optional
        Colour by the mean of these numbers, which are not negative, on a logarithmic scale.
    about : str
        What the numbers are, with their unit, for the colour bar.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the atom was not analysed.
    """
    ax, names = axes_of(route, names, ax)
    x, y = _first_two(route).reshape(-1, 2).T
    labels = np.asarray(route.final.labels).ravel()
    edges, extent = _edges(x, y)

    if values is not None:
        scale = Scale.of(values)
        image = _value_image(x, y, values.ravel(), scale, edges)
        scale.draw_bar(ax, about)
    elif color == "density" or atom_id is not None:
        image = _density_image(x, y, edges, faint=atom_id is not None)
    else:
        image = _label_image(x, y, labels, names, edges)
    ax.imshow(
        image, extent=extent, origin="lower", aspect="auto", interpolation="bilinear", zorder=2
    )
    if atom_id is not None:
        _draw_path(ax, route, atom_id, units)
    elif color == "environment" and values is None:
        for label, (px, py) in _mark_places(x, y, labels, edges, extent).items():
            draw_mark(ax, px, py, names.marks[label], names.colors[label], size=7.5)
    share = [*route.explained_variance_ratio, 0.0]
    ax.set(
        xlabel=f"principal component 1 ({share[0]:.1%} of the variance)",
        ylabel=f"principal component 2 ({share[1]:.1%})",
    )
    ax.locator_params(nbins=6)
    dress(ax)
    return ax


def plot_variance(routes: Sequence[Route], *, wanted: float | None = None, ax: Any = None) -> Any:
    """Draw the cumulative explained variance of one or more routes (fig. S4 of the paper).

    Parameters
    ----------
    routes : sequence of Route
        Filled disks are the components that were kept.
    wanted : float, optional
        The share that was asked for, drawn as a line.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax)
    colors = {"soap": MUTED, "soap_lens": HIGHLIGHT}
    shown = max(8, *(route.n_components + 2 for route in routes))
    lowest = 1.0
    for route in routes:
        total = np.cumsum(route.explained_variance_ratio)[:shown]
        component = np.arange(1, len(total) + 1)
        kept = component <= route.n_components
        color = colors.get(route.name, INK)
        ax.plot(component, total, color=color, linewidth=1.6, zorder=3)
        ax.plot(component[~kept], total[~kept], "o", color=color, mfc=PAPER, ms=5, zorder=4)
        label = f"{route.title}: {route.n_components} components hold {total[kept][-1]:.2%}"
        ax.plot(component[kept], total[kept], "o", color=color, ms=5.5, zorder=4, label=label)
        lowest = min(lowest, float(total[0]))
    if wanted is not None:
        ax.axhline(wanted, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate(
            f"asked for: {wanted:.4g}",
            (1.0, wanted),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
            color=MUTED,
        )
    floor = lowest - max(0.08 * (1 - lowest), 1e-3)
    ax.set(
        xlabel="number of principal components",
        ylabel="cumulative share of the variance",
        ylim=(floor, 1 + 0.04 * (1 - floor)),
    )
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="lower right", frameon=False, labelcolor=INK, fontsize=8.5)
    dress(ax, grid=True)
    return ax


def _first_two(route: Route) -> NDArray[np.float64]:
    scores = np.asarray(route.scores[..., :2], dtype=np.float64)
    return np.pad(scores, ((0, 0), (0, 0), (0, 2 - scores.shape[2])))


def _edges(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[float, float, float, float]]:
    """Return pixel borders around all rows: finer for more rows."""
    n_pixels = int(np.clip(1.4 * np.sqrt(len(x)), 180, 420))
    borders = []
    for values in (x, y):
        low, high = float(values.min()), float(values.max())
        margin = 0.06 * (high - low) or 0.5
        borders.append(np.linspace(low - margin, high + margin, n_pixels + 1))
    extent = (borders[0][0], borders[0][-1], borders[1][0], borders[1][-1])
    return (borders[0], borders[1]), extent


def _histogram(x: Any, y: Any, edges: Any, weights: Any = None) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    counts = np.histogram2d(x, y, bins=edges, weights=weights)[0].T
    return np.asarray(gaussian_filter(counts, 0.8, mode="constant"))


def _opacity(density: NDArray[np.float64], lowest: float) -> NDArray[np.float64]:
    """Return opacities: 0 without rows, `lowest` for a single row, 1 at the largest density."""
    # one row spreads to a peak of 0.25 under the filter of _histogram
    strength = np.log1p(density * 4) / np.log1p(max(float(density.max()) * 4, 1.0))
    edge = np.clip(density / 0.12, 0, 1)
    return np.asarray(edge * (lowest + (1 - lowest) * strength))


def _label_image(x: Any, y: Any, labels: Any, names: Names, edges: Any) -> NDArray[np.float64]:
    n_pixels = len(edges[0]) - 1
    mixed = np.zeros((n_pixels, n_pixels, 3))
    density = np.zeros((n_pixels, n_pixels))
    for label in range(-1, len(names.colors)):
        inside = labels == label
        counts = _histogram(x[inside], y[inside], edges)
        mixed += counts[..., None] * names.rgb(label)
        density += counts
    mixed /= np.maximum(density, 1e-12)[..., None]
    return np.concatenate([mixed, _opacity(density, 0.45)[..., None]], axis=2)


def _value_image(x: Any, y: Any, values: Any, scale: Scale, edges: Any) -> NDArray[np.float64]:
    density = _histogram(x, y, edges)
    mean = _histogram(x, y, edges, values) / np.maximum(density, 1e-12)
    return np.concatenate([scale.rgb(mean), _opacity(density, 0.6)[..., None]], axis=2)


def _density_image(x: Any, y: Any, edges: Any, *, faint: bool) -> NDArray[np.float64]:
    import matplotlib as mpl

    density = _histogram(x, y, edges)
    alpha = _opacity(density, 0.35)
    if faint:
        image = np.ones((*density.shape, 4)) * [0.62, 0.66, 0.70, 1.0]
        image[..., 3] = 0.55 * alpha
        return image
    image = mpl.colormaps["viridis"](alpha)
    image[..., 3] = np.clip(alpha * 2, 0, 1)
    return np.asarray(image)


def _mark_places(
    x: Any, y: Any, labels: Any, edges: Any, extent: Any
) -> dict[int, tuple[float, float]]:
    """Place each mark on the densest part of its environment, then move close ones apart."""
    from scipy.ndimage import gaussian_filter

    found = [int(label) for label in np.unique(labels) if label >= 0]
    low, size = np.array(extent[::2]), np.array([extent[1] - extent[0], extent[3] - extent[2]])
    places = np.empty((len(found), 2))
    for row, label in enumerate(found):
        inside = labels == label
        counts = np.histogram2d(x[inside], y[inside], bins=edges)[0]
        smooth = gaussian_filter(counts, len(counts) / 40, mode="constant")
        places[row] = (np.array(np.unravel_index(smooth.argmax(), smooth.shape)) + 0.5) / len(
            counts
        )
    for _ in range(60):
        for i in range(len(found)):
            for j in range(i):
                gap = places[i] - places[j]
                distance = float(np.hypot(*gap))
                if distance < 0.075:
                    push = gap / distance if distance > 1e-9 else np.array([0.6, 0.8])
                    places[i] += 0.5 * (0.075 - distance) * push
                    places[j] -= 0.5 * (0.075 - distance) * push
    places = low + places.clip(0.04, 0.96) * size
    return {label: (float(px), float(py)) for label, (px, py) in zip(found, places, strict=True)}


def _draw_path(ax: Any, route: Route, atom_id: int, units: str | None) -> None:
    path = _first_two(route)[:, route.column(atom_id)]
    times, symbol = time_axis(route.times, units)
    unbroken = np.diff(route.frames.stretches) == 0  # no line across a gap
    draw_time_line(ax, path, times, unbroken, symbol)
