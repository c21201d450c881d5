"""Committed stays in the summary and on the page."""

from dataclasses import replace

import numpy as np
import pytest
from known.models import recrossing
from known.routes import route_of
from known.stays import frames_of, stays_of_labels
from page_reader import Page
from synthetic import check, make_buffer, make_result

from strdyn_live.models import Bands
from strdyn_post.names import Names
from strdyn_post.page.kinetics import route_kinetics
from strdyn_post.page.panels import draw_panels
from strdyn_post.page.report import write_report
from strdyn_post.signal.series import Series


def test_committed_stays_stand_beside_those_by_all_moves():
    """Recrossings: by all moves about 500 frames, committed about 20 000; frames of 1 ps."""
    labels = recrossing(0)
    delta = Series(labels.astype(np.float64), frames_of(*labels.shape))
    route = route_of("soap", delta.values.reshape(-1, 1), delta, Bands(np.array([0.5])))
    route = replace(check(route), stays=stays_of_labels(labels))
    for row in route_kinetics(route, Names.of(route), "metal")["rows"]:
        assert row["residence_unit"] == "ps"
        assert 400 < row["residence"] < 600
        assert row["stay_unit"] == "ns"
        assert row["stay_low"] < 20 < row["stay_high"]
        assert row["stay_low"] < row["stay"] < row["stay_high"]
        assert row["resolved"] == "cannot tell"  # four or five moves
    moves = route_kinetics(route, Names.of(route), "metal")["committed_moves"]
    assert [move["rate_unit"] for move in moves] == ["per ps"] * 2
    for move in moves:
        assert move["rate_low"] < 1 / 20_000 < move["rate_high"]
        assert move["rate_low"] < move["rate"] < move["rate_high"]
    earlier = route_kinetics(replace(route, stays=None), Names.of(route), "metal")
    assert "stay" not in earlier["rows"][0]


def panels_left_empty(*args):
    return (replace(panel, draw=lambda ax: ax) for panel in draw_panels(*args))


@pytest.mark.parametrize("earlier", [False, True])
def test_the_page_shows_them(tmp_path, monkeypatch, earlier):
    monkeypatch.setattr("strdyn_post.page.report.draw_panels", panels_left_empty)
    monkeypatch.setattr("strdyn_post.page.report.save_figure", lambda *_, **__: "<svg></svg>")
    monkeypatch.setattr("strdyn_post.page.report.find_spec", lambda _: None)
    result = make_result()
    if earlier:  # results of a version without committed stays
        routes = {name: replace(each, stays=None) for name, each in result.routes.items()}
        result = replace(result, routes=routes)
    page = Page(write_report(result, make_buffer(result), tmp_path).read_text())
    at = "routes.soap_lens.checks.rows.4."
    assert page.shown[at + "residence"].endswith(" ps")
    assert (at + "stay" in page.shown) != earlier
    if not earlier:
        chi, fast = result["soap_lens"], 3
        assert chi.stays.frames == 1  # the walk has no recrossings
        stay = chi.counts[fast].sum() / (chi.counts[fast].sum() - chi.counts[fast, fast])
        assert page.shown[at + "stay"] == f"{float(f'{2.5 * stay:.3g}'):g}"
