"""Spectra of cpctools as a buffer: against DScribe, ASE, and what our own export came from."""

import pickle
import shutil

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from ase.neighborlist import neighbor_list
from dscribe.descriptors import SOAP
from memory_buffer import N_FEATURES, MemoryBuffer, walk
from recorded import strdyn, with_empty_figures
from sklearn.metrics import adjusted_rand_score

from strdyn_live import LiveConfig
from strdyn_live.neighbors import NeighborLists
from strdyn_post import AnalysisConfig, analyse, load_results, read_soapify
from strdyn_post.errors import AnalysisError
from strdyn_post.exchange.export import write_soapify
from strdyn_post.exchange.soapify_reader import is_soapify
from strdyn_post.routes import ROUTES
from strdyn_post.signal.lens_series import lens_series

CELL = np.array([[6.0, 0, 0], [2.0, 5.0, 0], [-1.0, 1.5, 7.0]])
SYMBOLS = np.array(["O", "H", "H", "O", "H", "H", "H"])
CENTERS = [4, 0, 3, 1]  # in no order
N_MAX, L_MAX, R_CUT = 3, 2, 4.0
FEATURES = 63  # (3 4/2 + 3 3 + 3 4/2) (2 + 1)


def naive_neighbors(positions, cell, periodic, r_cut):
    """Rows of the neighbors of every atom as sets, by ASE."""
    first, second = neighbor_list("ij", Atoms(positions=positions, cell=cell, pbc=periodic), r_cut)
    return [set(second[first == row].tolist()) - {row} for row in range(len(positions))]


def water():
    """Positions of some frames, atoms in and around the box; and their spectra by DScribe."""
    rng = np.random.default_rng(5)
    oracle = SOAP(species=["H", "O"], r_cut=R_CUT, n_max=N_MAX, l_max=L_MAX, periodic=True)
    inside = rng.random((5, len(SYMBOLS), 3))
    frames = [Atoms(SYMBOLS, scaled_positions=each, cell=CELL, pbc=True) for each in inside]
    spectra = np.array([oracle.create(frame, centers=CENTERS) for frame in frames])
    return (inside + rng.integers(-2, 3, inside.shape)) @ CELL, spectra, oracle


@pytest.fixture
def file(tmp_path):
    """A file as SOAPify leaves it."""
    positions, spectra, oracle = water()
    path = tmp_path / "water.hdf5"
    with h5py.File(path, "w") as out:
        group = out.create_group("Trajectories/ice")
        group["Types"] = SYMBOLS.astype(h5py.string_dtype())
        group["Trajectory"] = positions
        group["Box"] = np.tile(Atoms(cell=CELL).cell.cellpar(), (5, 1))
        soap = out.create_dataset("SOAP/ice", data=spectra, chunks=(2, 4, FEATURES))
        soap.attrs.update(SOAPengine="dscribe", l_max=L_MAX, n_max=N_MAX, r_cut=R_CUT)
        soap.attrs["species"] = oracle.species
        soap.attrs["centersIndexes"] = CENTERS
        for first in oracle.species:
            for second in oracle.species:
                place = oracle.get_location((first, second))
                soap.attrs[f"species_location_{first}-{second}"] = (place.start, place.stop)
    return path


def filled_weights(oracle):
    """How often the filled form holds each component: n < n' of one species twice."""
    weights = np.ones(oracle.get_number_of_features())
    once = np.array([1 if n == m else 2 for n in range(N_MAX) for m in range(n, N_MAX)])
    for species in oracle.species:
        weights[oracle.get_location((species, species))] = np.tile(once, L_MAX + 1)
    return weights


def test_inner_products_are_those_of_dscribes_filled_vectors(file):
    _, spectra, oracle = water()
    buffer = read_soapify(file)
    order = np.argsort(CENTERS)
    for k in range(5):
        expected = spectra[k, order] * filled_weights(oracle) @ spectra[k, order].T
        found = buffer.soap(k)
        assert found.shape == (4, FEATURES)
        np.testing.assert_allclose(found @ found.T, expected, rtol=1e-13)
    np.testing.assert_array_equal(buffer.soap(slice(1, 4)), [buffer.soap(k) for k in (1, 2, 3)])


