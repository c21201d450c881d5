"""While a run goes on: events and frames around them, labels of a fit, values for LAMMPS."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from dumps import read_dump
from fix_scripts import of_system, values_in

from strdyn_live import open_buffer
from strdyn_live.lens import lens
from strdyn_post import AnalysisConfig, analyse, label, load_results, save_results
from strdyn_post.files.folder import claim

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

# An adatom on a terrace of Cu(211), pushed so that it goes over into the next place.
HOP = """
units metal
atom_modify map array
lattice fcc 3.615 origin 0.01 0.01 0.01 orient x -1 1 1 orient y 0 -1 1 orient z 2 1 1
region box block 0 3 0 6 0 2
create_box 1 box
create_atoms 1 box
change_box all z delta -8 8 units box
mass 1 63.55
pair_style eam/alloy
pair_coeff * * Cu_mishin1.eam.alloy Cu
region low block INF INF INF INF INF 6 units box
group low region low
fix hold low setforce 0 0 0
variable top equal bound(all,zmax)
create_atoms 1 single 9.0 15.0 $(v_top+1.0) units box
group adatom id $(atoms)
minimize 1e-8 1e-8 500 1000
reset_timestep 0
fix nve all nve
timestep 0.002
velocity adatom set 0 12 0 units box
dump all all custom 10 all.dump id type x y z vx vy vz
dump_modify all sort id format float %.17g
fix sd all strdyn 50 r_cut 3.3 elements Cu n_max 4 l_max 4 file hop.sdl &
    event hop when lens_max > 0.15 do dump print event_every 10 event_frames 8
run 500
"""


@pytest.fixture(scope="module", params=[1, 2])
def hop(request, lmp_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hop")
    done = lmp_in(folder)(HOP, n_ranks=request.param)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_a_hop_is_caught_within_one_interval(hop):
    """The adatom crosses between two places of its row; δ of the frame after it is the event."""
    folder, stdout = hop
    dump = read_dump(folder / "all.dump")
    adatom = dump[0].atom_ids[-1]
    y = {step: snapshot.positions[-1, 1] for step, snapshot in dump.items()}
    start = y[0]
    crossed = min(step for step in y if y[step] > start + 2.556 / 2)  # half of a place's distance
    assert y[500] - start == pytest.approx(2.556, abs=0.6)

    (event,) = open_buffer(folder / "hop.sdl").live("event")
    assert crossed <= event["step"] <= crossed + 50
    assert event["name"] == "hop"
    assert adatom in event["atoms"]
    assert f"strdyn-live: event hop at step {event['step']}: lens_max = " in stdout
    assert f"event hop at step {event['step']}" in (folder / "log.lammps").read_text()


def test_the_frames_around_it_are_complete(hop):
    """Every tenth step before and after the event, all atoms, as LAMMPS's own dump has them."""
    folder, _ = hop
    (event,) = open_buffer(folder / "hop.sdl").live("event")
    file = folder / event["file"]
    step = event["step"]
    frames = ase.io.read(file, index=":", format="lammps-dump-text")
    about = json.loads(file.with_suffix(".json").read_text())
    assert about["frames"] == list(range(step - 80, step + 81, 10))
    assert about["events"][0]["atoms"] == event["atoms"]
    dump = read_dump(folder / "all.dump")
    for atoms, at in zip(frames, about["frames"], strict=True):
        shift = atoms.positions - dump[at].positions + atoms.get_celldisp().ravel()
        assert len(atoms) == len(dump[at].atom_ids)
        np.testing.assert_allclose(shift - shift[0], 0.0, atol=1e-8)


def test_dense_frames_while_atoms_move(run_lmp, tmp_path):
    script = HOP.replace(
        "event hop when lens_max > 0.15 do dump print", "adaptive 10 while lens_max > 0.15"
    )
    done = run_lmp(script.replace("event_every 10 event_frames 8", ""))
    assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "hop.sdl")
    assert buf.every == 50
    by_step = {step: k for k, step in enumerate(buf.steps.tolist())}

    def largest(step):
        before = by_step.get(step - 50)
        if before is None:
            return 0.0
        return lens(buf.neighbors(before), buf.neighbors(by_step[step])).max()

    expected, held = set(range(0, 501, 50)), None
    for step in range(0, 501, 10):  # by hand: dense for one interval after it held last
        if step % 50 and (held is None or step - held > 50):
            continue
        expected.add(step)
        if step in by_step and largest(step) > 0.15:
            held = step
    assert set(by_step) == expected
    assert len(expected) > 14


