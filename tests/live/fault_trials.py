"""Sweeps of faults over a recording, and what became of its committed frames.

``python tests/live/fault_trials.py`` runs all of them and writes the table of docs/reliability.md.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_power import Disk, read_log

HERE = Path(__file__).parent
ALL = list(range(40))


class Driver:
    """The process of fault_driver.py, with the injector preloaded; it records as is said."""

    def __init__(self, scratch: Path, store: str = "full", overlap: str = "no") -> None:
        library = scratch / "injector.so"
        source = HERE / "fault_injector.c"
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
        )
        paths = [str(HERE.parent.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "fault_driver.py"), str(scratch / "warm"), store, overlap],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "LD_PRELOAD": str(library),
                "PYTHONPATH": os.pathsep.join(paths),
                "OMP_NUM_THREADS": "1",
            },
        )
        self._answer()

    def __call__(self, task: str, folder: Path, **facts: Any) -> dict[str, Any]:
        """Do a task and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"task": task, "folder": str(folder), **facts}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the driver ended with {self._process.wait()}")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass
class Tally:
    """What a sweep has shown."""

    name: str
    trials: int = 0
    committed: int = 0
    exact: int = 0
    named: int = 0
    lost: int = 0
    hung: int = 0
    faults: list[str] = field(default_factory=list)  # of the buffer, in words

    def expect(self, condition: bool, what: str) -> None:
        """Note what must not be."""
        if not condition:
            self.faults.append(what)

    def ran(self, answer: dict[str, Any], where: str, may_die: bool = False) -> None:
        """Note a process that hung, crashed or raised what it should not."""
        self.hung += answer["hung"]
        self.expect("unexplained" not in answer, f"{where}: {answer.get('unexplained')}")
        ok = answer["exit"] == 0 or (may_die and answer["exit"] == -9)
        self.expect(ok and not answer["hung"], f"{where}: exit {answer['exit']}")

    def read(
        self,
        drive: Driver,
        folder: Path,
        promised: list[int],
        where: str,
        damage: bool = False,
        name: str = "run.sdl",
    ) -> None:
        """Read a buffer and count the promised frames."""
        if not promised and not (folder / name).exists():
            return
        answer = drive("check", folder, given={"promised": promised, "name": name})
        self.ran(answer, f"{where}, reading")
        if answer["exit"] != 0:
            self.lost += len(promised)
            return
        self.committed += len(promised)
        self.exact += len(answer["exact"])
        self.named += len(answer["named"])
        self.lost += len(answer["lost"])
        self.expect(not answer["lost"], f"{where}: lost {answer['lost']}")
        self.expect(not answer["wrong"], f"{where}: {answer['wrong']}")
        if not damage:
            self.expect(not answer["named"], f"{where}: {answer['named']} {answer['damage']}")


def trial_folder(root: Path) -> Path:
    """Return a new empty folder."""
    return Path(tempfile.mkdtemp(dir=root))


def go_on(tally: Tally, drive: Driver, folder: Path, committed: list[int], where: str) -> None:
    """Recover, restart at the last committed step, and compare with an uninterrupted run."""
    answer = drive("write", folder, given={"branch_step": committed[-1] if committed else 0})
    tally.ran(answer, f"{where}, going on")
    tally.expect(not answer["dropped"], f"{where}, going on: {answer['dropped']}")
    tally.read(
        drive, folder, sorted({*committed, *ALL[committed[-1] if committed else 0 :]}), where
    )


def count_operations(drive: Driver, root: Path, task: str = "write") -> int:
    """Return how many file operations an undisturbed run has."""
    folder = trial_folder(root)
    answer = drive(task, folder)
    assert answer["committed"] == ALL, answer
    shutil.rmtree(folder)
    return int(answer["operations"])


def sweep_kills(drive: Driver, root: Path, stride: int, kind: str = "kill") -> Tally:
    """Kill at an operation (or in the middle of a write), read, go on."""
    name = {"kill": "SIGKILL before an operation", "tear": "SIGKILL in the middle of a write"}[kind]
    tally = Tally(name)
    for at in range(1, count_operations(drive, root) + 1, stride):
        folder, where = trial_folder(root), f"{kind} at {at}"
        answer = drive("write", folder, fault=kind, at=at)
        tally.ran(answer, where, may_die=True)
        tally.trials += 1
        tally.read(drive, folder, answer["committed"], where)
        go_on(tally, drive, folder, answer["committed"], where)
        shutil.rmtree(folder)
    return tally


