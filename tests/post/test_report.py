"""The report: one page that needs nothing else, whose numbers are those of the result."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_buffer, make_result, make_route

from strdyn_post.explorer import explorer_data, explorer_payload
from strdyn_post.figures.style import save_figure
from strdyn_post.palette import make_palettes
from strdyn_post.report import write_report
from strdyn_post.summary import summarise

FIGURES = [
    "alluvial", "chord_lens", "chord_soap", "chord_soap_lens", "dendrogram_lens",
    "dendrogram_soap", "dendrogram_soap_lens", "lens_series", "matrix_lens", "matrix_soap",
    "matrix_soap_lens", "path", "pca_density_soap", "pca_density_soap_lens",
    "pca_environment_soap", "pca_environment_soap_lens", "snapshot_above_lens",
    "snapshot_above_soap", "snapshot_above_soap_lens", "snapshot_end", "snapshot_middle",
    "snapshot_oblique_lens", "snapshot_oblique_soap", "snapshot_oblique_soap_lens",
    "snapshot_start", "variance",
]  # fmt: skip


class Page(HTMLParser):
    """What a page shows under each data-key, what it refers to, and its elements by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}
        self.references: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self._key: str | None = None
        self.feed(text)

    def handle_starttag(self, _tag, attrs):
        attributes = dict(attrs)
        self._key = attributes.get("data-key")
        self.ids += [attributes["id"]] if "id" in attributes else []
        for name in ("src", "href", "xlink:href", "action", "data"):
            if name in attributes:
                self.references.append(attributes[name])

    def handle_data(self, data):
        self.texts.append(data)
        if self._key:
            self.shown[self._key] = data.replace("\N{NO-BREAK SPACE}", " ")
            self._key = None


@pytest.fixture(scope="module")
def result():
    return make_result()


@pytest.fixture(scope="module")
def buffer(result):
    return make_buffer(result)


