"""The chemical elements: SOAP orders its species by atomic number."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ATOMIC_NUMBERS", "by_atomic_number"]

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm "
    "Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)

ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(_SYMBOLS.split(), start=1)}


def by_atomic_number(symbols: Iterable[str]) -> tuple[str, ...]:
    """Return each of some elements once: the order of the blocks of the power spectrum."""
    return tuple(sorted(set(symbols), key=ATOMIC_NUMBERS.__getitem__))
