"""Which runtime a function has, by what ``deploy`` was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import Given, Refusal, ScfUsageError, hidden_from_users
from ...model.configuration import (
    CUSTOM_RUNTIME,
    GO_RUNTIME,
    IMAGE_RUNTIME,
    NO_RUNTIME,
    NODE_RUNTIMES,
    PYTHON_RUNTIMES,
    RUNTIMES,
    FunctionConfiguration,
    check_runtime,
)
from ...options import option_named
from ...programs.runtimes.custom import CustomRuntime, FreeRunningCustomRuntime, custom_launch
from ...programs.runtimes.go import DEFAULT_HANDLER, FreeRunningGoFunction, GoFunction, go_launch
from ...programs.runtimes.launcher import CodePackage, Launch
from ...programs.runtimes.nodejs import FreeRunningNodeFunction, NodeFunction, node_launch
from ...programs.runtimes.program import REAL_TIME_MEANS, FreeRunning, Image, Program, PythonProgram, Supervised, image
from ...programs.runtimes.simulated_children import handler_with_children
from ..code import Code, code_directory, resolve, resolve_again
from .python import PythonHandler
from .strategy import Runtime

__tracebackhide__ = hidden_from_users


@dataclass(frozen=True)
class Deployed:
    """What ``deploy`` makes of the code that it was given."""

    code: Code
    runtime: Runtime
    handler: str
    warning: str | None = None
    """Why it cannot be on the simulated clock, and what that means; None: it is."""


@dataclass(frozen=True)
class Builder:
    """Makes the code and the runtime of functions; relative paths are looked up in the directories *lookup*."""

    lookup: tuple[str, ...]
    scratch: Callable[[], str]
    """A directory for what is unpacked."""
    session_scratch: Callable[[], str]
    """A directory for what is built once for the whole session."""
    launcher: Callable[[CodePackage], object] | None
    """What users add runtimes with."""
    why_untraced: Callable[[], str]
    """Why programs cannot be traced; an empty text where they can be."""

    def build(self, kind: str, code: object, handler: str | None, source: str, children: object = "real") -> Deployed:
        """A function of *code*, of the platform's runtime *kind*, whose children are *children* ("real", "simulated").

        Raises ``ScfUsageError`` with the value, where it came from (*source*), and what is valid.
        """
        python = self.of_children(children, kind, source)
        if python is not None:
            resolved = resolve(code, handler, self.lookup, self.scratch)
            return Deployed(resolved, python, resolved.handler)
        if kind == GO_RUNTIME:
            directory, stem = code_directory(code, self.lookup, self.scratch, kind)
            launch = go_launch(directory, handler, self.session_scratch, given=code)
            return self._of_program(directory, stem, launch, default_handler(kind) if handler is None else handler)
        if self.launcher is None and kind not in _OWN:
            raise _cannot_run(kind, source)
        directory, stem = code_directory(code, self.lookup, self.scratch, kind)
        handler = default_handler(kind) if handler is None else handler
        found = None if self.launcher is None else self.launcher(CodePackage(kind, handler, directory))
        if isinstance(found, Launch):
            return self._of_program(directory, stem, found, handler)
        if found is not None:
            raise ScfUsageError(
                f"pytest_scf_async_launcher returned {found!r} for runtime {kind!r}; it must return a Launch or None"
            )
        if kind == CUSTOM_RUNTIME:
            return self._of_program(directory, stem, custom_launch(directory, code), handler)
        if kind in NODE_RUNTIMES:
            launch = node_launch(directory, handler, kind, source)
            return self._of_program(directory, stem, launch, handler, (NodeFunction, FreeRunningNodeFunction))
        raise _cannot_run(kind, source)

    def rebuild(
        self,
        before: FunctionConfiguration,
        code_before: Code,
        *,
        code: object,
        handler: str | None,
        source: str,
        python: Runtime,
    ) -> Deployed:
        """The function *before*, whose code was *code_before*, of other *code*, with another *handler*, or both.

        None stands for "as before". A Python function has the runtime *python* then. Raises what `build` raises, and
        for an image and a scripted function, whose code is no package.
        """
        if before.runtime == IMAGE_RUNTIME:
            raise ScfUsageError(
                f"update(...) changes the code of code packages, and {before.name!r} is an image function: delete() it "
                "and call deploy_image() again"
            )
        if not python.runs_code:
            raise ScfUsageError(
                f"update(...) changes code, and {before.name!r} is a scripted function, which has none: delete() it "
                "and call deploy_scripted() again"
            )
        if before.runtime in PYTHON_RUNTIMES:
            resolved = resolve_again(code_before, code, handler, self.lookup, self.scratch)
            return Deployed(resolved, python, resolved.handler)
        code = code_before.directory if code is None else code
        return self.build(before.runtime, code, before.handler if handler is None else handler, source)

    def of_children(self, children: object, kind: str, source: str) -> Runtime | None:
        """The runtime of a Python function with *children*, which *source* gave; None: *kind* is another runtime.

        Where programs cannot be traced simulated children are refused: who asks for them tests how long they take.
        """
        option = option_named("children")
        simulated = option.check(option.given(children, source)) == "simulated"
        given = f"children={children!r} ({source})"
        if kind not in PYTHON_RUNTIMES:
            if simulated:
                raise ScfUsageError(
                    f"{given} is for Python functions, and the runtime is {kind!r}: leave it out; what a program "
                    "starts is on the program's own clock"
                )
            return None
        if not simulated:
            return PythonHandler()
        why = self.why_untraced()
        if why:
            raise ScfUsageError(
                f"{given} needs traced programs, and they cannot be traced on this machine ({why}): leave it out, and "
                "children take real time while the clock stands still"
            )
        return handler_with_children()

    def _of_program(
        self, directory: str, stem: str, launch: Launch, handler: str, runtimes: Runtimes | None = None
    ) -> Deployed:
        """One of *runtimes*, or what the program speaks says which."""
        why = "" if launch.in_process else self.why_untraced()
        code = Code(directory, launch.command[0], "", handler, stem)
        warning = f"programs cannot be traced on this machine ({why}): {REAL_TIME_MEANS}" if why else None
        runtime = runtime_of(launch, traced=not why, runtimes=runtimes)
        return Deployed(code, runtime, handler, warning)


def image_of(given: Mapping[str, Any], lookup: tuple[str, ...], source: str, why_untraced: Callable[[], str]) -> Image:
    """What ``deploy_image`` of *source* makes of the keywords *given*: a program of this machine, or a container."""
    if given["image"] is None:
        how = {name: given[name] for name in ("port", "in_process")}
        return image(given["command"], given["cwd"], lookup, source=source, why_untraced=why_untraced, **how)
    from ...programs.runtimes.container import container_image  # noqa: PLC0415  (few have images of an engine)

    return container_image(given, lookup, source, why_untraced)


def check_kind(kind: str, source: str) -> None:
    """Raise ``ScfUsageError`` where *kind*, which *source* gave, is no runtime of code packages."""
    if kind not in RUNTIMES or kind == IMAGE_RUNTIME:
        check_runtime(Given("runtime", kind, source), _RUNNABLE)


def default_handler(kind: object) -> str:
    """The handler of a function of the platform's runtime *kind* that is made without one."""
    return DEFAULT_HANDLER if kind == GO_RUNTIME else "index.main_handler"


