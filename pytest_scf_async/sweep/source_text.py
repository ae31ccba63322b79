"""Edits in the text of a source, at the positions of its syntax tree, and what they need to know of that tree.

A source that is written anew from the tree would have other lines and no comments.
"""

from __future__ import annotations

import ast
import warnings
from typing import NamedTuple, TypeAlias

AnyFunction: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)


def parsed(source: str, filename: str) -> ast.Module | None:
    """The tree of *source*, whose lines end with newlines; None where it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, filename)
    except (SyntaxError, ValueError):
        return None


class Edit(NamedTuple):
    """What stands between two offsets, in bytes, is replaced."""

    start: int
    end: int
    text: str


class Text:
    """The source by the positions of the tree, whose columns are bytes."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode()
        self._lines = self._bytes.split(b"\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def edited(self, *edits: Edit) -> str:
        text = self._bytes
        for edit in sorted(edits, reverse=True):
            text = text[: edit.start] + edit.text.encode() + text[edit.end :]
        return text.decode()

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def lines(self, first: int, last: int) -> tuple[int, int]:
        """The offsets of the begin of the line *first*, and of the end of the line *last* with its newline."""
        return self._starts[first - 1], self._starts[last]

    def has_own_lines(self, node: ast.stmt) -> bool:
        """Whether nothing but comments is on the first and the last line of *node* beside it."""
        start, end = self.span(node)
        assert node.end_lineno is not None
        before = self._bytes[self._starts[node.lineno - 1] : start]
        after = self._bytes[end : self._starts[node.end_lineno] - 1].strip()
        return not before.strip() and (not after or after.startswith(b"#"))

    def of(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self._bytes[start:end].decode()

    def replaced(self, node: ast.stmt, text: str) -> Edit:
        """The statement *node* becomes *text*, with as many lines."""
        start, end = self.span(node)
        more = "\n" * self._bytes.count(b"\n", start, end)
        line_end = self._bytes.find(b"\n", end)
        rest = self._bytes[end : line_end if line_end >= 0 else len(self._bytes)]
        if more and rest.lstrip().startswith(b";"):  # a line that begins with a semicolon is not valid
            return Edit(start, end, f"{more.replace(chr(10), chr(92) + chr(10))}{text}")
        return Edit(start, end, f"{text}{more}")

    def value(self, node: ast.expr, text: str) -> Edit:
        """The expression *node* becomes *text*, with as many lines."""
        start, end = self.span(node)
        more = "\n" * self._bytes.count(b"\n", start, end)
        return Edit(start, end, f"({text}{more})" if more else text)

    def at_end(self, function: AnyFunction, text: str) -> Edit | None:
        """*text* becomes the last statement of *function*, before a ``return`` or ``raise`` there.

        Behind a compound statement it takes an empty line or one with a comment; None where there is none.
        """
        last = function.body[-1]
        start, end = self.span(last)
        if isinstance(last, (ast.Return, ast.Raise)):
            return Edit(start, start, f"{text}; ")
        if not parts(last) and not isinstance(last, SCOPES):
            return Edit(end, end, f"; {text}")
        assert last.end_lineno is not None
        indent = self._lines[last.lineno - 1][: last.col_offset].decode()
        if last.end_lineno == len(self._lines):
            return Edit(end, end, f"\n{indent}{text}")
        line = self._lines[last.end_lineno].strip()
        if line and not line.startswith(b"#"):
            return None
        at = self._starts[last.end_lineno]
        return Edit(at, at + len(self._lines[last.end_lineno]), f"{indent}{text}")


def last_name(node: ast.AST | None) -> str:
    """The name of *node*, or the last one of it: ``stop`` of ``self.stop`` and of ``stop()``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return ast.unparse(node) if isinstance(node, ast.Subscript) else ""


def blocks(node: ast.AST) -> list[list[ast.stmt]]:
    blocks = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    return [block for block in blocks if isinstance(block, list) and block]


def parts(node: ast.AST) -> list[ast.AST]:
    """The statements of a compound statement, and its ``except`` and ``case``; none of a definition."""
    inside = () if isinstance(node, SCOPES) else ast.iter_child_nodes(node)
    return [each for each in inside if isinstance(each, (ast.stmt, ast.ExceptHandler, ast.match_case))]
