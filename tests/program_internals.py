"""What the tests of programs use of what is private in ``programs/``: each name, and how a public object gives it."""

# ruff: noqa: F401  (tests import these names from here)

from __future__ import annotations

from internals import versions_of

from pytest_scf_async.function import Function
from pytest_scf_async.linux.executables import Language, language_of
from pytest_scf_async.programs import bind_filter
from pytest_scf_async.programs.clients import go_client, gob
from pytest_scf_async.programs.clients.event_invoke import CLIENT_PORT, OUTSIDE, EventInvokeClient
from pytest_scf_async.programs.clients.go_client import GoClient
from pytest_scf_async.programs.clients.program_client import Broken, is_moving, tcp_info
from pytest_scf_async.programs.clients.runtime_api import RuntimeApi
from pytest_scf_async.programs.runtimes import binary as binary_files
from pytest_scf_async.programs.runtimes import container, go, listening, nodejs, ports, program
from pytest_scf_async.programs.runtimes.custom import CustomRuntime, FreeRunningCustomRuntime
from pytest_scf_async.programs.runtimes.go import FreeRunningGoFunction, GoFunction, go_program
from pytest_scf_async.programs.runtimes.launched import SPOKEN, runtimes_of
from pytest_scf_async.programs.runtimes.launcher import Launch
from pytest_scf_async.programs.runtimes.nodejs import FreeRunningNodeFunction, NodeFunction
from pytest_scf_async.programs.runtimes.ports import ClaimedPort, PortInUseError, claim, claim_any
from pytest_scf_async.programs.runtimes.program import FreeRunning, Program, PythonProgram, Supervised, image
from pytest_scf_async.programs.supervisor import filter as supervisor_filter
from pytest_scf_async.programs.supervisor import proc_reads, system_calls
from pytest_scf_async.programs.supervisor import waits as supervisor_waits
from pytest_scf_async.programs.supervisor.recorder import Writer
from pytest_scf_async.programs.supervisor.system_calls import NUMBERS
from pytest_scf_async.programs.supervisor.tracee import MACHINE


def launch_of(function: Function) -> Launch:
    """The program of a function that has one."""
    runtime = versions_of(function).latest.runtime
    assert isinstance(runtime, Program)
    return runtime.launch
