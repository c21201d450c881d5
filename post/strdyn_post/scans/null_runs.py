"""The runs of `Nulls`: χ of a part of the observations, with other δ, clustered in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Labels, predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments
from strdyn_post.environments.matching import match_labels
from strdyn_post.environments.reduction import Moments, Pca
from strdyn_post.errors import AnalysisError
from strdyn_post.kinetics.fast import fast_environments
from strdyn_post.kinetics.merging import merge_clusters
from strdyn_post.kinetics.partition import Partition
from strdyn_post.kinetics.transitions import count_transitions
from strdyn_post.limits import SAME
from strdyn_post.routes import Route
from strdyn_post.routes.fitting import never_merged
from strdyn_post.routes.identities import match_environments
from strdyn_post.routes.nulls import REFERENCE, Nulls
from strdyn_post.signal.dataset import Dataset
from strdyn_post.signal.series import Series
from strdyn_post.work import MapChunks

from .places import find_places

__all__ = ["Part", "find_nulls", "take_part"]

MOST_ROWS = 100_000
_TIMES = 10  # pairs of frames, at least
_COMPONENTS = 64  # of the spectra: what is beyond them is far below the noise
SEEDS = 3
_SMALLEST = 20  # rows of a cluster
_STARTS = 3  # of a mixture of Gaussians, at most
_JITTER = 1e-3
_SHIFTS = (0.0, 0.5, 0.25)  # other rows, if the first ones do not show what is to be tested

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Some frames and atoms, in pairs of frames one lag apart, or all of them.

    Attributes
    ----------
    frames : (n_frames,) int64 ndarray
        Rows of the series.
    atoms : (n_atoms,) int64 ndarray
        Columns of the series.
    stretches : (n_frames,) int64 ndarray
        Frames between which moves are counted have the same number.
    lag : int
        Lag of the moves, in `frames`.
    """

    frames: NDArray[np.int64]
    atoms: NDArray[np.int64]
    stretches: NDArray[np.int64]
    lag: int

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of frames and atoms."""
        return len(self.frames), len(self.atoms)


def take_part(
    stretches: NDArray[np.int64],
    n_atoms: int,
    lag: int,
    most: int = MOST_ROWS,
    shift: float = 0.0,
) -> Part:
    """Choose at most about `most` rows, evenly in time: all, or pairs of frames one lag apart.

    The moves between the frames of a pair are those of the analysis, so the merge is the same kind
    of merge. Of many atoms every second, third, … is taken, so that there are at least ten pairs.

    Parameters
    ----------
    stretches : (n_frames,) int64 ndarray
        Gapless stretches.
    n_atoms : int
        Atoms of a frame.
    lag : int
        Lag of the transition counts [frames].
    most : int
        Number of rows.
    shift : float
        Where the first pair is, in [0, 1) of the distance of two pairs.
    """
    n_frames = len(stretches)
    if n_frames * n_atoms <= most:
        return Part(np.arange(n_frames), np.arange(n_atoms), stretches, lag)
    starts = np.arange(max(0, n_frames - lag))
    starts = starts[stretches[starts] == stretches[starts + lag]]
    if not len(starts):  # no pair, so no move, as in the analysis
        starts, lag = np.arange(n_frames), 0
    every = -(-n_atoms * 2 * min(_TIMES, len(starts)) // most)
    atoms = np.arange(0, n_atoms, max(1, every))
    n_pairs = max(1, min(most // (2 * len(atoms)), len(starts)))
    pairs = starts[((np.arange(n_pairs) + shift) * len(starts) / n_pairs).astype(np.int64)]
    if lag == 0:
        return Part(pairs, atoms, np.arange(n_pairs), 1)
    frames = np.column_stack([pairs, pairs + lag]).ravel()
    return Part(frames, atoms, np.repeat(np.arange(n_pairs), 2), 1)


@dataclass(frozen=True)
class _Case:
    """A run: the δ that it uses, its number of components, the atoms that it sees."""

    name: str
    structure: Float
    delta: Float
    n_components: int
    half: int | None = None


@dataclass(frozen=True)
class _Rows:
    """The rows taken, and what the analysis says of them.

    Attributes
    ----------
    structure : (n_frames, n_atoms, n_known) float64 ndarray
        Leading components of the spectra.
    delta : (n_frames, n_atoms) float64 ndarray
        Smoothed δ.
    labels, of_soap : (n_frames, n_atoms) int32 ndarray
        Environments of SOAP&LENS, and of SOAP.
    """

    structure: Float
    delta: Float
    labels: Labels
    of_soap: Labels

    @classmethod
    def of(
        cls,
        data: Dataset,
        moments: Moments,
        routes: Mapping[str, Route],
        part: Part,
        map_chunks: MapChunks,
    ) -> _Rows:
        """Read the rows of a part."""
        where = np.ix_(part.frames, part.atoms)
        chi = routes["soap_lens"]
        return cls(
            structure=_structure(data, moments, chi.n_components, part, map_chunks),
            delta=data.delta.values[where].astype(np.float64),
            labels=chi.final.labels[where],
            of_soap=routes["soap"].final.labels[where],
        )


def find_nulls(
    data: Dataset,
    moments: Moments,
    routes: Mapping[str, Route],
    config: AnalysisConfig,
    map_chunks: MapChunks = map,
) -> Nulls | None:
    """Cluster SOAP&LENS again, with a δ that does not belong to the observations.

    At most 100 000 rows are taken (`take_part`), so the cost does not grow with the recording. If
    they do not show a new environment again, other rows are taken, up to twice. χ is exact, but for
    components of the spectra beyond the first 64. Each run keeps as many components as the
    analysis.

    Parameters
    ----------
    data : Dataset
        Rows of χ.
    moments : Moments
        Of all rows.
    routes : mapping of str to Route
        Of the analysis.
    config : AnalysisConfig
        Settings of the clustering; `min_cluster_size` is the same share of the rows, but not below
        20 unless it was, and `n_init` is at most 3.
    map_chunks : callable
        As of `analyse`.

    Returns
    -------
    Nulls or None
        None if SOAP alone has all environments of SOAP&LENS: there is nothing to test.
    """
    from threadpoolctl import threadpool_limits

    chi, soap = routes["soap_lens"], routes["soap"]
    n, n_of_soap = chi.final.n_clusters, soap.final.n_clusters
    fresh = sorted(set(range(n)) - set(match_environments(chi, soap)))
    fresh = [label for label in fresh if chi.final.populations[label]]
    if not fresh:
        return None
    with threadpool_limits(1, "blas"):  # the matrices are small: threads would mostly wait
        for shift in _SHIFTS:
            part = take_part(chi.stretches, chi.frames.n_atoms, config.lag, MOST_ROWS, shift)
            n_rows, n_all = int(np.prod(part.shape)), chi.labels.size
            settings = replace(
                config,
                min_cluster_size=_size(config, n_rows / n_all),
                n_init=min(config.n_init, _STARTS),
            )
            rows = _Rows.of(data, moments, routes, part, map_chunks)
            cases = _cases(rows, soap.n_components, chi.n_components, config.seed)
            first = next(cases)
            names, found = [first.name], [_run(first, rows, part, n, n_of_soap, settings)]
            if n_rows == n_all or (found[0][0][fresh] >= SAME).all():
                break
        for case in cases:
            names.append(case.name)
            found.append(_run(case, rows, part, n, n_of_soap, settings))
    overlap, share, sites = zip(*found, strict=True)
    fast = fast_environments(chi.final, routes["lens"].scores[..., 0])
    return Nulls(
        cases=tuple(names),
        overlap=np.array(overlap),
        fast=fast,
        shares=np.bincount(rows.labels[rows.labels >= 0], minlength=n) / n_rows,
        fast_share=np.array(share),
        sites=np.array(sites),
        n_rows=n_rows,
        n_all=n_all,
        min_cluster_size=settings.min_cluster_size,
        surroundings=find_places(data, routes, fresh, fast, config, MOST_ROWS),
    )


def _size(config: AnalysisConfig, part: float) -> int:
    """Return the `min_cluster_size` for a part of the rows."""
    size = config.min_cluster_size
    return max(min(size, _SMALLEST), round(size * part))


def _structure(
    data: Dataset, moments: Moments, n_used: int, part: Part, map_chunks: MapChunks
) -> Float:
    """Read the rows taken: their leading components of the spectra."""
    n_features = len(moments.origin) - 1
    n_known = min(n_features, max(_COMPONENTS, n_used + 1))
    pca = Pca.fit(moments, lens_weight=None, variance=1.0, n_components=n_known)
    frames, back = np.unique(part.frames, return_inverse=True)
    delta = Series(data.delta.values[frames], data.delta.frames.take(frames))
    taken = replace(data, delta=delta, frames=data.frames[frames])
    project = partial(_project, pca, part.atoms, data.n_atoms)
    rows = np.concatenate(list(taken.map(project, map_chunks)))
    return np.asarray(rows[back], dtype=np.float64)


def _project(pca: Pca, atoms: NDArray[np.int64], n_atoms: int, chi: Float) -> NDArray[np.float32]:
    rows = chi.reshape(-1, n_atoms, chi.shape[1])[:, atoms]
    scores, _ = pca.transform(rows.reshape(-1, chi.shape[1]))
    return scores.reshape(len(rows), len(atoms), -1)


def _cases(rows: _Rows, n_of_soap: int, n_of_chi: int, seed: int) -> Iterator[_Case]:
    """Yield all runs."""
    rng = np.random.default_rng(seed)
    true, structure = rows.delta, rows.structure
    yield _Case(REFERENCE, structure, true, n_of_chi)
    for _ in range(SEEDS):
        yield _Case("shuffled", structure, rng.permuted(true), n_of_chi)
        yield _Case("shuffled_in_time", structure, rng.permuted(true, axis=0), n_of_chi)
        noise = rng.normal(true.mean(), true.std(), true.shape)
        yield _Case("noise", structure, noise, n_of_chi)
        spread = _JITTER * structure.std(axis=(0, 1))
        jittered = structure + rng.normal(size=structure.shape) * spread
        yield _Case("jitter", jittered, np.zeros_like(true), n_of_soap)
    for name, n in (("one_fewer", n_of_chi - 1), ("one_more", n_of_chi + 1)):
        if 1 <= n <= structure.shape[2] + 1:
            yield _Case(name, structure, true, n)
    for first in (0, 1) if true.shape[1] > 1 else ():
        yield _Case("half_of_atoms", structure, true, n_of_chi, first)


def _run(
    case: _Case, rows: _Rows, part: Part, n: int, n_of_soap: int, config: AnalysisConfig
) -> tuple[Float, float, Float]:
    """Cluster and merge; return the overlaps, the share of fast rows, and their places."""
    with_delta = case.name != "jitter"
    atoms = slice(None) if case.half is None else slice(case.half, None, 2)
    delta = case.delta[:, atoms]
    made = _chi(case.structure[:, atoms], delta)
    try:
        pca = Pca.fit(
            Moments.of(made, origin=made.mean(axis=0)),
            lens_weight=config.lens_weight if with_delta else None,
            variance=config.variance,
            n_components=case.n_components,
        )
    except AnalysisError:  # all rows taken are equal
        return np.zeros(n), 0.0, np.zeros(n_of_soap)
    if case.half is not None:
        config = replace(config, min_cluster_size=_size(config, 0.5))
    found = cluster_environments(pca.transform(made)[0], config)
    labels = found.labels.reshape(delta.shape)
    counts = count_transitions(labels, found.n_clusters, part.lag, part.stretches)
    mapping = np.arange(found.n_clusters, dtype=np.int32)
    if config.method == "hdbscan" and config.merge_cut is not None:
        name = "soap_lens" if with_delta else "soap"
        apart = never_merged(name, labels, delta, found.n_clusters, config)
        mapping = merge_clusters(counts, config.merge_cut, apart).mapping
    n_merged = int(mapping.max(initial=-1)) + 1
    mapping = np.append(mapping, np.int32(-1))
    labels = mapping[labels]
    # where the run draws its borders, the true rows are labelled by them
    true, _ = pca.transform(_chi(rows.structure, rows.delta))
    drawn = mapping[predict(found.model, true)].reshape(rows.delta.shape)
    if case.half is not None:
        others = slice(1 - case.half, None, 2)
        overlap = _overlap(rows.labels[:, others], drawn[:, others], n, n_merged)
        return overlap, 0.0, np.zeros(n_of_soap)
    overlap = _overlap(rows.labels, labels, n, n_merged)
    if case.name != "noise":  # borders across noise, drawn across the true δ, part it by its value
        overlap = np.maximum(overlap, _overlap(rows.labels, drawn, n, n_merged))
    if not with_delta:
        return overlap, 0.0, np.zeros(n_of_soap)
    final = Partition(labels=labels, counts=np.zeros((n_merged, n_merged), np.int64))
    inside = np.isin(labels, np.flatnonzero(fast_environments(final, delta)))
    places = rows.of_soap[inside & (rows.of_soap >= 0)]
    sites = np.bincount(places, minlength=n_of_soap) / max(1, len(places))
    return overlap, float(inside.mean()), sites


def _chi(structure: Float, delta: Float) -> Float:
    """Return rows of structure and δ, (n_frames n_atoms, n_known + 1)."""
    return np.concatenate([structure, delta[..., None]], axis=2).reshape(delta.size, -1)


def _overlap(labels: Labels, others: Labels, n: int, n_others: int) -> Float:
    """Return the overlap of each label with its counterpart (see `match_labels`), (n,)."""
    same = match_labels(labels, others, n, n_others, 0.0)
    overlap = np.zeros(n)
    for label in np.flatnonzero(same >= 0):
        inside, there = labels == label, others == same[label]
        overlap[label] = 2.0 * (inside & there).sum() / max(1.0, float(inside.sum() + there.sum()))
    return overlap
