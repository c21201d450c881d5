"""`overlap yes`: a frame is described while LAMMPS goes on, and committed one interval later."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from fix_scripts import of_system, values_in
from systems import RESTARTABLE
from test_errors_live import ONE_RANK_FAILS, program
from test_fix_live import FITTED, HOP, HOT, model  # noqa: F401 (a fixture)
from test_restart_live import INPUT, children, fix_script, start, start_fix, wait_for_frames

from strdyn_live import buffer, lammps_plugin, open_buffer
from strdyn_live.lens import lens

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("driver.py")


def same_bits(one, other):
    """Both buffers hold the same frames and the same values of them, bit for bit."""
    assert one.steps.tolist() == other.steps.tolist()
    assert one.times.tolist() == other.times.tolist()
    assert one.atom_ids.tolist() == other.atom_ids.tolist()
    for k in range(one.n_frames):
        assert one.positions(k).tobytes() == other.positions(k).tobytes()
        assert one.frame(k).soap.tobytes() == other.frame(k).soap.tobytes()  # or scores
        assert one.neighbors(k).offsets.tobytes() == other.neighbors(k).offsets.tobytes()
        assert one.neighbors(k).ids.tobytes() == other.neighbors(k).ids.tobytes()
    for kind in ("values", "event"):
        assert one.live(kind) == other.live(kind)


RUNS = "run 35\nrun 25\nrun 0\nrun 30"  # they end between two frames, at one, and at the start
CASES = [
    (1, {}),
    (2, {}),
    (2, {"writers": "2"}),
    (2, {"store": "pca 8", "writers": "2"}),
    (1, {"store": "none", "threads": "2"}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fix_records_the_same(case, run_lmp, tmp_path):
    n_ranks, words = case
    hot = HOT.format(seed=6)
    off = of_system("cu_slab", "off", before=hot, run=RUNS, **words)
    on = of_system("cu_slab", "on", before=hot, run=RUNS, overlap="yes", **words)
    done = run_lmp(f"{off}\nclear\n{on}", n_ranks=n_ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("committed one interval later") == 1
    one, other = open_buffer(tmp_path / "off.sdl"), open_buffer(tmp_path / "on.sdl")
    assert one.steps.tolist() == list(range(0, 91, 10))
    same_bits(one, other)
    assert buffer.verify(tmp_path / "on.sdl").ok


def test_labels_and_dense_frames_are_the_same(model, run_lmp, tmp_path):  # noqa: F811
    """Whether a frame is due is known when the values of the frame before are."""
    words = {**FITTED, "model": model, "writers": 3, "adaptive": "5 while lens_max > 0.2"}
    words["event"] = "hop when lens_max > 0.2 do print"
    for overlap in ("no", "yes"):
        script = of_system(
            "cu_slab",
            overlap,
            before=HOT.format(seed=6),
            run="run 157",
            overlap=overlap,
            **words,
        )
        done = run_lmp(script, n_ranks=4)
        assert done.returncode == 0, done.stdout + done.stderr
    one, other = open_buffer(tmp_path / "no.sdl"), open_buffer(tmp_path / "yes.sdl")
    same_bits(one, other)
    assert one.live("event")
    assert 5 in np.diff(one.steps)
    for labelled, expected in zip(other.live_labels(), one.live_labels(), strict=True):
        assert labelled.tolist() == expected.tolist()


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_an_attached_recorder_records_the_same(n_ranks, run_driver, tmp_path):
    on = ("cu_slab", "on", "every=2", "overlap=yes")
    done = run_driver(DRIVER, "cu_slab", "off", "every=2", "--", *on, n_ranks=n_ranks)
    assert done.returncode == 0, done.stderr
    one, other = open_buffer(tmp_path / "off.sdl"), open_buffer(tmp_path / "on.sdl")
    assert one.steps.tolist() == list(range(0, 21, 2))
    same_bits(one, other)


def test_scores_are_the_same(run_driver, tmp_path):
    """From a basis that is found, and that grows when the crystal is heated."""
    for name, words in (("off", ()), ("on", ("overlap=yes",))):
        done = run_driver(DRIVER.with_name("store_driver.py"), name, "60", "store=pca 8", *words)
        assert done.returncode == 0, done.stderr
    one, other = open_buffer(tmp_path / "off.sdl"), open_buffer(tmp_path / "on.sdl")
    assert len(np.unique(one.n_scores_of)) > 2
    same_bits(one, other)


# A frame is described only once LAMMPS has gone on; the first frame, and the last one of a run, are
# described at once.
WAITS = """
import time
from strdyn_live.in_situ import InSitu
def describe(self, frame, system, basis=None):
    end, lmp = time.monotonic() + 60, self._lmp
    while frame.step % {n_steps} and lmp.extract_global("ntimestep") <= frame.step + 3:
        if time.monotonic() > end:
            raise TimeoutError("LAMMPS waits for the description")
        time.sleep(0.001)
    return before(self, frame, system, basis)
