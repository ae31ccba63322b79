"""What a function is configured with, checked against the platform's limits (documents 18586, 19805, 30228, 51519)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, NoReturn

from pytest_scf_async.errors import ScfUsageError, did_you_mean, hidden_from_users
from pytest_scf_async.model.before_init import BeforeInit

__all__ = [
    "DEFAULT_ASYNC_TIMEOUT",
    "DEFAULT_IMAGE_INIT_TIMEOUT",
    "DEFAULT_INIT_TIMEOUT",
    "DEFAULT_MEMORY",
    "DEFAULT_SYNC_TIMEOUT",
    "GO_RUNTIME",
    "IMAGE_RUNTIME",
    "PYTHON_RUNTIMES",
    "RUNTIMES",
    "FunctionConfiguration",
    "check_runtime",
    "function_configuration",
    "valid_name",
]

__tracebackhide__ = hidden_from_users

DEFAULT_SYNC_TIMEOUT: Final = 3
"""Seconds that an event of a sync function may run, unless configured (document 18586)."""
DEFAULT_ASYNC_TIMEOUT: Final = 86_400
"""Seconds that an event of an async function may run at most, and here unless configured (document 51519)."""
DEFAULT_INIT_TIMEOUT: Final = 65
"""Seconds that the init of an instance may take, unless configured (document 18586)."""
DEFAULT_IMAGE_INIT_TIMEOUT: Final = 90
"""The same for an image (document 56051)."""
DEFAULT_MEMORY: Final = 128
"""MB of a function for which no memory is configured (document 18586)."""

MAX_SYNC_TIMEOUT: Final = 900
MIN_INIT_TIMEOUT: Final = 3
MAX_INIT_TIMEOUT: Final = 300
MAX_MEMORY: Final = 3072
MEMORY_STEP: Final = 128
SMALLEST_MEMORY: Final = 64
MAX_ENVIRONMENT_BYTES: Final = 4096
RESERVED_PREFIXES: Final = ("SCF_", "QCLOUD_", "TENCENTCLOUD_")

IMAGE_RUNTIME: Final = "CustomImage"
"""The runtime of functions that are deployed as an image (document 56051)."""
GO_RUNTIME: Final = "Go1"
PYTHON_RUNTIMES: Final = ("Python2.7", "Python3.6", "Python3.7", "Python3.9", "Python3.10")
RUNTIMES: Final = (
    *PYTHON_RUNTIMES,
    "Nodejs6.10",
    "Nodejs8.9",
    "Nodejs10.15",
    "Nodejs12.16",
    "Nodejs14.18",
    "Nodejs16.13",
    "Nodejs18.15",
    "Php5.6",
    "Php7.2",
    "Php7.4",
    "Php8.0",
    GO_RUNTIME,
    "Java8",
    "Java11",
    "CustomRuntime",
    IMAGE_RUNTIME,
)
"""Every runtime that the platform has."""

NETWORKS: Final = ("loopback", "all")
"""What code of an instance may connect to."""

MAX_NAME_LENGTH: Final = 60
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]")
_NAME_RULE: Final = (
    "it has 2 to 60 letters, digits, hyphens and underscores, starts with a letter and ends with a letter or a digit"
)
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function's valid configuration: make it with `function_configuration`, which checks it.

    `timeout` and `init_timeout` are whole seconds of simulated time; `memory` is MB, None where no limit is enforced;
    `max_instances` is None where there is no limit; `sources` says of each value where it came from.
    """

    name: str
    namespace: str
    handler: str
    runtime: str
    timeout: int
    init_timeout: int
    memory: int | None
    environment: Mapping[str, str] = field(hash=False, repr=False)
    async_run: bool
    trace: bool
    max_instances: int | None
    layers: tuple[str, ...] = ()
    """Absolute paths of directories and zips."""
    mounts: tuple[tuple[str, str], ...] = ()
    """Directories: absolute paths on the host and in an instance."""
    before_init: BeforeInit | None = None
    """What an instance runs before the function's module is imported."""
    network: str = "loopback"
    """What its code may connect to: "loopback" or "all"."""
    background: tuple[str, ...] = ()
    """Names of the programs that it starts and that do not hold the clock."""
    idle_ok: tuple[str, ...] = ()
    """The other ends of connections on which it may wait to hear something without holding the clock."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def memory_or_default(self) -> int:
        """MB that the function is shown to have: `memory`, or the platform's default of 128."""
        return DEFAULT_MEMORY if self.memory is None else self.memory

    @property
    def deployed_by(self) -> str:
        """The method of a runtime that makes such a function."""
        return "deploy_image" if self.runtime == IMAGE_RUNTIME else "deploy"

    @property
    def records_events(self) -> bool:
        """Whether the status trace keeps events accepted now: only for async functions, and while it is on."""
        return self.async_run and self.trace


