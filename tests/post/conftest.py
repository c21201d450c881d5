"""What all tests of the offline half share."""

import pytest

from strdyn_post.scans import null_runs


@pytest.fixture(autouse=True)
def _few_nulls(request, monkeypatch):
    """Run each null once: they cost most of a small analysis. Tests of the nulls run them all."""
    if request.path.name != "test_nulls.py":
        monkeypatch.setattr(null_runs, "SEEDS", 1)
