"""The compiled module behind `strdyn_post.environments.spanning_tree`."""

import numpy as np
from numpy.typing import NDArray

def spanning_tree(
    rows: NDArray[np.float32], n_nearest: int, n_threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]: ...
