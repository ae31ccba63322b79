"""The source that templates change: which lines its statements have, and edits of these."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

from ..shutdown_code import ShutdownCode
from ..source_text import FUNCTIONS, AnyFunction, Edit, Text, blocks, last_name

_PATHS = frozenset({"Path", "joinpath", "with_name", "with_suffix", "with_stem", "absolute", "resolve", "parent"})
_METHODS_OF_PATHS = _PATHS | {"exists", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "iterdir"}


class ParsedSource:
    """A source whose lines end with newlines, the last one too."""

    def __init__(self, text: str, tree: ast.Module) -> None:
        self.positions = Text(text)
        self.code = ShutdownCode(tree)
        self.tree = tree
        self._lines = text.split("\n")
        self._names = {name for node in ast.walk(tree) for name in _names_in(node)}

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The text of *node*."""
        return self.positions.of(node)

    def operand(self, node: ast.expr) -> str:
        """The text of *node*, in parentheses where an attribute of it needs them."""
        text = self.of(node)
        return text if isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) else f"({text})"

    # -- the tree ------------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[list[ast.stmt]]:
        """The lists of statements, but for those in which one shares a line with something else."""
        for node in ast.walk(self.tree):
            for block in blocks(node):
                if all(self.positions.has_own_lines(each) for each in block):
                    yield block

    def statements(self) -> Iterator[tuple[list[ast.stmt], int]]:
        """Each statement of these, as its list and where it stands there."""
        for block in self.blocks():
            for at in range(len(block)):
                yield block, at

    def function(self, node: ast.AST) -> AnyFunction | None:
        """The function around *node*."""
        return self.code.function_around(node)

    def with_calls(self, lines: Iterable[int]) -> frozenset[int]:
        """The *lines*, and those from which functions are called that have one of them."""
        known, more = set[int](), set(lines)
        while not more <= known:
            known |= more
            around = {self.function(node) for node in ast.walk(self.tree) if getattr(node, "lineno", 0) in more}
            calls = (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))
            more = {call.lineno for call in calls if self.code.function_of(call.func) in around - {None}}
        return frozenset(known)

    def is_path(self, node: ast.expr, seen: Collection[str] = ()) -> bool:
        """Whether *node* is a ``pathlib.Path``, as far as the text says it."""
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Div)
        if not isinstance(node, ast.Name):
            return last_name(node) in _PATHS
        if node.id in seen:
            return False
        found = False
        for each in ast.walk(self.tree):
            if isinstance(each, ast.Attribute) and each.attr in _METHODS_OF_PATHS:
                if isinstance(each.value, ast.Name) and each.value.id == node.id:
                    return True
            elif isinstance(each, ast.Assign) and any(last_name(target) == node.id for target in each.targets):
                found = found or self.is_path(each.value, (*seen, node.id))
        return found

    def new_name(self, *wanted: str) -> str:
        """The first of the *wanted* names that the source does not have, or one that is made of it."""
        numbered = (f"{wanted[0]}_{number}" for number in range(2, 1000))
        return next(name for name in (*wanted, *numbered) if name not in self._names)

    # -- edits ---------------------------------------------------------------------------------------------------------

    def indent(self, node: ast.stmt) -> str:
        """The white space before *node*."""
        line = self._lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    @cached_property
    def step(self) -> str:
        """The white space that a block has more than what it is in, as the file has it elsewhere."""
        indents = (self.indent(block[0]) for block in self.blocks())
        return next(filter(None, indents), "    ")

    def deeper(self, node: ast.stmt) -> str:
        """The white space of a block below *node*."""
        return self.indent(node) + self.step

    def before(self, node: ast.stmt, lines: Sequence[str]) -> Edit:
        """The *lines* come before *node*, with its indent."""
        at, _ = self.positions.lines(_first(node), _first(node))
        return Edit(at, at, self._indented(node, lines))

    def after(self, node: ast.stmt, lines: Sequence[str]) -> Edit:
        """The *lines* come behind *node*, with its indent."""
        assert node.end_lineno is not None
        _, at = self.positions.lines(node.end_lineno, node.end_lineno)
        return Edit(at, at, self._indented(node, lines))

    def _indented(self, node: ast.stmt, lines: Sequence[str]) -> str:
        indent = self.indent(node)
        return "".join(f"{indent if line else ''}{line}\n" for line in lines)

    def dropped(self, node: ast.stmt) -> Edit:
        """*node* goes, and the comments right above it stay."""
        assert node.end_lineno is not None
        return Edit(*self.positions.lines(_first(node), node.end_lineno), "")

    def moved(self, node: ast.stmt, to: ast.stmt, *, behind: bool) -> list[Edit] | None:
        """*node* goes before, or *behind*, the statement *to*, with the comments right above it.

        None where that changes the indent of a text of several lines.
        """
        assert node.end_lineno is not None
        assert to.end_lineno is not None
        first = _first(node)
        while first > 1 and self._lines[first - 2].startswith(self.indent(node) + "#"):
            first -= 1
        text = self.reindented(first, node, self.indent(to))
        if text is None:
            return None
        at = (
            self.positions.lines(to.end_lineno, to.end_lineno)[1]
            if behind
            else self.positions.lines(_first(to), _first(to))[0]
        )
        return [Edit(*self.positions.lines(first, node.end_lineno), ""), Edit(at, at, text)]

    def reindented(self, first: int, node: ast.stmt, indent: str) -> str | None:
        """The lines from *first* to the end of *node* with another *indent*; None if a text there has several lines."""
        had, lines = self.indent(node), self._lines[first - 1 : node.end_lineno]
        if had == indent:
            return "".join(f"{line}\n" for line in lines)
        texts = (each for each in ast.walk(self.tree) if isinstance(each, (ast.Constant, ast.JoinedStr)))
        several = (each for each in texts if each.lineno != each.end_lineno)
        is_text = any(first <= each.lineno <= (node.end_lineno or 0) for each in several)
        if is_text or any(line.strip() and not line.startswith(had) for line in lines):
            return None
        return "".join(f"{indent}{line[len(had) :]}\n" if line.strip() else "\n" for line in lines)

    def imported(self, module: str) -> list[Edit]:
        """What makes *module* known by its name: nothing, or a line beside the other imports."""
        plain = [each for each in self.tree.body if isinstance(each, ast.Import)]
        if any((each.asname or each.name.partition(".")[0]) == module for node in plain for each in node.names):
            return []
        line = f"import {module}"
        later = next((each for each in plain if each.names[0].name > module), None)
        others = [each for each in self.tree.body if isinstance(each, ast.ImportFrom) and each.module != "__future__"]
        if later is not None or (not plain and others):
            return [self.before(later or others[0], [line, *([""] if later is None else [])])]
        if plain:
            return [self.after(plain[-1], [line])]
        future = [each for each in self.tree.body if isinstance(each, ast.ImportFrom)]
        head = future[-1] if future else self.tree.body[0]
        if future or (isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant)):
            return [self.after(head, ["", line])]
        return [self.before(head, [line, "", ""])]

    def at_top(self, function: AnyFunction, lines: Sequence[str]) -> Edit | None:
        """The *lines* become the first ones of *function*, behind its docstring; None where they find no place."""
        first, *others = function.body
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if not all(self.positions.has_own_lines(each) for each in function.body):
            return None
        if is_text and others:
            return self.before(others[0], lines)
        return self.after(first, lines) if is_text else self.before(first, lines)


def _first(node: ast.stmt) -> int:
    """The first line of *node*, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    return min(node.lineno, *(each.lineno for each in decorators)) if decorators else node.lineno


def _names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name


def stored(node: ast.AST) -> set[str]:
    """The names that *node* binds, in functions that it defines too."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    return names | {each.name for each in ast.walk(node) if isinstance(each, (*FUNCTIONS, ast.ClassDef))}


def loaded(node: ast.AST) -> set[str]:
    """The names that *node* reads."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
