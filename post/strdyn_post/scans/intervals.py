"""Which Δt and which smoothing window show the atoms that move: points of a scan, and a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.limits import BY_CHANCE, ENRICHED

__all__ = ["IntervalPoint", "advise", "in_use", "recommended"]


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
        Environments of SOAP&LENS that are fast (see `fast_environments`); the numbers below are of
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


def in_use(point: IntervalPoint, config: AnalysisConfig) -> bool:
    """Say whether a point of a scan is the analysis itself."""
    return (point.stride, point.window) == (config.stride, config.smoothing_window)


def recommended(points: Sequence[IntervalPoint], config: AnalysisConfig) -> IntervalPoint | None:
    """Return the shortest Δt at which a fast environment stands apart and sits not by chance.

    That δ has a tail makes a cluster of high δ even where δ is shuffled over all atoms; such a one
    sits in the environments of SOAP as all atoms do. Of points of equal Δt the one whose window is
    nearest to that in use is chosen. None if no point shows motion.
    """
    used = next(point for point in points if in_use(point, config))
    good = [point for point in points if point.shows_motion]
    return min(
        good,
        key=lambda point: (point.stride, abs(np.log(point.window / used.window))),
        default=None,
    )


def advise(points: Sequence[IntervalPoint], config: AnalysisConfig) -> Finding:
    """Say whether the Δt in use shows the atoms that move, and which settings would.

    Parameters
    ----------
    points : sequence of IntervalPoint
        A scan, with the point in use.
    config : AnalysisConfig
        In use.

    Returns
    -------
    Finding
        ``used`` and ``best`` hold the points (``best`` is None if no point shows motion), ``tried``
        the Δt and windows, ``change`` the settings that the best point has and the analysis has
        not, as they stand in ``analysis.toml``.
    """
    used = next(point for point in points if in_use(point, config))
    best = recommended(points, config)
    most = max(points, key=lambda point: (point.n_fast > 0, point.enrichment))
    values = {
        "used": _numbers(used),
        "best": None if best is None else _numbers(best),
        "most_fast": _numbers(most),
        "change": "" if best is None else _change(best, used, config),
        "intervals": sorted({point.interval for point in points}),
        "windows": sorted({point.window for point in points}),
        "least_rows": max(point.min_cluster_size for point in points)
        if config.method == "hdbscan"
        else None,
    }
    fine = best is not None and used.shows_motion
    return Finding("interval", FINE if fine else ATTENTION, values=values)


def _numbers(point: IntervalPoint) -> dict[str, float | None]:
    numbers = {
        **asdict(point),
        "enrichment": point.enrichment,
        "chance": point.chance,
        "shows_motion": point.shows_motion,
    }
    return {name: None if number != number else number for name, number in numbers.items()}


def _change(best: IntervalPoint, used: IntervalPoint, config: AnalysisConfig) -> str:
    changes = []
    if best.stride != used.stride:
        changes.append(f"stride = {best.stride}")
    if best.window != used.window:
        changes.append(f"smoothing_window = {best.window}")
    if changes and best.min_cluster_size != used.min_cluster_size and config.method == "hdbscan":
        changes.append(f"min_cluster_size = {best.min_cluster_size}")
    return " and ".join(changes)
