"""Runs one trial after the other, each in a process of its own that may be killed.

Reads tasks as lines of JSON, answers with lines of JSON. A task is done in a forked child (imports
cost more than a trial); the library of fault_injector.c is preloaded and armed in the child only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_frames import make_frame, make_reduced, same, writer

from strdyn_live.buffer import BufferError, open_buffer, pack, prune, sealing, storage, tail

N_FRAMES = 40
SEAL_BYTES = 7000  # about eight frames
TIME_LIMIT = 30.0

Tell = Callable[..., None]
STORE, OVERLAP = sys.argv[2:4]
MAKE = make_frame if STORE == "full" else make_reduced
FRAMES = [MAKE(step) for step in range(N_FRAMES)]  # made once, before the first fork


def write(
    folder: Path, tell: Tell, branch_step: int | None = None, careless: str | None = None
) -> None:
    """Record frames as a run with ``on_error drop`` does; tell of each that is committed.

    `careless` leaves an fsync out, to see that the trials find that.
    """
    if careless == "data":
        tail.sync_data = lambda _: None
    if careless == "names":
        tail.sync_folder = storage.sync_folder = sealing.sync_folder = lambda _: None
    try:
        out = writer(
            folder,
            store=STORE,
            overlap=OVERLAP,
            append="force" if branch_step is not None else False,
            branch_step=branch_step,
            seal_bytes=SEAL_BYTES,
        )
    except BufferError as error:
        tell(refused=str(error))
        return
    if out.notes:
        tell(notes=out.notes)
    for step in range(branch_step or 0, N_FRAMES):
        try:
            out.append(FRAMES[step])
        except BufferError as error:
            tell(dropped=step, error=str(error))
        else:
            tell(committed=step)
    try:
        out.close()
    except BufferError as error:
        tell(unsealed=str(error))


def recover(folder: Path, tell: Tell) -> None:
    """Start a writer and end it."""
    try:
        out = writer(folder, append=True, store=STORE)
        tell(notes=out.notes)
        out.close()
    except BufferError as error:
        tell(refused=str(error))


def repack(folder: Path, tell: Tell) -> None:
    """Pack a buffer."""
    try:
        pack(folder / "run.sdl", folder / "run.h5")
    except BufferError as error:
        tell(refused=str(error))


def remove(folder: Path, tell: Tell) -> None:
    """Prune a buffer."""
    try:
        tell(removed=prune(folder / "run.sdl").n_frames)
    except BufferError as error:
        tell(refused=str(error))


def check(folder: Path, tell: Tell, promised: list[int], name: str = "run.sdl") -> None:
    """Read everything; tell which promised frames are exact, named as damaged, or lost."""
    exact: list[int] = []
    named: list[int] = []
    wrong: list[str] = []
    try:
        buf = open_buffer(folder / name)
    except BufferError as error:
        tell(exact=[], named=promised, lost=[], wrong=[], damage=[str(error)])
        return
    damage = list(buf.damage)
    if list(buf.steps) != sorted(set(buf.steps.tolist())):
        wrong.append(f"steps {buf.steps.tolist()}")
    for k, step in enumerate(buf.steps.tolist()):
        try:
            frame, spectra = buf.stored_frame(k), buf.soap(k)
        except BufferError as error:
            named.append(step)
            damage.append(str(error))
            continue
        expected = FRAMES[step] if step in range(N_FRAMES) else None
        if expected and same(frame, expected) and (spectra == expected.spectra).all():
            exact.append(step)
        else:
            wrong.append(f"step {step} holds other numbers")
    missing = set(promised) - set(exact) - set(named)
    if missing and damage:
        named += sorted(missing)
        missing = set()
    tell(
        exact=[step for step in promised if step in exact],
        named=[step for step in promised if step in named],
        lost=sorted(missing),
        wrong=wrong,
        damage=damage,
    )


TASKS: dict[str, Callable[..., None]] = {
    "write": write,
    "recover": recover,
    "pack": repack,
    "prune": remove,
    "check": check,
}


def run_child(task: dict[str, Any], out: int) -> None:
    """Do one task, with its fault, in this process."""
    folder = Path(task["folder"])
    library = ctypes.CDLL(None)

    def tell(**facts: Any) -> None:
        if "committed" in facts and "record" in task:
            library.fault_note(f"committed {facts['committed']}".encode())
        os.write(out, json.dumps(facts).encode() + b"\n")

    if "record" in task:
        library.fault_record(task["record"].encode())
    library.fault_arm(
        str(folder).encode(),
        task.get("fault", "none").encode(),
        getattr(errno, task.get("errno", "EIO")),
        ctypes.c_long(task.get("at", 0)),
        int(task.get("persistent", False)),
    )
    TASKS[task["task"]](folder, tell, **task.get("given", {}))
    library.fault_count.restype = ctypes.c_long
    tell(operations=library.fault_count())


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task in a child; return how it ended and what it told."""
    reader, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            run_child(task, out)
        except BaseException:
            with contextlib.suppress(OSError):
                os.write(out, json.dumps({"unexplained": traceback.format_exc()}).encode() + b"\n")
            os._exit(1)
        os._exit(0)
    os.close(out)
    signal.alarm(int(TIME_LIMIT))
    hung = False

    def kill(*_: object) -> None:
        nonlocal hung
        hung = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    text = b""
    while piece := os.read(reader, 2**16):
        text += piece
    os.close(reader)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    told = [json.loads(line) for line in text.splitlines()]
    answer: dict[str, Any] = {"exit": os.waitstatus_to_exitcode(status), "hung": hung}
    answer["committed"] = [facts["committed"] for facts in told if "committed" in facts]
    answer["dropped"] = [facts for facts in told if "dropped" in facts]
    for facts in told:
        if "committed" not in facts and "dropped" not in facts:
            answer |= facts
    return answer


def main() -> None:
    """Serve tasks until the input ends."""
    warnings.simplefilter("ignore")
    started = time.monotonic()
    open_buffer_once(Path(sys.argv[1]))
    print(json.dumps({"ready": time.monotonic() - started}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def open_buffer_once(scratch: Path) -> None:
    """Make HDF5 initialise itself before the first fork."""
    with writer(scratch, store=STORE) as out:
        out.append(FRAMES[0])
    open_buffer(scratch / "run.sdl").frame(0)


if __name__ == "__main__":
    main()
