"""From χ to the rows of every route: principal components and scores."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.reduction import Moments, Pca, fit_pcas, project
from strdyn_post.signal.observations import Observations
from strdyn_post.work import Work

from .fitting import Rows

__all__ = ["project_rows", "reduce_rows"]


def reduce_rows(
    observed: Observations, config: AnalysisConfig, work: Work
) -> tuple[Moments, dict[str, Pca]]:
    """Read the rows of χ once, and return their moments and the components of both routes."""
    data = observed.data
    with work.stage("pca", len(data.chunks())):
        origin = data.read(slice(0, 1)).mean(axis=0)
        parts = data.map(partial(Moments.of, origin=origin), work.map_chunks)
        moments = Moments.sum(work.watch(parts))
        return moments, fit_pcas(moments, config)


def project_rows(observed: Observations, pcas: Mapping[str, Pca], work: Work) -> dict[str, Rows]:
    """Read the rows of χ once, and return the rows of the three routes."""
    data = observed.data
    with work.stage("scores", len(data.chunks())):
        chunks = list(work.watch(data.map(partial(project, dict(pcas)), work.map_chunks)))
        rows = {
            name: Rows(*(np.concatenate([chunk[name][k] for chunk in chunks]) for k in (0, 1)))
            for name in pcas
        }
    rows["lens"] = Rows(observed.smoothed.values.reshape(-1, 1).astype(np.float32))
    return rows
