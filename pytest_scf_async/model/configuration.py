"""What a function is configured with, checked against the platform's limits (documents 18586, 19805, 30228, 51519)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, NoReturn

from ..errors import Given, Refusal, ScfUsageError, did_you_mean, hidden_from_users
from .before_init import BeforeInit

__tracebackhide__ = hidden_from_users

DEFAULT_SYNC_TIMEOUT: Final = 3
"""Seconds that an event of a sync function may run, unless configured (document 18586)."""
DEFAULT_ASYNC_TIMEOUT: Final = 86_400
"""Seconds that an event of an async function may run at most, and here unless configured (document 51519)."""
DEFAULT_IMAGE_INIT_TIMEOUT: Final = 90
IMAGE_PORT: Final = 9000
"""Where the platform expects an image's program to listen (document 56051)."""
JOB_PORT: Final = -1
"""The port of a job image (document 94320)."""
"""Seconds that the start of an image may take, unless configured (document 56051)."""
DEFAULT_NAMESPACE: Final = "default"
"""The namespace that is always there."""
DEFAULT_MEMORY: Final = 128
"""MB of a function for which no memory is configured (document 18586)."""

HOME: Final = "/home/qcloud"
"""What HOME is in an instance of a code package (document 30228)."""
NO_RUNTIME: Final = "InvalidParameterValue.Runtime"
"""The platform's code for a runtime that it does not have."""
BAD_HANDLER: Final = "InvalidParameterValue.Handler"
MAX_SYNC_TIMEOUT: Final = 900
MIN_INIT_TIMEOUT: Final = 3
MAX_INIT_TIMEOUT: Final = 300
MAX_MEMORY: Final = 3072
MEMORY_STEP: Final = 128
SMALLEST_MEMORY: Final = 64
MAX_ENVIRONMENT_BYTES: Final = 4096
MAX_VARIABLE_NAME: Final = 64
MAX_DESCRIPTION: Final = 1000
DESCRIPTION_RULE: Final = f"it must be a string of {MAX_DESCRIPTION:,} characters at most"
"""What a description of a function, a version, an alias or a namespace has to be, as a text for errors."""
NO_CODE: Final = "InvalidParameterValue"
"""The platform's code where it has none of the parameter's own."""
TOO_LONG: Final = "LimitExceeded.Timeout"
MAX_LAYERS: Final = 5
MAX_NAMES_LENGTH: Final = 118
"""Characters of a function's namespace and name together."""
RESERVED_PREFIXES: Final = ("SCF_", "QCLOUD_", "TENCENTCLOUD_")

IMAGE_RUNTIME: Final = "CustomImage"
"""The runtime of functions that are deployed as an image (document 56051)."""
GO_RUNTIME: Final = "Go1"
CUSTOM_RUNTIME: Final = "CustomRuntime"
NODE_RUNTIMES: Final = (
    *("Nodejs6.10", "Nodejs8.9", "Nodejs10.15", "Nodejs12.16", "Nodejs14.18", "Nodejs16.13", "Nodejs18.15"),
)
PYTHON_RUNTIMES: Final = ("Python2.7", "Python3.6", "Python3.7", "Python3.9", "Python3.10")
RUNTIMES: Final = (
    *PYTHON_RUNTIMES,
    *NODE_RUNTIMES,
    "Php5.6",
    "Php7.2",
    "Php7.4",
    "Php8.0",
    GO_RUNTIME,
    "Java8",
    "Java11",
    CUSTOM_RUNTIME,
    IMAGE_RUNTIME,
)
"""Every runtime that the platform has."""

