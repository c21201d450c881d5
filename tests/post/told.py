"""What findings say: the texts that a reader must know."""

from __future__ import annotations

from strdyn_post.findings import ATTENTION, Finding
from strdyn_post.sentences import Speaker, lines_of


def told(findings, speaker=None) -> list[str]:
    """Return the texts that need attention."""
    lines = lines_of(findings, speaker or Speaker())
    return [line.text for line in lines if line.severity == ATTENTION]


def text_of(finding: Finding) -> str:
    """Return the text of one finding, of any severity."""
    (line,) = lines_of([finding], Speaker())
    return line.text
