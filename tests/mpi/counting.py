"""A communicator that counts which collectives are called, and the bytes that are handed over."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Counts:
    """What a rank has called: name, bytes of each call, and the ranks that get a part of them."""

    calls: list[tuple[str, int, list[int]]] = field(default_factory=list)


class Counting:
    """Stands for a communicator of mpi4py."""

    def __init__(self, comm: Any, counts: Counts) -> None:
        self._comm, self._counts = comm, counts

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._comm, name)
        if not callable(value):
            return value

        def call(*args: Any, **keywords: Any) -> Any:
            if name == "Split":
                comm = value(*args, **keywords)
                return Counting(comm, self._counts) if comm else comm
            if name == "bcast":  # the others hand nothing over
                is_root = self._comm.rank == keywords["root"]
                handed = (len(pickle.dumps(args[0], 5)) if is_root else 0), []
            else:
                handed = _handed(name, args[0] if args else b"")
            self._counts.calls.append((name, *handed))
            return value(*args, **keywords)

        return call


def _handed(name: str, sent: Any) -> tuple[int, list[int]]:
    """Return the bytes handed to a call, and of an Alltoallv who gets some."""
    if name == "Alltoallv":
        counts = np.array(sent[1]).ravel()
        size = sent[2].Get_size() if len(sent) > 2 else sent[0].itemsize
        return int(counts.sum()) * size, np.flatnonzero(counts).tolist()
    if isinstance(sent, (list, tuple)):
        sent = sent[0]
    return (sent.nbytes if isinstance(sent, np.ndarray) else 0), []