def test_a_file_of_cpctools_is_a_buffer(file):
    positions, *_ = water()
    buffer = read_soapify(file)
    assert is_soapify(file)
    assert buffer.n_frames == 5
    assert buffer.steps.tolist() == buffer.times.tolist() == [0, 1, 2, 3, 4]
    assert buffer.atom_ids.tolist() == [0, 1, 3, 4]
    assert buffer.config.species == ("H", "O")
    assert buffer.species.tolist() == [1, 0, 1, 0]
    assert (buffer.config.r_cut, buffer.config.lens_r_cut, buffer.config.sigma) == (4, 4, 1)
    np.testing.assert_array_equal(buffer.positions(2), positions[2][[0, 1, 3, 4]])
    np.testing.assert_allclose(buffer.box(2)[0], CELL, atol=1e-12)


@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True), (False,) * 3])
@pytest.mark.parametrize("r_cut", [2.5, 9.0])
def test_neighbors_are_those_among_all_images(file, periodic, r_cut):
    positions, *_ = water()
    buffer = read_soapify(file, lens_r_cut=r_cut, periodic=periodic)
    assert buffer.config.lens_r_cut == r_cut
    for k in range(5):
        found = buffer.neighbors(k)
        expected = naive_neighbors(positions[k], CELL, periodic, r_cut)
        assert [set(found[row].tolist()) for row in range(4)] == [
            expected[atom_id] for atom_id in (0, 1, 3, 4)
        ]


def test_neighbors_by_hand(file):
    with h5py.File(file, "a") as out:
        group = out["Trajectories/ice"]
        group["Box"][0] = [10, 10, 10, 90, 90, 90]
        # 0 and 1 meet through a wall, 2 lies a box farther, 3 is just outside of the cutoff
        group["Trajectory"][0, :4] = [[0.5, 5, 0], [29.5, 5, 0], [0.5, 15, 1.0], [0.5, 5, -1.5]]
        group["Trajectory"][0, 4:] = [[5, 0, 5], [5, 3, 5], [5, 6, 5]]
    lists = read_soapify(file, lens_r_cut=1.5).neighbors(0)
    assert lists[0].tolist() == [1, 2]
    assert lists[1].tolist() == [0, 2]
    assert read_soapify(file, lens_r_cut=1.501).neighbors(0)[0].tolist() == [1, 2, 3]
    walled = read_soapify(file, lens_r_cut=1.5, periodic=(False, True, True))
    assert walled.neighbors(0)[0].tolist() == [2]


def test_a_copy_for_another_process_reads_the_same(file):
    buffer = read_soapify(file, lens_r_cut=3.0, periodic=(True, True, False))
    copy = pickle.loads(pickle.dumps(buffer))
    assert (copy.config, copy.periodic, copy.uuid) == (buffer.config, buffer.periodic, buffer.uuid)
    np.testing.assert_array_equal(copy.soap(4), buffer.soap(4))
    np.testing.assert_array_equal(copy.neighbors(4).ids, buffer.neighbors(4).ids)


def test_a_copy_keeps_to_its_file_from_another_working_directory(file, tmp_path, monkeypatch):
    monkeypatch.chdir(file.parent)
    text = pickle.dumps(read_soapify(file.name))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pickle.loads(text).path == file


@pytest.mark.parametrize(
    "part", ["SOAP/ice", "Trajectories/ice/Trajectory", "Trajectories/ice/Box"]
)
def test_a_file_that_has_changed_is_noticed_by_a_copy(file, part):
    buffer = read_soapify(file)
    text = pickle.dumps(buffer)
    other = file.with_name("other.hdf5")
    shutil.copy(file, other)
    with h5py.File(other, "a") as out:
        out[part][1, 0] += 0.25
    other.rename(file)
    with pytest.raises(AnalysisError, match=f"its identity is .*, expected {buffer.uuid}"):
        pickle.loads(text)


def test_the_identity_is_that_of_the_content_not_of_the_place(file, tmp_path):
    moved = tmp_path / "moved.hdf5"
    uuid = read_soapify(file).uuid
    file.rename(moved)
    assert read_soapify(moved).uuid == uuid


