"""A folder of results: its lock, the files that strdyn wrote, and the run of each file."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strdyn_live.buffer.storage import PART, ForgivingFile
from strdyn_live.results_block import RESULTS, mark
from strdyn_post.errors import OutputError
from strdyn_post.results import AnalysisResult
from strdyn_post.routes import ROUTES

from .output import cannot_write, check_not_in_buffer, new_file, write_text

__all__ = ["FIGURES", "Claim", "check_folder", "claim", "other_runs", "run_of"]

FIGURES = (
    *("origin", "hazard_neighbors", "hazard_depth", "foretelling"),
    *("expected_map", "expected_snapshot"),
    *("finding_soap", "finding_soap_lens", "finding_sites"),
    *("variance", "branches_soap", "branches_soap_lens"),
    *("lens_series", "scan_interval", "scan_window", "alluvial"),
    *("path", "path_in_space", "close_up_1", "close_up_2", "close_up_3"),
    *(
        f"{kind}_{name}"
        for kind in ("pca_density", "pca_environment", "unmerged_map", "unmerged_matrix")
        for name in ROUTES[::2]
    ),
    *(f"cluster_sizes_{name}" for name in ROUTES[::2]),
    *(
        f"{kind}_{name}"
        for kind in ("dendrogram", "matrix", "chord", "timescales", "persistence")
        for name in ROUTES
    ),
    *(f"snapshot_{view}_{name}" for view in ("above", "oblique") for name in ROUTES),
    *(
        f"snapshot_{what}{when}"
        for what in ("", "neighbors_")
        for when in ("start", "middle", "end")
    ),
)
"""Names of the figures in ``figures/``."""

PAGE, SUMMARY = "report.html", "summary.json"
SETTINGS, OTHER_SETTINGS = "analysis.toml", "analysis.used.toml"

_LOCK = ".strdyn.lock"
UNFINISHED = ".strdyn-analysis-"
"""First part of the name of a file that an analysis is writing."""
_MARK = re.compile(rb"strdyn run ([0-9a-f]{32})")
_SETTINGS = re.compile(r"# Settings of strdyn run [0-9a-f]{32}, sha256 ([0-9a-f]{64})\n#.*\n")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def run_of(path: Path) -> str | None:
    """Return the run ID in a file; None for a file that strdyn did not write."""
    found = _MARK.search(_head(path))
    return found[1].decode() if found else None


def other_runs(folder: Path, run_id: str) -> list[str]:
    """Return the files of a folder that belong to another run; of the figures only the first."""
    names = [name for name in (PAGE, SUMMARY, *_figures()) if run_of(folder / name)]
    names += [name for name in (SETTINGS, OTHER_SETTINGS) if _is_unchanged(folder / name)]
    others = [name for name in names if run_of(folder / name) != run_id]
    figures = [name for name in others if name.startswith("figures/")]
    return [name for name in others if name not in figures[1:]]


@dataclass(frozen=True)
class Claim:
    """A folder of results that this process has locked for writing (see `claim`)."""

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)

    @contextlib.contextmanager
    def new_file(self, name: str) -> Iterator[ForgivingFile]:
        """Write a file that appears only when it is complete (see `files.output.new_file`)."""
        with new_file(self.folder / name, UNFINISHED) as file:
            yield file

    def write(self, name: str, text: str) -> Path:
        """Write a text file."""
        with self.new_file(name) as file:
            write_text(file, text)
        return self.folder / name

    def remove_figures_but(self, names: set[str]) -> None:
        """Remove the figures of an earlier analysis that are not in `names`."""
        for name in set(FIGURES) - names:
            for kind in ("svg", "png"):
                file = self.folder / "figures" / f"{name}.{kind}"
                if run_of(file):
                    file.unlink()

    def write_settings(self, result: AnalysisResult) -> Path:
        """Write the settings used; a file of the user with the same name stays."""
        text = result.config.to_toml()
        digest = hashlib.sha256(text.encode()).hexdigest()
        head = (
            f"# Settings of {mark(result.run_id)}, sha256 {digest}\n"
            "# The next analysis writes this file anew. If you change it, it is yours and stays.\n"
        )
        name = SETTINGS
        if _is_users_settings(self.folder / SETTINGS):
            name = OTHER_SETTINGS
        elif _is_unchanged(self.folder / OTHER_SETTINGS):
            (self.folder / OTHER_SETTINGS).unlink()
        return self.write(name, head + text)


@contextlib.contextmanager
def claim(folder: str | os.PathLike[str]) -> Iterator[Claim]:
    """Lock a folder of results for writing, and make it if it does not exist.

    Parameters
    ----------
    folder : path or Claim
        A process that holds the lock may ask for it again, with its Claim.

    Raises
    ------
    OutputError
        If another process holds the lock, the folder cannot be written, or a file that would be
        replaced was not written by strdyn.
    """
    if isinstance(folder, Claim):
        yield folder
        return
    path = Path(folder)
    check_folder(path)
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(path)
    except OutputError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        for part in (*path.glob(f"{UNFINISHED}*{PART}"), *path.glob(f"*/{UNFINISHED}*{PART}")):
            part.unlink()  # left by an analysis that was killed
        yield Claim(path)
    finally:
        with contextlib.suppress(OSError):
            (path / _LOCK).unlink()
        os.close(descriptor)
        if is_new:
            with contextlib.suppress(OSError):
                path.rmdir()  # nothing was written


def check_folder(path: Path) -> None:
    """Raise OutputError if no results can be written, or a file of the user would be lost."""
    check_not_in_buffer(path)
    for folder in (path, path / "figures"):
        if os.path.lexists(folder) and not folder.is_dir():
            raise OutputError(
                f"cannot write {folder}: it exists, but is not a folder. Give another one (-o)."
            )
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(
                f"cannot write {folder}: you have no write permission. Give another folder (-o)."
            )
    was_ours = _is_format_1(path / RESULTS)  # files of format 1 have no marks
    for name in (RESULTS, PAGE, SUMMARY, *_figures()):
        file = path / name
        if os.path.lexists(file) and not (was_ours or run_of(file)):
            raise _not_ours(file)
    settings, other = path / SETTINGS, path / OTHER_SETTINGS
    if _is_users_settings(settings) and os.path.lexists(other) and not _is_unchanged(other):
        raise _not_ours(other)


def _not_ours(file: Path) -> OutputError:
    return OutputError(
        f"cannot write {file}: a file of this name is there, and strdyn has not written it. "
        "Move it away, or give another folder (-o)."
    )


def _figures() -> list[str]:
    return [f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")]


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _is_format_1(path: Path) -> bool:
    import h5py

    if not _head(path).startswith(_HDF5):
        return False
    try:
        with h5py.File(path, "r") as file:
            return "provenance" in file.attrs and "soap_lens" in file
    except Exception:  # HDF5 raises many kinds of errors for other files
        return False


def _is_unchanged(path: Path) -> bool:
    """Whether strdyn wrote these settings and nobody has changed them."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    head = _SETTINGS.match(text)
    return head is not None and hashlib.sha256(text[head.end() :].encode()).hexdigest() == head[1]


def _is_users_settings(path: Path) -> bool:
    return os.path.lexists(path) and not _is_unchanged(path)


def _lock(folder: Path) -> int:
    """Return the descriptor of the lock file; the kernel drops the lock when the process ends."""
    path = folder / _LOCK
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
        try:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            remedy = "wait for its end, or give another folder (-o)."
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = True
            except BlockingIOError:
                is_free = False
            except OSError:  # this file system has no locks: the name in the file decides
                is_free = not holder
                remedy += f" If that process has died, delete {path}."
            if not is_free:
                holder = holder or "another process"
                raise OutputError(f"{folder} is being written by {holder}: {remedy}")
            with contextlib.suppress(FileNotFoundError):  # the last holder has just deleted it
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    os.ftruncate(descriptor, 0)
                    name = f"process {os.getpid()} on host {socket.gethostname()}\n"
                    os.pwrite(descriptor, name.encode(), 0)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
