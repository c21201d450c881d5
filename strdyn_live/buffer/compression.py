"""Compression of a packed buffer: by which filter, and to which precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_live.settings import ConfigError, nearest

__all__ = ["BLOSC2", "COMPRESSIONS", "Compression", "require_filters"]

BLOSC2 = 32026  # its number among the registered filters of HDF5


@dataclass(frozen=True)
class Compression:
    """One way to make spectra and scores smaller.

    Attributes
    ----------
    about : str
        In words.
    gzip : int
        Level of HDF5's own filter, after a shuffle of the bytes; 0 for the filter blosc2.
    rounded_to : float
        Numbers become multiples of this; 0: they stay as they are.
    """

    about: str
    gzip: int = 1
    rounded_to: float = 0.0

    @classmethod
    def named(cls, name: str | None) -> Compression | None:
        """Return the one with a name, None for no name; ConfigError if there is none.

        ImportError if it needs a package that is missing.
        """
        if name is None:
            return None
        if name not in COMPRESSIONS:
            raise ConfigError(
                f"compress = {name!r}: expected one of {', '.join(COMPRESSIONS)}."
                f"{nearest(name, list(COMPRESSIONS))}"
            )
        chosen = COMPRESSIONS[name]
        if not chosen.gzip:
            require_filters()
        return chosen

    @property
    def filters(self) -> Mapping[str, Any]:
        """Options of h5py for a data set."""
        if self.gzip:
            return {"shuffle": True, "compression": "gzip", "compression_opts": self.gzip}
        import hdf5plugin

        options: Mapping[str, Any] = hdf5plugin.Blosc2(
            cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.SHUFFLE
        )
        return options

    def round(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is stored of some numbers; each is off by at most half of `rounded_to`."""
        if not self.rounded_to:
            return values
        # powers of 2 divide float32 exactly; + 0 makes 0 of -0
        step = np.float32(self.rounded_to)
        rounded: NDArray[np.float32] = np.round(values / step) * step + np.float32(0.0)
        return rounded


COMPRESSIONS = {
    "gzip": Compression("lossless, read by every HDF5"),
    "blosc2": Compression("lossless, faster to read, needs hdf5plugin", gzip=0),
    "rounded": Compression("numbers rounded to multiples of 2⁻²⁰, then gzip", rounded_to=2.0**-20),
}


def require_filters() -> None:
    """Make the filters of hdf5plugin known to HDF5.

    Raises
    ------
    ImportError
        If it is not installed; the message says how.
    """
    try:
        import hdf5plugin  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "compression by blosc2 needs the package hdf5plugin: "
            "pip install 'strdyn-live[compression]'"
        ) from error
