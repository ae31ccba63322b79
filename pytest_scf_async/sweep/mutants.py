"""Mutants of a handler's shutdown code: its source with one break each, whose other lines keep their numbers.

A break is made in the text, at the positions of the syntax tree: a source that is written anew from the tree would have
other lines, and the points of a mutant could not be compared with those of the handler.

Shutdown code is found by what a handler of one file usually does: a listener of SIGTERM saves by itself or by functions
that it calls, sets a flag that an ``if`` or a ``while`` reads, or raises what an ``except`` takes. What the listener
does by way of other files is not looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .shutdown_code import Registration, ShutdownCode, condition_says, names_declared
from .source_text import SCOPES, AnyFunction, Edit, Text, blocks, last_name, parsed, parts

MutantKind: TypeAlias = Literal["listener removed", "registered late", "save skipped", "exit instead of return"]

_EXIT = '__import__("os")._exit(1)'
_EXITS = frozenset({"exit", "_exit", "quit"})
_SAVES_NOTHING = _EXITS | {"print", "debug", "info", "warning", "error", "exception", "critical", "log", "sleep"}
"""Calls that leave nothing that a sweep compares: the log, waits; and exits, which are not saves."""
_STREAMS = frozenset({"stdout", "stderr"})


@dataclass(frozen=True)
class Mutant:
    """A handler's source with one break in its shutdown code."""

    kind: MutantKind
    file: str
    line: int
    function: str
    """The function with the break; empty for module-level code."""
    text: str
    """The statement that is left out or moved; of an exit, how the listener ends."""
    source: str = field(repr=False)


