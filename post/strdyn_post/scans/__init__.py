"""The analysis again with another weight, number of clusters, Δt or smoothing window."""
