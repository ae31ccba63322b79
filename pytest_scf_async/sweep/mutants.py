"""Mutants of a handler's shutdown code: its source with one break each, whose other lines keep their numbers.

A break is made in the text, at the positions of the syntax tree: a source that is written anew from the tree would have
other lines, and the points of a mutant could not be compared with those of the handler.

Shutdown code is found by what a handler of one file usually does: a listener of SIGTERM saves by itself or by functions
that it calls, sets a flag that an ``if`` or a ``while`` reads, or raises what an ``except`` takes. What the listener
does by way of other files is not looked at.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

MutantKind: TypeAlias = Literal["listener removed", "registered late", "save skipped", "exit instead of return"]

_EXIT = '__import__("os")._exit(1)'
_REGISTER = frozenset({"signal", "add_signal_handler"})
_NO_LISTENERS = frozenset({"SIG_DFL", "SIG_IGN", "default_int_handler"})
_EXITS = frozenset({"exit", "_exit", "quit"})
_SAVES_NOTHING = _EXITS | {"print", "debug", "info", "warning", "error", "exception", "critical", "log", "sleep"}
"""Calls that leave nothing that a sweep compares: the log, waits; and exits, which are not saves."""
_STREAMS = frozenset({"stdout", "stderr"})

_Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef)


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, filename)
    except (SyntaxError, ValueError):
        return []
    found = _Mutator(source, filename, tree).mutants()
    return sorted(found, key=lambda mutant: (mutant.line, mutant.kind))


class _Edit(NamedTuple):
    """What stands between two offsets, in bytes, is replaced."""

    start: int
    end: int
    text: str


class _Text:
    """The source by the positions of the tree, whose columns are bytes."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode()
        self._lines = self._bytes.split(b"\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def edited(self, *edits: _Edit) -> str:
        text = self._bytes
        for edit in sorted(edits, reverse=True):
            text = text[: edit.start] + edit.text.encode() + text[edit.end :]
        return text.decode()

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.expr) -> str:
        start, end = self.span(node)
        return self._bytes[start:end].decode()

    def replaced(self, node: ast.stmt, text: str) -> _Edit:
        """The statement *node* becomes *text*, with as many lines."""
        start, end = self.span(node)
        more = "\n" * self._bytes.count(b"\n", start, end)
        line_end = self._bytes.find(b"\n", end)
        rest = self._bytes[end : line_end if line_end >= 0 else len(self._bytes)]
        if more and rest.lstrip().startswith(b";"):  # a line that begins with a semicolon is not valid
            return _Edit(start, end, f"{more.replace(chr(10), chr(92) + chr(10))}{text}")
        return _Edit(start, end, f"{text}{more}")

    def value(self, node: ast.expr, text: str) -> _Edit:
        """The expression *node* becomes *text*, with as many lines."""
        start, end = self.span(node)
        more = "\n" * self._bytes.count(b"\n", start, end)
        return _Edit(start, end, f"({text}{more})" if more else text)

    def at_end(self, function: _Function, text: str) -> _Edit | None:
        """*text* becomes the last statement of *function*, before a ``return`` or ``raise`` there.

        Behind a compound statement it takes an empty line or one with a comment; None where there is none.
        """
        last = function.body[-1]
        start, end = self.span(last)
        if isinstance(last, (ast.Return, ast.Raise)):
            return _Edit(start, start, f"{text}; ")
        if not _parts(last) and not isinstance(last, _SCOPES):
            return _Edit(end, end, f"; {text}")
        assert last.end_lineno is not None
        indent = self._lines[last.lineno - 1][: last.col_offset].decode()
        if last.end_lineno == len(self._lines):
            return _Edit(end, end, f"\n{indent}{text}")
        line = self._lines[last.end_lineno].strip()
        if line and not line.startswith(b"#"):
            return None
        at = self._starts[last.end_lineno]
        return _Edit(at, at + len(self._lines[last.end_lineno]), f"{indent}{text}")


class _Registration(NamedTuple):
    call: ast.Call
    statement: ast.stmt
    signal: str
    """SIGTERM, as the source has it."""
    listener: ast.expr


