"""Results in a folder: ``results.h5``, and the settings in ``analysis.toml``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from .checks import Checks
from .config import AnalysisConfig
from .models import Bands, Centers, Mixture, Model, NearestRow
from .reduction import Pca
from .results import ROUTES, AnalysisResult, Environments, Merged, Route, WeightPoint
from .series import AnalysisError, Series

__all__ = ["load_results", "save_results"]

_FORMAT = 1


def save_results(result: AnalysisResult, directory: str | Path) -> Path:
    """Write a result into a folder; return the path of the HDF5 file."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _put_in_place(directory / "results.h5", lambda part: _write(result, part))
    settings = result.config.to_toml()
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
    group.attrs["n_identities"] = route.n_identities
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
        n_identities=int(group.attrs.get("n_identities", len(group["identity"]))),
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
