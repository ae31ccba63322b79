"""The lines of a handler's files that no run has reached."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence

from ..protocol.statements import codes_in, statements_in
from .points import Point

_BEGINS = frozenset({"line", "both"})


def lines_of(points: Iterable[Point]) -> set[tuple[str, int]]:
    """File and line of each statement that begins at one of *points*."""
    return {(point.file, point.line) for point in points if point.kind in _BEGINS}


def not_reached(roots: Sequence[str], reached: Collection[tuple[str, int]]) -> Iterator[str]:
    """The statements in functions whose line is not among *reached*, as ranges: ``export.py:31-33``.

    Files are those of which some line is, below one of *roots*. What is said is of the main thread alone, as points
    are: a function that only another thread calls has been reached in no run. Lines are collected in the undisturbed
    runs, in the runs that look for what follows a SIGTERM, and for each kind of interruption in one at the point in the
    middle and one at the last point, resumed events included. A line to which a handler comes only after it was
    interrupted somewhere else is not known: a run in which lines are collected takes several times as long.
    """
    for file in sorted({file for file, _ in reached if file}):
        lines = {line for name, line in reached if name == file}
        paths = (os.path.join(root, file) for root in roots)
        for first, last in _ranges(next(filter(os.path.isfile, paths), ""), lines):
            yield f"{file}:{first}" if first == last else f"{file}:{first}-{last}"


def _ranges(path: str, reached: Collection[int]) -> Iterator[tuple[int, int]]:
    """First and last line of each series of statements of which none is *reached*."""
    at: tuple[int, int] | None = None
    for first, last in sorted(_statements(path)):
        if first not in reached:
            at = (first, last) if at is None else (at[0], max(at[1], last))
        elif at is not None:
            yield at
            at = None
    if at is not None:
        yield at


def _statements(path: str) -> Iterator[tuple[int, int]]:
    """The statements of functions for which there is code; those of a module or a class run when it is imported."""
    try:
        with open(path, "rb") as source, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.read(), path)
            code = compile(tree, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return
    functions = {
        (node.name, min([node.lineno, *(each.lineno for each in node.decorator_list)]))
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    lines: dict[tuple[str, int], set[int]] = {}
    for _, owner, found in codes_in(code):
        lines.setdefault(owner, set()).update(found)
    for owner, first, last in statements_in(tree):
        if owner in functions and not lines.get(owner, set()).isdisjoint(range(first, last + 1)):
            yield first, last
