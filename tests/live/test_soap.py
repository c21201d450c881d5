"""Soap: sizes, reach, and that the compact form loses nothing."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_info, threadpool_limits

from strdyn_live.basis import Basis
from strdyn_live.box import Box
from strdyn_live.config import LiveConfig
from strdyn_live.describe import describe
from strdyn_live.frame import LocalFrame, RunStart
from strdyn_live.soap import Soap


def cluster(n_atoms, n_species, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.0, 7.0, (n_atoms, 3)), rng.integers(0, n_species, n_atoms)


@pytest.mark.parametrize(
    ("species", "n_features", "n_filled"), [(("Cu",), 324, 576), (("H", "O"), 1224, 1728)]
)
def test_sizes_of_the_paper(species, n_features, n_filled):
    soap = Soap(species, 6.0)
    assert soap.n_features == n_features
    assert soap.fill(np.zeros((2, n_features))).shape == (2, n_filled)
    # 6 + sqrt(2 ln 1000), worked out by hand
    assert soap.reach == pytest.approx(9.716922, abs=1e-6)


def test_species_are_in_order_of_atomic_number():
    assert Soap(("O", "H"), 4.0).species == ("H", "O")


@pytest.mark.parametrize("species", [("Cu",), ("H", "O")])
def test_compact_and_filled_have_one_geometry(species):
    soap = Soap(species, 4.0, n_max=5, l_max=4, backend="dscribe")
    positions, kinds = cluster(60, len(species), seed=1)
    compact = soap.compute(positions, kinds, np.arange(60))
    compact /= np.linalg.norm(compact, axis=1, keepdims=True)
    full = soap.fill(compact)
    np.testing.assert_allclose(compact @ compact.T, full @ full.T, rtol=1e-12)
    variances = [PCA().fit(form).explained_variance_[:30] for form in (compact, full)]
    np.testing.assert_allclose(*variances, rtol=1e-12, atol=1e-15)


def test_no_centers():
    soap = Soap(("Cu",), 4.0, n_max=2, l_max=2)
    assert soap.compute(np.zeros((3, 3)), np.zeros(3, int), np.empty(0, int)).shape == (0, 9)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"species": ("Cu", "Xq")}, ValueError, "expected symbols .* 'Xq' is none"),
        ({"species": ()}, ValueError, "expected symbols of chemical elements"),
        ({"species": "CO2"}, ValueError, "'CO2' is none"),
        ({"r_cut": 0.9}, ValueError, "r_cut = 0.9: .* needs r_cut > 1"),
        ({"n_max": 8.7}, TypeError, "n_max = 8.7: expected a whole number"),
        ({"l_max": 13}, ValueError, "l_max = 13: expected 0 to 12"),
        ({"sigma": 0.0}, ValueError, "sigma = 0.0: expected a width"),
        ({"backend": "fast"}, ValueError, "backend = 'fast': expected native or dscribe"),
    ],
)
def test_settings_are_checked_at_once(settings, error, message):
    with pytest.raises(error, match=message):
        Soap(**{"species": ("Cu",), "r_cut": 6.0, **settings})


def test_a_single_string_names_elements():
    assert Soap("Cu", 6.0).species == ("Cu",)
    assert Soap("O H", 6.0).species == ("H", "O")


def test_an_impossible_basis_is_found_by_check():
    Soap("Cu", 6.0, n_max=14).check()
    soap = Soap("Cu", 6.0, n_max=15)
    assert soap.n_features == 15 * 16 // 2 * 9
    with pytest.raises(ValueError, match="n_max = 15: .* Use n_max = 14 or less"):
        soap.check()
    Soap("Cu", 6.0, n_max=10, backend="dscribe").check()
    with pytest.raises(ValueError, match="n_max = 12 with backend dscribe: .* backend native"):
        Soap("Cu", 6.0, n_max=12, backend="dscribe").check()


@pytest.mark.parametrize(
    ("positions", "species", "centers", "error", "message"),
    [
        ([[0, 0, 0], [2, 0, 0]], [0, -1], [0], ValueError, "species: row 1 is -1"),
        ([[0, 0, 0], [2, 0, 0]], [0, 0], [-1], ValueError, "centers: entry 0 is -1"),
        ([[0, 0, 0], [2, 0, 0]], [0, 0], [0.7], TypeError, "centers has dtype float64"),
        ([[0, 0, 0], [np.nan, 0, 0]], [0, 0], [0], ValueError, "positions: row 1"),
        ([[0, 0, 0], [0, 0, 0]], [0, 0], [1], ValueError, "rows 1 and 0 are the same point"),
    ],
)
def test_both_backends_refuse_the_same(positions, species, centers, error, message):
    for backend in ("native", "dscribe"):
        soap = Soap(("H", "O"), 4.0, n_max=2, l_max=2, backend=backend)
        with pytest.raises(error, match=message):
            soap.compute(positions, species, centers)


def test_the_calculator_of_a_recording_has_its_settings():
    config = LiveConfig(
        r_cut=4.5, elements="O H H", file="run.sdl", n_max=3, l_max=2, sigma=0.5, backend="dscribe"
    )
    soap = Soap.of(config)
    assert (soap.species, soap.r_cut, soap.n_max, soap.l_max) == (("H", "O"), 4.5, 3, 2)
    assert (soap.sigma, soap.backend) == (0.5, "dscribe")


def frame(positions, atom_ids, n_owned):
    n = len(positions)
    return LocalFrame(
        step=700,
        run_start=RunStart(0),
        time=0.7,
        box=Box(np.eye(3) * 20.0, np.zeros(3), (True, True, True)),
        box_changes=False,
        bounds=np.array([[0.0] * 3, [1.0] * 3]),
        n_owned=n_owned,
        atom_ids=np.array(atom_ids),
        types=np.ones(n, np.int32),
        positions=np.array(positions, float),
        centers=np.arange(n_owned),
        environment=np.ones(n, bool),
    )


@pytest.mark.parametrize("backend", ["native", "dscribe"])
@pytest.mark.parametrize(
    ("positions", "atom_ids", "message"),
    [
        (
            [[0, 0, 0], [3, 4, 5.5], [3, 4, 5.5]],
            [90, 17, 41],
            r"step 700: atoms 17 and 41 are the same point \(3, 4, 5.5\)",
        ),
        ([[0, 0, 0], [3, 4, 5], [3, 4, 5]], [90, 17, 17], "step 700: atom 17 and an image of it"),
        ([[0, 0, 0], [3, 4, 5], [np.nan, 0, 0]], [90, 17, 41], r"step 700: atom 41 is at \(nan, 0"),
    ],
)
def test_bad_atoms_are_named_by_step_and_id(backend, positions, atom_ids, message):
    soap = Soap("Cu", 4.0, n_max=2, l_max=2, backend=backend)
    with pytest.raises(ValueError, match=message):
        soap.describe(frame(positions, atom_ids, n_owned=2), np.zeros(3, np.int32), 4.0, print)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_scores_are_those_of_the_spectra_and_blas_leaves_cores_to_lammps(n_threads, monkeypatch):
    config = LiveConfig(r_cut=4.0, elements="Cu", file="run.sdl", n_max=2, l_max=2)
    atoms, soap = frame(cluster(60, 1, 3)[0], np.arange(60), n_owned=40), Soap.of(config)
    atoms_are = atoms, np.zeros(60, np.int32), soap, config
    full = describe(*atoms_are).frame
    spread = np.linalg.svd(full.soap - full.soap.mean(axis=0), full_matrices=False)[2]
    basis = Basis(full.soap.mean(axis=0).astype(float), spread[:3].astype(float), 1.0)
    seen, project = set(), Basis.project

    def watched(self, spectra):
        seen.update(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
        return project(self, spectra)

    monkeypatch.setattr(Basis, "project", watched)
    with threadpool_limits(4, "blas"):
        reduced = describe(*atoms_are, basis=basis, threads=n_threads).frame
    assert seen == {n_threads}
    assert reduced.basis is basis
    np.testing.assert_array_equal(reduced.soap, project(basis, full.soap))
    np.testing.assert_array_equal(reduced.neighbors.ids, full.neighbors.ids)


def test_fill_of_integers_and_of_a_wrong_length():
    soap = Soap("Cu", 4.0, n_max=2, l_max=0)
    # 11, 12, 22: the filled form has 12 twice, and the compact one times the square root of 2
    assert soap.fill([1, 2, 3]) == pytest.approx([1.0, 2.0**0.5, 2.0**0.5, 3.0])
    with pytest.raises(ValueError, match=r"shape \(4, 1\): expected 3 components"):
        soap.fill(np.ones((4, 1)))
