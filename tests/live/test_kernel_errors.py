"""The boundary of the compiled kernel: bad input is a Python exception that says where."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_kernel import described

from strdyn_live import kernel as module
from strdyn_live.definition import L_MAX_RANGE, N_MAX_RANGE
from strdyn_live.kernel import (
    CoincidenceError,
    Kernel,
    _kernel,
    available_isas,
    find_neighbors,
    lens,
)

POSITIONS = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.5, 0.0]])
EVERYONE = np.ones(3, bool)
KERNEL = Kernel(1, 5.0, 2, 2)


def soap(positions=POSITIONS, species=(0, 0, 0), centers=(0,), **more):
    return KERNEL.soap(positions, species, centers, **more)


def neighbors(
    positions=POSITIONS, atom_ids=(1, 2, 3), centers=(0,), environment=EVERYONE, r_cut=3.0, **more
):
    return find_neighbors(positions, atom_ids, centers, environment, r_cut, **more)


def changed(row, value):
    positions = POSITIONS.copy()
    positions[row] = value
    return positions


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"n_species": 0}, ValueError, "n_species = 0: expected 1 to 255"),
        ({"n_max": 17}, ValueError, "n_max = 17: expected 1 to 16"),
        ({"n_max": 8.0}, TypeError, "n_max = 8.0: expected a whole number"),
        ({"n_max": True}, TypeError, "n_max = True"),
        ({"l_max": -1}, ValueError, "l_max = -1: expected 0 to 12"),
        ({"l_max": 13}, ValueError, "l_max = 13"),
        ({"r_cut": 1.0}, ValueError, "r_cut = 1.0: .* needs r_cut > 1 in the unit"),
        ({"r_cut": 0.6}, ValueError, "r_cut = 0.6"),
        ({"r_cut": float("nan")}, ValueError, "r_cut = nan"),
        ({"r_cut": 1e200}, ValueError, "r_cut = 1e\\+200: .* at most 10000"),
        ({"sigma": 0.0}, ValueError, "sigma = 0.0: expected a width from 0.0001 to 10000"),
        ({"sigma": 1e-60}, ValueError, "sigma = 1e-60"),  # its spectra would be less than 1e-308
        ({"sigma": float("inf")}, ValueError, "sigma = inf"),
        ({"isa": "avx9"}, ValueError, "isa = 'avx9': this processor has baseline"),
        ({"r_cut": 1.2, "n_max": 16}, ValueError, "too similar .* Use n_max = 6 or less"),
        ({"r_cut": 3.0, "n_max": 12}, ValueError, "too similar .* Use n_max = 11 or less"),
        ({"r_cut": 6.0, "n_max": 15}, ValueError, "wrong by more than 1e-09 .* n_max = 14 or less"),
        ({"r_cut": 1.0 + 1e-12, "n_max": 2}, ValueError, "Use n_max = 1 or less"),
    ],
)
def test_settings(settings_, error, message):
    with pytest.raises(error, match=message):
        Kernel(**{"n_species": 1, "r_cut": 5.0, **settings_})


def test_compiled_code_takes_what_the_definition_allows_and_no_more():
    def build(n_max, l_max):
        shape = (l_max + 1, n_max)
        _kernel.PowerSpectrum(1, 5.0, np.ones(shape), np.ones((*shape, n_max)), 1.0)

    n_max, l_max = N_MAX_RANGE[1], L_MAX_RANGE[1]
    build(n_max, l_max)
    for sizes in ((n_max + 1, l_max), (n_max, l_max + 1)):
        with pytest.raises(ValueError, match="expected l_max 0 to 12, n_max 1 to 16, 1 to 255"):
            build(*sizes)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("sigma", [1e-4, 0.02, 30.0, 1e4])
@pytest.mark.parametrize(
    ("r_cut", "n_max", "l_max"), [(1.0 + 1e-9, 1, 12), (1.2, 5, 12), (40.0, 8, 12), (1e4, 4, 12)]
)
def test_extreme_settings_give_finite_spectra(r_cut, n_max, l_max, sigma, isa):
    kernel = Kernel(1, r_cut, n_max, l_max, sigma, isa=isa)
    spacing = 0.3 * kernel.reach
    positions = spacing * np.array([[0, 0, 0], [1, 0, 0], [0.2, -1, 0.3], [1, 1, 3.0]])
    spectra = kernel.soap(positions, [0] * 4, range(4))
    norms = np.linalg.norm(spectra, axis=1)
    assert np.isfinite(norms).all()
    assert norms.min() > 0.0
    turned = kernel.soap(positions[:, [1, 2, 0]], [0] * 4, range(4))
    assert np.abs(turned - spectra).max() < 1e-9 * norms.min()


@pytest.mark.parametrize("call", [soap, neighbors])
@pytest.mark.parametrize(
    ("positions", "error", "message"),
    [
        (np.zeros((3, 2)), ValueError, r"positions has shape \(3, 2\): expected \(n_local, 3\)"),
        (np.zeros(9), ValueError, r"positions has shape \(9,\)"),
        (np.zeros((3, 3), complex), TypeError, "positions has dtype complex128"),
        ([["a", "b", "c"]] * 3, TypeError, "positions has dtype <U1"),
        (changed(1, [np.nan, 0, 0]), ValueError, r"positions: row 1 is \(-?nan, 0.0"),
        (changed(2, [0, 0, -np.inf]), ValueError, "positions: row 2 is .*-inf"),
        (changed(2, [1e300, 0, 0]), ValueError, "positions: row 2"),
        (POSITIONS[:2], ValueError, "has 3 entries, positions has 2 rows"),
        (changed(2, [0, 0, 0]), ValueError, "rows 0 and 2 are the same point"),
    ],
)
def test_positions(call, positions, error, message):
    with pytest.raises(error, match=message):
        call(positions)


@pytest.mark.parametrize("call", [soap, neighbors])
@pytest.mark.parametrize(
    ("centers", "error", "message"),
    [
        ([0, 3], ValueError, "centers: entry 1 is 3, expected 0 to 2"),
        ([-1], ValueError, "centers: entry 0 is -1"),
        ([0.0], TypeError, "centers has dtype float64: expected integers"),
        ([[0]], ValueError, r"centers has shape \(1, 1\)"),
        (np.array([2**63], np.uint64), ValueError, "centers: row 0 is 9223372036854775808"),
    ],
)
def test_centers(call, centers, error, message):
    with pytest.raises(error, match=message):
        call(centers=centers)


@pytest.mark.parametrize(
    ("species", "error", "message"),
    [
        ([0, 0, 1], ValueError, "species: row 2 is 1, expected 0 to 0"),
        ([0, -1, 0], ValueError, "species: row 1 is -1"),
        ([0, 0], ValueError, "species has 2 entries, positions has 3 rows"),
        ([0.0, 0.0, 0.0], TypeError, "species has dtype float64"),
        ([0, 2**40, 0], ValueError, "species: row 1 is 1099511627776"),
    ],
)
def test_species(species, error, message):
    with pytest.raises(error, match=message):
        soap(species=species)


def test_other_arguments():
    with pytest.raises(ValueError, match="atom_ids has 2 entries"):
        neighbors(atom_ids=[1, 2])
    with pytest.raises(TypeError, match="environment has dtype int64: expected booleans"):
        neighbors(environment=np.ones(3, int))
    with pytest.raises(ValueError, match="environment has 4 entries"):
        neighbors(environment=np.ones(4, bool))
    with pytest.raises(ValueError, match=r"r_cut = 0\.0: expected a finite number above 0"):
        neighbors(r_cut=0.0)
    with pytest.raises(ValueError, match="r_cut = nan"):
        neighbors(r_cut=float("nan"))
    with pytest.raises(ValueError, match="threads = 0: expected 1 to 1024"):
        soap(threads=0)
    with pytest.raises(ValueError, match="'sse9': this processor has"):
        neighbors(isa="sse9")
    with pytest.raises(ValueError, match=r"lens_r_cut = -1\.0"):
        described(KERNEL, POSITIONS, [0, 0, 0], [0], [1, 2, 3], EVERYONE, -1.0)


def test_coincident_atoms_far_from_every_center_are_no_error():
    positions = np.concatenate([POSITIONS, [[90.0, 0, 0], [90.0, 0, 0]]])
    assert KERNEL.soap(positions, [0] * 5, [0]).shape == (1, KERNEL.n_features)
    with pytest.raises(CoincidenceError, match="rows 4 and 3 are the same point") as caught:
        KERNEL.soap(positions, [0] * 5, [0, 4])
    assert caught.value.rows == (4, 3)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_first_error_is_reported_with_any_number_of_threads(threads):
    positions = np.repeat(np.arange(200.0), 2)[:, None] * [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="rows 7 and 6 are the same point"):
        KERNEL.soap(positions, np.zeros(400, int), np.arange(7, 400), threads=threads)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 2], [1, 2], [0, 1, 2], [1, 2]), ValueError, "before has 1 centers and after has 2"),
        (([0, 3], [1, 2], [0, 2], [1, 2]), ValueError, "before: offsets do not cut its 2 IDs"),
        (([0, 2], [1, 2], [0, 2, 1, 2], [1, 2]), ValueError, "after: offsets"),
        (([1, 2], [1, 2], [0, 2], [1, 2]), ValueError, "before: offsets"),
        (([], [], [0], []), ValueError, "before: offsets"),
        (([0, 2], [1.0, 2.0], [0, 2], [1, 2]), TypeError, "ids_before has dtype float64"),
        (([0, 1, 3], [9, 2, 1], [0, 0, 0], []), ValueError, "before: list 1 is not sorted"),
        (([0, 0], [], [0, 2], [3, 3]), ValueError, "after: list 0 is not sorted: .* each once"),
    ],
)
def test_lens(arguments, error, message):
    with pytest.raises(error, match=message):
        lens(*arguments)


# Arrays that are read while other threads run.

SCRIBBLER = """
import threading, time
import numpy as np
from strdyn_live.kernel import Kernel, find_neighbors, lens