@pytest.fixture(scope="module")
def report(result, buffer, tmp_path_factory) -> Path:
    return write_report(result, buffer, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_numbers_on_the_page_are_those_of_the_result(result, page):
    """Counted again here from labels and scores, not through the summary."""
    chi, soap, lens = result["soap_lens"], result["soap"], result["lens"]
    fast = 3
    inside = chi.labels == fast
    enter = ((chi.labels[:-1] == 1) & inside[1:]).sum()
    leave = (inside[:-1] & (chi.labels[1:] == 1)).sum()
    known = (chi.labels[1:] >= 0) & (chi.labels[:-1] >= 0)
    moves = (known & (chi.labels[1:] != chi.labels[:-1])).sum()
    expected = {
        "run.n_atoms": "300",
        "run.n_frames": "80",
        "run.n_frames_analysed": "60",
        "run.dt": "2.5",
        "run.span": "197.5",
        "routes.soap.n_environments": "4",
        "routes.soap.n_clusters": "5",
        "routes.lens.n_environments": "3",
        "routes.soap_lens.n_environments": "5",
        "routes.soap_lens.n_transitions": f"{moves:,}",
        "routes.soap_lens.n_components": "5",
        "routes.soap_lens.variance": "99.7 %",
        "routes.soap_lens.noise_share": f"{100 * (chi.labels < 0).mean():.1f} %",
        "new_environments.0.share": f"{100 * inside.mean():.2g} %",
        "new_environments.0.n_atoms": str(inside.any(axis=0).sum()),
        "new_environments.0.soap_share": "100 %",
        "new_environments.0.n_in": str(enter),
        "new_environments.0.n_out": str(leave),
        "new_environments.0.p_in": f"{100 * enter / chi.counts[1].sum():.2g} %",
        "new_environments.0.p_out": f"{100 * leave / chi.counts[fast].sum():.1f} %",
        "environments.0.soap.share": f"{100 * (soap.labels == 0).mean():.1f} %",
        "environments.0.soap_lens.share": f"{100 * (chi.labels == 2).mean():.1f} %",
        "environments.4.soap_lens.delta": f"{lens.scores[inside].mean():.3f}",
        "environments.4.soap_lens.stays": f"{100 * chi.transition_matrix[fast, fast]:.1f} %",
    }
    assert {key: page.shown.get(key) for key in expected} == expected


def test_the_fast_environment_is_told_with_its_origin(page):
    text = re.sub(r"\s+", " ", " ".join(page.texts))
    assert "finds an environment that SOAP alone does not: fast environment." in text
    assert "of it into environment 4." in text
    assert "mostly from environment 4 , with probability" in text.replace("4,", "4 ,")


def test_summary_file_and_page_hold_the_same(result, buffer, report):
    text = report.read_text(encoding="utf-8")
    inside = re.search(r'<script type="application/json" id="summary">(.*?)</script>', text)
    summary = summarise(result, buffer)
    assert json.loads(inside.group(1)) == summary
    assert json.loads((report.parent / "summary.json").read_text()) == summary


def test_a_buffer_that_has_grown_since_is_told_as_it_was(result, buffer):
    run = summarise(replace(result, provenance={"n_frames": 70}), buffer)["run"]
    assert (run["n_frames"], run["last_step"], run["span"]) == (70, 69 * 500, 172.5)


def test_page_refers_to_nothing_outside_itself(report, page):
    assert [each for each in page.references if not each.startswith(("data:", "#"))] == []
    text = report.read_text(encoding="utf-8")
    head = text[: text.index("</head>")]
    assert "default-src 'none'" in head
    assert not re.search(r"@import|url\((?!#|data:)", text[: text.index('id="explorer-code"')])


def test_every_figure_is_on_the_page_and_beside_it(report, page):
    files = {path.name for path in (report.parent / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    assert set(FIGURES) <= set(page.ids)


def test_ids_on_the_page_are_unique(page):
    assert len(page.ids) == len(set(page.ids))


def test_words_of_others_are_escaped(report):
    text = report.read_text(encoding="utf-8")
    assert "a warning of the analysis, with &lt;brackets&gt; &amp; ampersand" in text
    assert "<brackets>" not in text[: text.index('id="summary"')]


def test_same_result_same_page(result, buffer, report, monkeypatch, tmp_path):
    """All is written anew but most SVG files: one with an image and one with text stand for them."""
    text = report.read_text(encoding="utf-8")
    on_page = dict(re.findall(r'<figure id="(\w+)">(.*?)</figure>', text, flags=re.DOTALL))

    def save_two(figure, folder, name, title, **options):
        if name in ("path", "matrix_soap"):
            return save_figure(figure, folder, name, title, **options)
        return on_page[name]

    monkeypatch.setattr("strdyn_post.report.save_figure", save_two)
    monkeypatch.setattr("strdyn_post.report.plot_snapshot", lambda *_, ax, **__: ax)
    again = write_report(result, buffer, tmp_path)
    assert again.read_text(encoding="utf-8") == text
    assert not list(tmp_path.glob("*.part"))


def with_labels(result, change, names=("soap", "soap_lens")):
    routes = dict(result.routes)
    for name in names:
        route = result[name]
        ratios = [] if name == "lens" else [0.9, 0.05, 0.05]
        routes[name] = make_route(name, change(route.labels), route.scores, ratios)
    return replace(result, routes=routes)


@pytest.fixture
def no_files(monkeypatch):
    """Draw the figures, but spend no time on spheres, on files and on the explorer."""
    monkeypatch.setattr("strdyn_post.report.plot_snapshot", lambda *_, ax, **__: ax)
    monkeypatch.setattr("strdyn_post.report.save_figure", lambda *_, **__: "<svg></svg>")
    monkeypatch.setattr("strdyn_post.report.find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels: np.full_like(labels, -1), "finds no environment at all"),
        (np.zeros_like, "finds no environment that SOAP alone does not"),
        (lambda labels: np.arange(labels.size).reshape(labels.shape) % 23, "environment 23"),
    ],
    ids=["all noise", "one cluster", "many clusters"],
)
@pytest.mark.usefixtures("no_files")
def test_results_out_of_the_ordinary_are_told_too(change, words, tmp_path):
    small = with_labels(make_result(12, 60), change)
    text = write_report(small, make_buffer(small), tmp_path).read_text(encoding="utf-8")
    assert words in text


@pytest.mark.usefixtures("no_files")
def test_one_frame_is_enough_for_a_page(tmp_path):
    result = make_result(12, 60)
    routes = {
        name: replace(
            make_route(name, route.labels[:1].clip(0), route.scores[:1], [0.9, 0.1]),
            pca=route.pca,
        )
        for name, route in result.routes.items()
    }
    small = replace(result, routes=routes)
    page = Page(write_report(small, make_buffer(result), tmp_path).read_text(encoding="utf-8"))
    assert page.shown["run.n_frames_analysed"] == "1"
    assert page.shown["routes.soap_lens.n_transitions"] == "0"
    assert "explorer-open" not in page.ids  # chemiscope is an extra


# explorer


def test_explorer_holds_labels_and_scores_of_whole_frames(result, buffer):
    data = explorer_data(result, buffer, make_palettes(result.routes), max_points=1500, keep=31)
    assert len(data["structures"]) == 5
    chi = result["soap_lens"]
    frames = [0, 14, 31, 44, 59]  # five evenly spread; 31 in the place of its neighbor 29
    number = {2: 1, 0: 2, 4: 3, 1: 4, 3: 5, -1: 0}
    expected = [number[label] for label in chi.labels[frames].ravel()]
    assert data["properties"]["environment"]["values"] == expected
    np.testing.assert_allclose(
        data["properties"]["SOAP & LENS: component 2"]["values"],
        chi.scores[frames, :, 1].ravel(),
        atol=1e-4,
    )
    at = int(np.flatnonzero(buffer.steps == chi.steps[31])[0])
    structure = data["structures"][2]
    np.testing.assert_allclose(structure["y"], buffer.positions(at)[:, 1], atol=0.006)


def test_viewer_of_chemiscope_takes_our_colours(result):
    import base64
    import gzip

    palette = make_palettes(result.routes)["soap_lens"]
    payload = explorer_payload({"x": 1}, palette)
    code = gzip.decompress(base64.b64decode(payload["code"])).decode()
    assert json.loads(gzip.decompress(base64.b64decode(payload["data"]))) == {"x": 1}
    rgb = [int(palette.colors[palette.order[-1]][i : i + 2], 16) for i in (1, 3, 5)]
    assert f"[1.0,[{','.join(map(str, rgb))}]]]" in code


# in a browser


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],
        )
        yield started
        started.close()


