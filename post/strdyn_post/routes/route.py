"""Routes: SOAP alone, LENS alone, SOAP&LENS; the fit of each and the frames that it labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Model
from strdyn_post.environments.branches import Branches
from strdyn_post.environments.reduction import Pca
from strdyn_post.kinetics.checks import Checks
from strdyn_post.kinetics.partition import Partition
from strdyn_post.kinetics.stays import Stays
from strdyn_post.signal.frames import Frames

__all__ = ["ROUTES", "TITLES", "Merged", "Route", "RouteFit", "shared_rows"]

ROUTES = ("soap", "lens", "soap_lens")
"""The routes, in the order of the paper."""

TITLES = {"soap": "SOAP", "lens": "LENS", "soap_lens": "SOAP & LENS"}
"""Titles of the routes for readers."""


@dataclass(frozen=True, kw_only=True)
class RouteFit:
    """The fit of one route; it labels new frames.

    Attributes
    ----------
    name : {"soap", "lens", "soap_lens"}
    pca : Pca or None
        PCA of the scores; None for LENS, whose score is the smoothed δ.
    model : Model
        Model that labels scores by cluster.
    n_clusters : int
        Number of clusters.
    linkage : (n_clusters - 1, 4) float64 ndarray
        Dendrogram of the transition probabilities of the clusters.
    mapping : (n_clusters,) int32 ndarray or None
        Environment of every cluster after merging; None for methods that do not merge: every
        cluster is an environment.
    known : (n_rows, n_components) float32 ndarray
        Scores of all fitted rows; empty if they were not kept.
    limits : (2,) float64 ndarray
        A row is far from the fit if its distances are larger than these (see `fit_limits`);
        infinite for LENS.
    identities : (n_environments,) int32 ndarray
        Identity of every environment, which sets its colour and mark; `keep_identities` keeps it
        from fit to fit.
    n_identities : int
        Number of identities given so far, also by earlier fits.
    noise_share, soft_share, agreement, branches
        See `Clustering`.
    """

    name: str
    pca: Pca | None
    model: Model
    n_clusters: int
    linkage: NDArray[np.float64]
    mapping: NDArray[np.int32] | None
    known: NDArray[np.float32]
    limits: NDArray[np.float64]
    identities: NDArray[np.int32]
    n_identities: int
    noise_share: float = 0.0
    soft_share: float = 0.0
    agreement: float | None = None
    branches: Branches | None = None


@dataclass(frozen=True, kw_only=True)
class Merged(Partition):
    """Environments: the clusters after merging at the cut of the dendrogram.

    Attributes
    ----------
    mapping : (n_clusters,) int32 ndarray
        Environment of every cluster.
    """

    mapping: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Route(Partition):
    """Frames labelled along one route: the clusters, and the environments after merging.

    Attributes
    ----------
    fit : RouteFit
        The fit that labelled them.
    frames : Frames
        Steps, times, gaps and atom IDs of `labels`; the same for the three routes.
    scores : (n_frames, n_atoms, n_components) float32 ndarray
        PCA scores; for LENS the smoothed δ.
    merged : Merged or None
        Environments after merging; None for methods that do not merge.
    far : (n_frames,) float64 ndarray
        Share of the atoms that are far from the fit; 0 if these frames were fitted.
    checks : Checks or None
        Confidence intervals and checks of the moves.
    stays : Stays or None
        Committed moves, and how long atoms stay; None in results of earlier versions.
    """

    fit: RouteFit
    frames: Frames
    scores: NDArray[np.float32]
    merged: Merged | None
    far: NDArray[np.float64]
    checks: Checks | None = None
    stays: Stays | None = None

    @property
    def name(self) -> str:
        """One of `ROUTES`."""
        return self.fit.name

    @property
    def title(self) -> str:
        """Title of the route for readers."""
        return TITLES.get(self.name, self.name)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Timestep of every frame, (n_frames,)."""
        return self.frames.steps

    @property
    def times(self) -> NDArray[np.float64]:
        """Simulated time of every frame, (n_frames,) [time unit of the run]."""
        return self.frames.times

    @property
    def stretches(self) -> NDArray[np.int64]:
        """Gapless stretch of every frame, (n_frames,)."""
        return self.frames.stretches

    @property
    def atom_ids(self) -> NDArray[np.int64]:
        """Atom ID of every column of `labels`, (n_atoms,)."""
        return self.frames.atom_ids

    @property
    def n_components(self) -> int:
        """Number of components of a score."""
        return int(self.scores.shape[2])

    @property
    def explained_variance_ratio(self) -> NDArray[np.float64]:
        """Share of every component in the variance, (n_features,); empty for LENS."""
        return np.empty(0) if self.fit.pca is None else self.fit.pca.explained_variance_ratio

    @property
    def linkage(self) -> NDArray[np.float64]:
        """Dendrogram of the transition probabilities, (n_clusters - 1, 4)."""
        return self.fit.linkage

    @property
    def final(self) -> Partition:
        """The environments: merged clusters, or the clusters if nothing is merged."""
        return self if self.merged is None else self.merged

    def column(self, atom_id: int) -> int:
        """Return the column of an atom in `labels`."""
        columns = np.flatnonzero(self.atom_ids == atom_id)
        if len(columns) == 0:
            raise ValueError(
                f"atom_id = {atom_id} is not among the {len(self.atom_ids)} analysed atoms "
                f"(IDs {self.atom_ids.min()} to {self.atom_ids.max()}). Give the ID of one of them."
            )
        return int(columns[0])

    @property
    def unmerged(self) -> Route:
        """The same route with every cluster as an environment, without checks."""
        return replace(self, merged=None, checks=None, stays=None)


def shared_rows(route: Route, reference: Route) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the labels of two routes at the steps and atoms that both hold, (n_steps, n_atoms)."""
    ours, theirs = route.frames, reference.frames
    _, steps, other_steps = np.intersect1d(ours.steps, theirs.steps, return_indices=True)
    _, atoms, other_atoms = np.intersect1d(ours.atom_ids, theirs.atom_ids, return_indices=True)
    return (
        route.final.labels[np.ix_(steps, atoms)],
        reference.final.labels[np.ix_(other_steps, other_atoms)],
    )
