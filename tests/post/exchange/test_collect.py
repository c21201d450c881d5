"""A trajectory as a buffer: formats, restarts, what is refused; DScribe and plain sets decide."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from dscribe.descriptors import SOAP
from recorded import strdyn

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.soap import Soap
from strdyn_post import Snapshot, collect
from strdyn_post.errors import ConfigError, TrajectoryError

CELL = np.array([[7.0, 0, 0], [2.0, 6.5, 0], [-1.0, 1.5, 8.0]])
SYMBOLS = ["O", "H", "H"] * 4
SETTINGS = {"r_cut": 3.5, "n_max": 3, "l_max": 3, "sigma": 0.4}
N_FRAMES = 6
STEPS = [100 * k for k in range(N_FRAMES)]
TIMES = [0.2 * k for k in range(N_FRAMES)]


def walkers(seed=1, decimals=2, cell=CELL):
    """Positions of some frames: inside the box, and to 0.01 Å, which XTC keeps."""
    rng = np.random.default_rng(seed)
    fractions = rng.uniform(0.02, 0.98, (len(SYMBOLS), 3))
    moves = rng.normal(0.0, 0.01, (N_FRAMES, len(SYMBOLS), 3)).cumsum(axis=0)
    return np.round((fractions + moves).clip(0.01, 0.99) @ cell, decimals)


def snapshots(positions, cell=CELL, periodic=(True, True, True), **more):
    return [
        Snapshot.of(each, SYMBOLS, cell=cell, periodic=periodic, step=step, time=time, **more)
        for each, step, time in zip(positions, STEPS, TIMES, strict=True)
    ]


def require_equal(ours, theirs, atol=1e-6):
    """Same frames, spectra to rounding, lists to the last ID."""
    assert ours.steps.tolist() == theirs.steps.tolist()
    assert ours.atom_ids.tolist() == theirs.atom_ids.tolist()
    for k in range(ours.n_frames):
        np.testing.assert_allclose(ours.soap(k), theirs.soap(k), rtol=0, atol=atol)
        assert ours.neighbors(k).offsets.tolist() == theirs.neighbors(k).offsets.tolist()
        assert ours.neighbors(k).ids.tolist() == theirs.neighbors(k).ids.tolist()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The buffer of the walkers, from arrays in memory."""
    folder = tmp_path_factory.mktemp("reference")
    return collect(snapshots(walkers()), folder / "run.sdl", **SETTINGS)


# against DScribe and plain sets


def naive_sets(atoms, r_cut):
    """IDs (rows + 1) within the cutoff over all images that can matter."""
    spans = [range(-3, 4) if flag else (0,) for flag in atoms.pbc]
    shifts = np.array(list(itertools.product(*spans))) @ np.array(atoms.cell)
    found = []
    for i, place in enumerate(atoms.positions):
        near = {
            j + 1
            for j, other in enumerate(atoms.positions)
            if (np.sqrt(((other + shifts - place) ** 2).sum(axis=1)) < r_cut).any()
        }
        found.append(near - {i + 1})
    return found


@pytest.mark.parametrize("periodic", [(True,) * 3, (True, True, False), (False,) * 3])
def test_spectra_and_lists_are_those_of_dscribe_and_sets(periodic, tmp_path):
    """A triclinic box, smaller than the reach; atoms outside of it."""
    rng = np.random.default_rng(3)
    outside = rng.integers(-2, 3, (N_FRAMES, len(SYMBOLS), 3)) * periodic
    moved = walkers(decimals=6) + outside @ CELL
    buf = collect(snapshots(moved, periodic=periodic), tmp_path / "run.sdl", **SETTINGS)
    assert buf.periodic == periodic
    soap = Soap.of(buf.config)
    assert soap.reach > 4.9  # half of the box at most
    oracle = SOAP(species=soap.species, rbf="gto", periodic=any(periodic), **SETTINGS)
    for k in (0, N_FRAMES - 1):
        atoms = Atoms(SYMBOLS, positions=moved[k], cell=CELL, pbc=periodic)
        atoms.wrap()
        expected = oracle.create(atoms) * soap.isometry
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(buf.soap(k), expected, rtol=0, atol=1.2e-7)
        sets = [set(ids.tolist()) for ids in buf.neighbors(k)]
        assert sets == naive_sets(atoms, SETTINGS["r_cut"])


