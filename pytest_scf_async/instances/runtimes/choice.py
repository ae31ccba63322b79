"""Which runtime a function has, by what ``deploy`` was given: the row of its kind builds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...errors import Given, Refusal, ScfUsageError, hidden_from_users
from ...model.configuration import (
    IMAGE_RUNTIME,
    NO_RUNTIME,
    PYTHON_RUNTIMES,
    RUNTIMES,
    FunctionConfiguration,
    check_runtime,
)
from ...options import option_named
from ..code import Code, code_directory, resolve, resolve_again
from .python import PythonHandler
from .strategy import Runtime

__tracebackhide__ = hidden_from_users

PLATFORM_HANDLER: Final = "index.main_handler"


@dataclass(frozen=True)
class Deployed:
    """What ``deploy`` makes of the code that it was given."""

    code: Code
    runtime: Runtime
    handler: str
    warnings: tuple[str, ...] = ()
    """What is worth saying of how it runs, each once in a process."""
    if_measured: str = ""
    """What is worth saying where lines are counted, as no feature has a part in the Python that runs it; else empty."""


@dataclass
class Package:
    """A code package, of which a kind of runtime makes a function."""

    builder: Builder
    runtime: str
    """The platform's name of its runtime."""
    code: object
    """As it was given; None: that of *before*."""
    handler: str | None
    source: str
    """Where this came from, for texts."""
    children: object
    """What its child processes are: ``"real"`` or ``"simulated"``."""
    before: Code | None = None
    """The code of the function that is updated."""
    _found: tuple[str, str] | None = None

    def python(self) -> Code:
        """Its code in Python. Raises ``ScfUsageError``."""
        lookup, scratch = self.builder.lookup, self.builder.scratch
        if self.before is None:
            return resolve(self.code, self.handler, lookup, scratch)
        if self.code is None and self.handler is None:
            return self.before
        return resolve_again(self.before, self.code, self.handler, lookup, scratch)

    def directory(self) -> tuple[str, str]:
        """The directory of its code in another language, and what a function of it is called. Raises the same."""
        if self._found is None:  # a zip is unpacked once, however many kinds look at it
            code = self.before.directory if self.code is None and self.before is not None else self.code
            self._found = code_directory(code, self.builder.lookup, self.builder.scratch, self.runtime)
        return self._found

    @property
    def named_handler(self) -> str:
        """The handler of code in another language: what was given, the one before, or the default."""
        if self.handler is not None:
            return self.handler
        return self.builder.default_handler(self.runtime) if self.before is None else self.before.function


@dataclass(frozen=True)
class Kind:
    """A kind of runtime, and how a function of it is made."""

    runtimes: tuple[str, ...]
    """The platform's runtimes that it is; empty: each one for which no row above has built anything."""
    build: Callable[[Package], Deployed | None]
    """None: a row below may do so. Raises ``ScfUsageError`` with the value, where it came from, and what is valid."""
    default_handler: str = PLATFORM_HANDLER
    """That of a function that is made without one."""
    children: str = "real"
    """What child processes its functions have."""


def _python(package: Package) -> Deployed:
    code = package.python()
    return Deployed(code, PythonHandler(), code.handler)


@dataclass(frozen=True)
class Builder:
    """Makes the code and the runtime of functions; relative paths are looked up in the directories *lookup*."""

    lookup: tuple[str, ...]
    scratch: Callable[[], str]
    """A directory for what is unpacked."""
    session_scratch: Callable[[], str]
    """A directory for what is built once for the whole session."""
    launcher: Callable[[Any], object] | None
    """What users add runtimes with."""
    why_untraced: Callable[[], str]
    """Why programs cannot be traced; an empty text where they can be."""
    others: Iterable[Callable[[], Iterable[Kind]]]
    """Each gives kinds of runtimes beside functions in Python, in the order in which they are asked."""

    def kinds(self) -> Iterator[Kind]:
        yield Kind(PYTHON_RUNTIMES, _python)
        for others in self.others:
            yield from others()

    def build(
        self, runtime: str, code: object, handler: str | None, source: str, children: object = "real"
    ) -> Deployed:
        """A function of *code*, of the platform's *runtime*, whose children are *children* ("real", "simulated").

        Raises ``ScfUsageError`` with the value, where it came from (*source*), and what is valid.
        """
        return self._build(Package(self, runtime, code, handler, source, children))

    def rebuild(
        self,
        before: FunctionConfiguration,
        code_before: Code,
        runtime_before: Runtime,
        *,
        code: object,
        handler: str | None,
        children: object,
        source: str,
    ) -> Deployed:
        """The function *before*, whose code was *code_before*, of what ``update`` was given.

        None stands for "as before". Raises what `build` raises, and for functions whose code is no package.
        """
        if code is not None or handler is not None:
            runtime_before.check_new_code(before.name)
        return self._build(Package(self, before.runtime, code, handler, source, children, code_before))

    def _build(self, package: Package) -> Deployed:
        option = option_named("children")
        children = option.check(option.given(package.children, package.source))
        for kind in self.kinds():
            if kind.children == children and package.runtime in (kind.runtimes or (package.runtime,)):
                built = kind.build(package)
                if built is not None:
                    return built
        valid = (
            f"its code cannot be run here; these can: {', '.join(self._runnable())}; a plugin adds others by the hook "
            "pytest_scf_async_launcher"
        )
        refusal = Refusal("runtime", package.runtime, valid, NO_RUNTIME)
        raise ScfUsageError(f"runtime={package.runtime!r} ({package.source}) is not valid: {valid}", refusal)

    def check(self, runtime: str, source: str) -> None:
        """Raise ``ScfUsageError`` where *runtime*, which *source* gave, is no runtime of code packages."""
        if runtime not in RUNTIMES or runtime == IMAGE_RUNTIME:
            check_runtime(Given("runtime", runtime, source), self._runnable())

    def default_handler(self, runtime: object) -> str:
        """The handler of a function of the platform's *runtime* that is made without one."""
        return next((kind.default_handler for kind in self.kinds() if runtime in kind.runtimes), PLATFORM_HANDLER)

    def _runnable(self) -> list[str]:
        """The platform's runtimes whose code can be run here."""
        return [*dict.fromkeys(runtime for kind in self.kinds() for runtime in kind.runtimes)]
