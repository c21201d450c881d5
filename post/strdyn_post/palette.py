"""One palette for all figures and routes: what corresponds has the same colour and number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .environments.models import match_labels

if TYPE_CHECKING:
    from .results import Environments, Route

__all__ = [
    "HIGHLIGHT",
    "NOISE",
    "Palette",
    "fast_environments",
    "is_fast",
    "make_palettes",
    "match_environments",
]

# Found by a search: any two of them, HIGHLIGHT and NOISE included, differ by 20 or more in CIELAB
# for normal vision, protanopia, deuteranopia and tritanopia, and none is lost on black or white.
_BASE = ("#3266D4", "#ED9B28", "#76B188", "#C42900", "#7AD1FA", "#8777BB", "#F8D691", "#8C5741")
HIGHLIGHT = "#C81C7C"
NOISE = "#C9D4D8"
# for what SOAP alone does not find; F is fast, L a level of LENS, I and O are read as 1 and 0
_LETTERS = "ABCDEGHJKMNPQRSTUVWXYZ"
# levels of LENS are no environments: greys, the faster the darker
_SLOW, _FASTER = "#C9D4DE", "#54697D"


@dataclass(frozen=True)
class Palette:
    """Colour, name and short mark of every environment of one route.

    Attributes
    ----------
    colors : tuple of str
        ``#RRGGBB`` of each environment.
    names : tuple of str
        For legends: "environment 3", "environment A", "fast environment".
    marks : tuple of str
        For places without room: "3", "A", "F".
    """

    colors: tuple[str, ...]
    names: tuple[str, ...]
    marks: tuple[str, ...]

    @property
    def order(self) -> list[int]:
        """Labels as figures list them: by number, then by letter; the same in every route."""
        return sorted(range(len(self.marks)), key=lambda label: _mark_key(self.marks[label]))

    @property
    def highlighted(self) -> list[int]:
        """Labels of what SOAP alone does not find."""
        return [k for k, color in enumerate(self.colors) if color in _HIGHLIGHTS]

    def rgb(self, labels: ArrayLike) -> NDArray[np.float64]:
        """Return the colours of labels of any shape, (..., 3) in [0, 1]; -1 is grey."""
        table = np.array([_to_rgb(color) for color in (*self.colors, NOISE)])
        return np.asarray(table[np.asarray(labels)])

    @classmethod
    def of(cls, route: Route) -> Palette:
        """Return the palette of a route that stands alone."""
        return make_palettes({route.name: route})[route.name]


def make_palettes(routes: Mapping[str, Route]) -> dict[str, Palette]:
    """Give every environment of every route its colour, name and mark.

    They follow `Route.identities`, so they stay from fit to fit. SOAP alone sets colours and
    numbers. An environment of SOAP&LENS that corresponds to one of SOAP takes them over; one that
    does not is what LENS adds: it has a letter, and the first of them, or those that are fast, are
    highlighted. Levels of LENS alone are grey and numbered from slow to fast, except for the
    colour where one is what LENS adds, or nearly all of some environment.

    Parameters
    ----------
    routes : mapping of str to route
        Any of ``soap``, ``lens``, ``soap_lens``.

    Returns
    -------
    dict of str to Palette
    """
    palettes: dict[str, Palette] = {}
    for name, route in routes.items():
        if name == "lens":
            continue
        combined = name == "soap_lens" and "soap" in routes
        palettes[name] = _combined(routes) if combined else _numbered(route)
    if "lens" in routes:
        palettes["lens"] = _levels(routes, palettes.get("soap_lens"))
    return palettes


def match_environments(route: Route, reference: Route, least: float = 0.5) -> dict[int, int]:
    """Find which environments of two routes are the same atoms at the same steps.

    The assignment maximises the summed overlap 2|A ∩ B| / (|A| + |B|); pairs below `least`
    are no match. Rows are joined by (step, atom ID).

    Parameters
    ----------
    route, reference : route
        Two routes of one analysis.
    least : float
        Smallest overlap of a match, in [0, 1].

    Returns
    -------
    dict of int to int
        Final label of `route` → final label of `reference`.
    """
    labels, other = shared_rows(route, reference)
    n_ours, n_theirs = route.final.n_clusters, reference.final.n_clusters
    match = match_labels(labels, other, n_ours, n_theirs, least)
    return {label: int(same) for label, same in enumerate(match) if same >= 0}


def shared_rows(route: Route, reference: Route) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the final labels of two routes at the steps and atoms that both hold."""
    _, steps, other_steps = np.intersect1d(route.steps, reference.steps, return_indices=True)
    _, atoms, other_atoms = np.intersect1d(route.atom_ids, reference.atom_ids, return_indices=True)
    return (
        route.final.labels[np.ix_(steps, atoms)],
        reference.final.labels[np.ix_(other_steps, other_atoms)],
    )


