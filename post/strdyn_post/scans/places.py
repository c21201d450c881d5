"""Whether the new environments of SOAP&LENS are places in space, from the neighbor lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Labels, predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.kinetics.surroundings import Surroundings, find_surroundings, shares_around
from strdyn_post.routes import Route
from strdyn_post.signal.dataset import Dataset

__all__ = ["find_places"]

Float = NDArray[np.float64]
_DRAWS = 8  # δ of other atoms, for each row


def find_places(
    data: Dataset,
    routes: Mapping[str, Route],
    fresh: Sequence[int],
    fast: NDArray[np.bool_],
    config: AnalysisConfig,
    most: int,
) -> Surroundings:
    """Compare the surroundings of environments with those that structure explains.

    What structure gives with the δ of another atom is what the fit says of the same scores of SOAP
    with a δ that is drawn from the same environment of SOAP.

    Parameters
    ----------
    data : Dataset
        Rows of χ.
    routes : mapping of str to Route
        Of the analysis; ``soap_lens`` labels its own rows.
    fresh : sequence of int
        Final labels of the environments of SOAP&LENS to judge.
    fast : (n_environments,) bool ndarray
        Environments that are fast: they are judged together.
    config : AnalysisConfig
        `smoothing_window`, `seed`.
    most : int
        At most about so many rows are taken: frames evenly in time, and if there are many atoms,
        every second, third, … atom. The frame before is in the same gapless stretch.

    Returns
    -------
    Surroundings
        NaN for environments that are not judged.
    """
    chi, of_soap = routes["soap_lens"], routes["soap"].final.labels
    gap = config.smoothing_window + 1
    n_frames, n_atoms = chi.labels.shape
    atoms = np.arange(0, n_atoms, max(1, -(-n_atoms * 10 // most)))
    later = np.arange(gap, n_frames)
    later = later[chi.stretches[later] == chi.stretches[later - gap]]
    n_taken = min(len(later), max(10, most // len(atoms)))
    later = later[np.arange(n_taken) * len(later) // max(1, n_taken)]
    numbers = np.full((4, chi.final.n_clusters), np.nan)
    if not len(later):  # too few frames to know anything
        return _surroundings(gap, numbers)
    taken = np.ix_(later, atoms)
    true, drawn = _with_other_delta(routes, taken, config.seed)
    lists = [data.recording.neighbors(int(data.frames[k])).take(atoms) for k in later]
    for label in fresh:
        judged = np.flatnonzero(fast) if fast[label] else [label]
        now, other = np.isin(true, judged), np.isin(drawn, judged)
        before = np.isin(chi.final.labels[later - gap], judged)
        rows = (
            (now[k], other[:, k].mean(axis=0), around)
            for k, around in enumerate(
                shares_around(each, chi.atom_ids, inside)
                for each, inside in zip(lists, before, strict=True)
            )
        )
        numbers[:, label] = find_surroundings(rows, of_soap[taken], routes["soap"].final.n_clusters)
    return _surroundings(gap, numbers)


def _surroundings(gap: int, numbers: Float) -> Surroundings:
    shares, expected, errors, high = numbers
    return Surroundings(gap=gap, shares=shares, expected=expected, errors=errors, high=high)


def _with_other_delta(
    routes: Mapping[str, Route], taken: tuple[NDArray[np.intp], ...], seed: int
) -> tuple[Labels, Labels]:
    """Return the labels of rows, (n_frames, n_atoms), and those with other δ, (n_draws, …)."""
    chi, soap = routes["soap_lens"], routes["soap"].final
    delta = routes["lens"].scores[..., 0]
    pca, mapping = chi.fit.pca, chi.fit.mapping
    assert pca is not None  # of LENS alone there is none
    per_delta = pca.components[:, -1] * pca.weights[-1]
    if mapping is None:
        mapping = np.arange(chi.fit.n_clusters, dtype=np.int32)
    mapping = np.append(mapping, np.int32(-1))  # noise stays noise
    scores, own, of_soap = chi.scores[taken], delta[taken], soap.labels[taken]

    def label(with_delta: NDArray[np.float32]) -> Labels:
        moved = scores + (with_delta - own)[..., None] * per_delta
        rows = moved.reshape(-1, moved.shape[-1])
        return np.asarray(mapping[predict(chi.fit.model, rows)].reshape(own.shape))

    rng = np.random.default_rng(seed)
    pools = [(of_soap == k, delta[soap.labels == k]) for k in range(soap.n_clusters)]
    drawn = []
    for _ in range(_DRAWS):
        other = own.copy()
        for inside, pool in pools:
            if len(pool):
                other[inside] = rng.choice(pool, int(inside.sum()))
        drawn.append(label(other))
    return label(own), np.array(drawn)
