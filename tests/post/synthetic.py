"""A made-up result with known truth: atoms that walk at random between Gaussian states.

The states sit on a stepped slab. State 4 ("fast") is invisible to SOAP, where it looks like
state 3 (the edges), and stands out in LENS: the situation of the paper's Cu(211) surface.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from strdyn_live import LiveConfig
from strdyn_live.models import NearestMean
from strdyn_live.neighbors import NeighborLists
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clusters import agreement_finding
from strdyn_post.environments.reduction import Pca
from strdyn_post.findings import ATTENTION, Finding, of_route
from strdyn_post.judgement import judge
from strdyn_post.kinetics.checks import check_moves
from strdyn_post.kinetics.foretelling import fit_events, foretell
from strdyn_post.kinetics.merging import merge_clusters
from strdyn_post.kinetics.origin import find_origin
from strdyn_post.kinetics.stays import find_stays
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import Merged, Route, RouteFit
from strdyn_post.scans.cluster_sizes import SizePoint
from strdyn_post.scans.weights import WeightPoint
from strdyn_post.signal.events import Events
from strdyn_post.signal.frames import Frames
from strdyn_post.signal.series import Series

FAST = 4

WALK = np.array(
    [
        [0.970, 0.030, 0.000, 0.000, 0.000],
        [0.030, 0.920, 0.050, 0.000, 0.000],
        [0.000, 0.050, 0.915, 0.035, 0.000],
        [0.000, 0.000, 0.060, 0.937, 0.003],
        [0.000, 0.000, 0.000, 0.064, 0.936],
    ]
)

WEIGHT_SCAN = (
    WeightPoint(0.25, 0.031, 4, 5, 4, agreement_with_soap=0.985, agreement_with_used=0.9312),
    WeightPoint(1.0, 0.3388, 5, 5, 5, agreement_with_soap=0.9254, agreement_with_used=1.0),
    WeightPoint(3.0, 0.822, 5, 7, 6, agreement_with_soap=0.4, agreement_with_used=0.4567),
)
# the default min_cluster_size is 80; in SOAP 4 environments, in SOAP&LENS 5
SIZE_SCAN = (
    SizePoint(
        20, 9, 8, 0.31, 0.28, (0.4, 0.3, 0.1, 0.0), (0.4, 0.3, 0.1, 0.1, 0.02), 2, 1, 0.2, 0.08
    ),
    SizePoint(
        80, 5, 5, 0.02, 0.02, (0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.2, 0.08, 0.02), 0, 0, 0.0, 0.0
    ),
    SizePoint(
        300, 4, 3, 0.01, 0.012, (0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.3, 0.0, 0.0), 0, 0, 0.0, 0.0
    ),
)


def count(labels: np.ndarray, n_clusters: int) -> np.ndarray:
    counts = np.zeros((n_clusters, n_clusters), dtype=np.int64)
    before, after = labels[:-1].ravel(), labels[1:].ravel()
    both = (before >= 0) & (after >= 0)
    np.add.at(counts, (before[both], after[both]), 1)
    return counts


def make_route(
    name: str, labels: np.ndarray, scores: np.ndarray, ratios: list[float], first_step: int = 5000
) -> Route:
    """Make a route from its labels: counts and dendrogram follow."""
    n_frames, n_atoms = labels.shape
    n_clusters = int(labels.max()) + 1
    counts = count(labels, n_clusters)
    tree = merge_clusters(counts, cut=None).linkage
    steps = first_step + 500 * np.arange(n_frames, dtype=np.int64)
    n_components = scores.shape[2]
    eye = np.eye(len(ratios))[:n_components]
    pca = Pca(np.zeros(len(ratios)), np.ones(len(ratios)), eye, np.array(ratios))
    fit = RouteFit(
        name=name,
        pca=pca if ratios else None,
        model=NearestMean(np.zeros((n_clusters, n_components))),
        n_clusters=n_clusters,
        linkage=tree,
        mapping=None,
        known=scores.reshape(-1, n_components).astype(np.float32),
        limits=np.full(2, np.inf),
        identities=np.arange(n_clusters, dtype=np.int32),
        n_identities=n_clusters,
        noise_share=float((labels < 0).mean()),
    )
    atom_ids = np.arange(1, n_atoms + 1, dtype=np.int64)
    return Route(
        fit=fit,
        frames=Frames(steps, steps * 0.005, np.zeros(n_frames, dtype=np.int64), atom_ids),
        labels=labels.astype(np.int32),
        scores=scores.astype(np.float32),
        counts=counts,
        merged=None,
        far=np.zeros(n_frames),
    )


def refit(route: Route, **changes) -> Route:
    """Return a route with another fit."""
    return replace(route, fit=replace(route.fit, **changes))


def check(route: Route, config: AnalysisConfig | None = None) -> Route:
    """Return a route with the checks of its moves."""
    clusters = None if route.merged is None else route
    stretches = route.frames.stretches
    checks = check_moves(route.final, clusters, stretches, config or AnalysisConfig())
    stays = find_stays(route.final.labels, route.final.n_clusters, stretches)
    return replace(route, checks=checks, stays=stays)


def judged(result: AnalysisResult, **changes) -> AnalysisResult:
    """Return a result whose findings are those of its numbers, beside notes."""
    result = replace(result, **changes)
    found = judge(
        result.routes,
        result.config,
        origin=result.origin,
        foretelling=result.foretelling,
        n_taken=int(result.provenance.get("n_frames_taken", len(result["soap"].frames))),
        flicker_share=result.flicker_share,
        labelled="model" in result.provenance,
    )
    notes = [each for each in result.findings if each.kind in ("note", "agreement")]
    return replace(result, findings=(*notes, *found))


def merge(route: Route, mapping: list[int]) -> Route:
    """Put clusters of a route together as `mapping` says."""
    mapped = np.array([*mapping, -1], dtype=np.int32)
    labels = mapped[route.labels]
    merged = Merged(labels=labels, counts=count(labels, max(mapping) + 1), mapping=mapped[:-1])
    n_final = max(mapping) + 1
    identities = np.arange(n_final, dtype=np.int32)
    route = refit(route, identities=identities, n_identities=n_final, mapping=merged.mapping)
    return replace(route, merged=merged)


def make_states(n_frames: int, n_atoms: int, rng: np.random.Generator) -> np.ndarray:
    """Return true states, (n_frames, n_atoms); the first atom is fast for the middle third."""
    states = np.empty((n_frames, n_atoms), dtype=np.int64)
    states[0] = rng.choice(5, n_atoms, p=[0.34, 0.30, 0.20, 0.15, 0.01])
    cumulative = WALK.cumsum(axis=1)
    for k in range(1, n_frames):
        states[k] = (rng.random(n_atoms)[:, None] > cumulative[states[k - 1]]).sum(axis=1)
    states[:, 0] = 3
    states[n_frames // 3 : 2 * n_frames // 3, 0] = FAST
    return states


def make_result(n_frames: int = 60, n_atoms: int = 300, seed: int = 0) -> AnalysisResult:
    rng = np.random.default_rng(seed)
    states = make_states(n_frames, n_atoms, rng)
    fast = states == FAST

    delta = rng.gamma(6.0, 0.010, states.shape) + 0.03 * states * (states < FAST)
    delta = np.where(fast, rng.normal(0.75, 0.06, states.shape), delta).clip(0, 1)
    centers = np.array(
        [
            [-0.16, 0.02, 0.0, 0.0],
            [-0.02, -0.07, 0.02, 0.0],
            [0.10, -0.01, -0.01, 0.0],
            [0.22, 0.09, 0.0, 0.01],
        ]
    )
    structure = np.where(fast, 3, states)
    soap = centers[structure] + rng.normal(0, [0.022, 0.014, 0.008, 0.005], (*states.shape, 4))
    chi = np.concatenate([soap[..., :2], delta[..., None], soap[..., 2:]], axis=2)
    chi[..., 1] += 0.35 * delta

    noisy = rng.random(states.shape) < 0.02
    # SOAP has one cluster more than there are structures; the dendrogram puts the last two together
    split = structure + ((structure == 3) & (soap[..., 0] > 0.235))
    soap_route = make_route(
        "soap", np.where(noisy, -1, split), soap, [0.800, 0.184, 0.0105, 0.0023, 0.0032]
    )
    bands = np.digitize(delta, [0.10, 0.45])
    routes = {
        "soap": merge(soap_route, [0, 1, 2, 3, 3]),
        "lens": make_route("lens", bands, delta[..., None], []),
        # the same environments under other numbers: colours must not follow the numbers
        "soap_lens": make_route(
            "soap_lens",
            np.where(noisy, -1, np.array([2, 0, 4, 1, 3])[states]),
            chi,
            [0.757, 0.178, 0.050, 0.0099, 0.0022, 0.0029],
        ),
    }
    config = AnalysisConfig(soft="none")
    for name, route in routes.items():
        routes[name] = check(route, config)
    routes["lens"] = refit(routes["lens"], agreement=0.987)
    warning = "a warning of the analysis, with <brackets> & ampersand"
    result = AnalysisResult(
        routes,
        config,
        Series(delta, routes["lens"].frames),
        findings=(
            Finding("note", ATTENTION, values={"text": warning}),
            *of_route(agreement_finding(0.987, "seed", "fewer lens_clusters"), "lens"),
        ),
        weight_scan=WEIGHT_SCAN,
        cluster_size_scan=SIZE_SCAN,
        flicker_share=0.31,
        provenance={"buffer": "cu211.sdl", "units": "metal", "numpy": np.__version__, "seed": 0},
        timings={"lens": 0.8, "pca": 0.4, "clusters": 6.1},
    )
    return judged(replace(result, **make_origin(routes, structure, rng)))


def make_origin(routes: dict[str, Route], structure: np.ndarray, rng: np.random.Generator):
    """Events of which nearly all start from structure 3; atoms lie deeper in the others."""
    soap, lens = routes["soap"], routes["lens"]
    happened = rng.random(structure.shape) < np.where(structure == 3, 0.05, 0.001)
    events = Events(
        frames=soap.frames,
        share=np.where(happened, 0.2, 0.01),
        known=np.arange(len(structure)) >= 2,
        n_neighbors=54 - 6 * structure + rng.integers(0, 6, structure.shape),
        lasting=3,
        survival=np.array([1.0, 0.19, 0.049, 0.02]),
        flicker_share=0.31,
    )
    depth = 2.1 * (3 - structure) + rng.random(structure.shape)
    of_soap, of_lens = ((each.final.labels, each.final.n_clusters) for each in (soap, lens))
    return {
        "origin": find_origin(events, soap.frames, of_soap, of_lens, depth),
        "foretelling": foretell(events, soap.frames, soap.scores, of_soap, 0),
        "event_model": fit_events(events, soap.frames, soap.scores, 0),
    }


class SyntheticBuffer:
    """The readable side of a buffer: a stepped slab of three layers that vibrates."""

    def __init__(self, result: AnalysisResult, seed: int = 0) -> None:
        route = result["soap_lens"]
        # the analysis drops ten frames at both ends
        self.steps = np.arange(0, route.steps[-1] + 5001, 500)
        self.times = self.steps * 0.005
        self.atom_ids = route.atom_ids
        self.species = np.zeros(len(self.atom_ids), dtype=np.int32)
        self.units = "metal"
        self.periodic = (True, True, False)
        self.uuid = "3c2f7c1e-7f7b-4f0a-9d5e-0c6b8d6c6f10"
        self.config = LiveConfig(r_cut=6.0, elements=("Cu",), file="cu211.sdl", centers="surface")
        n = len(self.atom_ids)
        side = int(np.ceil(np.sqrt(n / 3)))
        row = np.arange(n)
        column, line, layer = row % side, row // side % side, row // side**2
        terrace = line % 4
        self._sites = np.stack(
            [
                2.55 * column + 1.3 * (layer % 2),
                2.3 * line,
                0.62 * terrace + 2.1 * layer,
            ],
            axis=1,
        )
        self._cell = np.diag([2.55 * side, 2.3 * side, 40.0])
        self._seed = seed

    @property
    def n_frames(self) -> int:
        return len(self.steps)

    def positions(self, k: int) -> np.ndarray:
        rng = np.random.default_rng((self._seed, k))
        return self._sites + rng.normal(0, 0.1, self._sites.shape)

    def neighbors(self, k: int) -> NeighborLists:
        near = cKDTree(self.positions(k)).query_ball_point(self.positions(k), 6.0)
        lists = [sorted(self.atom_ids[j] for j in row if j != i) for i, row in enumerate(near)]
        counts = np.array([len(row) for row in lists])
        return NeighborLists.from_counts(counts, np.concatenate(lists))

    def box(self, _k: int) -> tuple[np.ndarray, np.ndarray]:
        return self._cell, np.zeros(3)


def make_buffer(result: AnalysisResult) -> SyntheticBuffer:
    return SyntheticBuffer(result)
