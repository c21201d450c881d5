"""What a run leaves in the buffer, against DScribe and naive sets on the whole periodic system."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from dscribe.descriptors import SOAP
from dumps import Snapshot, read_dump
from fix_scripts import of_system
from numpy.typing import NDArray
from systems import SYSTEMS

from strdyn_live import LiveConfig, open_buffer
from strdyn_live.lens import lens
from strdyn_live.soap import Soap

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]

DRIVER = Path(__file__).with_name("driver.py")
FLOAT32 = 1.2e-7  # relative rounding of what is stored


def periodic_soap(
    snapshot: Snapshot, config: LiveConfig, atom_ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """DScribe on the whole cell: filled, normalised, in the order of `atom_ids`."""
    rows = np.searchsorted(snapshot.atom_ids, atom_ids)
    atoms = Atoms(
        [config.elements[kind - 1] for kind in snapshot.types],
        snapshot.positions - snapshot.origin,
        cell=snapshot.cell,
        pbc=snapshot.periodic,
    )
    atoms.wrap()  # DScribe misses images of atoms outside the cell
    soap = SOAP(
        species=config.species,
        r_cut=config.r_cut,
        n_max=config.n_max,
        l_max=config.l_max,
        sigma=config.sigma,
        rbf="gto",
        periodic=bool(snapshot.periodic.any()),
    )
    full: NDArray[np.float64] = soap.create(atoms, centers=rows.tolist())
    return full


def naive_neighbors(
    snapshot: Snapshot, config: LiveConfig, atom_id: int, allowed: set[int]
) -> set[int]:
    """IDs within the cutoff over all images that can matter, as a plain set."""
    reach = [range(-3, 4) if flag else (0,) for flag in snapshot.periodic]
    shifts = np.array(list(itertools.product(*reach))) @ snapshot.cell
    center = snapshot.positions[snapshot.atom_ids == atom_id][0]
    found = set()
    for other, position in zip(snapshot.atom_ids.tolist(), snapshot.positions, strict=True):
        distances = np.sqrt(((position + shifts - center) ** 2).sum(axis=1))
        if other in allowed and (distances < config.lens_r_cut).any():
            found.add(other)
    return found - {atom_id}


ON_SOME_RANKS = ["cu_slab", "triclinic", "two_species"]
UNTOUCHED = ["cu_slab", "two_species"]


@pytest.fixture(scope="module")
def folder(driver_in, lmp_in, tmp_path_factory) -> Path:
    """Buffers and dumps NAME-on-RANKS, dumps NAME-without; one start for each number of ranks.

    NAME-fix is recorded by `fix strdyn`, which asks for its ghost atoms itself.
    """
    folder = tmp_path_factory.mktemp("recorded")
    for n_ranks, names in ((1, ON_SOME_RANKS), (2, list(SYSTEMS)), (4, ON_SOME_RANKS)):
        jobs = [[name, f"{name}-on-{n_ranks}"] for name in names]
        if n_ranks == 2:
            jobs += [[name, f"{name}-without", "every=0"] for name in UNTOUCHED]
        done = driver_in(folder)(
            DRIVER, *itertools.chain(*([*job, "--"] for job in jobs)), n_ranks=n_ranks
        )
        assert done.returncode == 0, done.stderr
    done = lmp_in(folder)("\nclear\n".join(of_system(name, f"{name}-fix") for name in SYSTEMS))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", list(SYSTEMS))
@pytest.mark.parametrize("way", ["on-2", "fix"])
def test_buffer_equals_the_periodic_system(name: str, way: str, folder: Path) -> None:
    buf = open_buffer(folder / f"{name}-{way}.sdl")
    config = buf.config
    dump = read_dump(folder / f"{name}-{way}.dump")
    system = SYSTEMS[name]
    assert buf.steps.tolist() == list(range(0, system.n_steps + 1, system.every))

    first = dump[0]
    allowed = set(first.atom_ids.tolist())
    if config.lens_environment != "all":
        allowed = set(first.atom_ids[first.types == 1].tolist())
    soap = Soap.of(config)
    naive: list[list[set[int]]] = []
    for k, step in enumerate(buf.steps.tolist()):
        snapshot = dump[step]
        rows = np.searchsorted(snapshot.atom_ids, buf.atom_ids)
        np.testing.assert_allclose(buf.positions(k), snapshot.positions[rows], rtol=0, atol=1e-5)
        cell, origin = buf.box(k)
        np.testing.assert_allclose(cell, snapshot.cell, rtol=1e-12)
        np.testing.assert_allclose(origin, snapshot.origin, atol=1e-12)

        expected = periodic_soap(snapshot, config, buf.atom_ids)
        expected = filled(expected, soap)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(soap.fill(buf.soap(k)), expected, rtol=0, atol=FLOAT32)

        sets = [naive_neighbors(snapshot, config, i, allowed) for i in buf.atom_ids.tolist()]
        naive.append(sets)
        assert [set(buf.neighbors(k)[row].tolist()) for row in range(len(sets))] == sets

    for k, (before, after) in enumerate(itertools.pairwise(naive)):
        expected_delta = [
            len(a ^ b) / (len(a) + len(b)) if a or b else 0.0
            for a, b in zip(before, after, strict=True)
        ]
        delta = lens(buf.neighbors(k), buf.neighbors(k + 1))
        assert delta.tolist() == expected_delta


def filled(spectra: NDArray[np.float64], soap: Soap) -> NDArray[np.float64]:
    """All (n, n') of DScribe's spectra, written out component by component."""
    n_species, n_max = len(soap.species), soap.n_max
    columns, start = [], 0
    for first, second in itertools.combinations_with_replacement(range(n_species), 2):
        for _ in range(soap.l_max + 1):
            if first == second:
                place = {}
                for n, m in itertools.combinations_with_replacement(range(n_max), 2):
                    place[n, m] = place[m, n] = start + len(set(place.values()))
                columns += [place[n, m] for n in range(n_max) for m in range(n_max)]
                start += n_max * (n_max + 1) // 2
            else:
                columns += range(start, start + n_max**2)
                start += n_max**2
    return spectra[:, columns]


def test_atoms_outside_the_box_are_met(folder: Path) -> None:
    """The gas is worth its place above: LAMMPS does leave owned atoms outside the box."""
    buf = open_buffer(folder / "gas-on-2.sdl")
    outside = []
    for k in range(buf.n_frames):
        cell, origin = buf.box(k)
        fraction = (buf.positions(k) - origin) @ np.linalg.inv(cell)
        outside.append(((fraction < 0) | (fraction >= 1)).any())
    assert any(outside)


@pytest.mark.parametrize("name", ON_SOME_RANKS)
def test_one_two_and_four_ranks_give_the_same_buffer(name: str, folder: Path) -> None:
    """At step 0, before sums in another order make trajectories part."""
    buffers = [open_buffer(folder / f"{name}-on-{n_ranks}.sdl") for n_ranks in (1, 2, 4)]
    one = buffers[0]
    for other in buffers[1:]:
        assert other.steps.tolist() == one.steps.tolist()
        assert other.atom_ids.tolist() == one.atom_ids.tolist()
        for k in range(one.n_frames):
            np.testing.assert_allclose(other.positions(k), one.positions(k), rtol=0, atol=1e-5)
            np.testing.assert_allclose(other.soap(k), one.soap(k), rtol=0, atol=2 * FLOAT32)
            assert other.neighbors(k).ids.tolist() == one.neighbors(k).ids.tolist()
            assert other.neighbors(k).offsets.tolist() == one.neighbors(k).offsets.tolist()


@pytest.mark.parametrize("name", UNTOUCHED)
def test_the_simulation_is_not_touched(name: str, folder: Path) -> None:
    """Positions and velocities with and without the recorder agree to the last bit."""
    recorded, alone = folder / f"{name}-on-2.dump", folder / f"{name}-without.dump"
    assert recorded.read_bytes() == alone.read_bytes()
    assert len(read_dump(recorded)) == 3
