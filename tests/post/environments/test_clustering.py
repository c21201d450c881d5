import hdbscan
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from told import text_of, told

from strdyn_live.models import Mixture
from strdyn_post import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments, cluster_lens
from strdyn_post.environments.condensed_tree import condense
from strdyn_post.environments.hdbscan_tree import DensityClusters, choose_clusters, find_clusters
from strdyn_post.environments.mixtures import fit_mixtures
from strdyn_post.environments.sampling import sample_rows
from strdyn_post.environments.single_linkage import Dendrogram
from strdyn_post.findings import of_kind


def cloud(n_rows, seed=0, n_components=3):
    """Blobs of unequal size and width with heavy tails and a bridge, as scores are."""
    rng = np.random.default_rng(seed)
    centers = np.array([[0, 0, 0], [0.5, 0.1, 0], [0.9, -0.1, 0.1], [0.5, 0.4, -0.1]])
    centers = np.pad(centers, ((0, 0), (0, n_components - 3)))
    state = rng.choice(4, n_rows, p=[0.5, 0.3, 0.15, 0.05])
    width = np.array([0.02, 0.03, 0.015, 0.02])[state, None]
    points = centers[state] + width * rng.standard_t(4, size=(n_rows, n_components))
    bridge = rng.random(n_rows) < 0.03
    points[bridge] = centers[0] + rng.random((bridge.sum(), 1)) * centers[1]
    return points.astype(np.float32), state


@pytest.fixture(scope="module")
def fitted():
    points, _ = cloud(6000)
    reference = hdbscan.HDBSCAN(
        min_cluster_size=60, approx_min_span_tree=False, prediction_data=True
    ).fit(points.astype(np.float64))
    return points, reference


def columns(ours, reference):
    """Return the column of each reference cluster in our numbering."""
    return [
        np.bincount(ours[(reference == k) & (ours >= 0)]).argmax()
        for k in range(reference.max() + 1)
    ]


def test_exact_labels_are_those_of_hdbscan(fitted):
    points, reference = fitted
    found = find_clusters(points, 60)
    assert found.n_clusters == reference.labels_.max() + 1 >= 4
    assert adjusted_rand_score(reference.labels_, found.labels) >= 0.999


def test_memberships_are_those_of_hdbscan(fitted):
    points, reference = fitted
    found = find_clusters(points, 60)
    ours = found.memberships()[:, columns(found.labels, reference.labels_)]
    theirs = hdbscan.all_points_membership_vectors(reference)
    # the scale of a row in a tie depends on how clusters happen to be numbered, its shares do not
    ours, theirs = (each / each.sum(axis=1, keepdims=True) for each in (ours, theirs))
    same = np.abs(ours - theirs).max(axis=1) < 1e-6
    # a row whose one density joins two clusters belongs to neither tree more than to the other
    assert (~same).sum() <= 5


def test_memberships_of_one_tree_are_equal_to_rounding(fitted):
    points, reference = fitted
    tree = condense(Dendrogram.of_table(reference.single_linkage_tree_.to_numpy()), 60)
    branches = np.sort(reference.condensed_tree_._select_clusters()) - len(points)
    labels = reference.labels_.astype(np.int32)
    found = DensityClusters(points.astype(np.float64), labels, tree, branches)
    np.testing.assert_allclose(
        found.memberships(), hdbscan.all_points_membership_vectors(reference), atol=1e-12
    )
    np.testing.assert_array_equal(found.most_probable(), found.memberships().argmax(axis=1))


@pytest.mark.parametrize("width", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("digits", [1, 3, 9])
def test_the_largest_membership_is_found_where_bounds_cannot_tell(width, digits):
    """Clusters apart, side by side and one within another; rows that are equal, and none."""
    rng = np.random.default_rng(7)
    means = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.3, 0.2], [9.0, 0.0, 0.0]])
    points = np.concatenate(
        [rng.normal(mean, scale * width, (900, 3)) for mean in means for scale in (0.1, 1.0)]
    )
    points = points.round(digits).astype(np.float32)
    found = find_clusters(points, 20)
    assert found.n_clusters > 1
    np.testing.assert_array_equal(found.most_probable(), found.memberships().argmax(axis=1))


