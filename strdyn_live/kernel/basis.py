"""The Gaussian radial basis of DScribe (rbf ``gto``), as the compiled code needs it."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACCURACY", "gto_basis"]

# A spectrum is right to this share of its norm, or its basis is refused.
ACCURACY = 1e-9
# A basis function decays to this share at the radius it stands for.
_DECAY = 1e-3
_EPS = float(np.finfo(np.float64).eps)

Matrix = NDArray[Any]  # of Decimal


def gto_basis(
    r_cut: float, n_max: int, l_max: int, sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    r"""Return what turns sums of Gaussians into the expansion of the density.

    The radial function :math:`\phi_{nl}` is a combination :math:`\sum_k \beta_{nkl} r^l
    e^{-\alpha_{kl} r^2}`; its overlap with a Gaussian density of width sigma around an atom at
    distance r is again a sum of Gaussians of r, with exponents :math:`a = \alpha / (1 + 2\sigma^2
    \alpha)`. Source: Himanen et al., Comput. Phys. Commun. 247, 106949 (2020).

    The matrix β is the inverse square root of the overlap of nearly dependent functions. In double
    precision, where DScribe takes it, it is wrong by condition² × 2⁻⁵², and differs between
    processors; here it is taken with as many digits as it needs.

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
    condition : float
        By how much the weights enlarge the rounding errors of the sums over j: a spectrum is right
        to about condition × 2⁻⁵² of its norm. It is 1 / √λ, λ the least eigenvalue of the overlap
        of the normalised Gaussians, for the worst degree.

    Raises
    ------
    ValueError
        If spectra could be wrong by more than `ACCURACY` of their norm.
    """
    betas, condition = _orthonormal(r_cut, n_max, l_max)
    if not condition * _EPS <= ACCURACY:
        largest = n_max - 1
        while _orthonormal(r_cut, largest, l_max)[1] * _EPS > ACCURACY:
            largest -= 1
        raise ValueError(
            f"n_max = {n_max}: so many radial functions up to r_cut = {r_cut:g} (l_max = {l_max}) "
            f"are too similar to be told apart: their spectra would be wrong by more than "
            f"{ACCURACY:g} of their norm. Use n_max = {largest} or less, or a larger r_cut."
        )
    exponents = np.empty((l_max + 1, n_max))
    weights = np.empty((l_max + 1, n_max, n_max))
    for degree in range(l_max + 1):
        alphas = _alphas(r_cut, n_max, degree)
        damping = 1.0 / (1.0 + 2.0 * sigma**2 * alphas)
        exponents[degree] = alphas * damping
        scale = math.sqrt(math.pi * math.sqrt(8.0 / (2 * degree + 1)))
        scale *= (2.0 * math.pi * sigma**2) ** 1.5
        weights[degree] = scale * betas[degree] * damping ** (degree + 1.5)
    return exponents, weights, condition


def _alphas(r_cut: float, n_max: int, degree: int) -> NDArray[np.float64]:
    """Return the exponents of the Gaussians r^l exp(-α r²)."""
    radii = np.linspace(1.0, r_cut, n_max).tolist()
    return np.array([-math.log(_DECAY / r**degree) / r**2 for r in radii])


def _orthonormal(r_cut: float, n_max: int, l_max: int) -> tuple[list[NDArray[np.float64]], float]:
    """Return β of every degree, and the condition; infinite where it is far too large."""
    betas, condition = [], 1.0
    for degree in range(l_max + 1):
        alphas = _alphas(r_cut, n_max, degree)
        root = _inverse_root(alphas, degree)
        if root is None:
            return [], math.inf
        norms = (2.0 * alphas) ** (-0.5 * degree - 0.75)
        condition = max(condition, float(np.linalg.norm(root * norms, 2)))
        betas.append(root * math.sqrt(2.0 / math.gamma(degree + 1.5)))
    return betas, condition


def _inverse_root(alphas: NDArray[np.float64], degree: int) -> NDArray[np.float64] | None:
    """Return S^(-1/2), S_ij = (α_i + α_j)^(-l-3/2); None if it has far too few digits.

    With S = Uᵀ U (Cholesky) and U = Q H (Q orthogonal, H symmetric), H² = S and S^(-1/2) = U⁻¹ Q.
    Q is the limit of Newton's iteration X → (f X + X⁻ᵀ / f) / 2 with the factor f of Higham, SIAM
    J. Sci. Stat. Comput. 7, 1160 (1986).
    """
    n = len(alphas)
    # the norms of the Gaussians differ by `spread`, and cancellation takes twice the digits of
    # the condition
    spread = (alphas.max() / alphas.min()) ** (degree + 1.5)
    with decimal.localcontext(decimal.Context(prec=50 + math.ceil(math.log10(spread)))):
        exact = np.array([Decimal(alpha) for alpha in alphas.tolist()])
        rest = np.array(
            [[1 / (a ** (degree + 1) * a.sqrt()) for a in row] for row in exact[:, None] + exact]
        )
        least = rest.diagonal() * Decimal(_EPS)
        upper = np.full((n, n), Decimal(0))
        for k in range(n):
            if rest[k, k] <= least[k]:
                return None
            upper[k, k:] = rest[k, k:] / rest[k, k].sqrt()
            rest[k:, k:] -= np.outer(upper[k, k:], upper[k, k:])
        x, change = upper, Decimal(1)
        while change > Decimal("1e-15"):  # the next would be its square
            y = _inverse(x).T
            factor = (_size(y) / _size(x)).sqrt().sqrt()
            last, x = x, (factor * x + y / factor) / 2
            change = abs(x - last).max()
        root: NDArray[np.float64] = (_inverse(upper) @ x).astype(np.float64)
        return root


def _size(matrix: Matrix) -> Any:
    """Return ‖·‖₁ ‖·‖_∞."""
    sizes = abs(matrix)
    return sizes.sum(axis=0).max() * sizes.sum(axis=1).max()


def _inverse(matrix: Matrix) -> Matrix:
    """Return the inverse, by Gauss and Jordan with pivots."""
    n = len(matrix)
    both = np.concatenate([matrix, np.eye(n, dtype=int).astype(object)], axis=1)
    for k in range(n):
        pivot = k + int(abs(both[k:, k]).argmax())
        both[[k, pivot]] = both[[pivot, k]]
        both[k] /= both[k, k]
        column = both[:, k].copy()
        column[k] = 0
        both -= np.outer(column, both[k])
    return both[:, n:]