before, InSitu.describe = InSitu.describe, describe
"""


def test_lammps_goes_on_while_a_frame_is_described(run_driver, run_lmp, tmp_path, monkeypatch):
    """A description that waits for the steps after its frame comes to an end."""
    (tmp_path / "sitecustomize.py").write_text(WAITS.format(n_steps=20))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run_lmp(of_system("cu_slab", "fix", overlap="yes", every=5))
    assert done.returncode == 0, done.stdout + done.stderr
    done = run_driver(DRIVER, "cu_slab", "attached", "overlap=yes", "every=5")
    assert done.returncode == 0, done.stderr
    for name in ("fix", "attached"):
        assert open_buffer(tmp_path / f"{name}.sdl").steps.tolist() == [0, 5, 10, 15, 20]


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_values_come_one_interval_later_to_the_same_atoms(n_ranks, run_lmp, tmp_path):
    """Also to those that another rank owns by then."""
    dump = """
dump live surface custom 10 live.dump id f_sd[1]
dump_modify live format float %.15g
thermo 10
thermo_style custom step f_sd[2]
"""
    script = of_system(
        "cu_slab", before=HOT.format(seed=6), after=dump, run="run 100", overlap="yes"
    )
    done = run_lmp(script + "\nrun 0", n_ranks=n_ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "run.sdl")
    dumped = values_in(tmp_path / "live.dump")
    lines = [line.split() for line in done.stdout.splitlines()]
    thermo = [line for line in lines if len(line) == 2 and line[0].isdecimal()]
    printed = {int(step): float(value) for step, value in thermo}
    for k in range(1, buf.n_frames):
        delta = lens(buf.neighbors(k - 1), buf.neighbors(k))
        step = int(buf.steps[k])
        if step < 100:
            seen = {atom_id: row[0] for atom_id, row in dumped[step + 10].items()}
            expected = dict(zip(buf.atom_ids.tolist(), delta, strict=True))
            assert seen == pytest.approx(expected, abs=1e-12)
        # the last frame of a run is handed back at its end, and the next run shows it
        assert printed[min(step + 10, 100)] == pytest.approx(delta.max(), abs=1e-6) or step == 90


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_events_are_the_same(n_ranks, run_lmp, tmp_path):
    """With the frames around them, among them such as are not recorded."""
    on = HOP.replace("hop.sdl", "on.sdl overlap yes").replace("all.dump", "on.dump")
    done = run_lmp(f"{HOP}\nclear\n{on}", n_ranks=n_ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = open_buffer(tmp_path / "hop.sdl"), open_buffer(tmp_path / "on.sdl")
    assert one.steps.tolist() == other.steps.tolist()
    assert one.live("values") == other.live("values")
    (event,), (late,) = one.live("event"), other.live("event")
    assert late == {**event, "file": event["file"].replace("hop.events", "on.events")}
    assert (tmp_path / late["file"]).read_bytes() == (tmp_path / event["file"]).read_bytes()


def test_halt_and_restart_come_one_interval_later(run_lmp, tmp_path):
    rules = "event hop when lens_max > 0.15 do restart event stop when lens_max > 0.15 do halt"
    rule = "event hop when lens_max > 0.15 do dump print event_every 10 event_frames 8"
    script = HOP.replace(rule, f"{rules} overlap yes")
    done = run_lmp(script.replace("run 500", "restart 100000 at.*.restart\nrun 500"))
    assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "hop.sdl")
    step = buf.live("event")[0]["step"]
    (file,) = tmp_path.glob("at.*.restart")
    assert file.name == f"at.{step + 50}.restart"
    assert buf.steps[-1] == step + 50 < 500


def test_a_run_that_fix_halt_ends_keeps_its_last_frame(run_lmp, tmp_path):
    halt = "variable now equal step\nfix stop all halt 1 v_now >= 33 error soft"
    script = of_system("cu_slab", after=halt, run="run 100", overlap="yes")
    done = run_lmp(f"{script}\nshell ls -d run.sdl/tail-*")
    assert done.returncode == 0, done.stdout + done.stderr
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20, 30]


def test_a_restart_file_has_the_frame_that_is_being_described(run_lmp, tmp_path):
    """Its frame is committed and sealed first, and a chain of runs is as a single one."""
    whole = fix_script(200, words="overlap yes").replace("run.", "whole.")
    assert run_lmp(whole).returncode == 0
    parts = [(70, None, 2), (130, "run.state.50", 1), (200, "run.state.100", 2)]
    for n_steps, newest, n_ranks in parts:
        script = fix_script(n_steps, newest, words="overlap yes")
        done = run_lmp(script + "write_restart now.state\nshell ls run.sdl", n_ranks=n_ranks)
        assert done.returncode == 0, done.stdout
        assert "tail-" not in done.stdout
    one, other = open_buffer(tmp_path / "whole.sdl"), open_buffer(tmp_path / "run.sdl")
    assert one.steps.tolist() == other.steps.tolist() == list(range(0, 201, 10))
    for k in range(one.n_frames):
        assert one.neighbors(k).ids.tolist() == other.neighbors(k).ids.tolist()
        np.testing.assert_allclose(one.soap(k), other.soap(k), rtol=0, atol=1e-5)
    assert buffer.verify(tmp_path / "run.sdl").ok


def test_an_error_of_the_thread_ends_the_run_on_all_ranks(run_driver, tmp_path):
    """At the next call of LAMMPS; the frames before it are there."""
    done = run_driver(program(tmp_path, before=ONE_RANK_FAILS, settings=", overlap=True"))
    assert done.returncode != 0
    assert "MemoryError: no room on this rank (rank 1)" in done.stderr
    assert "went on" not in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10]


def test_a_frame_that_fails_on_the_thread_can_be_dropped(run_driver, tmp_path):
    settings = ', overlap=True, on_error="drop"'
    done = run_driver(program(tmp_path, before=ONE_RANK_FAILS, settings=settings))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("frame dropped: MemoryError") == 1
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 30, 40]


# What makes a run fail after its frame of step 20, the run, what is said.
BROKEN_OFF = {
    "in the recorder": (
        "from strdyn_live import system\n"
        "read, calls = system.System.read, []\n"
        "def fail(self, lmp):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 4:\n"
        "        raise ValueError('no frame to be had')\n"
        "    return read(self, lmp)\n"
        "system.System.read = fail",
        'lmp.command("run 40")',
        "no frame to be had",
    ),
    "in LAMMPS": (
        "",
        'lmp.command("variable now equal step")\n'
        'lmp.command("fix stop all halt 1 v_now >= 23 error hard")\n'
        "with recorder:\n"
        '    lmp.command("run 40")',
        "Fix halt condition",
    ),
}


@pytest.mark.parametrize("name", BROKEN_OFF)
def test_a_run_that_breaks_off_keeps_the_frame_that_was_described(name, run_driver, tmp_path):
    before, run, message = BROKEN_OFF[name]
    path = program(tmp_path, before=before, run=run, settings=", overlap=True")
    done = run_driver(path, n_ranks=1)
    assert done.returncode != 0
    assert message in done.stderr
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20]


@pytest.mark.parametrize("way", ["attached", "fix"])
def test_sigterm_loses_nothing(way, tmp_path):
    if way == "fix":
        process = start_fix(tmp_path, 1_000_000, " overlap yes")
    else:
        process = start(tmp_path, 1_000_000, "overlap=yes")
    wait_for_frames(tmp_path / "run.sdl", 3)
    ranks = [pid for pid in children(process.pid) if is_rank(pid)]
    os.kill(ranks[-1], signal.SIGTERM)  # one rank alone
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    ended = re.search(r"SIGTERM: the buffer is sealed, the run ends at step (\d+)", output)
    assert not list((tmp_path / "run.sdl").glob("tail-*"))
    buf = open_buffer(tmp_path / "run.sdl")
    assert set(np.diff(buf.steps)) == {10}
    assert buf.steps[-1] == int(ended[1])


def is_rank(pid):
    """Return whether a process below mpiexec is LAMMPS, or a driver of it."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return not below and any(b"lmp" in word or b"restart_driver" in word for word in words)


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.7])
def test_sigkill_costs_the_frame_that_is_described_at_most(delay, tmp_path):
    """What was seen as committed is there, bit for bit."""
    process = start_fix(tmp_path, 1_000_000, " overlap yes")
    wait_for_frames(tmp_path / "run.sdl", 5)
    time.sleep(delay)
    before = open_buffer(tmp_path / "run.sdl")
    frames = [before.soap(k).tobytes() for k in range(before.n_frames)]
    os.killpg(process.pid, signal.SIGKILL)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    after = open_buffer(tmp_path / "run.sdl")
    assert after.steps[: before.n_frames].tolist() == before.steps.tolist()
    assert [after.soap(k).tobytes() for k in range(before.n_frames)] == frames
    assert set(np.diff(after.steps)) == {10}
    assert buffer.verify(tmp_path / "run.sdl").ok


