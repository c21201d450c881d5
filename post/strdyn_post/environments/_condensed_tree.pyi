"""The compiled module behind `strdyn_post.environments.condensed_tree`."""

import numpy as np
from numpy.typing import NDArray

def condense(
    joined: NDArray[np.int32],
    heights: NDArray[np.float64],
    sizes: NDArray[np.int32],
    min_cluster_size: int,
) -> tuple[
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.int32],
]: ...
