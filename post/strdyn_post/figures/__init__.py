"""Figures: ``plot_*(..., ax=None) -> Axes``, each usable on its own."""

from .alluvial import plot_alluvial
from .arrhenius import plot_arrhenius
from .branches import plot_branches
from .chord import plot_chord
from .enrichment import plot_sites
from .intervals import plot_intervals
from .lags import plot_persistence, plot_timescales
from .lens import plot_lens_series
from .maps import plot_pca, plot_variance
from .origin import plot_foretelling, plot_hazard, plot_origin
from .path import plot_close_up, plot_path
from .sizes import plot_cluster_sizes
from .snapshot import VIEWS, plot_snapshot
from .style import save_figure
from .transitions import plot_dendrogram, plot_transition_matrix

__all__ = [
    "VIEWS",
    "plot_alluvial",
    "plot_arrhenius",
    "plot_branches",
    "plot_chord",
    "plot_close_up",
    "plot_cluster_sizes",
    "plot_dendrogram",
    "plot_foretelling",
    "plot_hazard",
    "plot_intervals",
    "plot_lens_series",
    "plot_origin",
    "plot_path",
    "plot_pca",
    "plot_persistence",
    "plot_sites",
    "plot_snapshot",
    "plot_timescales",
    "plot_transition_matrix",
    "plot_variance",
    "save_figure",
]
