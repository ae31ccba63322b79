"""What a traced program sees of waits and children, and when, is what a bare process sees: random programs, timed.

``make timed`` compares more of them.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
from timed_programs import PROGRAM, Rows, Said, compared

from pytest_scf_async.runtime import ScfRuntime

PROGRAMS = int(os.environ.get("SCF_TIMED", "3"))


@pytest.mark.parametrize("number", range(PROGRAMS))
def test_a_program_sees_what_a_bare_process_sees(runtime: ScfRuntime, number: int) -> None:
    def run(rows: Rows) -> Said:
        command = [sys.executable, str(PROGRAM), json.dumps({"unit": 1, "rows": rows})]
        event = runtime.deploy_image(command=command, port=-1, timeout=3600).invoke_async().wait()
        assert event.status == "FINISHED", event.timeline
        said: Said = json.loads(next(line.text for line in event.log if line.text.startswith("{")))
        return said

    assert compared(100 * number + 50, run, children=True) == []


@pytest.mark.parametrize("number", range(PROGRAMS))
def test_a_handler_with_simulated_children_sees_it(runtime: ScfRuntime, number: int) -> None:
    function = runtime.deploy("timed.py:main_handler", timeout=3600, children="simulated")

    def run(rows: Rows) -> Said:
        event = function.invoke_async({"unit": 1, "rows": rows}).wait()
        assert event.status == "FINISHED", event.timeline
        said: Said = event.result
        return said

    assert compared(100 * number, run, children=True) == []
