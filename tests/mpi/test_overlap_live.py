"""`overlap`: the same buffer, values and events, while LAMMPS goes on during the description."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from fix_scripts import of_system, values_in
from systems import newest_restart
from test_errors_live import program
from test_fix_live import FITTED, HOT, model  # noqa: F401
from test_restart_live import (
    EVERY,
    finish,
    fix_script,
    kill,
    same,
    start,
    start_fix,
    wait_for_frames,
)

from strdyn_live import buffer, open_buffer
from strdyn_post import load_results

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("driver.py")
STORE_DRIVER = Path(__file__).with_name("store_driver.py")


def identical(one, other):
    """Both buffers hold the same bits, and the same was said of them during the run."""
    assert one.steps.tolist() == other.steps.tolist()
    assert one.times.tolist() == other.times.tolist()
    assert one.n_scores_of.tolist() == other.n_scores_of.tolist()
    for k in range(one.n_frames):
        assert one.positions(k).tobytes() == other.positions(k).tobytes()
        assert one.soap(k).tobytes() == other.soap(k).tobytes()
        assert one.neighbors(k).offsets.tolist() == other.neighbors(k).offsets.tolist()
        assert one.neighbors(k).ids.tolist() == other.neighbors(k).ids.tolist()
    assert one.live("values") == other.live("values")
    events = [[{**each, "file": Path(each["file"]).name} for each in buf.live("event")]
              for buf in (one, other)]  # fmt: skip
    assert events[0] == events[1]


def ran(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


VALUES = """
dump live surface custom 5 {output}.live id f_sd[1] f_sd[2] f_sd[3]
dump_modify live format float %.17g
"""


@pytest.mark.parametrize(
    ("n_ranks", "words"),
    [
        (1, {}),
        (2, {"writers": 2}),
        (2, {"store": "pca 10"}),
        (2, {"store": "none", "adaptive": "5 while lens_max > 0.3"}),
        (4, {"writers": 3, "model": True}),
    ],
    ids=str,
)
def test_fix_strdyn(n_ranks, words, model, run_lmp, tmp_path):  # noqa: F811
    """The values of an atom come one interval later, also where it has changed its rank."""
    words = {**FITTED, "event": "hop when lens_max > 0.2 do dump print", **words}
    if words.get("model"):
        words["model"] = model
    for overlap in ("no", "yes"):
        script = of_system(
            "cu_slab",
            overlap,
            before=HOT.format(seed=6),
            after=VALUES.format(output=overlap),
            run="run 100\nrun 57",
            **{**words, "overlap": overlap},
        )
        said = ran(run_lmp(script, n_ranks=n_ranks))
        assert ("committed one interval later" in said) == (overlap == "yes")
    one, other = open_buffer(tmp_path / "no.sdl"), open_buffer(tmp_path / "yes.sdl")
    identical(one, other)
    assert one.live("event")
    if "model" in words:
        assert (one.live_labels()[1] == other.live_labels()[1]).all()
        assert load_results(model).names["soap_lens"].marks
    events = [sorted(tmp_path.glob(f"{name}.events/*.json")) for name in ("no", "yes")]
    for early, late in zip(*events, strict=True):
        about = [json.loads(path.read_text()) for path in (early, late)]
        assert about[0]["frames"] == about[1]["frames"]
    at_once, later = values_in(tmp_path / "no.live"), values_in(tmp_path / "yes.live")
    frames = one.steps.tolist()
    for before, step in itertools.pairwise(frames):
        if step != 100:  # a run ends there
            assert later[step] == at_once[before]


def test_a_python_driver(run_driver, tmp_path):
    for n_ranks, writers in ((1, 1), (2, 2)):
        for overlap in ("no", "yes"):
            name = f"{overlap}{n_ranks}"
            words = [f"writers={writers}", f"overlap={overlap}"]
            ran(run_driver(DRIVER, "cu_slab", name, *words, n_ranks=n_ranks))
        buffers = [open_buffer(tmp_path / f"{name}{n_ranks}.sdl") for name in ("no", "yes")]
        identical(*buffers)


def test_a_basis_that_grows(run_driver, tmp_path):
    for overlap in ("no", "yes"):
        ran(run_driver(STORE_DRIVER, overlap, "100", "store=pca 10", f"overlap={overlap}"))
    one, other = open_buffer(tmp_path / "no.sdl"), open_buffer(tmp_path / "yes.sdl")
    identical(one, other)
    assert len(set(one.n_scores_of.tolist())) > 2


WAITS = """
import threading, time
from strdyn_live import recorder
describe, seen = recorder.describe, []
def beside(frame, *args):
    deadline = time.monotonic() + 20.0
    while frame.step and lmp.extract_global("ntimestep") <= frame.step + 3:
        assert time.monotonic() < deadline, "LAMMPS waits"
        time.sleep(0.001)
    seen.append(threading.current_thread() is threading.main_thread())
    return describe(frame, *args)
recorder.describe = beside
"""


def test_lammps_goes_on_meanwhile(run_driver, tmp_path):
    """Each description waits until LAMMPS is three steps ahead."""
    run = 'lmp.command("run 45")\nrecorder.close()\nassert seen == [False] * 5, seen'
    path = program(tmp_path, before=WAITS, settings=", overlap=True", run=run)
    ran(run_driver(path))
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20, 30, 40]


FAILS = """
from strdyn_live import recorder
describe = recorder.describe
def fail(frame, *args):
    if frame.step == 30 and MPI.COMM_WORLD.rank == 1:
        raise MemoryError("no room for spectra")
    return describe(frame, *args)
