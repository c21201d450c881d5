"""Runs that end before their time, and go on: the buffer equals that of an uninterrupted run."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fix_scripts import values_in
from systems import RESTARTABLE, newest_restart

from strdyn_live import buffer, open_buffer

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("restart_driver.py")
EVERY = 10

INPUT = """
{start}
{settings}
restart 50 run.state.*
python sd here "from strdyn_live import Recorder; &
sd = Recorder(r_cut=5.0, elements='Cu', n_max=4, l_max=3, file='run.sdl', append={append}, &
centers='surface')"
fix sd all python/invoke 10 end_of_step sd
run {n_steps} upto
"""

FIX = """
{start}
{settings}
restart 50 run.state.*
fix sd surface strdyn 10 r_cut 5.0 elements Cu n_max 4 l_max 3 file run.sdl {words}
{after}
run {n_steps} upto
"""


def fix_script(n_steps, newest=None, words="", after=""):
    """Begin, or go on from a restart file, which says that the buffer goes on."""
    start = RESTARTABLE.start if newest is None else f"read_restart {newest}"
    return FIX.format(
        start=start, settings=RESTARTABLE.settings, n_steps=n_steps, words=words, after=after
    )


def same(one, other):
    """Both buffers hold the same, by step and atom ID; rounding apart, as sums change order."""
    assert one.steps.tolist() == other.steps.tolist()
    assert one.atom_ids.tolist() == other.atom_ids.tolist()
    for k in range(one.n_frames):
        cell, _ = one.box(k)
        moved = (one.positions(k) - other.positions(k)) @ np.linalg.inv(cell)
        np.testing.assert_allclose(moved - np.round(moved), 0.0, atol=1e-6)
        np.testing.assert_allclose(one.soap(k), other.soap(k), rtol=0, atol=1e-5)
        assert one.neighbors(k).offsets.tolist() == other.neighbors(k).offsets.tolist()
        assert one.neighbors(k).ids.tolist() == other.neighbors(k).ids.tolist()


def finish(run_driver, file, n_steps, *words, n_ranks=2):
    done = run_driver(DRIVER, file, str(n_steps), *words, n_ranks=n_ranks)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def whole(driver_in, tmp_path_factory):
    """A folder with an uninterrupted run of 200 steps on two ranks, and its restart files."""
    folder = tmp_path_factory.mktemp("whole")
    finish(driver_in(folder), "run", 200)
    return folder


def test_a_second_and_third_start_from_restart_files(whole, run_driver, tmp_path):
    # ends at 70 and 130 leave frames behind the last restart files, of steps 50 and 100
    for n_steps, n_ranks in ((70, 2), (130, 1), (200, 2)):
        finish(run_driver, "run", n_steps, n_ranks=n_ranks)
    once, parts = open_buffer(whole / "run.sdl"), open_buffer(tmp_path / "run.sdl")
    assert once.steps.tolist() == list(range(0, 201, EVERY))
    same(once, parts)
    assert buffer.verify(tmp_path / "run.sdl").ok


def test_an_older_restart_file_rolls_back(whole, run_driver, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    for step in (100, 150, 200):
        (tmp_path / f"run.state.{step}").unlink()
    finish(run_driver, "run", 80)  # from 50
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == list(range(0, 81, EVERY))


def test_the_restart_file_of_another_run_is_refused(whole, run_driver, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    state = tmp_path / "run.state.200"
    before = open_buffer(tmp_path / "run.sdl").steps.tolist()
    done = run_driver(DRIVER, "run", "220", "centers=all")
    assert done.returncode != 0
    assert "run.sdl" in done.stderr
    assert state.exists()
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == before


def test_several_writers_leave_the_same_buffer(run_driver, tmp_path):
    finish(run_driver, "one", 60, n_ranks=4)
    for n_writers in (2, 4):
        finish(run_driver, f"by{n_writers}", 60, f"writers={n_writers}", n_ranks=4)
        same(open_buffer(tmp_path / "one.sdl"), open_buffer(tmp_path / f"by{n_writers}.sdl"))


DELTA = """
dump delta surface custom 10 delta.dump id f_sd[1]
dump_modify delta format float %.15g append yes
"""


@pytest.fixture(scope="module")
def whole_by_fix(lmp_in, tmp_path_factory):
    """The same uninterrupted run, recorded by `fix strdyn`, with δ dumped."""
    folder = tmp_path_factory.mktemp("whole")
    done = lmp_in(folder)(fix_script(200, after=DELTA))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_restart_file_tells_the_fix_where_to_go_on(whole_by_fix, run_lmp, tmp_path):
    """No word `append` is needed; δ goes on as well, over the restart."""
    assert run_lmp(fix_script(70, after=DELTA)).returncode == 0
    done = run_lmp(fix_script(130, "run.state.50", after=DELTA), n_ranks=1)
    assert done.returncode == 0, done.stdout
    assert "the run goes on from step 50, and supersedes 2 frames (steps 60 to 70)" in done.stdout
    assert run_lmp(fix_script(200, "run.state.100", after=DELTA)).returncode == 0
    once, parts = (open_buffer(folder / "run.sdl") for folder in (whole_by_fix, tmp_path))
    assert once.steps.tolist() == list(range(0, 201, EVERY))
    same(once, parts)
    assert buffer.verify(tmp_path / "run.sdl").ok
    one, other = (values_in(folder / "delta.dump") for folder in (whole_by_fix, tmp_path))
    assert sorted(one) == sorted(other) == list(range(0, 201, EVERY))
    for step, atoms in one.items():
        for atom_id, delta in atoms.items():
            assert other[step][atom_id] == pytest.approx(delta, abs=1e-12), (step, atom_id)


def test_write_restart_seals(run_lmp, tmp_path):
    """What a restart file goes on from lies in segments, not in the tail."""
    script = fix_script(40) + "write_restart now.state\nshell ls run.sdl"
    done = run_lmp(script)
    assert done.returncode == 0
    listed = done.stdout.split()
    assert any(name.startswith("seg-0000") for name in listed)
    assert not any(name.startswith("tail-") for name in listed)


WRONG = {  # name: (what is done before the fix is defined, what LAMMPS says)
    "moved": ("displace_atoms all move 0.1 0 0 units box", "differs from the one stored"),
    "renumbered": ("reset_timestep 0", "starts anew from step 0"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_restart_that_does_not_continue_is_refused(name, whole_by_fix, run_lmp, tmp_path):
    shutil.copytree(whole_by_fix, tmp_path, dirs_exist_ok=True)
    before, expected = WRONG[name]
    start = f"run.state.100\n{before}"
    done = run_lmp(fix_script(200, start))
    assert done.returncode == 1
    assert expected in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == list(range(0, 201, EVERY))


def test_a_restart_off_the_grid_is_proved_by_its_atoms(whole_by_fix, run_lmp, tmp_path):
    """At a step that is not recorded, only the restart file knows where the atoms were."""
    script = fix_script(45) + "write_restart odd.state\n"
    assert run_lmp(script).returncode == 0
    done = run_lmp(fix_script(100, "odd.state\ndisplace_atoms all move 0.1 0 0 units box"))
    assert done.returncode == 1
    assert "the atoms are not where they were when the restart file was written" in done.stdout
    assert run_lmp(fix_script(100, "odd.state")).returncode == 0
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == list(range(0, 101, EVERY))


def test_a_restart_knows_its_buffer(whole_by_fix, run_lmp, tmp_path):
    """Another recording in its place is refused; a new name begins a new one."""
    assert run_lmp(fix_script(120)).returncode == 0  # the same atoms, another recording
    shutil.copy(whole_by_fix / "run.state.100", tmp_path)
    done = run_lmp(fix_script(200, "run.state.100"))
    assert done.returncode == 1
    assert "the restart file was written while" in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == list(range(0, 121, EVERY))
    done = run_lmp(fix_script(150, "run.state.100").replace("run.sdl", "new.sdl"))
    assert done.returncode == 0, done.stdout
    assert open_buffer(tmp_path / "new.sdl").steps.tolist() == list(range(100, 151, EVERY))


def start(tmp_path, n_steps, *words):
    mpiexec = str(Path(sys.executable).with_name("mpiexec"))
    return subprocess.Popen(
        [mpiexec, "-n", "2", sys.executable, str(DRIVER), "run", str(n_steps), *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_frames(folder, n_frames):
    for _ in range(2400):
        with contextlib.suppress(buffer.BufferError):  # not there yet
            if open_buffer(folder).n_frames >= n_frames:
                return
        time.sleep(0.05)
    raise TimeoutError(f"{folder} did not reach {n_frames} frames")


def test_sigterm_seals_and_ends_the_run(tmp_path):
    process = start(tmp_path, 1_000_000)
    wait_for_frames(tmp_path / "run.sdl", 3)
    os.kill(int((tmp_path / "pid.1").read_text()), signal.SIGTERM)  # one rank alone
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "SIGTERM: the buffer is sealed, the run ends at step" in output
    assert not list((tmp_path / "run.sdl").glob("tail-*"))
    buf = open_buffer(tmp_path / "run.sdl")
    assert set(np.diff(buf.steps)) == {EVERY}


def test_ctrl_c_ends_the_program_in_order(tmp_path):
    """Also with on_error='drop': it is no error of a frame."""
    process = start(tmp_path, 1_000_000, "on_error=drop")
    wait_for_frames(tmp_path / "run.sdl", 3)
    os.kill(int((tmp_path / "pid.1").read_text()), signal.SIGINT)  # one rank alone
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "SIGINT: the buffer is sealed, the run ends at step" in output
    assert "KeyboardInterrupt" in output
    assert "frame dropped" not in output
    assert not list((tmp_path / "run.sdl").glob("tail-*"))
    assert set(np.diff(open_buffer(tmp_path / "run.sdl").steps)) == {EVERY}


def start_fix(tmp_path, n_steps, words=""):
    newest = newest_restart(tmp_path, "run")
    # killed before its first restart file: anew
    words += "" if newest else " append force"
    script = fix_script(n_steps, newest and newest.name, words)
    (tmp_path / "in.test").write_text(script)
    programs = Path(sys.executable).parent
    return subprocess.Popen(
        [programs / "mpiexec", "-n", "2", programs / "lmp", "-in", "in.test", "-log", "none"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start_embedded(tmp_path, n_steps):
    newest = newest_restart(tmp_path, "run")
    start_words = RESTARTABLE.start if newest is None else f"read_restart {newest.name}"
    (tmp_path / "in.test").write_text(
        INPUT.format(
            start=start_words,
            settings=RESTARTABLE.settings,
            n_steps=n_steps,
            append="'force'" if newest is None else True,  # killed before its first restart file
        )
    )
    embedded = Path(__file__).parents[2] / ".venv-embedded" / "bin" / "strdyn"
    return subprocess.Popen(
        ["bash", "-c", f'eval "$({embedded} shellenv)" && exec mpirun --oversubscribe -np 2 '
         "/usr/bin/lmp -in in.test -log none"],
        cwd=tmp_path,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip


STARTS = {
    "wheel": start,
    "embedded": start_embedded,
    "fix": start_fix,
    "fix, overlap": partial(start_fix, words=" overlap yes"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", list(STARTS))
@pytest.mark.parametrize("victims", ["one rank", "all ranks"])
def test_random_kills(way, victims, run_driver, run_embedded, run_lmp, tmp_path):
    """Killed again and again at random times, and resumed: nothing is missing, nothing twice."""
    rng = random.Random(f"{way} {victims}")
    n_steps, n_kills = 2000, 10
    if way == "wheel":
        finish(run_driver, "whole", n_steps)
    elif way.startswith("fix"):
        assert run_lmp(fix_script(n_steps).replace("run.", "whole.")).returncode == 0
    else:
        words = INPUT.format(
            start=RESTARTABLE.start, settings=RESTARTABLE.settings, n_steps=n_steps, append=False
        )
        done = run_embedded(words.replace("run.", "whole."))
        assert done.returncode == 0, done.stderr
    killed = 0
    for _ in range(200):
        if killed >= n_kills:
            break
        process = STARTS[way](tmp_path, n_steps)
        time.sleep(rng.uniform(1.5, 4.0))
        if process.poll() is not None:  # it had finished: begin again from an earlier state
            process.communicate()
            shutil.rmtree(tmp_path / "run.sdl")
            for path in tmp_path.glob("run.state.*"):
                path.unlink()
            continue
        kill(process, victims)
        process.communicate(timeout=60)
        killed += 1
    assert killed == n_kills
    last = STARTS[way](tmp_path, n_steps)
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0, output
    same(open_buffer(tmp_path / "whole.sdl"), open_buffer(tmp_path / "run.sdl"))
    assert buffer.verify(tmp_path / "run.sdl").ok


def kill(process, victims):
    """SIGKILL: a rank (the launcher ends the others), or the launcher with all ranks."""
    if victims == "all ranks":
        os.killpg(process.pid, signal.SIGKILL)
    ranks = children(process.pid)
    for pid in ranks if victims == "all ranks" else ranks[-1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(pid):
    """Return the LAMMPS processes below a launcher."""
    found, wanted = [], {pid}
    stats = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        stats[int(stat.parent.name)] = int(fields[1])
    while wanted:
        below = {child for child, parent in stats.items() if parent in wanted}
        found += sorted(below)
        wanted = below
    return found
