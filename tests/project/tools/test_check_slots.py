"""tools/check_slots.py catches numbers and indices of the shared pages outside the files that may have them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import PACKAGE, load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

Check = Callable[[str, str], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_slots")


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(name: str, text: str) -> list[str]:
        return list(tool.check(write_package(tmp_path, {name.removesuffix(".py"): text})))

    return write_and_check


@pytest.mark.parametrize(
    "text",
    [
        "instance.control[3] = 1",
        "instance.control[shared_page.CONTROL_LEASE] = 1",
        "self._page[0]",
        "scheduler.control_page[number] += 1",
        "clock_page[:2]",
        "instance.control.slots[64]",
        "number = shared_page.CONTROL_LEASE",
        "def look(page):\n    return page[shared_page.CLOCK_NOW]",
        "from ..protocol.shared_page import CLOCK_NOW",
        "from ..protocol.shared_page import ControlPage, LEASE_LOG, PASSES",
    ],
)
@pytest.mark.parametrize(
    "name",
    ["lockstep/gates.py", "instances/instance.py", "programs/agent.py", "clock.py", "programs/supervisor/tree.py"],
)
def test_an_index_or_the_number_of_a_slot_is_caught(check: Check, name: str, text: str) -> None:
    found = check(name, text)
    assert found
    assert all(f"pytest_scf_async/{name}:" in violation for violation in found)
    assert all(violation.endswith(": use the attribute of the page.") for violation in found)


@pytest.mark.parametrize("text", ["page[0]", "self.control_page[record + 2] = now", "control[1:3]", "slots[-1]"])
def test_a_bare_number_is_caught_where_an_index_is_not(check: Check, text: str) -> None:
    (violation,) = check("python/scheduler/scheduler.py", f"\n{text}\n")
    assert violation.startswith("pytest_scf_async/python/scheduler/scheduler.py:2: ")
    assert violation.endswith(" has a bare number: name the slot in protocol/shared_page.py.")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("protocol/shared_page.py", "self.slots[0] = page[1]"),
        ("programs/supervisor/exec.py", "slots[_REALTIME + 1] = self._slots[_READS]"),
        ("python/scheduler/scheduler.py", "page[CLOCK_NOW] = due\ncontrol[record + LEASE_COUNT] += 1"),
        ("python/gates/lines.py", "page[shared_page.PASSES + slot] += 1"),
        ("lockstep/gates.py", "control.lease = 0\nmost = shared_page.PLACES\nrows[0] = pages[1]"),
        ("instances/instance.py", "shared_page.shared_memory('x', shared_page.CONTROL_BYTES)"),
    ],
)
def test_attributes_and_named_slots_may_stand_there(check: Check, name: str, text: str) -> None:
    assert check(name, text) == []


def test_every_slot_that_there_is_has_a_name_that_is_looked_for(tool: ModuleType) -> None:
    tree = ast.parse((PACKAGE / "protocol" / "shared_page.py").read_text())
    names = [
        node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    slots = [name for name in names if name.startswith(("CLOCK_", "CONTROL_")) and name != "CONTROL_BYTES"]

    assert len(slots) > 15
    assert [name for name in slots if tool.SLOT.fullmatch(name) is None] == []


def test_it_says_how_many_there_are_and_fails(tmp_path: Path) -> None:
    root = write_package(tmp_path, {"runtime": "page[0]\n"})
    run = run_tool("check_slots", root)
    *_, last = run.stdout.splitlines()
    assert last == "check_slots: 1 violations"
    assert run.returncode == 1
