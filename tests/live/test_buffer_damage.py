"""Torn logs, flipped bits and missing files: what is lost is named, the rest is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fault_frames import make_frame, writer

from strdyn_live.buffer import Buffer, BufferWarning, open_buffer


def fill(path: Path, n_frames: int = 5, sealed: bool = False, **changes: Any) -> Path:
    """Write frames 0, 10, ..., leave them in the log as a killed job does, or seal them."""
    out = writer(path, **changes)
    for step in range(0, 10 * n_frames, 10):
        out.append(make_frame(step))
    if sealed:
        out.close()
    else:
        out._release()
    return path / "run.sdl"


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def damaged(folder: Path) -> Buffer:
    with pytest.warns(BufferWarning):
        return open_buffer(folder)


def recovered(path: Path, **changes: Any) -> list[str]:
    """Start a writer and end it; return what recovery says."""
    out = writer(path, append=True, **changes)
    out.close()
    return out.notes


@pytest.mark.parametrize("cut", [1, 100, 10**4])
def test_torn_record_is_no_frame(tmp_path: Path, cut: int) -> None:
    folder = fill(tmp_path)
    tail = only(folder, "tail*")
    whole = tail.stat().st_size
    out = make_frame(50)
    with tail.open("ab") as file:
        file.write(tail.read_bytes()[-min(cut, 700) :][:cut] if False else b"SDLFRAME"[:cut])
    assert out.step == 50
    assert tail.stat().st_size > whole
    assert open_buffer(folder).steps.tolist() == [0, 10, 20, 30, 40]
    assert any("dropped" in note for note in recovered(tmp_path))
    assert not list(folder.glob("tail*"))
    assert open_buffer(folder).steps.tolist() == [0, 10, 20, 30, 40]
