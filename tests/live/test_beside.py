"""Work on a thread, or at once."""

from __future__ import annotations

import threading

import pytest

from strdyn_live.beside import Beside


@pytest.mark.parametrize("has_thread", [False, True])
def test_results_and_errors_come_back(has_thread):
    beside = Beside(has_thread=has_thread)
    with pytest.raises(ZeroDivisionError):
        beside.start(lambda: 1 // 0).result()
    assert beside.start(lambda: 6 * 7).result() == 42
    beside.end()


def test_the_caller_goes_on_and_work_keeps_its_order():
    beside, may_go, done = Beside(has_thread=True), threading.Event(), []
    first = beside.start(lambda: may_go.wait(20) and done.append("first"))
    second = beside.start(lambda: done.append("second"))
    assert not first.done()
    assert done == []
    may_go.set()
    second.result()
    assert done == ["first", "second"]
    beside.end()


def test_where_no_thread_starts_any_more_it_is_done_at_once():
    """As when the program ends, and a recorder is closed then."""
    beside = Beside(has_thread=True)
    beside.end()
    assert beside.start(threading.get_ident).result() == threading.get_ident()
