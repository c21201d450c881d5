"""Input scripts with `fix strdyn`."""

from __future__ import annotations

from pathlib import Path

from systems import SYSTEMS

DUMP = """
dump all all custom {every} {output}.dump id type x y z vx vy vz
dump_modify all sort id format float %.17g
"""


def of_system(
    name: str,
    output: str = "run",
    *,
    before: str = "",
    after: str = "",
    run: str = "",
    **words: object,
) -> str:
    """Return the script that records a system into OUTPUT.sdl and dumps it into OUTPUT.dump."""
    system = SYSTEMS[name]
    settings = {**system.settings, "file": f"{output}.sdl", **words}
    every = settings.pop("every", system.every)
    group = settings.pop("centers", "all")
    return "\n".join(
        [
            system.script,
            "reset_atoms id sort yes",
            before,
            DUMP.format(every=system.every, output=output),
            f"fix sd {group} strdyn {every} " + " ".join(f"{k} {v}" for k, v in settings.items()),
            after,
            run or f"run {system.n_steps}",
            'print "went on"',
        ]
    )


def values_in(dump: Path) -> dict[int, dict[int, list[float]]]:
    """Return the columns behind the ID of a text dump, by step and atom ID."""
    found = {}
    for text in dump.read_text().split("ITEM: TIMESTEP\n")[1:]:
        lines = text.splitlines()
        rows = [line.split() for line in lines[8:]]
        found[int(lines[0])] = {int(row[0]): [float(each) for each in row[1:]] for row in rows}
    return found