def test_halt_and_restart_at_an_event(run_lmp, tmp_path):
    """The restart file is of the step of the event, and a run goes on from it."""
    changed = "event hop when lens_max > 0.15 do restart event stop when lens_max > 0.15 do halt"
    script = HOP.replace(
        "event hop when lens_max > 0.15 do dump print event_every 10 event_frames 8", changed
    )
    done = run_lmp(
        script.replace("run 500", "restart 100000 at.*.restart\nrun 500\nprint 'went on'")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "went on" in done.stdout
    buf = open_buffer(tmp_path / "hop.sdl")
    events = buf.live("event")
    assert [each["name"] for each in events] == ["hop", "stop"]
    step = events[0]["step"]
    assert buf.steps[-1] == step < 500
    (file,) = tmp_path.glob("at.*.restart")
    assert file.name == f"at.{step}.restart"
    again = f"""
read_restart {file.name}
pair_style eam/alloy
pair_coeff * * Cu_mishin1.eam.alloy Cu
fix nve all nve
fix sd all strdyn 50 r_cut 3.3 elements Cu n_max 4 l_max 4 file hop.sdl {changed}
restart 100000 at.*.restart
run 100
"""
    done = run_lmp(again)
    assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "hop.sdl")
    assert buf.steps[-1] > step
    assert buf.live("event")[0]["step"] == step  # it is not acted on again at its own step


def test_restart_files_need_a_name(run_lmp):
    script = of_system("cu_slab", event="e when lens_max > 0.5 do restart")
    done = run_lmp(script)
    assert done.returncode == 1
    assert "put 'restart N NAME.*.restart' before the run" in done.stdout


HOT = "velocity all create 9000 {seed} loop geom"
FITTED = {"lens_r_cut": 4.2, "n_max": 3, "l_max": 2}


@pytest.fixture(scope="module")
def model(lmp_in, tmp_path_factory) -> Path:
    """The fit of a hot slab."""
    folder = tmp_path_factory.mktemp("fit")
    script = of_system("cu_slab", before=HOT.format(seed=5), run="run 400", **FITTED)
    done = lmp_in(folder)(script)
    assert done.returncode == 0, done.stdout + done.stderr
    settings = AnalysisConfig(method="gmm", n_clusters=3, smoothing_window=1, n_init=2)
    result = analyse(open_buffer(folder / "run.sdl"), settings)
    assert result["soap_lens"].final.n_clusters == 3
    with claim(folder / "fit") as claimed:
        save_results(result, claimed)
    return folder / "fit"


@pytest.mark.parametrize(
    ("n_ranks", "writers", "overlap"), [(1, 1, "no"), (2, 1, "no"), (4, 3, "no"), (2, 2, "yes")]
)
def test_labels_are_those_of_the_analysis(n_ranks, writers, overlap, model, run_lmp, tmp_path):
    """In the buffer, in a dump and in the thermo output: those that `label` gives afterwards.

    With `overlap` a dump and the thermo output have them one interval later.
    """
    later = 20 if overlap == "yes" else 10
    dump = """
dump live surface custom 10 live.dump id f_sd[1] f_sd[2] f_sd[3]
dump_modify live format float %.15g
thermo 10
thermo_style custom step f_sd[5] f_sd[6] f_sd[7]
"""
    words = {**FITTED, "model": model, "writers": writers, "overlap": overlap}
    mark = load_results(model).names["soap_lens"].marks
    words["event"] = f"move when move {mark[0]} {mark[1]} do print"
    script = of_system("cu_slab", before=HOT.format(seed=6), after=dump, run="run 200", **words)
    done = run_lmp(script, n_ranks=n_ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "run.sdl")
    fitted = load_results(model)
    offline = label(fitted.fit, buf)["soap_lens"].final
    steps, labels = buf.live_labels()
    assert steps.tolist() == list(range(0, 191, 10))
    rows = np.searchsorted(offline.steps, steps)
    assert (labels == offline.labels[rows]).all()
    assert len(np.unique(labels)) == 3

    numbers = [*fitted.names["soap_lens"].numbers, -1]
    dumped = values_in(tmp_path / "live.dump")
    for k, step in enumerate(steps.tolist()):
        if step + later > 200:
            continue
        seen = {atom_id: row[1] for atom_id, row in dumped[step + later].items()}
        expected = [numbers[each] for each in labels[k]]
        assert seen == dict(zip(buf.atom_ids.tolist(), expected, strict=True))
    lines = [line.split() for line in done.stdout.splitlines()]
    printed = {int(line[0]): line[1:] for line in lines if len(line) == 4 and line[0].isdecimal()}
    values = {each["step"]: each for each in buf.live("values")}
    for k, step in enumerate(steps.tolist()):
        counted = np.bincount(labels[k], minlength=3)
        by_mark = [counted[numbers.index(number)] for number in sorted(numbers[:3])]
        if step + later <= 200:
            assert [int(word) for word in printed[step + later]] == by_mark
        assert values[step + 10]["populations"] == counted.tolist()
        if k:
            moved = np.zeros((3, 3), int)
            np.add.at(moved, (labels[k - 1], labels[k]), 1)
            assert values[step + 10]["moves"] == moved.tolist()
    moves = [each for each in values.values() if np.array(each["moves"])[0, 1:2].sum()]
    assert buf.live("event")[0]["step"] == moves[0]["step"]


