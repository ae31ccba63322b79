"""tools/check_wings.py catches what a wing uses of the kernel that is not offered to it, and an unused offer."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from package_checks import load_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

KERNEL = {
    "__init__": "",
    "function": "class Function:\n    def __init__(self): self._version = 1\n    def _becomes(self): ...\n",
    "model/__init__": "",
    "model/codes": "OK = 200\n",
    "lockstep/__init__": "",
    "lockstep/scheduler": "class Lockstep: ...\n",
    "sweep/__init__": "",
}
OFFERED = {"function": "what users have", "model/": "facts"}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_wings")


def violations(tool: ModuleType, directory: Path, source: str) -> list[str]:
    root = write_package(directory, {**KERNEL, "sweep/run": source})
    found: list[str] = tool.check(root, OFFERED)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "from ..function import Function",
        "from ..model.codes import OK",
        "from ..model import codes",
        "from . import request",
        "import os\ndef end(): os._exit(1)",
        "class Own:\n    def __init__(self): self._version = 2\n    def other(self, other): return other._version",
        "class Asks(Protocol):\n    _version: int\ndef of(function): return function._version",
        "class Asks(Protocol):\n    def _becomes(self): ...\ndef of(function): return function._becomes()",
    ],
)
def test_what_is_offered_and_what_is_its_own(tool: ModuleType, tmp_path: Path, source: str) -> None:
    assert violations(tool, tmp_path, source) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ..lockstep.scheduler import Lockstep", "the kernel does not offer lockstep/scheduler to wings"),
        ("from ..lockstep import scheduler", "the kernel does not offer lockstep/scheduler to wings"),
        ("def late():\n    from ..lockstep.scheduler import Lockstep", "does not offer lockstep/scheduler"),
        ("def of(function): return function._version", "function._version is private to the kernel"),
        ("def of(made): return made()._becomes()", "made()._becomes is private to the kernel"),
    ],
)
def test_what_is_not(tool: ModuleType, tmp_path: Path, source: str, expected: str) -> None:
    (found,) = violations(tool, tmp_path, source)
    assert expected in found
    assert found.startswith(f"pytest_scf_async/sweep/run.py:{source.count(chr(10)) + 1}: ")


def test_the_kernel_itself_may_use_all(tool: ModuleType, tmp_path: Path) -> None:
    root = write_package(tmp_path, {**KERNEL, "runtime": "from .lockstep.scheduler import Lockstep"})
    assert tool.check(root, OFFERED) == []


def test_each_row_has_a_reason_and_is_used(tool: ModuleType) -> None:
    assert all(reason for reason in tool.OFFERED.values())
    found = tool.check(tool.OWN_PACKAGE, {**tool.OFFERED, "plugin/plugin": "nobody needs it"})
    assert found == ["OFFERED has plugin/plugin, which no wing uses: take it out."]
