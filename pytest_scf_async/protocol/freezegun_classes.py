"""``datetime`` on the simulated clock, with freezegun's classes.

freezegun has no public hook for a clock that somebody else moves, so this module, alone, touches its private names. It
is made for the range of versions that ``pyproject.toml`` names; ``freezegun_api`` says so when a name is not there. An
instance is put on the clock for good (``install``); a test's own process for a while (``begin``).
"""

from __future__ import annotations

import builtins
import datetime as datetime_module
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ..bootstrap import clock

_EPOCH = datetime_module.datetime(1970, 1, 1)  # noqa: DTZ001  (naive UTC is what freezegun takes)
_US = datetime_module.timedelta(microseconds=1)
_real_datetime = getattr(sys.modules.get("freezegun.api"), "real_datetime", datetime_module.datetime)
_real_date = getattr(sys.modules.get("freezegun.api"), "real_date", datetime_module.date)
"""The genuine classes; where the import itself is under a freeze of the test, freezegun has kept them."""
_STACKS = ("freeze_factories", "tz_offsets", "ignore_lists", "tick_flags")
_CLOCKS = (
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    *("localtime", "gmtime", "strftime"),
)
"""The functions of ``time`` that freezegun replaces."""


class _SimulatedInstant:
    """What freezegun calls a freeze factory: called, it gives the naive UTC time."""

    def __call__(self) -> datetime_module.datetime:
        clock._count()
        return _EPOCH + clock.now_us() * _US

    def __repr__(self) -> str:
        return "<the simulated clock>"


