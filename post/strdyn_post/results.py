"""What an analysis returns."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from .config import AnalysisConfig
from .environments.branches import Branches
from .environments.models import Model
from .environments.reduction import Pca
from .kinetics.checks import Checks
from .kinetics.transitions import fluxes, transition_matrix
from .scans.intervals import IntervalPoint
from .signal.series import Series

__all__ = [
    "ROUTES",
    "AnalysisResult",
    "Environments",
    "Merged",
    "MixturePoint",
    "Route",
    "WeightPoint",
]

ROUTES = ("soap", "lens", "soap_lens")


@dataclass(frozen=True, kw_only=True)
class Environments:
    """Which environment every atom is in at every frame, and the exchange between them.

    Attributes
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Cluster, counted from 0; −1 is noise that was left out.
    counts : (n_clusters, n_clusters) int64 ndarray
        Transitions N_ab; pairs with noise at either end are not counted.
    """

    labels: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.counts)

    @cached_property
    def transition_matrix(self) -> NDArray[np.float64]:
        """Rows of the counts divided by their sums, (n_clusters, n_clusters)."""
        return transition_matrix(self.counts)

    @cached_property
    def fluxes(self) -> NDArray[np.int64]:
        """Counts between different clusters: zero diagonal."""
        return fluxes(self.counts)

    @cached_property
    def populations(self) -> NDArray[np.int64]:
        """Rows (frame, atom) in every cluster, (n_clusters,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.n_clusters)


@dataclass(frozen=True, kw_only=True)
class Merged(Environments):
    """Environments after merging at the cut of the dendrogram.

    Attributes
    ----------
    mapping : (n_unmerged,) int32 ndarray
        Merged cluster of every cluster of the route.
    """

    mapping: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Route(Environments):
    """One way through the analysis: SOAP alone, LENS alone, or SOAP&LENS.

    Attributes
    ----------
    name : {"soap", "lens", "soap_lens"}
    steps : (n_frames,) int64 ndarray
        Timesteps; the same for the three routes.
    times : (n_frames,) float64 ndarray
        Simulated time [time unit of the run].
    stretches : (n_frames,) int64 ndarray
        Gapless stretch of every frame.
    atom_ids : (n_atoms,) int64 ndarray
        Atom ID of every column of `labels`.
    scores : (n_frames, n_atoms, n_components) float32 ndarray
        PCA scores; for LENS the smoothed δ.
    linkage : (n_clusters - 1, 4) float64 ndarray
        Dendrogram of the transition probabilities.
    merged : Merged or None
        Environments after merging; None where nothing is merged by design.
    pca : Pca or None
        None for LENS.
    model : Model
        Labels rows of scores never seen.
    limits : (2,) float64 ndarray
        How far a row may be from the fitted ones before it counts as unlike them all (see
        `models.fit_limits`); infinite for LENS.
    identities : (n_final,) int32 ndarray
        Identity of every final environment, kept from fit to fit by `models.keep_identities`: what
        colours and numbers follow.
    n_identities : int
        Identities given so far, by earlier fits too.
    far : (n_frames,) float64 ndarray
        Share of the atoms unlike anything the model was fitted to; 0 where the frames themselves
        were fitted.
    noise_share, soft_share, agreement : float
        See `Clustering`; `agreement` is None where nothing was drawn.
    branches : Branches or None
        Condensed tree of HDBSCAN*; None for other methods.
    checks : Checks or None
        Intervals and tests of the final environments.
    """

    name: str
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    stretches: NDArray[np.int64]
    atom_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    linkage: NDArray[np.float64]
    merged: Merged | None
    pca: Pca | None
    model: Model
    limits: NDArray[np.float64]
    identities: NDArray[np.int32]
    n_identities: int
    far: NDArray[np.float64]
    noise_share: float = 0.0
    soft_share: float = 0.0
    agreement: float | None = None
    branches: Branches | None = None
    checks: Checks | None = None

    @property
    def n_components(self) -> int:
        """Components of a score."""
        return int(self.scores.shape[2])

    @property
    def explained_variance_ratio(self) -> NDArray[np.float64]:
        """Share of every component in the variance, all components; empty for LENS."""
        return np.empty(0) if self.pca is None else self.pca.explained_variance_ratio

    @property
    def heights(self) -> NDArray[np.float64]:
        """Heights of the dendrogram, increasing."""
        return self.linkage[:, 2]

    @property
    def final(self) -> Environments:
        """The merged environments, or the route itself where nothing is merged."""
        return self if self.merged is None else self.merged


