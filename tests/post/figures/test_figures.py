"""Figures: what is drawn is what the numbers say."""

from dataclasses import replace
from itertools import combinations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from synthetic import FAST, check, count, make_buffer, make_result, make_route, refit

from strdyn_post import figures
from strdyn_post.colors import BASE, HIGHLIGHT, NOISE
from strdyn_post.figures import (
    plot_alluvial,
    plot_chord,
    plot_close_up,
    plot_dendrogram,
    plot_lens_series,
    plot_path,
    plot_pca,
    plot_persistence,
    plot_snapshot,
    plot_timescales,
    plot_transition_matrix,
    plot_variance,
    snapshot,
)
from strdyn_post.figures.chord import chord_geometry
from strdyn_post.figures.lens import band_limits
from strdyn_post.figures.snapshot import may_be_seen, render_spheres, view_axes
from strdyn_post.figures.style import Scale
from strdyn_post.kinetics.fast import fast_environments
from strdyn_post.names import Names, name_clusters, name_environments
from strdyn_post.quantities import percent, time_axis
from strdyn_post.routes.identities import keep_identities, match_environments
from strdyn_post.temperature import Temperatures


@pytest.fixture(scope="module")
def result():
    return make_result()


@pytest.fixture(scope="module")
def names(result):
    return name_environments(result.routes)


@pytest.fixture
def ax():
    return Figure(figsize=(4, 4), dpi=100).subplots()


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def two_states(labels):
    """Make a route of given labels whose scores are the labels."""
    labels = np.asarray(labels)
    return make_route("soap", labels, np.stack([labels, -labels], axis=2), [0.8, 0.2])


# of_route

# Machado, Oliveira, Fernandes, IEEE TVCG 15, 1291 (2009), severity 1
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def cielab(rgb):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return lab_of_linear(linear)


def lab_of_linear(linear):
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
         [0.0193339, 0.1191920, 0.9503041]]
    )  # fmt: skip
    xyz = linear.clip(0, 1) @ to_xyz.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_for_every_kind_of_vision(vision):
    rgb = np.array([to_rgb(color) for color in (*BASE, HIGHLIGHT, NOISE)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab = lab_of_linear(linear @ np.array(VISION[vision]).T)
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 20


def test_colours_stand_out_on_black_and_white_pages():
    lightness = cielab(np.array([to_rgb(color) for color in (*BASE, HIGHLIGHT, NOISE)]))[:, 0]
    assert lightness.min() > 40
    assert lightness.max() < 90


def test_many_environments_have_different_colours():
    labels = np.arange(40).reshape(2, 20)
    of_route = Names.of(two_states(labels))
    assert len(set(of_route.colors)) == 40


def test_same_atoms_same_colour_whatever_the_label(names):
    # in soap_lens the labels of states 0, 1, 2, 3 are 2, 0, 4, 1, and 3 is the fast state
    for label, state in ((2, 0), (0, 1), (4, 2), (1, 3)):
        assert names["soap_lens"].colors[label] == names["soap"].colors[state]
        assert names["soap_lens"].names[label] == names["soap"].names[state]
    assert names["soap_lens"].colors[3] == HIGHLIGHT
    assert names["soap_lens"].names[3] == "fast environment"
    assert names["soap_lens"].order == [2, 0, 4, 1, 3]
    assert names["soap_lens"].highlighted == [3]


def test_the_lens_level_of_the_fast_environment_has_its_colour(result, names):
    assert names["lens"].names == ("LENS level 1", "LENS level 2", "LENS level 3")
    assert names["lens"].colors[2] == HIGHLIGHT


def test_fast_is_said_only_if_the_lens_signal_says_so(result):
    delta = result["lens"].scores[..., 0]
    fast = fast_environments(result["soap_lens"].final, delta)
    assert fast.tolist() == [False] * 3 + [True, False]
    calm = replace(result["lens"], scores=np.full_like(result["lens"].scores, 0.1))
    of_route = name_environments({**result.routes, "lens": calm})["soap_lens"]
    assert of_route.names[3] == "environment D"
    assert of_route.colors[3] == HIGHLIGHT


def test_environments_are_matched_by_step_and_atom():
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]])
    route = two_states(labels)
    # the same labels, swapped, of other atoms' columns and without the first frame
    other = two_states(1 - labels[1:, ::-1])
    frames = replace(other.frames, steps=route.steps[1:], atom_ids=route.atom_ids.copy())
    other = replace(other, labels=other.labels[:, ::-1].copy(), frames=frames)
    assert match_environments(route, other) == {0: 1, 1: 0}