class _Mutator:
    def __init__(self, source: str, filename: str, tree: ast.Module) -> None:
        self._text = _Text(source)
        self._file = filename
        self._tree = tree
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._functions: dict[str, list[_Function]] = {}
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                self._functions.setdefault(node.name, []).append(node)
        self._registrations = list(self._registered())

    def mutants(self) -> Iterator[Mutant]:
        listeners: dict[_Function | ast.Lambda, None] = {}
        for registration in self._registrations:
            yield self._removed(registration)
            yield from self._late(registration)
            listener = self._function_of(registration.listener)
            if listener is not None:
                listeners[listener] = None
        for listener in listeners:
            yield from self._exiting(listener)
        for statement in self._saves(list(listeners)):
            name, edit = self._name_around(statement), self._text.replaced(statement, "pass")
            yield self._mutant("save skipped", statement, name, _shown(statement), edit)

    def _mutant(self, kind: MutantKind, at: ast.stmt | ast.expr, function: str, text: str, *edits: _Edit) -> Mutant:
        return Mutant(kind, self._file, at.lineno, function, text, self._text.edited(*edits))

    # -- the listener --------------------------------------------------------------------------------------------------

    def _registered(self) -> Iterator[_Registration]:
        for call in ast.walk(self._tree):
            if not isinstance(call, ast.Call) or _last_name(call.func) not in _REGISTER or len(call.args) < 2:
                continue
            signal = self._sigterm(call)
            if signal and not self._is_no_listener(call.args[1]):
                yield _Registration(call, self._statement_of(call), signal, call.args[1])

    def _sigterm(self, call: ast.Call) -> str:
        """How the source names SIGTERM, where *call* is given it: by the variable of a ``for`` over signals, too."""
        given = call.args[0]
        if _last_name(given) == "SIGTERM":
            return ast.unparse(given)
        if isinstance(given, ast.Name):
            for node in self._around(call):
                if isinstance(node, (ast.For, ast.AsyncFor)) and _last_name(node.target) == given.id:
                    named = [each for each in ast.walk(node.iter) if isinstance(each, (ast.Name, ast.Attribute))]
                    return next((ast.unparse(each) for each in named if _last_name(each) == "SIGTERM"), "")
        return ""

    def _is_no_listener(self, given: ast.expr) -> bool:
        """Whether *given* is what the signal had before, or none of user code."""
        if _last_name(given) in _NO_LISTENERS or isinstance(given, ast.Constant):
            return True
        if not isinstance(given, ast.Name):
            return False
        assigned = (each for each in ast.walk(self._tree) if isinstance(each, ast.Assign))
        return any(
            isinstance(each.value, ast.Call)
            and _last_name(each.value.func) in ("signal", "getsignal")
            and any(_last_name(target) == given.id for target in each.targets)
            for each in assigned
        )

    def _removed(self, registration: _Registration) -> Mutant:
        call, statement = registration.call, registration.statement
        if isinstance(statement, ast.Expr) and statement.value is call:
            edit = self._text.replaced(statement, "pass")
        elif _last_name(call.func) == "signal":
            edit = self._text.value(call, f'__import__("signal").getsignal({self._text.of(call.args[0])})')
        else:
            edit = self._text.value(call, "None")
        return self._mutant("listener removed", call, self._name_around(call), _shown(call), edit)

    def _late(self, registration: _Registration) -> Iterator[Mutant]:
        """Registered at the end of the function; of the module's own code nothing is late, as it runs before events."""
        call, statement = registration.call, registration.statement
        function = self._function_around(call)
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

    def _exiting(self, listener: _Function | ast.Lambda) -> Iterator[Mutant]:
        if isinstance(listener, ast.Lambda):
            body = listener.body
            text = _EXIT if _last_name(body) in _EXITS else f"({self._text.of(body)}, {_EXIT})"
            edit: _Edit | None = _Edit(*self._text.span(body), text)
            name = "<lambda>"
        else:
            last, name = listener.body[-1], listener.name
            ends_by = _last_name(last.value) if isinstance(last, ast.Expr) else ""
            if ends_by == "_exit":
                return
            if ends_by in _EXITS or isinstance(last, (ast.Return, ast.Raise)):
                edit = self._text.replaced(last, _EXIT)
            else:
                edit = self._text.at_end(listener, _EXIT)
        if edit is not None:
            yield self._mutant("exit instead of return", listener, name, "os._exit(1)", edit)

    # -- what saves ----------------------------------------------------------------------------------------------------

    def _saves(self, listeners: Sequence[_Function | ast.Lambda]) -> list[ast.stmt]:
        """The statements that save something when SIGTERM comes, each once."""
        by_signal: dict[_Function | ast.Lambda, None] = dict.fromkeys(listeners)
        for listener in listeners:
            by_signal.update(dict.fromkeys(self._called(listener)))
        flags = self._flags(by_signal)
        blocks = [function.body for function in by_signal if not isinstance(function, ast.Lambda)]
        blocks += self._branches(flags, by_signal)
        blocks += self._taken(by_signal)
        registered = {registration.statement for registration in self._registrations}
        found: dict[ast.stmt, None] = {}
        for statement in (each for block in blocks for each in _simple(block)):
            if statement not in registered and self._is_save(statement, flags):
                found[statement] = None
        return list(found)

    def _called(self, function: _Function | ast.Lambda) -> Iterator[_Function]:
        """The functions of the file that *function* calls."""
        for node in ast.walk(function):
            called = self._function_of(node.func) if isinstance(node, ast.Call) else None
            if called is not None and called is not function and not isinstance(called, ast.Lambda):
                yield called

    def _is_save(self, statement: ast.stmt, flags: dict[str, bool]) -> bool:
        if isinstance(statement, ast.Expr):
            value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
            if not isinstance(value, ast.Call) or _last_name(value.func) in _SAVES_NOTHING:
                return False
            of = value.func.value if isinstance(value.func, ast.Attribute) else None
            if of is not None and _last_name(of) in _STREAMS:
                return False
            return not (_last_name(value.func) == "set" and _last_name(of) in flags)
        targets = _targets(statement)
        if not targets or any(_last_name(target) in flags for target in targets):
            return False
        return all(self._stays(target, statement) for target in targets)

    def _stays(self, target: ast.expr, statement: ast.stmt) -> bool:
        """Whether code that reads *target* finds another value where *statement* is left out, and not an error."""
        if isinstance(target, (ast.Tuple, ast.List)):
            return all(self._stays(each, statement) for each in target.elts)
        function = self._function_around(statement)
        if not isinstance(target, ast.Name) or function is None:
            return True
        if target.id in _declared(function):
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

    def _flags(self, by_signal: Iterable[_Function | ast.Lambda]) -> dict[str, bool]:
        """What is set when SIGTERM comes and read in a condition of other code, each with what it means when set."""
        found: dict[str, bool] = {}
        for registration in self._registrations:
            given = registration.listener
            if isinstance(given, ast.Attribute) and given.attr == "set":
                found[_last_name(given.value)] = True
        for function in by_signal:
            declared = frozenset() if isinstance(function, ast.Lambda) else _declared(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    if node.func.attr == "set" and not node.args:
                        found[_last_name(node.func.value)] = True
                elif isinstance(node, ast.Assign):
                    value = not isinstance(node.value, ast.Constant) or bool(node.value.value)
                    for target in node.targets:
                        if not isinstance(target, ast.Name) or target.id in declared:
                            found[_last_name(target)] = value
        found.pop("", None)
        tests = list(self._tests(by_signal))
        return {
            name: value for name, value in found.items() if any(_says(node.test, name) is not None for node in tests)
        }

    def _tests(self, by_signal: Iterable[_Function | ast.Lambda]) -> Iterator[ast.If | ast.While]:
        inside = set(by_signal)
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.If, ast.While)) and inside.isdisjoint(self._around(node)):
                yield node

    def _branches(
        self, flags: dict[str, bool], by_signal: Iterable[_Function | ast.Lambda]
    ) -> Iterator[list[ast.stmt]]:
        """What is run because a flag is set: a branch, or what follows a loop."""
        for node in self._tests(by_signal):
            for name, value in flags.items():
                says = _says(node.test, name)
                if says is None:
                    continue
                if isinstance(node, ast.If):
                    yield node.body if says == value else node.orelse
                elif says != value:
                    yield node.orelse
                    yield self._following(node)

    def _following(self, node: ast.stmt) -> list[ast.stmt]:
        for block in _blocks(self._parents[node]):
            if node in block:
                return block[block.index(node) + 1 :]
        return []

    def _taken(self, by_signal: Iterable[_Function | ast.Lambda]) -> Iterator[list[ast.stmt]]:
        """The ``except`` blocks for what the listener raises."""
        raised: set[str] = set()
        for function in by_signal:
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and node.exc is not None:
                    raised.add(_last_name(node.exc))
                elif isinstance(node, ast.Call) and _last_name(node.func) == "exit":
                    raised.add("SystemExit")
        raised.discard("")
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if not raised.isdisjoint(map(_last_name, types)):
                    yield node.body

    # -- the tree ------------------------------------------------------------------------------------------------------

    def _around(self, node: ast.AST) -> Iterator[ast.AST]:
        """*node*, and what it stands in, from the inside."""
        at: ast.AST | None = node
        while at is not None:
            yield at
            at = self._parents.get(at)

    def _statement_of(self, node: ast.AST) -> ast.stmt:
        return next(each for each in self._around(node) if isinstance(each, ast.stmt))

    def _scope_of(self, node: ast.AST) -> ast.AST:
        """The function, class or module in which *node* stands."""
        around = (each for each in self._around(node) if each is not node)
        return next((each for each in around if isinstance(each, _SCOPES)), self._tree)

    def _function_around(self, node: ast.AST) -> _Function | None:
        around = (each for each in self._around(node) if each is not node)
        return next((each for each in around if isinstance(each, _FUNCTIONS)), None)

    def _name_around(self, node: ast.AST) -> str:
        function = self._function_around(node)
        return "" if function is None else function.name

    def _function_of(self, named: ast.expr) -> _Function | ast.Lambda | None:
        """The function of the file that *named* is, as far as the text says it."""
        if isinstance(named, ast.Lambda):
            return named
        if isinstance(named, ast.Call):
            return self._function_of(named.args[0]) if _last_name(named.func) == "partial" and named.args else None
        alike = self._functions.get(_last_name(named), [])
        around = list(self._around(named))
        if isinstance(named, ast.Name):
            scopes = [each for each in around if not isinstance(each, ast.ClassDef)]
            inside = [each for each in alike if self._scope_of(each) in scopes]
            return min(inside, key=lambda each: scopes.index(self._scope_of(each)), default=None)
        methods = [each for each in alike if isinstance(self._scope_of(each), ast.ClassDef)]
        own = [each for each in methods if self._scope_of(each) in around]
        if own and isinstance(named, ast.Attribute) and _last_name(named.value) in ("self", "cls"):
            return own[0]
        return methods[0] if len(methods) == 1 else None


