"""tools/check_properties.py catches a property that writes something, or that reads ``/proc``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import PACKAGE, load_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

Check = Callable[[str], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_properties")


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(body: str) -> list[str]:
        text = f"class Pool:\n    @property\n    def idle(self):\n{body}"
        return list(tool.check(write_package(tmp_path, {"pool": text})))

    return write_and_check


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("        self.looks += 1\n        return 1\n", "writes self.looks"),
        ("        self.seen = 1\n        return 1\n", "writes self.seen"),
        ("        self.other.seen = 1\n        return 1\n", "writes self.other.seen"),
        ("        self.looks[1] = 1\n        return 1\n", "writes self.looks[1]"),
        ("        del self.seen\n        return 1\n", "writes self.seen"),
        ("        return procfs.children_of(self.pid)\n", "asks procfs.children_of"),
        ("        return self._look()\n    def _look(self):\n        self.seen = 1\n", "writes self.seen"),
        ("        return self.x\n    @property\n    def x(self):\n        return procfs.a(1)\n", "asks procfs.a"),
    ],
)
def test_what_a_property_must_not_do(check: Check, body: str, why: str) -> None:
    found = check(body)
    assert f"pytest_scf_async/pool.py:3: the property Pool.idle {why}." in found


@pytest.mark.parametrize(
    "body",
    [
        "        found = [1]\n        return found\n",
        "        return self._look(self)\n    @staticmethod\n    def _look(pool):\n        return pool.pid\n",
        "        return self.idle\n    def stop(self):\n        self.seen = procfs.children_of(1)\n",
    ],
)
def test_what_it_may_do(check: Check, body: str) -> None:
    assert check(body) == []


def test_a_property_that_is_known_and_in_order_is_taken_out(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tool.KNOWN, "pool.py:Pool.idle", "why")
    assert tool.check(PACKAGE) == ["KNOWN has pool.py:Pool.idle, which is in order: take it out."]
