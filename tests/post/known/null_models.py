"""Model observations of known truth: structure and δ of every row, and what the nulls say."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from strdyn_live.neighbors import NeighborLists
from strdyn_post import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments, cluster_lens
from strdyn_post.findings import Finding
from strdyn_post.routes import ROUTES, Route
from strdyn_post.routes.additions import new_environments
from strdyn_post.routes.fitting import fit_route
from strdyn_post.routes.nulls import Nulls
from strdyn_post.routes.reducing import project_rows, reduce_rows
from strdyn_post.scans.null_runs import find_nulls
from strdyn_post.signal.dataset import Dataset
from strdyn_post.signal.frames import Frames
from strdyn_post.signal.series import Series
from strdyn_post.work import Work

Float = NDArray[np.float64]
Int = NDArray[np.int64]

N_FRAMES, N_ATOMS, N_FEATURES = 40, 100, 12
EDGE = 2
"""The structure of the fast atoms; it holds 15 % of the atoms."""
SHARES = (0.6, 0.25, 0.15)
CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=15, lens_clusters=2)


@dataclass(frozen=True)
class Observed:
    """Routes of model observations, and what the nulls say of them."""

    routes: dict[str, Route]
    data: Dataset
    moments: object
    nulls: Nulls | None

    @property
    def found(self) -> list[Finding]:
        """New environments with their verdicts."""
        found = new_environments(self.routes, 1, self.nulls)
        return [each for each in found if each.kind == "new_environment"]

    @property
    def verdicts(self) -> list[str]:
        """Of all new environments."""
        return [each.values["verdict"] for each in self.found]


def observe(spectra: Float, delta: Float, config: AnalysisConfig = CONFIG) -> Observed:
    """Analyse spectra (n_frames, n_atoms, n_features) and δ (n_frames, n_atoms).

    The atoms stand in a row, in a ring: the neighbors of each are the four on either side.
    """
    n_frames, n_atoms = delta.shape
    steps = 500 * np.arange(n_frames)
    frames = Frames(steps, steps * 0.005, np.zeros(n_frames, np.int64), np.arange(n_atoms) + 1)
    around = (np.arange(n_atoms)[:, None] + np.r_[-4:0, 1:5]) % n_atoms + 1
    lists = NeighborLists.from_counts(np.full(n_atoms, 8), np.sort(around, axis=1).ravel())
    recording = SimpleNamespace(
        steps=steps,
        atom_ids=frames.atom_ids,
        soap=lambda k: spectra[k],
        neighbors=lambda _: lists,
        path="",
        uuid="",
    )
    series = Series(delta, frames)
    data, work = Dataset.join(recording, series), Work()
    seen = SimpleNamespace(smoothed=series, data=data)
    moments, pcas = reduce_rows(seen, config, work)
    rows = project_rows(seen, pcas, work)
    routes = {
        name: fit_route(
            name,
            series,
            rows[name],
            pcas.get(name),
            (cluster_lens if name == "lens" else cluster_environments)(rows[name].scores, config),
            config,
        )
        for name in ROUTES
    }
    return Observed(routes, data, moments, find_nulls(data, moments, routes, config))


def structures(rng: np.random.Generator, n_atoms: int = N_ATOMS, often: float = 0.05) -> Int:
    """Atoms that change their structure now and then, (n_frames, n_atoms)."""
    states = np.empty((N_FRAMES, n_atoms), np.int64)
    states[0] = rng.choice(3, n_atoms, p=SHARES)
    for k in range(1, N_FRAMES):
        drawn = rng.choice(3, n_atoms, p=SHARES)
        states[k] = np.where(rng.random(n_atoms) < often, drawn, states[k - 1])
    return states


def spectra_of(states: Int, rng: np.random.Generator, noise: float = 0.01) -> Float:
    """Return normalised spectra of structures."""
    prototypes = 1.0 + 0.1 * np.random.default_rng(7).normal(size=(3, N_FEATURES))
    spectra = prototypes[states] + rng.normal(0.0, noise, (*states.shape, N_FEATURES))
    return spectra / np.linalg.norm(spectra, axis=2, keepdims=True)


def flicker(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Return the δ of atoms that keep their place."""
    return rng.gamma(9.0, 0.007, shape)


