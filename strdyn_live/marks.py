"""Marks of environments: 1, 2, ... for those of SOAP, letters for those that only LENS tells."""

from __future__ import annotations

__all__ = ["mark_number"]


def mark_number(mark: str) -> int:
    """Return a mark as a whole number: 3 is 3, A is 101, B is 102, A2 is 201, L2 is 2.

    Examples
    --------
    >>> [mark_number(mark) for mark in ("3", "A", "B2")]
    [3, 101, 202]
    """
    letters, digits = mark.rstrip("0123456789"), mark.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if letters in ("", "L"):
        return int(digits)
    return 100 * int(digits or 1) + ord(letters) - ord("A") + 1