def function_configuration(
    *,
    name: str,
    handler: str,
    namespace: str = "default",
    runtime: str = "Python3.10",
    timeout: int | float | timedelta | None = None,
    init_timeout: int | float | timedelta = DEFAULT_INIT_TIMEOUT,
    memory: int | None = None,
    environment: Mapping[str, str] | None = None,
    async_run: bool = True,
    trace: bool = True,
    max_instances: int | None = None,
    layers: tuple[str, ...] = (),
    mounts: tuple[tuple[str, str], ...] = (),
    before_init: BeforeInit | None = None,
    network: str = "loopback",
    background: Sequence[str] = (),
    idle_ok: Sequence[str] = (),
    runnable: Sequence[str] = (*PYTHON_RUNTIMES, GO_RUNTIME),
    sources: Mapping[str, str] = MappingProxyType({}),
) -> FunctionConfiguration:
    """Check every value by the platform's rules, and make the configuration.

    Without a `timeout` an async function gets 86,400 s, a sync one 3 s. `runnable` are the runtimes whose code can be
    run here. `sources` says where a value came from, for
    the error. Raises ScfUsageError with the value, its source and what is valid.
    """
    check = _Check(sources)
    is_async = check.boolean("async_run", async_run)
    longest, kind = (DEFAULT_ASYNC_TIMEOUT, "an async") if is_async else (MAX_SYNC_TIMEOUT, "a sync")
    if timeout is None:
        timeout = DEFAULT_ASYNC_TIMEOUT if is_async else DEFAULT_SYNC_TIMEOUT
    return FunctionConfiguration(
        name=check.name("name", name),
        namespace=check.name("namespace", namespace),
        handler=check.handler(handler, runtime),
        runtime=check.runtime(runtime, runnable),
        timeout=check.seconds("timeout", timeout, 1, longest, f"the timeout of {kind} function"),
        init_timeout=check.seconds(
            "init_timeout", init_timeout, MIN_INIT_TIMEOUT, MAX_INIT_TIMEOUT, "the init timeout of a function"
        ),
        memory=check.memory(memory),
        environment=check.environment(environment),
        async_run=is_async,
        trace=check.boolean("trace", trace),
        max_instances=check.max_instances(max_instances),
        layers=layers,
        mounts=mounts,
        before_init=before_init,
        network=check.network(network),
        background=check.background(background),
        idle_ok=check.idle_ok(idle_ok),
        sources=MappingProxyType(dict(sources)),
    )


def valid_name(stem: str, number: int = 1) -> str:
    """A valid function name made from a file's stem: ``my file.v2`` gives ``my-file-v2``, ``_x`` gives ``function-x``.

    From the second function of a stem on, `number` is put at its end: ``export-2``. Never raises for any text.
    """
    suffix = f"-{number}" if number > 1 else ""
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")
    if len(cleaned + suffix) < 2 or not cleaned[:1].isalpha():
        cleaned = f"function-{cleaned}".rstrip("-")
    return cleaned[: MAX_NAME_LENGTH - len(suffix)].rstrip("-_") + suffix


def check_runtime(value: object, runnable: Sequence[str], source: str) -> str:
    """The runtime, where its code can be run; *source* says where the value came from, for the error."""
    return _Check({"runtime": source}).runtime(value, runnable)


