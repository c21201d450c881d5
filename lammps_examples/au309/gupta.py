"""The Gupta potential of gold as a table for LAMMPS: python gupta.py > Au_gupta.eam.alloy.

The second-moment approximation of tight binding (Gupta, Phys. Rev. B 23, 6265 (1981); Cleri and
Rosato, Phys. Rev. B 48, 22 (1993)) is an embedded-atom form:

    E = ½ Σ_ij φ(r_ij) + Σ_i F(ρ_i),   ρ_i = Σ_j ξ² exp(-2q (r_ij / r0 - 1)),
    φ(r) = 2 A exp(-p (r / r0 - 1)),   F(ρ) = -√ρ

The parameters and the smooth cutoff are those of the gold particles of Crippa et al.: from
`CUT_START` to `CUT_END` both exponentials, exp(-p ...) and exp(-q ...), go over into polynomials
a3 (r - CUT_END)³ + a4 (r - CUT_END)⁴ + a5 (r - CUT_END)⁵ that meet them up to the second
derivative, as in `pair_style smatb`, which not every LAMMPS has.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import ArrayLike, NDArray

R0, P, Q, A, XI = 2.88, 10.35, 4.178, 0.210, 1.818  # Å, -, -, eV, eV
CUT_START, CUT_END = 4.07293506, 4.9883063257983666  # Å: between the second, third and fourth shell
MASS, LATTICE = 196.96657, 4.064

Float = NDArray[np.float64]


def switched(r: ArrayLike, decay: float) -> Float:
    """Return exp(-decay (r / r0 - 1)) up to `CUT_START`, then the polynomial, then 0."""
    r = np.asarray(r, dtype=np.float64)
    width, slope = CUT_START - CUT_END, -decay / R0
    value = np.exp(-decay * (CUT_START / R0 - 1.0))
    powers = np.array([3, 4, 5])
    conditions = np.array(
        [
            width**powers,
            powers * width ** (powers - 1),
            powers * (powers - 1) * width ** (powers - 2),
        ]
    )
    a = np.linalg.solve(conditions, value * np.array([1.0, slope, slope**2]))
    x = r - CUT_END
    smooth = sum(factor * x**power for factor, power in zip(a, powers, strict=True))
    return np.where(
        r <= CUT_START, np.exp(-decay * (r / R0 - 1.0)), np.where(r < CUT_END, smooth, 0.0)
    )


def pair(r: ArrayLike) -> Float:
    """Return φ(r) [eV]."""
    return 2.0 * A * switched(r, P)


def density(r: ArrayLike) -> Float:
    """Return the contribution of a neighbor to ρ [eV²]."""
    return XI**2 * switched(r, Q) ** 2


def embedding(rho: ArrayLike) -> Float:
    """Return F(ρ) [eV]."""
    return -np.sqrt(np.asarray(rho, dtype=np.float64))


def table(n_rho: int = 10000, n_r: int = 4000) -> str:
    """Return the table in the format of eam/alloy."""
    # five times the density of an atom of the crystal: 12, 6, 24 neighbors within the cutoff
    shells = LATTICE * np.sqrt([0.5, 1.0, 1.5])
    rho_max = 5.0 * float(np.array([12, 6, 24]) @ density(shells))
    rho = np.linspace(0.0, rho_max, n_rho)
    r = np.linspace(0.0, CUT_END, n_r)
    rows = [
        "Gold, second-moment tight binding (Gupta), by gupta.py of strdyn-live",
        f"A = {A} eV, xi = {XI} eV, p = {P}, q = {Q}, r0 = {R0} A",
        f"smooth cutoff from {CUT_START} to {CUT_END} A",
        "1 Au",
        f"{n_rho} {rho[1]:.16e} {n_r} {r[1]:.16e} {CUT_END:.16e}",
        f"79 {MASS} {LATTICE} fcc",
    ]
    rows += [f"{value:.16e}" for value in (*embedding(rho), *density(r), *(r * pair(r)))]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