def _local_offset(us: int) -> datetime_module.timedelta:
    """How far local time (``TZ``, ``time.tzset()``) is from UTC at *us*."""
    local = clock._real_localtime(us // 1_000_000)
    return datetime_module.timedelta(seconds=local.tm_gmtoff)


def _repr(self: Any) -> str:
    """That of the real class, which has its module's name in front; subclasses of user code have none."""
    real = _real_datetime if isinstance(self, _real_datetime) else _real_date
    return ("datetime." if type(self).__module__ == "datetime" else "") + real.__repr__(self)


def freezegun_api() -> Any:
    """freezegun's module of private names; ``ImportError`` where one of those that are used here is missing."""
    from freezegun import api  # noqa: PLC0415  (after the patches of time)

    for name in (*_STACKS, "FakeDatetime", "FakeDate", "_freeze_time", *(f"fake_{name}" for name in _CLOCKS)):
        if not hasattr(api, name):
            raise ImportError(f"freezegun.api has no {name!r}: this version of freezegun is not supported")
    return api


def freezes() -> list[Any]:
    """The times of all freezes, ours and the user's; the last is the innermost."""
    return freezegun_api().freeze_factories  # type: ignore[no-any-return]


def real_clock(name: str) -> Callable[..., Any]:
    """The genuine function of ``time``, whatever is in its place now."""
    return getattr(freezegun_api(), f"real_{name}")  # type: ignore[no-any-return]


def frozen_clock(name: str) -> Callable[..., Any]:
    """What is in the place of a function of ``time`` under a freeze of the user."""
    return getattr(freezegun_api(), f"fake_{name}")  # type: ignore[no-any-return]


def _push(api: Any, instant: Callable[[], datetime_module.datetime]) -> None:
    """Have *instant* be the time of the innermost freeze; nobody sees real time by who calls."""
    for name, value in zip(_STACKS, (instant, datetime_module.timedelta(0), (), False), strict=True):
        getattr(api, name).append(value)


def _methods(
    api: Any,
    instant: Callable[[], datetime_module.datetime],
    now_us: Callable[[], int],
    ours: Callable[[], bool],
) -> list[tuple[Any, str, Any]]:
    """What freezegun's classes need to agree with ``TZ``: (class, attribute, value).

    Where a freeze of the user is the innermost, and not *ours*, they do what freezegun has them do.
    """
    FakeDatetime: Any = api.FakeDatetime
    FakeDate: Any = api.FakeDate
    frozen_now = FakeDatetime.now.__func__
    frozen_date_today = FakeDate.today.__func__
    frozen_fromtimestamp = FakeDatetime.fromtimestamp.__func__
    frozen_astimezone = FakeDatetime.astimezone
    frozen_timestamp = FakeDatetime.timestamp

    def now(cls: Any, tz: datetime_module.tzinfo | None = None) -> Any:
        if not ours():
            return frozen_now(cls, tz)
        utc = instant()
        if tz is not None:
            return api.datetime_to_fakedatetime(tz.fromutc(utc.replace(tzinfo=tz)))
        return api.datetime_to_fakedatetime(utc + _local_offset(now_us()))

    def date_today(cls: Any) -> Any:
        if not ours():
            return frozen_date_today(cls)
        return api.date_to_fakedate(instant() + _local_offset(now_us()))

    def fromtimestamp(cls: Any, t: float, tz: datetime_module.tzinfo | None = None) -> Any:
        if not ours():
            return frozen_fromtimestamp(cls, t, tz)
        return api.datetime_to_fakedatetime(_real_datetime.fromtimestamp(t, tz))

    def astimezone(self: Any, tz: datetime_module.tzinfo | None = None) -> Any:
        if not ours():
            return frozen_astimezone(self, tz)
        return api.datetime_to_fakedatetime(_real_datetime.astimezone(self, tz))

    def timestamp(self: Any) -> Any:
        return _real_datetime.timestamp(self) if ours() else frozen_timestamp(self)

    return [
        (FakeDatetime, "now", classmethod(now)),
        (FakeDatetime, "today", classmethod(now)),
        (FakeDatetime, "fromtimestamp", classmethod(fromtimestamp)),
        (FakeDatetime, "astimezone", astimezone),
        (FakeDatetime, "timestamp", timestamp),
        (FakeDate, "today", classmethod(date_today)),
    ]


def begin(
    instant: Callable[[], datetime_module.datetime],
    now_us: Callable[[], int],
    clocks_of_time: Mapping[str, Callable[..., Any]],
    real_modules: tuple[str, ...],
) -> Callable[[], bool]:
    """Put ``datetime``, ``date`` and *clocks_of_time* (by their names in ``time``) on the time *instant*.

    Modules whose names begin with *real_modules* are left alone. Freezes of the user nest. Returns what ends it,
    and says whether a freeze that the user began inside was still on: that ends with it.
    """
    api = freezegun_api()
    freeze = api.freeze_time("2000-01-01")
    freeze.ignore = real_modules
    frozen = {name: getattr(api, f"fake_{name}") for name in clocks_of_time}
    methods = _methods(api, instant, now_us, lambda: api.freeze_factories[-1] is instant)
    methods += [(time, name, function) for name, function in clocks_of_time.items()]
    try:
        for name, function in clocks_of_time.items():
            setattr(api, f"fake_{name}", function)  # what its start() puts into modules
        freeze.start()
    finally:
        for name, function in frozen.items():
            setattr(api, f"fake_{name}", function)
    for name in _STACKS:
        getattr(api, name).pop()
    _push(api, instant)
    before = [(of, name, vars(of)[name]) for of, name, _ in methods]
    for of, name, value in methods:  # those of time too: under a freeze of the user start() did nothing
        setattr(of, name, value)

    def end() -> bool:
        for of, name, value in before:
            setattr(of, name, value)
        inner = api.freeze_factories.index(instant) + 1
        forgotten: bool = len(api.freeze_factories) > inner
        for name in _STACKS:
            del getattr(api, name)[inner:]
        has_clock = hasattr(time, "clock")
        freeze.stop()
        if hasattr(time, "clock") and not has_clock:  # a function that is gone since Python 3.8: it makes it None
            del time.clock
        return forgotten

    return end


def _build_class(real: Any, genuine: Mapping[Any, Any]) -> Callable[..., Any]:
    """``__build_class__``: a class of a date that has a metaclass of its own, which freezegun's classes have too.

    It is one of the *genuine* class then; ``today()`` of that reads the simulated clock all the same.
    """

    def build_class(body: Any, name: str, /, *bases: Any, **keywords: Any) -> Any:
        try:
            return real(body, name, *bases, **keywords)
        except TypeError as error:
            raised_here = error.__traceback__ is not None and error.__traceback__.tb_next is None
            if not raised_here or "metaclass conflict" not in str(error) or genuine.keys().isdisjoint(bases):
                raise
        return real(body, name, *(genuine.get(base, base) for base in bases), **keywords)

    return build_class


def install() -> None:
    """Put freezegun's ``datetime`` and ``date`` in place, driven by the shared clock, under any freeze of user code."""
    api = freezegun_api()
    FakeDatetime: Any = api.FakeDatetime
    FakeDate: Any = api.FakeDate
    factories: list[Any] = api.freeze_factories
    instant = _SimulatedInstant()
    _push(api, instant)
    clock.honour_user_freezes(factories, lambda: (factories[-1]() - _EPOCH) / datetime_module.timedelta(seconds=1))
    for of, name, value in _methods(api, instant, clock.now_us, lambda: len(factories) == 1):
        setattr(of, name, value)
    for fake, name in ((FakeDatetime, "datetime"), (FakeDate, "date")):  # what a repr, a pickle and a serialiser show
        fake.__module__ = "datetime"
        fake.__name__ = fake.__qualname__ = name
        fake.__repr__ = _repr

    replaced = {id(_real_datetime): FakeDatetime, id(_real_date): FakeDate}
    datetime_module.datetime = FakeDatetime  # type: ignore[misc]
    datetime_module.date = FakeDate  # type: ignore[misc]
    genuine = {FakeDatetime: _real_datetime, FakeDate: _real_date}
    builtins.__build_class__ = _build_class(builtins.__build_class__, genuine)
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith(("freezegun", "_datetime", "_pydatetime", __name__)):
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in replaced:
                setattr(module, attribute, replaced[id(value)])
    uuid._generate_time_safe = None  # type: ignore[attr-defined]  # uuid1() reads the real time in C otherwise
