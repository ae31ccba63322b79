"""Which thread gets a signal that one waits for by ``sigwait`` or its kin: the same one as in a bare process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from internals import waits_for_signal
from process_support import LONG, eventually

from pytest_scf_async.runtime import ScfRuntime

PROGRAM = Path(__file__).parents[2] / "handlers" / "takes_a_signal.py"
UNITS = (0.1, 0.4, 1.6)
"""Real seconds of a unit in a bare process; a busy machine needs a longer one."""
CASES = [
    {"signum": int(signum), "has_handler": has_handler, "another": another, "waits": waits, "wait": wait}
    for signum, has_handler, another, (waits, wait) in product(
        (signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM),
        (False, True),
        ("", "before", "after"),
        (("main", "sigwait"), ("main", "sigwaitinfo"), ("main", "sigtimedwait"), ("thread", "sigtimedwait")),
    )
]
"""The alarm, a signal of its own, and the SIGTERM of the platform; *another* thread leaves it unblocked, which has been
started before or after the one that *waits*."""


def said_by_bare_process(case: dict[str, Any], unit: float) -> Any:
    """What the program returns, or the signal that has ended it."""
    command = [sys.executable, str(PROGRAM), json.dumps({**case, "unit": unit})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if case["signum"] == signal.SIGTERM:
            assert eventually(lambda: waits_for_signal(process.pid, signal.SIGTERM))
            process.terminate()
        out, _ = process.communicate(timeout=LONG)
    return json.loads(out) if out else -process.returncode


def said_by_event(case: dict[str, Any], runtime: ScfRuntime) -> Any:
    event = runtime.deploy("takes_a_signal.py:main_handler", timeout=600).invoke_async({**case, "unit": 1})
    if case["signum"] == signal.SIGTERM:
        event.wait_for_log("ready")
        runtime.clock.advance(2)
        event.terminate(grace_shutdown=True)
    event.wait()
    if event.status == "FINISHED":
        return event.result
    assert event.status_code == 439
    return case["signum"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_the_same_thread_gets_it_as_in_a_bare_process(runtime: ScfRuntime, case: dict[str, Any]) -> None:
    said = said_by_event(case, runtime)
    assert any(said == said_by_bare_process(case, unit) for unit in UNITS), said