def test_spectra_may_lie_in_a_file_of_their_own(file, tmp_path):
    with h5py.File(file, "a") as out, h5py.File(tmp_path / "soap.hdf5", "w") as apart:
        out.copy("SOAP", apart)
        del out["SOAP"]
    buffer = pickle.loads(pickle.dumps(read_soapify(tmp_path / "soap.hdf5", trajectories=file)))
    assert buffer.soap(0).shape == (4, FEATURES)
    assert len(buffer.neighbors(0)) == 4
    with pytest.raises(AnalysisError, match=r"soap.hdf5 has no group 'Trajectories'"):
        read_soapify(tmp_path / "soap.hdf5")


# what our own export holds


N_ATOMS, N_FRAMES = 64, 60
CONFIG = AnalysisConfig(smoothing_window=1, min_cluster_size=60)


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    """A cubic crystal in which some atoms wander for a while, and its export."""
    rng = np.random.default_rng(1)
    states = walk(np.array([[0.98, 0.02], [0.1, 0.9]]), N_FRAMES, N_ATOMS, rng)
    cell = np.array([[12.0, 0, 0], [3.0, 12.0, 0], [0.0, -3.0, 12.0]])
    sites = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3) / 4 @ cell
    positions = sites + rng.normal(0.0, 0.05, (N_FRAMES, N_ATOMS, 3))
    wandering = states == 1
    positions[wandering] = rng.uniform(-2, 2, (wandering.sum(), 3)) @ cell
    spectra = 1.0 + 0.4 * rng.normal(size=(2, N_FEATURES))[states]
    spectra += rng.normal(0.0, 0.01, spectra.shape)
    spectra /= np.linalg.norm(spectra, axis=2, keepdims=True)
    atom_ids = np.arange(N_ATOMS) * 3 + 7
    lists = []
    for frame in positions:
        sets = [sorted(each) for each in naive_neighbors(frame, cell, True, 3.5)]
        counts = np.array([len(each) for each in sets])
        lists.append(NeighborLists.from_counts(counts, atom_ids[np.concatenate(sets).astype(int)]))
    config = LiveConfig(r_cut=3.5, elements="Cu", file="crystal.sdl", n_max=2, l_max=3)
    buffer = MemoryBuffer(
        np.arange(N_FRAMES) * 500,
        spectra.astype(np.float32),
        lists,
        atom_ids=atom_ids,
        config=config,
    )
    buffer.n_frames = N_FRAMES
    buffer.positions = lambda k: positions[k]
    buffer.box = lambda _k: (cell, np.array([1.0, 2.0, 3.0]))
    return buffer, write_soapify(buffer, tmp_path_factory.mktemp("crystal") / "crystal.hdf5")


def test_what_was_exported_reads_back(crystal):
    buffer, path = crystal
    back = read_soapify(path)
    assert back.config == buffer.config
    for k in (0, 31, 59):
        np.testing.assert_allclose(back.soap(k), buffer.soap(k), rtol=1e-14)
        np.testing.assert_array_equal(back.positions(k), buffer.positions(k))
        lists = buffer.neighbors(k)
        np.testing.assert_array_equal(back.neighbors(k).offsets, lists.offsets)
        np.testing.assert_array_equal(buffer.atom_ids[back.neighbors(k).ids], lists.ids)
    np.testing.assert_array_equal(lens_series(back).values, lens_series(buffer).values)


def test_an_analysis_of_the_export_finds_the_same(crystal):
    buffer, path = crystal
    expected, found = analyse(buffer, CONFIG), analyse(read_soapify(path), CONFIG)
    for name in ROUTES:
        one, other = expected[name], found[name]
        assert one.n_clusters == other.n_clusters >= 2
        assert adjusted_rand_score(one.labels.ravel(), other.labels.ravel()) == 1.0
        assert sorted(one.counts.ravel()) == sorted(other.counts.ravel())
    assert found.flicker_share == expected.flicker_share


