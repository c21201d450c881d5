"""Which Δt and which smoothing window show the atoms that move: points of a scan, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strdyn_post.config import AnalysisConfig

__all__ = ["BY_CHANCE", "ENRICHED", "Advice", "IntervalPoint", "advise", "in_use", "time_text"]

ENRICHED = 2.0
"""A fast environment counts if it sits so many times as often as by chance in one of SOAP."""

BY_CHANCE = 1e-3
"""And if chance would put it there with a smaller probability than this."""


@dataclass(frozen=True)
class IntervalPoint:
    """What δ, SOAP and SOAP&LENS become at one Δt and one smoothing window.

    Attributes
    ----------
    stride : int
        Δt in units of the distance of the frames recorded.
    interval : float
        Δt [time unit of the run].
    window : int
        Smoothing window [frames of this Δt].
    min_cluster_size : int
        Smallest cluster of HDBSCAN* here [rows].
    n_rows : int
        Observations.
    delta_low, delta_median, delta_high, delta_top : float
        5 %, 50 %, 95 % and 99.9 % quantiles of δ as it enters χ.
    flicker_share : float
        Share of the changes of neighbors that the next frame undoes; NaN for fewer than three
        successive frames.
    soap_components, chi_components, soap_environments, chi_environments : int
        Components kept and final environments of SOAP and of SOAP&LENS.
    n_fast : int
        Environments of SOAP&LENS that are fast (see `palette.is_fast`); the numbers below are of
        all of them together, and 0 if there are none.
    fast_share, fast_delta : float
        Their share in all observations, and their mean δ.
    fast_atoms : int
        Different atoms in them.
    home : int
        The environment of SOAP that holds most of them: its final label in the analysis; −1 where
        it corresponds to none there, or nothing is fast.
    home_share, fast_at_home : float
        Share of this environment of SOAP in all observations, and in the fast ones.
    """

    stride: int
    interval: float
    window: int
    min_cluster_size: int
    n_rows: int
    delta_low: float
    delta_median: float
    delta_high: float
    delta_top: float
    flicker_share: float
    soap_components: int
    chi_components: int
    soap_environments: int
    chi_environments: int
    n_fast: int
    fast_share: float
    fast_delta: float
    fast_atoms: int
    home: int
    home_share: float
    fast_at_home: float

    @property
    def enrichment(self) -> float:
        """How many times as often as by chance fast observations are in one SOAP environment."""
        return self.fast_at_home / self.home_share if self.home_share else 0.0

    @property
    def chance(self) -> float:
        """Probability that so many sit there by chance, in any one of SOAP's environments.

        The observations of one atom depend on each other, so each atom counts once: the binomial
        law for `fast_atoms` trials of probability `home_share`, times the environments to choose
        from.
        """
        from scipy.stats import binom

        if not self.n_fast:
            return 1.0
        n_there = round(self.fast_at_home * self.fast_atoms)
        tail = binom.sf(n_there - 1, self.fast_atoms, self.home_share)
        return float(min(1.0, self.soap_environments * tail))

    @property
    def shows_motion(self) -> bool:
        """Whether something fast stands apart, and sits where chance does not put it."""
        return self.enrichment >= ENRICHED and self.chance < BY_CHANCE


@dataclass(frozen=True)
class Advice:
    """What a scan says.

    Attributes
    ----------
    point : IntervalPoint or None
        The shortest Δt that shows the atoms that move; None if none of those tried does.
    fine : bool
        Whether the Δt in use shows them.
    change : str
        The settings that `point` has and the analysis has not, as they stand in ``analysis.toml``.
    text : str
        In words, with the reason.
    """

    point: IntervalPoint | None
    fine: bool
    change: str
    text: str


def in_use(point: IntervalPoint, config: AnalysisConfig) -> bool:
    """Say whether a point of a scan is the analysis itself."""
    return (point.stride, point.window) == (config.stride, config.smoothing_window)


def advise(
    points: Sequence[IntervalPoint], config: AnalysisConfig, units: str | None = None
) -> Advice:
    """Choose the shortest Δt at which a fast environment stands apart and sits not by chance.

    That δ has a tail makes a cluster of high δ even where δ is shuffled over all atoms; such a one
    sits in the environments of SOAP as all atoms do. Of points of equal Δt the one whose window is
    nearest to that in use is chosen.

    Parameters
    ----------
    points : sequence of IntervalPoint
        A scan, with the point in use.
    config : AnalysisConfig
        In use.
    units : str, optional
        LAMMPS `units` of the run.
    """
    used = next(point for point in points if in_use(point, config))
    good = [point for point in points if point.shows_motion]
    if not good:
        return Advice(None, False, "", _none_does(points, config, units))
    best = min(good, key=lambda point: (point.stride, abs(np.log(point.window / used.window))))
    if best is used:
        return Advice(best, True, "", f"{_named(used, used, units)} does: {_reason(best)}.")
    changes = []
    if best.stride != used.stride:
        changes.append(f"stride = {best.stride}")
    if best.window != used.window:
        changes.append(f"smoothing_window = {best.window}")
    if best.min_cluster_size != used.min_cluster_size and config.method == "hdbscan":
        changes.append(f"min_cluster_size = {best.min_cluster_size}")
    change = " and ".join(changes)
    if used.shows_motion:
        return Advice(
            best,
            True,
            change,
            f"{_named(used, best, units)} does: {_reason(used)}. {_named(best, used, units)} would "
            f"do as well ({change}), and follows the moves more closely.",
        )
    where = _named(used, best, units)
    problem = (
        f"the fast atoms found at {where} {_place(used)}"
        if used.n_fast
        else f"δ of moving atoms does not stand out of thermal flicker at {where}"
    )
    return Advice(
        best,
        False,
        change,
        f"{problem}; {_named(best, used, units)} would do: set {change}. There {_reason(best)}.",
    )


def time_text(interval: float, units: str | None) -> str:
    """Return a time with its unit, as "8 ps"."""
    from strdyn_post.figures.style import time_axis

    (time,), symbol = time_axis(np.array([interval]), units)
    return f"{time:.4g} {symbol}"


def _named(point: IntervalPoint, other: IntervalPoint, units: str | None) -> str:
    """Name a point by its Δt, and by its window where this tells it from another."""
    time = time_text(point.interval, units)
    return time if point.window == other.window else f"{time} with a window of {point.window}"


def _reason(point: IntervalPoint) -> str:
    one = point.n_fast == 1
    return (
        f"{'a fast environment' if one else f'{point.n_fast} fast environments'} of SOAP & LENS "
        f"{'stands' if one else 'stand'} apart ({_percent(point.fast_share)} of all observations, "
        f"{point.fast_atoms} atoms, mean δ {point.fast_delta:.2f}), and "
        f"{_percent(point.fast_at_home)} of {'it is' if one else 'them are'} in one environment of "
        f"SOAP that holds {_percent(point.home_share)} of all: {point.enrichment:.1f} times what "
        "chance gives"
    )


def _place(point: IntervalPoint) -> str:
    """Say why the place of fast atoms is no evidence."""
    if point.enrichment < ENRICHED:
        return "sit in the environments of SOAP as chance puts them"
    return f"are too few ({point.fast_atoms} atoms) to tell their place from chance"


def _none_does(points: Sequence[IntervalPoint], config: AnalysisConfig, units: str | None) -> str:
    intervals = sorted({point.interval for point in points})
    windows = sorted({point.window for point in points})
    tried = f"Δt of {', '.join(time_text(each, units) for each in intervals)}"
    if len(windows) > 1:
        tried += f"; windows of {', '.join(map(str, windows))} frames"
    fast = max(points, key=lambda point: (point.n_fast > 0, point.enrichment))
    found = (
        f"fast atoms appear (at {time_text(fast.interval, units)}), but they {_place(fast)}"
        if fast.n_fast
        else "δ of moving atoms does not stand out of thermal flicker"
    )
    remedy = "Nothing moves on within these times, or the atoms that do are too few"
    if config.method == "hdbscan":
        least = max(point.min_cluster_size for point in points)
        remedy += f" (fewer than {least} observations make no cluster)"
    remedy += "; a longer Δt may show more"
    if min(windows) > 1:
        remedy += ", or a shorter window (scan_windows = [1])"
    return f"none of what was tried shows the atoms that move ({tried}): {found}. {remedy}."


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
