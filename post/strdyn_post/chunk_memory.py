"""A map of chunks that keeps results: of a growing recording, only new frames are read."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .work import MapChunks

__all__ = ["ChunkMemory"]


class ChunkMemory:
    """A map of chunks that keeps the result of every chunk, and computes only new ones.

    A buffer grows only at its end, so all chunks but the last are the same at the next analysis.
    For these, nothing is read from the buffer again.

    Parameters
    ----------
    map_chunks : callable
        Maps the new chunks (see `analyse`). Functions and chunks must pickle.
    """

    def __init__(self, map_chunks: MapChunks = map) -> None:
        self._map = map_chunks
        self._known: dict[bytes, Any] = {}
        self._used: set[bytes] = set()

    def __call__(self, function: Callable[[Any], Any], chunks: Iterable[Any]) -> Iterator[Any]:
        """Yield the results of a function for every chunk, in order."""
        chunks = list(chunks)
        keys = [hashlib.sha256(pickle.dumps((function, chunk))).digest() for chunk in chunks]
        self._used.update(keys)
        new = {k: chunk for k, chunk in zip(keys, chunks, strict=True) if k not in self._known}
        results = iter(self._map(function, list(new.values())))
        for key in keys:
            if key not in self._known:
                self._known[key] = next(results)
            yield self._known[key]

    def forget(self, *, all_of_it: bool = False) -> None:
        """Forget the results that were not used since the last call, or all results."""
        self._known = {} if all_of_it else {key: self._known[key] for key in self._used}
        self._used = set()