def test_environments_that_share_less_than_half_do_not_match():
    route = two_states([[0] * 6 + [1] * 4])
    other = two_states([[0] * 2 + [1] * 8])
    # overlaps by hand: (0, 0) 2*2/8 = 0.5, (0, 1) 2*4/14 = 0.57, (1, 1) 2*4/12 = 0.67
    assert match_environments(route, other) == {0: 0, 1: 1}
    assert match_environments(route, other, least=0.6) == {1: 1}


def test_colours_and_marks_stay_when_a_new_fit_numbers_clusters_anew(result, names):
    """The same environments, counted in another order, plus one that is new."""
    routes = {}
    for name, order in (("soap", [4, 2, 0, 1, 3]), ("soap_lens", [3, 1, 0, 4, 2])):
        route = result[name]
        labels = np.append(order, -1)[route.labels]
        routes[name] = make_route(name, labels, route.scores, [0.9, 0.1])
    late = routes["soap"]
    late.labels[-9:, 7] = 5  # a sixth environment
    routes["soap"] = make_route("soap", late.labels, late.scores, [0.9, 0.1])
    unmerged = {**result.routes, "soap": replace(result["soap"], merged=None)}
    unmerged["soap"] = refit(
        unmerged["soap"], identities=np.arange(5, dtype=np.int32), n_identities=5
    )
    old = name_environments(unmerged)
    new = name_environments(keep_identities({**unmerged, **routes}, unmerged))
    for name, order in (("soap", [4, 2, 0, 1, 3]), ("soap_lens", [3, 1, 0, 4, 2])):
        for before, after in enumerate(order):
            assert new[name].marks[after] == old[name].marks[before]
            assert new[name].colors[after] == old[name].colors[before]
    assert new["soap"].marks[5] == "6"
    assert new["soap"].colors[5] == BASE[5]


def test_what_only_soap_lens_finds_has_a_letter_and_no_colour_of_soap(result):
    labels = result["soap_lens"].labels.copy()
    labels[(labels == 2) & (np.arange(300) % 2 == 0)] = 5
    labels[(labels == 0) & (np.arange(300) % 2 == 0)] = 6
    chi = make_route("soap_lens", labels, result["soap_lens"].scores, [0.9, 0.1])
    names = name_environments({**result.routes, "soap_lens": chi})
    lettered = [mark for mark in names["soap_lens"].marks if mark.isalpha()]
    assert len(lettered) >= 2
    assert len(set(names["soap_lens"].colors)) == 7
    for mark, color in zip(names["soap_lens"].marks, names["soap_lens"].colors, strict=True):
        assert (color in names["soap"].colors) == mark.isdigit()


def test_what_a_model_finds_no_atom_of_is_not_new(result):
    labels = np.where(result["soap_lens"].labels == 3, 1, result["soap_lens"].labels)
    chi = replace(result["soap_lens"], labels=labels)
    chi.__dict__.pop("populations", None)
    assert name_environments({**result.routes, "soap_lens": chi})["soap_lens"].highlighted == []


def test_noise_is_grey(names):
    assert to_hex(names["soap"].rgb(-1)).upper() == NOISE
    assert names["soap"].rgb(np.zeros((3, 2), dtype=int)).shape == (3, 2, 3)


# chord diagram


