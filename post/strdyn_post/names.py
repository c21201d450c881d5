"""One mark, one name and one colour for every environment, in all figures and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from string import ascii_lowercase

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_live.marks import mark_number

from .colors import BASE, NOISE, base_color, highlight, is_highlight, level_grey, shade, to_rgb
from .findings import ATTENTION, Finding
from .kinetics.fast import fast_environments
from .limits import NEARLY_ALL
from .routes import Route
from .routes.identities import match_environments

__all__ = ["Names", "name_clusters", "name_environments", "unknown_names"]

# for environments that SOAP alone does not find; L is a level of LENS, I and O look like 1 and 0
_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ"

Given = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Names:
    """Mark, name and colour of every environment of one route, by its label.

    Attributes
    ----------
    marks : tuple of str
        "3", "A": short names for figures. Marks follow `RouteFit.identities`.
    names : tuple of str
        "environment 3", "fast environment", or the name that the user gives.
    colors : tuple of str
        ``#RRGGBB``.
    """

    marks: tuple[str, ...]
    names: tuple[str, ...]
    colors: tuple[str, ...]

    @property
    def order(self) -> list[int]:
        """Labels in the order of figures: by number, then by letter; the same in every route."""
        return sorted(range(len(self.marks)), key=lambda label: _mark_key(self.marks[label]))

    @property
    def highlighted(self) -> list[int]:
        """Labels of the highlighted environments, which SOAP alone does not find."""
        return [k for k, color in enumerate(self.colors) if is_highlight(color)]

    def rgb(self, labels: ArrayLike) -> NDArray[np.float64]:
        """Return the colours of labels of any shape, (..., 3) in [0, 1]; -1 is grey."""
        table = np.array([to_rgb(color) for color in (*self.colors, NOISE)])
        return np.asarray(table[np.asarray(labels)])

    @property
    def numbers(self) -> tuple[int, ...]:
        """The marks as whole numbers: 3 is 3, A is 101, B is 102, A2 is 201."""
        return tuple(mark_number(mark) for mark in self.marks)

    def numbers_of(self, labels: ArrayLike) -> NDArray[np.int32]:
        """Return the numbers of labels of any shape; −1 for noise."""
        table = np.array([*self.numbers, -1], dtype=np.int32)
        return np.asarray(table[np.asarray(labels)])

    @property
    def legend(self) -> str:
        """Numbers and names: "1 = environment 1, 103 = fast environment"."""
        return ", ".join(f"{self.numbers[k]} = {self.names[k]}" for k in self.order)

    @classmethod
    def of(cls, route: Route) -> Names:
        """Return the names of a single route."""
        return name_environments({route.name: route})[route.name]


def name_environments(routes: Mapping[str, Route], given: Given | None = None) -> dict[str, Names]:
    """Give every environment of every route its mark, name and colour.

    They follow `RouteFit.identities`, so they stay the same from fit to fit. SOAP alone sets
    numbers and colours. An environment of SOAP&LENS that corresponds to one of SOAP has its number
    and colour. The other environments of SOAP&LENS have letters; the fast ones are highlighted, or
    the one of largest mean δ if none is fast. Levels of LENS alone are grey and numbered from slow
    to fast. But a level that corresponds to a highlighted environment, or nearly equals an
    environment, has its colour.

    Parameters
    ----------
    routes : mapping of str to Route
        Any of ``soap``, ``lens``, ``soap_lens``.
    given : mapping of str to mapping of str to str, optional
        Names that the user gives: route → mark → name. A number is the same environment in SOAP
        and in SOAP&LENS, so its name holds for both.

    Returns
    -------
    dict of str to Names
    """
    found: dict[str, Names] = {}
    for name, route in routes.items():
        if name == "lens":
            continue
        combined = name == "soap_lens" and "soap" in routes
        found[name] = _combined(routes) if combined else _numbered(route)
    if "lens" in routes:
        found["lens"] = _levels(routes, found.get("soap_lens"))
    given = given or {}
    both = {**given.get("soap_lens", {}), **given.get("soap", {})}
    return {
        name: _renamed(names, {**({} if name == "lens" else both), **given.get(name, {})})
        for name, names in found.items()
    }


def name_clusters(route: Route, names: Names) -> Names:
    """Return the names of the clusters of a route before merging.

    A cluster that is an environment by itself keeps its mark, name and colour. The clusters of
    environment 3 are 3a, 3b, …, in shades of its colour.

    Parameters
    ----------
    route : Route
    names : Names
        Of its environments.
    """
    mapping = np.arange(route.n_clusters) if route.merged is None else route.merged.mapping
    marks, titles, colors = [], [], []
    for cluster, environment in enumerate(mapping.tolist()):
        place = int((mapping[:cluster] == environment).sum())
        letter = ascii_lowercase[place % 26] if (mapping == environment).sum() > 1 else ""
        marks.append(names.marks[environment] + letter)
        titles.append(names.names[environment] + (f", cluster {letter}" if letter else ""))
        colors.append(shade(names.colors[environment], place))
    return Names(tuple(marks), tuple(titles), tuple(colors))


def unknown_names(found: Mapping[str, Names], given: Given) -> list[Finding]:
    """Return a finding for every given name whose mark does not exist."""
    return [
        Finding("unknown_name", ATTENTION, route, values={"mark": mark, "name": name})
        for route, names in given.items()
        for mark, name in names.items()
        if route in found and mark not in found[route].marks
    ]


def _renamed(found: Names, given: Mapping[str, str]) -> Names:
    names = (given.get(mark, name) for mark, name in zip(found.marks, found.names, strict=True))
    return replace(found, names=tuple(names))


def _combined(routes: Mapping[str, Route]) -> Names:
    """Return the names of SOAP&LENS: those of SOAP if environments correspond, else letters."""
    route, soap = routes["soap_lens"], routes["soap"]
    identities = route.fit.identities
    match = match_environments(route, soap)
    fast = np.zeros(len(identities), dtype=np.bool_)
    delta = np.zeros(route.final.labels.shape, dtype=np.float32)
    if "lens" in routes:
        delta = routes["lens"].scores[..., 0]
        fast = fast_environments(route.final, delta)
    # with the fit of other frames an environment may be empty: it is not new
    fresh = [k for k in np.argsort(identities).tolist() if k not in match]
    seen = [k for k in fresh if route.final.populations[k]]
    special = [k for k in seen if fast[k]]
    if not special and seen and match:
        special = [max(seen, key=lambda label: delta[route.final.labels == label].mean())]
    taken = {int(number) for number in soap.fit.identities}
    colors, names, marks = ([""] * len(fast) for _ in range(3))
    for label, same in match.items():
        number = int(soap.fit.identities[same])
        colors[label] = base_color(number)
        names[label], marks[label] = f"environment {number + 1}", str(number + 1)
    for label in fresh:
        identity = int(identities[label])
        turn, place = divmod(identity, len(_LETTERS))
        marks[label] = _LETTERS[place] + (str(turn + 1) if turn else "")
        names[label] = f"environment {marks[label]}"
        free = (k for k in count(len(BASE) - 1 - identity % len(BASE)) if k not in taken)
        if label not in special:
            taken.add(number := next(free))
            colors[label] = base_color(number)
    n_fast = sum(bool(fast[label]) for label in special)
    for rank, label in enumerate(special):
        colors[label] = highlight(rank)
        if fast[label]:
            names[label] = "fast environment" + (f" {marks[label]}" if n_fast > 1 else "")
    return Names(tuple(marks), tuple(names), tuple(colors))


def _levels(routes: Mapping[str, Route], combined: Names | None) -> Names:
    """Return the names of LENS alone: levels of δ, with labels from slow to fast."""
    lens = routes["lens"]
    known: dict[int, str] = {}
    if combined:
        close = match_environments(lens, routes["soap_lens"], least=NEARLY_ALL)
        loose = match_environments(lens, routes["soap_lens"])
        pairs = close | {a: b for a, b in loose.items() if b in combined.highlighted}
        known = {a: combined.colors[b] for a, b in pairs.items()}
    n_levels = lens.final.n_clusters
    return Names(
        tuple(f"L{k + 1}" for k in range(n_levels)),
        tuple(f"LENS level {k + 1}" for k in range(n_levels)),
        tuple(known.get(k) or level_grey(k, n_levels) for k in range(n_levels)),
    )


def _numbered(route: Route) -> Names:
    numbers = route.fit.identities.tolist()
    return Names(
        tuple(str(number + 1) for number in numbers),
        tuple(f"environment {number + 1}" for number in numbers),
        tuple(base_color(number) for number in numbers),
    )


def _mark_key(mark: str) -> tuple[bool, str, int, str]:
    environment = mark.rstrip(ascii_lowercase)
    letters = environment.rstrip("0123456789")
    digits = environment.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return bool(letters), letters, int(digits or 0), mark[len(environment) :]
