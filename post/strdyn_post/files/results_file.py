"""Results in a folder: ``results.h5``, and the settings in ``analysis.toml``.

``results.h5`` is an HDF5 file behind a block of 512 bytes (a user block, which HDF5 readers skip).
The block names the run and holds the SHA-256 of everything else: a file that has changed since it
was written is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.branches import Branches
from strdyn_post.environments.models import Bands, Centers, Mixture, Model, NearestRow
from strdyn_post.environments.reduction import Pca
from strdyn_post.kinetics.checks import Checks
from strdyn_post.results import (
    ROUTES,
    AnalysisResult,
    Environments,
    Merged,
    MixturePoint,
    Route,
    WeightPoint,
)
from strdyn_post.scans.intervals import IntervalPoint
from strdyn_post.signal.series import AnalysisError, Series

from .folder import RESULTS, claim, mark
from .results_check import check_result

__all__ = ["load_results", "save_results"]

_FORMAT = 2
_BLOCK = 512  # bytes
_HEAD = re.compile(rb"(strdyn run ([0-9a-f]{32})\nformat (\d+)\n)sha256 ([0-9a-f]{64})\n\0*")
# settings of results that were written before these existed
_EARLIER = {"max_cluster_share": None, "merge_keep_dynamics": False, "n_init": 1}
_HDF5 = b"\x89HDF\r\n\x1a\n"


def save_results(result: AnalysisResult, directory: str | os.PathLike[str]) -> Path:
    """Write a result into a folder; return the path of the HDF5 file."""
    with claim(directory) as folder:
        with folder.new_file(RESULTS) as file:
            _write(result, file)
            file.check()
            seal(file, result.run_id)
        folder.write_settings(result)
    return Path(folder) / RESULTS


def load_results(path: str | Path) -> AnalysisResult:
    """Read the results of an analysis.

    Parameters
    ----------
    path : str or Path
        The folder, or its ``results.h5``.

    Raises
    ------
    AnalysisError
        If there are none, they have changed since they were written, or they are of a newer
        version. Results of format 1 have no checksum to tell changes by.
    """
    path = Path(path)
    path = path / RESULTS if path.is_dir() else path
    if not path.is_file():
        raise AnalysisError(f"no results at {path}: `strdyn analyse BUFFER -o DIR` writes them.")
    with path.open("rb") as file:
        run_id = _check_bytes(path, file)
        try:
            result = _read(file, run_id)
            check_result(result)
        except Exception as error:  # a wrong entry shows in many ways
            said = str(error) or type(error).__name__
            raise AnalysisError(
                f"{path} is not as strdyn writes it: {said} Analyse the buffer again."
            ) from error
    return result


def seal(file: io.FileIO, run_id: str, version: int = _FORMAT) -> None:
    """Write the block in front of an HDF5 file that is open for reading and writing."""
    head = f"{mark(run_id)}\nformat {version}\n".encode()
    block = head + f"sha256 {_digest(file, head)}\n".encode()
    file.seek(0)
    file.write(block.ljust(_BLOCK, b"\0"))


def _digest(file: io.FileIO | io.BufferedReader, head: bytes) -> str:
    file.seek(_BLOCK)
    return hashlib.file_digest(file, partial(hashlib.sha256, head)).hexdigest()


def _check_bytes(path: Path, file: io.BufferedReader) -> str | None:
    """Compare with the checksum; return the run ID, None for format 1."""
    start = file.read(_BLOCK)
    if start.startswith(_HDF5):
        return None
    found = _HEAD.fullmatch(start)
    if found is None:
        raise AnalysisError(
            f"{path} is no file of results, or its beginning is damaged: analyse the buffer again."
        )
    if _digest(file, found[1]) != found[4].decode():
        raise AnalysisError(
            f"{path} has changed since it was written: its checksum differs. Copy it again from "
            "where it is whole, or analyse the buffer again."
        )
    if int(found[3]) != _FORMAT:
        raise AnalysisError(
            f"{path} has format {int(found[3])}, this version reads 1 and {_FORMAT}: use the "
            "version that wrote it, or analyse the buffer again."
        )
    return found[2].decode()


def _read(file: io.BufferedReader, run_id: str | None) -> AnalysisResult:
    import h5py

    with h5py.File(file, "r") as content:
        provenance = json.loads(content.attrs["provenance"])
        if run_id is None:
            found = content.attrs.get("format", "none")
            if found != 1:
                raise AnalysisError(f"it has format {found}, expected 1 or {_FORMAT}.")
            file.seek(0)
            run_id = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        return AnalysisResult(
            routes={name: _read_route(content[name]) for name in ROUTES if name in content},
            config=AnalysisConfig.from_mapping(_EARLIER | json.loads(content.attrs["settings"])),
            delta=Series(
                content["delta/value"][()].astype(np.float64),
                content["delta/step"][()],
                content["delta/time"][()],
                content["delta/atom_id"][()],
                content["delta/stretch"][()],
            ),
            weight_scan=_read_points(content, "weight_scan", WeightPoint),
            interval_scan=_read_points(content, "interval_scan", IntervalPoint),
            mixture_scan=_read_points(content, "mixture_scan", MixturePoint),
            flicker_share=float(content.attrs["flicker_share"]),
            provenance={**provenance, "run_id": run_id},
            warnings=json.loads(content.attrs["warnings"]),
            timings=json.loads(content.attrs["timings"]),
        )


def _write(result: AnalysisResult, target: Any) -> None:
    import h5py

    with h5py.File(target, "w", libver=("v108", "v110"), userblock_size=_BLOCK) as file:
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
        for scan in ("weight_scan", "interval_scan", "mixture_scan"):
            points = getattr(result, scan)
            for item in fields(points[0]) if points else ():
                file[f"{scan}/{item.name}"] = [getattr(point, item.name) for point in points]
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
    if route.branches is not None:
        for item in fields(Branches):
            group[f"condensed_tree/{item.name}"] = getattr(route.branches, item.name)
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


def _read_points(content: Any, scan: str, kind: Any) -> tuple[Any, ...]:
    if scan not in content:
        return ()
    columns = [content[scan][item.name][()].tolist() for item in fields(kind)]
    return tuple(kind(*row) for row in zip(*columns, strict=True))


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
        branches=Branches(**{name: value[()] for name, value in group["condensed_tree"].items()})
        if "condensed_tree" in group
        else None,
        noise_share=float(group.attrs["noise_share"]),
        soft_share=float(group.attrs["soft_share"]),
        agreement=float(group.attrs["agreement"]) if "agreement" in group.attrs else None,
    )