def test_centers_and_environment_are_selected_in_the_first_frame(tmp_path):
    positions = walkers()
    settings = {**SETTINGS, "centers": "element O", "lens_environment": "element O"}
    buf = collect(snapshots(positions), tmp_path / "run.sdl", **settings)
    assert buf.atom_ids.tolist() == [1, 4, 7, 10]
    assert [buf.config.species[kind] for kind in buf.species] == ["O"] * 4
    atoms = Atoms(SYMBOLS, positions=positions[5], cell=CELL, pbc=True)
    sets = naive_sets(atoms, SETTINGS["r_cut"])
    oxygen = {1, 4, 7, 10}
    assert [set(ids.tolist()) for ids in buf.neighbors(5)] == [
        sets[i - 1] & oxygen for i in sorted(oxygen)
    ]
    above = positions[0][:, 2] > 4.0
    assert (positions[5][:, 2] > 4.0).tolist() != above.tolist()
    buf = collect(snapshots(positions), tmp_path / "top.sdl", **SETTINGS, centers="prop z > 4")
    assert buf.atom_ids.tolist() == (np.flatnonzero(above) + 1).tolist()


# formats


def write_dump(path, positions, names="x y z", cell=CELL, columns="id type", opened=open, **more):
    """A dump as LAMMPS writes it: rows in no order, bounds of the tilted box."""
    scaled = names.startswith("xs")
    origin = np.array(more.get("origin", (1.0, -2.0, 3.0)))
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    low = origin + np.array([min(0, xy, xz, xy + xz), min(0, yz), 0])
    high = origin + np.diag(cell) + np.array([max(0, xy, xz, xy + xz), max(0, yz), 0])
    order = np.random.default_rng(0).permutation(len(SYMBOLS))
    with opened(path, "wt") as file:
        for k, step in enumerate(STEPS):
            if k == 0 and "units" in more:
                file.write(f"ITEM: UNITS\n{more['units']}\n")
            if "times" in more:
                file.write(f"ITEM: TIME\n{more['times'][k]}\n")
            file.write(f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(SYMBOLS)}\n")
            if columns == "general":
                file.write("ITEM: BOX BOUNDS abc origin pp pp ff\n")
                for vector, corner in zip(cell, origin, strict=True):
                    file.write(" ".join(map(repr, [*vector.tolist(), float(corner)])) + "\n")
            else:
                file.write("ITEM: BOX BOUNDS xy xz yz pp pp ff\n")
                for row in np.transpose([low, high, (xy, xz, yz)]).tolist():
                    file.write(" ".join(map(repr, row)) + "\n")
            kinds = "id element" if columns == "id element" else "id type"
            file.write(f"ITEM: ATOMS {kinds} {names}\n")
            for row in order:
                place = (
                    positions[k][row] @ np.linalg.inv(cell)
                    if scaled
                    else positions[k][row] + origin
                )
                kind = SYMBOLS[row] if kinds == "id element" else {"O": 1, "H": 2}[SYMBOLS[row]]
                file.write(f"{row + 1} {kind} {' '.join(map(repr, place.tolist()))}\n")


@pytest.fixture
def slab(tmp_path):
    """The walkers with a free direction, from arrays in memory."""
    frames = snapshots(walkers(), periodic=(True, True, False))
    return collect(frames, tmp_path / "slab.sdl", **SETTINGS)


