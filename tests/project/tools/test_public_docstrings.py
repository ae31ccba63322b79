"""What users read of a public name is a sentence or a noun: it does not begin with What, Whether or How."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator

import pytest
from internals import OPTIONS

import pytest_scf_async
import pytest_scf_async.assertions
import pytest_scf_async.errors
import pytest_scf_async.hookspecs
import pytest_scf_async.inside
import pytest_scf_async.plugin.plugin
import pytest_scf_async.wings_at_start

# once: texts
pytestmark = pytest.mark.once

QUESTION = re.compile(r"(What|Whether|How)\b", re.IGNORECASE)
MODULES = (
    pytest_scf_async,
    pytest_scf_async.assertions,
    pytest_scf_async.hookspecs,
    pytest_scf_async.inside,
)


def own_classes() -> list[type]:
    named = (getattr(pytest_scf_async, name) for name in pytest_scf_async.__all__)
    bases = (base for each in named if inspect.isclass(each) for base in each.__mro__)
    return [*dict.fromkeys(base for base in bases if base.__module__.startswith("pytest_scf_async"))]


def of_members(of: type) -> Iterator[tuple[str, str]]:
    """The docstrings of the methods and properties of a class, and the texts below its attributes, by their names."""
    module = pytest_scf_async.errors if of.__module__ == pytest_scf_async.__name__ else sys.modules[of.__module__]
    tree = ast.parse(inspect.getsource(module))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == of.__name__]
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef):
            yield node.name, ast.get_docstring(node) or ""
        elif isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield ast.unparse(node.target), str(after.value.value)


def of_fixtures() -> Iterator[tuple[str, str]]:
    plugins = pytest_scf_async.plugin.plugin, pytest_scf_async.wings_at_start
    for name, value in (each for plugin in plugins for each in vars(plugin).items()):
        if "fixture" in type(value).__name__.lower() or hasattr(value, "_pytestfixturefunction"):
            yield name, inspect.getdoc(getattr(value, "__wrapped__", value)) or ""


def texts() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        yield module.__name__, module.__doc__ or ""
    for name in pytest_scf_async.__all__:
        value = getattr(pytest_scf_async, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value.__doc__ or ""
    for each in own_classes():
        yield from ((f"{each.__name__}.{name}", text) for name, text in of_members(each) if not name.startswith("_"))
    for name, hook in vars(pytest_scf_async.hookspecs).items():
        if inspect.isfunction(hook):
            yield name, hook.__doc__ or ""
    yield from of_fixtures()
    for option in OPTIONS:
        for text in (option.text, option.deploy, option.image):
            yield f"option {option.name}", text or ""


def test_no_public_docstring_begins_with_what_whether_or_how() -> None:
    assert [f"{name}: {text}" for name, text in texts() if QUESTION.match(text)] == []


def test_that_there_are_texts_of_each_kind() -> None:
    names = {name for name, text in texts() if text}
    assert {"scf_runtime", "async_event"} <= names, "fixtures"
    assert {"ScfRuntime", "AsyncEvent.status", "ScfSettings.program_cpus", "Sweep.failures"} <= names
    assert {"pytest_scf_async_event_ended", "option sandbox", "pytest_scf_async.inside", "assert_finished"} <= names
