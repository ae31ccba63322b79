"""tools/check_waits.py catches a wait of the test's process that nothing bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from package_checks import load_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

UNBOUNDED = (
    *("found.get()", "thread.join()", "self._process.wait()", "lock.acquire()", "future.result()", "poller.poll()"),
    *("process.communicate()", "process.communicate(b'x')", "subprocess.run(['go'])", "os.waitpid(pid, 0)"),
    "connection.settimeout(None)",
)
BOUNDED = (
    *("found.get(timeout=1)", "found.get('x')", "', '.join(found)", "thread.join(5)", "process.wait(timeout=1)"),
    *("lock.acquire(blocking=False)", "lock.acquire(timeout=1)", "poller.poll(10)", "process.poll()"),
    *("process.communicate(timeout=1)", "subprocess.run(['go'], timeout=1)", "os.waitpid(pid, os.WNOHANG)"),
    *("connection.settimeout(5)", "subprocess.Popen(['go'])"),
)


def found(call: str, directory: Path, file: str = "pool") -> list[str]:
    return list(load_tool("check_waits").check(write_package(directory, {file: f"def use():\n    x = {call}\n"})))


@pytest.mark.parametrize("call", UNBOUNDED)
def test_a_wait_without_a_bound_is_found(call: str, tmp_path: Path) -> None:
    assert found(call, tmp_path) == [f"pytest_scf_async/pool.py:2: {call} in use() waits without a bound."]


@pytest.mark.parametrize("call", BOUNDED)
def test_one_with_a_bound_is_in_order(call: str, tmp_path: Path) -> None:
    assert found(call, tmp_path) == []


def test_other_processes_are_not_looked_at(tmp_path: Path) -> None:
    assert found("found.get()", tmp_path, "zygote/zygote") == []


def test_an_exception_that_is_in_order_has_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = load_tool("check_waits")
    monkeypatch.setitem(tool.KNOWN, "pool.py:use:found.get()", "it was so once")
    assert tool.check(tool.OWN_PACKAGE) == ["KNOWN has pool.py:use:found.get(), which is in order: take it out."]
