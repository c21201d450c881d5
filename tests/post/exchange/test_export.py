"""Exports: other programs read back what the result holds."""

import csv
import gzip
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from dscribe.descriptors import SOAP
from synthetic import make_buffer, make_result

from strdyn_live import LiveConfig
from strdyn_live.soap import Soap
from strdyn_post.errors import AnalysisError
from strdyn_post.exchange.export import FORMATS, export, to_ase, to_mda, write_soapify
from strdyn_post.routes import ROUTES


@pytest.fixture(scope="module")
def result():
    return make_result(8, 30)


@pytest.fixture
def buffer(result):
    buffer = make_buffer(result)
    buffer._cell = np.array([[12.0, 0, 0], [3.0, 10.0, 0], [-2.0, 1.0, 20.0]])
    buffer.box = lambda k: (buffer._cell, np.array([1.0, 2.0, -0.5 * k]))
    # the buffer holds an atom more, which is not analysed
    buffer.atom_ids = np.arange(31)
    buffer.species = np.zeros(31, dtype=np.int32)
    sites = buffer.positions
    buffer.positions = lambda k: np.concatenate([[[99.0, 99, 99]], sites(k)])
    return buffer


# by hand: SOAP counts from 1; a letter is what SOAP does not have (D is 104); noise is −1
NUMBERS = {
    "soap": np.array([1, 2, 3, 4, -1]),
    "lens": np.array([1, 2, 3, -1]),
    "soap_lens": np.array([2, 4, 1, 104, 3, -1]),
}


def frame_in_buffer(buffer, result, k):
    return int(np.flatnonzero(buffer.steps == result["soap"].steps[k])[0])


def assert_holds(atoms, result, buffer, k):
    """Compare one frame, atom by atom."""
    at = frame_in_buffer(buffer, result, k)
    np.testing.assert_array_equal(atoms.arrays["id"], result["soap"].atom_ids)
    np.testing.assert_allclose(atoms.positions, buffer.positions(at)[1:], atol=1e-6)
    np.testing.assert_allclose(atoms.cell, buffer.box(at)[0], atol=1e-9)
    assert atoms.pbc.tolist() == [True, True, False]
    for name in ROUTES:
        expected = NUMBERS[name][result[name].final.labels[k]]
        np.testing.assert_array_equal(atoms.arrays[name], expected)
    np.testing.assert_allclose(atoms.arrays["delta"], result["lens"].scores[k, :, 0], atol=1e-6)


def test_ase_frames_hold_labels_by_step_and_atom(result, buffer):
    frames = to_ase(result, buffer)
    assert len(frames) == 8
    for k, atoms in enumerate(frames):
        assert atoms.info["step"] == result["soap"].steps[k]
        assert_holds(atoms, result, buffer, k)


def test_extended_xyz_reads_back(result, buffer, tmp_path):
    path = export(result, buffer, "extxyz", tmp_path / "labels.extxyz")
    frames = read(path, ":")
    assert len(frames) == 8
    for k in (0, 5):
        assert_holds(frames[k], result, buffer, k)
        np.testing.assert_allclose(
            frames[k].info["Origin"], buffer.box(frame_in_buffer(buffer, result, k))[1]
        )


