"""Every default and every switch, each with the place where its value came from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn, TypeVar

from pytest_scf_async.errors import ScfUsageError, keywords_named

__all__ = ["ScfSettings"]

DEFAULT_SOURCE: Final = "default"
LONGEST_DURATION: Final = 100 * 366 * 86_400
"""Seconds in a century: what is longer is a mistake, and would leave the range of datetime."""
CONSTRUCTOR_SOURCE: Final = "ScfSettings(...)"


_Settings = TypeVar("_Settings")


def _named(settings: type[_Settings]) -> type[_Settings]:
    setattr(settings, "__init__", keywords_named(settings.__name__, ("sources",))(settings.__init__))  # noqa: B010  (typed for mypy)
    return settings


@_named
@dataclass(frozen=True)
class ScfSettings:
    """The settings of a runtime. Durations are seconds; a timedelta is taken too, and becomes its seconds.

    Making one, and `replace`, raise ScfUsageError with the value, its source and what is valid. The limits of the
    platform itself (memory steps, longest timeouts, reserved names) are checked when a function is configured.
    """

    timeout: float | timedelta | None = None
    """Simulated seconds that an event may run; None: 86,400 for async functions, 3 for sync ones."""
    init_timeout: float | timedelta = 65
    """Simulated seconds that the init of an instance may take."""
    memory: int | None = None
    """MB of a function, beyond which its events end with 434; None: 128 are shown and none is enforced."""
    real_timeout: float = 10.0
    """Real seconds without progress after which a blocking call ends with an error."""
    real_limit: float = 120.0
    """Real seconds after which a blocking call ends with an error whatever its progress."""
    compute_grace: float = 1.0
    """Seconds of its own CPU time after which a thread that does not wait gives up its turn."""
    clock_reads_before_wait: int = 1000
    """Reads of the clock in a row after which a read counts as a wait of one millisecond."""
    sandbox: str = "auto"
    """What an instance finds on disk: "namespaces", "none" (a TMPDIR only), "auto" (the former where it can be had)."""
    leases: bool = True
    """Whether an instance may move the clock itself while nothing else is due; False only makes sleeps slower."""
    preload: Sequence[str] = ()
    """Installed modules that are imported once, before instances start: names, or a text with commas between them."""
    idle_reclaim: float = 300.0
    """Simulated seconds after which an idle instance is reclaimed."""
    start: datetime | None = None
    """The simulated time at which a runtime starts (aware); None: the current time."""
    patched: bool = False
    """Whether a test with `scf_runtime` is on the simulated clock itself, as within `scf_clock.patched()`."""
    time_zone: tzinfo = timezone(timedelta(hours=8))
    """The zone of times on the wire."""
    graceful_return_status: str = "FINISHED"
    """The status of an event whose handler returns after SIGTERM: FINISHED or ABORTED."""
    graceful_exit_status: str = "FAILED"
    """The status of an event whose process ends after SIGTERM: FAILED or ABORTED."""
    unlistened_signal_line: Literal["received", "failed"] = "received"
    """Which line a SIGTERM writes that reached a process without a listener."""
    terminate_without_trace: bool = True
    """Whether events of functions without status trace can be terminated."""
    region: str = "ap-guangzhou"
    """The region in contexts and environments."""
    appid: str = "1250000000"
    """The account's AppId there."""
    uin: str = "100000000000"
    """The account's Uin there."""
    runtime: str = "Python3.10"
    """The text in SCF_RUNTIME of functions unless deployed otherwise; the interpreter is the test's own."""
    namespace: str = "default"
    """The namespace of functions unless deployed otherwise."""
    async_run: bool = True
    """Whether functions run asynchronously unless deployed otherwise."""
    trace: bool = True
    """Whether the status trace of functions is on unless deployed otherwise."""
    network: Literal["loopback", "all"] = "loopback"
    """What code of handlers may connect to: this machine's loopback only, or everything."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False, repr=False)
    """Environment variables of every function; their values may be secrets, and are in no repr and no message."""
    status_reads_limit: int = 1000
    """Reads of an event's status without a blocking call in between after which a read is an error."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
    """Where values came from, by name; see `source`."""

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
        for name in self.names():
            object.__setattr__(self, name, _checked(name, getattr(self, name), self.source(name)))

    @classmethod
    @functools.cache
    def names(cls) -> tuple[str, ...]:
        """The names of all settings, in their order."""
        return tuple(each.name for each in fields(cls) if each.name != "sources")

    def source(self, name: str) -> str:
        """Where a value came from: "default", what `replace` was told, or "ScfSettings(...)".

        Raises ScfUsageError for a name that is no setting.
        """
        _known(name, None)
        if name in self.sources:
            return self.sources[name]
        return CONSTRUCTOR_SOURCE if name in self._given else DEFAULT_SOURCE

    def changed(self) -> dict[str, object]:
        """The values that did not come from the defaults, by name."""
        return {name: getattr(self, name) for name in self.names() if self.source(name) != DEFAULT_SOURCE}

    def replace(self, source: str, **values: object) -> ScfSettings:
        """These settings with other values, which remember `source` ("ini", "command line", "scf_settings").

        Raises ScfUsageError for an unknown name, with the valid ones, and for a value that is not valid.
        """
        for name in values:
            _known(name, source)
        sources = {**{name: self.source(name) for name in self.names()}, **dict.fromkeys(values, source)}
        everything: dict[str, Any] = {name: getattr(self, name) for name in self.names()}
        return ScfSettings(**{**everything, **values}, sources=sources)


