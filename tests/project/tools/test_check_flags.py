"""tools/check_flags.py catches what a function sets for a while, and leaves set where something is raised."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from package_checks import load_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

FOR_A_WHILE = {
    "a flag": "self.inside = True\nwork()\nself.inside = False",
    "a value": "self.driver = me()\nwork()\nself.driver = None",
    "of another object": "page.reading = True\nwork()\npage.reading = False",
    "a pair of calls": "self._begin_reading()\nwork()\nself._end_reading()",
    "a lock": "lock.acquire()\nwork()\nlock.release()",
    "an event": "event.set()\nwork()\nevent.clear()",
    "in a branch": "if one:\n    self.inside = True\n    work()\nself.inside = False",
    "unset in a branch": "self.inside = True\nwork()\nif one:\n    self.inside = False",
    "unset in a loop": "self.inside = True\nwhile one:\n    self.inside = False",
    "unset by an else": "one.on = True\ntry:\n    work()\nexcept OSError:\n    x = 1\nelse:\n    one.on = False",
}
LATE = {
    "a call before": "self.driver = me()\nlook()\ntry:\n    work()\nfinally:\n    self.driver = None",
    "another block before": "one.on = True\nwith lock:\n    look()\ntry:\n    work()\nfinally:\n    one.on = False",
}
IN_ORDER = {
    "right before": "self.inside = True\ntry:\n    work()\nfinally:\n    self.inside = False",
    "inside": "try:\n    look()\n    self.inside = True\n    work()\nfinally:\n    self.inside = False",
    "of an outer one": "try:\n    if one:\n        self.of = me()\n        work()\nfinally:\n    self.of = None",
    "a pair": "self.begin_x()\ntry:\n    work()\nfinally:\n    self.end_x()",
    "either or": "if one:\n    self.inside = True\nelse:\n    self.inside = False",
    "it returns": "if one:\n    self.inside = True\n    return\nself.inside = False",
    "of two objects": "one.inside = True\nwork()\nother.inside = False",
    "taken back where it fails": "self.alone = one\ntry:\n    work()\nexcept OSError:\n    self.alone = None",
    "a local variable": "inside = True\nwork()\ninside = False",
    "only set": "self.inside = True\nwork()",
    "other pairs": "self.begin_x()\nwork()\nself.end_y()",
}


def found(body: str, tmp_path: Path, function: str = "use") -> list[str]:
    text = f"class Pool:\n    def {function}(self):\n{textwrap.indent(body, ' ' * 8)}\n"
    return list(load_tool("check_flags").check(write_package(tmp_path, {"pool": text})))


@pytest.mark.parametrize("body", FOR_A_WHILE.values(), ids=FOR_A_WHILE)
def test_what_an_exception_leaves_set_is_found(body: str, tmp_path: Path) -> None:
    (line,) = found(body, tmp_path)
    assert line.startswith("pytest_scf_async/pool.py:")
    assert line.endswith("outside of a `finally`: what is raised in between leaves it set.")


@pytest.mark.parametrize("body", LATE.values(), ids=LATE)
def test_a_try_that_begins_too_late_is_found(body: str, tmp_path: Path) -> None:
    (line,) = found(body, tmp_path)
    assert "whose `try` begins later" in line


@pytest.mark.parametrize("body", IN_ORDER.values(), ids=IN_ORDER)
def test_what_is_unset_whatever_happens_is_in_order(body: str, tmp_path: Path) -> None:
    assert found(body, tmp_path) == []


def test_an_exit_unsets_for_the_block_of_its_with(tmp_path: Path) -> None:
    assert found(FOR_A_WHILE["a flag"], tmp_path, "__exit__") == []


def test_an_exception_that_is_in_order_has_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = load_tool("check_flags")
    monkeypatch.setitem(tool.KNOWN, "pool.py:use:self.inside", "it was so once")
    assert tool.check(tool.OWN_PACKAGE) == ["KNOWN has pool.py:use:self.inside, which is in order: take it out."]
