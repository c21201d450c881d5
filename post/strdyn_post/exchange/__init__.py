"""Data for and from other programs."""
