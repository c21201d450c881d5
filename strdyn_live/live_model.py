"""LiveModel: the fit of an earlier analysis, which labels frames while a run goes on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import LiveConfig
from .marks import mark_number
from .models import Components, Labels, Model, NearestRow, restore
from .results_block import RESULTS, ResultsError, check_block
from .soap import Soap

__all__ = ["LiveModel"]

_ROUTE = "soap_lens"
_SAME_STEPS = 0.01  # rounding of times, in steps
_SMALLEST = 1e-30  # a limit is 0 if nearly all fitted rows are equal
_AGAIN = "Analyse the buffer again."


@dataclass(frozen=True)
class LiveModel:
    """The fit of SOAP & LENS from a file of results.

    It gives the labels that `strdyn_post.label` gives: those of the environments after merging.

    Attributes
    ----------
    path : Path
        The file ``results.h5``.
    run_id : str
        Identity of the analysis.
    components : Components
        Principal components of χ.
    model : Model
        Labels scores by cluster.
    mapping : (n_clusters,) int32 ndarray
        Environment of every cluster.
    known : NearestRow
        Scores and clusters of all fitted rows.
    limits : (2,) float64 ndarray
        A row is far from the fit if its distance to the nearest fitted row, or to the plane of the
        components, is larger than these.
    marks, names, colors : tuple of str
        Of every environment.
    interval_time : float
        Δt of the fit [time unit of the run].
    units : str
        LAMMPS unit style of the fit.
    settings : dict
        Settings of the analysis.
    """

    path: Path
    run_id: str
    components: Components
    model: Model
    mapping: NDArray[np.int32]
    known: NearestRow
    limits: NDArray[np.float64]
    marks: tuple[str, ...]
    names: tuple[str, ...]
    colors: tuple[str, ...]
    interval_time: float
    units: str
    settings: dict[str, Any]

    @classmethod
    def load(cls, path: str | os.PathLike[str], config: LiveConfig) -> LiveModel:
        """Read the fit of an analysis, and test whether it can label the frames of a recording.

        Parameters
        ----------
        path : path-like
            ``results.h5``, or its folder.
        config : LiveConfig
            Settings of the recording.

        Raises
        ------
        ResultsError
            If there are no results, the file is damaged, holds no fit, or the fit is for another
            recording or cannot label live.
        """
        file = Path(path)
        file = file / RESULTS if file.is_dir() else file
        if not file.is_file():
            raise ResultsError(
                f"model = {os.fspath(path)!r}: no results there, expected a folder that `strdyn "
                f"analyse BUFFER -o DIR` has written, or its {RESULTS}."
            )
        try:
            with file.open("rb") as opened:
                run_id = check_block(file, opened)
                model = _read(file, opened, run_id)
        except ResultsError:
            raise
        except OSError as error:
            said = error.strerror or str(error)
            raise ResultsError(f"cannot read {file}: {said}. Check the file.") from error
        except Exception as error:  # a wrong entry raises many kinds of errors
            said = str(error) or type(error).__name__
            raise ResultsError(f"{file} is not as strdyn writes it: {said} {_AGAIN}") from error
        model._check_settings(config)
        return model

    @property
    def numbers(self) -> tuple[int, ...]:
        """The marks as whole numbers, as in exports."""
        return tuple(map(mark_number, self.marks))

    @property
    def n_environments(self) -> int:
        """Number of environments."""
        return len(self.marks)

    def interval(self, timestep: float) -> int:
        """Return Δt of the fit in steps.

        Parameters
        ----------
        timestep : float
            Time between two steps [time unit of the run].

        Raises
        ------
        ResultsError
            If Δt is not a whole number of steps.
        """
        steps = self.interval_time / timestep if timestep > 0 else 0.0
        whole = round(steps)
        if whole < 1 or abs(steps - whole) > _SAME_STEPS:
            raise ResultsError(
                f"the fit {self.path} has a frame every {self.interval_time:g} time units: "
                f"{steps:.6g} steps of {timestep:g}, expected a whole number. Set a timestep that "
                "divides this time, or fit a recording with this timestep."
            )
        return whole

    def check_units(self, units: str) -> None:
        """Raise ResultsError unless a run has the LAMMPS unit style of the fit."""
        if units != self.units:
            raise ResultsError(
                f"the fit {self.path} is of a run in units {self.units}, this run has units "
                f"{units}: expected the same. Fit a recording of this kind of run."
            )

    def label(
        self, soap: NDArray[np.float32], delta: NDArray[np.float64]
    ) -> tuple[Labels, NDArray[np.float64]]:
        r"""Label observations :math:`\chi = (\mathbf{p}/|\mathbf{p}|, \delta)`.

        Parameters
        ----------
        soap : (n_atoms, n_features) float32 ndarray
            Spectra.
        delta : (n_atoms,) float64 ndarray
            δ from their frame to the one Δt later.

        Returns
        -------
        environment : (n_atoms,) int32 ndarray
            Label of the environment; −1 for noise.
        distance : (n_atoms,) float64 ndarray
            Distance to the fitted rows, in units of what is usual among them: the larger one of the
            distance to the nearest fitted row and that to the plane of the components, each divided
            by the 99.9 % quantile of the fitted rows. Above 1 the atom is unlike the fit; the share
            of such atoms in a frame is `Route.far`.
        """
        chi = np.empty((len(soap), soap.shape[1] + 1))
        chi[:, :-1] = soap
        chi[:, :-1] /= np.linalg.norm(chi[:, :-1], axis=1, keepdims=True)
        chi[:, -1] = delta
        scores, residuals = self.components.transform(chi)
        nearest, rows = self.known.tree.query(scores)
        clusters = self.known.labels[rows] if self._all_rows else self.model.predict(scores)
        parts = np.array([nearest, residuals], dtype=np.float64)
        limits = np.maximum(self.limits, _SMALLEST)[:, None]
        return np.append(self.mapping, np.int32(-1))[clusters], (parts / limits).max(axis=0)

    @property
    def description(self) -> dict[str, Any]:
        """What a reader of the labels must know of the model, as JSON types."""
        return {
            "run_id": self.run_id,
            "path": str(self.path.absolute()),
            "interval": self.interval_time,
            "marks": list(self.marks),
            "names": list(self.names),
            "colors": list(self.colors),
        }

    @cached_property
    def _all_rows(self) -> bool:
        """Whether HDBSCAN* has clustered all rows: the model is then the rows known."""
        return self.model is self.known

    def _check_settings(self, config: LiveConfig) -> None:
        window = self.settings.get("smoothing_window")
        if window != 1:
            raise ResultsError(
                f"the fit {self.path} was made with smoothing_window = {window}, expected 1: a "
                "smoothed δ needs later frames, which a running simulation does not have. Analyse "
                "the buffer again with smoothing_window = 1."
            )
        fitted = str(self.settings["recording"])
        if fitted != config.descriptors:
            raise ResultsError(
                f"the fit {self.path} is of a recording with {fitted}; this one has "
                f"{config.descriptors}: expected the same. Record with the settings of the fit, or "
                "fit a recording with these."
            )
        found, expected = len(self.components.mean) - 1, Soap.of(config).n_features
        if found != expected:
            raise ResultsError(
                f"the fit {self.path} is for spectra of {found} components, this recording has "
                f"{expected}: expected the same elements, n_max and l_max."
            )


def _read(path: Path, opened: Any, run_id: str | None) -> LiveModel:
    """Read a file whose checksum is right."""
    import h5py

    if run_id is None:
        raise ResultsError(
            f"{path} has format 1, whose files have no checksum; expected format 2. {_AGAIN}"
        )
    with h5py.File(opened, "r") as file:
        provenance = json.loads(file.attrs["provenance"])
        if "model" in provenance:
            raise ResultsError(
                f"{path} was labelled by an earlier fit: expected the results of that fit. Give "
                f"those of {provenance['model']}."
            )
        descriptors, _, every = str(provenance["recording"]).rpartition(", a frame every ")
        group = file[_ROUTE]
        scores, labels = group["score"][()], group["label"][()]
        known = NearestRow(scores.reshape(-1, scores.shape[-1]), labels.ravel())
        stored = {name: value[()] for name, value in group["model"].items()}
        kind = str(group["model"].attrs["kind"])
        all_rows = kind == NearestRow.kind and not stored
        names = {
            name: tuple(text.decode() for text in group[name][()])
            for name in ("mark", "name", "color")
        }
        n_clusters = len(group["count_matrix"])
        mapping = np.arange(n_clusters, dtype=np.int32)
        if "merge_mapping" in group:
            mapping = group["merge_mapping"][()].astype(np.int32)
        pca = group["pca"]
        model = LiveModel(
            path=path,
            run_id=run_id,
            components=Components(*(pca[name][()] for name in ("mean", "weights", "components"))),
            model=known if all_rows else restore(kind, stored, known.rows, known.labels),
            mapping=mapping,
            known=known,
            limits=group["limit"][()],
            marks=names["mark"],
            names=names["name"],
            colors=names["color"],
            interval_time=float(provenance["interval"]),
            units=str(provenance["units"]),
            settings=json.loads(file.attrs["settings"]) | {"recording": descriptors},
        )
        _check_content(model, n_clusters, every)
    return model


def _check_content(model: LiveModel, n_clusters: int, every: str) -> None:
    """Raise ValueError if the parts do not fit together."""
    k, n_features = model.components.components.shape
    n_rows, n = len(model.known.rows), model.n_environments
    parts: list[tuple[str, Any, tuple[int, ...]]] = [
        ("pca/mean", model.components.mean, (n_features,)),
        ("pca/weights", model.components.weights, (n_features,)),
        ("score", model.known.rows, (n_rows, k)),
        ("label", model.known.labels, (n_rows,)),
        ("merge_mapping", model.mapping, (n_clusters,)),
        ("limit", model.limits, (2,)),
        ("name", model.names, (n,)),
        ("color", model.colors, (n,)),
    ]
    for name, values, shape in parts:
        if np.shape(values) != shape:
            raise ValueError(f"{_ROUTE}/{name} has the shape {np.shape(values)}, expected {shape}.")
    if n_rows == 0 or n_clusters == 0 or not every:
        raise ValueError("it holds no fitted rows, no clusters, or no settings of the recording.")
    labels = {"label": model.known.labels, "model/labels": getattr(model.model, "labels", None)}
    for name, found in labels.items():
        if found is not None and not (found.min() >= -1 and found.max() < n_clusters):
            raise ValueError(f"{_ROUTE}/{name} names clusters that are not there.")
    if not (model.mapping.min() >= 0 and model.mapping.max() < n):
        raise ValueError(f"{_ROUTE}/merge_mapping names environments that are not there.")
