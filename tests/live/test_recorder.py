"""A recorder before it meets LAMMPS; what it does in a run is in tests/mpi."""

from __future__ import annotations

import pytest

from strdyn_live import Recorder
from strdyn_live.lammps_io import LammpsError


@pytest.fixture
def recorder(tmp_path):
    with Recorder(r_cut=4.0, elements="Cu", n_max=2, l_max=1, file=tmp_path / "run.sdl") as made:
        yield made


def test_no_process_is_the_root_of_a_run_that_is_not_known(recorder):
    assert recorder.is_root is False


@pytest.mark.parametrize("words", [(), ("analysis.toml",), ("analysis.toml", "out")])
def test_analyse_ends_the_recording_and_names_what_took_its_place(recorder, words):
    call = r"from strdyn_post import analyse_run; analyse_run\(sd, 'analysis.toml'\)"
    with pytest.raises(RuntimeError, match=call):
        recorder.analyse(*words)
    with pytest.raises(LammpsError, match="this Recorder is closed"):
        recorder.attach(None, every=10)
