"""Every setting and every keyword: one table, which all that names them follows.

An option is added as a row of OPTIONS; beside it is only the code that uses its value. ``make options`` writes from
the table what has to stand in the source for type checkers, editors and readers (the fields of `ScfSettings` and of
`FunctionConfiguration`, the signatures of ``deploy``, ``deploy_image``, ``deploy_scripted``, ``update`` and
``scf_function``, the options of pytest, the tables of docs/reference.md), and everything else reads the table. A test
compares the two.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Flag, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from .errors import Given, ScfUsageError, constructor_named, did_you_mean, hidden_from_users

__tracebackhide__ = hidden_from_users

DEFAULT_SOURCE: Final = "default"
LONGEST_DURATION: Final = 100 * 366 * 86_400
"""Seconds in a century: what is longer is a mistake, and would leave the range of datetime."""
FASTEST_RATE: Final = 1_000_000
"""Simulated seconds for a real one: more is a mistake."""
CONSTRUCTOR_SOURCE: Final = "ScfSettings(...)"
PORT_FORM: Final = "a port is a whole number from 1 to 65535"
_EARLIEST_START: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST_START: Final = datetime(9000, 1, 1, tzinfo=timezone.utc)


# -- rules -----------------------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """What the value of an option has to be. Of a function's, the platform may allow less: `LIMITS` of the model."""

    check: Callable[[Given], object]
    """Gives the value in its final form, or refuses it."""
    read: Callable[[str], object] = str
    """Makes a value of a text of the command line or the ini file; what is none stays a text, which `check` refuses."""
    form: str = ""
    """How it is written there, for `pytest --help`."""
    type: str = "str"
    """What a type checker takes for the value."""


class TextSource(str):
    """The name of a place in which values are text: an option of the command line, or a line of the ini file.

    There is no None and no timedelta, and an error says nothing of these. It is a type, as nothing else tells such a
    place from the name of a call: a text of the command line, once it is read, is a number like any other.
    """

    __slots__ = ()


def _is_text(given: Given) -> bool:
    return isinstance(given.source, TextSource)


