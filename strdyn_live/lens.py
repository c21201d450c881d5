"""LENS: how much of an atom's neighborhood changed its identity between two frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernel
from .neighbors import NeighborLists

__all__ = ["lens"]


def lens(before: NeighborLists, after: NeighborLists) -> NDArray[np.float64]:
    r"""Local Environments and Neighbors Shuffling of every center.

    .. math:: \delta_i = |C_i(t) \triangle C_i(t+\Delta t)| / (|C_i(t)| + |C_i(t+\Delta t)|)

    with :math:`C_i` the set of neighbor IDs (Crippa et al., PNAS 120, e2300565120, 2023).

    Parameters
    ----------
    before, after : NeighborLists
        Lists of the same centers, in the same order, at the two frames.

    Returns
    -------
    (n_centers,) float64 ndarray
        0: no change (or no neighbor in both frames); 1: nothing in common.

    Raises
    ------
    ValueError
        If the two do not hold the same number of centers, or a list is not sorted.

    Examples
    --------
    One of four neighbors is replaced: 2 of 8 IDs are in one list only.

    >>> import numpy as np
    >>> before = NeighborLists(np.array([0, 4]), np.array([2, 3, 4, 5]))
    >>> after = NeighborLists(np.array([0, 4]), np.array([2, 3, 4, 6]))
    >>> lens(before, after)
    array([0.25])
    """
    return kernel.lens(before.offsets, before.ids, after.offsets, after.ids)
