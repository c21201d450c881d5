"""A folder of results: its bytes are checked, its parts belong together, nothing else is lost."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from recorded import SETTINGS, change, record, strdyn, with_empty_figures
from synthetic import make_buffer, make_result, merge, refit

from strdyn_live import open_buffer
from strdyn_live.results_block import seal
from strdyn_post import AnalysisConfig, load_results, save_results
from strdyn_post.environments.branches import Branches
from strdyn_post.environments.hdbscan_tree import find_clusters
from strdyn_post.errors import AnalysisError, OutputError
from strdyn_post.exchange.export import FORMATS, export
from strdyn_post.files.folder import FIGURES, claim, other_runs, run_of
from strdyn_post.files.output import new_file
from strdyn_post.kinetics.event_model import EventModel
from strdyn_post.page.panels import draw_panels
from strdyn_post.page.report import write_report
from strdyn_post.watch import watch_into

MARK = re.compile(rb"strdyn run ([0-9a-f]{32})")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A buffer, its settings, and an analysis of it by the command."""
    folder = tmp_path_factory.mktemp("run")
    record(folder)
    (folder / "settings.toml").write_text(SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        with_empty_figures(patch)
        words = ("analyse", folder / "run.sdl", "-c", folder / "settings.toml")
        assert strdyn(patch, *words, "-o", folder / "out") == 0
    return folder


@pytest.fixture
def out(run, tmp_path):
    """A copy of the folder of results."""
    return Path(shutil.copytree(run / "out", tmp_path / "out"))


@pytest.fixture
def empty_figures(monkeypatch):
    with_empty_figures(monkeypatch)


def analyse(monkeypatch, run, folder):
    words = ("analyse", run / "run.sdl", "-c", run / "settings.toml", "-o", folder)
    return strdyn(monkeypatch, *words)


# checksums


def test_every_changed_byte_is_noticed(out):
    path = out / "results.h5"
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [*range(0, 160, 7), *rng.integers(0, len(content), 400).tolist(), len(content) - 1]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(AnalysisError, match="has changed since|is damaged"):
            load_results(out)
    path.write_bytes(content)
    load_results(out)


@pytest.mark.parametrize("size", [0, 3, 511, 512, 513, 5000, -1])
def test_a_file_that_was_cut_off_is_noticed(out, size):
    path = out / "results.h5"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(AnalysisError, match="has changed since|is damaged"):
        load_results(out)


def test_the_file_is_hdf5_for_every_reader_and_its_block_says_what_it_is(out):
    content = (out / "results.h5").read_bytes()
    lines = content[:512].split(b"\0")[0].decode().splitlines()
    assert re.fullmatch("strdyn run [0-9a-f]{32}", lines[0])
    assert lines[1] == "format 2"
    head = "\n".join(lines[:2]) + "\n"
    digest = hashlib.sha256(head.encode() + content[512:]).hexdigest()
    assert lines[2] == f"sha256 {digest}"
    assert content[512:520] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(out / "results.h5") as file:
        assert file["soap/label"].shape == (29, 24)


def finding(name, value):
    """Change a finding as it is stored."""

    def action(file):
        lines = json.loads(file["findings"][()])
        drawn = next(line for line in lines if line["kind"] == "frames")
        if name == "kind":
            drawn[name] = value
        drawn["findings"][0][name] = value
        del file["findings"]
        file["findings"] = json.dumps(lines)

    return action


def put(name, value):
    def action(file):
        del file[name]
        file[name] = value

    return action


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda f: f.pop("lens"), r"has no group lens"),
        (lambda f: f["soap"].pop("label"), r"label"),
        (put("soap/label", np.full((29, 24), 7, np.int32)), r"labels of soap holds 7 to 7"),
        (put("soap/label", np.zeros((29, 23), np.int32)), r"shape \(29, 23\), expected 29 × 24"),
        (put("soap/score", np.full((29, 24, 2), np.nan)), r"soap/score .* not finite"),
        (put("soap/step", np.zeros(29, np.int64)), r"steps or stretches of soap do not increase"),
        (put("soap_lens/atom_id", np.ones(24, np.int64)), r"soap_lens has an atom ID twice"),
        (put("soap/count_matrix", np.full((3, 3), -1)), r"counts of soap holds -1 to -1"),
        (put("soap/merge_mapping", np.array([0, 1, 9])), r"merge_mapping holds 0 to 9"),
        (put("soap/pca/components", np.zeros((2, 5))), r"soap/pca/components holds"),
        (put("soap/checks/low", np.zeros((1, 1))), r"soap/checks/low holds"),
        (put("lens/linkage", np.zeros((9, 4))), r"lens/linkage holds"),
        (put("soap/identity", np.array(["a", "b", "c"], "S1")), r"soap/identity holds"),
        (lambda f: f["soap/model"].attrs.__setitem__("kind", "oracle"), r"oracle"),
        (lambda f: f.attrs.__setitem__("settings", '{"lag": 0}'), r"lag = 0"),
        (lambda f: f.attrs.__setitem__("settings", "[" * 99999), r"recursion|not as strdyn"),
        (lambda f: f.attrs.__setitem__("provenance", "[1]"), r"not as strdyn writes it"),
        (lambda f: f.attrs.__setitem__("provenance", '{"buffer": 3}'), r"provenance buffer is 3"),
        (finding("kind", "rumour"), r"kind = 'rumour': expected one of length, origin"),
        (finding("severity", "grave"), r"a finding has the severity 'grave'"),
        (finding("values", {}), r"a finding lacks a number"),
        (lambda f: f.attrs.__setitem__("timings", '{"pca": "long"}'), r"timing of pca is 'long'"),
        (lambda f: f.attrs.pop("flicker_share"), r"flicker_share"),
    ],
)
def test_entries_that_do_not_fit_together_are_named(out, action, message):
    change(out / "results.h5", action)
    with pytest.raises(AnalysisError, match=message):
        load_results(out)


