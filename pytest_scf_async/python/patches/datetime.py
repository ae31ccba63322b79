"""Put ``datetime`` on the simulated clock by freezegun's classes, where there is no clock page."""

from __future__ import annotations

import builtins
import datetime as datetime_module
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ...protocol.freezegun_classes import freezegun_api, methods, push, real_date, real_datetime
from .. import clock
from . import registry

_EPOCH = datetime_module.datetime(1970, 1, 1)
_US = datetime_module.timedelta(microseconds=1)


class _SimulatedInstant:
    """A freeze factory, as freezegun calls it: a call returns the naive UTC time."""

    def __call__(self) -> datetime_module.datetime:
        clock._count()
        return _EPOCH + clock.now_us() * _US

    def __repr__(self) -> str:
        return "<the simulated clock>"


def _repr(self: Any) -> str:
    """That of the real class, which has its module's name in front; subclasses of user code have none."""
    real = real_datetime if isinstance(self, real_datetime) else real_date
    return ("datetime." if type(self).__module__ == "datetime" else "") + real.__repr__(self)


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
    push(api, instant)
    clock.honour_user_freezes(factories, lambda: (factories[-1]() - _EPOCH) / datetime_module.timedelta(seconds=1))
    for of, name, value in methods(api, instant, clock.now_us, lambda: len(factories) == 1, clock.genuine.localtime):
        registry.rebind(of, name, value, "freezegun's classes show the simulated clock")
    for fake, name in ((FakeDatetime, "datetime"), (FakeDate, "date")):  # what a repr, a pickle and a serialiser show
        fake.__module__ = "datetime"
        fake.__name__ = fake.__qualname__ = name
        fake.__repr__ = _repr

    replaced = {id(real_datetime): FakeDatetime, id(real_date): FakeDate}
    registry.rebind(datetime_module, "datetime", FakeDatetime, "there is no clock page")
    registry.rebind(datetime_module, "date", FakeDate, "there is no clock page")
    genuine = {FakeDatetime: real_datetime, FakeDate: real_date}
    build_class = _build_class(builtins.__build_class__, genuine)
    registry.replace(builtins, "__build_class__", build_class, "classes of dates have a metaclass of freezegun's")
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith(("freezegun", "_datetime", "_pydatetime", __name__, methods.__module__)):
            continue
        registry.rebind_references(module, replaced)
