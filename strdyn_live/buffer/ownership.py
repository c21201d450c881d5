"""Which files of a folder belong to a buffer: by its uuid, without one by what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .bases import StoredBasis
from .document import Origin
from .folder import Generation
from .index import File
from .last import Last
from .live_log import LiveFile

__all__ = ["find_foreign"]


def find_foreign(
    uuid: str,
    files: Sequence[File],
    lasts: Mapping[str, Last],
    lives: Mapping[str, LiveFile],
    generations: Mapping[str, Generation],
    bases: Mapping[str, StoredBasis],
) -> set[str]:
    """Return the names of files of another buffer: data, notes, logs, bases, generations."""
    foreign = {file.path.name for file in files if file.origin.uuid != uuid}
    foreign |= {name for name, last in lasts.items() if last.uuid != uuid}
    foreign |= {name for name, live in lives.items() if live.uuid != uuid}
    foreign |= {name for name, basis in bases.items() if basis.uuid != uuid}
    origins = [file.origin for file in files]
    return foreign | {
        name
        for name, generation in generations.items()
        if not _is_own(generation, uuid, origins, generations.values())
    }


def _is_own(
    generation: Generation, uuid: str, origins: list[Origin], all_there: Iterable[Generation]
) -> bool:
    """Return whether a generation file is of the buffer with this uuid.

    One that an earlier version wrote has no uuid. It is taken for our own unless something
    contradicts it: our own data files of this generation branch elsewhere; only another buffer has
    data files of this generation; no generation comes before it; or an older one has a uuid, and
    so was written by a later version.
    """
    if generation.uuid is not None:
        return generation.uuid == uuid
    said = (generation.branch_step, generation.n_writers)
    found = [origin for origin in origins if origin.generation == generation.number]
    own = [(each.branch_step, each.n_writers) for each in found if each.uuid == uuid]
    if found and said not in own:
        return False
    older = [each for each in all_there if each.number < generation.number]
    older_data = any(
        origin.uuid == uuid and origin.generation == generation.number - 1 for origin in origins
    )
    follows = older_data or any(each.number == generation.number - 1 for each in older)
    outdated = any(each.uuid == uuid for each in older)
    return (follows or generation.number == 0) and not outdated
