"""The compiled kernel: SOAP against DScribe, neighbor lists and LENS against Python sets."""

from __future__ import annotations

import decimal
import itertools
import math
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc211, molecule
from dscribe.descriptors import SOAP

from strdyn_live.kernel import Kernel, available_isas, find_neighbors, gto_basis, lens

RESOLUTIONS = [(4, 4), (8, 8), (12, 9)]


def images(atoms, reach):
    """Rows of all atoms and of their images as far as `reach` around the cell; atoms first."""
    if not atoms.pbc.any():
        return atoms.positions, np.arange(len(atoms))
    cell = np.asarray(atoms.cell)
    pad = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)  # the reach in units of the cell
    fractions = np.linalg.solve(cell.T, atoms.positions.T).T
    low, high = fractions.min(axis=0) - pad, fractions.max(axis=0) + pad
    counts = np.where(atoms.pbc, np.ceil(high - low), 0).astype(int)
    positions, rows = [atoms.positions], [np.arange(len(atoms))]
    for shift in itertools.product(*(range(-n, n + 1) for n in counts)):
        if any(shift):
            moved = fractions + shift
            near = ((moved > low) & (moved < high)).all(axis=1)
            positions.append(atoms.positions[near] + shift @ cell)
            rows.append(np.flatnonzero(near))
    return np.concatenate(positions), np.concatenate(rows)


def compact(spectra, n_species, n_max, l_max):
    """Multiply the n < n' components of same-species blocks by the square root of 2."""
    factors = []
    for first, second in itertools.combinations_with_replacement(range(n_species), 2):
        for _ in range(l_max + 1):
            for n in range(n_max):
                for m in range(n if first == second else 0, n_max):
                    factors.append(math.sqrt(2) if first == second and n < m else 1.0)
    return spectra * np.array(factors)


@lru_cache
def exact_betas(r_cut, n_max, l_max):
    """DScribe's matrices S^(-1/2) with 80 digits: the iteration of Denman and Beavers (1976)."""
    radii = np.linspace(1.0, r_cut, n_max)
    betas = np.empty((l_max + 1, n_max, n_max))
    with decimal.localcontext() as context:
        context.prec = 80
        for degree in range(l_max + 1):
            alphas = -np.log(1e-3 / radii**degree) / radii**2
            power = Decimal(2 * degree + 3) / 2
            a = [Decimal(float(alpha)) for alpha in alphas]
            root = np.array([[(x + y) ** -power for x in a] for y in a])
            inverse_root, change = np.eye(n_max, dtype=int) * Decimal(1), 1.0
            while change > 1e-25:
                last = inverse_root
                root, inverse_root = (
                    (root + inverted(inverse_root)) / 2,
                    (inverse_root + inverted(root)) / 2,
                )
                change = abs((inverse_root - last) / inverse_root.max()).max()
            betas[degree] = inverse_root / Decimal(math.gamma(degree + 1.5) / 2).sqrt()
    return betas


def inverted(matrix):
    n = len(matrix)
    rows = np.concatenate([matrix, np.eye(n, dtype=int) * Decimal(1)], axis=1)
    for k in range(n):
        rows[k] /= rows[k, k]
        for i in range(n):
            if i != k:
                rows[i] -= rows[i, k] * rows[k]
    return rows[:, n:]


def dscribe(atoms, names, centers, r_cut, n_max, l_max, sigma):
    soap = SOAP(
        species=names,
        r_cut=r_cut,
        n_max=n_max,
        l_max=l_max,
        sigma=sigma,
        rbf="gto",
        periodic=bool(atoms.pbc.any()),
    )
    if n_max > 8:  # DScribe has lost so many digits of its basis: 10^-8 of the norm, up to 4 %
        assert soap._betas.shape == (l_max + 1, n_max, n_max)
        soap._betas = exact_betas(r_cut, n_max, l_max)
    inside = atoms.copy()
    inside.wrap()  # DScribe misses images of atoms that lie outside the cell
    spectra = soap.create(inside, centers=[int(row) for row in centers])
    return compact(spectra.reshape(len(centers), -1), len(names), n_max, l_max)


