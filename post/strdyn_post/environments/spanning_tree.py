"""The minimum spanning tree of mutual reachability distances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _spanning_tree

__all__ = ["spanning_tree"]

_LARGEST = 1e18  # its square is a number of single precision


def spanning_tree(
    rows: NDArray[np.floating[Any]], min_samples: int, n_threads: int = 0
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return a minimum spanning tree of mutual reachability distances.

    The core distance of a row is that of its `min_samples`-th nearest other row. The weight of an
    edge is the largest of the distance of its two rows and their core distances. Weights are exact
    to double precision for the rows in single precision. Many edges are equally heavy. Which of
    them are taken may differ from call to call. The sorted weights, and the components below every
    weight, do not.

    Parameters
    ----------
    rows : (n_rows, n_components) ndarray of float
        Scores; used in single precision.
    min_samples : int
        Smaller than the number of rows.
    n_threads : int, optional
        0: one for every core.

    Returns
    -------
    ends : (n_rows - 1, 2) int32 ndarray
        The two rows of each edge, in any order.
    weights : (n_rows - 1,) float64 ndarray
        Their mutual reachability distance.

    Raises
    ------
    ValueError
        If a value is not finite, or if there are too few rows.

    Notes
    -----
    Campello, Moulavi, Zimek, Sander, ACM Trans. Knowl. Discov. Data 10, 5 (2015). Borůvka's rounds
    over a k-d tree: March, Ram, Gray, KDD 2010, 603.
    """
    single = np.ascontiguousarray(rows, dtype=np.float32)
    if not 0 < min_samples < len(single):
        raise ValueError(
            f"found min_samples = {min_samples} for {len(single)} rows, expected at least one and "
            "fewer than the rows. Give more rows or a smaller number."
        )
    # without an array of flags; NaN fails both
    if not (single.max() < _LARGEST and single.min() > -_LARGEST):
        raise ValueError(
            f"found scores that are not finite or not below {_LARGEST:g}; expected finite numbers. "
            "Look for NaN in the scores, or rescale them."
        )
    return _spanning_tree.spanning_tree(single, min_samples + 1, n_threads)