def visit(browser, report, **options):
    """Open the page; return it with what it asked of the network and its complaints."""
    opened = browser.new_context(**options).new_page()
    requests, complaints = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    opened.goto(report.as_uri())
    return opened, requests, complaints


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_page_fits_its_window_and_asks_for_nothing(browser, report, width):
    opened, requests, complaints = visit(browser, report, viewport={"width": width, "height": 900})
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", report.as_uri()))] == []
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    sizes = opened.evaluate(
        "Object.fromEntries([...document.querySelectorAll('figure')].map(figure =>"
        " [figure.id, [figure.clientWidth, figure.querySelector('svg').clientHeight]]))"
    )
    assert set(sizes) == set(FIGURES)
    assert all(w > 200 and h > 100 for w, h in sizes.values())


@pytest.mark.browser
def test_no_text_of_a_figure_is_cut_off(browser, report):
    opened, *_ = visit(browser, report, viewport={"width": 1440, "height": 900})
    cut = opened.evaluate(
        """[...document.querySelectorAll('figure')].flatMap(figure => {
            const frame = figure.querySelector('svg').getBoundingClientRect();
            return [...figure.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map(text => figure.id + ': ' + text.textContent);
        })"""
    )
    assert cut == []


@pytest.mark.browser
def test_figures_follow_light_and_dark(browser, report):
    ink = {}
    for scheme in ("light", "dark"):
        opened, *_ = visit(browser, report, color_scheme=scheme)
        ink[scheme] = opened.evaluate(
            "[getComputedStyle(document.body).color,"
            " getComputedStyle(document.querySelector('#variance text')).fill]"
        )
        assert ink[scheme][0] == ink[scheme][1]
    assert ink["light"] != ink["dark"]


@pytest.mark.browser
def test_explorer_opens_without_network(browser, report, result):
    opened, requests, complaints = visit(browser, report, viewport={"width": 1280, "height": 900})
    assert opened.evaluate("typeof Chemiscope") == "undefined"  # not before it is asked for
    opened.click("#explorer-open")
    opened.wait_for_selector("#explorer-view[data-ready]", timeout=120_000)
    assert opened.inner_text("#explorer-note") == ""
    canvases = opened.evaluate(
        "[...document.querySelectorAll('#explorer-map, #explorer-structure')]"
        ".map(place => place.getBoundingClientRect().height)"
    )
    assert min(canvases) > 300
    assert complaints == []
    outside = [url for url in requests if not url.startswith(("data:", "blob:", report.as_uri()))]
    assert outside == []