recorder.describe = fail
"""


@pytest.mark.parametrize("on_error", ["stop", "drop"])
def test_an_error_of_the_thread(on_error, run_driver, tmp_path):
    """It is raised on all ranks when LAMMPS calls the next time."""
    settings = f", overlap=True, on_error={on_error!r}"
    done = run_driver(
        program(tmp_path, before=FAILS, settings=settings, run='lmp.command("run 60")')
    )
    assert "MemoryError: no room for spectra (rank 1)" in done.stderr
    steps = open_buffer(tmp_path / "run.sdl").steps.tolist()
    if on_error == "stop":
        assert done.returncode != 0
        assert steps == [0, 10, 20]
    else:
        assert done.returncode == 0
        assert steps == [0, 10, 20, 40, 50, 60]


def test_an_error_of_lammps_keeps_the_frame_before(run_driver, tmp_path):
    """LAMMPS ends a run with an error in the middle of an interval, and Python goes on."""
    run = (
        'lmp.command("variable s equal step")\n'
        'lmp.command("fix stop all halt 1 v_s >= 25 error hard")\n'
        "try:\n    lmp.command('run 60')\nexcept Exception as error:\n    print(error)\n"
        "recorder.close()"
    )
    ran(run_driver(program(tmp_path, settings=", overlap=True", run=run)))
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20]


HALT = """
variable s equal step
fix stop all halt 1 v_s >= {step} error soft
"""


def test_a_run_that_ends_early(run_lmp, tmp_path):
    """The last frame is committed, and handed back, when `fix halt` has ended the run."""
    text = 'run 100\nprint "largest: $(f_sd[2]:%.17g)"'
    printed = []
    for overlap in ("no", "yes"):
        script = of_system(
            "cu_slab",
            overlap,
            before=HOT.format(seed=6),
            after=HALT.format(step=44),
            run=text,
            overlap=overlap,
        )
        said = ran(run_lmp(script)).splitlines()
        printed += [line for line in said if line.startswith("largest:")]
    one, other = open_buffer(tmp_path / "no.sdl"), open_buffer(tmp_path / "yes.sdl")
    assert other.steps.tolist() == [0, 10, 20, 30, 40]
    identical(one, other)
    assert printed[0] == printed[1]
    assert float(printed[0].split()[1]) == other.live("values")[-1]["lens_max"] > 0.0


def test_halt_comes_one_interval_later(run_lmp, tmp_path):
    changed = {"event": "stop when lens_max > 0.2 do halt"}
    for overlap in ("no", "yes"):
        script = of_system(
            "cu_slab",
            overlap,
            before=HOT.format(seed=6),
            run="run 200",
            **{**changed, "overlap": overlap},
        )
        ran(run_lmp(script))
    (early,), (late,) = (open_buffer(tmp_path / f"{o}.sdl").live("event") for o in ("no", "yes"))
    assert early == late
    steps = [open_buffer(tmp_path / f"{o}.sdl").steps[-1] for o in ("no", "yes")]
    assert steps == [early["step"], early["step"] + 10]


def test_restart_files_hold_what_the_buffer_holds(run_lmp, tmp_path):
    """The frame at the step of a restart file is committed before the file is written."""
    for name, words in (("off", ""), ("on", "overlap yes")):
        folder = tmp_path / name
        folder.mkdir()
        for n_steps, restart in ((70, None), (130, "run.state.50"), (200, "run.state.100")):
            script = fix_script(n_steps, restart and f"{name}/{restart}", words)
            for old in ("run.state.*", "run.sdl"):
                script = script.replace(f" {old}", f" {name}/{old}")
            ran(run_lmp(script))
    identical(open_buffer(tmp_path / "off/run.sdl"), open_buffer(tmp_path / "on/run.sdl"))
    assert buffer.verify(tmp_path / "on/run.sdl").ok


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_a_signal_loses_nothing(number, tmp_path):
    process = start(tmp_path, 1_000_000, "overlap=yes")
    wait_for_frames(tmp_path / "run.sdl", 5)
    os.kill(int((tmp_path / "pid.1").read_text()), number)  # one rank alone
    output, _ = process.communicate(timeout=60)
    assert f"{number.name}: the buffer is sealed, the run ends at step" in output
    assert not list((tmp_path / "run.sdl").glob("tail-*"))
    steps = open_buffer(tmp_path / "run.sdl").steps
    assert set(np.diff(steps)) == {EVERY}
    assert f"the run ends at step {steps[-1]}." in output


@pytest.mark.slow
@pytest.mark.parametrize("way", [start, start_fix])
def test_random_kills(way, run_driver, run_lmp, tmp_path):
    """Killed with SIGKILL: no committed frame is lost, at most the one that is described."""
    rng, n_steps = random.Random(way.__name__), 2000
    if way is start:
        finish(run_driver, "whole", n_steps)
    else:
        ran(run_lmp(fix_script(n_steps).replace("run.", "whole.")))
    words = ("overlap=yes",) if way is start else ("overlap yes",)
    for _ in range(8):
        process = way(tmp_path, n_steps, *words)
        time.sleep(rng.uniform(1.5, 4.0))
        seen = []
        with contextlib.suppress(buffer.BufferError):
            seen = open_buffer(tmp_path / "run.sdl").steps.tolist()
        kill(process, "all ranks")
        process.communicate(timeout=60)
        kept = open_buffer(tmp_path / "run.sdl").steps.tolist()
        assert kept[: len(seen)] == seen
        if kept and kept[-1] == n_steps:
            break
        restart = newest_restart(tmp_path, "run")
        assert restart is None or kept[-1] >= int(restart.suffix[1:]) - EVERY
    last = way(tmp_path, n_steps, *words)
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0, output
    same(open_buffer(tmp_path / "whole.sdl"), open_buffer(tmp_path / "run.sdl"))
    assert buffer.verify(tmp_path / "run.sdl").ok
