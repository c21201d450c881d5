"""Results on disk: who may write a folder, and what stands in its files."""
