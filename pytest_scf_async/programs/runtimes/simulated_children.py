"""Python functions whose children are simulated: a program of ours calls the handler, and is supervised with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final, NoReturn

from ...errors import ScfUsageError, hidden_from_users
from ...instances.code import Code
from ...instances.environment import interpreter_environment, of_code_package
from ...instances.runtimes.choice import Deployed, Package
from ...instances.runtimes.strategy import ClaimedPort, Site
from ...model.before_init import BeforeInit
from ...protocol import messages
from ...protocol.own_code import OWN_CODE
from .custom import SpeaksRuntimeApi
from .launcher import Launch
from .program import Program, Supervised

__tracebackhide__ = hidden_from_users

GIVEN: Final = 'children="simulated"'
_PROGRAM: Final = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
try:
    import pytest_scf_async
except ImportError:
    sys.path.append(sys.argv[1])
from pytest_scf_async.programs.handler_program import main
main()
"""
"""As the zygote is started: user code has the same ``sys.path``, and a main module without a file."""


class HandlerWithChildren(SpeaksRuntimeApi, Supervised):
    """A Python function on simulated time, with all that it starts."""

    init_ends = "init ends once the handler's module has been loaded"

    @property
    def name(self) -> str:
        return self._shown

    @property
    def _shown(self) -> str:
        return f"a Python function with {GIVEN}"

    @property
    def directories(self) -> tuple[str, ...]:
        return ()

    @property
    def instead_of_places(self) -> str:
        return f"leave out {GIVEN}, or {super().instead_of_places}"

    def check_before_init(self, before_init: BeforeInit, source: str) -> None:
        raise ScfUsageError(
            f"before_init={before_init.shown!r} ({source}) puts its fakes into the process of an instance, and with "
            f"{GIVEN} the handler is called in a process of its own: leave out {GIVEN}, or have environment= point the "
            "handler to a fake server of the test, whose port is among ports="
        )

    def moved(self, before: Code, after: Code) -> Program:  # noqa: ARG002  (the handler's place is in the message)
        return self

    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        return of_code_package(site.configuration, site.version, site.settings, of_sandbox)

    def program(self, site: Site, claimed: ClaimedPort | None) -> messages.ProgramConfig:
        made = super().program(site, claimed)
        return made._replace(environment={**interpreter_environment(), **made.environment}, calls_handler=True)


def function_with_children(package: Package) -> Deployed:
    """The function of *package*. Raises ``ScfUsageError`` where programs cannot be traced: who asks for simulated
    children tests how long they take."""
    why = package.builder.why_untraced()
    if why:
        raise ScfUsageError(
            f"children={package.children!r} ({package.source}) needs traced programs, and they cannot be traced on "
            f"this machine ({why}): leave it out, and children take real time while the clock stands still"
        )
    command = [os.path.abspath(sys.executable), "-c", _PROGRAM, os.path.dirname(OWN_CODE.rstrip(os.sep))]
    runtime = HandlerWithChildren(Launch(command, "/"))
    warning = f"coverage cannot measure {runtime.name}: leave it out where lines are counted"
    code = package.python()
    return Deployed(code, runtime, code.handler, if_measured=warning)


def refuse_children(package: Package) -> NoReturn:
    """Refuse what is no function in Python."""
    raise ScfUsageError(
        f"children={package.children!r} ({package.source}) is for Python functions, and the runtime is "
        f"{package.runtime!r}: leave it out; what a program starts is on the program's own clock"
    )