def sweep_kills_in_recovery(drive: Driver, root: Path, stride: int, step: int = 1) -> Tally:
    """Kill a run, then its recovery at every operation; twice in a row at some."""
    tally = Tally("SIGKILL, and again at an operation of the recovery")
    for at in range(1, count_operations(drive, root) + 1, stride):
        killed = trial_folder(root)
        committed = drive("write", killed, fault="tear", at=at)["committed"]
        if not list(killed.glob("run.sdl/config.json")):
            shutil.rmtree(killed)
            continue
        for again in itertools.count(1, step):
            folder, where = trial_folder(root), f"kill at {at}, recovery at {again}"
            shutil.copytree(killed, folder, dirs_exist_ok=True)
            answer = drive("recover", folder, fault="tear", at=again)
            tally.ran(answer, where, may_die=True)
            tally.trials += 1
            tally.read(drive, folder, committed, where)
            if again % 3 == 1:
                second = drive("recover", folder, fault="kill", at=again // 3 + 1)
                tally.ran(second, where, may_die=True)
                tally.read(drive, folder, committed, where)
            go_on(tally, drive, folder, committed, where)
            shutil.rmtree(folder)
            if answer["exit"] == 0:
                break
        shutil.rmtree(killed)
    return tally


def sweep_errors(
    drive: Driver, root: Path, stride: int, fault: str, error: str, persistent: bool
) -> Tally:
    """Let an operation fail, once or from then on; the run goes on (``on_error drop``)."""
    what = "short write" if fault == "short" else error
    tally = Tally(f"{what}, {'from an operation on' if persistent else 'once'}")
    for at in range(1, count_operations(drive, root) + 1, stride):
        folder, where = trial_folder(root), f"{tally.name} at {at}"
        answer = drive("write", folder, fault=fault, errno=error, at=at, persistent=persistent)
        tally.ran(answer, where)
        tally.trials += 1
        committed = answer["committed"]
        if fault == "short":
            tally.expect(committed == ALL, f"{where}: only {committed}")
        elif not persistent:
            started = "refused" not in answer
            tally.expect(
                len(answer["dropped"]) <= 1 or not started, f"{where}: {answer['dropped']}"
            )
        for dropped in answer["dropped"]:
            text, file = dropped["error"], str(folder)
            tally.expect(
                file in text and (f"step {dropped['dropped']} " in text or "start" in text),
                f"{where}: {text}",
            )
        tally.read(drive, folder, committed, where)
        if persistent or fault == "short":
            go_on(tally, drive, folder, committed, where)
        shutil.rmtree(folder)
    return tally


def sweep_pack(drive: Driver, root: Path, stride: int) -> Tally:
    """Let an operation of `pack` fail: the file is complete or not there, the buffer unchanged."""
    tally = Tally("ENOSPC, SIGKILL, short writes in `pack`")
    source = trial_folder(root)
    drive("write", source)
    n_operations = drive("pack", source)["operations"]
    (source / "run.h5").unlink()
    for at in range(1, n_operations + 1, stride):
        for fault in ("fail", "kill", "short"):
            where = f"pack, {fault} at {at}"
            answer = drive("pack", source, fault=fault, errno="ENOSPC", at=at, persistent=True)
            tally.ran(answer, where, may_die=True)
            tally.trials += 1
            tally.read(drive, source, ALL, where)
            if (source / "run.h5").exists():
                tally.read(drive, source, ALL, where, name="run.h5")
                (source / "run.h5").unlink()
    tally.ran(drive("pack", source), "pack after all that")
    tally.read(drive, source, ALL, "pack after all that", name="run.h5")
    shutil.rmtree(source)
    return tally


def sweep_prune(drive: Driver, root: Path, stride: int) -> Tally:
    """Let an operation of `prune` fail, then prune again: the live frames are always there."""
    tally = Tally("SIGKILL, EIO once, ENOSPC from then on in `prune`")
    source = trial_folder(root)
    drive("write", source)
    drive("write", source, given={"branch_step": 25})  # 14 frames are superseded, in three segments
    for at in itertools.count(1, stride):
        for fault, error, persistent in (
            ("kill", "EIO", False),
            ("tear", "EIO", False),
            ("fail", "EIO", False),
            ("fail", "ENOSPC", True),
        ):
            where = f"prune, {fault} {error} at {at}"
            folder = trial_folder(root)
            shutil.copytree(source, folder, dirs_exist_ok=True)
            answer = drive("prune", folder, fault=fault, errno=error, at=at, persistent=persistent)
            tally.ran(answer, where, may_die=True)
            tally.trials += 1
            tally.read(drive, folder, ALL, where)
            again = drive("prune", folder)
            tally.ran(again, f"{where}, again")
            # all or nothing was deleted, but for a kill or an error between two deletions
            tally.expect(again.get("removed", -1) in range(15), f"{where}, again: {again}")
            tally.read(drive, folder, ALL, f"{where}, again")
            left = {path.name.rsplit(".", 1)[-1] for path in folder.glob("run.sdl/*")}
            tally.expect(left <= {"json", "h5", "lock"}, f"{where}, again: {left}")
            go_on(tally, drive, folder, ALL, where)
            shutil.rmtree(folder)
        if answer["operations"] < at:
            break
    shutil.rmtree(source)
    return tally


def sweep_power(
    drive: Driver, root: Path, stride: int, repeats: int, careless: str | None = None
) -> Tally:
    """Lose power after an operation; what was not fsynced is there or not, by chance."""
    tally = Tally("loss of power after an operation")
    source, log = trial_folder(root), root / "operations"
    answer = drive("write", source, record=str(log), given={"careless": careless})
    tally.ran(answer, "recording")
    operations = list(read_log(log))
    rng = random.Random(1)
    disk, committed, n = Disk(str(source)), [], 0
    for operation in operations:
        if operation.kind == "note":
            committed.append(int(operation.path.split()[1]))
            continue
        disk.apply(operation)
        n += 1
        if n % stride:
            continue
        for repeat in range(repeats):
            folder, where = trial_folder(root), f"power lost after {n}, {repeat}"
            disk.lose_power(folder, rng)
            tally.trials += 1
            # what lies beyond the last commit may look damaged: it is named, not promised
            tally.read(drive, folder, list(committed), where)
            go_on(tally, drive, folder, list(committed), where)
            shutil.rmtree(folder)
    return tally


def flipped(root: Path, source: Path, file: Path, offset: int, bit: int) -> Path:
    """Return a copy of a buffer with one bit changed."""
    folder = trial_folder(root)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    path = folder / file
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)
    return folder


