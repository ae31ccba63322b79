"""What a handler sees of waits, and when, is what a bare process sees: random programs, timed.

``make timed`` compares more of them.
"""

from __future__ import annotations

import os

import pytest
from timed_programs import Rows, Said, compared

from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.interpreter

PROGRAMS = int(os.environ.get("SCF_TIMED", "5"))


@pytest.mark.parametrize("number", range(PROGRAMS))
def test_a_handler_sees_what_a_bare_process_sees(runtime: ScfRuntime, number: int) -> None:
    function = runtime.deploy("timed.py:main_handler", timeout=3600)

    def run(rows: Rows) -> Said:
        event = function.invoke_async({"unit": 1, "rows": rows}).wait()
        assert event.status == "FINISHED", event.timeline
        said: Said = event.result
        return said

    assert compared(100 * number, run, children=False) == []
