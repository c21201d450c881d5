"""SOAP from the compiled kernel against DScribe: time per atom on one core, accuracy beside it."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _timing import copper, copper_slab, medians, processor, water, with_images
from ase import Atoms
from dscribe.descriptors import SOAP

from strdyn_live.kernel import Kernel, available_isas
from strdyn_live.soap import Soap

N_REFERENCE = 60  # DScribe is slow: it describes this many of the centers
GOALS = {("Cu", 6.0): 15, ("Cu", 4.48): 12, ("H2O", 6.0): 10}


def compare(name: str, atoms: Atoms, centers: np.ndarray, r_cut: float, n: int, sigma: float = 1.0):
    """Print one line per instruction set."""
    soap = Soap(sorted(set(atoms.get_chemical_symbols())), r_cut, n, n, sigma)
    positions, rows = with_images(atoms, soap.reach)
    symbols = np.array(atoms.get_chemical_symbols())[rows]
    species = np.array([soap.species.index(symbol) for symbol in symbols])
    some = centers[:: max(1, len(centers) // N_REFERENCE)]
    sizes = {"r_cut": r_cut, "n_max": n, "l_max": n, "sigma": sigma}
    dscribe = SOAP(species=soap.species, periodic=False, **sizes)
    local, rows = Atoms(symbols=symbols, positions=positions), some.tolist()
    # with n = l = 12 DScribe itself is off by 1e-6
    expected = dscribe.create(local, centers=rows) * soap.isometry
    kernels = {
        isa: Kernel(len(soap.species), r_cut, n, n, sigma, isa=isa) for isa in available_isas()
    }
    calls = {
        isa: lambda kernel=kernel: kernel.soap(positions, species, centers)
        for isa, kernel in kernels.items()
    }
    calls["dscribe"] = lambda: dscribe.create(local, centers=rows)
    seconds = medians(calls)
    reference = seconds["dscribe"] / len(some)
    goal = GOALS.get((name, r_cut), 0) if n == 8 and sigma == 1.0 else 0
    for isa, kernel in kernels.items():
        error = np.abs(kernel.soap(positions, species, some) - expected).max(axis=1)
        error = (error / np.linalg.norm(expected, axis=1)).max()
        ours = seconds[isa] / len(centers)
        last = isa == available_isas()[-1]
        print(
            f"{name:4} {r_cut:5.2f} Å  n=l={n:<2} sigma {sigma:3.1f}  {isa:8}  "
            f"{ours * 1e6:7.2f} µs  DScribe {reference * 1e6:6.1f} µs  {reference / ours:5.1f} ×"
            f"{f' (goal {goal} ×)' if goal and last else '':14}  max |Δp|/|p| {error:.0e}"
        )


def scale() -> None:
    """Print the cost of an atom, all of them centers, and the memory taken, as the system grows."""
    kernel = Kernel(1, 6.0, 4, 4)  # with n = l = 8 a million spectra would take 2.6 GB
    for n_atoms in (2_400, 10_000, 100_000, 1_000_000):
        atoms = copper(n_atoms)
        positions, _ = with_images(atoms, kernel.reach)
        species = np.zeros(len(positions), np.int32)
        centers = np.arange(len(atoms))
        del atoms
        seconds = []
        for _ in range(3 if n_atoms > 50_000 else 7):
            before = _memory_now()
            start = time.process_time()
            spectra = kernel.soap(positions, species, centers)
            seconds.append(time.process_time() - start)
            extra = _memory_peak() - before - spectra.nbytes / 1e6
            del spectra
        print(
            f"{len(centers):8} atoms + {len(positions) - len(centers):6} images, n=l=4: "
            f"{np.median(seconds) / len(centers) * 1e6:5.2f} µs an atom, "
            f"{extra:4.1f} MB beyond input and output"
        )


def _memory_now() -> float:
    """Return the memory in use [MB] and let the record of its peak start anew."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_peak()


def _memory_peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e3


if __name__ == "__main__":
    print(f"{processor()}, one core; medians of 7 runs in turn")
    slab, surface = copper_slab()
    for r_cut_ in (6.0, 4.48):
        compare("Cu", slab, surface, r_cut_, 8)
    liquid = water(6)
    compare("H2O", liquid, np.arange(len(liquid)), 6.0, 8)
    for n_ in (4, 12):
        compare("Cu", slab, surface, 6.0, n_)
    compare("Cu", slab, surface, 6.0, 8, sigma=0.5)
    scale()