def test_chord_geometry_by_hand():
    arcs, chords, factor = chord_geometry([300, 100], [[0.9, 0.1], [0.3, 0.7]], gap=0.0, smallest=0)
    assert factor == 2  # 2 × 0.3 ≤ 0.9 < 5 × 0.3
    np.testing.assert_allclose(np.subtract(*np.transpose(arcs)[::-1]), [1.5 * np.pi, 0.5 * np.pi])
    first, second = chords[0, 1]
    np.testing.assert_allclose(np.diff(first), 2 * 0.1 * 1.5 * np.pi)
    np.testing.assert_allclose(np.diff(second), 2 * 0.3 * 0.5 * np.pi)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_chords_lie_on_their_arcs_and_do_not_overlap(n, seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 1000, (n, n)) * (rng.random((n, n)) < 0.6) + np.diag([1] * n)
    probabilities = counts / counts.sum(axis=1, keepdims=True)
    gap = 0.05
    arcs, chords, factor = chord_geometry(counts.sum(axis=1), probabilities, gap=gap)
    lengths = [stop - start for start, stop in arcs]
    assert sum(lengths) + n * gap * (n > 1) == pytest.approx(2 * np.pi)
    assert np.diff(np.array(lengths)[np.argsort(counts.sum(axis=1))]).min(initial=0) > -1e-9
    spans = [[] for _ in range(n)]
    for (a, b), (first, second) in chords.items():
        spans[a].append((*first, probabilities[a, b]))
        spans[b].append((*second, probabilities[b, a]))
    for arc, length, ends in zip(arcs, lengths, spans, strict=True):
        edge = arc[0] - 1e-9
        for start, stop, probability in sorted(ends):
            assert start >= edge - 1e-9
            assert stop - start == pytest.approx(factor * probability * length)
            edge = stop
        assert edge <= arc[1] + 1e-9


def test_a_chord_has_the_colour_of_the_side_that_sends_more(ax):
    labels = np.array([[0] * 90 + [1] * 30, [1] * 60 + [0] * 30 + [0] * 5 + [1] * 25])
    route = two_states(labels)
    assert route.counts.tolist() == [[30, 60], [5, 25]]
    imbalance = np.array([[0.0, 7.0], [-7.0, 0.0]])
    plot_chord(replace(route, checks=replace(check(route).checks, imbalance=imbalance)), ax=ax)
    chord = next(patch for patch in ax.patches if isinstance(patch, PathPatch))
    assert to_hex(chord.get_facecolor()).upper() == Names.of(route).colors[0]
    clear = chord.get_alpha()
    even = two_states([[0] * 50 + [1] * 50, [1] * 10 + [0] * 40 + [0] * 11 + [1] * 39])
    assert even.counts[1, 0] == 11
    plot_chord(even, ax=(other := Figure().subplots()))
    chord = next(patch for patch in other.patches if isinstance(patch, PathPatch))
    assert to_hex(chord.get_facecolor()).upper() == Names.of(even).colors[1]
    assert chord.get_alpha() < clear


# transition matrix


def test_matrix_shows_probabilities_and_counts(ax):
    labels = np.array([[0] * 100 + [1] * 100, [0] * 97 + [1] * 3 + [0] * 25 + [1] * 75])
    plot_transition_matrix(two_states(labels), ax=ax)
    assert texts(ax) == ["97.0", "3.0", "3", "25.0", "25", "75.0", "1", "1", "2", "2"]
    italic = [text.get_text() for text in ax.texts if text.get_fontstyle() == "italic"]
    assert italic == ["3.0", "3"]  # fewer than ten events


def test_matrix_leaves_what_was_never_seen_empty(result, names, ax):
    route = replace(result["soap_lens"], checks=None)
    plot_transition_matrix(route, names["soap_lens"], ax=ax)
    # a probability, and for a move the number of events; two marks for each environment
    n_stays = np.count_nonzero(np.diag(route.counts))
    assert len(texts(ax)) == 2 * np.count_nonzero(route.counts) - n_stays + 2 * 5


def test_matrix_shows_intervals_where_there_are_any(ax):
    route = two_states([[0] * 60 + [1] * 40, [0] * 60 + [1] * 5 + [0] * 35])
    bounds = np.array([[0.9, 0.0], [0.77, 0.05]]), np.array([[1.0, 0.0596], [0.93, 0.26]])
    few = np.array([[False, False], [True, False]])
    checks = replace(check(route).checks, low=bounds[0], high=bounds[1], few_events=few)
    plot_transition_matrix(replace(route, checks=checks), ax=ax)
    assert texts(ax) == [
        "100", "90.0–100", "< 6.0", "87.5", "77.0–93.0", "35", "12.5", "5.0–26.0",
        "1", "1", "2", "2",
    ]  # fmt: skip
    italic = [text.get_text() for text in ax.texts if text.get_fontstyle() == "italic"]
    assert italic == ["87.5", "77.0–93.0", "35"]