def relative_difference(ours, theirs):
    """Largest difference of a component, in units of the norm of the spectrum."""
    return (np.abs(ours - theirs).max(axis=1) / np.linalg.norm(theirs, axis=1)).max()


def check_against_dscribe(atoms, names, centers, r_cut, n_max, l_max, sigma, isa="", limit=1e-9):
    kernel = Kernel(len(names), r_cut, n_max, l_max, sigma, isa=isa)
    positions, rows = images(atoms, kernel.reach)
    species = np.array([names.index(s) for s in atoms.get_chemical_symbols()])[rows]
    ours = kernel.soap(positions, species, centers)
    theirs = dscribe(atoms, names, centers, r_cut, n_max, l_max, sigma)
    assert ours.shape == theirs.shape == (len(centers), kernel.n_features)
    assert relative_difference(ours, theirs) < limit


def copper(seed=0):
    slab = fcc211("Cu", (6, 4, 4), vacuum=8.0)
    slab.pbc = (True, True, False)
    slab.positions += np.random.default_rng(seed).normal(0.0, 0.1, slab.positions.shape)
    return slab


def water(seed=0):
    rng = np.random.default_rng(seed)
    box = Atoms(cell=np.eye(3) * 9.9, pbc=True)
    for corner in itertools.product(range(3), repeat=3):
        one = molecule("H2O")
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.translate(3.3 * np.array(corner) + rng.normal(0, 0.15, 3))
        box += one
    return box


def triclinic(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(5.0, 8.0, 3)) + rng.uniform(-1.5, 1.5, (3, 3))
    atoms = Atoms("CuAuCuAuAu", scaled_positions=rng.random((5, 3)), cell=cell, pbc=True)
    atoms.positions += rng.integers(-2, 3, (5, 3)) @ cell  # atoms outside the cell
    return atoms


def cloud(n, seed=0, size=12.0):
    """Atoms that keep 1 Å apart, in the open."""
    rng = np.random.default_rng(seed)
    points = rng.random((20 * n, 3)) * size
    kept = []
    for point in points:
        if all(np.linalg.norm(point - other) > 1.0 for other in kept):
            kept.append(point)
        if len(kept) == n:
            return np.array(kept)
    raise AssertionError("the box is too small for so many atoms")


# --- SOAP against DScribe ---------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.0])
@pytest.mark.parametrize(("n_max", "l_max"), RESOLUTIONS)
@pytest.mark.parametrize("r_cut", [6.0, 4.48])
def test_copper(r_cut, n_max, l_max, sigma):
    check_against_dscribe(copper(), ["Cu"], [3, 40, 90], r_cut, n_max, l_max, sigma)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
@pytest.mark.parametrize(("n_max", "l_max"), RESOLUTIONS)
def test_water(n_max, l_max, sigma):
    check_against_dscribe(water(), ["H", "O"], [0, 1, 2, 40], 6.0, n_max, l_max, sigma)


@pytest.mark.parametrize("seed", range(4))
def test_triclinic_cells(seed):
    n_max, l_max = RESOLUTIONS[seed % 3]
    check_against_dscribe(triclinic(seed), ["Cu", "Au"], range(5), 5.0, n_max, l_max, 0.5)


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix")
@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize(
    ("r_cut", "n_max", "l_max"),
    # the last three are the most functions that are accepted
    [(8, 1, 0), (8, 3, 12), (8, 8, 8), (8, 12, 9), (8, 13, 5), (2, 9, 4), (3, 11, 6), (8, 14, 4)],
)
def test_every_instruction_set(isa, r_cut, n_max, l_max):
    check_against_dscribe(water(1), ["H", "O"], [0, 1], r_cut, n_max, l_max, 0.7, isa)


def test_gas():
    atoms = Atoms("ArNeArHe", positions=[[0, 0, 0], [400, 3, 0], [403, 0, 1], [0, 0, -9000.0]])
    check_against_dscribe(atoms, ["He", "Ne", "Ar"], range(4), 6.0, 8, 8, 1.0)


