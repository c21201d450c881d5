"""Small systems for LAMMPS, each with something that can go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Every pair style is a soft one: the systems are about geometry, not about physics.
_CU_SLAB = """
units metal
lattice fcc 3.615 origin 0.01 0.01 0.01 orient x -1 1 1 orient y 0 -1 1 orient z 2 1 1
region box block 0 2 0 3 0 3
create_box 1 box
create_atoms 1 box
change_box all z delta -8 8 units box
mass 1 63.5
pair_style lj/cut 5.0
pair_coeff 1 1 0.4 2.3
region top block INF INF INF INF 1.9 INF
group doomed id 1
group surface region top
group void empty
velocity all create 900 4928459 loop geom
fix nve all nve
timestep 0.002
"""

_TRICLINIC = """
units metal
lattice custom 3.6 a1 1 0 0 a2 0.35 1 0 a3 -0.2 0.3 1 basis 0.1 0.2 0.3 basis 0.55 0.65 0.8
region box prism 0 3 0 3 0 3 1.05 -0.6 0.9
create_box 1 box
create_atoms 1 box
mass 1 63.5
displace_atoms all random 0.2 0.2 0.2 777
pair_style soft 3.0
pair_coeff 1 1 2.0
velocity all create 900 4928459 loop geom
fix nve all nve
timestep 0.001
"""

_TWO_SPECIES = """
units real
boundary p p f
lattice custom 3.0 a1 1 0 0 a2 0 1 0 a3 0 0 1 &
        basis 0 0 0 basis 0.3 0.1 0.0 basis 0.0 0.3 0.2
region box block 0 5 0 5 -0.6 5.6
region fill block 0 5 0 5 0 4.9
create_box 2 box
create_atoms 1 region fill basis 1 1 basis 2 2 basis 3 2
mass 1 15.999
mass 2 1.008
displace_atoms all random 0.1 0.1 0.1 99
pair_style soft 2.0
pair_coeff * * 3.0
group oxygen type 1
velocity all create 300 4928459 loop geom
fix walls all wall/reflect zlo EDGE zhi EDGE
fix nve all nve
timestep 0.5
"""

# Fast atoms and a rare reneighboring: some lie outside the box when a frame is read.
_GAS = """
units metal
region box block 0 14 0 15 0 16
create_box 1 box
create_atoms 1 random 90 4242 box
mass 1 63.5
pair_style soft 3.0
pair_coeff 1 1 1.0
neighbor 2.0 bin
neigh_modify delay 0 every 1 check yes
velocity all create 3000 4928459 loop geom
fix nve all nve
timestep 0.001
"""

_SMALL_BOX = """
units metal
lattice fcc 3.615
region box block 0 2 0 2 0 1
create_box 1 box
create_atoms 1 box
mass 1 63.5
displace_atoms all random 0.15 0.15 0.15 31
pair_style lj/cut 3.3
pair_coeff 1 1 0.4 2.3
velocity all create 300 4928459 loop geom
fix nve all nve
timestep 0.001
"""


@dataclass(frozen=True)
class System:
    """A system, how to describe it, and when."""

    script: str
    settings: dict[str, Any]
    comm_cutoff: float
    every: int = 10
    n_steps: int = 20


SYSTEMS = {
    "cu_slab": System(
        _CU_SLAB, {"r_cut": 6.0, "elements": "Cu", "centers": "surface"}, comm_cutoff=11.72
    ),
    "triclinic": System(
        _TRICLINIC, {"r_cut": 4.0, "elements": "Cu", "n_max": 5, "l_max": 6}, comm_cutoff=9.72
    ),
    "two_species": System(
        _TWO_SPECIES,
        {
            "r_cut": 4.5,
            "elements": "O H",
            "centers": "oxygen",
            "lens_environment": "oxygen",
            "n_max": 4,
            "l_max": 4,
            "sigma": 0.5,
        },
        comm_cutoff=8.4,
    ),
    "gas": System(
        _GAS, {"r_cut": 5.0, "elements": "Cu", "n_max": 4, "l_max": 3}, comm_cutoff=10.72, every=7
    ),
    "small_box": System(
        _SMALL_BOX,
        {"r_cut": 6.0, "elements": "Cu", "n_max": 4, "l_max": 4, "lens_r_cut": 7.5},
        comm_cutoff=11.72,
    ),
}


# Long and thin, one rank beside the other: each has neighbors at two sides only.
WIRE = System(
    """
units metal
processors * 1 1
region box block 0 160 0 12 0 12
create_box 1 box
create_atoms 1 random 400 4242 box
mass 1 63.5
pair_style soft 2.0
pair_coeff 1 1 1.0
velocity all create 300 4928459 loop geom
fix nve all nve
timestep 0.001
""",
    {"r_cut": 4.0, "elements": "Cu", "n_max": 3, "l_max": 2, "sigma": 0.5},
    comm_cutoff=7.9,
)


@dataclass(frozen=True)
class Restartable:
    """A system whose run can go on from a restart file."""

    start: str
    settings: str  # what a restart file does not keep


RESTARTABLE = Restartable(
    start="""
units metal
lattice fcc 3.615 origin 0.01 0.01 0.01
region box block 0 5 0 5 0 4
create_box 1 box
create_atoms 1 box
change_box all z delta -8 8 units box
mass 1 63.5
region top block INF INF INF INF 1.9 INF
group surface region top
velocity all create 900 4928459 loop geom
""",
    settings="""
pair_style lj/cut 5.0
pair_coeff 1 1 0.4 2.3
comm_modify cutoff 10.72
fix nve all nve
timestep 0.002
""",
)


def newest_restart(folder: Path, file: str) -> Path | None:
    """Return the newest complete restart file; the last may have been cut off by a kill."""
    files = sorted(folder.glob(f"{file}.state.*"), key=lambda path: int(path.suffix[1:]))
    complete = max((path.stat().st_size for path in files), default=0)
    return next((path for path in reversed(files) if path.stat().st_size == complete), None)
