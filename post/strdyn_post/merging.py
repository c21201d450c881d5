"""Merging of clusters: the public name of `strdyn_post.kinetics.merging`."""

from .kinetics.merging import Merge, merge_clusters, row_distances

__all__ = ["Merge", "merge_clusters", "row_distances"]
