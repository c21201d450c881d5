"""SOAP&LENS at other weights of δ."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from memory_buffer import make_buffer, walk
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from strdyn_post import AnalysisConfig, analyse, label, load_results, save_results
from strdyn_post.config import ConfigError
from strdyn_post.environments.reduction import Moments
from strdyn_post.findings import ATTENTION, FINE
from strdyn_post.scans.weights import WeightPoint, weight_scan
from strdyn_post.signal.dataset import Dataset

RATES = np.array([[0.95, 0.05, 0.0], [0.08, 0.91, 0.01], [0.0, 0.1, 0.9]])
CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=60, scan_weights=(2.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def buffer():
    # SOAP sees state 2 as 1; it exchanges more neighbors
    states = walk(RATES, 60, 150, np.random.default_rng(7))
    return make_buffer(states, np.array([0, 1, 1]), np.array([0, 1, 14]))


@pytest.fixture(scope="module")
def result(buffer):
    return analyse(buffer, CONFIG)


def test_scan_goes_from_soap_alone_to_the_weight_in_use_and_beyond(result):
    none, used, double = result.weight_scan
    assert (none.weight, used.weight, double.weight) == (0.0, 1.0, 2.0)
    assert (none.lens_variance, none.agreement_with_soap) == (0.0, 1.0)
    assert [point.n_clusters for point in result.weight_scan] == [2, 3, 3]
    assert used.agreement_with_soap < 1.0
    assert none.agreement_with_used == used.agreement_with_soap
    assert double.agreement_with_used > 0.99


def test_the_point_in_use_is_the_route_itself(result):
    chi, soap = result["soap_lens"], result["soap"]
    used = result.weight_scan[1]
    assert used.n_components == chi.n_components
    assert used.n_environments == chi.final.n_clusters
    assert used.agreement_with_used == 1.0
    assert used.agreement_with_soap == adjusted_rand_score(
        chi.final.labels.ravel(), soap.final.labels.ravel()
    )


def test_every_point_is_an_analysis_at_its_weight(buffer, result):
    double = result.weight_scan[2]
    chi = analyse(buffer, replace(CONFIG, lens_weight=2.0, scan_weights=()))["soap_lens"]
    assert (double.n_components, double.n_clusters, double.n_environments) == (
        chi.n_components, chi.n_clusters, chi.final.n_clusters
    )  # fmt: skip
    assert double.agreement_with_used == adjusted_rand_score(
        chi.final.labels.ravel(), result["soap_lens"].final.labels.ravel()
    )
    # the whole array at once, by scikit-learn
    spectra = buffer.spectra[:-1].reshape(-1, buffer.spectra.shape[2]).astype(float)
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    weighted = 2.0 * result.delta.values.ravel()
    rows = np.column_stack([spectra, weighted])
    assert double.lens_variance == pytest.approx(weighted.var() / rows.var(axis=0).sum())
    shares = np.cumsum(PCA().fit(rows).explained_variance_ratio_)
    assert double.n_components == np.searchsorted(shares, 0.995) + 1


def test_the_size_of_chunks_and_what_runs_them_do_not_matter(buffer, result):
    small = Dataset.join(buffer, result.delta, rows_per_chunk=1000)
    rows = small.read(slice(None))
    moments = Moments.sum(map(partial(Moments.of, origin=rows[0]), np.array_split(rows, 7)))
    with ThreadPoolExecutor(2) as pool:
        scan = weight_scan(small, moments, result.routes, CONFIG, pool.map)
    for ours, theirs in zip(scan, result.weight_scan, strict=True):
        assert vars(ours) == pytest.approx(vars(theirs), abs=1e-3)


def test_scan_is_kept_with_the_results_and_older_ones_have_none(buffer, result, tmp_path):
    assert load_results(save_results(result, tmp_path)).weight_scan == result.weight_scan
    silent = analyse(buffer.frames(slice(0, 20)), replace(CONFIG, scan_weights=()))
    assert silent.weight_scan == ()
    assert load_results(save_results(silent, tmp_path)).weight_scan == ()


def test_frames_labelled_by_a_model_are_not_scanned(buffer, result):
    labelled = label(result.fit, buffer.frames(slice(0, 20)))
    assert labelled.config.scan_weights == CONFIG.scan_weights
    assert labelled.weight_scan == ()


def test_methods_that_merge_nothing_are_scanned_too(buffer):
    config = replace(CONFIG, method="kmeans", n_clusters=3, scan_weights=[4.0])
    _, heavy = analyse(buffer, config).weight_scan
    assert isinstance(heavy, WeightPoint)
    assert (heavy.weight, heavy.n_clusters, heavy.n_environments) == (4.0, 3, 3)


def test_numbers_of_gaussians_are_compared_by_bic(buffer, tmp_path):
    config = replace(CONFIG, method="gmm", scan_weights=(), scan_clusters=(2, 4), n_init=3)
    result = analyse(buffer, config)
    points = result.mixture_scan
    assert [point.n_clusters for point in points] == [2, 3, 4]
    chi, delta = result["soap_lens"], result["lens"].scores[..., 0]
    rows = chi.scores.reshape(-1, chi.n_components).astype(float)
    for point in points:
        fits = [
            GaussianMixture(point.n_clusters, random_state=k, reg_covar=1e-9).fit(rows)
            for k in range(3)
        ]
        best, second = sorted(fits, key=lambda fit: -fit.lower_bound_)[:2]
        labels = best.predict(rows)
        assert point.bic == pytest.approx(best.bic(rows))
        assert point.agreement == pytest.approx(adjusted_rand_score(labels, second.predict(rows)))
        means = [delta.ravel()[labels == k].mean() for k in range(point.n_clusters)]
        assert point.fastest_delta == pytest.approx(max(means), rel=1e-5)
        assert point.fastest_share == pytest.approx((labels == np.argmax(means)).mean())
    # three states, one of which changes 14 of 20 neighbors
    two, three, four = points
    assert two.bic - three.bic > 10 * abs(three.bic - four.bic)
    assert three.fastest_delta == pytest.approx(0.7, abs=0.01)
    assert load_results(save_results(result, tmp_path)).mixture_scan == points


def test_more_clusters_than_rows_allow_are_named(buffer):
    config = replace(CONFIG, method="gmm", scan_weights=(), scan_clusters=(2, 400), n_init=1)
    found = analyse(buffer.frames(slice(0, 3)), config)  # 300 rows
    assert [point.n_clusters for point in found.mixture_scan] == [2, 3]
    assert any("400 clusters were not tried, because the observations have only 300" in text
               for text in found.warnings)  # fmt: skip


def test_other_methods_have_no_bic():
    with pytest.raises(ConfigError, match="scan_clusters needs method = \"gmm\", found 'hdbscan'"):
        AnalysisConfig(scan_clusters=[2])
    with pytest.raises(ConfigError, match="scan_clusters"):
        AnalysisConfig(method="gmm", scan_clusters=[0])


@pytest.mark.parametrize("n_neighbors", [6, 300])
def test_pieces_of_equal_delta_are_named_with_the_remedy(n_neighbors):
    """Two structures that both exchange some neighbors at random: of 6 or of 300."""
    rng = np.random.default_rng(0)
    states = walk(np.array([[0.95, 0.05], [0.05, 0.95]]), 40, 150, rng)
    swapped = rng.binomial(n_neighbors, 1 / 3, states.shape)
    buffer = make_buffer(states, np.array([0, 1]), swapped, n_neighbors=n_neighbors)
    result = analyse(buffer, AnalysisConfig(smoothing_window=1, min_cluster_size=40))
    told = [text for text in result.warnings if "pieces of equal δ" in text]
    assert (result["soap_lens"].n_clusters > 3) == bool(told) == (n_neighbors == 6)
    if told:
        assert 'Set method = "gmm" or a longer smoothing_window' in told[0]


def test_what_appears_and_disappears_with_the_smallest_cluster(buffer, tmp_path):
    """State 2, with 780 of 8850 rows, is no cluster of 1000 rows."""
    config = replace(CONFIG, scan_weights=(), scan_cluster_sizes=(1000,))
    result = analyse(buffer, config)
    used, large = result.cluster_size_scan
    assert (used.min_cluster_size, large.min_cluster_size) == (60, 1000)
    shares = {
        name: result[name].final.populations / result[name].final.labels.size
        for name in ("soap", "soap_lens")
    }
    assert used.soap_kept == pytest.approx(shares["soap"].tolist())
    assert used.chi_kept == pytest.approx(shares["soap_lens"].tolist())
    assert (used.soap_new, used.chi_new, used.soap_new_share, used.chi_new_share) == (0, 0, 0, 0)
    # the same by a whole analysis
    other = analyse(buffer, replace(config, min_cluster_size=1000, scan_cluster_sizes=()))
    assert (large.soap_clusters, large.chi_clusters) == (
        other["soap"].n_clusters, other["soap_lens"].n_clusters
    )  # fmt: skip
    assert large.chi_noise == pytest.approx(other["soap_lens"].fit.noise_share)
    fast = int(np.argmin(shares["soap_lens"]))
    states = walk(RATES, 60, 150, np.random.default_rng(7))[:-1]
    assert shares["soap_lens"][fast] == pytest.approx((states == 2).mean(), abs=0.002)
    assert large.chi_kept[fast] == 0.0
    kept = sorted(share for share in large.chi_kept if share)
    found = sorted((other["soap_lens"].final.populations / 8850).tolist())
    assert kept == pytest.approx(found)
    of_chi, of_soap = (
        next(
            each for each in result.findings if each.kind == "cluster_sizes" and each.route == name
        )
        for name in ("soap_lens", "soap")
    )
    assert (of_chi.severity, of_chi.environments) == (ATTENTION, (fast,))
    assert of_chi.values == {"sizes": [60, 1000], "missing": [[1000]]}
    assert (of_soap.severity, of_soap.environments) == (FINE, ())
    lines = [line for line in result.lines if line.kind == "cluster_sizes"]
    said = {line.findings[0].route: line.text for line in lines}
    assert "fast environment (not with 1000)" in said["soap_lens"]
    assert "All environments are found" in said["soap"]
    stored = load_results(save_results(result, tmp_path))
    assert stored.cluster_size_scan == result.cluster_size_scan


def test_the_size_in_use_alone_tells_nothing(buffer):
    few = buffer.frames(slice(0, 20))
    found = analyse(few, replace(CONFIG, scan_weights=(), scan_cluster_sizes=(60,)))
    assert [point.min_cluster_size for point in found.cluster_size_scan] == [60]
    assert not [each for each in found.findings if each.kind == "cluster_sizes"]


def test_other_methods_have_no_smallest_cluster():
    with pytest.raises(ConfigError, match='scan_cluster_sizes needs method = "hdbscan"'):
        AnalysisConfig(method="gmm", scan_cluster_sizes=[20])
