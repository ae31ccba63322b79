"""tools/check_ownership.py catches writes to attributes that another module owns, in each form that a write has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

Check = Callable[..., "list[str]"]

OWNER = """
from dataclasses import dataclass
from typing import NamedTuple, Protocol
listener = None
class Base:
    def __init__(self):
        self.inherited = 0
class Instance(Base):
    declared: int = 0
    plain = 0
    __slots__ = ("slot",)
    def __init__(self):
        self.status, self.rest = 0, 0
    @property
    def turn(self):
        return 0
    @turn.setter
    def turn(self, value):
        self.status = value
@dataclass(frozen=True)
class Frozen:
    never: int
class Row(NamedTuple):
    column: int
class Told(Protocol):
    said: int
"""
"""What the package of each test has as ``instances/instance.py``."""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_ownership")


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(
        text: str, others: dict[str, str] | None = None, known: dict[str, dict[str, str]] | None = None
    ) -> list[str]:
        files = {"instances/__init__": "", "instances/instance": OWNER, "lockstep/reports": text, **(others or {})}
        return list(tool.check(write_package(tmp_path, files), known))

    return write_and_check


def _violation(line: int, target: str, owner: str = "instances/instance.py") -> str:
    where = f"pytest_scf_async/lockstep/reports.py:{line}"
    return f"{where}: writes `{target}`, which {owner} owns; let it have a method for that."


@pytest.mark.parametrize(
    "text",
    [
        "instance.status = 1",
        "instance.status += 1",
        "instance.status: int = 1",
        "del instance.status",
        "instance.status, other = 1, 2",
        "[*instance.status] = ()",
        "first = instance.status = 1",
        "for instance.status in (): pass",
        "with open() as instance.status: pass",
        "setattr(instance, 'status', 1)",
        "delattr(instance, 'status')",
        "object.__setattr__(instance, 'status', 1)",
        "class Reports:\n    def add(self, instance): instance.status = 1",
        "class Reports:\n    @staticmethod\n    def add(instance): instance.status = 1",
        "async def add(instance): instance.status = 1",
        "def add(self, instance):\n    def later(): instance.status = 1",
    ],
)
def test_each_form_of_a_write_is_caught(check: Check, text: str) -> None:
    assert check(text) == [_violation(text.count("\n") + 1, "instance.status")]


@pytest.mark.parametrize("attribute", ["status", "rest", "declared", "plain", "slot", "inherited"])
def test_an_attribute_of_each_kind_has_an_owner(check: Check, attribute: str) -> None:
    assert check(f"event.instance.{attribute} = 1") == [_violation(1, f"event.instance.{attribute}")]


def test_a_function_that_calls_its_parameter_self_is_no_method(check: Check) -> None:
    assert check("def add(self): self.status = 1") == [_violation(1, "self.status")]


@pytest.mark.parametrize(
    "text",
    [
        "from ..instances import instance\ninstance.listener = 1",
        "from ..instances import instance\ninstance.not_there_yet = 1",
        "from pytest_scf_async.instances import instance\ndef f():\n    instance.listener = 1",
        "def f():\n    from ..instances import instance\n    setattr(instance, 'listener', 1)",
    ],
)
def test_what_a_module_binds_is_its_own(check: Check, text: str) -> None:
    (violation,) = check(text)
    assert "writes `instance.listener`" in violation or "writes `instance.not_there_yet`" in violation
    assert "which instances/instance.py owns" in violation


def test_a_module_by_another_name_and_by_its_whole_name(check: Check) -> None:
    assert check("from ..instances import instance as i\ni.listener = 1") == [_violation(2, "i.listener")]
    whole = "pytest_scf_async.instances.instance"
    assert check(f"import {whole}\n{whole}.listener = 1") == [_violation(2, f"{whole}.listener")]


def test_a_class_that_was_imported_is_the_owners(check: Check) -> None:
    text = "from ..instances.instance import Instance\nInstance.added = 1"
    assert check(text) == [_violation(2, "Instance.added")]


def test_the_annotation_says_whose_it_is_where_this_module_has_such_an_attribute(check: Check) -> None:
    own = "class Report:\n    status: int = 0\n"
    text = "from ..instances.instance import Instance\n" + own
    assert check(f"{text}def add(one: Instance | None): one.status = 1") == [_violation(4, "one.status")]
    assert check(f"{text}def add(one: 'Instance'): one.status = 1") == [_violation(4, "one.status")]
    assert check(f"{text}def add(one: Report): one.status = 1") == []
    assert check(f"{own}def add(one): one.status = 1") == []


def test_the_name_says_whose_it_is_where_it_is_annotated_elsewhere(check: Check) -> None:
    others = {
        "clock": "class Clock:\n    status: int = 0",
        "calls": "from .instances.instance import Instance\ndef call(one: Instance): pass",
    }
    assert check("waiting[0].one.status = 1", others) == [_violation(1, "waiting[0].one.status")]
    assert check("two.status = 1", others) == [_violation(1, "two.status", "clock.py or instances/instance.py")]


@pytest.mark.parametrize(
    "text",
    [
        "class Reports:\n    def add(self): self.status = 1",
        "class Reports:\n    @classmethod\n    def add(cls): cls.status = 1",
        "class Reports:\n    def add(self): type(self).status = 1",
        "class Reports:\n    def add(self):\n        def later(): self.status = 1",
        "class Reports:\n    def add(self, other):\n        self.status = other.status = 1",
        "class Reports: pass\ndef made():\n    new = Reports()\n    new.status = 1",
        "class Reports: pass\ndef made():\n    new = Reports.__new__(Reports)\n    new.status = 1",
        "class Reports: pass\ndef made():\n    new: Reports = Reports()\n    new.status = 1",
        "class Reports:\n    @classmethod\n    def made(cls):\n        new = cls()\n        new.status = 1",
        "import threading\ndef made():\n    instance = threading.Thread()\n    instance.status = 1",
        "from types import SimpleNamespace\nnew: Any = SimpleNamespace()\nnew.status = 1",
        "import sys\nsys.status = 1",
        "instance.turn = 1",
        "instance.nobody_has_it = 1",
        "instance.never = instance.column = instance.said = 1",
        "instance.status: int",
        "instance.status",
        "instance.status.append(1)",
        "instance.status[0] = 1",
        "status = 1",
        "setattr(instance, name, 1)",
    ],
)
def test_other_writes_are_not(check: Check, text: str) -> None:
    others = {"calls": "from .instances.instance import Instance\ndef call(instance: Instance): pass"}
    assert check(text, others) == []


def test_what_was_made_and_then_may_be_another_is_caught(check: Check) -> None:
    text = "class Reports: pass\ndef made(instance):\n    new = Reports()\n    new = instance\n    new.status = 1"
    assert check(text) == [_violation(5, "new.status")]


def test_the_slots_of_a_shared_page_are_everybodys(check: Check) -> None:
    assert check("instance.control.lease = 1", {"protocol/shared_page": "class ControlPage:\n    lease = 0"}) == []


def test_what_is_known_passes_and_an_entry_that_nobody_needs_is_refused(check: Check) -> None:
    text = "instance.status = 1"
    known = {"instances/instance.py": {"lockstep/reports.py": "status"}}
    assert check(text, known=known) == []
    assert check(text, known={"instances/instance.py": {"lockstep/reports.py": "rest status"}}) == [
        "KNOWN has rest of instances/instance.py for lockstep/reports.py, which does not write it: take it out."
    ]
    assert check("", known=known) == [
        "KNOWN has status of instances/instance.py for lockstep/reports.py, which does not write it: take it out."
    ]
    assert _violation(1, "instance.status") in check(text, known={"clock.py": {"lockstep/reports.py": "status"}})


def test_it_says_how_many_there_are_and_fails(tmp_path: Path) -> None:
    root = write_package(tmp_path, {"owner": "class Owner:\n    status = 0\n", "runtime": "\nowner.status = 1\n"})
    run = run_tool("check_ownership", root)
    assert run.stdout.splitlines() == [
        "pytest_scf_async/runtime.py:2: writes `owner.status`, which owner.py owns; let it have a method for that.",
        "check_ownership: 1 violations",
    ]
    assert run.returncode == 1