# lags


def test_persistence_and_timescales_are_those_of_the_checks(result, names, ax):
    route, checks = result["soap_lens"], result["soap_lens"].checks
    plot_persistence(route, names["soap_lens"], units="metal", ax=ax)
    lines = [line for line in ax.lines if len(line.get_xdata())]
    first = names["soap_lens"].order[0]
    np.testing.assert_allclose(lines[0].get_xdata(), 2.5 * checks.lags)  # ps
    np.testing.assert_allclose(lines[0].get_ydata(), checks.predicted_stay[:, first])
    np.testing.assert_allclose(lines[1].get_ydata(), checks.stay[:, first])
    assert to_hex(lines[0].get_color()).upper() == names["soap_lens"].colors[first]

    plot_timescales(route, units="metal", ax=(other := Figure().subplots()))
    drawn = [line.get_ydata() for line in other.lines]
    np.testing.assert_allclose(np.transpose(drawn), 2.5 * checks.timescales)


def test_one_environment_has_no_timescale(ax):
    route = two_states(np.zeros((3, 4), dtype=int))
    route = check(route)
    plot_timescales(route, ax=ax)
    assert texts(ax) == ["no timescale: fewer than two environments exchange atoms"]
    plot_persistence(route, ax=(other := Figure().subplots()))
    assert len(other.lines) == 4  # counted, without memory, and the two of the legend


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100"), (0.98123, "98.1"), (0.0038, "0.38"), (0.00001, "0.001"), (1e-6, "<0.001"),
     (0.0, "0"), (0.99971, "99.971"), (0.0999, "10.0")],
)  # fmt: skip
def test_percent_keeps_the_digits_that_matter(share, words):
    assert percent(share) == words


# dendrogram, variance, alluvial chart


def test_dendrogram_has_the_heights_of_the_linkage(result, names, ax):
    route = result["soap"]
    plot_dendrogram(route, names["soap"], cut=1.0, ax=ax)
    drawn = [path.vertices[1, 1] for lines in ax.collections for path in lines.get_paths()]
    np.testing.assert_allclose(sorted(drawn), route.linkage[:, 2])
    # leaves: the marks of the merged environments, the two parts of 4 beside each other
    marks = texts(ax)[: route.n_clusters]
    assert sorted(marks) == ["1", "2", "3", "4", "4"]
    assert "44" in "".join(marks)
    assert "cut\n1" in texts(ax)


def test_dendrogram_of_one_cluster_says_so(ax):
    plot_dendrogram(two_states(np.zeros((3, 4), dtype=int)), ax=ax)
    assert texts(ax) == ["1 cluster: nothing to merge"]


def test_variance_is_cumulative_and_names_what_is_kept(result, ax):
    plot_variance([result["soap"], result["soap_lens"]], wanted=0.995, ax=ax)
    curve = ax.lines[0].get_ydata()
    np.testing.assert_allclose(curve, [0.8, 0.984, 0.9945, 0.9968, 1.0])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "SOAP: 4 components hold 99.68%",
        "SOAP & LENS: 5 components hold 99.71%",
    ]


def test_alluvial_bars_and_bands_are_numbers_of_atoms(ax):
    labels = np.array([[0, 0, 0, 1, 1, -1], [0, 1, 1, 1, 1, -1]])
    plot_alluvial(two_states(labels), frames=[0, 1], ax=ax)
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [bar.get_height() for bar in bars] == [1, 2, 3, 1, 4, 1]
    bands = [patch for patch in ax.patches if isinstance(patch, PathPatch)]
    heights = sorted(
        patch.get_path().vertices[7, 1] - patch.get_path().vertices[0, 1] for patch in bands
    )
    np.testing.assert_allclose(heights, [1, 1, 2, 2])
    for patch in bands:  # a band is as thick where it ends
        vertices = patch.get_path().vertices
        assert vertices[4, 1] - vertices[3, 1] == pytest.approx(vertices[7, 1] - vertices[0, 1])


