"""What a handler sees of waits, and when, is what a bare process sees: random programs, timed.

``make timed`` compares more of them.
"""

from __future__ import annotations

import os

import pytest
from timed_programs import LISTENERS, Program, Said, compare, port_of, ports, server_of, simulated

from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.interpreter

PROGRAMS = int(os.environ.get("SCF_TIMED", "3"))


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("listeners", [(), LISTENERS], ids=["undisturbed", "sigterm"])
@pytest.mark.parametrize("pushes", [False, True], ids=["alone", "pushed"])
def test_a_handler_sees_what_a_bare_process_sees(
    runtime: ScfRuntime, number: int, listeners: tuple[str, ...], pushes: bool
) -> None:
    def run(given: Program) -> Said:
        with server_of(given) as server:
            function = runtime.deploy("timed.py:main_handler", timeout=3600, **ports(server))  # each has its own
            return simulated(runtime, function.invoke_async(given.event(1, port_of(server))), given, server)

    compare(100 * number, run, listeners=listeners, pushes=pushes)
