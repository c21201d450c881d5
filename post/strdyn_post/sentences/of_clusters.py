"""Sentences on clusters, noise, random numbers, and fits that label other frames."""

from __future__ import annotations

from collections.abc import Sequence

from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.limits import MOST_NOISE

from .speaker import Say, Speaker, a_few, share

__all__ = ["SAY"]


def _too_few_rows(found: Sequence[Finding], _: Speaker) -> str:
    n_rows, size = found[0].values["n_rows"], found[0].values["min_cluster_size"]
    return (
        f"{n_rows} observations are too few for two clusters of min_cluster_size = {size}: all are "
        "noise. Record more frames, or set a smaller min_cluster_size."
    )


def _no_cluster(found: Sequence[Finding], _: Speaker) -> str:
    n_rows, size = found[0].values["n_rows"], found[0].values["min_cluster_size"]
    return (
        f"HDBSCAN* found no cluster: all {n_rows} observations are noise. At min_cluster_size = "
        f"{size} the scores have a single maximum of density. Try a smaller min_cluster_size, or "
        'method = "gmm", which the paper uses if there are no gaps in density.'
    )


def _one_cluster(found: Sequence[Finding], _: Speaker) -> str:
    return (
        f"HDBSCAN* found one cluster at min_cluster_size = {found[0].values['min_cluster_size']}, "
        "so there are no transitions to count. Try a smaller min_cluster_size."
    )


def _share_limit(found: Sequence[Finding], _: Speaker) -> str:
    refused, limit = found[0].values["refused"], found[0].values["max_cluster_share"]
    return (
        f"Without a limit HDBSCAN* would put {share(refused)} of the observations into one "
        f"cluster. max_cluster_share = {limit:g} takes the smaller clusters inside it instead."
    )


def _fewer_values(found: Sequence[Finding], _: Speaker) -> str:
    asked, made = found[0].values["asked"], found[0].values["found"]
    return (
        f"{asked} clusters were asked for, but the observations have only {made} different values: "
        f"{made} were made."
    )


def _few_delta_values(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    return (
        "δ has few different values, so HDBSCAN* breaks the data into pieces of equal δ. It finds "
        f"{values['n_clusters']} clusters; SOAP alone has {values['n_of_soap']}. "
        f'{share(values["share"])} of the observations are in such pieces. Set method = "gmm" or a '
        "longer smoothing_window, or record with a larger lens_r_cut."
    )


def _sampled_rows(found: Sequence[Finding], _: Speaker) -> str:
    n_fitted, n_rows = found[0].values["n_fitted"], found[0].values["n_rows"]
    return (
        f"HDBSCAN* clustered a sample of {n_fitted} of {n_rows} observations (max_fit_rows). The "
        "sample keeps all observations of sparse regions. Every other observation has the label of "
        "the nearest one in the sample. Density and min_cluster_size refer to the sample, so "
        "clusters may be coarser than those of all observations."
    )


def _noise(found: Sequence[Finding], speaker: Speaker) -> str:
    shares = ", ".join(
        f"{share(each.values['share'])} ({speaker.title(each.route)})" for each in found
    )
    where = "In the earlier analysis, the" if found[0].values["labelled"] else "The"
    text = f"{where} clustering leaves observations outside of every dense region: {shares}."
    if any(each.values["left_out"] > 0 for each in found):
        text += " They belong to no environment, and no transition from or to them is counted."
    elif any(each.values["share"] > 0 for each in found):
        text += " Each of them is given to its most probable cluster."
    if any(each.values["share"] > MOST_NOISE for each in found):
        text += (
            " The clusters hold less than half of the data. A smaller min_cluster_size or "
            'method = "gmm" may describe it better.'
        )
    return text


def _agreement(found: Sequence[Finding], speaker: Speaker) -> str:
    poor = [each for each in found if each.severity == ATTENTION]
    values = ", ".join(
        f"{each.values['agreement']:.3f} ({speaker.title(each.route)})" for each in found
    )
    routes = " and ".join(speaker.title(each.route) for each in poor or found)
    text = (
        "Other random numbers (for starting points, or for the choice of the observations to "
        f"cluster) {'change' if poor else 'hardly change'} the labels of {routes}. Agreement of "
        f"the labels (adjusted Rand index; 1: the same, 0: no more than by chance): {values}."
    )
    for each in poor:
        drawn, remedy = each.values["drawn"], each.values["remedy"]
        text += f" {speaker.title(each.route)} depends on the {drawn}. Try {remedy}."
    return text


def _far_frames(found: Sequence[Finding], _: Speaker) -> str:
    values = found[0].values
    text = (
        "These frames were labelled by an earlier fit. "
        f"{values['n_far']} of {values['n_frames']} frames are far from the fitted ones"
    )
    if values["n_far"]:
        text += f", the first at step {values['first']}"
    text += (
        f". In one frame, at most {share(values['largest'])} of the atoms are unlike all fitted "
        "observations."
    )
    return text + (" Fit again with these frames." if values["n_far"] else "")


def _cluster_sizes(found: Sequence[Finding], speaker: Speaker) -> str:
    values, route = found[0].values, found[0].route
    lost = [
        f"{speaker.name(route, label)} (not with {' or '.join(map(str, sizes))})"
        for label, sizes in zip(found[0].environments, values["missing"], strict=True)
    ]
    tried = ", ".join(map(str, values["sizes"]))
    if not lost:
        return f"All environments are found with every min_cluster_size that was tried ({tried})."
    return (
        f"These environments depend on min_cluster_size: {a_few(lost)}. Tried were {tried}. A "
        "larger size merges rare environments with others, a smaller one breaks large ones into "
        "pieces."
    )


SAY: dict[str, Say] = {
    "too_few_rows": _too_few_rows,
    "no_cluster": _no_cluster,
    "one_cluster": _one_cluster,
    "share_limit": _share_limit,
    "fewer_values": _fewer_values,
    "few_delta_values": _few_delta_values,
    "sampled_rows": _sampled_rows,
    "noise": _noise,
    "agreement": _agreement,
    "far_frames": _far_frames,
    "cluster_sizes": _cluster_sizes,
}