def test_a_single_atom_has_only_itself():
    check_against_dscribe(Atoms("Cu", positions=[[7.0, -2.0, 1.0]]), ["Cu"], [0], 6.0, 8, 8, 1.0)


def test_a_single_atom_by_hand():
    # one function e^(-a r^2) with a = ln 1000, overlap with a Gaussian at the origin
    a = math.log(1000.0)
    beta = (0.5 * math.gamma(1.5) * (2.0 * a) ** -1.5) ** -0.5
    c = (2.0 * math.pi) ** 1.5 * beta * (1.0 + 2.0 * a) ** -1.5 / math.sqrt(4.0 * math.pi)
    found = Kernel(1, 5.0, 1, 0).soap([[1.0, 2.0, 3.0]], [0], [0])
    assert found[0, 0] == pytest.approx(math.pi * math.sqrt(8.0) * c**2, rel=1e-13)


def test_two_radial_functions_by_hand():
    # S^(-1/2) = (adj S + s I) / (s t) with s = sqrt(det S), t = sqrt(tr S + 2 s); without a
    # density, sigma -> 0, the weights are that times the factors before the integral
    r_cut, sigma = 5.0, 1e-3
    a = np.array([math.log(1e3), math.log(1e3) / r_cut**2])
    S = 0.5 * math.gamma(1.5) * (a[:, None] + a) ** -1.5
    s = math.sqrt(S[0, 0] * S[1, 1] - S[0, 1] ** 2)
    t = math.sqrt(S[0, 0] + S[1, 1] + 2.0 * s)
    root = np.array([[S[1, 1] + s, -S[0, 1]], [-S[0, 1], S[0, 0] + s]]) / (s * t)
    damping = 1.0 / (1.0 + 2.0 * sigma**2 * a)
    factor = math.sqrt(math.pi * math.sqrt(8.0)) * (2.0 * math.pi * sigma**2) ** 1.5
    exponents, weights, condition = gto_basis(r_cut, 2, 0, sigma)
    np.testing.assert_allclose(exponents[0], a * damping, rtol=1e-14)
    np.testing.assert_allclose(weights[0], factor * root * damping**1.5, rtol=1e-13)
    # the least eigenvalue of the overlap ((1, q), (q, 1)) of normalised functions is 1 - q
    q = S[0, 1] / math.sqrt(S[0, 0] * S[1, 1])
    assert condition == pytest.approx(1.0 / math.sqrt(1.0 - q), rel=1e-12)


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix")
def test_radial_functions_are_orthonormal_where_double_precision_is_not_enough():
    r_cut, n_max = 6.0, 14
    exponents, weights, _ = gto_basis(r_cut, n_max, 2, 1e-4)
    for degree in range(3):
        scale = math.sqrt(math.pi * math.sqrt(8.0 / (2 * degree + 1)))
        scale *= (2.0 * math.pi * 1e-8) ** 1.5
        damping = 1.0 - 2e-8 * exponents[degree]  # 1 / (1 + 2 sigma^2 alpha)
        found = weights[degree] / (scale * damping ** (degree + 1.5))
        exact = exact_betas(r_cut, n_max, 2)[degree]
        assert np.abs(found - exact).max() < 1e-13 * np.abs(exact).max()
        stock = SOAP(species=["Cu"], r_cut=r_cut, n_max=n_max, l_max=2).get_basis_gto(r_cut, 14, 2)
        assert np.abs(stock[1][degree] - exact).max() > 1e-8 * np.abs(exact).max()


def test_the_caller_s_decimal_context_changes_nothing():
    expected = gto_basis(6.0, 6, 1, 1.0)[1]
    with decimal.localcontext(decimal.Context(prec=5, Emax=9, traps=[decimal.Inexact])):
        np.testing.assert_array_equal(gto_basis(6.0, 6, 1, 1.0)[1], expected)


def test_single_precision_settings_mean_their_number():
    assert (
        Kernel(1, np.float32(4.5), sigma=np.float32(0.5)).reach == Kernel(1, 4.5, sigma=0.5).reach
    )