def _last_name(node: ast.AST | None) -> str:
    """The name of *node*, or the last one of it: ``stop`` of ``self.stop`` and of ``stop()``."""
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return ast.unparse(node) if isinstance(node, ast.Subscript) else ""


def _shown(node: ast.stmt | ast.expr) -> str:
    """*node* as one line."""
    return ast.unparse(node).partition("\n")[0]


def _blocks(node: ast.AST) -> list[list[ast.stmt]]:
    blocks = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    return [block for block in blocks if isinstance(block, list) and block]


def _parts(node: ast.AST) -> list[ast.AST]:
    """The statements of a compound statement, and its ``except`` and ``case``; none of a definition."""
    inside = () if isinstance(node, _SCOPES) else ast.iter_child_nodes(node)
    return [each for each in inside if isinstance(each, (ast.stmt, ast.ExceptHandler, ast.match_case))]


def _simple(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """The simple statements among *nodes* and in their blocks."""
    for node in nodes:
        parts = _parts(node)
        if isinstance(node, ast.stmt) and not parts and not isinstance(node, _SCOPES):
            yield node
        yield from _simple(parts)


def _targets(statement: ast.stmt) -> list[ast.expr]:
    """What *statement* assigns to."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    if isinstance(statement, ast.AugAssign) or (isinstance(statement, ast.AnnAssign) and statement.value is not None):
        return [statement.target]
    return []


def _declared(function: _Function) -> frozenset[str]:
    """The names of other scopes that *function* may assign to."""
    declarations = (node for node in ast.walk(function) if isinstance(node, (ast.Global, ast.Nonlocal)))
    return frozenset(name for node in declarations for name in node.names)


def _says(test: ast.expr, name: str) -> bool | None:
    """Whether *test* is true when *name* is, or when it is not; None where it does not read it."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _says(test.operand, name)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        return next((said for said in (_says(each, name) for each in test.values) if said is not None), None)
    if not any(_last_name(node) == name for node in ast.walk(test) if isinstance(node, ast.expr)):
        return None
    if isinstance(test, ast.Compare) and isinstance(test.comparators[0], ast.Constant):
        same = isinstance(test.ops[0], (ast.Is, ast.Eq))
        return same == bool(test.comparators[0].value)
    return True