MAX_NAME_LENGTH: Final = 60
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]")
NAME_RULE: Final = (
    "it must have 2 to 60 letters, digits, hyphens and underscores, start with a letter and end with a letter or a "
    "digit"
)
"""What the name of a function or a namespace has to be, as a text for errors."""
HANDLER_RULE: Final = "it must be the file without .py, a dot and the name of the function, as in 'index.main_handler'"
"""What the handler of a Python function has to be, as a text for errors."""
_VARIABLE: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{1,{MAX_VARIABLE_NAME - 1}}}")


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function's valid configuration: what ``deploy`` and ``update`` were given, in its final form.

    `timeout` and `init_timeout` are whole seconds of simulated time. Addresses in `idle_ok` are those of the kernel,
    directories and layers absolute paths; `sources` says of each value where it came from.
    """

    # [options: configuration] written by `make options`
    handler: str
    """`"index.main_handler"`, for a directory or a zip; of a Go function the name of its binary, `"main"` unless given.
    """
    ports: tuple[int, ...]
    """Ports of the test's own servers that it finds on its loopback, as in `[6379]`; a Python handler finds all of
    them, unless its children are simulated."""
    name: str
    """By default the file's stem, made valid: `my file.py` becomes `my-file`, `h.py` `function-h`; for a directory or a
    zip whose file is `index.py`, its own name; a second one gets `-2`."""
    timeout: int
    """The time that an event may run (433)."""
    init_timeout: int
    """The time that an init may take (450)."""
    memory: int | None
    """MB, enforced only where given (434)."""
    description: str
    """The description that GetFunction returns, at most 1,000 characters."""
    runtime: str
    """For Python, the value of `SCF_RUNTIME`; `"Go1"`: `code` is the directory or zip of a Go package or of a built
    binary; `"Nodejs18.15"` and the others of Node.js, `"CustomRuntime"`: that with `index.js`, or with `bootstrap`;
    another one is for a plugin (`pytest_scf_async_launcher`)."""
    namespace: str
    """Its namespace."""
    async_run: bool
    """It is executed asynchronously (document 51519)."""
    trace: bool
    """Its status trace is on (document 63967)."""
    max_instances: int | None
    """The number of events that may run at once; one more is `LimitExceeded.Quota`."""
    over_quota: str
    """`"refuse"`, or `"queue"`: one more of `invoke_async` is retried each simulated minute, for 6 hours."""
    layers: tuple[str, ...]
    """Directories and zips at `/opt`, later ones over earlier ones."""
    mounts: tuple[tuple[str, str], ...]
    """Directories that handlers may write, each at its own path or a pair with its path in an instance."""
    network: str
    """`"loopback"`: connections to other machines are refused; or `"all"`."""
    environment: Mapping[str, str] = field(hash=False, repr=False)
    """Variables, besides the platform's and those of the settings."""
    before_init: BeforeInit | None
    """A function, or `"tests/fakes.py:install"`, that is called in each instance before the module is imported; not for
    Go, which has no Python process."""
    children: str
    """`"real"`, or `"simulated"`: the child processes of a Python handler are on the simulated clock too (time.md)."""
    background: tuple[str, ...]
    """Names of programs that do not hold the clock while they run."""
    idle_ok: tuple[str, ...]
    """Addresses, as in `["127.0.0.1:6379"]`: an answer on a connection to one of them may be awaited for ever, and
    holds the clock for one real second only."""
    compute_rate: float
    """Simulated seconds that a second of computing, of a child process or of another real wait takes; 0: none."""
    # [end]
    sources: Mapping[str, str] = field(compare=False, repr=False)

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