n = 3000
points, rows = np.random.default_rng(0).random((n, 3)) * 30.0, np.arange(n)
positions, centers, ids, everyone = points.copy(), rows.copy(), rows.copy(), np.ones(n, bool)
species, offsets, pairs = np.zeros(n, np.int32), np.arange(n + 1) * 50, np.arange(50 * n)
done = False


def scribble():
    while not done:
        positions[:], species[:], centers[:], ids[:], offsets[1:-1] = 1e99, 2**30, 2**60, -1, 2**60
        positions[:], species[:], centers[:], ids[:] = points, 0, rows, rows
        offsets[:] = np.arange(n + 1) * 50
        time.sleep(1e-4)


def outcome(call, *arrays):
    try:
        call(*arrays)
    except ValueError:
        return "refused"
    return "done"


thread = threading.Thread(target=scribble)
thread.start()
kernel, outcomes, end = Kernel(1, 3.0, 2, 2), set(), time.monotonic() + 1.0
while time.monotonic() < end:
    outcomes |= {
        outcome(kernel.describe, positions, species, centers, ids, everyone, 3.0, lambda *_: 0),
        outcome(find_neighbors, positions, ids, centers, everyone, 3.0),
        outcome(lens, offsets, pairs, offsets, pairs),
    }
done = True
thread.join()
print("done" in outcomes)
"""


def test_arrays_that_change_during_a_call_are_no_crash():
    found = subprocess.run([sys.executable, "-c", SCRIBBLER], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "True\n"), found.stderr


def unaligned(array):
    """The same numbers, one byte beyond an address that a processor may ask for."""
    moved = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def test_compiled_code_sees_aligned_arrays_only(monkeypatch):
    seen = []

    class Spy:
        def __getattr__(self, name):
            def call(*arguments):
                seen.extend(a for a in arguments if isinstance(a, np.ndarray))
                return getattr(_kernel, name)(*arguments)

            return call

    positions, centers, ids = map(unaligned, (POSITIONS, np.array([0, 2]), np.array([1, 2, 3])))
    offsets = unaligned(np.array([0, 3]))
    monkeypatch.setattr(module, "_kernel", Spy())
    assert find_neighbors(positions, ids, centers, EVERYONE, 3.0)[1].tolist() == [2, 3, 1]
    assert lens(offsets, ids, offsets, ids).tolist() == [0.0]
    assert len(seen) == 8
    assert all(array.flags.aligned for array in seen)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("real", "whole"), [("f8", "i8"), ("f4", "i4"), ("f2", "u2")])
def test_byte_orders_strides_and_widths(order, real, whole):
    positions = np.repeat(POSITIONS, 2, axis=0).astype(order + real)[::2]
    positions = np.asfortranarray(positions)
    whole = order + whole
    species, centers = np.zeros(6, whole)[::2], np.array([2, 1, 0], whole)[::-1]
    found = described(
        KERNEL, positions, species, centers, np.array([1, 2, 3], whole), np.ones(6, bool)[::2], 3.0
    )
    # POSITIONS are exact in any width
    expected = described(KERNEL, POSITIONS, [0, 0, 0], [0, 1, 2], [1, 2, 3], EVERYONE, 3.0)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# Anything at all must end in a result or in one of two exceptions.

ANY_ARRAY = hnp.arrays(
    dtype=st.one_of(
        hnp.integer_dtypes(),
        hnp.unsigned_integer_dtypes(),
        hnp.floating_dtypes(),
        hnp.boolean_dtypes(),
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


def points(n):
    return hnp.arrays(np.float64, (n, 3), elements=st.floats(allow_nan=True, allow_infinity=True))


def small_integers(n):
    return hnp.arrays(np.int64, n, elements=st.integers(-1, 3) | st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(0, 4), st.floats(allow_nan=True, allow_infinity=True), st.booleans())
def test_fuzz_descriptions(data, n, r_cut, wild):
    def draw(likely):
        return data.draw(st.one_of(likely, ANY_ARRAY) if wild else likely)

    positions, species = draw(points(n)), draw(small_integers(n))
    centers, atom_ids = draw(small_integers(data.draw(st.integers(0, 3)))), draw(small_integers(n))
    environment = draw(hnp.arrays(np.bool_, n))
    for isa in available_isas():
        try:
            kernel = Kernel(3, 3.0, 3, 4, isa=isa)
            spectra, counts, ids = described(
                kernel, positions, species, centers, atom_ids, environment, r_cut
            )
        except (TypeError, ValueError):
            continue
        assert spectra.shape == (len(centers), kernel.n_features)
        assert np.isfinite(spectra).all()
        assert (np.asarray(spectra) @ np.ones(kernel.n_features)).shape == counts.shape
        assert counts.sum() == len(ids)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(ANY_ARRAY, min_size=4, max_size=4),
    st.floats(),
    st.integers(-5, 2000),
    st.text(max_size=8),
)
def test_fuzz_the_compiled_functions(arrays, r_cut, threads, isa):
    for name in (isa, *available_isas()):
        for call in (
            lambda name=name: _kernel.neighbors(*arrays, r_cut, threads, name),
            lambda: _kernel.lens(*arrays),
            lambda: _kernel.PowerSpectrum(threads, r_cut, *arrays[:2]),
        ):
            try:
                call()
            except (TypeError, ValueError):
                continue


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.float64, (n, 3), elements=st.floats(-20, 20, width=16)),
            hnp.arrays(np.int64, n, elements=st.integers(0, 20)),
            hnp.arrays(np.bool_, n),
            st.integers(0, n - 1),
        )
    ),
    st.floats(0.1, 30.0),
)
def test_fuzz_neighbors_against_sets(atoms, r_cut):
    positions, ids, environment, center = atoms
    difference = positions - positions[center]
    squares = difference[:, 0] ** 2 + difference[:, 1] ** 2 + difference[:, 2] ** 2
    for isa in available_isas():
        if (squares == 0.0).sum() > 1:
            with pytest.raises(ValueError, match="the same point"):
                find_neighbors(positions, ids, [center], environment, r_cut, isa=isa)
            continue
        counts, found = find_neighbors(positions, ids, [center], environment, r_cut, isa=isa)
        near = environment & (squares < r_cut * r_cut) & (ids != ids[center])
        assert found.tolist() == sorted(set(ids[near].tolist()))
        assert counts.tolist() == [len(found)]
