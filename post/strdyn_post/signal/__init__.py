"""δ along the trajectory: LENS, its smoothing and flicker, and the data set of χ."""
