"""Shared by all figures: the colours of the page, the look of axes, file output."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.colors import readable_on
from strdyn_post.files.folder import UNFINISHED
from strdyn_post.files.output import new_file, write_text
from strdyn_post.names import Names
from strdyn_post.routes import Route

__all__ = [
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "Scale",
    "axes_of",
    "draw_mark",
    "draw_time_line",
    "dress",
    "explain_empty",
    "new_axes",
    "save_figure",
]

# In the report these four are replaced by CSS variables, so that figures follow light and dark.
INK, MUTED, GRID, PAPER = "#1C2127", "#66707B", "#D9DEE4", "#FEFEFE"


def new_axes(ax: Any, size: tuple[float, float] = (4.2, 3.6)) -> Any:
    """Return the caller's axes, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def axes_of(
    route: Route, names: Names | None, ax: Any, size: tuple[float, float] = (4.2, 3.6)
) -> tuple[Any, Names]:
    """Return axes titled by the route, and the names of its environments."""
    ax = new_axes(ax, size)
    ax.set_title(route.title)
    return ax, names or Names.of(route)


def dress(ax: Any, *, grid: bool = False, frame: bool = True) -> None:
    """Give axes the look of all figures: two thin spines, quiet ticks, transparent ground."""
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(frame and side in ("left", "bottom"))
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, width=0.8, length=3, labelsize=8.5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(color=INK, size=9.5)
        axis.get_offset_text().set(color=MUTED, size=8.5)
    ax.title.set(color=INK, size=10.5, weight="bold")
    if grid:
        ax.grid(color=GRID, linewidth=0.6)
        ax.set_axisbelow(True)
    if not frame:
        ax.set(xticks=[], yticks=[])


