"""A communicator that counts: which collective calls, and the bytes that this rank hands over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Counts:
    """What a rank has called.

    `names`: one word a call, in order. `handed`: bytes handed to each call, and of a call that
    sends to single ranks those to others alone. `receivers`: ranks that a call sent bytes to.
    """

    names: list[str] = field(default_factory=list)
    handed: list[int] = field(default_factory=list)
    receivers: list[int] = field(default_factory=list)

    def add(self, name: str, n_bytes: int, n_receivers: int = 0) -> None:
        self.names.append(name)
        self.handed.append(int(n_bytes))
        self.receivers.append(int(n_receivers))


def _bytes(spec: Any) -> int:
    """Bytes of what is handed to a call of mpi4py: an array, or (array, counts, ..., type)."""
    return spec.nbytes if isinstance(spec, np.ndarray) else spec[0].nbytes


class Counting:
    """Stands for a communicator of mpi4py."""

    def __init__(self, comm: Any, counts: Counts) -> None:
        self._comm, self._counts = comm, counts

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._comm, name)
        if not callable(value) or name in ("Free",):
            return value

        def call(*args: Any, **keywords: Any) -> Any:
            if name == "Split":
                comm = value(*args, **keywords)
                return Counting(comm, self._counts) if comm else comm
            if name == "Alltoallv":
                self._counts.add(name, *self._to_others(*args))
            elif name[0].isupper() and name not in ("Abort", "Dup", "Barrier"):
                self._counts.add(name, _bytes(args[0]) if args else 0)
            else:
                self._counts.add(name, 0)
            return value(*args, **keywords)

        return call

    def _to_others(self, sent: Any, _received: Any) -> tuple[int, int]:
        """Bytes, and ranks that get some, of an Alltoallv, without what stays on this rank."""
        buffer, counts = sent[0], np.array(sent[1]).ravel()
        size = sent[-1].Get_size() if hasattr(sent[-1], "Get_size") else buffer.itemsize
        counts[self._comm.rank] = 0
        return int(counts.sum()) * size, int((counts > 0).sum())