def is_valid_name(value: object) -> bool:
    """Whether *value* can be the name of a function or of a namespace."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def valid_name(stem: str, number: int = 1, namespace: str = "default") -> str:
    """A valid function name made from a file's stem: ``my file.v2`` gives ``my-file-v2``, ``_x`` gives ``function-x``.

    From the second function of a stem on, `number` is put at its end: ``export-2``. Never raises for any text.
    """
    longest = min(MAX_NAME_LENGTH, MAX_NAMES_LENGTH - len(namespace))
    suffix = f"-{number}" if number > 1 else ""
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")
    if len(cleaned + suffix) < 2 or not cleaned[:1].isalpha():
        cleaned = f"function-{cleaned}".rstrip("-")
    return cleaned[: longest - len(suffix)].rstrip("-_") + suffix


def check_runtime(given: Given, runnable: Sequence[str]) -> str:
    """The runtime, where its code can be run."""
    runtime = given.value
    if not isinstance(runtime, str) or runtime not in RUNTIMES:
        near = did_you_mean(runtime, RUNTIMES) if isinstance(runtime, str) else ""
        given.refuse(f"the platform has {', '.join(RUNTIMES)}{near}", NO_RUNTIME)
    if runtime not in runnable:
        image = "; an image is deployed with deploy_image(command=[...])" if runtime == IMAGE_RUNTIME else ""
        given.refuse(f"its code cannot be run here; these can: {', '.join(runnable)}{image}", NO_RUNTIME)
    return runtime


# -- the platform's limits -------------------------------------------------------------------------------------------

Function = Mapping[str, Given]
"""What a function is configured with, by name: the limit of one value may depend on another."""


def _name(given: Given, function: Function) -> str:
    name, namespace = _valid_name(given, "InvalidParameterValue.FunctionName"), function["namespace"]
    if is_valid_name(namespace.value) and (length := len(name) + len(namespace.value)) > MAX_NAMES_LENGTH:
        given.refuse(
            f"with namespace={namespace.value!r}{namespace.shown_source} it has {length} characters, and both together "
            f"have {MAX_NAMES_LENGTH} at most",
            "InvalidParameterValue.LimitExceeded",
        )
    return name


def _namespace(given: Given, _: Function) -> str:
    return _valid_name(given, "InvalidParameterValue.Namespace")


def _valid_name(given: Given, code: str) -> str:
    if not is_valid_name(given.value):
        given.refuse(NAME_RULE, code)
    return str(given.value)


def _handler(given: Given, function: Function) -> str:
    handler = given.value
    if function["runtime"].value not in PYTHON_RUNTIMES:  # the name of a program, or whatever its runtime makes of it
        if not isinstance(handler, str) or not handler or "\0" in handler:
            given.refuse("it must be a non-empty string, such as the name of the binary, 'main'", BAD_HANDLER)
        return handler
    if not isinstance(handler, str):
        given.refuse(HANDLER_RULE, BAD_HANDLER)
    module, _, function_name = handler.rpartition(".")
    module_parts = re.split(r"[./]", module)
    if not function_name.isidentifier() or any(part != part.strip() or not part for part in module_parts):
        given.refuse(HANDLER_RULE, BAD_HANDLER)
    return handler


def _timeout(given: Given, function: Function) -> int:
    is_async = function["async_run"].value
    if given.value is None:
        return DEFAULT_ASYNC_TIMEOUT if is_async else DEFAULT_SYNC_TIMEOUT
    if is_async:
        return _seconds(given, 1, DEFAULT_ASYNC_TIMEOUT, "the timeout of an async function", TOO_LONG)
    return _seconds(given, 1, MAX_SYNC_TIMEOUT, "the timeout of a sync function", TOO_LONG)


def _init_timeout(given: Given, _: Function) -> int:
    init_too_long = "LimitExceeded.InitTimeout"
    return _seconds(given, MIN_INIT_TIMEOUT, MAX_INIT_TIMEOUT, "the init timeout of a function", init_too_long)


def _seconds(given: Given, least: int, most: int, what: str, too_long: str) -> int:
    """The whole seconds; *too_long* is the platform's code for more than the *most*, for other values it has none."""
    rule = f"{what} is {least} to {most:,} whole seconds"
    seconds = given.value.total_seconds() if isinstance(given.value, timedelta) else given.value
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        given.refuse(rule, NO_CODE)
    if not least <= seconds <= most or seconds != int(seconds):  # NaN fails the first comparison
        given.refuse(rule, too_long if seconds > most else NO_CODE)
    return int(seconds)