def lumped(rng, n_rows=4000):
    """Three dense clusters that touch, and a sparse one far away that lasts: 5 % of the rows."""
    touching = [rng.normal([mean, 0.0], 0.05, (n_rows, 2)) for mean in (0.0, 0.2, 0.4)]
    return np.concatenate([*touching, rng.normal(20.0, 0.6, (3 * n_rows // 20, 2))])


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9, 0.99])  # leaves are smaller
def test_largest_share_is_that_of_hdbscan(share):
    points = lumped(np.random.default_rng(3), 600).astype(np.float32)
    reference = hdbscan.HDBSCAN(
        min_cluster_size=20,
        approx_min_span_tree=False,
        max_cluster_size=int(share * len(points)),
    ).fit(points.astype(np.float64))
    tree = Dendrogram.of_table(reference.single_linkage_tree_.to_numpy())
    found = choose_clusters(points, tree, 20, share)
    largest = np.bincount(reference.labels_[reference.labels_ >= 0]).max()
    assert 0.2 * len(points) < largest <= share * len(points)
    np.testing.assert_array_equal(found.labels, reference.labels_)


def test_one_lasting_cluster_does_not_lump_the_rest():
    points = lumped(np.random.default_rng(0))
    truth = np.repeat([0, 1, 2, 3], [4000, 4000, 4000, 600])
    plain, kept = (find_clusters(points, 60, max_share=share) for share in (None, 0.9))
    assert (plain.n_clusters, kept.n_clusters) == (2, 4)
    assert plain.refused_share == 0.0
    # all but the far cluster, up to its noise
    assert kept.refused_share == pytest.approx(12000 / 12600, abs=0.02)
    inside = kept.labels >= 0
    assert adjusted_rand_score(kept.labels[inside], truth[inside]) > 0.95


def test_a_cluster_beyond_the_share_that_does_not_split_is_kept():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(0, 0.1, (2000, 2)), rng.normal(5, 0.1, (100, 2))])
    found = find_clusters(points, 50, max_share=0.9)
    assert (found.n_clusters, found.refused_share) == (2, 0.0)
    assert np.bincount(found.labels[found.labels >= 0]).max() > 0.9 * len(points)


def test_approx_is_hdbscans_default():
    points, _ = cloud(3000, seed=1)
    default = hdbscan.HDBSCAN(min_cluster_size=40).fit(points.astype(np.float64))
    found = find_clusters(points, 40, tree="approx")
    np.testing.assert_array_equal(found.labels, default.labels_)


def test_equal_rows_are_no_trouble():
    points = np.repeat([[0.0, 0.0], [1.0, 0.0]], 200, axis=0)
    found = find_clusters(points, 20)
    assert adjusted_rand_score(np.repeat([0, 1], 200), found.labels) == 1.0


def test_soft_modes_differ_where_they_say(fitted):
    points, _ = fitted
    by = {
        soft: cluster_environments(points, AnalysisConfig(min_cluster_size=60, soft=soft))
        for soft in ("noise", "all", "none")
    }
    noise = by["none"].labels < 0
    assert noise.mean() == by["none"].noise_share == by["noise"].noise_share > 0.02
    assert (by["noise"].labels >= 0).all()
    np.testing.assert_array_equal(by["noise"].labels[~noise], by["none"].labels[~noise])
    changed = by["all"].labels[~noise] != by["none"].labels[~noise]
    assert changed.mean() == by["noise"].soft_share == by["all"].soft_share
    np.testing.assert_array_equal(by["noise"].labels[noise], by["all"].labels[noise])


def test_clusters_are_numbered_along_the_first_component(fitted):
    points, _ = fitted
    for method in ("hdbscan", "gmm", "kmeans"):
        found = cluster_environments(
            points, AnalysisConfig(min_cluster_size=60, method=method, n_clusters=4)
        )
        means = [points[found.labels == k, 0].mean() for k in range(found.n_clusters)]
        assert means == sorted(means)