def test_species_that_are_absent_leave_zeros():
    atoms = Atoms("AuAu", positions=[[0, 0, 0], [2.5, 0.3, 0]])
    check_against_dscribe(atoms, ["Cu", "Ag", "Au"], [0, 1], 5.0, 4, 4, 1.0)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_atoms_at_the_edge_of_the_reach(sigma):
    edge = Kernel(1, 6.0, 8, 8, sigma).reach
    steps = [edge, np.nextafter(edge, 0.0), np.nextafter(edge, 99.0)]
    found = []
    for x in steps:
        atoms = Atoms("Cu3", positions=[[0, 0, 0], [x, 0, 0], [0, 2.0, 1.0]])
        check_against_dscribe(atoms, ["Cu"], [0], 6.0, 8, 8, sigma, limit=1e-10)
        found.append(Kernel(1, 6.0, 8, 8, sigma).soap(atoms.positions, [0, 0, 0], [0])[0])
    # the last atom no longer counts, and that is more than noise
    inside, nearly, outside = found
    size = np.linalg.norm(inside)
    assert np.abs(inside - nearly).max() < 1e-12 * size
    assert np.abs(inside - outside).max() > 1e-8 * size


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (1, 1, 1)])
def test_neighbors_along_the_axes(direction):
    positions = np.outer([0.0, 1.5, 3.0, 6.0], direction)
    check_against_dscribe(Atoms("Cu4", positions=positions), ["Cu"], range(4), 5.0, 8, 8, 1.0)


@pytest.mark.parametrize("isa", available_isas())
def test_narrow_gaussians_far_away(isa):
    # exp(-a r^2) down to 2^-2000: must fade to nothing, not wrap around
    atoms = Atoms("Cu3", positions=[[0, 0, 0], [1.3, 0.2, 0.1], [0, 13.9, 1.0]])
    check_against_dscribe(atoms, ["Cu"], range(3), 14.0, 6, 6, 0.05, isa)


