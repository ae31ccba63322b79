"""The statements of a source file, and the code objects to which they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import CodeType

from .instructions import own_instructions

_MODULE = "<module>"
_NO_BODY = frozenset({"<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
"""Code objects of expressions: a statement that holds one is passed once, however often the expression runs."""

Owner = tuple[str, int]
"""What a statement belongs to: the name and the first line of the code object of a function or a class. A module's
first line is 0 here, as the interpreters number it differently."""


def owner_of(code: CodeType) -> Owner:
    """*code* as the owner of statements, unless it is that of an expression."""
    return code.co_name, 0 if code.co_name == _MODULE else code.co_firstlineno


def codes_in(code: CodeType) -> Iterator[tuple[CodeType, Owner, frozenset[int]]]:
    """The *code* of a module and those in it, each with the owner of its statements and the lines that a gate can stand
    at in it."""
    yield from _codes(code, owner_of(code), ())


def _codes(
    code: CodeType, owner: Owner, holders: tuple[frozenset[int], ...]
) -> Iterator[tuple[CodeType, Owner, frozenset[int]]]:
    lines = frozenset(line for _, line in own_instructions(code) if line)
    expression = code.co_name in _NO_BODY
    if not expression:
        owner = owner_of(code)
    yield code, owner, lines.difference(*holders) if expression else lines
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant, owner, (*holders, lines) if expression else (lines,))


def statements_in(tree: ast.Module) -> Iterator[tuple[Owner, int, int]]:
    """The statements of a module, each with its first and last line; of a compound one, those that are not its body."""
    yield from _statements(tree, (_MODULE, 0))


def _statements(node: ast.AST, owner: Owner) -> Iterator[tuple[Owner, int, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            first = child.pattern.lineno if isinstance(child, ast.match_case) else child.lineno
            low = first_line(child, first)
            body = getattr(child, "body", None)
            last = getattr(child, "end_lineno", None) or first
            yield owner, low, max(first, first_line(body[0], body[0].lineno) - 1) if body else last
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _statements(child, (child.name, first_line(child, child.lineno)))
        else:
            yield from _statements(child, owner)


def first_line(node: ast.AST, line: int) -> int:
    """The first line of *node*, which is at *line*: its decorators come before it."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([line, *(decorator.lineno for decorator in decorators)])
