"""LENS along the trajectory: δ, its smoothing and flicker, and the data set of χ."""
