"""Numbers as text: times with a short unit, shares in percent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "UNIT_STYLES",
    "factor_text",
    "finite",
    "in_picoseconds",
    "length_unit",
    "percent",
    "time_axis",
    "time_text",
    "time_unit",
]

_TIME_UNITS = {"metal": "ps", "real": "fs", "electron": "fs", "nano": "ns", "micro": "µs"}
_LENGTH_UNITS = {
    **dict.fromkeys(("metal", "real"), "Å"),
    "electron": "bohr",
    "nano": "nm",
    "micro": "µm",
    "si": "m",
    "cgs": "cm",
}
UNIT_STYLES = ("lj", *_LENGTH_UNITS)
"""The unit styles of LAMMPS."""
_PICOSECONDS = {"real": 1e-3, "electron": 1e-3, "nano": 1e3, "micro": 1e6, "si": 1e12, "cgs": 1e12}
_LARGER = {"fs": "ps", "ps": "ns", "ns": "µs", "µs": "ms"}


def time_axis(times: NDArray[np.float64], units: str | None) -> tuple[NDArray[np.float64], str]:
    """Return times in a unit that keeps numbers short, and its symbol.

    Parameters
    ----------
    times : (n_frames,) float64 ndarray
        In the time unit of the run.
    units : str or None
        Style of LAMMPS `units`; the unit is "time units" for None and for lj.
    """
    symbol = time_unit(units)
    scaled = np.asarray(times, dtype=np.float64)
    while symbol in _LARGER and np.abs(scaled).max(initial=0.0) >= 1000:
        scaled, symbol = scaled / 1000, _LARGER[symbol]
    return scaled, symbol


def time_text(interval: float, units: str | None) -> str:
    """Return a time with its unit, as "8 ps"."""
    (time,), symbol = time_axis(np.array([interval]), units)
    return f"{time:.4g} {symbol}"


def time_unit(units: str | None) -> str:
    """Return the symbol of the time unit of a LAMMPS style; "time units" for lj and None."""
    return "s" if units in ("si", "cgs") else _TIME_UNITS.get(units or "", "time units")


def in_picoseconds(units: str | None) -> float:
    """Return the time unit of a LAMMPS style in ps; 1 for lj, which has none."""
    return _PICOSECONDS.get(units or "", 1.0)


def length_unit(units: str | None) -> str:
    """Return the symbol of the length unit of a LAMMPS style; "" for lj and None."""
    return _LENGTH_UNITS.get(units or "", "")


def factor_text(value: float) -> str:
    """Return a factor with about two digits: 48, 7.7, 0.15."""
    if value < 0.001:
        return "0" if value == 0.0 else "< 0.001"
    return (
        f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"
    )


def finite(value: float) -> float | None:
    """Return a number that JSON holds; None if it is infinite or not known."""
    return float(value) if np.isfinite(value) else None


def percent(share: float) -> str:
    """Return a share in percent with the digits that matter: 98.1, 0.38, 0.002."""
    value = 100 * share
    if value == 0:
        return "0"
    if value >= 99.95:
        return "100" if value >= 99.9995 else f"{value:.3f}".rstrip("0")
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}" if value >= 1e-3 else "<0.001"
