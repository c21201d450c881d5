"""From rows of χ to clusters: principal components, clustering, models that label new rows."""
