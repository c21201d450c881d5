"""Each frame against the one an interval before; numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from strdyn_live.dynamics import Dynamics
from strdyn_live.frame import Frame
from strdyn_live.neighbors import NeighborLists
from strdyn_live.parallel import Ranks
from strdyn_live.values import FrameValues


def frame(step: int, *lists: list[int]) -> Frame:
    ids = np.array([each for one in lists for each in one], dtype=np.int64)
    neighbors = NeighborLists.from_counts(np.array([len(one) for one in lists]), ids)
    soap = np.full((len(lists), 2), step, np.float32)
    positions = np.zeros((len(lists), 3))
    return Frame(step, step * 0.5, np.eye(3), np.zeros(3), positions, soap, neighbors)


class Threshold:
    """A model by hand: δ up to 0.3 is environment 0, above 1; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def label(self, soap, delta):
        self.asked.append(float(soap[0, 0]))
        return (delta > 0.3).astype(np.int32), 10 * delta


# atom 1 loses one of four neighbors per 10 steps: 2 of 8 IDs; atom 2 changes all or nothing
RUN = [
    frame(0, [2, 3, 4, 5], [1, 3]),
    frame(10, [3, 4, 5, 6], [1, 3]),
    frame(20, [4, 5, 6, 7], [7, 8]),
    frame(30, [5, 6, 7, 8], [7, 8]),
]


def test_delta_by_hand():
    dynamics = Dynamics(10, None)
    first, before = dynamics.update(RUN[0])
    assert first.delta.tolist() == [0.0, 0.0]
    assert first.environment.tolist() == before.tolist() == [-1, -1]
    assert dynamics.previous_step is None
    found = [dynamics.update(each)[0].delta.tolist() for each in RUN[1:]]
    assert found == [[0.25, 0.0], [0.25, 1.0], [0.25, 0.0]]
    assert dynamics.previous_step == 20


def test_populations_and_moves_by_hand():
    dynamics = Dynamics(10, Threshold())
    counted = []
    for each in RUN:
        values, before = dynamics.update(each)
        with Ranks().together(**FrameValues.shared_sizes(2)) as shared:
            FrameValues.share(
                shared,
                values,
                before,
                previous_step=dynamics.previous_step,
                threshold=0.5,
                n_environments=2,
            )
        counted.append(FrameValues.of(shared, each.step, 2))
    assert [each.previous_step for each in counted] == [None, 0, 10, 20]
    assert [each.lens_mean for each in counted] == [0.0, 0.125, 0.625, 0.125]
    assert [each.lens_max for each in counted] == [0.0, 0.25, 1.0, 0.25]
    assert [each.n_above for each in counted] == [0, 0, 1, 0]
    assert [each.distance_max for each in counted] == [0.0, 2.5, 10.0, 2.5]
    assert [each.populations.tolist() for each in counted] == [[0, 0], [2, 0], [1, 1], [2, 0]]
    none = [[0, 0], [0, 0]]
    assert [each.moves.tolist() for each in counted] == [
        none,
        none,  # the environments before step 0 are not known
        [[1, 1], [0, 0]],
        [[1, 0], [1, 0]],
    ]


def test_a_label_is_that_of_the_frame_an_interval_before():
    model = Threshold()
    dynamics = Dynamics(10, model)
    for each in RUN:
        dynamics.update(each)
    assert model.asked == [0.0, 10.0, 20.0]  # spectra of these steps


def test_the_interval_is_exact_between_frames_that_are_denser():
    dynamics = Dynamics(20, None)
    for each in (RUN[0], RUN[1], frame(15, [2, 3], [1, 3])):
        assert dynamics.update(each)[0].delta.tolist() == [0.0, 0.0]
    # over 20 steps two of four are replaced: 4 of 8
    assert dynamics.update(RUN[2])[0].delta.tolist() == [0.5, 1.0]
    values, _ = dynamics.update(frame(25, [4, 5], [7, 8]))  # no frame of step 5
    assert values.delta.tolist() == [0.0, 0.0]
    assert dynamics.previous_step is None
    assert dynamics.update(RUN[3])[0].delta.tolist() == [0.5, 1.0]


def test_without_an_interval_the_frame_before_is_taken_whatever_its_step():
    dynamics = Dynamics(None, None)
    dynamics.update(RUN[0])
    assert dynamics.update(frame(7, [2, 3, 4, 6], [1, 3]))[0].delta.tolist() == [0.25, 0.0]
    assert dynamics.previous_step == 0
    assert dynamics.update(RUN[3])[0].delta.tolist() == [0.75, 1.0]
    assert dynamics.previous_step == 7


@pytest.mark.parametrize("interval", [None, 40])
def test_memory_is_bounded_by_one_interval(interval):
    dynamics = Dynamics(interval, None)
    for step in range(0, 1000, 10):
        dynamics.update(frame(step, [2], [1]))
    assert len(dynamics._past) == (1 if interval is None else 4)
    assert all(past.soap is None for past in dynamics._past.values())  # without a model


def test_after_a_restart_the_stored_frames_give_what_would_have_been():
    whole, restarted = Dynamics(10, Threshold()), Dynamics(10, Threshold())
    said = [whole.update(each) for each in RUN]
    restarted.seed(RUN[1:3])
    # the frame at the step of the restart comes once more
    for each, expected in zip(RUN[2:], said[2:], strict=True):
        values, before = restarted.update(each)
        assert values.delta.tolist() == expected[0].delta.tolist()
        assert values.environment.tolist() == expected[0].environment.tolist()
        if each.step == 30:
            assert before.tolist() == expected[1].tolist()


def test_a_run_that_goes_back_forgets_what_came_after():
    dynamics = Dynamics(10, None)
    for each in RUN:
        dynamics.update(each)
    assert dynamics.update(frame(20, [2], [1]))[0].delta.tolist() == [0.0, 0.0]  # 10 is forgotten
    assert dynamics.update(frame(30, [3], [1]))[0].delta.tolist() == [1.0, 0.0]