def test_a_lammps_that_keeps_the_lock_of_python_is_refused():
    """What the fix asks: PyDLL keeps the lock during a call, CDLL lets it go."""
    words = "all 0 1 10 r_cut 6.0 elements Cu file run.sdl overlap yes model nowhere"
    text = words.replace(" ", "\x1f").encode()
    for library, message in (
        (ctypes.PyDLL, b"keeps its lock while it runs"),
        (ctypes.CDLL, b"nowhere"),  # the next mistake
    ):
        session, answer = ctypes.c_void_p(), ctypes.c_char_p()
        lmp = ctypes.c_void_p(ctypes.addressof(session))  # is not used before these are found
        call = library(lammps_plugin.environment()["STRDYN_BRIDGE"]).strdyn_call
        bad = call(ctypes.byref(session), lmp, b"", text, None, 0, ctypes.byref(answer))
        assert bad == 1
        assert message in answer.value


def test_fix_python_invoke_refuses_it(run_embedded, tmp_path):
    script = INPUT.format(
        start=RESTARTABLE.start, settings=RESTARTABLE.settings, n_steps=20, append=False
    )
    done = run_embedded(script.replace("append=False", "overlap=True"))
    assert done.returncode != 0
    assert "overlap = yes with 'fix python/invoke'" in done.stdout + done.stderr
    assert not (tmp_path / "run.sdl").exists()
