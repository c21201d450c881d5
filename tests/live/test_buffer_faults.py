"""The promise of the buffer under faults: a sample of the sweeps of fault_trials.py, or all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_frames import make_frame, same
from fault_trials import (
    Driver,
    Tally,
    sweep_errors,
    sweep_everything,
    sweep_flips,
    sweep_kills,
    sweep_kills_in_recovery,
    sweep_pack,
    sweep_power,
    sweep_prune,
)

from strdyn_live.buffer import open_buffer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("driver"))
    yield driver
    driver.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory where there is one: the disk is not what is tried."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


SAMPLES: dict[str, Callable[[Driver, Path], Tally]] = {
    "kill": lambda drive, root: sweep_kills(drive, root, 131),
    "tear": lambda drive, root: sweep_kills(drive, root, 137, "tear"),
    "kill in recovery": lambda drive, root: sweep_kills_in_recovery(drive, root, 260, 31),
    "ENOSPC once": lambda drive, root: sweep_errors(drive, root, 83, "fail", "ENOSPC", False),
    "EIO once": lambda drive, root: sweep_errors(drive, root, 71, "fail", "EIO", False),
    "EDQUOT on": lambda drive, root: sweep_errors(drive, root, 139, "fail", "EDQUOT", True),
    "short writes": lambda drive, root: sweep_errors(drive, root, 181, "short", "EIO", True),
    "pack": lambda drive, root: sweep_pack(drive, root, 89),
    "prune": lambda drive, root: sweep_prune(drive, root, 17),
    "power": lambda drive, root: sweep_power(drive, root, 83, 1),
    "bits of a segment": lambda drive, root: sweep_flips(drive, root, "seg-*", 6007),
    "bits of a log": lambda drive, root: sweep_flips(drive, root, "tail-*", 1201, killed_at=137),
    "bits of a note": lambda drive, root: sweep_flips(drive, root, "last-*", 31),
    "bits of JSON": lambda drive, root: sweep_flips(drive, root, "*.json", 211),
}


def holds(tally: Tally) -> None:
    """Check that nothing was lost, in a sample that is large enough."""
    assert tally.faults == []
    assert tally.trials >= 3
    assert tally.exact + tally.named == tally.committed > 0
    assert tally.hung == tally.lost == 0


@pytest.mark.parametrize("name", SAMPLES)
def test_promise(drive: Driver, root: Path, name: str) -> None:
    holds(SAMPLES[name](drive, root))


@pytest.fixture(scope="module")
def drive_reduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("reduced"), "pca 3")
    yield driver
    driver.close()


REDUCED: dict[str, Callable[[Driver, Path], Tally]] = {
    "kill": lambda drive, root: sweep_kills(drive, root, 67),
    "ENOSPC once": lambda drive, root: sweep_errors(drive, root, 61, "fail", "ENOSPC", False),
    "EIO on": lambda drive, root: sweep_errors(drive, root, 97, "fail", "EIO", True),
    "pack": lambda drive, root: sweep_pack(drive, root, 89),
    "prune": lambda drive, root: sweep_prune(drive, root, 17),
    "power": lambda drive, root: sweep_power(drive, root, 83, 1),
    "bits of JSON": lambda drive, root: sweep_flips(drive, root, "*.json", 211),
}


@pytest.mark.parametrize("name", REDUCED)
def test_promise_of_scores(drive_reduced: Driver, root: Path, name: str) -> None:
    """Frames that need a basis: it is durable before them, or they are named."""
    holds(REDUCED[name](drive_reduced, root))


@pytest.fixture(scope="module")
def drive_beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("beside"), overlap="yes")
    yield driver
    driver.close()


BESIDE: dict[str, Callable[[Driver, Path], Tally]] = {
    "kill": lambda drive, root: sweep_kills(drive, root, 23),
    "tear": lambda drive, root: sweep_kills(drive, root, 29, "tear"),
    "kill in recovery": lambda drive, root: sweep_kills_in_recovery(drive, root, 260, 31),
    "ENOSPC once": lambda drive, root: sweep_errors(drive, root, 31, "fail", "ENOSPC", False),
    "EIO on": lambda drive, root: sweep_errors(drive, root, 37, "fail", "EIO", True),
    "power": lambda drive, root: sweep_power(drive, root, 41, 1),
}


@pytest.mark.parametrize("name", BESIDE)
def test_promise_while_a_thread_seals(drive_beside: Driver, root: Path, name: str) -> None:
    """Which operation meets the fault differs from run to run; the promise does not."""
    holds(BESIDE[name](drive_beside, root))


@pytest.mark.slow
def test_promise_at_every_operation(drive: Driver, root: Path) -> None:
    for tally in sweep_everything(drive, root):
        assert tally.faults == [], tally.name
        assert tally.exact + tally.named == tally.committed > 0
        assert tally.hung == tally.lost == 0


@pytest.mark.parametrize("careless", ["data", "names"])
def test_trials_notice_a_missing_fsync(drive: Driver, root: Path, careless: str) -> None:
    tally = sweep_power(drive, root, 61, 1, careless)
    assert tally.lost > 0 or tally.faults


def test_reader_beside_a_writer_that_is_killed(tmp_path: Path) -> None:
    """A reader that looks all the time sees whole frames, each once, never fewer."""
    code = (
        "import sys, time; from pathlib import Path; from fault_frames import *\n"
        "resume = sys.argv[2]\n"
        "start = int(resume) if resume else 0\n"
        "out = writer(Path(sys.argv[1]), append=bool(resume), seal_bytes=5000,\n"
        "             branch_step=start if resume else None)\n"
        "for step in range(start, 10**6): out.append(make_frame(step))\n"
    )
    here = Path(__file__).parent
    path = [str(here.parent.parent), str(here), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    buf, last = None, -1
    for _ in range(2):
        resume = "" if last < 0 else str(last)
        job = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), resume], env=environment)
        try:
            n_looks, first, deadline = 0, last, time.monotonic() + 60
            while n_looks < 20 or last < first + 30:
                assert time.monotonic() < deadline
                if not (tmp_path / "run.sdl" / "config.json").exists():
                    time.sleep(0.01)
                    continue
                buf = buf or open_buffer(tmp_path / "run.sdl")
                n_frames = buf.refresh()
                assert n_frames >= last + 1
                assert buf.steps.tolist() == list(range(n_frames))
                assert buf.damage == ()
                if n_frames:
                    last = n_frames - 1
                    assert same(buf.frame(-1), make_frame(last))
                    assert same(buf.frame(last // 2), make_frame(last // 2))
                n_looks += 1
        finally:
            job.send_signal(signal.SIGKILL)
            job.wait()
        assert buf is not None
        last = buf.refresh() - 1  # the restart supersedes no frame
