"""The whole analysis on one screen."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import strdyn_live

from .clustering import Clustering, cluster_environments, cluster_lens
from .config import AnalysisConfig
from .dataset import Dataset
from .lens_series import lens_series
from .merging import merge_clusters
from .reduction import Moments, Pca
from .results import ROUTES, AnalysisResult, Merged, Route
from .series import Series, find_stretches
from .smoothing import smooth
from .transitions import count_transitions

__all__ = ["analyse"]

Progress = Callable[[str, int, int], None]


def analyse(
    buffer: Any,
    config: AnalysisConfig | None = None,
    progress: Progress | None = None,
    map_chunks: Callable[..., Iterable[Any]] = map,
) -> AnalysisResult:
    """Analyse a buffer along the three routes SOAP, LENS and SOAP&LENS.

    Crippa et al., Mach. Learn.: Sci. Technol. 4, 045044 (2023). All routes use the same frames,
    those for which χ exists, and the same parameters.

    Parameters
    ----------
    buffer : Buffer
        Of `strdyn_live.open_buffer`.
    config : AnalysisConfig, optional
        Settings; by default those of the paper's Cu(211).
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    map_chunks : callable
        ``map``, or one of its kind that returns results in order: the `map` of an executor (of
        Dask: ``client.get_executor().map``) spreads the chunks of the buffer over its workers.
        The results are the same, bit for bit.

    Returns
    -------
    AnalysisResult

    Raises
    ------
    AnalysisError
        If the buffer holds too little to analyse; the message says what is missing.
    """
    config = config or AnalysisConfig()
    clock = _Clock(progress)
    with clock("lens"):
        delta = lens_series(buffer, map_chunks)
        smoothed, warnings = smooth(delta, config)
    data = Dataset.join(buffer, smoothed)
    n_chunks = len(data.chunks())

    with clock("pca", n_chunks):
        origin = data.read(slice(0, 1)).mean(axis=0)
        parts = data.map(partial(Moments.of, origin=origin), map_chunks)
        moments = Moments.sum(clock.watch(parts))
        fit = partial(Pca.fit, moments, variance=config.variance, n_components=config.n_components)
        pcas = {"soap": fit(lens_weight=None), "soap_lens": fit(lens_weight=config.lens_weight)}
    with clock("scores", n_chunks):
        parts = list(clock.watch(data.map(partial(_project, pcas), map_chunks)))
        scores = {name: np.concatenate([part[name] for part in parts]) for name in pcas}
        scores["lens"] = smoothed.values.reshape(-1, 1).astype(np.float32)

    routes = {}
    for name in ROUTES:
        with clock(f"clusters of {name}"):
            cluster = cluster_lens if name == "lens" else cluster_environments
            clusters = cluster(scores[name], config)
            routes[name] = _route(name, smoothed, scores[name], pcas.get(name), clusters, config)
            warnings += [f"{name}: {text}" for text in clusters.warnings]
    return AnalysisResult(
        routes=routes,
        config=config,
        delta=delta,
        provenance=_provenance(buffer, config),
        warnings=[*_gap_warnings(buffer), *warnings],
        timings=clock.seconds,
    )


def _project(pcas: dict[str, Pca], chi: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    return {name: pca.transform(chi) for name, pca in pcas.items()}


def _route(
    name: str,
    frames: Series,
    scores: NDArray[np.float32],
    pca: Pca | None,
    clusters: Clustering,
    config: AnalysisConfig,
) -> Route:
    """Follow the labels in time: counts, dendrogram, merging."""
    labels = clusters.labels.reshape(len(frames.steps), -1)
    counts = count_transitions(labels, clusters.n_clusters, config.lag, frames.stretches)
    merge = merge_clusters(counts, config.merge_cut)
    merged = None
    # a number of clusters that was asked for stays: the dendrogram is shown, nothing merged
    if name != "lens" and config.method == "hdbscan" and config.merge_cut is not None:
        # noise is -1, so it picks the last entry
        mapped = np.append(merge.mapping, np.int32(-1))[labels]
        merged = Merged(labels=mapped, counts=merge.counts, mapping=merge.mapping)
    return Route(
        name=name,
        labels=labels,
        counts=counts,
        steps=frames.steps,
        times=frames.times,
        stretches=frames.stretches,
        atom_ids=frames.atom_ids,
        scores=scores.reshape(*labels.shape, -1),
        linkage=merge.linkage,
        merged=merged,
        pca=pca,
        model=clusters.model,
        noise_share=clusters.noise_share,
        soft_share=clusters.soft_share,
        agreement=clusters.agreement,
    )


def _gap_warnings(buffer: Any) -> list[str]:
    """Name the gaps: nothing is compared or counted across them."""
    steps = np.asarray(buffer.steps)
    stretches, interval = find_stretches(steps, buffer.times)
    gaps = np.flatnonzero(np.diff(stretches))
    if not len(gaps):
        return []
    named = ", ".join(f"{steps[k]} to {steps[k + 1]}" for k in gaps[:5])
    more = f" and {len(gaps) - 5} more" if len(gaps) > 5 else ""
    return [
        f"frames follow each other every {interval} steps, except from step {named}{more}: "
        "no LENS, no smoothing and no transitions across."
    ]


def _provenance(buffer: Any, config: AnalysisConfig) -> dict[str, Any]:
    steps = np.asarray(buffer.steps)
    packages = ("numpy", "scipy", "scikit-learn", "hdbscan", "fast_hdbscan")
    return {
        "buffer": str(Path(getattr(buffer, "path", "")).absolute()),
        "buffer_uuid": str(buffer.uuid),
        "n_frames": len(steps),
        "n_atoms": len(buffer.atom_ids),
        "first_step": int(steps[0]),
        "last_step": int(steps[-1]),
        "seed": config.seed,
        "strdyn_live": strdyn_live.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


class _Clock:
    """Times the stages and passes their progress on."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage, self._total = "", 1

    @contextmanager
    def __call__(self, stage: str, total: int = 1) -> Iterator[None]:
        self._stage, self._total = stage, total
        self._tell(0)
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
        self._tell(total)

    def watch(self, parts: Iterable[Any]) -> Iterator[Any]:
        for done, part in enumerate(parts, start=1):
            yield part
            self._tell(done)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._stage, done, self._total)