@pytest.mark.parametrize("names", ["x y z", "xu yu zu", "xs ys zs", "xsu ysu zsu"])
@pytest.mark.parametrize("columns", ["id type", "id element", "general"])
def test_dumps(names, columns, slab, tmp_path):
    positions = walkers()
    if "u" in names:  # unwrapped: atoms have left the box
        positions = positions + [2, -1, 0] @ CELL
    path = tmp_path / "run.dump"
    write_dump(path, positions, names, columns=columns)
    given = {} if columns == "id element" else {"elements": "O H"}
    buf = collect(path, tmp_path / "run.sdl", timestep=0.002, **SETTINGS, **given)
    require_equal(buf, slab)
    assert buf.periodic == (True, True, False)
    np.testing.assert_allclose(buf.times, TIMES, rtol=1e-12)
    np.testing.assert_allclose(buf.box(0)[0], CELL, rtol=1e-12)
    np.testing.assert_allclose(buf.box(0)[1], [1.0, -2.0, 3.0], rtol=1e-12)
    np.testing.assert_allclose(buf.positions(2), walkers()[2] + [1, -2, 3], atol=1e-9)


def test_a_dump_tells_units_and_times_and_may_be_packed(slab, tmp_path):
    path = tmp_path / "run.dump.gz"
    write_dump(path, walkers(), opened=gzip.open, units="real", times=[0.5 * k for k in range(6)])
    buf = collect(path, tmp_path / "run.sdl", elements="O H", **SETTINGS)
    require_equal(buf, slab)
    assert (buf.units, buf.times.tolist()) == ("real", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_atoms_by_the_molecules_of_a_topology(tmp_path):
    """A dump has no molecules; a data file of the same atoms has."""
    write_dump(tmp_path / "run.dump", walkers())
    lines = ["LAMMPS", "", f"{len(SYMBOLS)} atoms", "2 atom types", "0 9 xlo xhi", "0 9 ylo yhi"]
    lines += ["0 9 zlo zhi", "", "Atoms # molecular", ""]
    rows = [f"{i + 1} {i // 3 + 1} {1 if s == 'O' else 2} 0 0 0" for i, s in enumerate(SYMBOLS)]
    (tmp_path / "run.data").write_text("\n".join([*lines, *rows[::-1], ""]))
    settings = {**SETTINGS, "elements": "O H", "centers": "resid 2 and type 2", "timestep": 1.0}
    buf = collect(
        tmp_path / "run.dump", tmp_path / "run.sdl", topology=tmp_path / "run.data", **settings
    )
    assert buf.atom_ids.tolist() == [5, 6]


def universe_of(positions, cell=CELL):
    import MDAnalysis

    from strdyn_live.box import lengths_and_angles

    universe = MDAnalysis.Universe.empty(len(SYMBOLS), trajectory=True)
    for name in ("names", "types", "elements"):
        universe.add_TopologyAttr(name, SYMBOLS)
    universe.add_TopologyAttr("resnames", ["WAT"])
    universe.add_TopologyAttr("resids", [1])
    dimensions = np.tile(lengths_and_angles(cell), (len(positions), 1))
    universe.load_new(np.float32(positions), dimensions=dimensions, dt=0.2)
    return universe


@pytest.fixture
def files(tmp_path):
    """The walkers as MDAnalysis and ASE write them."""
    import MDAnalysis

    universe = universe_of(walkers())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("run.xtc", "run.trr", "run.dcd", "run.gro", "run.pdb"):
            options = {"multiframe": True} if name == "run.pdb" else {}
            options |= {"dt": 0.2} if name == "run.dcd" else {}
            with MDAnalysis.Writer(str(tmp_path / name), len(SYMBOLS), **options) as writer:
                for _ in universe.trajectory[: 1 if name == "run.gro" else None]:
                    writer.write(universe.atoms)
    frames = [Atoms(SYMBOLS, each, cell=CELL, pbc=True) for each in walkers()]
    for k, atoms in enumerate(frames):
        atoms.info.update(step=STEPS[k], time=TIMES[k])
    write(tmp_path / "run.extxyz", frames)
    return tmp_path


def by_frame(buf):
    """A buffer whose steps are frame numbers, and the times that are expected."""
    assert buf.steps.tolist() == list(range(N_FRAMES))
    np.testing.assert_allclose(buf.times, TIMES, atol=1e-6)
    return buf


@pytest.mark.parametrize("name", ["run.xtc", "run.trr", "run.dcd", "run.extxyz"])
def test_formats(name, files, reference):
    """To single precision."""
    given = {"topology": files / "run.gro", "elements": "O H"} if name != "run.extxyz" else {}
    buf = collect(files / name, files / "run.sdl", **given, **SETTINGS)
    if name != "run.extxyz":
        buf.steps = by_frame(buf).steps * 100
    require_equal(buf, reference, atol=2e-5)
    np.testing.assert_allclose(buf.box(3)[0], CELL, atol=2e-5)


def test_pdb(files):
    """The box stands before the first of several models; angles to 0.01 degrees."""
    buf = by_frame(collect(files / "run.pdb", files / "run.sdl", timestep=0.2, **SETTINGS))
    assert (buf.periodic, buf.config.elements) == ((True, True, True), ("H", "O"))
    for k in range(N_FRAMES):
        np.testing.assert_allclose(buf.box(k)[0], CELL, atol=2e-3)
        np.testing.assert_allclose(buf.positions(k), walkers()[k], atol=1e-3)


@pytest.mark.parametrize("threads", [1, 4])
def test_universes_and_atoms_of_ase(threads, files, reference):
    universe = universe_of(walkers())
    buf = collect(universe, files / "mda.sdl", threads=threads, **SETTINGS)
    buf.steps = by_frame(buf).steps * 100
    require_equal(buf, reference, atol=2e-5)
    only = collect(universe.select_atoms("name O"), files / "o.sdl", **SETTINGS)
    assert (only.atom_ids.tolist(), only.config.species) == ([1, 2, 3, 4], ("O",))
    frames = (Atoms(SYMBOLS, each, cell=CELL, pbc=True) for each in walkers())
    buf = collect(frames, files / "ase.sdl", threads=threads, timestep=0.2, **SETTINGS)
    buf.steps = by_frame(buf).steps * 100
    require_equal(buf, reference, atol=1e-7)


def test_atoms_without_a_box(tmp_path):
    """The buffer stores the box around them; a molecule in one plane has one too."""
    flat = walkers() * [1, 1, 0]
    buf = collect(
        [Atoms(SYMBOLS, each) for each in flat], tmp_path / "run.sdl", timestep=1.0, **SETTINGS
    )
    assert buf.periodic == (False, False, False)
    cell, origin = buf.box(2)
    np.testing.assert_allclose(origin, flat[2].min(axis=0), atol=1e-12)
    np.testing.assert_allclose(cell.sum(axis=0)[:2], np.ptp(flat[2], axis=0)[:2], rtol=1e-12)
    assert np.linalg.norm(cell[2]) > 0.9


def test_a_box_that_changes(tmp_path):
    cells = [CELL * (1 + 0.02 * k) for k in range(N_FRAMES)]
    positions = [walkers()[0] @ np.linalg.inv(CELL) @ cell for cell in cells]
    frames = [
        Snapshot.of(p, SYMBOLS, cell=c, step=s, time=t)
        for p, c, s, t in zip(positions, cells, STEPS, TIMES, strict=True)
    ]
    buf = collect(frames, tmp_path / "run.sdl", **SETTINGS)
    for k in (0, 5):
        np.testing.assert_allclose(buf.box(k)[0], cells[k], rtol=1e-12)
        atoms = Atoms(SYMBOLS, positions[k], cell=cells[k], pbc=True)
        assert [set(ids.tolist()) for ids in buf.neighbors(k)] == naive_sets(atoms, 3.5)


def test_virtual_sites_are_left_out(files, reference):
    """A site without an element in every molecule, as in TIP4P of GROMACS."""
    lines = (files / "run.gro").read_text().splitlines()
    sites = [line[:10] + "   MW" + line[15:] for line in lines[2:6]]
    text = [lines[0], str(len(SYMBOLS) + 4), *lines[2:-1], *sites, lines[-1], ""]
    (files / "sites.gro").write_text("\n".join(text))
    given = {"elements": "O H", "timestep": 1.0, **SETTINGS}
    with pytest.raises(TrajectoryError, match="MW cannot be told to be one of the elements O H"):
        collect(files / "sites.gro", files / "run.sdl", **given)
    buf = collect(files / "sites.gro", files / "run.sdl", atoms="not name MW", **given)
    np.testing.assert_allclose(buf.soap(0), reference.soap(0), rtol=0, atol=2e-5)
    dummies = [
        Atoms([*SYMBOLS, "X"], [*each, [1, 1, 1]], cell=CELL, pbc=True) for each in walkers()
    ]
    with pytest.raises(TrajectoryError, match="has atoms of 'X'"):
        collect(dummies, files / "x.sdl", timestep=1.0, **SETTINGS)
    buf = collect(dummies, files / "x.sdl", atoms="not name X", timestep=1.0, **SETTINGS)
    np.testing.assert_allclose(buf.soap(5), reference.soap(5), rtol=0, atol=1e-7)


def test_some_frames(reference, tmp_path):
    frames = snapshots(walkers())
    buf = collect(frames, tmp_path / "run.sdl", begin=1, end=5, step=2, **SETTINGS)
    assert buf.steps.tolist() == [100, 300]
    np.testing.assert_array_equal(buf.soap(1), reference.soap(3))


def test_frames_are_streamed(reference, tmp_path, monkeypatch):
    """No more are read than are described at once; large frames are described one by one."""
    read, committed, ahead = [0], [0], []

    def frames():
        for frame in snapshots(walkers()):
            ahead.append(read[0] - committed[0])
            read[0] += 1
            yield frame

    def progress(_, done, total):
        committed[0] = done

    collect(frames(), tmp_path / "a.sdl", threads=2, progress=progress, **SETTINGS)
    assert max(ahead) <= 3
    monkeypatch.setattr("strdyn_post.exchange.collect._MEMORY", 1)
    read, committed, ahead = [0], [0], []
    buf = collect(frames(), tmp_path / "b.sdl", threads=2, progress=progress, **SETTINGS)
    assert max(ahead) <= 2
    require_equal(buf, reference, atol=0)


def test_the_periodic_directions_can_be_given(slab, tmp_path):
    for given in ("xy", "y x", (True, True, False)):
        name = tmp_path / f"{len(str(given))}.sdl"
        require_equal(collect(snapshots(walkers()), name, periodic=given, **SETTINGS), slab)


# restarts

KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[1:3]
from test_collect import SETTINGS, snapshots, walkers
from strdyn_post import collect

def frames():
    for k, each in enumerate(snapshots(walkers())):
        if k == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        yield each

collect(frames(), "run.sdl", threads=1, **SETTINGS)
"""


def test_a_killed_collection_goes_on(reference, tmp_path):
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(here), str(here.parent)], cwd=tmp_path, check=False
    )
    assert done.returncode == -9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not sealed
        n_frames = open_buffer(tmp_path / "run.sdl").n_frames
    assert 0 < n_frames < N_FRAMES
    seen = []
    buf = collect(
        snapshots(walkers()),
        tmp_path / "run.sdl",
        progress=lambda _, done, total: seen.append((done, total)),
        **SETTINGS,
    )
    assert seen[0] == (n_frames, 6)  # compared, not written again
    assert seen[-1] == (6, 6)
    require_equal(buf, reference, atol=0)
    np.testing.assert_array_equal(buf.times, reference.times)
    assert buf.superseded == []
    collect(snapshots(walkers()), tmp_path / "run.sdl", **SETTINGS)
    assert open_buffer(tmp_path / "run.sdl").n_frames == 6


def test_a_trajectory_that_has_grown(slab, tmp_path):
    path = tmp_path / "run.dump"
    write_dump(path, walkers())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 5 // 8])
    given = {"elements": "O H", "timestep": 0.002, **SETTINGS}
    with pytest.raises(TrajectoryError, match=r"ends within frame 3 .*3 are in"):
        collect(path, tmp_path / "run.sdl", **given)
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 100, 200]
    path.write_bytes(whole)
    require_equal(collect(path, tmp_path / "run.sdl", **given), slab)


def test_the_last_frame_of_a_run_is_the_first_of_the_next(reference, tmp_path):
    frames = snapshots(walkers())
    buf = collect([*frames[:3], frames[2], *frames[3:]], tmp_path / "run.sdl", **SETTINGS)
    require_equal(buf, reference, atol=0)


def test_another_trajectory_is_refused(tmp_path):
    frames, file = snapshots(walkers()), tmp_path / "run.sdl"
    collect(frames[:4], file, **SETTINGS)
    others = snapshots(walkers(seed=2))
    with pytest.raises(OSError, match=r"step 300 differs from the one stored"):
        collect(others, file, **SETTINGS)
    with pytest.raises(TrajectoryError, match="frame 2 .* has step 200, but frame 1 .* step 100"):
        collect(frames, file, step=2, **SETTINGS)
    with pytest.raises(OSError, match="r_cut is 3.5 there and 4.0 now"):
        collect(frames, file, **{**SETTINGS, "r_cut": 4.0})
    assert open_buffer(file).n_frames == 4


# what is refused


def broken(change, k=3):
    """Frames of which one is changed."""
    frames = snapshots(walkers())
    frames[k] = change(frames[k])
    return frames


def without_last(frame):
    return frame.take(frame.atom_ids[:-1])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (broken(without_last), "(step 300) of the trajectory has 11 atoms, the first one 12"),
        (broken(lambda f: replace(f, atom_ids=f.atom_ids + 1)), "has an atom with ID 13"),
        (broken(lambda f: replace(f, step=150)), "frame 3 of the trajectory has step 150, the one"),
        (broken(lambda f: replace(f, positions=f.positions * np.nan)), "atom 1 is at [nan, nan"),
        (broken(lambda f: replace(f, symbols=f.symbols[::-1])), "ID 1 has changed from O to H"),
        (broken(lambda f: f.periodic_along((1, 1, 0))), "periodic along x y, the first one along"),
        (broken(lambda f: replace(f, time=None)), "has no time: expected one in the trajectory"),
        (broken(lambda f: f.positions), "frame 3 is a ndarray: expected ase.Atoms"),
    ],
)  # fmt: skip
def test_a_frame_that_does_not_fit_ends_it(frames, message, tmp_path):
    with pytest.raises(TrajectoryError) as caught:
        collect(frames, tmp_path / "run.sdl", **SETTINGS)
    assert message in str(caught.value)
    assert "All frames before are safe: 3 are in" in str(caught.value)
    assert open_buffer(tmp_path / "run.sdl").steps.tolist() == [0, 100, 200]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begin": 6}, "has 6 frames, expected some from 6 to its end"),
        ({"begin": 3, "end": 2}, "expected frames counted from 0"),
        ({"step": 0}, "a step of at least 1"),
        ({"units": "metric"}, "units = 'metric': expected one of lj, metal"),
        ({"timestep": -1.0}, "timestep = -1.0"),
        ({"threads": 0}, "threads = 0"),
        ({"periodic": "xw"}, "periodic = 'xw'"),
        ({"r_cut": None}, "r_cut not given"),
        ({"elements": "O"}, "has atoms of 'H', but elements = 'O'"),
        ({"elements": "O Hh"}, "'Hh' is not the symbol of a chemical element"),
        ({"centers": "nome O"}, "centers = 'nome O' cannot be selected"),
        ({"lens_environment": "name N"}, "selects no atom of the first frame"),
        ({"atoms": "element Cu"}, "atoms = 'element Cu' selects no atom"),
    ],
)
def test_options_that_do_not_fit(options, message, tmp_path):
    with pytest.raises((TrajectoryError, ConfigError)) as caught:
        collect(snapshots(walkers()), tmp_path / "run.sdl", **{**SETTINGS, **options})
    assert message in str(caught.value)


def test_types_need_elements(tmp_path):
    frame = Snapshot.of(walkers()[0], types=[1, 2, 2] * 4, cell=CELL, step=0, time=0.0)
    with pytest.raises(TrajectoryError, match="elements not given: .* atom types 1, 2"):
        collect([frame], tmp_path / "run.sdl", **SETTINGS)
    with pytest.raises(TrajectoryError, match="types from 1 to 2, but elements = 'O' names 1"):
        collect([frame], tmp_path / "run.sdl", elements="O", **SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": [[0, 0]]}, "expected (n_atoms, 3)"),
        ({"symbols": ["O"]}, "symbols have the shape (1,)"),
        ({"atom_ids": [1, 1]}, "two atoms have the ID 1"),
        ({"cell": [1, 2]}, "expected three box vectors"),
        ({"periodic": (True, False, False)}, "no box vector along x, which is to be periodic"),
        ({"cell": [5, 5, 0], "periodic": (1, 1, 1)}, "no box vector along z"),
        ({"cell": [[5, 0, 0], [5, 0, 0], [0, 0, 5]]}, "span no volume"),
    ],
)
def test_frames_that_make_no_sense(arguments, message):
    with pytest.raises(TrajectoryError) as caught:
        Snapshot.of(**{"positions": [[0, 0, 0], [0, 0, 1]], "symbols": ["O", "H"], **arguments})
    assert message in str(caught.value)


def test_a_periodic_request_needs_a_box(tmp_path):
    frames = [Atoms(SYMBOLS, each) for each in walkers()]
    with pytest.raises(TrajectoryError, match="no box vector along x y, which is to be periodic"):
        collect(frames, tmp_path / "run.sdl", periodic="xy", timestep=1.0, **SETTINGS)


BAD_DUMPS = [
    (
        lambda text: text.replace("id type", "type q", 1),
        "has the columns type q x y z: expected id",
    ),
    (lambda text: text.replace(" x y z", " vx vy vz"), "expected id, and positions as x y z"),
    (
        lambda text: text.replace("NUMBER OF ATOMS\n12", "NUMBER OF ATOMS\nmany"),
        "number of atoms is",
    ),
    (lambda text: text.replace("ITEM: BOX BOUNDS", "ITEM: BAX"), "found the line 'ITEM: BAX xy"),
    (lambda text: text.replace("ITEM: NUMBER OF ATOMS\n12\n", ""), "frame 0 of"),
    (lambda text: text.replace("\n3 2 ", "\n3 two ", 1), "is damaged"),
    (lambda text: text[:6], "frame 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD_DUMPS, ids=range(len(BAD_DUMPS)))
def test_damaged_dumps(change, message, tmp_path):
    path = tmp_path / "run.dump"
    write_dump(path, walkers())
    path.write_text(change(path.read_text()))
    with pytest.raises(TrajectoryError) as caught:
        collect(path, tmp_path / "run.sdl", elements="O H", timestep=1.0, **SETTINGS)
    assert message in str(caught.value)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.52, 0.9, 0.999])
def test_every_cut_of_a_dump_is_found(kept, tmp_path):
    """The frames before the cut are those of the whole file."""
    path = tmp_path / "run.dump"
    write_dump(path, walkers())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    n_whole = path.read_bytes().count(b"TIMESTEP") - 1
    given = {"elements": "O H", "timestep": 1.0, **SETTINGS}
    with pytest.raises(TrajectoryError, match=f"ends within frame {n_whole} "):
        collect(path, tmp_path / "run.sdl", **given)
    assert not n_whole or open_buffer(tmp_path / "run.sdl").n_frames == n_whole


@pytest.mark.parametrize("name", ["run.xtc", "run.trr", "run.dcd", "run.extxyz"])
def test_trajectories_that_were_cut_off(name, files, monkeypatch, capsys):
    path = files / name
    path.write_bytes(path.read_bytes()[:-30])
    words = ["-s", files / "run.gro"] if name != "run.extxyz" else []
    command = (
        "collect",
        path,
        *words,
        "-o",
        files / "run.sdl",
        "--elements",
        "O H",
        "--r-cut",
        "3",
    )
    assert strdyn(monkeypatch, *command) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "frame 5" in said
    assert "All frames before are safe: 5 are in" in said
    assert open_buffer(files / "run.sdl").n_frames == 5


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_packed_dump_that_was_cut_off(kept, tmp_path):
    path = tmp_path / "run.dump.gz"
    write_dump(path, walkers(), opened=gzip.open)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(TrajectoryError, match=r"cannot be unpacked|ends within frame \d"):
        collect(path, tmp_path / "run.sdl", elements="O H", timestep=1.0, **SETTINGS)


# the command


def test_the_command(files, reference, monkeypatch, capsys):
    file = files / "run.sdl"
    command = [
        "collect", files / "run.extxyz", "-o", file, "--r-cut", "3.5", "--n-max", "3",
        "--l-max", "3", "--sigma", "0.4", "-b", "1", "-e", "5", "--step", "2",
    ]  # fmt: skip
    for _ in range(2):  # twice the same: nothing to add
        assert strdyn(monkeypatch, *command) == 0
        said = capsys.readouterr()
        assert (said.out, said.err) == (
            f"{file}: 2 frames of 12 atoms, periodic along x y z\n",
            "",
        )  # no terminal
    buf = open_buffer(file)
    assert buf.steps.tolist() == [100, 300]
    np.testing.assert_allclose(buf.soap(0), reference.soap(1), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere.xtc"], 3, "nowhere.xtc does not exist"),
        (["notes.txt"], 3, "unknown format. Expected a LAMMPS dump in text form"),
        (["run.xtc"], 3, "holds positions, but not what the atoms are: expected a topology"),
        (["run.xtc", "-s", "run.pdb", "--elements", "O"], 3, "has atoms of 'H'"),
        (["run.xtc", "-s", "small.gro"], 3, "a topology of the same atoms"),
        (["run.extxyz", "--units", "nano", "--centers", "name Q"], 3, "selects no atom"),
        (["run.xtc", "-s", "run.pdb", "--units", "nano"], 3, "MDAnalysis has lengths in Å"),
        (["run.extxyz", "--n-max", "many"], 3, "n_max = 'many': expected a whole number from 1"),
        (["run.extxyz", "--step", "x"], 2, ""),
        (["run.extxyz", "--rcut", "4"], 2, ""),
    ],
)
def test_words_that_do_not_fit(words, code, message, files, monkeypatch, capsys):
    (files / "notes.txt").write_text("nothing of a trajectory\n")
    gro = (files / "run.gro").read_text().splitlines()
    (files / "small.gro").write_text("\n".join([gro[0], "11", *gro[2:-2], gro[-1], ""]))
    monkeypatch.chdir(files)
    assert strdyn(monkeypatch, "collect", *words, "-o", "run.sdl", "--r-cut", "3.5") == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_missing_package_is_named(files, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "MDAnalysis", None)
    monkeypatch.chdir(files)
    for words in (["run.xtc", "-s", "run.gro"], ["run.extxyz", "--centers", "element O"]):
        assert strdyn(monkeypatch, "collect", *words, "-o", "run.sdl", "--r-cut", "3.5") == 4
        assert "pip install 'strdyn-live[mdanalysis]'" in capsys.readouterr().err
    words = ["run.extxyz", "-o", "run.sdl", "--r-cut", "3.5", "--n-max", "3"]
    assert strdyn(monkeypatch, "collect", *words) == 0


def test_options_are_the_declared_settings():
    """Their words stand once, in LiveConfig."""
    from typer.main import get_command

    from strdyn_live.settings import declared
    from strdyn_post.cli import app

    options = {option.name: option for option in get_command(app).commands["collect"].params}
    # --threads is that of `collect`: by default it takes all cores
    found = [each for each in declared(LiveConfig) if each.name in {*options} - {"threads"}]
    assert {"r_cut", "elements", "centers", "lens_environment"} <= {each.name for each in found}
    for each in found:
        assert options[each.name].opts == [f"--{each.name.replace('_', '-')}"]
        assert options[each.name].help.startswith(each.about.replace("`", ""))
