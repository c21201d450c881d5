"""The compiled module behind `strdyn_post.environments.single_linkage`."""

import numpy as np
from numpy.typing import NDArray

def join(
    ends: NDArray[np.int32], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]: ...
