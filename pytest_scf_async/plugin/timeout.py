"""pytest-timeout: a test that runs out of time says what each of its instances is doing, thread by thread."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from typing import Any, Final

import pytest

from ..lockstep.diagnosis import what_instances_do
from ..protocol.real_time import REAL
from ..runtime import open_runtimes

TITLE: Final = "scf async: what the instances were doing"
LOCK_LIMIT: Final = 5.0
"""Real seconds to wait for the test's thread to leave the runtime alone; it ends anyway."""
_NO_CALL: Final = (
    "What to do: call event.wait(), which runs the event to its end: neither reading its status nor calling "
    "time.sleep() in the test lets simulated time pass or runs any of its code."
)


class TimeLimit:
    """When the time of a test is over, in real seconds."""

    def __init__(self, settings: Any) -> None:
        self._end: float = REAL.monotonic() + settings.timeout
        self._counts_in_debuggers: bool = settings.disable_debugger_detection

    def seconds_left(self) -> float | None:
        """None while a debugger is there, as pytest-timeout does nothing then."""
        module: Any = sys.modules["pytest_timeout"]
        if not self._counts_in_debuggers and module.is_debugging():
            return None
        return self._end - REAL.monotonic()


def is_timeout(error: BaseException) -> bool:
    """Whether *error* is what pytest-timeout raises out of whatever the test is in."""
    return isinstance(error, pytest.fail.Exception) and "from pytest-timeout" in str(error.msg)


def section() -> tuple[str, str] | None:
    """The report section of a test that ran out of time; None where there is no open runtime."""
    snapshots = [runtime._lockstep.snapshot() for runtime in open_runtimes()]
    running = [snapshot for snapshot in snapshots if snapshot.running] or snapshots[:1]
    lines = [*map(what_instances_do, running)]
    events = [event for snapshot in running for event in snapshot.running]
    if events and all(event.phase == "pending" for event in events):
        lines.append(_NO_CALL)
    return (TITLE, "\n".join(lines)) if running else None


def set_timer(item: pytest.Item, settings: Any) -> bool:
    """Do what pytest-timeout does for its method *thread*, and write what instances do before it ends the process."""
    module: Any = sys.modules["pytest_timeout"]

    def out_of_time() -> None:
        if not settings.disable_debugger_detection and module.is_debugging():
            return
        try:
            _write()
        finally:
            module.timeout_timer(item, settings)  # it shows what is captured, and ends the process

    timer = threading.Timer(settings.timeout, out_of_time)
    timer.name = f"pytest_timeout {item.nodeid}"

    def cancel() -> None:
        timer.cancel()
        timer.join()

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    timer.start()
    return True


def _write() -> None:
    with ExitStack() as unlocked:
        for runtime in open_runtimes():
            condition = runtime._lockstep._condition
            if condition.acquire(timeout=LOCK_LIMIT):
                unlocked.callback(condition.release)
        found = section()
    if found is not None:
        sys.stderr.write("\n{}:\n{}\n".format(*found))
