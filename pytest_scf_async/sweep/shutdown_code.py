"""The shutdown code of one file: its listeners of SIGTERM, the flags that these set, and what reads them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .source_text import FUNCTIONS, SCOPES, AnyFunction, last_name

_REGISTER = frozenset({"signal", "add_signal_handler"})
_NO_LISTENERS = frozenset({"SIG_DFL", "SIG_IGN", "default_int_handler"})


class Registration(NamedTuple):
    """A call that registers a listener of SIGTERM."""

    call: ast.Call
    statement: ast.stmt
    signal: str
    """SIGTERM, as the source has it."""
    listener: ast.expr


class ShutdownCode:
    """The listeners in one tree, and what they have to do with the rest of it."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._functions: dict[str, list[AnyFunction]] = {}
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                self._functions.setdefault(node.name, []).append(node)
        self.registrations = list(self._registered())
        found = (self.function_of(registration.listener) for registration in self.registrations)
        self.listeners = list(dict.fromkeys(each for each in found if each is not None))
        """The functions of this file that SIGTERM calls."""

    def _registered(self) -> Iterator[Registration]:
        for call in ast.walk(self.tree):
            if not isinstance(call, ast.Call) or last_name(call.func) not in _REGISTER or len(call.args) < 2:
                continue
            signal = self._sigterm(call)
            if signal and not self._is_no_listener(call.args[1]):
                yield Registration(call, self.statement_of(call), signal, call.args[1])

    def _sigterm(self, call: ast.Call) -> str:
        """How the source names SIGTERM, where *call* is given it: by the variable of a ``for`` over signals, too."""
        given = call.args[0]
        if last_name(given) == "SIGTERM":
            return ast.unparse(given)
        if isinstance(given, ast.Name):
            for node in self.around(call):
                if isinstance(node, (ast.For, ast.AsyncFor)) and last_name(node.target) == given.id:
                    named = [each for each in ast.walk(node.iter) if isinstance(each, (ast.Name, ast.Attribute))]
                    return next((ast.unparse(each) for each in named if last_name(each) == "SIGTERM"), "")
        return ""

    def _is_no_listener(self, given: ast.expr) -> bool:
        """Whether *given* is what the signal had before, or none of user code."""
        if last_name(given) in _NO_LISTENERS or isinstance(given, ast.Constant):
            return True
        if not isinstance(given, ast.Name):
            return False
        assigned = (each for each in ast.walk(self.tree) if isinstance(each, ast.Assign))
        return any(
            isinstance(each.value, ast.Call)
            and last_name(each.value.func) in ("signal", "getsignal")
            and any(last_name(target) == given.id for target in each.targets)
            for each in assigned
        )

    def called(self, function: AnyFunction | ast.Lambda) -> Iterator[AnyFunction]:
        """The functions of the file that *function* calls."""
        for node in ast.walk(function):
            called = self.function_of(node.func) if isinstance(node, ast.Call) else None
            if called is not None and called is not function and not isinstance(called, ast.Lambda):
                yield called

    def flags(self, by_signal: Iterable[AnyFunction | ast.Lambda]) -> dict[str, bool]:
        """What is set when SIGTERM comes and read in a condition of other code, each with what it means when set."""
        found: dict[str, bool] = {}
        for registration in self.registrations:
            given = registration.listener
            if isinstance(given, ast.Attribute) and given.attr == "set":
                found[last_name(given.value)] = True
        for function in by_signal:
            declared = frozenset() if isinstance(function, ast.Lambda) else names_declared(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    if node.func.attr == "set" and not node.args:
                        found[last_name(node.func.value)] = True
                elif isinstance(node, ast.Assign):
                    value = not isinstance(node.value, ast.Constant) or bool(node.value.value)
                    for target in node.targets:
                        if not isinstance(target, ast.Name) or target.id in declared:
                            found[last_name(target)] = value
        found.pop("", None)
        tests = list(self.tests(by_signal))
        return {
            name: value
            for name, value in found.items()
            if any(condition_says(node.test, name) is not None for node in tests)
        }

    def tests(self, by_signal: Iterable[AnyFunction | ast.Lambda]) -> Iterator[ast.If | ast.While]:
        inside = set(by_signal)
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.If, ast.While)) and inside.isdisjoint(self.around(node)):
                yield node

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """*node*, and what it stands in, from the inside."""
        at: ast.AST | None = node
        while at is not None:
            yield at
            at = self.parents.get(at)

    def statement_of(self, node: ast.AST) -> ast.stmt:
        return next(each for each in self.around(node) if isinstance(each, ast.stmt))

    def _scope_of(self, node: ast.AST) -> ast.AST:
        """The function, class or module in which *node* stands."""
        around = (each for each in self.around(node) if each is not node)
        return next((each for each in around if isinstance(each, SCOPES)), self.tree)

    def function_around(self, node: ast.AST) -> AnyFunction | None:
        around = (each for each in self.around(node) if each is not node)
        return next((each for each in around if isinstance(each, FUNCTIONS)), None)

    def name_around(self, node: ast.AST) -> str:
        function = self.function_around(node)
        return "" if function is None else function.name

    def function_of(self, named: ast.expr) -> AnyFunction | ast.Lambda | None:
        """The function of the file that *named* is, as far as the text says it."""
        if isinstance(named, ast.Lambda):
            return named
        if isinstance(named, ast.Call):
            return self.function_of(named.args[0]) if last_name(named.func) == "partial" and named.args else None
        alike = self._functions.get(last_name(named), [])
        around = list(self.around(named))
        if isinstance(named, ast.Name):
            scopes = [each for each in around if not isinstance(each, ast.ClassDef)]
            inside = [each for each in alike if self._scope_of(each) in scopes]
            return min(inside, key=lambda each: scopes.index(self._scope_of(each)), default=None)
        methods = [each for each in alike if isinstance(self._scope_of(each), ast.ClassDef)]
        own = [each for each in methods if self._scope_of(each) in around]
        if own and isinstance(named, ast.Attribute) and last_name(named.value) in ("self", "cls"):
            return own[0]
        return methods[0] if len(methods) == 1 else None


def names_declared(function: AnyFunction) -> frozenset[str]:
    """The names of other scopes that *function* may assign to."""
    declarations = (node for node in ast.walk(function) if isinstance(node, (ast.Global, ast.Nonlocal)))
    return frozenset(name for node in declarations for name in node.names)


def condition_says(test: ast.expr, name: str) -> bool | None:
    """Whether *test* is true when *name* is, or when it is not; None where it does not read it."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = condition_says(test.operand, name)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        return next((said for said in (condition_says(each, name) for each in test.values) if said is not None), None)
    if not any(last_name(node) == name for node in ast.walk(test) if isinstance(node, ast.expr)):
        return None
    if isinstance(test, ast.Compare) and isinstance(test.comparators[0], ast.Constant):
        same = isinstance(test.ops[0], (ast.Is, ast.Eq))
        return same == bool(test.comparators[0].value)
    return True