@dataclass(frozen=True)
class Scale:
    """Colours of numbers: light for small ones, dark for large ones.

    Attributes
    ----------
    low, high : float
        Ends of the scale.
    log : bool
        Whether it is logarithmic.
    """

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, values: NDArray[Any]) -> Scale:
        """Return a linear scale for whole numbers; else a logarithmic one.

        The logarithmic scale reaches up to nearly the largest number, over at most three decades.
        """
        if np.issubdtype(values.dtype, np.integer):
            return cls(float(values.min()), float(values.max()), log=False)
        high = float(np.quantile(values, 0.999)) or 1.0
        low = max(1e-3 * high, min(float(np.quantile(values, 0.01)), 0.5 * high))
        return cls(low, high, log=True)

    def rgb(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return red, green and blue of every number, (..., 3)."""
        return np.asarray(self._mappable().to_rgba(values), dtype=np.float64)[..., :3]

    def draw_bar(self, ax: Any, about: str) -> None:
        """Draw the scale beside axes."""
        bar = ax.figure.colorbar(self._mappable(), ax=ax, pad=0.02, fraction=0.045, aspect=28)
        bar.set_label(about, color=INK, size=9)
        bar.ax.tick_params(which="both", colors=MUTED, labelcolor=INK, labelsize=8, width=0.6)
        bar.outline.set_edgecolor(GRID)

    def _mappable(self) -> Any:
        import matplotlib as mpl
        from matplotlib.colors import ListedColormap, LogNorm, Normalize

        # the ends of the map are lost on white and on black
        colors = ListedColormap(mpl.colormaps["inferno_r"](np.linspace(0.06, 0.88, 256)))
        norm = (LogNorm if self.log else Normalize)(self.low, self.high, clip=True)
        return mpl.cm.ScalarMappable(norm, colors)


def explain_empty(ax: Any, words: str) -> None:
    """Write the reason on empty axes."""
    ax.text(
        0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=9, color=MUTED
    )
    ax.set(xticks=[], yticks=[])


def draw_mark(ax: Any, x: float, y: float, mark: str, color: str, *, size: float = 8) -> None:
    """Draw the mark of an environment: its number on a disk of its colour."""
    ax.annotate(
        mark,
        (x, y),
        ha="center",
        va="center",
        color=readable_on(color),
        fontsize=size,
        fontweight="bold",
        annotation_clip=False,
        zorder=10,
        bbox={
            "boxstyle": "circle,pad=0.28" if len(mark) < 2 else "round,pad=0.28,rounding_size=0.8",
            "facecolor": color,
            "edgecolor": PAPER,
            "linewidth": 1.2,
        },
    )


def draw_time_line(
    ax: Any,
    path: NDArray[Any],
    times: NDArray[Any],
    unbroken: NDArray[np.bool_],
    symbol: str,
) -> None:
    """Draw a path coloured by time, with its colour bar.

    Parameters
    ----------
    ax : matplotlib Axes
    path : (n, 2) ndarray
    times : (n,) ndarray
        In the unit of the bar.
    unbroken : (n - 1,) ndarray of bool
        Whether a line connects two points in a row.
    symbol : str
        Unit of the times.
    """
    import matplotlib as mpl
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    segments = np.stack([path[:-1], path[1:]], axis=1)[unbroken]
    cmap = ListedColormap(
        mpl.colormaps["plasma"](np.linspace(0, 0.88, 256))
    )  # its yellow is lost on white
    line = LineCollection(list(segments), cmap=cmap, linewidths=1.4, capstyle="round", zorder=5)
    line.set_array(((times[:-1] + times[1:]) / 2)[unbroken])
    ax.add_collection(line)
    ax.scatter(*path.T, c=times, cmap=cmap, s=7, linewidths=0, zorder=6)
    bar = ax.figure.colorbar(line, ax=ax, pad=0.02, fraction=0.045, aspect=28)
    bar.set_label(f"time ({symbol})", color=INK, size=9)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, width=0.6)
    bar.outline.set_edgecolor(GRID)


def save_figure(
    figure: Any, folder: Path, name: str, title: str, *, tight: bool = False, mark: str = ""
) -> str:
    """Write ``NAME.svg`` and ``NAME.png`` on white ground; return the SVG for an HTML page.

    In the page, text of the SVG has the font of the page, and ink follows its light or dark theme.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    folder : Path
    name : str
        Name of the files; it also makes the element IDs of the SVG unique on the page.
    title : str
        What a screen reader says.
    tight : bool
        Cut off the empty margins above and below.
    mark : str
        Identifier in the metadata of both files.

    Returns
    -------
    str

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    import matplotlib as mpl

    box = _without_margins(figure) if tight else None
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            out,
            format="svg",
            transparent=True,
            dpi=180,
            bbox_inches=box,
            metadata={"Date": None, "Identifier": mark},
        )
    svg = out.getvalue()
    figure.set_layout_engine("none")  # keep this layout for the second file
    png = io.BytesIO()
    figure.savefig(
        png,
        format="png",
        facecolor="white",
        dpi=180,
        bbox_inches=box,
        metadata={"Identifier": mark},
    )
    with new_file(folder / f"{name}.png", UNFINISHED, durable=False) as file:
        file.write(png.getvalue())
    with new_file(folder / f"{name}.svg", UNFINISHED, durable=False) as file:
        write_text(file, svg.replace("<svg ", '<svg style="background: #fff" ', 1))

    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"font: ([^'\"]*)'[^;\"]*", r"font: \1var(--font)", svg)
    # ids such as figure_1 and text_3 repeat in every figure; only those referred to are needed
    needed = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m.group(0) if m.group(1) in needed else "", svg)
    for color, variable in ((INK, "ink"), (MUTED, "muted"), (GRID, "grid"), (PAPER, "paper")):
        svg = re.sub(color, f"var(--{variable})", svg, flags=re.IGNORECASE)
    svg = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _smaller_image, svg)
    area = re.search(r'viewBox="([^"]+)"', svg)
    view = area.group(1) if area else ""
    head = f'<svg viewBox="{view}" role="img" aria-label="{escape(title)}">'
    return head + svg[svg.index(">") + 1 :]


def _without_margins(figure: Any) -> Any:
    """Return the part of a figure without margins, in its whole width: text keeps its size."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    return Bbox.from_extents(0, drawn.y0 - 0.04, figure.get_figwidth(), drawn.y1 + 0.04)


def _smaller_image(png: re.Match[str]) -> str:
    """Return the image as WebP, a tenth of the size without a visible difference."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(png.group(1))))
    image.save(out, "WEBP", quality=92, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
