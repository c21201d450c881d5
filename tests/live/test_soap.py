"""Soap: sizes, reach, and that the compact form loses nothing."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

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
