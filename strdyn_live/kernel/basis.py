"""The Gaussian radial basis of DScribe (rbf ``gto``), as the compiled code needs it."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

__all__ = ["gto_basis"]

# A basis function decays to this share at the radius it stands for.
_DECAY = 1e-3


def gto_basis(
    r_cut: float, n_max: int, l_max: int, sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return what turns sums of Gaussians into the expansion of the density.

    The radial function :math:`\phi_{nl}` is a combination :math:`\sum_k \beta_{nkl} r^l
    e^{-\alpha_{kl} r^2}`; its overlap with a Gaussian density of width sigma around an atom at
    distance r is again a sum of Gaussians of r, with exponents :math:`a = \alpha / (1 + 2\sigma^2
    \alpha)`. Source: Himanen et al., Comput. Phys. Commun. 247, 106949 (2020).

    Parameters
    ----------
    r_cut : float
        Cutoff radius [length], above 1.
    n_max, l_max : int
        Number of radial functions, largest degree.
    sigma : float
        Width of the Gaussians of the density [length].

    Returns
    -------
    exponents : (l_max + 1, n_max) float64 ndarray
        a[l, k] in exp(-a r²) [1/length²].
    weights : (l_max + 1, n_max, n_max) float64 ndarray
        c[n, l, m] = Σ_k weights[l, n, k] Σ_j exp(-a[l, k] r_j²) r_j^l Y_lm(j), so that the power
        spectrum is Σ_m c c' without a further factor.

    Raises
    ------
    ValueError
        If the basis functions are too similar to be orthonormalised in double precision.
    """
    from scipy.linalg import inv, sqrtm
    from scipy.special import gamma

    radii = np.linspace(1.0, r_cut, n_max)
    exponents = np.empty((l_max + 1, n_max))
    weights = np.empty((l_max + 1, n_max, n_max))
    for degree in range(l_max + 1):
        alphas = -np.log(_DECAY / np.power(radii, degree)) / radii**2
        overlap = 0.5 * gamma(degree + 1.5) * (alphas[:, None] + alphas) ** (-degree - 1.5)
        # Ill-conditioned for many functions: the same operations as DScribe's give its numbers.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            betas = sqrtm(inv(overlap))
        if np.iscomplexobj(betas) or not np.isfinite(betas).all():
            raise ValueError(
                f"n_max = {n_max} radial functions up to r_cut = {r_cut:g} are too similar to be "
                "orthonormalised: use fewer, or a larger r_cut."
            )
        damping = 1.0 / (1.0 + 2.0 * sigma**2 * alphas)
        exponents[degree] = alphas * damping
        scale = math.sqrt(math.pi * math.sqrt(8.0 / (2 * degree + 1)))
        scale *= (2.0 * math.pi * sigma**2) ** 1.5
        weights[degree] = scale * betas * damping ** (degree + 1.5)
    return exponents, weights