def _number(kind: Callable[[str], object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return kind(text)
        except ValueError:
            return text

    return read


def _duration(zero: bool) -> Rule:
    """Seconds, or a timedelta, which becomes its seconds."""

    def check(given: Given) -> float:
        seconds = given.value.total_seconds() if isinstance(given.value, timedelta) else given.value
        if (
            not isinstance(seconds, (int, float))
            or isinstance(seconds, bool)
            or not 0 <= seconds <= LONGEST_DURATION  # NaN is neither
            or (seconds == 0 and not zero)
        ):
            least = "0 or more" if zero else "more than 0"
            timedeltas = "" if _is_text(given) else ", or such a timedelta"
            given.has_to_be(f"a number of seconds, {least} and {LONGEST_DURATION:,} at most{timedeltas}")
        return seconds

    return Rule(check, read=_number(float), type="float")


def _check_rate(given: Given) -> float:
    rate = given.value
    if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 <= rate <= FASTEST_RATE:  # NaN is neither
        given.has_to_be(f"a number of simulated seconds for each real one, 0 to {FASTEST_RATE:,}")
    return rate


def _check_count(given: Given) -> int:
    if not isinstance(given.value, int) or isinstance(given.value, bool) or given.value < 1:
        given.has_to_be("a whole number, 1 or more")
    return given.value


def _check_switch(given: Given) -> bool:
    if not isinstance(given.value, bool):
        given.has_to_be("True or False")
    return given.value


def _read_switch(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), text)


def _choice(*words: str) -> Rule:
    def check(given: Given) -> str:
        if not isinstance(given.value, str) or given.value not in words:
            given.has_to_be(" or ".join(map(repr, words)))
        return words[words.index(given.value)]

    quoted = ", ".join(f'"{word}"' for word in words)
    return Rule(check, form=f"{', '.join(words[:-1])} or {words[-1]}", type=f"Literal[{quoted}]")


def _check_start(given: Given) -> datetime:
    when = given.value
    if isinstance(when, str) and _is_text(given):
        given.has_to_be(f"a time with its zone, as in {_WRITTEN_TIME}")
    if not isinstance(when, datetime) or when.utcoffset() is None:
        given.has_to_be("an aware datetime, as in datetime(2026, 1, 1, tzinfo=timezone.utc)")
    if not _EARLIEST_START <= when <= _LATEST_START:
        given.has_to_be("an aware datetime in the years 1970 to 8999")
    return when


_WRITTEN_TIME: Final = "2026-01-01T00:00:00+00:00"


def _read_time(text: str) -> object:
    try:
        when = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        return text
    return text if when.utcoffset() is None else when


def _check_zone(given: Given) -> tzinfo:
    if not isinstance(given.value, tzinfo):
        given.has_to_be("a tzinfo, as in timezone(timedelta(hours=8))")
    return given.value


def _check_environment(given: Given) -> Mapping[str, str]:
    valid = "a mapping of str to str, as in {'BUCKET': 'exports'}"
    if not isinstance(given.value, Mapping):  # what it says may be a secret
        raise ScfUsageError(
            f"{given.name} of type {type(given.value).__name__} ({given.source}) is not valid: it must be {valid}"
        )
    checked: dict[str, str] = {}
    for key, text in given.value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ScfUsageError(
                f"{given.name}[{key!r}] of type {type(text).__name__} ({given.source}) is not valid: "
                f"it is part of {valid}"
            )
        checked[key] = text
    return MappingProxyType(checked)


def _check_modules(given: Given) -> tuple[str, ...]:
    names = [each.strip() for each in given.value.split(",")] if isinstance(given.value, str) else given.value
    if (
        not isinstance(names, Sequence)
        or not all(isinstance(each, str) for each in names)
        or not all(part.isidentifier() for each in names for part in each.split("."))
    ):
        given.has_to_be("names of modules, as in 'requests,qcloud_cos' or ['requests', 'qcloud_cos']")
    return tuple(names)


def _check_text(given: Given) -> str:
    if not isinstance(given.value, str) or not given.value:
        given.has_to_be("a non-empty string")
    return given.value


def _check_path(given: Given) -> str:
    if not isinstance(given.value, (str, os.PathLike)):
        given.has_to_be("a path")
    return os.fspath(given.value)


def _check_programs(given: Given) -> tuple[str, ...]:
    rule = "a sequence of names of programs, without a directory, as in ('redis-server',)"
    if isinstance(given.value, str) or not isinstance(given.value, Sequence):
        given.has_to_be(rule)
    for name in given.value:
        if not isinstance(name, str) or not name or "/" in name or "\0" in name:
            given.has_to_be(rule)
    return tuple(given.value)


def _check_addresses(given: Given) -> tuple[str, ...]:
    """The addresses as the kernel has them: of names there is only ``localhost``, which has two."""
    import ipaddress  # noqa: PLC0415  (a session that reads its settings needs none)

    rule = "a sequence of addresses of this form: ('127.0.0.1:6379', '[::1]:6379', 'localhost:6379')"
    if isinstance(given.value, str) or not isinstance(given.value, Sequence):
        given.has_to_be(rule)
    found: list[str] = []
    for text in given.value:
        host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            given.has_to_be(rule)
        brackets = host.startswith("[") and host.endswith("]")
        try:
            address = ipaddress.ip_address(host[1:-1] if brackets else "127.0.0.1" if host == "localhost" else host)
        except ValueError:
            given.has_to_be(rule)
        if brackets is not (address.version == 6):
            given.has_to_be(rule)
        address = getattr(address, "ipv4_mapped", None) or address
        found.append(f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}")
        found += [f"[::1]:{int(port)}"] if host == "localhost" else []
    return tuple(dict.fromkeys(found))


def _check_ports(given: Given) -> tuple[int, ...]:
    if isinstance(given.value, (str, bytes)) or not isinstance(given.value, Sequence):
        given.has_to_be("a list of the ports of the test's own servers, as in ports=[6379]")
    for port in given.value:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65_536:
            given.refuse(f"{port!r} is not a port; {PORT_FORM}")
    return tuple(dict.fromkeys(given.value))


_DURATION: Final = _duration(zero=False)
_DURATION_OR_ZERO: Final = _duration(zero=True)
_RATE: Final = Rule(_check_rate, read=_number(float), type="float")
_COUNT: Final = Rule(_check_count, read=_number(int), type="int")
_SWITCH: Final = Rule(_check_switch, read=_read_switch, form="true or false", type="bool")
_START: Final = Rule(_check_start, read=_read_time, form=_WRITTEN_TIME, type="datetime")
_ZONE: Final = Rule(_check_zone, type="tzinfo")
_ENVIRONMENT: Final = Rule(_check_environment, type="Mapping[str, str]")
_MODULES: Final = Rule(_check_modules, type="Sequence[str]")
_TEXT: Final = Rule(_check_text)
_PROGRAMS: Final = Rule(_check_programs, type="Sequence[str]")
_ADDRESSES: Final = Rule(_check_addresses, type="Sequence[str]")
_PORTS: Final = Rule(_check_ports, type="Sequence[int]")
_ANYTHING: Final = Rule(lambda given: given.value)
"""What the call that takes it checks itself: code, and what has to be found on disk."""


# -- the table -------------------------------------------------------------------------------------------------------


class Where(Flag):
    """Where an option may be given."""

    SETTINGS = auto()
    """As an argument of ``ScfSettings``, for everything that is deployed or run under these settings."""
    PYTEST = auto()
    """As ``--scf-async-NAME`` on the command line and ``scf_async_NAME`` in the ini file."""
    DEPLOY = auto()
    """As a keyword of ``deploy`` and of the marker ``scf_function``."""
    IMAGE = auto()
    """As a keyword of ``deploy_image``."""
    UPDATE = auto()
    """As a keyword of ``update``."""
    SCRIPTED = auto()
    """As a keyword of ``deploy_scripted``."""


_PYTEST: Final = Where.SETTINGS | Where.PYTEST
_MADE: Final = Where.DEPLOY | Where.IMAGE
_FUNCTIONS: Final = _MADE | Where.UPDATE
_ALL: Final = _FUNCTIONS | Where.SCRIPTED
"""What concerns functions without code, too."""


class Option(NamedTuple):
    """One row: a setting, a keyword, or both. A keyword that is a setting, too, has its default from the settings."""

    name: str
    rule: Rule
    text: str
    """What it is, for the reference and `pytest --help`, in Markdown: of a setting as a sentence."""
    where: Where = _PYTEST
    of_type: str = ""
    """What a type checker takes for it, None aside, where that is not what it takes for a value of the rule."""
    default: object = None
    none: bool = False
    """Whether None is a value: no limit, or nothing."""
    deploy: str = ""
    """What it is as a keyword of ``deploy``, where that is another text; `text` where it is no setting."""
    image: str = ""
    """The same of ``deploy_image``; that of ``deploy`` where nothing is said."""
    kept: str = ""
    """The type of its value in a function's configuration; none is kept where this is empty."""
    written_default: str = ""
    """The default as Python, where its repr is none."""
    secret: bool = False
    """Whether its value is in no repr."""
    first: bool = False
    """Whether it is what the call is about, and may be given without its name."""
    none_clears: bool = False
    """Whether ``update`` takes None for nothing of the function's own, where no setting is None."""
    none_is_unchanged: bool = False
    """Whether ``update`` takes None for "as before", and not UNCHANGED."""
    locked: str = ""
    """Why ``update`` cannot change it, where ``deploy`` can set it."""
    of_function: bool = False
    """Whether all versions of a function have the same: ``update`` changes the published ones, too."""
    goes_with: str = ""
    """The keyword that it belongs to: a closer marker that has that one drops it."""

    @property
    def type(self) -> str:
        """What a type checker takes for it, None aside."""
        return self.of_type or self.rule.type

    def check(self, given: Given) -> object:
        """The value in its final form; raises ``ScfUsageError`` when it is not valid."""
        return None if given.value is None and self.none else self.rule.check(given)

    def given(self, value: object, source: str) -> Given:
        """A value of this option from *source*."""
        return Given(self.name, value, source, none=self.none and not isinstance(source, TextSource))


_NO_FIELD: Final = "UpdateFunctionConfiguration has no such field"

OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "code",
        _ANYTHING,
        '`"path/to/file.py:main_handler"`, where the code is the directory of the file, a code directory or zip (with '
        "`handler`), or a function of an importable module or test file",
        Where.DEPLOY | Where.UPDATE,
        of_type="str | os.PathLike[str] | Callable[..., object]",
        first=True,
        none_is_unchanged=True,
    ),
    Option(
        "command",
        _ANYTHING,
        'the program that the image starts and its arguments, a list: `["python", "app.py"]`; with `image` what its '
        "container starts instead of the image's own",
        Where.IMAGE,
        of_type="Sequence[str | os.PathLike[str]]",
        none=True,
        first=True,
    ),
    Option(
        "image",
        _ANYTHING,
        'an image that podman or docker has on this machine, as in `"shop/export:1"`: each instance is a container of '
        "its own ([how-to-languages.md](how-to-languages.md#in-a-container))",
        Where.IMAGE,
    ),
    Option(
        "handler",
        _TEXT,
        '`"index.main_handler"`, for a directory or a zip; of a Go function the name of its binary, `"main"` unless '
        "given",
        Where.DEPLOY | Where.UPDATE,
        kept="str",
        none_is_unchanged=True,
        goes_with="code",
    ),
    Option(
        "cwd",
        _ANYTHING,
        "the directory that it is started in, by default the test's; a relative one is looked up as code is; what it "
        "writes there belongs to its instance ([fidelity.md](fidelity.md#where-an-instance-differs))",
        Where.IMAGE,
        of_type="str | os.PathLike[str]",
    ),
    Option(
        "port",
        _ANYTHING,
        "the port on which it listens, on all addresses, 9000 by default; -1 for a job image, which listens nowhere",
        Where.IMAGE,
        of_type="int",
        default=9000,
        written_default="IMAGE_PORT",
    ),
    Option(
        "ports",
        _PORTS,
        "ports of the test's own servers that it finds on its loopback, as in `[6379]`; a Python handler finds all of "
        "them, unless its children are simulated",
        _FUNCTIONS,
        default=(),
        image="ports of the test's own servers that it finds on its loopback, as in `[6379]`",
        kept="tuple[int, ...]",
    ),
    Option(
        "in_process",
        _SWITCH,
        "the instance itself runs the program, which must be a single Python process: for gates at its lines, "
        "`breakpoint()`, "
        "the lines at which it waits, `before_init` and coverage ([programs.md](programs.md#in-process))",
        Where.IMAGE,
        default=False,
    ),
    Option(
        "on_terminate",
        _ANYTHING,
        'the effect of a graceful termination: `"honour"`, the event is FINISHED at once, with the result null; '
        '`"ignore"`, nothing; `after(60)`, it is FINISHED 60 simulated seconds later; `after(0, exited())`, it ends '
        "at once with 439, like code without a SIGTERM handler",
        Where.SCRIPTED,
        of_type="OnTerminate",
        default="honour",
    ),
    Option(
        "by_event",
        _ANYTHING,
        "other scripts for some events: by their index in `function.events`, as in `{0: [failed()]}`, or a function "
        "of the payload that returns a script, or None for `script`",
        Where.SCRIPTED,
        of_type="ByEvent",
        none=True,
    ),
    Option(
        "name",
        _TEXT,
        "by default the file's stem, made valid: `my file.py` becomes `my-file`, `h.py` `function-h`; for a directory "
        "or a zip whose file is `index.py`, its own name; a second one gets `-2`",
        _MADE,
        image="by default the name of the script, module or program; a second one gets `-2`",
        kept="str",
        locked=_NO_FIELD,
    ),
    Option(
        "timeout",
        _DURATION,
        "Simulated seconds that an event may run; by default 86,400 for async functions, 3 for sync ones.",
        _PYTEST | _ALL,
        of_type="float | timedelta",
        none=True,
        deploy="the time that an event may run (433)",
        kept="int",
    ),
    Option(
        "init_timeout",
        _DURATION,
        "Simulated seconds that the init of an instance may take.",
        _PYTEST | _FUNCTIONS,
        of_type="float | timedelta",
        default=65,
        deploy="the time that an init may take (450)",
        image="the time that the start may take (450), 90 s by default; 30 s with the port closed are 446",
        kept="int",
    ),
    Option(
        "memory",
        _COUNT,
        "MB of a function, beyond which its events end with 434; by default 128 is shown and no limit is enforced.",
        _PYTEST | _FUNCTIONS,
        none=True,
        deploy="MB, enforced only where given (434)",
        kept="int | None",
    ),
    Option(
        "description",
        _ANYTHING,
        "the description that GetFunction returns, at most 1,000 characters",
        _FUNCTIONS,
        default="",
        kept="str",
    ),
    Option(
        "real_timeout",
        _DURATION,
        "Real seconds without progress after which a blocking call ends with an error, also while an event computes; "
        "seconds in which pytest itself was stopped do not count.",
        default=10.0,
    ),
    Option(
        "real_limit",
        _DURATION,
        "Real seconds after which a blocking call ends with an error, whatever its progress.",
        default=120.0,
    ),
    Option(
        "compute_grace",
        _DURATION,
        "Seconds of its own CPU time after which an instance that does not wait gives up its turn to others.",
        default=1.0,
    ),
    Option(
        "clock_reads_before_wait",
        _COUNT,
        "Reads of the clock at one place in user code, with no wait, record, write or traffic on a connection in "
        "between, after which each further read there counts as a wait of one millisecond.",
        default=1000,
    ),
    Option(
        "program_cpus",
        _COUNT,
        "The number of CPUs that a program on the simulated clock may use, with all that it starts. With more than "
        "one, the order of what its threads do at one instant differs from run to run.",
        default=1,
    ),
    Option(
        "sandbox",
        _choice("auto", "namespaces", "none"),
        'The isolation of an instance\'s files: "namespaces", "none" (a TMPDIR only), or "auto" (namespaces if '
        "available).",
        of_type="str",
        default="auto",
    ),
    Option(
        "clock",
        _choice("auto", "page", "freezegun"),
        'The implementation of an instance\'s wall clock: "page" ([genuine `datetime`](time.md#genuine-classes)), '
        '"freezegun" (its classes) or "auto" (page if possible).',
        of_type="str",
        default="auto",
    ),
    Option(
        "leases",
        _SWITCH,
        "An instance may move the clock itself while nothing else is due; False only makes sleeps slower.",
        default=True,
    ),
    Option(
        "preload",
        _MODULES,
        "Installed modules that are imported once, before instances start: names, or a string with commas between "
        "them. A module that starts a Python thread is refused; threads of C libraries are allowed.",
        default=(),
    ),
    Option(
        "idle_reclaim",
        _DURATION_OR_ZERO,
        "Simulated seconds after which an idle instance is reclaimed.",
        default=300.0,
    ),
    Option(
        "start",
        _START,
        "The simulated time (aware) at which a runtime starts; timelines are in its zone; by default now, or the time "
        "of an active `freeze_time`.",
        none=True,
    ),
    Option(
        "patched",
        _SWITCH,
        "A test with `scf_runtime` is itself on the simulated clock, as within `scf_clock.patched()`.",
        default=False,
    ),
    Option(
        "time_zone",
        _ZONE,
        "The zone of times on the wire.",
        Where.SETTINGS,
        default=timezone(timedelta(hours=8)),
        written_default="timezone(timedelta(hours=8))",
    ),
    Option(
        "graceful_return_status",
        _choice("FINISHED", "ABORTED"),
        "The status of an event whose handler returns after SIGTERM: FINISHED or ABORTED.",
        of_type="str",
        default="FINISHED",
    ),
    Option(
        "graceful_exit_status",
        _choice("FAILED", "ABORTED"),
        "The status of an event whose process ends after SIGTERM: FAILED or ABORTED.",
        of_type="str",
        default="FAILED",
    ),
    Option(
        "unlistened_signal_line",
        _choice("received", "failed"),
        "The platform's line about a SIGTERM that reached a process without a handler: received or failed.",
        default="received",
    ),
    Option(
        "restore_environment",
        _SWITCH,
        "A function's own variables are as configured whenever an event begins, whatever an earlier one has changed.",
        default=True,
    ),
    Option(
        "terminate_without_trace",
        _SWITCH,
        "Events of functions without status trace can be terminated.",
        default=True,
    ),
    Option(
        "api_rate_limits",
        _SWITCH,
        "The endpoint refuses requests beyond the platform's limits per (simulated) second.",
        default=False,
    ),
    Option(
        "official_hosts",
        _choice("endpoint", "machine"),
        "The destination of the platform's hosts while there is an endpoint: SCF's hosts lead to it and other hosts "
        'of the API are refused ("endpoint"), or the machine resolves all of them ("machine").',
        default="endpoint",
    ),
    Option("async_invoke_result", _SWITCH, "An asynchronous Invoke is answered with a `Result`, too.", default=True),
    Option(
        "cos_directory",
        Rule(_check_path, type="str | os.PathLike[str]"),
        "The directory with a directory for each COS bucket, whose files are the objects that code may come from.",
        Where.SETTINGS,
        none=True,
    ),
    Option("region", _TEXT, "The region in contexts and environments.", Where.SETTINGS, default="ap-guangzhou"),
    Option("appid", _TEXT, "The account's AppId there.", Where.SETTINGS, default="1250000000"),
    Option("uin", _TEXT, "The account's Uin there.", Where.SETTINGS, default="100000000000"),
    Option(
        "runtime",
        _TEXT,
        "The runtime of code packages; for Python it is only the value of SCF_RUNTIME: the interpreter is the test's "
        "own.",
        Where.SETTINGS | Where.DEPLOY,
        default="Python3.10",
        deploy=(
            'for Python, the value of `SCF_RUNTIME`; `"Go1"`: `code` is the directory or zip of a Go package or of a '
            'built binary; `"Nodejs18.15"` and the others of Node.js, `"CustomRuntime"`: that with `index.js`, or '
            "with `bootstrap`; another one is for a plugin (`pytest_scf_async_launcher`)"
        ),
        kept="str",
        locked=_NO_FIELD,
    ),
    Option(
        "namespace",
        _TEXT,
        "The default namespace of functions.",
        Where.SETTINGS | _MADE | Where.SCRIPTED,
        default="default",
        deploy="its namespace",
        kept="str",
        locked=_NO_FIELD,
    ),
    Option(
        "async_run",
        _SWITCH,
        "Functions run asynchronously by default.",
        Where.SETTINGS | _MADE | Where.SCRIPTED,
        default=True,
        deploy="it is executed asynchronously (document 51519)",
        kept="bool",
        locked="document 51519: sync and async execution cannot be switched",
    ),
    Option(
        "trace",
        _SWITCH,
        "The status trace of functions is on by default.",
        Where.SETTINGS | _ALL,
        default=True,
        deploy="its status trace is on (document 63967)",
        kept="bool",
        of_function=True,
    ),
    Option(
        "max_instances",
        _COUNT,
        "the number of events that may run at once; one more is `LimitExceeded.Quota`",
        _ALL,
        none=True,
        kept="int | None",
        of_function=True,
    ),
    Option(
        "over_quota",
        _choice("refuse", "queue"),
        "The treatment of an invocation beyond `max_instances`: it is refused, or queued and retried each minute "
        '("queue").',
        _PYTEST | _ALL,
        default="refuse",
        deploy='`"refuse"`, or `"queue"`: one more of `invoke_async` is retried each simulated minute, for 6 hours',
        kept="str",
        of_function=True,
    ),
    Option(
        "function_states",
        _choice("immediate", "timed"),
        'A function is Active at once ("immediate"), or after it was Creating, Updating or Publishing for a while '
        '("timed").',
        default="immediate",
    ),
    Option(
        "function_state_time",
        _DURATION,
        "Simulated seconds for which a function is Creating, Updating, Publishing or Deleting where that takes time.",
        default=2.0,
    ),
    Option(
        "layers",
        _ANYTHING,
        "directories and zips at `/opt`, later ones over earlier ones",
        Where.DEPLOY | Where.UPDATE,
        of_type="Sequence[str | os.PathLike[str]]",
        default=(),
        kept="tuple[str, ...]",
    ),
    Option(
        "mounts",
        _ANYTHING,
        "directories that handlers may write, each at its own path or a pair with its path in an instance",
        _FUNCTIONS,
        of_type="Mounts",
        default=(),
        image="directories that the program may write, each at its own path or a pair with its path in an instance",
        kept="tuple[tuple[str, str], ...]",
    ),
    Option(
        "network",
        _choice("loopback", "all"),
        "The addresses that handlers may connect to: this machine's loopback only, or all.",
        _PYTEST | _FUNCTIONS,
        default="loopback",
        deploy='`"loopback"`: connections to other machines are refused; or `"all"`',
        image='`"loopback"`: a network of its own; `"all"`: the machine\'s, with its port',
        kept="str",
    ),
    Option(
        "environment",
        _ENVIRONMENT,
        "Environment variables of every function; their values may be secrets and appear in no repr and no message.",
        Where.SETTINGS | _FUNCTIONS,
        default=MappingProxyType({}),
        written_default="field(default_factory=lambda: MappingProxyType({}), hash=False, repr=False)",
        deploy="variables, besides the platform's and those of the settings",
        kept="Mapping[str, str]",
        secret=True,
        none_clears=True,
    ),
    Option(
        "before_init",
        _ANYTHING,
        'a function, or `"tests/fakes.py:install"`, that is called in each instance before the module is imported; '
        "not for Go, which has no Python process",
        _FUNCTIONS,
        of_type="str | Callable[..., object]",
        none=True,
        image=(
            'a function, or `"tests/fakes.py:install"`, that is called in each instance before the program\'s first '
            "line; it needs `in_process=True`"
        ),
        kept="BeforeInit | None",
    ),
    Option(
        "before_init_args",
        _ANYTHING,
        "its keyword arguments (a dict) or arguments (a list), of JSON",
        _FUNCTIONS,
        of_type="Mapping[str, Json] | Sequence[Json]",
        none=True,
        goes_with="before_init",
    ),
    Option(
        "children",
        _choice("real", "simulated"),
        '`"real"`, or `"simulated"`: the child processes of a Python handler are on the simulated clock too '
        "([time.md](time.md#simulated-children))",
        Where.DEPLOY | Where.UPDATE,
        default="real",
        kept="str",
    ),
    Option(
        "background",
        _PROGRAMS,
        "names of programs that do not hold the clock while they run",
        _FUNCTIONS,
        default=(),
        kept="tuple[str, ...]",
    ),
    Option(
        "idle_ok",
        _ADDRESSES,
        'addresses, as in `["127.0.0.1:6379"]`: an answer on a connection to one of them may be awaited for ever, and '
        "holds the clock for one real second only",
        _FUNCTIONS,
        default=(),
        kept="tuple[str, ...]",
    ),
    Option(
        "compute_rate",
        _RATE,
        "Simulated seconds that a second of computing, of a child process or of another real wait takes; 0: none.",
        _PYTEST | _FUNCTIONS,
        default=0.0,
        image=(
            "simulated seconds that a second of computing, of a child process or of another real wait takes; 0: none. "
            "A free-running program takes its real time anyway"
        ),
        kept="float",
    ),
    Option(
        "stop_noise",
        _DURATION_OR_ZERO,
        "If computing, children and real waits after a SIGTERM take fewer real seconds, `assert_stopped_within` does "
        "not count them.",
        default=0.25,
    ),
    Option(
        "never_run",
        _choice("fail", "warn", "ignore"),
        "The effect on a passing test of an event none of whose code ever ran: fail, warn or ignore.",
        default="fail",
    ),
    Option(
        "unfinished",
        _choice("warn", "fail", "ignore"),
        "The effect on a passing test of an event that is still running, and of which the test read nothing after its "
        "last blocking call: warn, fail or ignore.",
        default="warn",
    ),
    Option(
        "status_reads_limit",
        _COUNT,
        "Reads of an event's status without a blocking call in between, after which the next read is an error.",
        default=1000,
    ),
)
"""All of them, in the order in which they are shown everywhere."""