def running(rng: np.random.Generator, able: NDArray[np.bool_], share: float, stay: float) -> Int:
    """Return where atoms are fast: only where they are `able` to, with P(stay) in a fast state."""
    fast = np.zeros(able.shape, bool)
    start = share * (1.0 - stay) / max(1e-9, able.mean())
    for k in range(len(able)):
        before = fast[k - 1] if k else rng.random(able.shape[1]) < share / able.mean()
        kept = before & (rng.random(able.shape[1]) < stay)
        fast[k] = able[k] & (kept | (rng.random(able.shape[1]) < start) if k else before)
    return fast


def nothing(seed: int, tail: float = 0.0) -> Observed:
    """Structure, and a δ that has nothing to do with it; a share `tail` of large δ, anywhere."""
    rng = np.random.default_rng(seed)
    states = structures(rng)
    delta = flicker(rng, states.shape)
    large = rng.random(states.shape) < tail
    delta = np.where(large, rng.normal(0.4, 0.04, states.shape), delta)
    return observe(spectra_of(states, rng), delta.clip(0.0, 1.0))


def tail_of_atoms(seed: int, share: float = 0.03) -> Observed:
    """As `nothing`, but atoms stay fast for about 50 frames, whatever their structure is."""
    rng = np.random.default_rng(seed)
    states = structures(rng)
    fast = running(rng, np.ones(states.shape, bool), share, 0.98)
    delta = np.where(fast, rng.normal(0.4, 0.04, states.shape), flicker(rng, states.shape))
    return observe(spectra_of(states, rng), delta.clip(0.0, 1.0))


def placed(seed: int, tail: float = 0.02) -> Observed:
    """Structure that lies in space, in four steps finer than clusters; δ knows nothing of it."""
    rng = np.random.default_rng(seed)
    states = np.repeat(np.repeat([0, 1, 2], [60, 25, 15])[None], N_FRAMES, axis=0)
    spectra = spectra_of(states, rng)
    finer = np.arange(N_ATOMS) // 5 % 4
    spectra += 0.01 * finer[:, None] * np.random.default_rng(8).normal(size=N_FEATURES)
    large = rng.random(states.shape) < tail
    delta = np.where(large, rng.normal(0.4, 0.04, states.shape), flicker(rng, states.shape))
    return observe(spectra / np.linalg.norm(spectra, axis=2, keepdims=True), delta.clip(0.0, 1.0))


def mobile_region(seed: int, length: int = 12) -> Observed:
    """Atoms that are fast in one stretch of the row, whatever their structure is."""
    rng = np.random.default_rng(seed)
    states = structures(rng)
    inside = np.arange(N_ATOMS) < length
    fast = inside & (rng.random(states.shape) < 0.5)
    delta = np.where(fast, rng.normal(0.4, 0.04, states.shape), flicker(rng, states.shape))
    return observe(spectra_of(states, rng), delta.clip(0.0, 1.0))


def runners(seed: int, stay: float, share: float = 0.03, n_atoms: int = N_ATOMS) -> Observed:
    """Fast atoms that share the structure of slow ones: the edges."""
    rng = np.random.default_rng(seed)
    states = structures(rng, n_atoms, 0.01)
    fast = running(rng, states == EDGE, share, stay)
    delta = np.where(fast, rng.normal(0.4, 0.04, states.shape), flicker(rng, states.shape))
    return observe(spectra_of(states, rng), delta.clip(0.0, 1.0))


def coexistence(seed: int) -> Observed:
    """Two phases, and a layer between them: between in structure, where all overlap, and in δ."""
    rng = np.random.default_rng(seed)
    layer = np.repeat([0, 1, 2], [45, 15, 40])
    order = np.array([0.0, 0.7, 1.0])[layer]
    spread = np.array([0.08, 0.3, 0.3])[layer]
    ends = 1.0 + 0.1 * np.random.default_rng(7).normal(size=(2, N_FEATURES))
    shape = (N_FRAMES, len(layer))
    place = (order + spread * rng.normal(size=shape))[..., None]
    spectra = ends[0] + place * (ends[1] - ends[0])
    spectra += rng.normal(0.0, 0.005, spectra.shape)
    delta = rng.normal(
        np.array([0.06, 0.35, 0.76])[layer], np.array([0.03, 0.1, 0.1])[layer], shape
    )
    config = AnalysisConfig(method="gmm", n_clusters=3, variance=0.99, smoothing_window=1)
    return observe(
        spectra / np.linalg.norm(spectra, axis=2, keepdims=True), delta.clip(0.0, 1.0), config
    )