def test_dump_reads_back_with_its_tilted_box(result, buffer, tmp_path):
    path = export(result, buffer, "dump", tmp_path / "labels.dump")
    frames = read(path, ":", format="lammps-dump-text")
    assert len(frames) == 8
    atoms, at = frames[3], frame_in_buffer(buffer, result, 3)
    np.testing.assert_allclose(atoms.cell, buffer.box(at)[0], atol=1e-9)
    assert atoms.pbc.tolist() == [True, True, False]
    assert set(atoms.get_chemical_symbols()) == {"Cu"}
    lines = path.read_text().splitlines()
    start = [row for row, line in enumerate(lines) if line == "ITEM: TIMESTEP"][3]
    assert int(lines[start + 1]) == result["soap"].steps[3]
    # bounds by hand: x from 1 + min(0, 3, -2, 1) to 13 + max(0, 3, -2, 1), tilt xy = 3
    assert [float(word) for word in lines[start + 5].split()] == [-1.0, 16.0, 3.0]
    header = lines[start + 8].split()[2:]
    rows = [dict(zip(header, line.split(), strict=True)) for line in lines[start + 9 : start + 39]]
    assert [int(row["id"]) for row in rows] == list(range(1, 31))
    expected = NUMBERS["soap_lens"][result["soap_lens"].final.labels[3]]
    assert [int(row["soap_lens"]) for row in rows] == expected.tolist()
    np.testing.assert_allclose(
        [float(row["z"]) for row in rows], buffer.positions(at)[1:, 2], atol=1e-6
    )


def test_dump_of_an_orthogonal_box_has_no_tilt(result, tmp_path):
    path = export(result, make_buffer(result), "dump", tmp_path / "x.dump")
    assert "ITEM: BOX BOUNDS pp pp ff\n" in path.read_text()


def test_dump_refuses_a_box_that_lammps_cannot_describe(result, buffer, tmp_path):
    turned = np.array([[0.0, 10, 0], [-10.0, 0, 0], [0, 0, 10.0]])
    buffer.box = lambda _k: (turned, np.zeros(3))
    with pytest.raises(ValueError, match=r"first box vector along x.*Export to extxyz"):
        export(result, buffer, "dump", tmp_path / "x.dump")
    assert not (tmp_path / "x.dump").exists()


