"""Checks of the input of compiled code: types, shapes, ranges; the message names what is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strdyn_live.definition import L_MAX_RANGE, N_MAX_RANGE

__all__ = ["check_count", "check_settings", "integers", "mask", "number", "vectors"]

# No length is meant to be larger, or 1 / this smaller: keeps every intermediate number finite.
_FAR = 1e4


def check_settings(n_species: int, r_cut: float, n_max: int, l_max: int, sigma: float) -> None:
    """Raise for settings that no kernel takes, without the work of building one.

    Raises
    ------
    TypeError, ValueError
        For a wrong type or a value out of range; the message names the setting.
    """
    check_count("n_species", n_species, 1, 255)
    check_count("n_max", n_max, *N_MAX_RANGE)
    check_count("l_max", l_max, *L_MAX_RANGE)
    if not 1.0 < r_cut <= _FAR:
        raise ValueError(
            f"r_cut = {r_cut!r}: the radial basis `gto` needs r_cut > 1 in the unit of the "
            f"positions (SOAP is meant for lengths in Å), and at most {_FAR:g}."
        )
    if not 1.0 / _FAR <= sigma <= _FAR:
        raise ValueError(
            f"sigma = {sigma!r}: expected a width from {1.0 / _FAR:g} to {_FAR:g} in the unit of "
            "the positions."
        )


def check_count(name: str, value: int, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} = {value!r}: expected a whole number.")
    if not low <= value <= high:
        raise ValueError(f"{name} = {value}: expected {low} to {high}.")
    return int(value)


def number(name: str, value: float) -> float:
    """Return a finite number above 0."""
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} = {value!r}: expected a finite number above 0.")
    return float(value)


# The functions below return copies: compiled code reads them while other threads of Python run, and
# a center that is changed to a row out of range after its check would crash it. IDs of lists are
# large and never an index: they may be read without a copy (copy=False), and nobody may change them
# meanwhile.


def vectors(positions: ArrayLike) -> NDArray[np.float64]:
    """Return (n_local, 3) float64."""
    found = np.asarray(positions)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"positions has dtype {found.dtype}: expected floating-point numbers.")
    if found.ndim != 2 or found.shape[1] != 3:
        raise ValueError(f"positions has shape {found.shape}: expected (n_local, 3).")
    return np.array(found, dtype=np.float64, order="C")


def integers(
    name: str, values: ArrayLike, dtype: type[np.integer[Any]] = np.int64, *, copy: bool = True
) -> Any:
    """Return one dimension of a type of integers that holds every value given."""
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}: expected one dimension.")
    if found.dtype.kind not in "iu" and len(found) > 0:
        raise TypeError(f"{name} has dtype {found.dtype}: expected integers.")
    limits = np.iinfo(dtype)
    if found.dtype.itemsize >= limits.dtype.itemsize and found.dtype != dtype and len(found) > 0:
        for row in (int(found.argmin()), int(found.argmax())):
            if not limits.min <= int(found[row]) <= limits.max:
                raise ValueError(f"{name}: row {row} is {found[row]}, too large in magnitude.")
    return np.array(found, dtype=dtype) if copy else np.require(found, dtype, ["C", "A"])


def mask(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Return one dimension of booleans."""
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}: expected one dimension.")
    if found.dtype != np.bool_ and len(found) > 0:
        raise TypeError(f"{name} has dtype {found.dtype}: expected booleans.")
    return np.array(found, dtype=np.bool_)