def _memory(given: Given, _: Function) -> int | None:
    memory = given.value
    if memory is None:
        return None
    if (
        not isinstance(memory, int)
        or isinstance(memory, bool)
        or (memory != SMALLEST_MEMORY and not (MEMORY_STEP <= memory <= MAX_MEMORY and memory % MEMORY_STEP == 0))
    ):
        too_much = isinstance(memory, int) and memory > MAX_MEMORY
        code = "LimitExceeded.Memory" if too_much else "InvalidParameterValue.MemorySize"
        given.refuse("it must be None, 64, or 128 to 3072 in steps of 128 (MB)", code)
    return memory


def _description(given: Given, _: Function) -> str:
    text = given.value
    if not isinstance(text, str) or len(text) > MAX_DESCRIPTION:
        given.refuse(DESCRIPTION_RULE, "InvalidParameterValue.Description")
    return text


def _layers(given: Given, _: Function) -> tuple[str, ...]:
    layers: tuple[str, ...] = given.value
    if len(layers) > MAX_LAYERS:
        shown = Given(given.name, list(layers), given.source)
        shown.refuse(f"a function has {MAX_LAYERS} layers at most, and these are {len(layers)}")
    return layers


def _environment(given: Given, _: Function) -> Mapping[str, str]:
    environment, source = given.value, given.shown_source

    def refuse(message: str, valid: str, code: str = "InvalidParameterValue.Environment") -> NoReturn:
        raise ScfUsageError(f"{message} is not valid: {valid}", Refusal(given.name, None, valid, code))

    def refuse_variable(key: object, valid: str, code: str = "InvalidParameterValue.Environment") -> NoReturn:
        raise ScfUsageError(
            f"the environment variable {key!r}{source} is not valid: {valid}",
            Refusal(given.name, None, f"the name of a variable is {key!r}, and {valid}", code),
        )

    def refuse_text(key: str, text: object, valid: str) -> NoReturn:
        refuse(
            f"environment[{key!r}] of type {type(text).__name__}{source}",
            f"the value of an environment variable {valid}",
        )

    if not isinstance(environment, Mapping):
        refuse(  # what it says may be a secret
            f"environment of type {type(environment).__name__}{source}",
            "it must be a mapping of names to str, as in {'BUCKET': 'exports'}",
        )
    size = 0
    for key, text in environment.items():
        if not isinstance(key, str) or _VARIABLE.fullmatch(key) is None:
            refuse_variable(
                key, f"it has 2 to {MAX_VARIABLE_NAME} letters, digits and underscores, and starts with a letter"
            )
        for prefix in RESERVED_PREFIXES:
            if key.startswith(prefix):
                protected = "InvalidParameterValue.EnvironmentSystemProtect"
                refuse_variable(key, f"the platform reserves names that start with {prefix}", protected)
        if not isinstance(text, str):
            refuse_text(key, text, "is a str")
        if "\0" in text:
            refuse_text(key, text, "has no NUL character")
        try:
            size += len(key) + len(text.encode())
        except UnicodeEncodeError:
            refuse_text(key, text, "is valid Unicode")
    if size > MAX_ENVIRONMENT_BYTES:
        refuse(
            f"environment of {size:,} bytes{source}",
            f"names and values together have {MAX_ENVIRONMENT_BYTES:,} bytes at most, in UTF-8",
            "InvalidParameterValue.EnvironmentExceededLimit",
        )
    return MappingProxyType(dict(environment))


LIMITS: Final[Mapping[str, Callable[[Given, Function], object]]] = {
    "name": _name,
    "namespace": _namespace,
    "handler": _handler,
    "runtime": lambda given, _: check_runtime(given, RUNTIMES),
    "timeout": _timeout,
    "init_timeout": _init_timeout,
    "memory": _memory,
    "description": _description,
    "environment": _environment,
    "layers": _layers,
}
"""What the platform allows of an option of that name, for a function; of all others, whatever their rule allows."""