def sweep_flips(drive: Driver, root: Path, pattern: str, step: int, killed_at: int = 0) -> Tally:
    """Flip one bit of every `step`-th byte of the files of one kind; read, recover, read."""
    tally = Tally(f"one bit of {pattern}")
    source = trial_folder(root)
    fault = {"fault": "kill", "at": killed_at} if killed_at else {}
    committed = drive("write", source, **fault)["committed"]
    rng = random.Random(2)
    files = sorted(source.glob(f"run.sdl/{pattern}"))
    assert files, pattern
    for path in files[:2]:
        size = path.stat().st_size
        for offset in sorted({*range(rng.randrange(step), size, step), size - 1}):
            folder = flipped(root, source, path.relative_to(source), offset, rng.randrange(8))
            where = f"{path.name}, byte {offset}"
            tally.trials += 1
            tally.read(drive, folder, committed, where, damage=True)
            answer = drive("recover", folder)
            tally.ran(answer, where)
            tally.read(drive, folder, committed, f"{where}, recovered", damage=True)
            shutil.rmtree(folder)
    return tally


def sweep_everything(drive: Driver, root: Path) -> Iterator[Tally]:
    """Run every sweep, the main ones at every operation."""
    yield sweep_kills(drive, root, 1)
    yield sweep_kills(drive, root, 1, "tear")
    yield sweep_kills_in_recovery(drive, root, 27, 3)
    for error, stride in (("ENOSPC", 1), ("EIO", 1), ("EDQUOT", 5), ("EROFS", 5)):
        for persistent in (False, True):
            yield sweep_errors(drive, root, stride, "fail", error, persistent)
    for persistent in (False, True):
        yield sweep_errors(drive, root, 3, "short", "EIO", persistent)
    yield sweep_pack(drive, root, 1)
    yield sweep_prune(drive, root, 1)
    yield sweep_power(drive, root, 1, 1)
    yield sweep_flips(drive, root, "seg-*.h5", 37)
    yield sweep_flips(drive, root, "tail-*.log", 7, killed_at=137)
    yield sweep_flips(drive, root, "gen-*.json", 5)
    yield sweep_flips(drive, root, "last-*.json", 5)
    yield sweep_flips(drive, root, "config.json", 13)