def runtime_of(launch: Launch, *, traced: bool, runtimes: Runtimes | None = None) -> Program:
    """The runtime of a program that is launched so, where programs can be *traced* and where not."""
    if launch.in_process:
        return PythonProgram(launch)
    of_traced, of_others = runtimes or _SPEAKING[launch.speaks]
    return (of_traced if traced else of_others)(launch)


Runtimes = tuple[type[Program], type[Program]]
"""That of programs which are traced, and that of others."""
_SPEAKING: Mapping[str, Runtimes] = {
    "event-invoke": (Supervised, FreeRunning),
    "gob": (GoFunction, FreeRunningGoFunction),
    "runtime-api": (CustomRuntime, FreeRunningCustomRuntime),
}
"""By what a program speaks."""
_OWN = (CUSTOM_RUNTIME, *NODE_RUNTIMES)
"""What runs here where no launcher has it."""
_RUNNABLE = (*PYTHON_RUNTIMES, GO_RUNTIME, *_OWN)


def _cannot_run(kind: str, source: str) -> ScfUsageError:
    known = ", ".join(_RUNNABLE)
    valid = (
        f"its code cannot be run here; these can: {known}; a plugin adds others by the hook pytest_scf_async_launcher"
    )
    refusal = Refusal("runtime", kind, valid, NO_RUNTIME)
    return ScfUsageError(f"runtime={kind!r} ({source}) is not valid: {valid}", refusal)
