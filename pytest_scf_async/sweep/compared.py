"""In what the runs of a sweep are compared, and why a sweep that compares nothing is refused.

A result alone says nothing: the next event makes it anew, whatever was lost. The sweep of a handler that leaves nothing
else could not fail, and would look like one that found nothing wrong.
"""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from ..protocol.shortening import shortened_list
from .contents import observed_of, records_of
from .effects import RESULT, EffectKind, Effects, Stored
from .ignored import Ignored
from .points import Point

_Name = TypeVar("_Name")

NAMED = 4
"""Names that a sentence lists at most."""


@dataclass(frozen=True)
class Compared:
    """In what each run is compared with the undisturbed one: what that has left, without what is ignored.

    What ``each_run`` has put into ``run.path`` and the handler has left as it was is not named here.
    """

    result: bool
    """The result is compared."""
    files: tuple[str, ...] = ()
    """The files of ``run.path`` that the handler has made, changed or removed, by their relative paths; of a directory
    what is in it, unless it is empty."""
    tables: tuple[str, ...] = ()
    """The same of the tables of SQLite files there: ``orders.db:orders``."""
    records: tuple[str, ...] = ()
    """The names of what handlers gave to ``inside.record``."""
    observed: tuple[str, ...] = ()
    """The names of what the test gave to ``run.observe``, and of what plugins add."""

    @property
    def effects(self) -> tuple[str, ...]:
        """All names except that of the result."""
        return (*self.files, *self.tables, *self.records, *self.observed)


class Beginning(NamedTuple):
    """The state in which an undisturbed run began."""

    environment: Mapping[str, str] | None
    """What ``each_run`` yielded; None where there is none."""
    stored: Stored
    """The content of ``run.path`` by then."""
    context: Mapping[str, object]
    """The context that the handler got."""


def compared_in(effects: Effects, before: Stored, ignored: Ignored) -> Compared:
    """What of *effects*, those of a run whose directory had *before* in it, is compared."""
    file, row = EffectKind.FILE, EffectKind.ROW
    normal = ignored.file_names.normal

    def is_ignored(name: str) -> bool:
        return ignored.has(file, name) or (file, normal(name)) in ignored.whole

    tables = {
        (database, table)
        for database, table in _changed(before.rows, effects.rows)
        if not is_ignored(database) and not ignored.has(row, f"{normal(database)}:{table}")
    }
    files = {name for name in _changed(before.files, effects.files) if not is_ignored(name)}
    files -= {database for database, _ in tables}
    files -= {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return Compared(
        not ignored.has(EffectKind.RESULT, RESULT),
        tuple(sorted(files)),
        tuple(sorted(f"{database}:{table}" for database, table in tables)),
        tuple(records_of(effects, ignored)),
        tuple(observed_of(effects, ignored)),
    )


def _changed(before: Mapping[_Name, object], after: Mapping[_Name, object]) -> set[_Name]:
    return {key for key in (*before, *after) if before.get(key) != after.get(key)}


def why_nothing(effects: Effects, began: Beginning, points: Iterable[Point], path: Path, *, is_told: bool) -> str:
    """Why a run that came to *points* has left nothing in *path* that is compared, as the end of a sentence.

    *is_told*: it is a program that is given the path.
    """
    shown = shortened_list(compared_in(effects, began.stored, Ignored()).effects, NAMED)
    if shown:
        return f"all that it leaves is left out, by ignore= or as it differs from run to run: {shown}"
    if is_told:
        return "it has left run.path as it was"
    if began.environment is None:
        return "it records nothing, and without each_run= there is no directory whose files are compared"
    names = [name for name, value in began.environment.items() if str(path) in value]
    if not names:
        return "each_run yields no variable with run.path in it, so the handler cannot know where to write"
    files = sorted({point.found.file for point in points if point.line})
    code = "".join(line for file in files for line in linecache.getlines(file))
    if files and not re.search(rf"\b({'|'.join(map(re.escape, names))})\b", code):
        shown = shortened_list([os.path.basename(file) for file in files], NAMED)
        return f"each_run yields {', '.join(names)}, and the code that has run ({shown}) does not have that name"
    return f"it has left run.path ({', '.join(names)}) as each_run gave it"