# map


def pixel(ax, x, y):
    image = ax.images[0]
    left, right, bottom, top = image.get_extent()
    data = image.get_array()
    column = int((x - left) / (right - left) * data.shape[1])
    row = int((y - bottom) / (top - bottom) * data.shape[0])
    return np.asarray(data[row, column])


def test_a_single_row_of_an_environment_is_seen_on_the_map(ax):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.1, (100, 100, 2))
    labels = np.zeros((100, 100), dtype=int)
    scores[50, 50], labels[50, 50] = (2.0, 1.5), 1
    route = make_route("soap", labels, scores, [0.8, 0.2])
    plot_pca(route, ax=ax)
    lonely = pixel(ax, 2.0, 1.5)
    assert to_hex(lonely[:3]).upper() == Names.of(route).colors[1]
    assert lonely[3] > 0.4
    assert pixel(ax, 0.0, 0.0)[3] > 0.8
    assert pixel(ax, 1.0, 1.0)[3] == 0


def test_path_of_an_atom_goes_through_its_scores_and_not_over_gaps(result, ax):
    route = result["soap_lens"]
    stretches = np.repeat([0, 1], len(route.steps) // 2)
    gaps = replace(route.frames, stretches=stretches)
    plot_pca(replace(route, frames=gaps), atom_id=7, ax=ax)
    segments = np.array(ax.collections[0].get_segments())
    path = route.scores[:, 6, :2]
    assert len(segments) == len(path) - 2
    np.testing.assert_allclose(segments[:, 0], np.delete(path[:-1], len(path) // 2 - 1, axis=0))


def test_path_of_an_unknown_atom_is_an_error(result, ax):
    with pytest.raises(ValueError, match=r"atom_id = 999 is not among the 300 analysed atoms"):
        plot_pca(result["soap"], atom_id=999, ax=ax)


def test_path_in_space_goes_through_the_places_of_the_atom(result, ax):
    """A walk to the right, centered on its middle: no line where it leaves the box."""
    route, buffer = result["soap_lens"], make_buffer(result)
    width = buffer.box(0)[0][0, 0]
    first = int(np.searchsorted(buffer.steps, route.steps[0]))

    def positions(k, read=buffer.positions):
        found = read(k)
        found[6] = [0.22 * width * (k - first) % width, 5.0, 3.0]
        return found

    buffer.positions = positions
    plot_path(route, buffer, atom_id=7, frames=(0, 5), numbered=(1, 3), ax=ax)
    segments = np.array(ax.collections[0].get_segments()) / width
    np.testing.assert_allclose(segments[:, 0, 0], [0.06, 0.28, 0.50, 0.72])
    np.testing.assert_allclose(segments[:, 1, 0], [0.28, 0.50, 0.72, 0.94])
    assert [text for text in texts(ax) if text.isdigit()] == ["1", "2"]
    assert ax.get_title() == "atom 7"
    gap = replace(route.frames, stretches=(np.arange(len(route.steps)) > 1).astype(int))
    other = plot_path(replace(route, frames=gap), buffer, atom_id=7, frames=(0, 5))
    assert len(other.collections[0].get_segments()) == 3
    plt.close(other.figure)


def test_a_close_up_shows_the_atom_in_the_middle_of_its_neighbors(result, ax, monkeypatch):
    route, buffer = result["soap_lens"], make_buffer(result)
    drawn = {}

    def render(seen, radius, colors, **_):
        drawn.update(seen=seen, radius=radius, colors=colors)
        return render_spheres(seen, radius, colors, n_pixels=50)

    monkeypatch.setattr("strdyn_post.figures.path.render_spheres", render)
    names = name_environments(result.routes)["soap_lens"]
    plot_close_up(route, buffer, names, atom_id=7, frame=4, view="above", ax=ax)
    k = int(np.searchsorted(buffer.steps, route.steps[4]))
    positions, (cell, _) = buffer.positions(k), buffer.box(k)
    apart = positions - positions[6]
    apart[:, :2] -= np.round(apart[:, :2] / np.diag(cell)[:2]) * np.diag(cell)[:2]
    near = np.linalg.norm(apart, axis=1) < 6.4 * drawn["radius"]
    near &= apart[:, 2] < drawn["radius"]
    np.testing.assert_allclose(drawn["seen"], apart[near], atol=1e-9)
    label = route.final.labels[4, 6]
    np.testing.assert_allclose(drawn["colors"][near.nonzero()[0] == 6][0], names.rgb(label))
    assert ax.patches[-1].center == (0.0, 0.0)
    assert names.names[label] in ax.get_title()


def test_numbers_of_neighbors_have_a_linear_scale_and_rates_a_logarithmic_one():
    counts = Scale.of(np.array([10, 12, 80]))
    assert (counts.low, counts.high, counts.log) == (10, 80, False)
    rates = Scale.of(np.array([0.001, 0.1, 1.0]))
    assert rates.log
    middle = [scale.rgb(np.array(value)) for scale, value in ((counts, 45.0), (rates, 1.0))]
    assert not np.allclose(*middle)


def test_clusters_before_merging_are_shades_of_their_environment(result):
    route = result["soap"]
    assert route.merged is not None
    names = name_environments(result.routes)["soap"]
    mapping = route.merged.mapping
    clusters = name_clusters(route, names)
    assert len(set(clusters.marks)) == len(set(clusters.colors)) == route.n_clusters
    for cluster, environment in enumerate(mapping):
        alone = (mapping == environment).sum() == 1
        mark = clusters.marks[cluster]
        assert mark.rstrip("abc") == names.marks[environment]
        assert (mark == names.marks[environment]) == alone
        if alone:
            assert clusters.colors[cluster] == names.colors[environment]
    unmerged = route.unmerged
    assert unmerged.final.n_clusters == route.n_clusters
    merged = np.append(mapping, -1)[unmerged.final.labels]  # noise stays −1
    np.testing.assert_array_equal(merged, route.final.labels)
    # 3, 3a, 3b, 10, A: by number, then by letter of the cluster, then the letters
    order = Names(("10", "3b", "A", "3a"), ("",) * 4, ("",) * 4).order
    assert order == [3, 1, 0, 2]


def test_map_of_one_component(ax):
    route = make_route("soap", np.zeros((4, 5), int), np.ones((4, 5, 1)), [1.0])
    plot_pca(route, ax=ax)
    assert ax.get_xlabel().startswith("principal component 1 (100.0%")


# LENS


def test_limits_lie_half_way_between_bands():
    delta = np.array([0.0, 0.1, 0.3, 0.4, 0.9])
    assert band_limits(delta, np.array([1, 1, 0, 0, 2])) == pytest.approx([0.2, 0.65])
    assert band_limits(delta, np.array([0, 1, 0, 1, 0])) == []  # classes that are no bands


def test_lens_series_draws_the_liveliest_atoms_and_counts_all(result, names, ax):
    route = result["lens"]
    plot_lens_series(route, names["lens"], units="metal", ax=ax)
    assert ax.get_xlabel() == "time (ps)"
    segments = ax.collections[0].get_segments()
    assert max(y for segment in segments for _, y in segment) == pytest.approx(route.scores.max())
    (side,) = ax.child_axes
    assert sum(bar.get_width() for bar in side.patches) == route.scores.size
    drawn = [line.get_ydata()[0] for line in ax.lines]
    assert drawn == pytest.approx(band_limits(route.scores[..., 0], route.labels))


@pytest.mark.parametrize(
    ("units", "longest", "expected"),
    [("metal", 900.0, (900, "ps")), ("metal", 150_000.0, (150, "ns")), ("real", 2e9, (2, "µs")),
     ("lj", 5e5, (5e5, "time units")), ("si", 2.0, (2.0, "s"))],
)  # fmt: skip
def test_times_get_a_unit_that_keeps_them_short(units, longest, expected):
    times, symbol = time_axis(np.array([0.0, longest]), units)
    assert times[-1] == pytest.approx(expected[0])
    assert symbol == expected[1]


# snapshot


def test_a_sphere_is_a_disk_and_hides_what_is_behind_it():
    seen = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0], [4.0, 0.0, 0.0]])
    colors = np.eye(3)
    image, (left, right, bottom, top) = render_spheres(seen, 1.0, colors, n_pixels=300)
    area = image[..., 3].sum() * (right - left) * (top - bottom) / image[..., 3].size
    assert area == pytest.approx(2 * np.pi, rel=0.02)
    height, width = image.shape[:2]
    at = image[height // 2, int((0 - left) / (right - left) * width)]
    assert at[:3].argmax() == 1  # green: the second atom is nearer
    assert image[0, 0, 3] == 0


def test_spheres_that_are_left_out_are_those_that_others_hide(monkeypatch):
    """The picture is the same without them; in a dense block they are most."""
    rng = np.random.default_rng(3)
    seen = rng.random((4000, 3)) * [20.0, 15.0, 60.0]
    radius, colors = 1.4, rng.random((4000, 3))
    found = render_spheres(seen, radius, colors, n_pixels=200)
    kept = may_be_seen(seen, radius)
    assert kept.mean() < 0.4
    monkeypatch.setattr(snapshot, "may_be_seen", lambda seen, _: np.full(len(seen), True))
    np.testing.assert_array_equal(found[0], render_spheres(seen, radius, colors, n_pixels=200)[0])


def test_views_look_from_where_they_say():
    np.testing.assert_allclose(view_axes(90, -90), np.eye(3), atol=1e-12)
    right, up, toward = view_axes(0, -90)
    np.testing.assert_allclose([right, up, toward], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    axes = view_axes(32, -62)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)


def test_snapshot_finds_frame_by_step_and_atoms_by_id(result, names, monkeypatch):
    buffer = make_buffer(result)
    asked = []
    monkeypatch.setattr(
        buffer, "positions", lambda k, read=buffer.positions: asked.append(k) or read(k)
    )
    ax = plot_snapshot(result["soap_lens"], buffer, names["soap_lens"], frame=3)
    plt.close(ax.figure)
    assert buffer.steps[asked[0]] == result["soap_lens"].steps[3]
    assert ax.get_title() == "SOAP & LENS, 32.5 ps"


def test_snapshot_of_another_buffer_is_an_error(result, ax):
    buffer = make_buffer(result)
    buffer.steps = buffer.steps + 1
    with pytest.raises(ValueError, match=r"step 34500 of the result is not in the buffer"):
        plot_snapshot(result["soap_lens"], buffer, ax=ax)
    with pytest.raises(ValueError, match=r"view = 'below': expected one of above, oblique, side"):
        plot_snapshot(result["soap_lens"], buffer, view="below", ax=ax)


# all of them


@pytest.mark.parametrize("name", [name for name in figures.__all__ if name.startswith("plot_")])
def test_every_figure_draws_on_the_axes_given_or_on_its_own(name, result, ax):
    plot = getattr(figures, name)
    arguments = {
        "plot_variance": ([result["soap"]],),
        "plot_snapshot": (result["soap_lens"], make_buffer(result)),
        "plot_arrhenius": (Temperatures((), "metal", 10.0, (3, 3)),),
        "plot_close_up": (result["soap_lens"], make_buffer(result)),
        "plot_cluster_sizes": (result,),
        "plot_lens_series": (result["lens"],),
        "plot_foretelling": (result,),
        "plot_hazard": (result,),
        "plot_intervals": (result,),
        "plot_origin": (result,),
        "plot_path": (result["soap_lens"], make_buffer(result)),
        "plot_sites": (result["soap_lens"], result["soap"], 3),
    }.get(name, (result["soap_lens"],))
    before = plt.get_fignums()
    assert plot(*arguments, ax=ax) is ax
    assert plt.get_fignums() == before
    own = plot(*arguments)
    assert own.figure is not ax.figure
    plt.close(own.figure)


def test_the_made_up_result_has_its_rare_state(result):
    assert (result["soap_lens"].labels == 3).any(axis=0).sum() > 5
    assert FAST == 4
    np.testing.assert_array_equal(result["soap_lens"].counts, count(result["soap_lens"].labels, 5))