def mutants(source: str, filename: str) -> list[Mutant]:
    """The mutants of *source*, by line; none where it has no listener of SIGTERM or is no Python."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    tree = parsed(source, filename)
    if tree is None:
        return []
    found = _Mutator(source, filename, tree).mutants()
    return sorted(found, key=lambda mutant: (mutant.line, mutant.kind))


class _Mutator:
    def __init__(self, source: str, filename: str, tree: ast.Module) -> None:
        self._text = Text(source)
        self._file = filename
        self._code = ShutdownCode(tree)

    def mutants(self) -> Iterator[Mutant]:
        for registration in self._code.registrations:
            yield self._removed(registration)
            yield from self._late(registration)
        for listener in self._code.listeners:
            yield from self._exiting(listener)
        for statement in self._saves(self._code.listeners):
            name, edit = self._code.name_around(statement), self._text.replaced(statement, "pass")
            yield self._mutant("save skipped", statement, name, _shown(statement), edit)

    def _mutant(self, kind: MutantKind, at: ast.stmt | ast.expr, function: str, text: str, *edits: Edit) -> Mutant:
        return Mutant(kind, self._file, at.lineno, function, text, self._text.edited(*edits))

    # -- the listener --------------------------------------------------------------------------------------------------

    def _removed(self, registration: Registration) -> Mutant:
        call, statement = registration.call, registration.statement
        if isinstance(statement, ast.Expr) and statement.value is call:
            edit = self._text.replaced(statement, "pass")
        elif last_name(call.func) == "signal":
            edit = self._text.value(call, f'__import__("signal").getsignal({self._text.of(call.args[0])})')
        else:
            edit = self._text.value(call, "None")
        return self._mutant("listener removed", call, self._code.name_around(call), _shown(call), edit)

    def _late(self, registration: Registration) -> Iterator[Mutant]:
        """Registered at the end of the function; of the module's own code nothing is late, as it runs before events."""
        call, statement = registration.call, registration.statement
        function = self._code.function_around(call)
        if function is None or not (isinstance(statement, ast.Expr) and statement.value is call):
            return
        if function.body[-1] is statement or (
            function.body[-2:-1] == [statement] and isinstance(function.body[-1], ast.Return)
        ):
            return
        rest = ", ".join(ast.unparse(each) for each in call.args[1:])
        end = self._text.at_end(function, f"{ast.unparse(call.func)}({registration.signal}, {rest})")
        if end is not None:
            removed = self._text.replaced(statement, "pass")
            yield self._mutant("registered late", call, function.name, _shown(call), removed, end)

    def _exiting(self, listener: AnyFunction | ast.Lambda) -> Iterator[Mutant]:
        if isinstance(listener, ast.Lambda):
            body = listener.body
            text = _EXIT if last_name(body) in _EXITS else f"({self._text.of(body)}, {_EXIT})"
            edit: Edit | None = Edit(*self._text.span(body), text)
            name = "<lambda>"
        else:
            last, name = listener.body[-1], listener.name
            ends_by = last_name(last.value) if isinstance(last, ast.Expr) else ""
            if ends_by == "_exit":
                return
            if ends_by in _EXITS or isinstance(last, (ast.Return, ast.Raise)):
                edit = self._text.replaced(last, _EXIT)
            else:
                edit = self._text.at_end(listener, _EXIT)
        if edit is not None:
            yield self._mutant("exit instead of return", listener, name, "os._exit(1)", edit)

    # -- what saves ----------------------------------------------------------------------------------------------------

    def _saves(self, listeners: Sequence[AnyFunction | ast.Lambda]) -> list[ast.stmt]:
        """The statements that save something when SIGTERM comes, each once."""
        by_signal: dict[AnyFunction | ast.Lambda, None] = dict.fromkeys(listeners)
        for listener in listeners:
            by_signal.update(dict.fromkeys(self._code.called(listener)))
        flags = self._code.flags(by_signal)
        blocks = [function.body for function in by_signal if not isinstance(function, ast.Lambda)]
        blocks += self._branches(flags, by_signal)
        blocks += self._taken(by_signal)
        registered = {registration.statement for registration in self._code.registrations}
        found: dict[ast.stmt, None] = {}
        for statement in (each for block in blocks for each in _simple(block)):
            if statement not in registered and self._is_save(statement, flags):
                found[statement] = None
        return list(found)

    def _is_save(self, statement: ast.stmt, flags: dict[str, bool]) -> bool:
        if isinstance(statement, ast.Expr):
            value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
            if not isinstance(value, ast.Call) or last_name(value.func) in _SAVES_NOTHING:
                return False
            of = value.func.value if isinstance(value.func, ast.Attribute) else None
            if of is not None and last_name(of) in _STREAMS:
                return False
            return not (last_name(value.func) == "set" and last_name(of) in flags)
        targets = _targets(statement)
        if not targets or any(last_name(target) in flags for target in targets):
            return False
        return all(self._stays(target, statement) for target in targets)

    def _stays(self, target: ast.expr, statement: ast.stmt) -> bool:
        """Whether code that reads *target* finds another value where *statement* is left out, and not an error."""
        if isinstance(target, (ast.Tuple, ast.List)):
            return all(self._stays(each, statement) for each in target.elts)
        function = self._code.function_around(statement)
        if not isinstance(target, ast.Name) or function is None:
            return True
        if target.id in names_declared(function):
            return True
        before = (node for node in ast.walk(function) if isinstance(node, (ast.Name, ast.arg)))
        return any(
            (isinstance(node, ast.arg) and node.arg == target.id)
            or (
                isinstance(node, ast.Name)
                and node.id == target.id
                and isinstance(node.ctx, ast.Store)
                and node.lineno < statement.lineno
            )
            for node in before
        )

    # -- what follows in other code ------------------------------------------------------------------------------------

    def _branches(
        self, flags: dict[str, bool], by_signal: Iterable[AnyFunction | ast.Lambda]
    ) -> Iterator[list[ast.stmt]]:
        """What is run because a flag is set: a branch, or what follows a loop."""
        for node in self._code.tests(by_signal):
            for name, value in flags.items():
                says = condition_says(node.test, name)
                if says is None:
                    continue
                if isinstance(node, ast.If):
                    yield node.body if says == value else node.orelse
                elif says != value:
                    yield node.orelse
                    yield self._following(node)

    def _following(self, node: ast.stmt) -> list[ast.stmt]:
        for block in blocks(self._code.parents[node]):
            if node in block:
                return block[block.index(node) + 1 :]
        return []

    def _taken(self, by_signal: Iterable[AnyFunction | ast.Lambda]) -> Iterator[list[ast.stmt]]:
        """The ``except`` blocks for what the listener raises."""
        raised: set[str] = set()
        for function in by_signal:
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and node.exc is not None:
                    raised.add(last_name(node.exc))
                elif isinstance(node, ast.Call) and last_name(node.func) == "exit":
                    raised.add("SystemExit")
        raised.discard("")
        for node in ast.walk(self._code.tree):
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if not raised.isdisjoint(map(last_name, types)):
                    yield node.body

    # -- the tree ------------------------------------------------------------------------------------------------------


def _shown(node: ast.stmt | ast.expr) -> str:
    """*node* as one line."""
    return ast.unparse(node).partition("\n")[0]


def _simple(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """The simple statements among *nodes* and in their blocks."""
    for node in nodes:
        inside = parts(node)
        if isinstance(node, ast.stmt) and not inside and not isinstance(node, SCOPES):
            yield node
        yield from _simple(inside)


def _targets(statement: ast.stmt) -> list[ast.expr]:
    """What *statement* assigns to."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    if isinstance(statement, ast.AugAssign) or (isinstance(statement, ast.AnnAssign) and statement.value is not None):
        return [statement.target]
    return []
