"""Frames around events: which are written, what is in them, on one rank and on several."""

import errno
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import ase.io
import numpy as np
import pytest

from strdyn_live import LiveConfig, event_files
from strdyn_live.box import Box
from strdyn_live.event_files import EventFiles
from strdyn_live.events import Occurrence
from strdyn_live.frame import LocalFrame, RunStart
from strdyn_live.ring import Ring, Snapshot
from strdyn_live.values import AtomValues

BOX = Box(np.diag([10.0, 12.0, 14.0]), np.array([-1.0, 0.0, 2.0]), (True, True, False))
TILTED = Box(
    np.array([[10.0, 0, 0], [3.0, 12.0, 0], [-2.0, 1.5, 14.0]]), np.zeros(3), (True, True, True)
)
RULES = ["hop when lens_max > 0.5 do dump", "jam when count > 3 do dump halt"]


def config(folder, n_frames=2):
    file = str(folder / "run.sdl")
    return LiveConfig(r_cut=6.0, elements="Cu O", file=file, event=RULES, event_frames=n_frames)


def positions(step, atom_ids):
    """Return positions that tell step and atom."""
    return np.column_stack([0.001 * step + 0 * atom_ids, 0.1 * atom_ids, 3 + 0.01 * atom_ids])


def snapshot(step, atom_ids=(5, 2, 9, 1), box=BOX, known=False):
    """Return a frame of some atoms and a ghost; atoms 2 and 9 are centers if owned."""
    ids = np.array([*atom_ids, 77], dtype=np.int64)
    n_owned = len(atom_ids)
    centers = np.flatnonzero(np.isin(ids[:n_owned], [2, 9]))
    frame = LocalFrame(
        step=step,
        run_start=RunStart(0),
        time=0.002 * step,
        box=box,
        box_changes=False,
        bounds=np.zeros((2, 3)),
        n_owned=n_owned,
        atom_ids=ids,
        types=np.where(ids % 2, 1, 2).astype(np.int32),
        positions=positions(step, ids),
        centers=centers,
        environment=np.ones(len(ids), bool),
    )
    of_centers = ids[centers]
    values = AtomValues(of_centers / 10, (of_centers - 3).astype(np.int32), np.zeros(len(centers)))
    return Snapshot.of(frame, values if known else None)


def hop(step, name="hop"):
    return Occurrence(name, step, "lens_max = 0.6 > 0.5", ("dump",))


def alone(folder, n_frames=2):
    return EventFiles(config(folder, n_frames), "metal", lambda rows: rows, is_root=True)


def record(files, steps, at=(), atoms=(9,)):
    """Add frames; return the name of the file that each is in."""
    return [
        files.add(snapshot(step, known=True), [hop(step)], [atoms])
        if step in at
        else files.add(snapshot(step))
        for step in steps
    ]


def steps_in(path):
    lines = path.read_text().splitlines()
    return [int(lines[k + 1]) for k, line in enumerate(lines) if line == "ITEM: TIMESTEP"]


def test_a_ring_holds_the_last_frames_and_hands_them_over_once():
    ring = Ring(3)
    for step in range(0, 50, 10):
        ring.add(snapshot(step))
    assert (len(ring), ring.n_bytes) == (3, 3 * 4 * 44)
    assert [frame.step for frame in ring.take()] == [20, 30, 40]
    assert ring.take() == []
    nothing = Ring(0)
    nothing.add(snapshot(0))
    assert nothing.take() == []


def test_a_file_has_the_frames_before_at_and_after(tmp_path):
    names = record(alone(tmp_path), range(0, 100, 10), at={50})
    inside = "run.events/hop-50.dump"
    assert names == ["", "", "", "", "", inside, inside, inside, "", ""]
    assert steps_in(tmp_path / inside) == [30, 40, 50, 60, 70]
    assert sorted(path.name for path in (tmp_path / "run.events").iterdir()) == [
        "hop-50.dump",
        "hop-50.json",
    ]


def test_events_that_overlap_share_a_file(tmp_path):
    files = alone(tmp_path)
    record(files, range(0, 150, 10), at={50, 70, 120})
    folder = tmp_path / "run.events"
    assert steps_in(folder / "hop-50.dump") == [30, 40, 50, 60, 70, 80, 90]
    # no frame is in two files
    assert steps_in(folder / "hop-120.dump") == [100, 110, 120, 130, 140]
    about = json.loads((folder / "hop-50.json").read_text())
    assert [event["step"] for event in about["events"]] == [50, 70]
    assert about["frames"] == [30, 40, 50, 60, 70, 80, 90]


def test_without_frames_around_it_the_frame_of_the_event_is_written(tmp_path):
    record(alone(tmp_path, n_frames=0), range(0, 100, 10), at={50})
    assert steps_in(tmp_path / "run.events/hop-50.dump") == [50]


def test_what_is_said_beside_the_frames(tmp_path):
    files = alone(tmp_path)
    files.add(snapshot(10))
    files.add(snapshot(20), [hop(20), hop(20, "jam")], [np.array([2, 9]), None])
    assert not (tmp_path / "run.events/hop-20.json").exists()
    files.close()  # the run ends
    about = json.loads((tmp_path / "run.events/hop-20.json").read_text())
    first, second = about["events"]
    assert first == {
        "name": "hop",
        "step": 20,
        "time": 0.04,
        "cause": "lens_max = 0.6 > 0.5",
        "actions": ["dump"],
        "atoms": [2, 9],
        "n_atoms": 2,
        "file": "run.events/hop-20.dump",
    }
    assert (second["name"], second["atoms"]) == ("jam", [])
    assert about["settings"]["event"] == RULES
    assert about["frames"] == [10, 20]


