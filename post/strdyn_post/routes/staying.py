"""The stays of a route, with what smoothing alone would give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.models import Labels, predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.kinetics.filter_null import filter_null
from strdyn_post.kinetics.stays import Stays, find_stays
from strdyn_post.signal.series import Series

from .route import Route

__all__ = ["stays_of"]


def stays_of(route: Route, delta: Series, smoothed: Series, config: AnalysisConfig) -> Stays:
    """Return the committed stays of a route.

    Parameters
    ----------
    route : Route
    delta, smoothed : Series
        δ before smoothing, and as it enters χ.
    config : AnalysisConfig
        `smoothing_window`, `smoothing_order`, `trim`, `seed`.
    """
    null = None
    if route.name != "soap":
        null = filter_null(
            delta,
            route.frames,
            config,
            lambda values, atoms: _labels(route, values, values - smoothed.values[:, atoms], atoms),
        )
    return find_stays(route.final.labels, route.final.n_clusters, route.stretches, null)


def _labels(
    route: Route,
    delta: NDArray[np.floating[Any]],
    change: NDArray[np.floating[Any]],
    atoms: NDArray[np.int64],
) -> Labels:
    """Label the rows of some atoms with other values of δ, (n_shuffles, n_frames, n_chosen)."""
    pca, mapping = route.fit.pca, route.fit.mapping
    if pca is None:
        scores = delta[..., None]
    else:
        # a score changes by the loading of δ: no spectrum is read again
        scores = route.scores[:, atoms] + change[..., None] * (
            pca.weights[-1] * pca.components[:, -1]
        )
    rows = scores.reshape(-1, scores.shape[-1]).astype(np.float32)
    labels = predict(route.fit.model, rows).reshape(delta.shape)
    # noise is −1: it takes the last entry
    return labels if mapping is None else np.append(mapping, np.int32(-1))[labels]