def as_format_1(path):
    """Make the file that versions before the checksum wrote."""
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = 1
        provenance = json.loads(file.attrs["provenance"])
        del provenance["run_id"]
        file.attrs["provenance"] = json.dumps(provenance)
    path.write_bytes(path.read_bytes()[512:])


def test_results_of_format_1_still_load(out):
    expected = load_results(out)
    as_format_1(out / "results.h5")
    found = load_results(out)
    np.testing.assert_array_equal(found["soap"].labels, expected["soap"].labels)
    assert found.run_id == load_results(out).run_id != expected.run_id


def test_findings_of_an_earlier_version_keep_their_words(out):
    change(out / "results.h5", finding("kind", "cutoff"))
    with h5py.File(out / "results.h5") as file:
        lines = json.loads(file["findings"][()])
    text = next(line["text"] for line in lines if line["kind"] == "cutoff")
    (note,) = (each for each in load_results(out).findings if each.kind == "note")
    assert note.values == {"text": text}


@pytest.mark.usefixtures("empty_figures")
def test_a_folder_of_format_1_is_reported_anew(out, monkeypatch):
    as_format_1(out / "results.h5")
    (out / "report.html").write_text("a page of that version, without a mark")
    (out / "analysis.toml").write_text(SETTINGS)
    assert strdyn(monkeypatch, "report", out) == 0
    assert run_of(out / "report.html") == load_results(out).run_id
    assert (out / "analysis.toml").read_text() == SETTINGS


# one run


def test_all_parts_name_one_run(out):
    run_id = load_results(out).run_id
    files = [file for file in out.rglob("*") if file.is_file()]
    assert len(files) == 4 + 2 * 18
    for file in files:
        assert MARK.search(file.read_bytes()[:4096])[1].decode() == run_id, file
    assert other_runs(out, run_id) == []


@pytest.mark.usefixtures("empty_figures")
def test_parts_of_two_runs_are_not_exported_and_report_mends_them(run, out, monkeypatch, capsys):
    second = out.with_name("second")
    assert analyse(monkeypatch, run, second) == 0
    for name in ("report.html", "figures/path.svg"):
        shutil.copy(second / name, out / name)
    table = out.parent / "labels.csv"
    assert strdyn(monkeypatch, "export", out, "--to", "csv", "-o", table) == 3
    said = capsys.readouterr().err
    assert "these files are of another run: report.html, figures/path.svg" in said
    assert f"strdyn report {out}" in said
    assert not table.exists()
    assert strdyn(monkeypatch, "report", out) == 0
    assert "replaced files of another analysis: report.html" in capsys.readouterr().err
    assert strdyn(monkeypatch, "export", out, "--to", "csv", "-o", table) == 0


@pytest.mark.usefixtures("empty_figures")
def test_a_second_analysis_is_refused_before_its_work(run, out, monkeypatch, capsys):
    monkeypatch.setattr("strdyn_post.run.analyse", lambda *_, **__: pytest.fail("it worked"))
    before = (out / "results.h5").read_bytes()
    with claim(out):
        for words in (["analyse", run / "run.sdl", "-o", out], ["report", out]):
            assert strdyn(monkeypatch, *words) == 3
            said = capsys.readouterr().err
            assert f"is being written by process {os.getpid()} on host" in said
            assert "give another folder" in said
    assert (out / "results.h5").read_bytes() == before
    with claim(out):
        pass
    assert not list(out.glob(".strdyn*"))