class _Check:
    """The rules, one method a kind of value; each returns the value in its final form or raises ScfUsageError."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def source(self, name: str) -> str:
        source = self._sources.get(name)
        return f" ({source})" if source else ""

    def refuse(self, name: str, value: object, valid: str) -> NoReturn:
        raise ScfUsageError(f"{name}={value!r}{self.source(name)} is not valid: {valid}")

    def refuse_variable(self, key: object, valid: str) -> NoReturn:
        raise ScfUsageError(f"the environment variable {key!r}{self.source('environment')} is not valid: {valid}")

    def refuse_text(self, key: str, text: object, valid: str) -> NoReturn:
        source = self.source("environment")
        raise ScfUsageError(
            f"environment[{key!r}] of type {type(text).__name__}{source} is not valid: "
            f"the value of an environment variable {valid}"
        )

    def boolean(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            self.refuse(name, value, "it is True or False")
        return value

    def name(self, name: str, value: object) -> str:
        if not isinstance(value, str) or _NAME.fullmatch(value) is None:
            self.refuse(name, value, _NAME_RULE)
        return value

    def handler(self, value: object, runtime: object) -> str:
        if runtime not in PYTHON_RUNTIMES:
            return self._program(value)
        rule = "it is the file without .py, a dot and the name of the function, as in 'index.main_handler'"
        if not isinstance(value, str):
            self.refuse("handler", value, rule)
        module, _, function = value.rpartition(".")
        module_parts = re.split(r"[./]", module)
        if not function.isidentifier() or any(part != part.strip() or not part for part in module_parts):
            self.refuse("handler", value, rule)
        return value

    def _program(self, value: object) -> str:
        """The handler of what is no Python: the name of a program, or whatever its runtime makes of it."""
        if not isinstance(value, str) or not value or "\0" in value:
            self.refuse("handler", value, "it is a text that is not empty, such as the name of the binary, 'main'")
        return value

    def runtime(self, value: object, runnable: Sequence[str]) -> str:
        if not isinstance(value, str) or value not in RUNTIMES:
            near = did_you_mean(value, RUNTIMES) if isinstance(value, str) else ""
            self.refuse("runtime", value, f"the platform has {', '.join(RUNTIMES)}{near}")
        if value not in runnable:
            image = "; an image is deployed with deploy_image(command=[...])" if value == IMAGE_RUNTIME else ""
            self.refuse("runtime", value, f"its code cannot be run here; these can: {', '.join(runnable)}{image}")
        return value

    def seconds(self, name: str, value: object, least: int, most: int, what: str) -> int:
        rule = f"{what} is {least} to {most:,} whole seconds"
        seconds: float | int
        if isinstance(value, timedelta):
            seconds = value.total_seconds()
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = value
        else:
            self.refuse(name, value, rule)
        if not least <= seconds <= most or seconds != int(seconds):  # NaN fails the first comparison
            self.refuse(name, value, rule)
        return int(seconds)

    def memory(self, value: object) -> int | None:
        if value is None:
            return None
        valid = (
            isinstance(value, int)
            and not isinstance(value, bool)
            and (value == SMALLEST_MEMORY or (MEMORY_STEP <= value <= MAX_MEMORY and value % MEMORY_STEP == 0))
        )
        if not valid:
            self.refuse("memory", value, "it is None, 64, or 128 to 3072 in steps of 128 (MB)")
        assert isinstance(value, int)
        return value

    def max_instances(self, value: object) -> int | None:
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.refuse("max_instances", value, "it is None (no limit) or a whole number, 1 or more")
        return value

    def network(self, value: object) -> str:
        if value not in NETWORKS:
            self.refuse("network", value, f"it is {' or '.join(map(repr, NETWORKS))}")
        return str(value)

    def background(self, value: object) -> tuple[str, ...]:
        rule = "it is a sequence of names of programs, without a directory, as in ('redis-server',)"
        if isinstance(value, str) or not isinstance(value, Sequence):
            self.refuse("background", value, rule)
        for name in value:
            if not isinstance(name, str) or not name or "/" in name or "\0" in name:
                self.refuse("background", value, rule)
        return tuple(value)

    def idle_ok(self, value: object) -> tuple[str, ...]:
        """The addresses as the kernel tells them: of a name there is only ``localhost``, which has two."""
        rule = "it is a sequence of addresses of this form: ('127.0.0.1:6379', '[::1]:6379', 'localhost:6379')"
        if isinstance(value, str) or not isinstance(value, Sequence):
            self.refuse("idle_ok", value, rule)
        found: list[str] = []
        for text in value:
            host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
            if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
                self.refuse("idle_ok", value, rule)
            brackets = host.startswith("[") and host.endswith("]")
            try:
                address = ipaddress.ip_address(host[1:-1] if brackets else "127.0.0.1" if host == "localhost" else host)
            except ValueError:
                self.refuse("idle_ok", value, rule)
            if brackets is not (address.version == 6):
                self.refuse("idle_ok", value, rule)
            found.append(f"[{address}]:{int(port)}" if brackets else f"{address}:{int(port)}")
            found += [f"[::1]:{int(port)}"] if host == "localhost" else []
        return tuple(dict.fromkeys(found))

    def environment(self, value: object) -> Mapping[str, str]:
        if value is None:
            return MappingProxyType({})
        if not isinstance(value, Mapping):
            raise ScfUsageError(  # what it says may be a secret
                f"environment of type {type(value).__name__}{self.source('environment')} is not valid: "
                "it is a mapping of names to texts, as in {'BUCKET': 'exports'}"
            )
        size = 0
        for key, text in value.items():
            if not isinstance(key, str) or _VARIABLE.fullmatch(key) is None:
                self.refuse_variable(key, "it has letters, digits and underscores, and starts with a letter")
            for prefix in RESERVED_PREFIXES:
                if key.startswith(prefix):
                    self.refuse_variable(key, f"the platform reserves names that start with {prefix}")
            if not isinstance(text, str):
                self.refuse_text(key, text, "is a str")
            if "\0" in text:
                self.refuse_text(key, text, "has no NUL character")
            try:
                size += len(key) + len(text.encode())
            except UnicodeEncodeError:
                self.refuse_text(key, text, "is valid Unicode")
        if size > MAX_ENVIRONMENT_BYTES:
            raise ScfUsageError(
                f"environment of {size:,} bytes{self.source('environment')} is not valid: names and values together "
                f"have {MAX_ENVIRONMENT_BYTES:,} bytes at most, in UTF-8"
            )
        return MappingProxyType(dict(value))