def test_the_command_takes_such_a_file(crystal, tmp_path, monkeypatch):
    _, path = crystal
    (tmp_path / "analysis.toml").write_text("smoothing_window = 1\nmin_cluster_size = 60\n")
    monkeypatch.chdir(tmp_path)
    with_empty_figures(monkeypatch)
    words = ("export", "out", "--to", "extxyz", "-o", "labels.extxyz")
    assert strdyn(monkeypatch, "analyse", path, "-c", "analysis.toml", "-o", "out") == 0
    assert strdyn(monkeypatch, *words) == 0
    result = load_results(tmp_path / "out")
    assert "time units" in (tmp_path / "out" / "report.html").read_text()
    frames = read(tmp_path / "labels.extxyz", ":")
    assert len(frames) == len(result["soap"].steps)
    np.testing.assert_array_equal(frames[3].arrays["soap"], result["soap"].final.labels[3] + 1)


# what goes wrong


def damage(part):
    """Return what damages a file in one way."""

    def second_trajectory(file):
        file.copy("Trajectories/ice", "Trajectories/melt")
        file.copy("SOAP/ice", "SOAP/melt")

    def other_name(file):
        file.move("SOAP/ice", "SOAP/melt")

    def lost_frame(file):
        frames = file["Trajectories/ice/Trajectory"][:-1]
        del file["Trajectories/ice/Trajectory"]
        file["Trajectories/ice/Trajectory"] = frames

    def no_box(file):
        file["Trajectories/ice/Box"][3] = 0.0

    attributes = {"n_max": 4, "centersIndexes": [0, 9, 1, 2], "SOAPengine": "quippy"}
    actions = {
        "several": second_trajectory,
        "no common name": other_name,
        "lost frame": lost_frame,
        "no box": no_box,
        "no SOAP": lambda file: file.pop("SOAP"),
        "no Box": lambda file: file["Trajectories/ice"].pop("Box"),
        "no l_max": lambda file: [file["SOAP/ice"].attrs.pop(key) for key in ("l_max", "r_cut")],
        "fewer centers": lambda file: file["SOAP/ice"].attrs.pop("centersIndexes"),
        "strange element": lambda file: file["Trajectories/ice/Types"].__setitem__(1, "He"),
    }
    if part in attributes:
        return lambda file: file["SOAP/ice"].attrs.__setitem__(part, attributes[part])
    return actions[part]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("several", r"several trajectories: ice, melt\. Choose one: .*name='ice'"),
        ("no common name", r"spectra of melt, but the trajectories are ice"),
        ("no SOAP", r"water.hdf5 has no group 'SOAP': the layout of cpctools is"),
        ("no Box", r"has no dataset Trajectories/ice/Box"),
        ("no l_max", r"SOAP/ice of .* lacks the attributes r_cut, l_max"),
        ("lost frame", r"has 5 frames, but its trajectory has 4 and its box 5"),
        ("n_max", r"has 63 components, but n_max = 4 and l_max = 2 make 108 for H O"),
        ("SOAPengine", r"computed by quippy"),
        ("centersIndexes", r"describes 4 atoms; .* names 4 of the 7 atoms"),
        ("fewer centers", r"describes 4 atoms; .* names 7 of the 7 atoms"),
        ("strange element", r"made for H, O; its trajectory holds He"),
        ("no box", r"frame 3 .* lengths \[0.0, 0.0, 0.0\].*periodic=\(False, False, False\)"),
    ],
)
def test_what_does_not_fit_is_named(file, part, message):
    with h5py.File(file, "a") as out:
        damage(part)(out)
    with pytest.raises(AnalysisError, match=message):
        read_soapify(file)


