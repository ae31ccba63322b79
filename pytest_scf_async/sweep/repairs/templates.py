"""The changes of a source that may repair what a sweep has found in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ..findings import FailureClass
from ..source_text import parsed
from .draft import RepairKind, Template, blame_of
from .parsed_source import ParsedSource
from .templates_of_files import TEMPLATES_OF_FILES
from .templates_of_order import TEMPLATES_OF_ORDER
from .templates_of_stops import TEMPLATES_OF_STOPS

__all__ = ["Change", "RepairKind", "changes"]

TEMPLATES: tuple[Template, ...] = (*TEMPLATES_OF_STOPS, *TEMPLATES_OF_FILES, *TEMPLATES_OF_ORDER)


@dataclass(frozen=True)
class Change:
    """A change of one source file that may repair what a sweep found."""

    kind: RepairKind
    file: str
    """Below the directory of the code."""
    line: int
    """The first line that is changed."""
    source: str = field(repr=False)
    """The whole file with the change."""


def changes(source: str, file: str, found: Sequence[FailureClass]) -> Iterator[Change]:
    """The changes of *source* that the templates make around what the classes *found* blame in *file*.

    The lines of *source* end with newlines alone. Those changes come first that change the fewest lines, and of these
    the ones closest to an interruption. Each is valid Python, keeps the comments, and comes once. There is none where
    *source* is no Python, or has other ends of lines within.
    """
    missing = "\n" * (not source.endswith("\n"))
    before = source + missing
    tree = None if "\r" in source else parsed(before, file)
    if tree is None or not tree.body:
        return
    looked_at, blame = ParsedSource(before, tree), blame_of(found, file)
    blame = blame._replace(lines=looked_at.with_calls(blame.lines), at=looked_at.with_calls(blame.at))
    made: dict[str, tuple[tuple[int, int], Change]] = {}
    for draft in chain.from_iterable(template(looked_at, blame) for template in TEMPLATES):
        changed = looked_at.positions.edited(*draft.edits)
        if changed in made or changed == before or parsed(changed, file) is None:
            continue
        size, line = _size(before, changed)
        far = min((abs(line - at) for at in blame.at), default=0)
        whole = changed[: len(changed) - len(missing)]
        made[changed] = (size, far), Change(draft.kind, file, line, whole)
    yield from (change for _, change in sorted(made.values(), key=lambda each: each[0]))


def _size(before: str, after: str) -> tuple[int, int]:
    """How many lines differ, and the first one that does."""
    matcher = difflib.SequenceMatcher(None, before.split("\n"), after.split("\n"), autojunk=False)
    codes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return sum(stop - start + end - begin for _, start, stop, begin, end in codes), codes[0][1] + 1
