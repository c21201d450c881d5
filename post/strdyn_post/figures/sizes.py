"""The environments over the smallest size of a cluster: what appears and what disappears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .style import INK, MUTED, draw_mark, dress, explain_empty, new_axes

if TYPE_CHECKING:
    from strdyn_post.results import AnalysisResult

__all__ = ["plot_cluster_sizes"]


def plot_cluster_sizes(result: AnalysisResult, route: str = "soap_lens", *, ax: Any = None) -> Any:
    """Draw the share of every environment over `min_cluster_size` (fig. S3).

    A line ends where its environment is not found. Squares: all environments that correspond to
    none at the size in use, with their number.

    Parameters
    ----------
    result : AnalysisResult
        Its `cluster_size_scan` is drawn.
    route : {"soap", "soap_lens"}
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax, (5.0, 3.6))
    points, names = result.cluster_size_scan, result.names[route]
    ax.set_title(result[route].title)
    if not points:
        explain_empty(ax, "no other size was tried: set scan_cluster_sizes = [20, 80, 150]")
        dress(ax)
        return ax
    prefix = "soap" if route == "soap" else "chi"
    sizes = np.array([point.min_cluster_size for point in points])
    kept = np.array([getattr(point, f"{prefix}_kept") for point in points])
    new = np.array([getattr(point, f"{prefix}_new") for point in points])
    new_share = np.array([getattr(point, f"{prefix}_new_share") for point in points])
    for label in names.order:
        share = np.where(kept[:, label] > 0, kept[:, label], np.nan)
        ax.plot(sizes, share, "o-", color=names.colors[label], linewidth=2, markersize=5, zorder=3)
        last = np.flatnonzero(kept[:, label] > 0)[-1]
        place = (float(sizes[last]) * 1.06, float(kept[last, label]))
        draw_mark(ax, *place, names.marks[label], names.colors[label], size=7)
    appears = new > 0
    ax.plot(sizes[appears], new_share[appears], "s", color=MUTED, mfc="none", markersize=6)
    for size, share, n in zip(sizes[appears], new_share[appears], new[appears], strict=True):
        ax.annotate(
            f"{n} other",
            (size, share),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    ax.axvline(result.config.min_cluster_size, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="min_cluster_size (rows)",
        ylabel="share of all observations",
        xlim=(sizes[0] / 1.15, sizes[-1] * 1.3),
    )
    ax.set_xticks(sizes, [str(size) for size in sizes])
    low, high = ax.get_ylim()
    shares = [k * 10.0**power for power in range(-6, 1) for k in (1, 2, 5)]
    shown = [share for share in shares if low <= share <= min(high, 1.0)]
    ax.set_yticks(shown, [f"{100 * share:g} %" for share in shown])
    ax.minorticks_off()
    dress(ax, grid=True)
    return ax