_BY_NAME: Final = {option.name: option for option in OPTIONS}


def option_named(name: str) -> Option:
    """The row of that name."""
    return _BY_NAME[name]


@functools.cache
def options_of(where: Where) -> tuple[Option, ...]:
    """The options that may be given there."""
    return tuple(option for option in OPTIONS if where in option.where)


def keywords_of(where: Where, local: Mapping[str, object]) -> dict[str, Any]:
    """What a call that takes the options of *where* was given, out of its ``locals()``."""
    return {option.name: local[option.name] for option in options_of(where)}


# -- settings --------------------------------------------------------------------------------------------------------


@constructor_named(("sources",))
@dataclass(frozen=True)
class ScfSettings:
    """The settings of a runtime. Durations are seconds; a timedelta is taken too, and becomes its seconds.

    Making one, and `replace`, raise ScfUsageError with the value, its source and what is valid. The limits of the
    platform itself (memory steps, longest timeouts, reserved names) are checked when a function is configured.
    """

    # [options: settings] written by `make options`
    timeout: float | timedelta | None = None
    """Simulated seconds that an event may run; by default 86,400 for async functions, 3 for sync ones."""
    init_timeout: float | timedelta = 65
    """Simulated seconds that the init of an instance may take."""
    memory: int | None = None
    """MB of a function, beyond which its events end with 434; by default 128 is shown and no limit is enforced."""
    real_timeout: float = 10.0
    """Real seconds without progress after which a blocking call ends with an error, also while an event computes;
    seconds in which pytest itself was stopped do not count."""
    real_limit: float = 120.0
    """Real seconds after which a blocking call ends with an error, whatever its progress."""
    compute_grace: float = 1.0
    """Seconds of its own CPU time after which an instance that does not wait gives up its turn to others."""
    clock_reads_before_wait: int = 1000
    """Reads of the clock at one place in user code, with no wait, record, write or traffic on a connection in between,
    after which each further read there counts as a wait of one millisecond."""
    program_cpus: int = 1
    """The number of CPUs that a program on the simulated clock may use, with all that it starts. With more than one,
    the order of what its threads do at one instant differs from run to run."""
    sandbox: str = "auto"
    """The isolation of an instance's files: "namespaces", "none" (a TMPDIR only), or "auto" (namespaces if available).
    """
    clock: str = "auto"
    """The implementation of an instance's wall clock: "page" (genuine `datetime`), "freezegun" (its classes) or "auto"
    (page if possible)."""
    leases: bool = True
    """An instance may move the clock itself while nothing else is due; False only makes sleeps slower."""
    preload: Sequence[str] = ()
    """Installed modules that are imported once, before instances start: names, or a string with commas between them. A
    module that starts a Python thread is refused; threads of C libraries are allowed."""
    idle_reclaim: float = 300.0
    """Simulated seconds after which an idle instance is reclaimed."""
    start: datetime | None = None
    """The simulated time (aware) at which a runtime starts; timelines are in its zone; by default now, or the time of
    an active `freeze_time`."""
    patched: bool = False
    """A test with `scf_runtime` is itself on the simulated clock, as within `scf_clock.patched()`."""
    time_zone: tzinfo = timezone(timedelta(hours=8))
    """The zone of times on the wire."""
    graceful_return_status: str = "FINISHED"
    """The status of an event whose handler returns after SIGTERM: FINISHED or ABORTED."""
    graceful_exit_status: str = "FAILED"
    """The status of an event whose process ends after SIGTERM: FAILED or ABORTED."""
    unlistened_signal_line: Literal["received", "failed"] = "received"
    """The platform's line about a SIGTERM that reached a process without a handler: received or failed."""
    restore_environment: bool = True
    """A function's own variables are as configured whenever an event begins, whatever an earlier one has changed."""
    terminate_without_trace: bool = True
    """Events of functions without status trace can be terminated."""
    api_rate_limits: bool = False
    """The endpoint refuses requests beyond the platform's limits per (simulated) second."""
    official_hosts: Literal["endpoint", "machine"] = "endpoint"
    """The destination of the platform's hosts while there is an endpoint: SCF's hosts lead to it and other hosts of the
    API are refused ("endpoint"), or the machine resolves all of them ("machine")."""
    async_invoke_result: bool = True
    """An asynchronous Invoke is answered with a `Result`, too."""
    cos_directory: str | os.PathLike[str] | None = None
    """The directory with a directory for each COS bucket, whose files are the objects that code may come from."""
    region: str = "ap-guangzhou"
    """The region in contexts and environments."""
    appid: str = "1250000000"
    """The account's AppId there."""
    uin: str = "100000000000"
    """The account's Uin there."""
    runtime: str = "Python3.10"
    """The runtime of code packages; for Python it is only the value of SCF_RUNTIME: the interpreter is the test's own.
    """
    namespace: str = "default"
    """The default namespace of functions."""
    async_run: bool = True
    """Functions run asynchronously by default."""
    trace: bool = True
    """The status trace of functions is on by default."""
    over_quota: Literal["refuse", "queue"] = "refuse"
    """The treatment of an invocation beyond `max_instances`: it is refused, or queued and retried each minute
    ("queue")."""
    function_states: Literal["immediate", "timed"] = "immediate"
    """A function is Active at once ("immediate"), or after it was Creating, Updating or Publishing for a while
    ("timed")."""
    function_state_time: float = 2.0
    """Simulated seconds for which a function is Creating, Updating, Publishing or Deleting where that takes time."""
    network: Literal["loopback", "all"] = "loopback"
    """The addresses that handlers may connect to: this machine's loopback only, or all."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False, repr=False)
    """Environment variables of every function; their values may be secrets and appear in no repr and no message."""
    compute_rate: float = 0.0
    """Simulated seconds that a second of computing, of a child process or of another real wait takes; 0: none."""
    stop_noise: float = 0.25
    """If computing, children and real waits after a SIGTERM take fewer real seconds, `assert_stopped_within` does not
    count them."""
    never_run: Literal["fail", "warn", "ignore"] = "fail"
    """The effect on a passing test of an event none of whose code ever ran: fail, warn or ignore."""
    unfinished: Literal["warn", "fail", "ignore"] = "warn"
    """The effect on a passing test of an event that is still running, and of which the test read nothing after its last
    blocking call: warn, fail or ignore."""
    status_reads_limit: int = 1000
    """Reads of an event's status without a blocking call in between, after which the next read is an error."""
    # [end]
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
    """The sources of values, by name; see `source`."""

    if TYPE_CHECKING:
        _given: ClassVar[frozenset[str]]
    else:  # a type checker goes by the fields

        def __new__(cls, *args: object, **given: object) -> ScfSettings:
            """Remember what the constructor was given: a value that equals its default was chosen all the same."""
            self = super().__new__(cls)
            object.__setattr__(self, "_given", frozenset((*cls.names()[: len(args)], *given)))
            return self

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))
        for option in options_of(Where.SETTINGS):
            given = option.given(getattr(self, option.name), self.source(option.name))
            object.__setattr__(self, option.name, option.check(given))

    @classmethod
    @functools.cache
    def names(cls) -> tuple[str, ...]:
        """The names of all settings, in their order."""
        return tuple(each.name for each in fields(cls) if each.name != "sources")

    def source(self, name: str) -> str:
        """The source of a value: "default", what `replace` was given, or "ScfSettings(...)".

        Raises ScfUsageError for a name that is no setting.
        """
        _known(name, None)
        if name in self.sources:
            return self.sources[name]
        return CONSTRUCTOR_SOURCE if name in self._given else DEFAULT_SOURCE

    def changed(self) -> dict[str, object]:
        """The values that did not come from the defaults, by name."""
        return {name: getattr(self, name) for name in self.names() if self.source(name) != DEFAULT_SOURCE}

    def on_top_of(self, others: ScfSettings, source: str | None = None) -> ScfSettings:
        """*others* with the values that these settings were given.

        They remember where they came from; those of the constructor do as *source*, if that is given.
        """
        changed = self.changed()
        sources = {name: self.source(name) for name in changed}
        return others._with(
            changed, {name: source if source and own == CONSTRUCTOR_SOURCE else own for name, own in sources.items()}
        )

    def replace(self, source: str, **values: object) -> ScfSettings:
        """These settings with other values, which remember `source` ("ini", "command line", "scf_settings").

        Raises ScfUsageError for an unknown name, with the valid ones, and for a value that is not valid.
        """
        for name in values:
            _known(name, source)
        return self._with(values, dict.fromkeys(values, source))

    def _with(self, values: Mapping[str, object], sources: Mapping[str, str]) -> ScfSettings:
        """These settings with other *values*, which come from these *sources*: each checked once."""
        known = {**{name: self.source(name) for name in self.names()}, **sources}
        everything: dict[str, Any] = {name: getattr(self, name) for name in self.names()}
        return ScfSettings(**{**everything, **values}, sources=known) if values else self


def _known(name: str, source: str | None) -> None:
    valid = ScfSettings.names()
    if name not in valid:
        where = f" ({source})" if source else ""
        near = did_you_mean(name, valid)
        raise ScfUsageError(f"{name!r}{where} is not a setting{near or ';'} valid are {', '.join(valid)}")
