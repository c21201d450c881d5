"""From rows of χ to environments: principal components, clusters, models that last."""
