"""What the product uses of freezegun, whose public functions have no hook for a clock that somebody else moves.

This module, alone, touches freezegun's private names. It is made for the range of versions that ``pyproject.toml``
names; `freezegun_api` says so when a name is not there. A test's own process is put on the simulated clock with it for
a while (`begin`); an instance, where the clock page cannot be had, for good (``python/patches/datetime.py``).
"""

from __future__ import annotations

import datetime as datetime_module
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

real_datetime = getattr(sys.modules.get("freezegun.api"), "real_datetime", datetime_module.datetime)
real_date = getattr(sys.modules.get("freezegun.api"), "real_date", datetime_module.date)
"""The genuine classes; where the import itself is under a freeze of the test, freezegun has kept them."""
_STACKS = ("freeze_factories", "tz_offsets", "ignore_lists", "tick_flags")
_CLOCKS = (
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    *("localtime", "gmtime", "strftime"),
)
"""The functions of ``time`` that freezegun replaces."""


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


def push(api: Any, instant: Callable[[], datetime_module.datetime]) -> None:
    """Have *instant* be the time of the innermost freeze; nobody sees real time by who calls."""
    for name, value in zip(_STACKS, (instant, datetime_module.timedelta(0), (), False), strict=True):
        getattr(api, name).append(value)


def methods(
    api: Any,
    instant: Callable[[], datetime_module.datetime],
    now_us: Callable[[], int],
    ours: Callable[[], bool],
    localtime: Callable[[float], time.struct_time],
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

    def local_offset() -> datetime_module.timedelta:
        """How far local time (``TZ``, ``time.tzset()``) is from UTC."""
        return datetime_module.timedelta(seconds=localtime(now_us() // 1_000_000).tm_gmtoff)

    def now(cls: Any, tz: datetime_module.tzinfo | None = None) -> Any:
        if not ours():
            return frozen_now(cls, tz)
        utc = instant()
        if tz is not None:
            return api.datetime_to_fakedatetime(tz.fromutc(utc.replace(tzinfo=tz)))
        return api.datetime_to_fakedatetime(utc + local_offset())

    def date_today(cls: Any) -> Any:
        if not ours():
            return frozen_date_today(cls)
        return api.date_to_fakedate(instant() + local_offset())

    def fromtimestamp(cls: Any, t: float, tz: datetime_module.tzinfo | None = None) -> Any:
        if not ours():
            return frozen_fromtimestamp(cls, t, tz)
        return api.datetime_to_fakedatetime(real_datetime.fromtimestamp(t, tz))

    def astimezone(self: Any, tz: datetime_module.tzinfo | None = None) -> Any:
        if not ours():
            return frozen_astimezone(self, tz)
        return api.datetime_to_fakedatetime(real_datetime.astimezone(self, tz))

    def timestamp(self: Any) -> Any:
        return real_datetime.timestamp(self) if ours() else frozen_timestamp(self)

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
    replaced = methods(api, instant, now_us, lambda: api.freeze_factories[-1] is instant, api.real_localtime)
    replaced += [(time, name, function) for name, function in clocks_of_time.items()]
    try:
        for name, function in clocks_of_time.items():
            setattr(api, f"fake_{name}", function)  # what its start() puts into modules
        freeze.start()
    finally:
        for name, function in frozen.items():
            setattr(api, f"fake_{name}", function)
    for name in _STACKS:
        getattr(api, name).pop()
    push(api, instant)
    before = [(of, name, vars(of)[name]) for of, name, _ in replaced]
    for of, name, value in replaced:  # those of time too: under a freeze of the user start() did nothing
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
