"""What a traced program sees of waits and children, and when, is what a bare process sees: random programs, timed.

``make timed`` compares more of them.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
from timed_programs import LISTENERS, PROGRAM, Program, Said, compare, port_of, ports, server_of, simulated

from pytest_scf_async.runtime import ScfRuntime

PROGRAMS = int(os.environ.get("SCF_TIMED", "2"))


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("listeners", [(), (*LISTENERS, "leaves")], ids=["undisturbed", "sigterm"])
@pytest.mark.parametrize("pushes", [False, True], ids=["alone", "pushed"])
def test_a_program_sees_what_a_bare_process_sees(
    runtime: ScfRuntime, number: int, listeners: tuple[str, ...], pushes: bool
) -> None:
    def run(given: Program) -> Said:
        with server_of(given) as server:
            command = [sys.executable, str(PROGRAM), json.dumps(given.event(1, port_of(server)))]
            image = runtime.deploy_image(command=command, port=-1, timeout=3600, **ports(server))
            return simulated(runtime, image.invoke_async(), given, server)

    compare(100 * number + 50, run, children=True, listeners=listeners, pushes=pushes)


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("listeners", [(), LISTENERS], ids=["undisturbed", "sigterm"])
@pytest.mark.parametrize("pushes", [False, True], ids=["alone", "pushed"])
def test_a_handler_with_simulated_children_sees_it(
    runtime: ScfRuntime, number: int, listeners: tuple[str, ...], pushes: bool
) -> None:
    def run(given: Program) -> Said:
        with server_of(given) as server:
            code, its = "timed.py:main_handler", ports(server)
            function = runtime.deploy(code, timeout=3600, children="simulated", **its)
            return simulated(runtime, function.invoke_async(given.event(1, port_of(server))), given, server)

    compare(100 * number, run, children=True, listeners=listeners, pushes=pushes)