_EARLIEST_START: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST_START: Final = datetime(9000, 1, 1, tzinfo=timezone.utc)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sandbox": ("auto", "namespaces", "none"),
    "graceful_return_status": ("FINISHED", "ABORTED"),
    "graceful_exit_status": ("FAILED", "ABORTED"),
    "unlistened_signal_line": ("received", "failed"),
    "network": ("loopback", "all"),
}
_NONE_ALLOWED: Final = ("timeout", "memory", "start")
_ZERO_ALLOWED: Final = ("idle_reclaim",)


def _known(name: str, source: str | None) -> None:
    if name not in ScfSettings.names():
        where = f" ({source})" if source else ""
        raise ScfUsageError(f"{name!r}{where} is not a setting; valid are {', '.join(ScfSettings.names())}")


def _is_text(source: str) -> bool:
    """Whether values of *source* are written as text, where there is no None and no timedelta."""
    return source.startswith(("command line: ", "ini: "))


def _refuse(name: str, value: object, source: str, valid: str) -> NoReturn:
    none = "None, or " if name in _NONE_ALLOWED and not _is_text(source) else ""
    raise ScfUsageError(f"{name}={value!r} ({source}) is not valid: it is {none}{valid}")


def _checked(name: str, value: object, source: str) -> object:
    """The value in its final form; raises ScfUsageError when it is not valid."""
    if value is None and name in _NONE_ALLOWED:
        return None
    return _CHECKS.get(name, _checked_text)(name, value, source)


def _checked_duration(name: str, value: object, source: str) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if (
        not isinstance(seconds, (int, float))
        or isinstance(seconds, bool)
        or not 0 <= seconds <= LONGEST_DURATION  # NaN is neither
        or (seconds == 0 and name not in _ZERO_ALLOWED)
    ):
        least = "0 or more" if name in _ZERO_ALLOWED else "more than 0"
        timedeltas = "" if _is_text(source) else ", or such a timedelta"
        _refuse(name, value, source, f"a number of seconds, {least} and {LONGEST_DURATION:,} at most{timedeltas}")
    return seconds


def _checked_count(name: str, value: object, source: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(name, value, source, "a whole number, 1 or more")
    return value


def _checked_switch(name: str, value: object, source: str) -> bool:
    if not isinstance(value, bool):
        _refuse(name, value, source, "True or False")
    return value


def _checked_choice(name: str, value: object, source: str) -> str:
    choices = _CHOICES[name]
    if not isinstance(value, str) or value not in choices:
        _refuse(name, value, source, " or ".join(map(repr, choices)))
    return choices[choices.index(value)]


def _checked_start(name: str, value: object, source: str) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        _refuse(name, value, source, "an aware datetime, as in datetime(2026, 1, 1, tzinfo=timezone.utc)")
    if not _EARLIEST_START <= value <= _LATEST_START:
        _refuse(name, value, source, "an aware datetime in the years 1970 to 8999")
    return value


def _checked_zone(name: str, value: object, source: str) -> tzinfo:
    if not isinstance(value, tzinfo):
        _refuse(name, value, source, "a tzinfo, as in timezone(timedelta(hours=8))")
    return value


def _checked_environment(name: str, value: object, source: str) -> Mapping[str, str]:
    valid = "a mapping of str to str, as in {'BUCKET': 'exports'}"
    if not isinstance(value, Mapping):  # what it says may be a secret
        raise ScfUsageError(f"{name} of type {type(value).__name__} ({source}) is not valid: it is {valid}")
    checked: dict[str, str] = {}
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ScfUsageError(
                f"{name}[{key!r}] of type {type(text).__name__} ({source}) is not valid: it is part of {valid}"
            )
        checked[key] = text
    return MappingProxyType(checked)


def _checked_modules(name: str, value: object, source: str) -> tuple[str, ...]:
    names = [each.strip() for each in value.split(",")] if isinstance(value, str) else value
    if (
        not isinstance(names, Sequence)
        or not all(isinstance(each, str) for each in names)
        or not all(part.isidentifier() for each in names for part in each.split("."))
    ):
        _refuse(name, value, source, "names of modules, as in 'requests,qcloud_cos' or ['requests', 'qcloud_cos']")
    return tuple(names)


def _checked_text(name: str, value: object, source: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse(name, value, source, "a text that is not empty")
    return value


_CHECKS: Final[Mapping[str, Callable[[str, object, str], object]]] = {
    "timeout": _checked_duration,
    "init_timeout": _checked_duration,
    "memory": _checked_count,
    "real_timeout": _checked_duration,
    "real_limit": _checked_duration,
    "compute_grace": _checked_duration,
    "clock_reads_before_wait": _checked_count,
    "idle_reclaim": _checked_duration,
    "start": _checked_start,
    "time_zone": _checked_zone,
    "graceful_return_status": _checked_choice,
    "graceful_exit_status": _checked_choice,
    "unlistened_signal_line": _checked_choice,
    "network": _checked_choice,
    "sandbox": _checked_choice,
    "leases": _checked_switch,
    "patched": _checked_switch,
    "preload": _checked_modules,
    "terminate_without_trace": _checked_switch,
    "async_run": _checked_switch,
    "trace": _checked_switch,
    "environment": _checked_environment,
    "status_reads_limit": _checked_count,
}