@pytest.mark.parametrize("method", ["hdbscan", "gmm", "kmeans"])
def test_known_states_are_found_twice_the_same(method):
    points, state = cloud(5000, seed=2)
    config = AnalysisConfig(method=method, n_clusters=4, min_cluster_size=50, seed=3)
    first, second = (cluster_environments(points, config) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.n_clusters == 4
    assert adjusted_rand_score(state, first.labels) > 0.8
    np.testing.assert_array_equal(first.model.predict(points), first.labels)


def test_mixture_predicts_as_scikit_learn_does():
    points, _ = cloud(2000, seed=4)
    reference = GaussianMixture(3, random_state=0).fit(points)
    model = Mixture(reference.means_, reference.covariances_, reference.weights_)
    np.testing.assert_array_equal(model.predict(points), reference.predict(points))


def wide_and_narrow():
    """Three narrow clouds, and a wide one among them, which the first starting point misses."""
    rng = np.random.default_rng(4)
    clouds = (
        ([0, 0], 0.1, 3000),
        ([1, 0], 0.1, 2000),
        ([0.5, 0.8], 0.2, 1500),
        ([0.6, 0.1], 0.35, 600),
    )
    points = [rng.normal(mean, width, (n, 2)) for mean, width, n in clouds]
    return np.concatenate(points), np.repeat(range(4), [n for *_, n in clouds])


def test_the_likeliest_of_several_mixtures_counts():
    points, truth = wide_and_narrow()
    by = {
        n: cluster_environments(points, AnalysisConfig(method="gmm", n_clusters=4, n_init=n))
        for n in (1, 8)
    }
    fits = [GaussianMixture(4, random_state=k, reg_covar=1e-9).fit(points) for k in range(8)]
    best, second = sorted(fits, key=lambda fit: -fit.lower_bound_)[:2]
    labels = best.predict(points)
    assert adjusted_rand_score(labels, by[8].labels) == 1.0
    assert by[8].agreement == adjusted_rand_score(labels, second.predict(points)) > 0.95
    assert told(by[8].findings) == []
    assert by[1].agreement is None
    wrong, right = (adjusted_rand_score(truth, by[n].labels) for n in (1, 8))
    assert wrong < 0.75
    assert right > 0.85
    found = fit_mixtures(points, 4, AnalysisConfig(method="gmm", n_init=8))
    assert found.bic == pytest.approx(best.bic(points))
    assert len(found.agreements) == 7


def test_all_noise_is_named_with_the_remedy():
    points = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    found = cluster_environments(points, AnalysisConfig(min_cluster_size=140))
    assert found.n_clusters == 0
    assert (found.labels == -1).all()
    assert "smaller min_cluster_size" in told(found.findings)[0]
    few = cluster_environments(points[:50], AnalysisConfig())
    assert "50 observations are too few for two clusters" in told(few.findings)[0]


def test_lens_bands_by_thresholds_and_by_kmeans():
    delta = np.array([0.0, 0.02, 0.04, 0.3, 0.34, 0.9, 0.94])
    fixed = cluster_lens(delta, AnalysisConfig(lens_thresholds=(0.03, 0.9)))
    assert fixed.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    means = cluster_lens(delta, AnalysisConfig(lens_clusters=3))
    assert means.labels.tolist() == [0, 0, 0, 1, 1, 2, 2]
    # middles of 0.02, 0.32, 0.92
    np.testing.assert_allclose(means.model.thresholds, [0.17, 0.62])


def test_constant_lens_is_one_cluster_and_says_why():
    found = cluster_lens(np.zeros(100), AnalysisConfig())
    assert found.n_clusters == 1
    assert "LENS is constant" in told(found.findings)[0]
    two = cluster_lens(np.repeat([0.0, 0.5], 50), AnalysisConfig(lens_clusters=3))
    assert two.n_clusters == 2
    assert "2 different values" in told(two.findings)[0]


def test_a_sample_keeps_sparse_regions_whole():
    rng = np.random.default_rng(0)
    dense, rare = rng.normal(0, 0.02, (50_000, 3)), rng.normal(1, 0.05, (60, 3))
    points = np.concatenate([dense, rare]).astype(np.float32)
    rows = sample_rows(points, 5000, np.random.default_rng(1))
    assert abs(len(rows) - 5000) < 300
    assert (rows >= 50_000).sum() == 60
    np.testing.assert_array_equal(rows, sample_rows(points, 5000, np.random.default_rng(1)))
    assert len(sample_rows(points, 10**6, rng)) == len(points)


def test_clusters_of_a_sample_are_those_of_all_rows_and_the_rare_one_stays():
    rng = np.random.default_rng(5)
    points, state = cloud(40_000, seed=5)
    rare = rng.normal([1.3, 0.5, 0.0], 0.02, (120, 3)).astype(np.float32)
    points, state = np.concatenate([points, rare]), np.append(state, np.full(120, 4))
    found = cluster_environments(points, AnalysisConfig(max_fit_rows=8000))
    assert found.n_clusters == 5
    assert len(found.labels) == len(points)
    assert (found.labels[-120:] == 4).mean() > 0.95
    assert adjusted_rand_score(state, found.labels) > 0.8
    assert found.agreement > 0.9
    (warning,) = told(found.findings)
    assert f"{len(found.model.rows)} of 40120 observations" in warning
    # the sample holds more of the sparse rows, the shares are those of all rows
    left = cluster_environments(points, AnalysisConfig(max_fit_rows=8000, soft="none"))
    assert found.noise_share == left.noise_share == (left.labels < 0).mean() > 0


def test_agreement_is_the_smallest_with_two_other_seeds():
    points, _ = cloud(3000, seed=6)
    labels = [
        KMeans(9, n_init=10, random_state=seed).fit_predict(points.astype(float))
        for seed in (5, 6, 7)
    ]
    expected = [adjusted_rand_score(labels[0], other) for other in labels[1:]]
    assert expected[0] != expected[1]
    config = AnalysisConfig(method="kmeans", n_clusters=9, seed=5)
    found = cluster_environments(points, config)
    assert found.agreement == pytest.approx(min(expected))
    assert "depends on the seed" in told(found.findings)[0]
    assert f"{min(expected):.3f}" in told(found.findings)[0]
    assert "Try fewer n_clusters" in told(found.findings)[0]


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_clusters_far_apart_do_not_depend_on_the_seed_and_too_many_do(method):
    rng = np.random.default_rng(6)
    centers = np.array([[0, 0, 0], [0.5, 0.1, 0], [0.9, -0.1, 0.1], [0.5, 0.4, -0.1]])
    points = np.repeat(centers, 750, axis=0) + rng.normal(0, 0.03, (3000, 3))
    for max_fit_rows in (1000, 5000):
        config = AnalysisConfig(method=method, n_clusters=4, max_fit_rows=max_fit_rows)
        found = cluster_environments(points, config)
        assert found.agreement > 0.97
        assert told(found.findings) == []
    many = cluster_environments(points, AnalysisConfig(method=method, n_clusters=9))
    assert many.agreement < 0.9
    drawn = {"gmm": "starting point of the fit", "kmeans": "seed"}[method]
    assert f"depends on the {drawn}" in told(many.findings)[0]


def test_levels_of_lens_agree_where_there_are_some():
    rng = np.random.default_rng(1)
    levels = rng.choice([0.1, 0.4, 0.8], 2000) + rng.normal(0, 0.01, 2000)
    assert cluster_lens(levels, AnalysisConfig()).agreement == 1.0
    even = cluster_lens(rng.uniform(size=3000), AnalysisConfig(lens_clusters=9))
    assert even.agreement < 0.9
    (seeds,) = of_kind(even.findings, "agreement")
    assert "fewer lens_clusters, or fixed lens_thresholds" in text_of(seeds)


def test_what_draws_nothing_has_no_agreement(fitted):
    points, _ = fitted
    assert cluster_environments(points, AnalysisConfig(min_cluster_size=60)).agreement is None
    fixed = AnalysisConfig(lens_thresholds=(0.2, 0.5))
    assert cluster_lens(np.linspace(0, 1, 50), fixed).agreement is None


def test_clusters_that_depend_on_the_sample_are_named():
    points = np.random.default_rng(8).normal(size=(6000, 2)).astype(np.float32)  # none to find
    found = cluster_environments(points, AnalysisConfig(max_fit_rows=1000, min_cluster_size=10))
    assert found.agreement < 0.5
    assert "depends on the sample of rows" in told(found.findings)[-1]
    assert "larger max_fit_rows" in told(found.findings)[-1]
