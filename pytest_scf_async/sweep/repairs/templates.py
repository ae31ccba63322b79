"""The changes that may repair what a sweep has found, around the lines that it blames."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..findings import FailureClass

RepairKind: TypeAlias = Literal["the effect before the position"]


@dataclass(frozen=True)
class Change:
    """A change of one source file that may repair what a sweep found."""

    kind: RepairKind
    file: str
    """Its path below the code's directory."""
    line: int
    """The first line that is changed."""
    source: str = field(repr=False)
    """The whole file with the change."""


def changes(source: str, file: str, found: Sequence[FailureClass]) -> Iterator[Change]:
    """The changes of *source* that the templates make around the lines that *found* blames.

    Those come first that change least.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    blamed = {line for alike in found for line in _lines(alike, file)}
    for block in _blocks(tree):
        for at, first in enumerate(block):
            for until in range(at + 1, min(at + 4, len(block))):
                if blamed & set(range(first.lineno, (block[until].end_lineno or 0) + 1)):
                    yield Change(
                        "the effect before the position", file, first.lineno, _moved(source, block[at : until + 1])
                    )


def _lines(alike: FailureClass, file: str) -> Iterator[int]:
    run = alike.earliest
    if run.point.file == file:
        yield run.point.line
    for effect in run.nearby.effects if run.nearby is not None else ():
        if effect.file == file:
            yield effect.line


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    simple = (ast.Expr, ast.Assign, ast.AugAssign, ast.With)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            together: list[ast.stmt] = []
            for each in body:
                if isinstance(each, simple):
                    together.append(each)
                else:
                    yield together
                    together = []
            yield together


def _moved(source: str, statements: Sequence[ast.stmt]) -> str:
    """*source* with the first of *statements* behind the last one."""
    lines = source.splitlines(keepends=True)
    first, last = statements[0], statements[-1]
    assert first.end_lineno is not None
    assert last.end_lineno is not None
    before, then = lines[: first.lineno - 1], lines[first.end_lineno : last.end_lineno]
    return "".join([*before, *then, *lines[first.lineno - 1 : first.end_lineno], *lines[last.end_lineno :]])