def test_csv_has_a_row_for_every_atom_and_frame(result, buffer, tmp_path):
    path = export(result, buffer, "csv", tmp_path / "labels.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 * 30
    row = rows[5 * 30 + 7]
    assert int(row["step"]) == result["soap"].steps[5]
    assert int(row["atom_id"]) == 8
    assert int(row["soap"]) == NUMBERS["soap"][result["soap"].final.labels[5, 7]]
    fast = [row for row in rows if row["soap_lens"] == "104"]
    assert {row["environment"] for row in fast} == {"fast environment"}
    assert float(row["delta"]) == pytest.approx(result["lens"].scores[5, 7, 0], rel=1e-5)


def test_chemiscope_file_is_a_dataset(result, buffer, tmp_path):
    path = export(result, buffer, "chemiscope", tmp_path / "map.json.gz")
    data = json.loads(gzip.decompress(path.read_bytes()))
    assert len(data["structures"]) == 8
    assert len(data["environments"]) == len(data["properties"]["environment"]["values"]) == 240


def test_universe_follows_the_labels_frame_by_frame(result, buffer):
    universe = to_mda(result, buffer)
    assert universe.trajectory.n_frames == 8
    for k in (0, 6, 2):
        timestep = universe.trajectory[k]
        assert timestep.time == pytest.approx(result["soap"].times[k])
        assert timestep.data["step"] == result["soap"].steps[k]
        for name in ROUTES:
            expected = NUMBERS[name][result[name].final.labels[k]]
            np.testing.assert_array_equal(timestep.data[name], expected)
        np.testing.assert_allclose(timestep.data["delta"], result["lens"].scores[k, :, 0])
        at = frame_in_buffer(buffer, result, k)
        np.testing.assert_allclose(universe.atoms.positions, buffer.positions(at)[1:], atol=1e-5)
        np.testing.assert_allclose(
            universe.dimensions, Atoms(cell=buffer.box(at)[0]).cell.cellpar(), rtol=1e-5
        )
    assert universe.atoms.ids.tolist() == list(range(1, 31))


@pytest.mark.parametrize(("units", "factor"), [("metal", 1), ("lj", 1), ("real", 1e-3)])
def test_universe_has_the_time_of_every_frame_in_ps_across_a_gap(result, buffer, units, factor):
    times = result["soap"].times + np.where(np.arange(8) >= 5, 120.0, 0.0)
    routes = {
        name: replace(route, frames=replace(route.frames, times=times))
        for name, route in result.routes.items()
    }
    buffer.units = units
    universe = to_mda(replace(result, routes=routes), buffer)
    np.testing.assert_allclose([ts.time for ts in universe.trajectory], times * factor)
    assert universe.trajectory[6].time == pytest.approx(times[6] * factor)


# cpctools' layout: spectra as DScribe returns them, which its reader fills


def fill(spectra, n_max, l_max, species, locations):
    """Fill as the layout says, by loops: same-species blocks mirrored, cross blocks copied."""
    filled = []
    for i, first in enumerate(species):
        for second in species[i:]:
            start, stop = locations[f"{first}-{second}"]
            block, at = spectra[start:stop], 0
            for _ in range(l_max + 1):
                matrix = np.zeros((n_max, n_max))
                for n in range(n_max):
                    for m in range(n if first == second else 0, n_max):
                        matrix[n, m] = block[at]
                        if first == second:
                            matrix[m, n] = block[at]
                        at += 1
                filled.append(matrix.ravel())
            assert at == stop - start
    return np.concatenate(filled)


def test_spectra_in_cpctools_layout_are_those_of_dscribe(tmp_path):
    rng = np.random.default_rng(2)
    n_max, l_max, r_cut = 3, 2, 4.0
    symbols = ["O", "H", "H", "O", "H"]
    frames = [rng.uniform(0, 4, (5, 3)) for _ in range(3)]
    oracle = SOAP(
        species=["H", "O"], r_cut=r_cut, n_max=n_max, l_max=l_max, sigma=1.0, periodic=False
    )
    ours = Soap(("H", "O"), r_cut, n_max, l_max, backend="dscribe")
    species = np.array([ours.species.index(symbol) for symbol in symbols])

    def recorded(frame):
        spectra = ours.compute(frame, species, np.arange(5))
        return (spectra / np.linalg.norm(spectra, axis=1, keepdims=True)).astype(np.float32)

    config = LiveConfig(r_cut=r_cut, elements="O H", file="water.sdl", n_max=n_max, l_max=l_max)
    cell = np.array([[5.0, 0, 0], [2.5, 5.0, 0], [0, 0, 6.0]])
    buffer = SimpleNamespace(
        config=config,
        steps=np.arange(3),
        atom_ids=np.arange(1, 6),
        species=species,
        positions=lambda k: frames[k],
        box=lambda _k: (cell, np.zeros(3)),
        soap=lambda k: recorded(frames[k]),
    )
    write_soapify(buffer, tmp_path / "water.h5")
    with h5py.File(tmp_path / "water.h5") as file:
        group, spectra = file["Trajectories/water"], file["SOAP/water"]
        assert group["Types"].asstr()[()].tolist() == symbols
        np.testing.assert_array_equal(group["Trajectory"][()], frames)
        np.testing.assert_allclose(group["Box"][1], Atoms(cell=cell).cell.cellpar())
        assert spectra.dtype == np.float64
        assert (spectra.attrs["l_max"], spectra.attrs["n_max"]) == (l_max, n_max)
        assert list(spectra.attrs["species"]) == ["H", "O"]
        locations = {
            name.removeprefix("species_location_"): tuple(value)
            for name, value in spectra.attrs.items()
            if name.startswith("species_location_")
        }
        assert set(locations) == {"H-H", "H-O", "O-H", "O-O"}
        for pair in ("H-H", "H-O", "O-H", "O-O"):
            where = oracle.get_location(tuple(pair.split("-")))
            assert locations[pair] == (where.start, where.stop)
        for k in range(3):
            expected = oracle.create(Atoms(symbols, frames[k]))
            for atom in range(5):
                full = fill(expected[atom], n_max, l_max, ["H", "O"], locations)
                stored = fill(spectra[k, atom], n_max, l_max, ["H", "O"], locations)
                np.testing.assert_allclose(np.linalg.norm(stored), 1, atol=1e-6)
                np.testing.assert_allclose(stored, full / np.linalg.norm(full), atol=1e-6)


def test_every_atom_and_frame_of_a_one_species_buffer_is_written(tmp_path):
    soap = Soap(("Cu",), 6.0, backend="dscribe")
    rng = np.random.default_rng(0)
    spectra = rng.random((130, 4, soap.n_features)).astype(np.float32)
    buffer = SimpleNamespace(
        config=LiveConfig(r_cut=6.0, elements="Cu", file="cu.sdl"),
        steps=np.arange(130),  # more than one chunk
        atom_ids=np.arange(4),
        species=np.zeros(4, dtype=np.int32),
        positions=lambda k: np.full((4, 3), float(k)),
        box=lambda _k: (10 * np.eye(3), np.zeros(3)),
        soap=lambda k: spectra[k],
    )
    write_soapify(buffer, tmp_path / "cu.h5", name="copper")
    with h5py.File(tmp_path / "cu.h5") as file:
        stored = file["SOAP/copper"]
        assert stored.shape == (130, 4, 324)
        assert stored.chunks == (100, 4, 324)
        filled = fill(stored[129, 3], 8, 8, ["Cu"], {"Cu-Cu": (0, 324)})
        # the compact form has the inner products of the filled one
        other = fill(stored[7, 1], 8, 8, ["Cu"], {"Cu-Cu": (0, 324)})
        expected = spectra[129, 3].astype(float) @ spectra[7, 1]
        assert filled @ other == pytest.approx(expected, rel=1e-9)
        np.testing.assert_array_equal(file["Trajectories/copper/Trajectory"][101, 0], 101.0)


# what goes wrong


def test_unknown_format_and_another_buffer_are_named(result, buffer, tmp_path):
    with pytest.raises(ValueError, match=r"unknown format 'pdb': expected one of extxyz, dump"):
        export(result, buffer, "pdb", tmp_path / "x")
    buffer.steps = buffer.steps + 1
    with pytest.raises(ValueError, match=r"step 5000 of the result is not in the buffer"):
        to_ase(result, buffer)
    other = make_buffer(result)
    strange = {
        name: replace(route, frames=replace(route.frames, atom_ids=route.atom_ids + 100))
        for name, route in result.routes.items()
    }
    with pytest.raises(ValueError, match=r"atom 101 of the result is not in the buffer"):
        to_ase(replace(result, routes=strange), other)


@pytest.mark.parametrize("to", [*FORMATS, "ase", "mda"])
def test_a_result_of_another_run_is_refused(to, result, buffer, tmp_path):
    other = replace(result, provenance={"buffer_uuid": "another-run"})
    make = {"ase": to_ase, "mda": to_mda}
    with pytest.raises(AnalysisError, match=f"run another-run, but .* run {buffer.uuid}: give"):
        make[to](other, buffer) if to in make else export(other, buffer, to, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_result_of_the_same_run_is_exported(result, buffer):
    same = replace(result, provenance={"buffer_uuid": buffer.uuid})
    assert len(to_ase(same, buffer)) == 8


@pytest.mark.parametrize("package", ["MDAnalysis", "chemiscope"])
def test_a_missing_package_is_named_with_its_remedy(package, result, buffer, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    make = {
        "chemiscope": lambda: export(result, buffer, "chemiscope", tmp_path / "x.json.gz"),
        "MDAnalysis": lambda: to_mda(result, buffer),
    }
    with pytest.raises(ImportError, match=r"pip install"):
        make[package]()


def test_formats_are_those_of_the_command():
    assert list(FORMATS) == ["extxyz", "dump", "csv", "chemiscope", "soapify"]