@pytest.mark.parametrize(
    ("value", "place", "message"),
    [
        (np.nan, (3, 2, 1), r"frame 3 of Trajectories/ice of .* has atom 2 at \[.*nan"),
        (np.inf, (3, 2, 1), r"frame 3 of Trajectories/ice of .* has atom 2 at \[.*inf"),
        (1e200, (1, 6, 0), r"frame 1 .* atom 6 at \[1e\+200, .*less than 1e\+06 box vectors"),
        (-1e8, (1, 6, 0), r"frame 1 .* atom 6 at \[-100000000.0"),
    ],
)
def test_positions_that_are_none_are_named(file, value, place, message):
    with h5py.File(file, "a") as out:
        out["Trajectories/ice/Trajectory"][place] = value
    buffer = read_soapify(file)
    for read_frame in (buffer.positions, buffer.neighbors):
        with pytest.raises(AnalysisError, match=message):
            read_frame(place[0])
        assert read_frame(0) is not None
    with pytest.raises(AnalysisError, match=message):
        lens_series(buffer)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([np.nan, 6, 6, 90, 90, 90], r"frame 2 .* lengths \[nan, 6.0, 6.0\] and angles"),
        ([np.inf, 6, 6, 90, 90, 90], r"frame 2 .* lengths \[inf"),
        ([6, 6, 6, 90, np.nan, 90], r"frame 2 .* angles \[90.0, nan, 90.0\]"),
        ([6, 6, 6, 30, 30, 120], r"frame 2 .* expected three vectors that make a box"),
        ([6, 6, 1e-9, 90, 90, 90], r"frame 2 .* expected three vectors .* within reach of 4"),
        ([6, -6, 6, 90, 90, 90], r"frame 2 .* lengths \[6.0, -6.0, 6.0\]: .* Say which"),
    ],
)
def test_boxes_that_are_none_are_named(file, box, message):
    with h5py.File(file, "a") as out:
        out["Trajectories/ice/Box"][2] = box
    with pytest.raises(AnalysisError, match=message):
        read_soapify(file)


@pytest.mark.parametrize(
    ("centers", "message"),
    [
        ([4, 0, 3, 4], r"names atom 4 2 times: expected each described atom once"),
        ([4, 0, 3, 1.5], r"centersIndexes of .* holds float64 of shape \(4,\).*whole numbers"),
        ([4, 0, 3, np.nan], r"expected whole numbers"),
        ([4, 0, 3, -1], r"names 4 of the 7 atoms"),
        ([[4, 0], [3, 1]], r"shape \(2, 2\)"),
        (["a", "b", "c", "d"], r"expected whole numbers"),
    ],
)
def test_described_atoms_are_whole_and_different(file, centers, message):
    with h5py.File(file, "a") as out:
        out["SOAP/ice"].attrs["centersIndexes"] = centers
    with pytest.raises(AnalysisError, match=message):
        read_soapify(file)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("SOAP/ice", np.zeros((5, 4)), r"SOAP/ice of .* shape \(5, 4\): expected numbers"),
        ("SOAP/ice", np.zeros((5, 4, 63), "S3"), r"SOAP/ice of .* holds \|S3"),
        ("Trajectories/ice/Trajectory", np.zeros((5, 7, 2)), r"expected numbers, any × any × 3"),
        ("Trajectories/ice/Trajectory", np.zeros((5, 6, 3)), r"of 6 atoms and types of 7"),
        ("Trajectories/ice/Box", np.zeros((5, 3)), r"expected numbers, any × 6"),
        ("Trajectories/ice/Types", np.zeros(7), r"Types of .* expected text"),
    ],
)
def test_datasets_of_another_kind_are_named(file, part, value, message):
    with h5py.File(file, "a") as out:
        attributes = dict(out[part].attrs)
        del out[part]
        out[part] = value
        out[part].attrs.update(attributes)
    with pytest.raises(AnalysisError, match=message):
        read_soapify(file)


def test_one_of_several_trajectories_is_chosen_by_name(file):
    with h5py.File(file, "a") as out:
        damage("several")(out)
        out["SOAP/melt"][:] *= 2.0
    first, second = (read_soapify(file, name) for name in ("ice", "melt"))
    np.testing.assert_allclose(second.soap(0), 2.0 * first.soap(0))
    assert first.uuid != second.uuid
    with pytest.raises(AnalysisError, match=r"name = 'gas': .* holds ice, melt"):
        read_soapify(file, "gas")


def test_without_a_box_nothing_is_periodic(file):
    with h5py.File(file, "a") as out:
        out["Trajectories/ice/Box"][:] = 0.0
    positions, *_ = water()
    lists = read_soapify(file, lens_r_cut=8.0, periodic=(False, False, False)).neighbors(1)
    expected = naive_neighbors(positions[1], np.eye(3), False, 8.0)
    assert [set(lists[row].tolist()) for row in range(4)] == [expected[k] for k in (0, 1, 3, 4)]


def test_other_files_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no HDF5")
    for path in (tmp_path / "notes.txt", tmp_path / "nowhere.hdf5"):
        assert not is_soapify(path)
        with pytest.raises(AnalysisError, match="is not an HDF5 file, or does not exist"):
            read_soapify(path)