def test_the_lock_of_a_process_that_was_killed_is_free(out):
    script = (
        "import sys, time; from strdyn_post.files.folder import claim\n"
        "with claim(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, out], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"process {process.pid} on host"), claim(out):
        pass
    process.kill()
    process.wait(timeout=30)
    (out / ".strdyn-analysis-0123.part").write_text("half")
    with claim(out):
        assert not list(out.glob("*.part"))


@pytest.mark.usefixtures("empty_figures")
def test_watch_holds_the_folder_between_its_analyses(run, tmp_path):
    told = []

    def tell(result, page):
        told.append(page)
        with pytest.raises(OutputError, match=f"process {os.getpid()} "), claim(tmp_path / "out"):
            pass

    settings = AnalysisConfig.from_toml(run / "settings.toml")
    watch_into(open_buffer(run / "run.sdl"), settings, tmp_path / "out", tell=tell, n_rounds=1)
    assert told == [tmp_path / "out" / "report.html"]
    with claim(tmp_path / "out"):
        pass


# files of the user


@pytest.mark.usefixtures("empty_figures")
def test_settings_of_the_user_stay(run, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    mine = "# why 20: as in the notebook\n" + SETTINGS
    (folder / "analysis.toml").write_text(mine)
    words = ("analyse", run / "run.sdl", "-c", folder / "analysis.toml", "-o", folder)
    for _ in range(2):
        assert strdyn(monkeypatch, *words) == 0
        assert (folder / "analysis.toml").read_text() == mine
        run_id = load_results(folder).run_id
        assert run_of(folder / "analysis.used.toml") == run_id
    (folder / "analysis.toml").unlink()
    assert analyse(monkeypatch, run, folder) == 0
    assert run_of(folder / "analysis.toml") == load_results(folder).run_id
    assert not (folder / "analysis.used.toml").exists()


@pytest.mark.usefixtures("empty_figures")
def test_settings_of_ours_that_the_user_has_changed_are_the_users(run, out, monkeypatch):
    path = out / "analysis.toml"
    assert analyse(monkeypatch, run, out) == 0
    assert run_of(path) == load_results(out).run_id
    changed = path.read_text().replace("lag = 1\n", "lag = 2  # my own\n")
    assert "my own" in changed
    path.write_text(changed)
    assert strdyn(monkeypatch, "analyse", run / "run.sdl", "-c", path, "-o", out) == 0
    assert path.read_text() == changed
    assert load_results(out).config.lag == 2
    assert "\nlag = 2\n" in (out / "analysis.used.toml").read_text()


@pytest.mark.parametrize("name", ["results.h5", "report.html", "summary.json", "figures/path.svg"])
def test_files_of_the_user_are_refused_before_the_work(run, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr("strdyn_post.run.analyse", lambda *_, **__: pytest.fail("it worked"))
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("my own")
    assert analyse(monkeypatch, run, tmp_path / "out") == 3
    assert f"cannot write {file}: a file of this name is there" in capsys.readouterr().err
    assert file.read_text() == "my own"


def test_an_hdf5_file_of_the_user_is_refused(tmp_path):
    with h5py.File(tmp_path / "results.h5", "w") as file:
        file["mine"] = 1
    with pytest.raises(OutputError, match=r"results\.h5: a file of this name"), claim(tmp_path):
        pass


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("run.sdl", r"run\.sdl is a buffer"),
        ("run.sdl/deep/er", r"run\.sdl is a buffer"),
        ("renamed/out", r"renamed is a buffer"),
        ("link/out", r"run\.sdl is a buffer"),
        ("file", r"it exists, but is not a folder"),
        ("file/out", r"A part of this path is a file"),
        ("/proc/out", r"cannot write /proc/out"),
    ],
)
def test_an_unusable_place_is_refused_before_the_work(
    run, tmp_path, monkeypatch, capsys, place, message
):
    monkeypatch.setattr("strdyn_post.run.analyse", lambda *_, **__: pytest.fail("it worked"))
    for name in ("run.sdl", "renamed"):
        shutil.copytree(run / "run.sdl", tmp_path / name)
    (tmp_path / "link").symlink_to("run.sdl")
    (tmp_path / "file").write_text("my own")
    before = sorted(tmp_path.rglob("*"))
    assert analyse(monkeypatch, run, tmp_path / place) == 3
    assert re.search(message, capsys.readouterr().err)
    if "sdl" in place or "renamed" in place:
        words = ("export", run / "out", "--to", "csv", "-o", tmp_path / place)
        assert strdyn(monkeypatch, *words) == 3
        assert re.search(message, capsys.readouterr().err)
    assert sorted(tmp_path.rglob("*")) == before


def test_demo_checks_its_folder_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("strdyn_post.demo.run_demo", lambda *_, **__: pytest.fail("it worked"))
    (tmp_path / "report.html").write_text("my own")
    assert strdyn(monkeypatch, "demo", "-o", tmp_path) == 3
    assert "strdyn has not written it" in capsys.readouterr().err


# exports


@pytest.fixture(scope="module")
def made_up():
    result = make_result(6, 30)
    buffer = make_buffer(result)
    buffer.soap = lambda _k: np.ones((30, 324), np.float32)
    return result, buffer


@pytest.mark.parametrize("to", FORMATS)
def test_an_export_is_replaced_by_the_next_and_other_files_are_not(made_up, tmp_path, to):
    path = tmp_path / "labels"
    export(*made_up, to, path)
    before = path.read_bytes()
    export(*made_up, to, path)
    assert len(path.read_bytes()) == len(before)
    assert [file.name for file in tmp_path.iterdir()] == ["labels"]
    path.write_bytes(b"my own")
    with pytest.raises(OutputError, match=f"exists, and strdyn did not write it as {to}"):
        export(*made_up, to, path)
    assert path.read_bytes() == b"my own"


def test_nothing_is_written_through_a_link(made_up, tmp_path):
    (tmp_path / "precious").write_text("my own")
    link = tmp_path / "labels.csv"
    link.symlink_to("precious")
    with pytest.raises(OutputError, match="did not write it as csv"):
        export(*made_up, "csv", link)
    for name in (".part", "labels.csv.part", "results.h5.part"):
        (tmp_path / name).symlink_to("precious")
    export(*made_up, "csv", tmp_path / "results.h5")
    assert (tmp_path / "precious").read_text() == "my own"


def test_an_interrupted_file_leaves_nothing(tmp_path):
    path = tmp_path / "labels.csv"
    writing = new_file(path)
    writing.__enter__().write(b"half")
    with pytest.raises(KeyboardInterrupt):
        writing.gen.throw(KeyboardInterrupt)
    assert not list(tmp_path.iterdir())


# full disks


def strdyn_with_limit(limit, folder, *words):
    """Run the command where no file may grow beyond a limit: what a full disk looks like."""
    return subprocess.run(
        [Path(sys.executable).with_name("strdyn"), *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        cwd=folder,
        env={**os.environ, "NUMBA_DISABLE_CACHE": "1", "MPLCONFIGDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_full_disk_ends_the_analysis_in_order(run, tmp_path, limit):
    words = ["analyse", run / "run.sdl", "-c", run / "settings.toml", "-o", tmp_path / "out"]
    done = strdyn_with_limit(limit, tmp_path, *words)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert "The limit on the size of a file is reached: raise `ulimit -f`" in done.stderr
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "out" / "results.h5").exists() or load_results(tmp_path / "out")


@pytest.mark.parametrize("to", FORMATS)
def test_a_full_disk_ends_an_export_in_order(run, tmp_path, to):
    file = tmp_path / "labels"
    done = strdyn_with_limit(2000, tmp_path, "export", run / "out", "--to", to, "-o", file)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert f"cannot write {file}: File too large" in done.stderr
    assert not [each for each in tmp_path.iterdir() if "labels" in each.name or "part" in each.name]


@pytest.mark.usefixtures("empty_figures")
def test_results_that_do_not_fit_are_put_where_there_is_room(run, tmp_path, monkeypatch, capsys):
    target = tmp_path / "out"
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))
    seal_file = seal

    def no_room(file, run_id, *more):
        if Path(file.name).parent == target:
            raise_it = OSError(28, "No space left on device")
            file.error = raise_it
            return
        seal_file(file, run_id, *more)

    monkeypatch.setattr("strdyn_post.files.results_file.seal", no_room)
    assert analyse(monkeypatch, run, target) == 3
    said = capsys.readouterr().err
    assert f"cannot write {target}/results.h5: No space left on device. Free space" in said
    assert f"run `strdyn report {target}` to draw" in said
    (rescue,) = (tmp_path / "spare").iterdir()
    assert f"its results are in {rescue}" in said
    target.mkdir(exist_ok=True)
    shutil.move(rescue / "results.h5", target)
    assert strdyn(monkeypatch, "report", target) == 0
    assert run_of(target / "report.html") == load_results(target).run_id


@pytest.mark.usefixtures("empty_figures")
def test_a_page_that_does_not_fit_leaves_the_results(run, tmp_path, monkeypatch, capsys):
    def no_room(*_, **__):
        raise OutputError("cannot write a figure: No space left on device.")

    monkeypatch.setattr("strdyn_post.page.report.save_figure", no_room)
    assert analyse(monkeypatch, run, tmp_path / "out") == 3
    assert "are saved, but the page is not. Run `strdyn report" in capsys.readouterr().err
    assert load_results(tmp_path / "out")["soap"].labels.shape == (29, 24)


# frames that have gone


@pytest.mark.usefixtures("empty_figures")
def test_frames_that_have_gone_or_changed_are_named(tmp_path, monkeypatch, capsys):
    record(tmp_path, 20)
    (tmp_path / "settings.toml").write_text(SETTINGS)
    assert analyse(monkeypatch, tmp_path, tmp_path / "out") == 0
    record(tmp_path, 30, first=20, append=True)  # the run goes on
    assert strdyn(monkeypatch, "report", tmp_path / "out") == 0
    capsys.readouterr()

    superseded = tmp_path / "again"
    shutil.copytree(tmp_path / "run.sdl", superseded)
    record(tmp_path, 30, first=10, seed=5, append="force")  # from an earlier restart file
    for words in (["report"], ["export", "--to", "csv", "-o", tmp_path / "x.csv"]):
        assert strdyn(monkeypatch, words[0], tmp_path / "out", *words[1:]) == 3
        assert "went on from step" in capsys.readouterr().err

    shutil.rmtree(tmp_path / "run.sdl")
    shutil.copytree(superseded, tmp_path / "run.sdl")
    next((tmp_path / "run.sdl").glob("seg-0000*")).unlink()
    with pytest.warns(UserWarning, match=r"run\.sdl"):
        assert strdyn(monkeypatch, "report", tmp_path / "out") == 3
    assert "is not in the buffer" in capsys.readouterr().err


def test_the_names_of_the_figures_are_known(made_up):
    result, buffer = made_up
    tree = Branches.of(
        find_clusters(np.arange(40.0)[:, None], 5), np.zeros(40), np.empty(0, np.int32)
    )
    routes = {name: refit(result[name], branches=tree) for name in ("soap", "soap_lens")}
    routes["soap_lens"] = merge(routes["soap_lens"], [0, 0, 1, 2, 3])
    # every figure that some analysis has
    result = replace(
        result,
        routes={**result.routes, **routes},
        event_model=EventModel(np.zeros(4), np.zeros(1), np.ones(1)),
        foretelling=object(),
        interval_scan=(object(),),
        config=replace(result.config, scan_intervals=(2,), scan_windows=(3,)),
    )
    assert sorted(panel.name for panel in draw_panels(result, buffer)) == sorted(FIGURES)


def test_figures_that_an_analysis_does_not_have_do_not_stay(made_up, tmp_path, monkeypatch):
    result, buffer = made_up
    write_report(result, buffer, tmp_path)
    figures = tmp_path / "figures"
    (figures / "scan_interval.png").write_bytes((figures / "path.png").read_bytes())
    (figures / "mine.png").write_bytes(b"a file of the user")
    write_report(result, buffer, tmp_path)
    assert not (figures / "scan_interval.png").exists()
    assert (figures / "path.png").exists()
    assert (figures / "mine.png").read_bytes() == b"a file of the user"


def test_results_from_before_a_setting_existed_have_what_was_done_then(made_up, tmp_path):
    """Plain excess of mass, merges whatever the dynamics, one starting point."""
    result, _ = made_up
    path = save_results(result, tmp_path)
    new = ("max_cluster_share", "merge_keep_dynamics", "n_init", "stride", "scan_intervals")

    def forget(file: h5py.File) -> None:
        settings = json.loads(file.attrs["settings"])
        file.attrs["settings"] = json.dumps({k: v for k, v in settings.items() if k not in new})

    change(path, forget)
    config = load_results(path).config
    assert (config.max_cluster_share, config.merge_keep_dynamics, config.n_init) == (None, False, 1)
    assert (config.stride, config.scan_intervals) == (1, ())
