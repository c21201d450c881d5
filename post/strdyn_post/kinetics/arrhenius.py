"""Rates at several temperatures: Arrhenius's law and its barrier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_post.limits import CONFIDENCE

__all__ = ["BOLTZMANN", "Arrhenius", "fit_arrhenius", "worth_of"]

BOLTZMANN = {
    "metal": (8.617333262e-5, "eV"),
    "real": (1.987204259e-3, "kcal/mol"),
    "electron": (3.166811563e-6, "hartree"),
    "si": (1.380649e-23, "J"),
    "lj": (1.0, "ε"),
}
"""Boltzmann's constant [energy/K] and the unit of energy of LAMMPS's unit styles (CODATA 2018)."""

_FARTHEST = 1e3  # ends of an interval are looked for up to so many times k_B T

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Arrhenius:
    """Rates of one process over temperature, and the law k = A exp(-E / k_B T) through them.

    Attributes
    ----------
    temperature : (n,) float64 ndarray
        Increasing [temperature unit of the run].
    rate, low, high : (n,) float64 ndarray
        Rates and their 95 % confidence intervals [1/time].
    worth : (n,) float64 ndarray
        Number of independent events that would be known equally well.
    barrier, barrier_low, barrier_high : float
        E with its 95 % confidence interval [energy]; NaN if fewer than two rates are above 0, the
        ends infinite if nothing bounds them.
    prefactor : float
        A [1/time].
    misfit : float
        Probability of a deviation from the law as large as this by chance; NaN if there are two
        temperatures.
    """

    temperature: Float
    rate: Float
    low: Float
    high: Float
    worth: Float
    barrier: float
    barrier_low: float
    barrier_high: float
    prefactor: float
    misfit: float


def fit_arrhenius(
    temperature: ArrayLike, rate: ArrayLike, worth: ArrayLike, exposure: ArrayLike, boltzmann: float
) -> Arrhenius:
    """Fit Arrhenius's law to rates of independent runs.

    Maximum likelihood for counts of independent events (Poisson), so that rates from few events
    weigh little, and a run without any event counts, too. The interval of the barrier is that of
    the profile likelihood. If the rates are farther from the law than by chance, it is wider by
    √(deviance / degrees of freedom), as the Particle Data Group widens errors.

    Parameters
    ----------
    temperature : (n,) array_like
    rate : (n,) array_like
        [1/time].
    worth, exposure : (n,) array_like
        Number of independent events, and the time in which as many come at this rate.
    boltzmann : float
        Boltzmann's constant [energy per temperature].

    Examples
    --------
    >>> T, worth = np.array([800.0, 900.0, 1000.0]), np.array([50.0, 100.0, 200.0])
    >>> k = 1e4 * np.exp(-0.8 / (8.617333262e-5 * T))
    >>> found = fit_arrhenius(T, k, worth, worth / k, 8.617333262e-5)
    >>> print(f"{found.barrier:.3f} ({found.barrier_low:.2f} to {found.barrier_high:.2f})")
    0.800 (0.70 to 0.90)
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2

    order = np.argsort(np.asarray(temperature, dtype=np.float64))
    given = (temperature, rate, worth, exposure)
    at, rates, counts, times = (np.asarray(each, dtype=np.float64)[order] for each in given)
    # the interval of a Poisson mean (Garwood, Biometrika 28, 437 (1936))
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = (
        np.divide(each / 2.0, times, out=np.full(len(times), np.nan), where=times > 0)
        for each in (
            np.nan_to_num(chi2.ppf(tail, 2.0 * counts)),
            chi2.ppf(1.0 - tail, 2.0 * counts + 2.0),
        )
    )
    points = {"temperature": at, "rate": rates, "low": low, "high": high, "worth": counts}
    seen = np.isfinite(rates) & (times > 0)
    if len(np.unique(at[seen & (counts > 0)])) < 2:
        nan = float("nan")
        return Arrhenius(
            **points, barrier=nan, barrier_low=nan, barrier_high=nan, prefactor=nan, misfit=nan
        )
    n, t = counts[seen], times[seen]
    x = 1.0 / (boltzmann * at[seen])
    center = np.average(x, weights=n)
    unit = float(boltzmann * at[seen].mean())

    def expected(barrier: float) -> Float:
        """Return the events at every temperature for the likeliest prefactor."""
        shape = t * np.exp(-np.clip(barrier * (x - center), -600.0, 600.0))
        return np.asarray(n.sum() * shape / shape.sum())

    def slope(barrier: float) -> float:
        return float(((n - expected(barrier)) * (x - center)).sum())

    def deviance(barrier: float) -> float:
        some = n > 0
        return float(2.0 * (n[some] * np.log(n[some] / expected(barrier)[some])).sum())

    far = _FARTHEST * unit
    barrier = float(brentq(slope, -far, far)) if slope(-far) * slope(far) < 0 else float("nan")
    freedom, least = len(x) - 2, deviance(barrier)
    excess = max(1.0, least / freedom) if freedom else 1.0
    limit = least + float(chi2.ppf(CONFIDENCE, 1)) * excess
    low, high = (
        _crossing(lambda each: deviance(each) - limit, barrier, side * unit, far)
        for side in (-1, 1)
    )
    return Arrhenius(
        **points,
        barrier=barrier,
        barrier_low=low,
        barrier_high=high,
        prefactor=float(n.sum() / (t * np.exp(-barrier * x)).sum()),
        misfit=float(chi2.sf(least, freedom)) if freedom else float("nan"),
    )


def _crossing(above: Callable[[float], float], start: float, step: float, far: float) -> float:
    """Return where a function that rises from the start becomes 0; infinite beyond `far`."""
    from scipy.optimize import brentq

    while above(start + step) < 0.0:
        step *= 2.0
        if abs(step) > far:
            return float(np.copysign(np.inf, step))
    return float(brentq(above, start, start + step))


def worth_of(share: ArrayLike, high: ArrayLike) -> tuple[Float, Float]:
    """Return how many independent events and rows a share and its upper bound are worth.

    Parameters
    ----------
    share, high : (n,) array_like
        A share of rows, and the upper end of its 95 % confidence interval (see `share_interval`).

    Returns
    -------
    events, rows : (n,) float64 ndarray
        As a count whose relative error is that of the share: the share of 0.5 of 10 rows is known
        as well as 10 events. 0 if nothing is known.
    """
    from scipy.optimize import brentq
    from scipy.stats import beta

    tail = (1.0 + CONFIDENCE) / 2.0
    shares = np.asarray(share, dtype=np.float64)
    rows = np.zeros(len(shares))
    for k, (p, top) in enumerate(zip(shares, np.asarray(high, dtype=np.float64), strict=True)):
        if not 0.0 <= p < top < 1.0:
            continue

        def beyond(log_n: float, p: float = p, top: float = top) -> float:
            n = float(np.exp(log_n))
            return float(beta.ppf(tail, n * p + 1.0, n * (1.0 - p))) - top

        if beyond(-7.0) > 0.0 > beyond(23.0):
            rows[k] = np.exp(brentq(beyond, -7.0, 23.0))
    rows /= 1.0 - np.where(shares < 1.0, shares, 0.0)
    return rows * np.nan_to_num(shares), rows