def report(tallies: list[Tally], seconds: float, operations: int) -> str:
    """Return docs/reliability.md."""
    rows = [
        f"| {tally.name} | {tally.trials} | {tally.committed} | {tally.exact} | {tally.named} "
        f"| {tally.lost} | {tally.hung} | {len(tally.faults)} |"
        for tally in tallies
    ]
    return TEXT.format(
        table="\n".join(rows),
        operations=operations,
        trials=sum(tally.trials for tally in tallies),
        minutes=round(seconds / 60),
        lost=sum(tally.lost for tally in tallies),
    )


TEXT = """\
# What the buffer survives

The promise is in the docstring of `strdyn_live.buffer`: a committed frame reads back bit by bit, or
is named as damaged. This page is written by `python tests/live/fault_trials.py`, from a run of
{trials} trials in {minutes} minutes that lost {lost} frames.

Every trial is a recording of 40 small frames with five seals, {operations} file operations, in a
process of its own. A library loaded before the C library (`tests/live/fault_injector.c`) counts the
operations that change something below the folder (create, write, fsync, rename, link, unlink,
truncate, mkdir) and lets number *n* meet its fault, for every *n* (EDQUOT, EROFS and short writes:
for some). Then the buffer is read as it is; then the run goes on from its last committed step, and
the result must equal that of an undisturbed run.

| fault | trials | frames read | exact | named as damaged | lost | hung | broken promises |
|---|---|---|---|---|---|---|---|
{table}

- Frames are counted once for each time they are read: after the fault, and after going on.
- An error met `once` may cost the one frame that met it (`on_error drop` reports it, with file,
  step and remedy); every other frame is committed. An error that stays costs the frames from there
  on, and none before.
- Loss of power: of the data written to a file since its last fsync any subset of 4 KiB pages
  arrives, of the names created, renamed or removed since the last fsync of their folder any subset.
  With the fsync of the log, or that of the folder, left out on purpose the same trials find lost
  frames: they can fail.
- A flipped bit in a log or in the spectra or positions of a segment costs one frame; in neighbor
  lists the frames of one compressed chunk (2 MiB of IDs); in the index of a segment that segment;
  in `config.json` or a generation file nothing, as every data file has a copy; in the note of the
  last step (`last-*.json`) nothing but that note.
- Frames stored by scores meet a sample of these faults as well (kills, full disks, errors that
  stay, loss of power, flipped bits in JSON, `pack`, `prune`; `tests/live/test_buffer_faults.py`):
  none was lost. A flipped bit in the file of a basis costs nothing, as it holds the basis twice.
- With `overlap yes` a thread seals the logs while frames are committed. Such recordings meet a
  sample of kills, errors and losses of power (the same file): none was lost.
- Not tried, because nothing can be promised: file systems that report fsync as done before the data
  is on disk.
"""


def main() -> None:
    """Run everything, print the table as it grows, write the page."""
    root = Path(tempfile.mkdtemp())
    drive = Driver(root)
    tallies = []
    started = time.monotonic()
    for tally in sweep_everything(drive, root):
        tallies.append(tally)
        print(tally.name, tally.trials, tally.lost, len(tally.faults), flush=True)
        for fault in tally.faults[:5]:
            print("   ", fault, flush=True)
    seconds, operations = time.monotonic() - started, count_operations(drive, root)
    drive.close()
    shutil.rmtree(root)
    page = HERE.parent.parent / "docs" / "reliability.md"
    page.write_text(report(tallies, seconds, operations))


if __name__ == "__main__":
    main()
