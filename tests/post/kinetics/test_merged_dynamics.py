"""A difference in dynamics is never merged in silence."""

import numpy as np
import pytest
from known.models import alike
from known.routes import clustered_routes

from strdyn_post.config import AnalysisConfig
from strdyn_post.findings import of_kind
from strdyn_post.judgement import judge
from strdyn_post.names import name_environments
from strdyn_post.sentences import Speaker, lines_of

ALL = (0.2, 0.4, 0.5, 0.6, 0.7, 0.9, 0.98)


def analysed(seed, stay, *, keep):
    """Return the cluster of the fast atoms, the routes, the findings."""
    states, soap, delta = alike(seed, stay)
    config = AnalysisConfig(min_cluster_size=30, merge_keep_dynamics=keep)
    routes = clustered_routes(soap, delta, config)
    found = list(
        judge(
            routes,
            config,
            n_taken=60,
            flicker_share=0.1,
            labelled=False,
            origin=None,
            foretelling=None,
        )
    )
    fast = states == 2
    chi = routes["soap_lens"]
    own = np.bincount(chi.labels[fast & (chi.labels >= 0)], minlength=chi.n_clusters).argmax()
    # the clustering finds the fast atoms
    assert (chi.labels[fast] == own).mean() > 0.9
    assert fast[chi.labels == own].mean() > 0.9
    return own, routes, found


def check(seed, stay):
    own, routes, found = analysed(seed, stay, keep=True)
    mapping = routes["soap_lens"].merged.mapping
    assert (mapping == mapping[own]).sum() == 1
    new = of_kind(found, "new_environment")
    assert [each.values["dynamics"] for each in new] == ["fast"]
    assert not of_kind(found, "merged_dynamics")

    own, routes, found = analysed(seed, stay, keep=False)
    mapping = routes["soap_lens"].merged.mapping
    apart = (mapping == mapping[own]).sum() == 1
    hidden = of_kind(found, "merged_dynamics")
    assert bool(of_kind(found, "new_environment")) == apart
    assert bool(hidden) != apart
    if hidden:
        assert not of_kind(found, "nothing_new")
        (line,) = lines_of(hidden, Speaker(name_environments(routes)))
        assert "merge_keep_dynamics = true keeps such clusters" in line.text
    return apart


@pytest.mark.parametrize(("stay", "apart"), [(0.2, False), (0.5, False), (0.98, True)])
def test_fast_atoms_are_kept_apart_or_named(stay, apart):
    # with the merge of the paper, fast atoms join the others if they are back after a frame or two
    assert check(0, stay) == apart


@pytest.mark.slow
@pytest.mark.parametrize("stay", ALL)
def test_fast_atoms_are_kept_apart_or_named_in_many_runs(stay):
    for seed in range(5):
        check(seed, stay)
