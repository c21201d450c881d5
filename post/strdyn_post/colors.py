"""Colours that all readers can distinguish, also with a colour vision deficiency."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "HIGHLIGHT",
    "NOISE",
    "base_color",
    "highlight",
    "is_highlight",
    "level_grey",
    "readable_on",
    "shade",
    "to_rgb",
]

# Found by a search. Any two of these, HIGHLIGHT and NOISE included, differ by 20 or more in CIELAB
# for normal vision, protanopia, deuteranopia and tritanopia. All are visible on black and on white.
BASE = ("#3266D4", "#ED9B28", "#76B188", "#C42900", "#7AD1FA", "#8777BB", "#F8D691", "#8C5741")
HIGHLIGHT = "#C81C7C"
NOISE = "#C9D4D8"
# levels of LENS are not environments: they are grey, darker for larger δ
_SLOW, _FASTER = "#C9D4DE", "#54697D"


def base_color(number: int) -> str:
    """Return the colour of an environment number: a base colour, or a shade of one."""
    return shade(BASE[number % len(BASE)], number // len(BASE))


def highlight(rank: int) -> str:
    """Return the highlight colour for rank 0, and shades of it for the next ranks."""
    return shade(HIGHLIGHT, rank)


def is_highlight(color: str) -> bool:
    """Whether a colour is one of `highlight`."""
    return color in _HIGHLIGHTS


def level_grey(level: int, n_levels: int) -> str:
    """Return the grey of a level of LENS, from slow to fast."""
    slow, faster = np.array(to_rgb(_SLOW)), np.array(to_rgb(_FASTER))
    return _to_hex(slow + (faster - slow) * level / max(n_levels - 1, 1))


def to_rgb(color: str) -> tuple[float, ...]:
    """Return red, green and blue of ``#RRGGBB`` in [0, 1]."""
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def readable_on(color: str) -> str:
    """Return black or white, the one that is easier to read on a colour ``#RRGGBB``."""
    red, green, blue = ((int(color[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5))
    return "#111111" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.22 else "#FFFFFF"


def shade(color: str, turn: int) -> str:
    """Return the colour itself, then lighter and darker forms of it for each further turn."""
    rgb = np.array(to_rgb(color))
    for k in range(turn):
        rgb = rgb + (1 - rgb) * 0.5 if k % 2 == 0 else rgb * 0.4
    return _to_hex(rgb)


def _to_hex(rgb: Any) -> str:
    return "#" + "".join(f"{round(255 * float(value)):02X}" for value in rgb)


_HIGHLIGHTS = [shade(HIGHLIGHT, turn) for turn in range(6)]
