from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from memory_buffer import MemoryBuffer
from sklearn.decomposition import PCA

from strdyn_live.neighbors import NeighborLists
from strdyn_live.soap import Soap
from strdyn_post.environments.reduction import Moments, Pca
from strdyn_post.errors import AnalysisError
from strdyn_post.signal.dataset import Dataset
from strdyn_post.signal.frames import Frames
from strdyn_post.signal.series import Series


def make_data(spectra, delta, rows_per_chunk=64):
    n_frames, n_atoms, _ = spectra.shape
    steps = np.arange(n_frames) * 100
    empty = NeighborLists(np.zeros(n_atoms + 1, np.int64), np.empty(0, np.int64))
    buffer = MemoryBuffer(steps, spectra, [empty] * n_frames)
    frames = Frames(steps, steps * 0.005, steps * 0, buffer.atom_ids)
    delta = Series(delta, frames.take(np.arange(len(delta))))
    return Dataset.join(buffer, delta, rows_per_chunk)


def of_frames(delta, **changes):
    return replace(delta, frames=replace(delta.frames, **changes))


def moments_of(data):
    origin = data.read(slice(0, 1)).mean(axis=0)
    return Moments.sum(data.map(partial(Moments.of, origin=origin)))


def scores_of(data, pca):
    return np.concatenate([scores for scores, _ in data.map(pca.transform)])


@pytest.fixture(scope="module")
def soap_like():
    """Nearly parallel positive spectra, as SOAP's are: a small variance on a large mean."""
    rng = np.random.default_rng(3)
    modes = rng.normal(size=(4, 40)) * np.array([[0.05], [0.02], [0.004], [0.001]])
    spectra = rng.random(40) + rng.normal(size=(30, 25, 4)) @ modes
    return spectra.astype(np.float32), rng.random((30, 25)) ** 6


def test_chi_pairs_the_spectrum_of_a_frame_with_the_delta_of_that_frame():
    spectra = np.array([[[3.0, 4.0], [0.0, 2.0]], [[1.0, 0.0], [6.0, 8.0]]], dtype=np.float32)
    data = make_data(spectra, np.array([[0.25, 0.5], [0.75, 1.0]]))
    expected = [[0.6, 0.8, 0.25], [0.0, 1.0, 0.5], [1.0, 0.0, 0.75], [0.6, 0.8, 1.0]]
    np.testing.assert_allclose(data.read(slice(0, 2)), expected, rtol=1e-15)


def test_chi_is_joined_by_step_not_by_position():
    spectra = np.arange(1, 9, dtype=np.float32).reshape(4, 1, 2)
    data = make_data(spectra, np.zeros((4, 1)))
    late = data.delta.take(np.array([2, 3]))
    joined = Dataset.join(data.recording, late)
    np.testing.assert_array_equal(joined.read(slice(0, 2)), data.read(slice(2, 4)))


def test_foreign_steps_and_atoms_are_refused():
    data = make_data(np.ones((3, 2, 2), np.float32), np.zeros((3, 2)))
    with pytest.raises(AnalysisError, match="step 250 of LENS is not in the buffer"):
        Dataset.join(data.recording, of_frames(data.delta, steps=np.array([0, 100, 250])))
    with pytest.raises(AnalysisError, match="2 atoms and LENS 2, or other IDs"):
        Dataset.join(data.recording, of_frames(data.delta, atom_ids=np.array([7, 8])))


@pytest.mark.parametrize("lens_weight", [None, 1.0, 0.3])
def test_streamed_pca_is_that_of_the_whole_array(soap_like, lens_weight):
    data = make_data(*soap_like)
    chi = data.read(slice(None))
    whole = chi[:, :-1] if lens_weight is None else chi * np.r_[np.ones(40), lens_weight]
    reference = PCA(svd_solver="full").fit(whole)
    pca = Pca.fit(moments_of(data), lens_weight=lens_weight, variance=0.995)
    n = len(pca.explained_variance)
    np.testing.assert_allclose(
        pca.explained_variance, reference.explained_variance_[:n], rtol=1e-10, atol=1e-16
    )
    kept = np.cumsum(reference.explained_variance_ratio_)
    assert kept[pca.n_components - 1] >= 0.995 > kept[pca.n_components - 2]
    signs = np.sign((pca.components * reference.components_[: pca.n_components]).sum(axis=1))
    expected = reference.transform(whole)[:, : pca.n_components] * signs
    np.testing.assert_allclose(scores_of(data, pca), expected, atol=1e-7)


def test_chunk_size_does_not_matter(soap_like):
    pcas = [
        Pca.fit(moments_of(make_data(*soap_like, size)), lens_weight=1.0, variance=0.999)
        for size in (1, 60, 10**6)
    ]
    for pca in pcas[1:]:
        np.testing.assert_allclose(
            pca.explained_variance, pcas[0].explained_variance, rtol=1e-12, atol=1e-16
        )
        np.testing.assert_allclose(pca.components, pcas[0].components, atol=1e-12)


def test_compact_and_filled_spectra_have_the_same_variances():
    soap = Soap(("H", "O"), 3.0, n_max=3, l_max=2)
    rng = np.random.default_rng(0)
    compact = rng.random(soap.n_features) + 0.05 * rng.normal(size=(20, 30, soap.n_features))
    compact = compact.astype(np.float32)
    filled = soap.fill(compact.astype(np.float64))
    delta = rng.random((20, 30))
    small, large = (
        Pca.fit(moments_of(make_data(x, delta)), lens_weight=1.0, variance=0.9, n_components=6)
        for x in (compact, filled)
    )
    np.testing.assert_allclose(
        large.explained_variance[: soap.n_features],
        small.explained_variance[: soap.n_features],
        rtol=1e-11,
        atol=1e-15,
    )
    a = scores_of(make_data(compact, delta), small)
    b = scores_of(make_data(filled, delta), large)
    signs = np.sign((a * b).sum(axis=0))  # the largest entry may be another copy
    np.testing.assert_allclose(a, b * signs, atol=1e-6)


def test_signs_are_fixed(soap_like):
    pca = Pca.fit(moments_of(make_data(*soap_like)), lens_weight=None, variance=0.999)
    largest = np.take_along_axis(
        pca.components, np.abs(pca.components).argmax(axis=1)[:, None], axis=1
    )
    assert (largest > 0).all()


def test_the_whole_variance_can_be_kept(soap_like):
    pca = Pca.fit(moments_of(make_data(*soap_like)), lens_weight=1.0, variance=1.0)
    assert pca.n_components <= 41


def test_equal_spectra_are_an_error():
    data = make_data(np.ones((3, 4, 5), np.float32), np.zeros((3, 4)))
    with pytest.raises(AnalysisError, match="all 12 spectra are equal"):
        Pca.fit(moments_of(data), lens_weight=1.0, variance=0.9)


def test_too_many_components_are_an_error(soap_like):
    with pytest.raises(AnalysisError, match="n_components = 50, but a row has 41"):
        Pca.fit(moments_of(make_data(*soap_like)), lens_weight=1.0, variance=0.9, n_components=50)
