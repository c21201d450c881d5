"""Results on disk: the lock of a folder, and the content of its files."""