def test_two_hundred_species_are_possible():
    positions = cloud(200)
    found = Kernel(200, 5.0, 1, 1).soap(positions, np.arange(200), [7])
    assert found.shape == (1, 200 * 201 // 2 * 2)
    assert np.isfinite(found).all()


# --- what a spectrum must not depend on -------------------------------------------------------


def described(kernel, *arguments, **options):
    """Spectra, numbers of neighbors and their IDs."""
    spectra = [np.empty((0, kernel.n_features))]

    def take(start, some):
        assert start == sum(map(len, spectra))
        spectra.append(some.copy())

    counts, ids = kernel.describe(*arguments, take, **options)
    return np.concatenate(spectra), counts, ids


def rotation(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def test_rotation_translation_permutation():
    rng = np.random.default_rng(5)
    positions, species = cloud(150), rng.integers(0, 2, 150)
    kernel = Kernel(2, 5.0)
    expected = kernel.soap(positions, species, range(20))
    turned = kernel.soap(positions @ rotation(3), species, range(20))
    assert relative_difference(turned, expected) < 1e-10
    moved = kernel.soap(positions + np.array([100.0, -200.0, 300.0]), species, range(20))
    assert relative_difference(moved, expected) < 1e-10
    order = rng.permutation(150)
    centers = np.argsort(order)[:20]
    permuted = kernel.soap(positions[order], species[order], centers)
    assert relative_difference(permuted, expected) < 1e-11


@pytest.mark.parametrize("isa", available_isas())
def test_smooth_in_the_distance(isa):
    # third differences of a smooth function are h^3 times a derivative; a knot would stand out
    h = 1e-3
    distances = np.arange(1.0, 9.0, h)
    kernel = Kernel(1, 6.0, isa=isa)
    positions = np.zeros((2, 3))
    spectra = np.empty((len(distances), kernel.n_features))
    for row, r in enumerate(distances):
        positions[1] = r * np.array([0.6, 0.0, 0.8])
        spectra[row] = kernel.soap(positions, [0, 0], [0])[0]
    spectra /= np.linalg.norm(spectra, axis=1).max()
    third = np.diff(spectra, 3, axis=0)
    neighbors = np.abs(np.diff(third, axis=0)).max(axis=1)
    assert np.abs(third).max() < 100 * h**3
    assert neighbors.max() < 1e-10


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(threads):
    rng = np.random.default_rng(6)
    positions, species = cloud(300, size=16.0), rng.integers(0, 2, 300)
    ids, environment = rng.permutation(300), rng.random(300) < 0.8
    centers = rng.permutation(300)
    kernel = Kernel(2, 4.0, 4, 4)
    one = described(kernel, positions, species, centers, ids, environment, 3.0)
    many = described(kernel, positions, species, centers, ids, environment, 3.0, threads=threads)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_centers_than_one_batch():
    rng = np.random.default_rng(8)
    positions = rng.random((9000, 3)) * 90.0
    ids, everyone = rng.permutation(9000), np.ones(9000, bool)
    counts, found = find_neighbors(positions, ids, np.arange(9000), everyone, 4.0, threads=2)
    some = rng.integers(0, 9000, 50)
    some_counts, some_found = find_neighbors(positions, ids, some, everyone, 4.0)
    np.testing.assert_array_equal(some_counts, counts[some])
    ends = np.cumsum(counts)
    expected = [found[ends[c] - counts[c] : ends[c]] for c in some]
    np.testing.assert_array_equal(some_found, np.concatenate(expected))


@pytest.mark.parametrize("threads", [1, 3])
def test_spectra_are_taken_a_few_at_a_time(threads):
    """Of 4 920 components, 39 kB each: 213 of them are 8 MB."""
    rng = np.random.default_rng(9)
    positions, species = cloud(500, size=20.0), rng.integers(0, 10, 500)
    ids, everyone, centers = np.arange(500), np.ones(500, bool), rng.permutation(500)
    kernel = Kernel(10, 3.0, 4, 5)
    taken = []

    def take(start, spectra):
        taken.append((start, len(spectra), spectra.nbytes))
        np.testing.assert_array_equal(spectra, expected[start : start + len(spectra)])
        spectra[:] = np.nan  # it may be changed

    expected = kernel.soap(positions, species, centers)
    counts, found = kernel.describe(
        positions, species, centers, ids, everyone, 3.0, take, threads=threads
    )
    assert [start for start, _, _ in taken] == [0, 213, 426]
    assert sum(n for _, n, _ in taken) == 500
    assert max(n_bytes for _, _, n_bytes in taken) <= 2**23
    alone = find_neighbors(positions, ids, centers, everyone, 3.0)
    np.testing.assert_array_equal(counts, alone[0])
    np.testing.assert_array_equal(found, alone[1])


def test_an_error_of_the_taker_is_passed_on():
    def take(start, spectra):
        raise KeyboardInterrupt(str(start))

    with pytest.raises(KeyboardInterrupt, match="0"):
        Kernel(1, 3.0, 2, 2).describe(cloud(9), [0] * 9, range(9), range(9), [True] * 9, 3.0, take)


def test_both_at_once_are_both_alone():
    rng = np.random.default_rng(7)
    positions, species = cloud(200), rng.integers(0, 3, 200)
    ids, environment, centers = (
        rng.permutation(200),
        rng.random(200) < 0.5,
        rng.permutation(200)[:50],
    )
    kernel = Kernel(3, 3.0, 3, 2, 0.4)
    for lens_r_cut in (2.0, 6.0):  # less and more than the reach of the spectrum
        spectra, counts, found = described(
            kernel, positions, species, centers, ids, environment, lens_r_cut
        )
        assert relative_difference(spectra, kernel.soap(positions, species, centers)) < 1e-14
        alone = find_neighbors(positions, ids, centers, environment, lens_r_cut)
        np.testing.assert_array_equal(counts, alone[0])
        np.testing.assert_array_equal(found, alone[1])


def test_no_centers_and_repeated_centers():
    positions = cloud(20)
    kernel = Kernel(1, 5.0, 2, 2)
    assert kernel.soap(positions, np.zeros(20, int), []).shape == (0, kernel.n_features)
    counts, found = find_neighbors(positions, range(20), [], np.ones(20, bool), 3.0)
    assert counts.shape == found.shape == (0,)
    twice = kernel.soap(positions, np.zeros(20, int), [4, 9, 4])
    np.testing.assert_array_equal(twice[0], twice[2])


# --- neighbor lists against sets ---------------------------------------------------------------


def naive_neighbors(positions, ids, centers, environment, r_cut):
    lists = []
    for center in centers:
        near = set()
        for row, position in enumerate(positions):
            dx, dy, dz = position - positions[center]
            if environment[row] and dx * dx + dy * dy + dz * dz < r_cut * r_cut:
                near.add(int(ids[row]))
        lists.append(sorted(near - {int(ids[center])}))
    return lists


def split(counts, ids):
    return [part.tolist() for part in np.split(ids, np.cumsum(counts)[:-1])]


def check_neighbors(positions, ids, centers, environment, r_cut):
    expected = naive_neighbors(positions, ids, centers, environment, r_cut)
    for isa in available_isas():
        found = find_neighbors(positions, ids, centers, environment, r_cut, isa=isa)
        assert split(*found) == expected


@pytest.mark.parametrize("r_cut", [0.7, 2.0, 5.0, 40.0])
def test_neighbors_are_the_set_of_ids(r_cut):
    rng = np.random.default_rng(11)
    positions = cloud(150) * [1.0, 1.0, 3.0]
    check_neighbors(
        positions, rng.permutation(1000)[:150], [0, 7, 149], rng.random(150) < 0.6, r_cut
    )


def test_images_share_an_id_and_the_center_is_left_out():
    atoms = bulk("Cu", cubic=True)
    atoms.positions += np.random.default_rng(2).normal(0.0, 0.2, (4, 3))
    positions, rows = images(atoms, 8.0)
    check_neighbors(positions, rows, range(4), np.ones(len(rows), bool), 7.0)
    counts, ids = find_neighbors(positions, rows, range(4), np.ones(len(rows), bool), 7.0)
    assert split(counts, ids) == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_a_neighbor_is_closer_than_the_cutoff():
    positions = [[0, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, np.nextafter(5.0, 0)], [3, 4, 0]]
    counts, ids = find_neighbors(positions, [10, 11, 12, 13, 14], [0], [True] * 5, 5.0)
    assert split(counts, ids) == [[11, 12, 13]]


def test_many_neighbors_and_ids_far_apart():
    rng = np.random.default_rng(12)
    positions = rng.random((600, 3)) * 5.0
    near = np.arange(600) + 2**40
    check_neighbors(positions, near, [0, 300], np.ones(600, bool), 3.0)
    check_neighbors(positions, near, [0, 300], np.ones(600, bool), 9.0)
    far = rng.permutation(np.linspace(-(2**62), 2**62, 600).astype(np.int64))
    check_neighbors(positions, far, [0, 300], np.ones(600, bool), 1.5)


@pytest.mark.parametrize("scale", [1e4, 1e7, 1e12])
def test_empty_space_costs_nothing(scale):
    # two clouds and a line across the diagonal of a box that is almost empty
    line = np.outer(np.linspace(0.0, 1.0, 50), [scale, scale, scale])
    positions = np.concatenate([cloud(100), cloud(100) + np.array([scale, 0, -scale]), line])
    centers = [0, 50, 150, 220]
    check_neighbors(positions, np.arange(250), centers, np.ones(250, bool), 4.0)


# --- LENS against sets -------------------------------------------------------------------------


def test_lens_of_random_lists():
    rng = np.random.default_rng(21)
    before, after = (
        [sorted(rng.choice(40, n, replace=False)) for n in rng.integers(0, 20, 60)] for _ in "ab"
    )
    before[0], after[0], before[1] = [], [], []
    expected = [
        len(set(a) ^ set(b)) / (len(a) + len(b)) if a or b else 0.0
        for a, b in zip(before, after, strict=True)
    ]

    def csr(lists):
        offsets = np.cumsum([0, *map(len, lists)])
        return offsets, np.array(list(itertools.chain(*lists)), dtype=np.int64)

    np.testing.assert_array_equal(lens(*csr(before), *csr(after)), expected)
