"""What a traced program sees of waits and children, and when, is what a bare process sees: random programs, timed.

``make timed`` compares more of them.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
from timed_programs import LISTENERS, PROGRAM, Program, Said, compare, simulated

from pytest_scf_async.runtime import ScfRuntime

PROGRAMS = int(os.environ.get("SCF_TIMED", "2"))


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("listeners", [(), (*LISTENERS, "leaves")], ids=["undisturbed", "sigterm"])
def test_a_program_sees_what_a_bare_process_sees(runtime: ScfRuntime, number: int, listeners: tuple[str, ...]) -> None:
    def run(given: Program) -> Said:
        command = [sys.executable, str(PROGRAM), json.dumps(given.event(1))]
        return simulated(runtime, runtime.deploy_image(command=command, port=-1, timeout=3600).invoke_async(), given)

    compare(100 * number + 50, run, children=True, listeners=listeners)


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("listeners", [(), LISTENERS], ids=["undisturbed", "sigterm"])
def test_a_handler_with_simulated_children_sees_it(
    runtime: ScfRuntime, number: int, listeners: tuple[str, ...]
) -> None:
    def run(given: Program) -> Said:
        function = runtime.deploy("timed.py:main_handler", timeout=3600, children="simulated")
        return simulated(runtime, function.invoke_async(given.event(1)), given)

    compare(100 * number, run, children=True, listeners=listeners)
