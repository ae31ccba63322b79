"""What loading a Python function imports, found as the platform would find it, without running anything.

Reported is only what certainly fails. An import in a function, below ``if TYPE_CHECKING``, or in a ``try`` that catches
ImportError, may fail, and one below another condition may never be made: of these, compiled modules that the platform
does not load are reported where only a condition is in the way, as numpy imports its own below one.
"""

from __future__ import annotations

import ast
import builtins
import io
import os
import re
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Sequence
from glob import escape, glob
from itertools import accumulate
from typing import Final, NamedTuple

from ..instances.layers import layer_below_which
from .binaries import suffixes, why_not
from .pythons import Version, added, importable

Import = ast.Import | ast.ImportFrom
_CATCH_IT: Final = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
_CHANGES_ITSELF: Final = re.compile(rb"__path__|__getattr__|sys\.modules|importlib|lazy")
"""A module with one of these may have others below it that no file shows."""
_CHANGES_PATH: Final = re.compile(rb"sys\.path\b|addsitedir")
_KNOWN: Final = {"TYPE_CHECKING": False, "typing.TYPE_CHECKING": False, "__name__ == '__main__'": False}
"""What conditions come to on the platform."""
_OF_VERSION: Final = re.compile(r"sys\.version_info (<|>=) \((\d+), (\d+)\)")
NEW_STRINGS: Final = (3, 12)
"""Since then the expressions of an f-string may have its quotes, and backslashes: `ast` takes that for any version."""
_MAY_BE_NEW: Final = re.compile(rb"""[fF][rR]?("|')[^\n]*\{[^}\n]*(?:\1|\\)""")


class _Module(NamedTuple):
    name: str
    """With `__init__` at its end for a package, so that the parts before the last one are the package that it is in."""
    path: str
    is_sure: bool = True
    """It is imported whatever the conditions are; of an import, the same."""


class Imports:
    """The modules that loading a function reaches, and what is wrong with them: `findings`, by what each is about."""

    def __init__(self, roots: Sequence[str], version: Version) -> None:
        self.findings: dict[str, str] = {}
        self._roots, self._version, self._importable = roots, version, importable(version)
        self._python = f"{version[0]}.{version[1]}"
        self._reached: set[str] = set()
        self._to_read: list[_Module] = []
        self._missing: dict[str, str] = {}
        self._changes_itself: set[str] = set()
        self._changes_path = False

    def read(self, name: str, path: str, function: str) -> None:
        """Go through all that is imported by loading the module *name*, which is *path*, and by its *function*."""
        self._look_at(_Module(name, path), function)
        while self._to_read:
            self._to_read.sort(key=lambda module: module.is_sure)  # what is reached both ways is sure
            self._look_at(self._to_read.pop())
        for missing, where in self._missing.items():
            if why := self._why_missing(missing):
                self.findings[missing] = f"{where}: it imports {missing}, {why}"

    def _look_at(self, module: _Module, function: str = "") -> None:
        with open(module.path, "rb") as file:
            source = file.read()
        if not module.path.endswith(".py") or _CHANGES_ITSELF.search(source):
            self._changes_itself.add(module.name.removesuffix(".__init__"))
        if module.path.endswith(".so") and (why := why_not(source)):
            self._report_compiled(module.name, f"{module.path}: it {why}")
        if not module.path.endswith(".py"):
            return
        try:
            tree = parsed(source, self._version)
        except (SyntaxError, ValueError) as error:
            if module.is_sure:
                where = f"{module.path}:{getattr(error, 'lineno', None) or 1}"
                why = f"Python {self._python} cannot parse it ({getattr(error, 'msg', error)})"
                self.findings[module.path] = f"{where}: {why}: write it as that version has it"
            return
        if function and not _may_define(tree, function):
            why = f"it has no {function}, which is event code 443"
            self.findings[function] = f"{module.path}: {why}: define it, or give another handler"
        self._changes_path |= _CHANGES_PATH.search(source) is not None
        for is_sure, node in _imports_of(tree.body, self._version, module.is_sure, function):
            self._follow(module._replace(is_sure=is_sure), node)

    def _follow(self, module: _Module, node: Import) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._need(alias.name, module, node)
            return
        package = module.name.split(".")[: -node.level] if node.level else []
        if node.level and not package:
            why = "it imports relatively, and is in no package: import by the name of the file, without the dot"
            self.findings[f".{module.name}"] = f"{module.path}:{node.lineno}: {why}"
            return
        name = ".".join([*package, *([node.module] if node.module else [])])
        if self._need(name, module, node):
            for alias in node.names:
                self._has(f"{name}.{alias.name}", module, node)

    def _need(self, name: str, module: _Module, node: Import) -> bool:
        """Whether the module *name* can be imported; if not, that is noted."""
        for part in accumulate(name.split("."), "{}.{}".format):
            if not self._has(part, module, node):
                if module.is_sure:
                    self._missing.setdefault(part, f"{module.path}:{node.lineno}")
                return False
        return True

    def _has(self, name: str, module: _Module, node: Import) -> bool:
        """Whether there is a module *name*, whose own imports are looked at later then."""
        if name.partition(".")[0] in self._importable:
            if module.is_sure and (why := self._why_too_new(name)):
                self.findings[name] = f"{module.path}:{node.lineno}: it imports {name}, {why}"
            return True
        paths = [os.path.join(root, *name.split(".")) for root in self._roots]
        ends = (*suffixes(self._version), ".py", ".pyc")
        for path in paths:
            for inside in ("/__init__", ""):
                found = next(filter(os.path.isfile, (f"{path}{inside}{end}" for end in ends)), "")
                if found and found not in self._reached:
                    self._reached.add(found)
                    self._to_read.append(_Module(f"{name}{inside.replace('/', '.')}", found, module.is_sure))
                if found:
                    return True
        compiled = [file for path in paths for end in ("so", "pyd") for file in glob(f"{escape(path)}.*{end}")]
        if compiled:
            text = f"{module.path} imports it, and Python {self._python} loads *{ends[0]} there"
            self._report_compiled(name, f"{min(compiled)}: {text}")
        return bool(compiled) or any(map(os.path.isdir, paths))

    def _report_compiled(self, name: str, text: str) -> None:
        cure = f"python{self._python} -m pip install --upgrade --only-binary=:all: --platform manylinux2014_x86_64"
        self.findings.setdefault(f"compiled {name.partition('.')[0]}", f"{text}: {cure} --target {self._roots[0]} ...")

    def _why_too_new(self, name: str) -> str:
        since = added(name, self._version)
        cure = "do without it, or pack a backport"
        return since and f"which Python has since {since}, and the runtime has {self._python}: {cure}"

    def _why_missing(self, name: str) -> str:
        """Why there is no module *name*, and what to do; empty where there may be one."""
        package, is_inner, _ = name.rpartition(".")
        if package in self._changes_itself:
            return ""
        if below := layer_below_which(self._roots, name):
            root, directory = below
            why = f"which is in {directory} of {root}, where Python does not look: put it at the root of {root}"
            return "" if self._changes_path else why
        if is_inner:
            return "and the package has no such file: pack it, or correct the name"
        why = f"which is neither packed nor in the platform's Python {self._python}"
        return self._why_too_new(name) or f"{why}: pip install --target {self._roots[0]}, with the name of its package"


