"""What an analysis returns, and how it is kept in ``results.h5``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import Checks
from .config import AnalysisConfig
from .models import Bands, Centers, Mixture, Model, NearestRow
from .reduction import Pca
from .series import AnalysisError, Series
from .transitions import fluxes, transition_matrix

__all__ = [
    "ROUTES",
    "AnalysisResult",
    "Environments",
    "Merged",
    "Route",
    "WeightPoint",
    "load_results",
]

ROUTES = ("soap", "lens", "soap_lens")
_FORMAT = 1


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
    far : (n_frames,) float64 ndarray
        Share of the atoms unlike anything the model was fitted to; 0 where the frames themselves
        were fitted.
    noise_share, soft_share, agreement : float
        See `Clustering`; `agreement` is None where nothing was drawn.
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
    far: NDArray[np.float64]
    noise_share: float = 0.0
    soft_share: float = 0.0
    agreement: float | None = None
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
    flicker_share : float
        Share of the changes of neighbors that the next frame undoes (see `flicker`).
    provenance : dict
        Versions, seed, buffer, steps, settings (JSON types).
    warnings : list of str
        What the reader of the result must know.
    timings : dict of str to float
        Seconds of every stage.
    """

    routes: dict[str, Route]
    config: AnalysisConfig
    delta: Series
    weight_scan: tuple[WeightPoint, ...] = ()
    flicker_share: float = float("nan")
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Route:
        if name not in self.routes:
            raise KeyError(f"no route {name!r}: {', '.join(self.routes)}.")
        return self.routes[name]

    def save(self, directory: str | Path) -> Path:
        """Write ``results.h5`` and ``analysis.toml`` into a folder.

        Each file is complete or not there: written beside, synchronised, renamed.

        Returns
        -------
        Path
            Of ``results.h5``.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        _put_in_place(directory / "results.h5", lambda part: _write(self, part))
        settings = self.config.to_toml()
        _put_in_place(
            directory / "analysis.toml", lambda part: part.write_text(settings, encoding="utf-8")
        )
        return directory / "results.h5"


def load_results(path: str | Path) -> AnalysisResult:
    """Read the results of an analysis.

    Parameters
    ----------
    path : str or Path
        The folder, or its ``results.h5``.

    Raises
    ------
    AnalysisError
        If there are none, or they are of a newer version.
    """
    import h5py

    path = Path(path)
    path = path / "results.h5" if path.is_dir() else path
    if not path.exists():
        raise AnalysisError(f"no results at {path}: `strdyn analyse BUFFER -o DIR` writes them.")
    with h5py.File(path, "r") as file:
        found = int(file.attrs.get("format", 0))
        if found != _FORMAT:
            raise AnalysisError(
                f"{path} has format {found}, this version reads {_FORMAT}: "
                "analyse the buffer again, or use the version that wrote it "
                f"({json.loads(file.attrs.get('provenance', '{}')).get('strdyn_live', 'unknown')})."
            )
        atom_ids = file["delta/atom_id"][()]
        return AnalysisResult(
            routes={name: _read_route(file[name]) for name in ROUTES if name in file},
            config=AnalysisConfig.from_mapping(json.loads(file.attrs["settings"])),
            delta=Series(
                file["delta/value"][()].astype(np.float64),
                file["delta/step"][()],
                file["delta/time"][()],
                atom_ids,
                file["delta/stretch"][()],
            ),
            weight_scan=_read_weights(file["weight_scan"]) if "weight_scan" in file else (),
            flicker_share=float(file.attrs["flicker_share"]),
            provenance=json.loads(file.attrs["provenance"]),
            warnings=json.loads(file.attrs["warnings"]),
            timings=json.loads(file.attrs["timings"]),
        )


def _write(result: AnalysisResult, path: Path) -> None:
    import h5py

    with h5py.File(path, "w", libver=("v108", "v110")) as file:
        file.attrs["format"] = _FORMAT
        file.attrs["flicker_share"] = result.flicker_share
        file.attrs["settings"] = json.dumps(
            {k: v for k, v in result.config.as_dict().items() if v is not None}
            | {k: "none" for k, v in result.config.as_dict().items() if v is None}
        )
        for name in ("provenance", "warnings", "timings"):
            file.attrs[name] = json.dumps(getattr(result, name))
        for name, value in (
            ("value", result.delta.values),
            ("step", result.delta.steps),
            ("time", result.delta.times),
            ("atom_id", result.delta.atom_ids),
            ("stretch", result.delta.stretches),
        ):
            file[f"delta/{name}"] = value
        for item in fields(WeightPoint) if result.weight_scan else ():
            values = [getattr(point, item.name) for point in result.weight_scan]
            file[f"weight_scan/{item.name}"] = values
        for name, route in result.routes.items():
            _write_route(file.create_group(name), route)


def _write_route(group: Any, route: Route) -> None:
    group.attrs["noise_share"] = route.noise_share
    group.attrs["soft_share"] = route.soft_share
    if route.agreement is not None:
        group.attrs["agreement"] = route.agreement
    for name, value in (
        ("step", route.steps),
        ("time", route.times),
        ("stretch", route.stretches),
        ("atom_id", route.atom_ids),
        ("score", route.scores),
        ("explained_variance_ratio", route.explained_variance_ratio),
        ("linkage", route.linkage),
        ("limit", route.limits),
        ("identity", route.identities),
        ("far", route.far),
    ):
        group[name] = value
    _write_environments(group, route, "")
    if route.merged is not None:
        group["merge_mapping"] = route.merged.mapping
        _write_environments(group, route.merged, "_merged")
    if route.pca is not None:
        for item in fields(Pca):
            group[f"pca/{item.name}"] = getattr(route.pca, item.name)
    if route.checks is not None:
        for item in fields(Checks):
            group[f"checks/{item.name}"] = getattr(route.checks, item.name)
    model = group.create_group("model")
    model.attrs["kind"] = route.model.kind
    # HDBSCAN* on all rows: the fitted rows are `score` and `label`, and need no second copy
    rows = route.scores.reshape(-1, route.n_components)
    if not isinstance(route.model, NearestRow) or not np.array_equal(route.model.rows, rows):
        for item in fields(route.model):
            model[item.name] = getattr(route.model, item.name)


def _write_environments(group: Any, found: Environments, suffix: str) -> None:
    label = f"label{suffix}"
    group.create_dataset(label, data=found.labels, shuffle=True, compression="gzip")
    group[f"count_matrix{suffix}"] = found.counts
    group[f"transition_matrix{suffix}"] = found.transition_matrix
    group[f"flux{suffix}"] = found.fluxes
    group[f"population{suffix}"] = found.populations


def _read_weights(group: Any) -> tuple[WeightPoint, ...]:
    columns = [group[item.name][()].tolist() for item in fields(WeightPoint)]
    return tuple(WeightPoint(*row) for row in zip(*columns, strict=True))


def _read_route(group: Any) -> Route:
    labels, scores = group["label"][()], group["score"][()]
    merged = None
    if "merge_mapping" in group:
        merged = Merged(
            labels=group["label_merged"][()],
            counts=group["count_matrix_merged"][()],
            mapping=group["merge_mapping"][()],
        )
    kinds: Mapping[str, type[Model]] = {
        kind.kind: kind for kind in (NearestRow, Mixture, Centers, Bands)
    }
    stored = {name: value[()] for name, value in group["model"].items()}
    if not stored:
        stored = {"rows": scores.reshape(-1, scores.shape[-1]), "labels": labels.ravel()}
    return Route(
        name=group.name.strip("/"),
        labels=labels,
        counts=group["count_matrix"][()],
        steps=group["step"][()],
        times=group["time"][()],
        stretches=group["stretch"][()],
        atom_ids=group["atom_id"][()],
        scores=scores,
        linkage=group["linkage"][()],
        merged=merged,
        pca=Pca(**{name: value[()] for name, value in group["pca"].items()})
        if "pca" in group
        else None,
        model=kinds[group["model"].attrs["kind"]](**stored),
        limits=group["limit"][()],
        identities=group["identity"][()],
        far=group["far"][()],
        checks=Checks(**{name: value[()] for name, value in group["checks"].items()})
        if "checks" in group
        else None,
        noise_share=float(group.attrs["noise_share"]),
        soft_share=float(group.attrs["soft_share"]),
        agreement=float(group.attrs["agreement"]) if "agreement" in group.attrs else None,
    )


def _put_in_place(path: Path, write: Callable[[Path], Any]) -> None:
    part = path.with_name(path.name + ".part")
    write(part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
