"""The words of an analysis: each finding as a sentence, the same on terminal and page."""

from .lines import Line, headline, lines_of
from .of_dynamics import details
from .speaker import Speaker

__all__ = ["Line", "Speaker", "details", "headline", "lines_of"]