def parsed(source: bytes, version: Version) -> ast.Module:
    """The syntax of *source* by the grammar of Python *version*, as far as the Python that runs here knows it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source, feature_version=version)
    if sys.version_info < NEW_STRINGS or not _MAY_BE_NEW.search(source):
        return tree
    quotes: list[str] = []
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_END":
            quotes.pop()
        elif kind != "FSTRING_MIDDLE" and any(each in token.string for quote in quotes for each in (quote, "\\")):
            raise SyntaxError("quotes or a backslash in an f-string, as in Python 3.12", ("", token.start[0], 0, ""))
        if kind == "FSTRING_START":
            quotes.append(token.string.lstrip("rRfF"))
    return tree


def _may_define(tree: ast.Module, name: str) -> bool:
    """Whether something in *tree* may define *name*."""
    fields = ("name", "asname", "id")
    return any({name, "*"} & {getattr(node, field, None) for field in fields} for node in ast.walk(tree))


def _imports_of(
    body: Iterable[ast.AST], version: Version, is_sure: bool, function: str = ""
) -> Iterator[tuple[bool, Import]]:
    """The imports that running *body* may make and may not survive; with each, whether it is made for sure."""
    for node in body:
        parts: list[tuple[Sequence[ast.AST], bool]] = []
        if isinstance(node, Import):
            yield is_sure, node
        elif isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and node.name == function):
            parts = [(node.body, True)]
        elif isinstance(node, ast.If):
            is_true = _decided(node.test, version)
            parts = [([] if is_true is False else node.body, is_true is True)]
            parts += [([] if is_true else node.orelse, is_true is False)]
        elif isinstance(node, ast.Try):
            survives = any(map(_survives, node.handlers))
            parts = [([] if survives else [*node.body, *node.orelse], True), (node.finalbody, True)]
        elif isinstance(node, ast.With) and "suppress" not in ast.unparse(node.items[0]):
            parts = [(node.body, True)]
        elif isinstance(node, (ast.For, ast.While)):
            parts = [(node.body, False)]
        for part, is_run in parts:
            yield from _imports_of(part, version, is_sure and is_run)


def _decided(test: ast.expr, version: Version) -> bool | None:
    """What *test* comes to on the platform; None where only running the code tells."""
    text = ast.unparse(test)
    if match := _OF_VERSION.fullmatch(text):
        return (version >= (int(match[2]), int(match[3]))) == (match[1] == ">=")
    return _KNOWN.get(text)


def _survives(handler: ast.ExceptHandler) -> bool:
    """Whether code goes on after an import that failed, with this *handler*."""
    names = [each.id for each in ast.walk(handler.type) if isinstance(each, ast.Name)] if handler.type else []
    others = names and all(hasattr(builtins, name) and name not in _CATCH_IT for name in names)
    return not others and not isinstance(handler.body[-1], ast.Raise)