def is_fast(route: Route, lens: Route) -> NDArray[np.bool_]:
    """Say which environments are fast, by their LENS signal of the same frames and nothing else.

    Fast: three quarters of its atoms change neighbors faster than 95 % of all other atoms do.

    Returns
    -------
    (n_clusters,) bool ndarray
    """
    return fast_environments(route.final, lens.scores[..., 0])


def fast_environments(found: Environments, delta: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Say which environments are fast by δ of their rows, (n_frames, n_atoms): see `is_fast`."""
    fast = np.zeros(found.n_clusters, dtype=bool)
    for label in range(len(fast)):
        inside = found.labels == label
        if inside.any() and not inside.all():
            fast[label] = np.quantile(delta[inside], 0.25) > np.quantile(delta[~inside], 0.95)
    return fast


def _combined(routes: Mapping[str, Route]) -> Palette:
    """SOAP&LENS: colours of SOAP where environments correspond; what is new, highlighted."""
    route, soap = routes["soap_lens"], routes["soap"]
    match = match_environments(route, soap)
    fast = is_fast(route, routes["lens"]) if "lens" in routes else np.zeros(len(route.identities))
    # a model may find nothing of an environment in new frames: that is not new
    fresh = [k for k in np.argsort(route.identities).tolist() if k not in match]
    seen = [k for k in fresh if route.final.populations[k]]
    special = [k for k in seen if fast[k]] or (seen[:1] if match else [])
    taken = {int(number) for number in soap.identities}
    colors, names, marks = ([""] * len(fast) for _ in range(3))
    for label, same in match.items():
        number = int(soap.identities[same])
        colors[label] = _color(number)
        names[label], marks[label] = f"environment {number + 1}", str(number + 1)
    for label in fresh:
        identity = int(route.identities[label])
        turn, place = divmod(identity, len(_LETTERS))
        marks[label] = _LETTERS[place] + (str(turn + 1) if turn else "")
        names[label] = f"environment {marks[label]}"
        free = (k for k in count(len(_BASE) - 1 - identity % len(_BASE)) if k not in taken)
        if label not in special:
            taken.add(number := next(free))
            colors[label] = _color(number)
    n_fast = sum(bool(fast[label]) for label in special)
    for rank, label in enumerate(special):
        colors[label] = _shade(HIGHLIGHT, rank)
        if fast[label]:
            number_of = "" if n_fast == 1 else f" {rank + 1}"
            names[label], marks[label] = f"fast environment{number_of}", f"F{number_of.strip()}"
    return Palette(tuple(colors), tuple(names), tuple(marks))


def _levels(routes: Mapping[str, Route], combined: Palette | None) -> Palette:
    """LENS alone: levels of the signal, whose labels go from slow to fast."""
    lens = routes["lens"]
    known: dict[int, str] = {}
    if combined:
        close = match_environments(lens, routes["soap_lens"], least=0.75)
        loose = match_environments(lens, routes["soap_lens"])
        pairs = close | {a: b for a, b in loose.items() if b in combined.highlighted}
        known = {a: combined.colors[b] for a, b in pairs.items()}
    slow, faster = np.array(_to_rgb(_SLOW)), np.array(_to_rgb(_FASTER))
    levels = range(lens.final.n_clusters)
    grey = [slow + (faster - slow) * k / max(len(levels) - 1, 1) for k in levels]
    return Palette(
        tuple(known.get(k) or _to_hex(grey[k]) for k in levels),
        tuple(f"LENS level {k + 1}" for k in levels),
        tuple(f"L{k + 1}" for k in levels),
    )


def _numbered(route: Route) -> Palette:
    numbers = route.identities.tolist()
    return Palette(
        tuple(_color(number) for number in numbers),
        tuple(f"environment {number + 1}" for number in numbers),
        tuple(str(number + 1) for number in numbers),
    )


def _color(number: int) -> str:
    return _shade(_BASE[number % len(_BASE)], number // len(_BASE))


def _shade(color: str, turn: int) -> str:
    """Return the colour itself, then lighter and darker forms of it for each further turn."""
    rgb = np.array(_to_rgb(color))
    for k in range(turn):
        rgb = rgb + (1 - rgb) * 0.5 if k % 2 == 0 else rgb * 0.4
    return _to_hex(rgb)


def _mark_key(mark: str) -> tuple[bool, str, int]:
    letters, digits = mark.rstrip("0123456789"), mark.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return bool(letters), letters, int(digits or 0)


def _to_hex(rgb: Any) -> str:
    return "#" + "".join(f"{round(255 * float(value)):02X}" for value in rgb)


def _to_rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


_HIGHLIGHTS = [_shade(HIGHLIGHT, turn) for turn in range(6)]
