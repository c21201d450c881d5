"""Facts of the SOAP definition that several modules need: how far it sees, what it allows."""

from __future__ import annotations

import math

__all__ = ["L_MAX_RANGE", "N_MAX_RANGE", "REACH_IN_SIGMA", "reach"]

N_MAX_RANGE = (1, 16)
"""Smallest and largest number of radial functions."""
L_MAX_RANGE = (0, 12)
"""Smallest and largest degree of the spherical harmonics."""
REACH_IN_SIGMA = math.sqrt(-2.0 * math.log(1e-3))
"""3.717: DScribe's density counts an atom until its Gaussian has fallen to 1/1000."""


def reach(r_cut: float, sigma: float) -> float:
    """Return the distance up to which atoms enter a spectrum [length]."""
    return r_cut + sigma * REACH_IN_SIGMA
