"""A signal that another thread gets interrupts no wait of the main thread, which calls its handler after that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from process_support import LONG

from pytest_scf_async import ScfRuntime

pytestmark = pytest.mark.interpreter

PROGRAM = Path(__file__).parents[2] / "handlers" / "signal_to_a_thread.py"
UNITS = (0.05, 0.2, 0.8)
"""Real seconds of a unit in a bare process; a busy machine needs a longer one."""
WAITS = ("sleep", "event", "lock", "queue", "join", "select", "loop", "loop with a handler")
CASES = [
    *((wait, send) for wait in WAITS for send in ("raise_signal", "pthread_kill to another")),
    ("sleep", "pthread_kill"),
]


def called_in_bare_process(case: dict[str, Any], unit: float) -> list[int]:
    command = [sys.executable, str(PROGRAM), json.dumps({**case, "unit": unit})]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=LONG)
    return [round(units) for units in json.loads(done.stdout)]


@pytest.mark.parametrize(("wait", "send"), CASES, ids=str)
def test_its_handler_is_called_when_it_is_in_a_bare_process(runtime: ScfRuntime, wait: str, send: str) -> None:
    case = {"wait": wait, "send": send, "waits": [3, 5], "sent_after": [2, 3]}
    function = runtime.deploy("signal_to_a_thread.py:main_handler")
    said = [function.run({**case, "unit": 1}) for _ in range(10)]
    assert said == [said[0]] * 10, "the same in each run"
    units = [round(each) for each in said[0]]
    assert any(units == called_in_bare_process(case, unit) for unit in UNITS), units


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("takes", [1, 4])
def test_a_wait_during_which_a_handler_takes_time_ends_when_it_does_in_a_bare_process(
    runtime: ScfRuntime, wait: str, takes: int
) -> None:
    case = {"wait": wait, "send": "pthread_kill to main", "waits": [3, 2], "sent_after": [1], "takes": takes}
    units = [round(each) for each in runtime.deploy("signal_to_a_thread.py:main_handler").run({**case, "unit": 1})]
    assert any(units == called_in_bare_process(case, unit) for unit in UNITS), units


def test_twice_in_one_wait_it_is_called_once_and_a_signal_to_the_main_thread_interrupts(runtime: ScfRuntime) -> None:
    function = runtime.deploy("signal_to_a_thread.py:main_handler")
    twice = {"send": "raise_signal", "wait": "sleep", "waits": [9], "sent_after": [1, 1], "unit": 1}
    assert function.run(twice) == [9]
    event = function.invoke_async({**twice, "signum": "SIGTERM"})
    runtime.clock.advance(4)
    event.terminate(grace_shutdown=True)
    assert event.wait().result == [4]
