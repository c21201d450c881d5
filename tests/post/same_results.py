"""Are two results the same, bit by bit?   python tests/post/same_results.py BEFORE AFTER

BEFORE and AFTER are folders (or ``results.h5``) of one recording with one configuration, written by
two versions of the code, or on one process and on several. Every array and number of BEFORE must be
in AFTER with the same bits; what AFTER holds beyond is named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# differ from run to run, or name the run
OWN = ("run_id", "timings", "written_by", "warnings", "findings", "provenance", "settings")


def compare(before: Path, after: Path) -> tuple[list[str], list[str]]:
    """Return what differs, and what only `after` holds."""
    old, new = dict(read(before)), dict(read(after))
    differ = [
        f"{name}: {'gone' if name not in new else _difference(value, new[name])}"
        for name, value in old.items()
        if name not in new or not _same(value, new[name])
    ]
    return differ, sorted(new.keys() - old.keys())


def read(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every dataset and attribute of the results, and of summary.json."""
    folder = path if path.is_dir() else path.parent
    found: list[tuple[str, Any]] = []
    with h5py.File(folder / "results.h5" if path.is_dir() else path) as file:
        file.visititems(
            lambda name, item: (
                found.append((name, item[()])) if isinstance(item, h5py.Dataset) else None
            )
        )
        for group in (file, *(file[name] for name in ("soap", "lens", "soap_lens"))):
            found += [(f"{group.name}@{name}", value) for name, value in group.attrs.items()]
    summary = folder / "summary.json" if path.is_dir() else path.with_suffix(".json")
    if summary.is_file():
        found += [
            (f"summary.{name}", value) for name, value in _leaves(json.loads(summary.read_text()))
        ]
    yield from ((name, value) for name, value in found if not any(part in name for part in OWN))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, f"{name}.{key}")
    else:
        yield name.lstrip("."), value


def _same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()) or (
        one.dtype == object and one.tolist() == other.tolist()
    )


def _difference(one: Any, other: Any) -> str:
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{one.dtype} {one.shape} against {other.dtype} {other.shape}"
    if one.shape == ():
        return f"{one} against {other}"
    return f"{np.count_nonzero(one != other)} of {one.size} differ"


if __name__ == "__main__":
    differences, new = compare(Path(sys.argv[1]), Path(sys.argv[2]))
    print(
        *differences,
        f"{len(differences)} differences; new: {', '.join(new) or 'nothing'}",
        sep="\n",
    )
    sys.exit(bool(differences))