@dataclass(frozen=True)
class WeightPoint:
    """What SOAP&LENS becomes at one weight of δ.

    Attributes
    ----------
    weight : float
        Factor of δ in χ.
    lens_variance : float
        Share of δ in the variance of the data set.
    n_components, n_clusters, n_environments : int
        Components kept, clusters, environments after merging.
    agreement_with_soap, agreement_with_used : float
        Adjusted Rand index between the labels (after merging) and those of SOAP alone, and those
        at the weight in use.
    """

    weight: float
    lens_variance: float
    n_components: int
    n_clusters: int
    n_environments: int
    agreement_with_soap: float
    agreement_with_used: float


@dataclass(frozen=True)
class MixturePoint:
    """SOAP&LENS as a mixture of so many Gaussians.

    Attributes
    ----------
    n_clusters : int
        Number of Gaussians.
    bic : float
        Bayesian information criterion of the likeliest of the fits; smaller is better.
    agreement : float
        Adjusted Rand index between this and the second likeliest fit; NaN for one start.
    fastest_share, fastest_delta : float
        Share of the observations in the cluster of largest mean δ, and that δ.
    """

    n_clusters: int
    bic: float
    agreement: float
    fastest_share: float
    fastest_delta: float


@dataclass(frozen=True)
class AnalysisResult:
    """The three routes side by side, with what made them.

    Attributes
    ----------
    routes : dict of str to Route
        Also reached as ``result["soap_lens"]``.
    config : AnalysisConfig
        The settings used.
    delta : Series
        δ before smoothing.
    weight_scan : tuple of WeightPoint
        SOAP&LENS at `scan_weights` and at the weight in use, by increasing weight; empty if no
        others were asked for.
    interval_scan : tuple of IntervalPoint
        SOAP and SOAP&LENS at `scan_intervals`, at `scan_windows` and as in use, by increasing Δt
        and window; empty if no others were asked for.
    mixture_scan : tuple of MixturePoint
        SOAP&LENS with `scan_clusters` and the number in use; empty if no others were asked for.
    flicker_share : float
        Share of the changes of neighbors that the next frame undoes (see `flicker`).
    provenance : dict
        Versions, seed, buffer, steps, settings (JSON types); `run_id` is put in if it is not.
    warnings : list of str
        What the reader of the result must know.
    timings : dict of str to float
        Seconds of every stage.
    """

    routes: dict[str, Route]
    config: AnalysisConfig
    delta: Series
    weight_scan: tuple[WeightPoint, ...] = ()
    interval_scan: tuple[IntervalPoint, ...] = ()
    mixture_scan: tuple[MixturePoint, ...] = ()
    flicker_share: float = float("nan")
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{32}", str(self.provenance.get("run_id"))):
            object.__setattr__(self, "provenance", {**self.provenance, "run_id": uuid4().hex})

    @property
    def run_id(self) -> str:
        """Identity of this analysis, in every file that is made of it."""
        return str(self.provenance["run_id"])

    def __getitem__(self, name: str) -> Route:
        if name not in self.routes:
            raise KeyError(f"no route {name!r}: {', '.join(self.routes)}.")
        return self.routes[name]

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write ``results.h5`` and ``analysis.toml`` into a folder.

        Each file is complete or not there: written beside, synchronised, renamed. The settings go
        into ``analysis.used.toml`` where ``analysis.toml`` is a file of the user.

        Returns
        -------
        Path
            Of ``results.h5``.

        Raises
        ------
        OutputError
            If the folder cannot be written, or another analysis is writing it.
        """
        from .files.results_file import save_results

        return save_results(self, directory)
