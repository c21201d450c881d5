"""Routes of model recordings: scores in, route out."""

from __future__ import annotations

import numpy as np
from known.stays import frames_of

from strdyn_live.models import Model, predict
from strdyn_post.config import AnalysisConfig
from strdyn_post.environments.clustering import cluster_environments, cluster_lens
from strdyn_post.environments.clusters import Clustering
from strdyn_post.environments.reduction import Pca
from strdyn_post.routes import Route
from strdyn_post.routes.fitting import Rows, fit_route
from strdyn_post.signal.series import Series


def rows_of(soap: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Rows of scores of SOAP, with δ as the last one."""
    return np.concatenate([soap, delta[..., None]], axis=2).reshape(delta.size, -1)


def route_of(
    name: str, rows: np.ndarray, delta: Series, model: Model, pca: Pca | None = None
) -> Route:
    """Label rows by a model; nothing is merged."""
    labels = predict(model, rows)
    clusters = Clustering(labels, int(labels.max()) + 1, model)
    config = AnalysisConfig(method="kmeans")
    return fit_route(name, delta, Rows(rows.astype(np.float32)), pca, clusters, config)


def clustered_routes(
    soap: np.ndarray, delta: np.ndarray, config: AnalysisConfig
) -> dict[str, Route]:
    """Cluster and merge the three routes."""
    series = Series(delta, frames_of(*delta.shape))
    routes = {}
    for name, rows in (
        ("soap", soap.reshape(delta.size, -1)),
        ("lens", delta.reshape(-1, 1)),
        ("soap_lens", rows_of(soap, delta)),
    ):
        rows = rows.astype(np.float32)
        clusters = (
            cluster_lens(rows, config)
            if name == "lens"
            else cluster_environments(rows, config, delta.ravel())
        )
        routes[name] = fit_route(name, series, Rows(rows), None, clusters, config)
    return routes
