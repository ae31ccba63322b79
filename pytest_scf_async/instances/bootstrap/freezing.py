"""``datetime`` on the simulated clock, with freezegun's classes.

freezegun has no public hook for a clock that somebody else moves, so this module, alone, touches its private names. It
is made for the range of versions that ``pyproject.toml`` names; ``install`` says so when a name is not there.
"""

from __future__ import annotations

import datetime as datetime_module
import sys
import uuid
from typing import Any

from . import clocks

_EPOCH = datetime_module.datetime(1970, 1, 1)
_US = datetime_module.timedelta(microseconds=1)
_real_datetime = datetime_module.datetime
_real_date = datetime_module.date


class _SimulatedInstant:
    """What freezegun calls a freeze factory: called, it gives the naive UTC time."""

    def __call__(self) -> datetime_module.datetime:
        clocks._count()
        return _EPOCH + clocks.now_us() * _US

    def __repr__(self) -> str:
        return "<the simulated clock>"


def _local_offset(us: int) -> datetime_module.timedelta:
    """How far local time (``TZ``, ``time.tzset()``) is from UTC at *us*."""
    local = clocks._real_localtime(us // 1_000_000)
    return datetime_module.timedelta(seconds=local.tm_gmtoff)


def _repr(self: Any) -> str:
    """That of the real class, which has its module's name in front; subclasses of user code have none."""
    real = _real_datetime if isinstance(self, _real_datetime) else _real_date
    return ("datetime." if type(self).__module__ == "datetime" else "") + real.__repr__(self)


def install() -> None:
    """Put freezegun's ``datetime`` and ``date`` in place, driven by the shared clock, under any freeze of user code."""
    from freezegun import api  # noqa: PLC0415  (after the patches of time)

    for name in ("freeze_factories", "tz_offsets", "ignore_lists", "tick_flags", "FakeDatetime", "FakeDate"):
        if not hasattr(api, name):
            raise ImportError(f"freezegun.api has no {name!r}: this version of freezegun is not supported")
    FakeDatetime: Any = api.FakeDatetime
    FakeDate: Any = api.FakeDate
    factories: list[Any] = api.freeze_factories
    factories.append(_SimulatedInstant())
    api.tz_offsets.append(datetime_module.timedelta(0))
    api.ignore_lists.append(())
    api.tick_flags.append(False)
    clocks.honour_user_freezes(factories, lambda: (factories[-1]() - _EPOCH) / datetime_module.timedelta(seconds=1))

    frozen_now = FakeDatetime.now.__func__
    frozen_date_today = FakeDate.today.__func__
    frozen_fromtimestamp = FakeDatetime.fromtimestamp.__func__

    def simulated_utc() -> datetime_module.datetime:
        return factories[0]()  # type: ignore[no-any-return]

    def now(cls: Any, tz: datetime_module.tzinfo | None = None) -> Any:
        if len(factories) > 1:
            return frozen_now(cls, tz)
        utc = simulated_utc()
        if tz is not None:
            return api.datetime_to_fakedatetime(tz.fromutc(utc.replace(tzinfo=tz)))
        return api.datetime_to_fakedatetime(utc + _local_offset(clocks.now_us()))

    def date_today(cls: Any) -> Any:
        if len(factories) > 1:
            return frozen_date_today(cls)
        return api.date_to_fakedate(simulated_utc() + _local_offset(clocks.now_us()))

    def fromtimestamp(cls: Any, t: float, tz: datetime_module.tzinfo | None = None) -> Any:
        if len(factories) > 1:
            return frozen_fromtimestamp(cls, t, tz)
        return api.datetime_to_fakedatetime(_real_datetime.fromtimestamp(t, tz))

    def astimezone(self: Any, tz: datetime_module.tzinfo | None = None) -> Any:
        return api.datetime_to_fakedatetime(_real_datetime.astimezone(self, tz))

    def timestamp(self: Any) -> float:
        return _real_datetime.timestamp(self)

    FakeDatetime.now = classmethod(now)
    FakeDatetime.today = classmethod(now)
    FakeDatetime.fromtimestamp = classmethod(fromtimestamp)
    FakeDatetime.astimezone = astimezone
    FakeDatetime.timestamp = timestamp
    FakeDate.today = classmethod(date_today)
    for fake, name in ((FakeDatetime, "datetime"), (FakeDate, "date")):  # what a repr, a pickle and a serialiser show
        fake.__module__ = "datetime"
        fake.__name__ = fake.__qualname__ = name
        fake.__repr__ = _repr

    replaced = {id(_real_datetime): FakeDatetime, id(_real_date): FakeDate}
    datetime_module.datetime = FakeDatetime  # type: ignore[misc]
    datetime_module.date = FakeDate  # type: ignore[misc]
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith(("freezegun", "_datetime", "_pydatetime", __name__)):
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in replaced:
                setattr(module, attribute, replaced[id(value)])
    uuid._generate_time_safe = None  # type: ignore[attr-defined]  # uuid1() reads the real time in C otherwise