@pytest.mark.parametrize("box", [BOX, TILTED], ids=["orthogonal", "triclinic"])
def test_ase_reads_the_frames(tmp_path, box):
    files = alone(tmp_path)
    files.add(snapshot(10, box=box))
    files.add(snapshot(20, box=box, known=True), [hop(20)], [[9]])
    files.close()
    path = tmp_path / "run.events/hop-20.dump"
    first, second = ase.io.read(path, index=":", format="lammps-dump-text")
    ids = np.array([1, 2, 5, 9])
    assert (len(first), path.read_text().count("\n1 1 Cu ")) == (4, 2)  # sorted: ASE keeps no ID
    assert second.get_chemical_symbols() == ["Cu", "O", "Cu", "Cu"]
    np.testing.assert_allclose(second.cell, box.cell, atol=1e-12)
    assert second.pbc.tolist() == list(box.periodic)
    shift = second.get_celldisp().ravel()
    np.testing.assert_allclose(shift, box.origin, atol=1e-12)
    np.testing.assert_allclose(second.positions, positions(20, ids), atol=1e-9)
    # ASE leaves other columns out
    rows = [line.split() for line in path.read_text().splitlines() if line.count(" ") == 7]
    assert [row[6:] for row in rows[:4]] == [["0", "-1"]] * 4
    known = [["0", "-1"], ["0.2", "-1"], ["0", "-1"], ["0.9", "6"]]  # atom 2: noise
    assert [row[6:] for row in rows[4:]] == known
    assert "ITEM: TIME\n0.04\nITEM: TIMESTEP\n20\n" in path.read_text()


def test_environments_have_the_numbers_of_exports(tmp_path):
    numbers = [1, 2, 3, 4, 5, 6, 101]
    files = EventFiles(config(tmp_path), "metal", lambda rows: rows, is_root=True, numbers=numbers)
    files.add(snapshot(20, known=True), [hop(20)], [[9]])
    files.close()
    lines = (tmp_path / "run.events/hop-20.dump").read_text().splitlines()[-4:]
    assert [line.split()[-1] for line in lines] == ["-1", "-1", "-1", "101"]


def test_several_ranks_write_what_one_would(tmp_path):
    """Three ranks as threads, each with some of the atoms, which change hands."""
    owners = {0: [[5], [2, 9], [1]], 10: [[], [5, 2], [9, 1]], 20: [[2, 1], [], [9, 5]]}
    parts: list = [None] * 3
    barrier = threading.Barrier(3, timeout=30)

    def rank(number):
        def gather(rows):
            parts[number] = rows
            barrier.wait()
            gathered = np.concatenate(parts) if number == 0 else None
            barrier.wait()
            return gathered

        files = EventFiles(config(tmp_path / "several"), "metal", gather, is_root=number == 0)
        names = []
        for step, owned in owners.items():
            frame = snapshot(step, owned[number], known=step == 10)
            events = [hop(10)] if step == 10 else []
            names.append(files.add(frame, events, [[9] if number == 0 else None] * len(events)))
        files.close()
        return names, files.notes

    for name in ("several", "one"):
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(rank, range(3)))
    inside = "run.events/hop-10.dump"
    assert found == [(["", inside, inside], []), (["", "", ""], []), (["", "", ""], [])]
    files = alone(tmp_path / "one")
    record(files, [0, 10, 20], at={10})
    files.close()
    texts = [(tmp_path / name / inside).read_text() for name in ("several", "one")]
    assert texts[0] == texts[1]


def test_nothing_is_overwritten_when_a_run_comes_back(tmp_path):
    for _ in range(3):
        record(alone(tmp_path, n_frames=0), [10, 20], at={20})
    names = sorted(path.name for path in (tmp_path / "run.events").glob("*.dump"))
    assert names == ["hop-20-2.dump", "hop-20-3.dump", "hop-20.dump"]


@pytest.mark.parametrize("what", ["write_all", "fsync", "mkdir"])
def test_a_full_disk_is_said_and_the_run_goes_on(tmp_path, monkeypatch, what):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    files = alone(tmp_path)
    with monkeypatch.context() as broken:
        target = event_files if what == "write_all" else event_files.os
        if what == "mkdir":
            target = event_files.Path
        broken.setattr(target, what, full)
        names = record(files, range(0, 60, 10), at={30})
    assert "" in names[3:] or what == "fsync"
    assert files.notes == [
        f"cannot write {tmp_path}/run.events/hop-30{'' if what == 'mkdir' else '.dump'}: No space "
        "left on device. The run and its buffer go on without these frames. Free space, so that "
        "the next event is written."
    ]
    assert list(tmp_path.glob("run.events/*")) == []
    record(files, range(60, 120, 10), at={90})
    assert steps_in(tmp_path / "run.events/hop-90.dump") == [70, 80, 90, 100, 110]
