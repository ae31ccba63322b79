"""``tests/internals.py``, and that of each wing beside it, alone know what is private in the package."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import internals
import pytest

# once: reads the sources of the package and of the tests
pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[2]
INTERNALS = sorted(Path(internals.__file__).parent.glob("*internals.py"))
IN_INSTANCES = TESTS / "kernel" / "time" / "identity.py"
"""It runs inside instances only, where `internals` cannot be imported."""
PACKAGE = "pytest_scf_async"
PRIVATE_PACKAGES = tuple(
    f"{PACKAGE}.{name}"
    for name in ("instances", "lockstep", "protocol", "linux", "side", "python", "zygote", "programs")
)
SUPERVISOR = f"{PACKAGE}.programs.supervisor"
"""Its parts are tested one by one, each by tests of its own."""
PRIVATE_ATTRIBUTES = {"_event", "_lockstep", "_pool", "_version", "_versions", "_own_scratch", "_heap"}


def is_private(module: str) -> bool:
    return not f"{module}.".startswith(f"{SUPERVISOR}.") and any(
        module == private or module.startswith(f"{private}.") for private in PRIVATE_PACKAGES
    )


def private_uses(source: str) -> Iterator[str]:
    """Each import of a private module, and each access to a private attribute of a public object, as its line."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        used = False
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            used = is_private(module) or any(is_private(f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            used = any(is_private(alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr in PRIVATE_ATTRIBUTES:
            used = not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        if used:
            yield f"{node.lineno}: {lines[node.lineno - 1].strip()}"


@pytest.mark.parametrize(
    "source",
    [
        f"from {PACKAGE}.protocol import messages",
        f"from {PACKAGE}.instances.pool import Pool",
        f"from {PACKAGE} import protocol",
        f"import {PACKAGE}.protocol.messages",
        "event._event.signals",
        "def look(runtime):\n    return runtime._pool",
    ],
)
def test_a_private_use_is_found(source: str) -> None:
    assert len(list(private_uses(source))) == 1


@pytest.mark.parametrize("source", [f"from {PACKAGE} import ScfRuntime", "event.status", "self._event"])
def test_a_public_use_is_none(source: str) -> None:
    assert list(private_uses(textwrap.dedent(source))) == []


def test_no_other_file_uses_what_is_private() -> None:
    found = {
        str(path.relative_to(TESTS)): uses
        for path in sorted(TESTS.rglob("*.py"))
        if path not in (*INTERNALS, IN_INSTANCES) and (uses := list(private_uses(path.read_text(encoding="utf-8"))))
    }

    assert found == {}, "let tests/internals.py do it, or that of the wing"
