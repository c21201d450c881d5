"""LAMMPS itself reads the frames around an event, and they are those of the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dumps import read_dump

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]


def test_rerun_reads_the_frames_of_the_run(run_driver, tmp_path):
    names = ["cu_slab", "triclinic"]
    done = run_driver(Path(__file__).with_name("event_driver.py"), *names)
    assert done.returncode == 0, done.stderr
    for name in names:
        run, again = (read_dump(tmp_path / f"{name}.{which}") for which in ("run", "again"))
        assert sorted(again) == [4, 6, 8, 10, 12, 14, 16]
        for step, frame in again.items():
            np.testing.assert_array_equal(frame.atom_ids, run[step].atom_ids)
            np.testing.assert_allclose(frame.cell, run[step].cell, atol=1e-12)
            moved = (frame.positions - run[step].positions) @ np.linalg.inv(frame.cell)
            moved -= np.round(moved) * frame.periodic
            assert np.abs(moved @ frame.cell).max() < 1e-8
