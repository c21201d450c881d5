"""Texts in JSON: their checksum, and the types and ranges of their fields.

A correct checksum shows that a file has not changed since it was written. It does not show that its
content makes sense, so every field is tested for its type and range when it is read.
"""

from __future__ import annotations

import base64
import contextlib
import json
import reprlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BufferError, DamageError

__all__ = [
    "checked_json",
    "checked_line",
    "integer",
    "optional_step",
    "pack_array",
    "read_json",
    "sensible",
    "text",
    "unpack_array",
]

_LARGEST = 2**63 - 1


def checked_json(content: dict[str, Any]) -> bytes:
    """Return JSON text that holds its own CRC32."""
    dumped = json.dumps({**content, "crc32": _json_crc(content)}, indent=1, sort_keys=True)
    return dumped.encode() + b"\n"


def checked_line(content: dict[str, Any]) -> bytes:
    """Return the same as one line."""
    return json.dumps({**content, "crc32": _json_crc(content)}, sort_keys=True).encode() + b"\n"


def read_json(data: bytes, name: str) -> dict[str, Any]:
    """Read `checked_json` or `checked_line`; raise DamageError if anything in it changed."""
    try:
        content: dict[str, Any] = json.loads(data)
        stored = content.pop("crc32")
        intact = stored == _json_crc(content)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError, MemoryError):
        intact = False
    if not intact:
        raise DamageError(f"{name} is damaged (its checksum is wrong).")
    return content


@contextlib.contextmanager
def sensible(name: str) -> Iterator[None]:
    """Raise DamageError for fields of a file that are missing or impossible."""
    try:
        yield
    except BufferError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, zlib.error) as e:
        what = f"{e.args[0]!r} is missing" if isinstance(e, KeyError) else str(e)
        raise DamageError(
            f"{name} is damaged: its checksum is correct, but its content is impossible ({what})."
        ) from e
    except MemoryError as error:
        raise BufferError(
            f"{name} does not fit into the memory of this machine. Read it on a machine with more "
            "memory."
        ) from error


def integer(content: dict[str, Any], name: str, low: int = 0, high: int = _LARGEST) -> int:
    """Return a field that is a whole number from `low` to `high`; ValueError if it is not."""
    value = content[name]
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {reprlib.repr(value)}")
    return value


def optional_step(content: dict[str, Any], name: str) -> int | None:
    """Return a field that is a step or None; ValueError if it is neither."""
    # a branch may lie before step 0: a damaged frame 0 is written again
    return None if content[name] is None else integer(content, name, -1)


def text(content: dict[str, Any], name: str) -> str:
    """Return a field that is a text; ValueError if it is none."""
    value = content[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is {reprlib.repr(value)}")
    return value


def pack_array(array: NDArray[Any], dtype: str) -> str:
    """Return an array as text: base64 of zlib of its bytes in `dtype`."""
    return base64.b64encode(zlib.compress(array.astype(dtype).tobytes(), 6)).decode()


def unpack_array(packed: str, dtype: str, length: int) -> NDArray[Any]:
    """Read `pack_array`; ValueError if it does not have this length."""
    size = length * np.dtype(dtype).itemsize
    # no more than expected: a few bytes could be unpacked to more than the memory holds
    data = zlib.decompressobj().decompress(base64.b64decode(packed), size + 1)
    if len(data) != size:
        raise ValueError(f"a list does not have the length of {length} atoms")
    return np.frombuffer(data, dtype=dtype)


def _json_crc(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())