def test_a_model_of_other_settings_is_refused(model, run_lmp):
    script = of_system("cu_slab", model=model, **{**FITTED, "lens_r_cut": 5.0})
    done = run_lmp(script)
    assert done.returncode == 1
    assert "Record with the settings of the fit, or fit a recording with these." in done.stdout


def test_frames_that_the_model_cannot_compare_are_refused(model, run_lmp):
    """Δt of the fit is 10 steps: with a frame every 4 there is never one 10 steps before."""
    done = run_lmp(of_system("cu_slab", model=model, every=4, **FITTED))
    assert done.returncode == 1
    assert "expected an N that divides 10." in done.stdout


def test_the_interval_of_a_model_is_a_time(model, run_lmp, tmp_path):
    """With half the timestep its Δt is twice as many steps."""
    script = of_system("cu_slab", model=model, run="run 40\ntimestep 0.001\nrun 60", **FITTED)
    done = run_lmp(script)
    assert done.returncode == 0, done.stdout + done.stderr
    values = open_buffer(tmp_path / "run.sdl").live("values")
    compared = {each["step"]: each["previous_step"] for each in values}
    assert compared == {
        0: None,
        10: 0,
        20: 10,
        30: 20,
        40: 30,
        50: None,
        60: None,
        70: 50,
        80: 60,
        90: 70,
        100: 80,
    }


EMBEDDED = """
comm_modify cutoff 11.72
fix values all property/atom d_strdyn_lens i_strdyn_environment ghost no
python sd input 1 SELF format p here "from strdyn_live import Recorder; &
sd = Recorder(r_cut=6.0, elements='Cu', centers='surface', file='run.sdl', lens_r_cut=3.2)"
python sd invoke
fix sd all python/invoke 10 end_of_step sd
variable lens_max python lens_max
python lens_max return v_lens_max format f here "lens_max = lambda: sd.values.lens_max"
fix stop all halt 10 v_lens_max > 0.3 error soft
dump values surface custom 5 values.dump id d_strdyn_lens i_strdyn_environment
dump_modify values format float %.15g
run 400
print "went on"
"""


def test_python_invoke_gives_values_back(run_embedded, tmp_path):
    """Per atom by fix property/atom, globally by a variable of style python."""
    from systems import SYSTEMS

    hot = "velocity all create 6000 77 loop geom\n"
    done = run_embedded(SYSTEMS["cu_slab"].script + hot + EMBEDDED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "went on" in done.stdout
    buf = open_buffer(tmp_path / "run.sdl")
    dumped = values_in(tmp_path / "values.dump")
    largest = {}
    for k in range(1, buf.n_frames):
        delta = lens(buf.neighbors(k - 1), buf.neighbors(k))
        largest[int(buf.steps[k])] = delta.max()
        for step in (buf.steps[k], buf.steps[k] + 5):
            if step in dumped:
                seen = {atom_id: row[0] for atom_id, row in dumped[step].items()}
                expected = dict(zip(buf.atom_ids.tolist(), delta, strict=True))
                assert seen == pytest.approx(expected, abs=1e-12)
    last = max(largest)
    assert last < 400
    assert largest[last] > 0.3 >= max(value for step, value in largest.items() if step < last)


def test_python_invoke_refuses_what_it_cannot_do(run_embedded):
    from systems import SYSTEMS

    for setting, expected in (
        ("adaptive='5 while lens_max > 0.1'", "Use 'fix strdyn' or Recorder.attach"),
        ("event='e when lens_max > 0.1 do restart'", "needs 'fix strdyn'"),
    ):
        script = SYSTEMS["cu_slab"].script + EMBEDDED.replace("lens_r_cut=3.2", setting)
        done = run_embedded(script)
        assert done.returncode != 0
        assert expected in done.stdout + done.stderr
