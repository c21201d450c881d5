"""The live half of strdyn-live: record SOAP spectra and neighbor lists while LAMMPS runs."""

from typing import TYPE_CHECKING, Any

from .config import LiveConfig
from .version import __version__

if TYPE_CHECKING:
    from .buffer import open_buffer
    from .recorder import Recorder

__all__ = ["LiveConfig", "Recorder", "__version__", "open_buffer"]


def __getattr__(name: str) -> Any:
    # imported where used: reading a buffer needs no LAMMPS and no MPI, recording no HDF5 reader
    if name == "Recorder":
        from .recorder import Recorder

        return Recorder
    if name == "open_buffer":
        from .buffer import open_buffer

        return open_buffer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
