"""The errors of the offline half; `ConfigError` is for settings."""

from __future__ import annotations

from strdyn_live.config import ConfigError

__all__ = ["AnalysisError", "ConfigError", "OutputError", "TrajectoryError"]


class AnalysisError(ValueError):
    """The data cannot be analysed; the message says what is missing."""


class OutputError(OSError):
    """An output cannot be written; the message says where, why, and what to do."""


class TrajectoryError(ValueError):
    """A trajectory cannot be read or described; the message says where, and how to mend it."""
