"""The runtimes that users add: their launcher says how the code of a function is started, and what that speaks."""

from __future__ import annotations

from typing import Final

from ...errors import ScfUsageError, hidden_from_users
from ...instances.runtimes.choice import Deployed, Package
from .custom import CustomRuntime, FreeRunningCustomRuntime
from .go import FreeRunningGoFunction, GoFunction
from .launcher import CodePackage, Launch
from .program import FreeRunning, Program, PythonProgram, Runtimes, Supervised, function_of

__tracebackhide__ = hidden_from_users

SPOKEN: Final[dict[str, Runtimes]] = {
    runtimes[0].speaks: runtimes
    for runtimes in (
        (Supervised, FreeRunning),
        (GoFunction, FreeRunningGoFunction),
        (CustomRuntime, FreeRunningCustomRuntime),
    )
}
"""By what a program speaks."""


def launched(package: Package) -> Deployed | None:
    """What the launcher makes of *package*, where there is one; None: the runtime is not one of its own."""
    kind, launcher = package.runtime, package.builder.launcher
    if launcher is None:
        return None
    directory, _ = package.directory()
    found = launcher(CodePackage(kind, package.named_handler, directory))
    if isinstance(found, Launch):
        return function_of(package, found, runtimes_of(found))
    if found is not None:
        raise ScfUsageError(
            f"pytest_scf_async_launcher returned {found!r} for runtime {kind!r}; it must return a Launch or None"
        )
    return None


def runtimes_of(launch: Launch) -> tuple[type[Program], type[Program]]:
    """The runtimes of a program that is launched so."""
    return (PythonProgram, PythonProgram) if launch.in_process else SPOKEN[launch.speaks]
