"""The timer triggers of a function (document 9708). One thing is due for each: its next time."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from functools import cached_property
from typing import Any, Final, Protocol

from ..clock import DueThing, SimulatedClock, to_datetime, to_us
from ..errors import ScfApiError, ScfAsyncWarning, ScfUsageError, calls_named, hidden_from_users
from ..model.codes import add_texts, api_error
from ..model.configuration import DESCRIPTION_RULE, MAX_DESCRIPTION
from ..model.payload import is_unicode
from ..model.records import TIMER
from ..model.timer_message import timer_event
from ..model.versions import LATEST, Versions
from .cron import Cron

__tracebackhide__ = hidden_from_users

MOST_TRIGGERS: Final = 10
"""Of a function (document 11637)."""
LARGEST_MESSAGE: Final = 4096
"""Bytes (document 9708)."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")

add_texts(
    {
        "FailedOperation.CreateTrigger": "Function {function_name!r} is {status}, and must be Active for a trigger.",
        "InvalidParameterValue.CustomArgument": "CustomArgument={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Description": "Description={value!r} is not valid: {valid}.",
        "InvalidParameterValue.TriggerDesc": "TriggerDesc={value!r} is not a Cron expression: {reason}.",
        "InvalidParameterValue.TriggerName": "TriggerName={value!r} is not valid: {valid}.",
        "LimitExceeded.Trigger": "Function {function_name!r} has {most} triggers already, and may have no more.",
        "ResourceInUse.TriggerName": "Function {function_name!r} has a trigger {name!r} already.",
        "ResourceNotFound.Trigger": "Function {function_name!r} has no timer {name!r}{of}; it has {has}.",
    }
)


class Platform(Protocol):
    """The runtime, to the timers of its functions."""

    clock: SimulatedClock
    settings: Any
    _lockstep: Any


class Timed(Protocol):
    """A function, to its timers."""

    _deleted: bool
    _platform: Any
    """A `Platform`."""
    _versions: Versions[Any]

    @cached_property
    def _timers(self) -> dict[str, Timer]: ...
    @property
    def name(self) -> str: ...
    def _require(self) -> None: ...
    def _require_active(self, code: str = ...) -> None: ...
    def _invoke(self, payload: Any, qualifier: str | None, invoke_type: str, **how: Any) -> object: ...


@calls_named
class FunctionTimers:
    """The calls that ``Function`` has for them."""

    @cached_property
    def _timers(self) -> dict[str, Timer]:
        """By name, in the order in which they were made."""
        return {}

    @property
    def timers(self: Timed) -> Mapping[str, Timer]:
        """Its timer triggers by name, in the order in which they were made."""
        return dict(self._timers)

    def add_timer(
        self: Timed,
        cron: str,
        *,
        name: str | None = None,
        message: str = "",
        enabled: bool = True,
        qualifier: str = LATEST,
        time_zone: tzinfo | None = None,
        description: str = "",
    ) -> Timer:
        """CreateTrigger of the type timer (documents 18589, 9708): invoke it at the times that *cron* names.

        *cron* has seven fields, second minute hour day month week year, as ``"0 0 2 * * * *"`` for each night at two.
        They are read in *time_zone*, by default that of the setting ``time_zone``, UTC+8. Its events are asynchronous,
        their type is ``"TRIGGER_TIMER"``, and their payload is ``{"Type": "Timer", "TriggerName": name, "Time": when it
        was due in UTC, "Message": message}``. They come while time passes, as in ``clock.advance``. One beyond
        ``max_instances`` is queued, whatever ``over_quota`` says: it is tried again each simulated minute for 6 hours.
        *qualifier* is resolved at each of its times. Without *name* the first one is ``timer``, then ``timer-2``. A
        timer goes with its function and with the runtime.

        Raises ``ScfApiError``: ``InvalidParameterValue.TriggerDesc`` for *cron*, ``.TriggerName``, ``.CustomArgument``
        for a *message* of more than 4 KB, ``.Description``, ``ResourceInUse.TriggerName``, ``LimitExceeded.Trigger``
        for an eleventh one, ``ResourceNotFound.Qualifier``, ``ResourceNotFound.Function``.
        """
        self._require()
        platform: Platform = self._platform
        zone: object = platform.settings.time_zone if time_zone is None else time_zone
        if not isinstance(zone, tzinfo):
            raise ScfUsageError(f"add_timer(time_zone) is {zone!r}; it must be a tzinfo, as timezone.utc is")
        with platform._lockstep.locked():
            if name is None:
                numbers = (f"timer-{number}" for number in range(2, MOST_TRIGGERS + 2))
                name = next(each for each in ("timer", *numbers) if each not in self._timers)
            _check_texts(name, message, description)
            times, now = _times_of(cron), platform.clock.now
            timer = Timer(name, cron, message, qualifier, zone, description, now, self, times, now)
            self._versions.resolve(qualifier)
            if name in self._timers:
                raise api_error("ResourceInUse.TriggerName", function_name=self.name, name=name)
            if len(self._timers) >= MOST_TRIGGERS:
                raise api_error("LimitExceeded.Trigger", function_name=self.name, most=MOST_TRIGGERS)
            self._require_active("FailedOperation.CreateTrigger")
            self._timers[name] = timer
            timer._switch(on=bool(enabled))
        return timer

    def _timer(self: Timed, name: object, qualifier: object) -> Timer:
        """The timer of that name which was made for *qualifier*; ``ScfApiError`` ``ResourceNotFound.Trigger`` else."""
        timer = self._timers.get(name) if isinstance(name, str) else None
        if timer is None or timer.qualifier != qualifier:
            raise _unknown(self, name, f" of {qualifier}")
        return timer

    def _triggers(self: Timed) -> list[dict[str, Any]]:
        """What GetFunction and ListTriggers say of each, in the order in which they were made."""
        return [timer._details() for timer in self._timers.values()]


@calls_named
@dataclass(eq=False, repr=False)
class Timer:
    """A timer trigger: what ``Function.add_timer`` gives."""

    name: Final[str]
    """Its name, which no other trigger of the function has."""
    cron: Final[str]
    """Its Cron expression."""
    message: Final[str]
    """The ``Message`` of its events, which the platform's API calls CustomArgument."""
    qualifier: Final[str]
    """The version or alias that it invokes."""
    time_zone: Final[tzinfo]
    """The zone in which its expression is read."""
    description: Final[str]
    """The description that ListTriggers returns."""
    added_at: Final[datetime]
    """The time at which it was made: an aware ``datetime`` of simulated time, in UTC."""
    _function: Timed
    _times: Cron
    _modified_at: datetime
    _enabled: bool = False
    _due: DueThing | None = None

    @property
    def enabled(self) -> bool:
        """True while it is on."""
        return self._enabled

    @property
    def next_at(self) -> datetime | None:
        """The time at which it invokes the function next, in UTC; None where it is off or its times are over."""
        return None if self._due is None or self._function._deleted else to_datetime(self._due.due_us)

    def enable(self) -> None:
        """UpdateTriggerStatus with OPEN (document 89800): it invokes the function at its times from now on.

        Changes nothing where it is on. Raises ``ScfApiError`` ``ResourceNotFound.Trigger`` where it was removed.
        """
        self._switch(on=True)

    def disable(self) -> None:
        """UpdateTriggerStatus with CLOSE: it invokes nothing until it is enabled. Events that were invoked go on.

        Changes nothing where it is off. Raises ``ScfApiError`` ``ResourceNotFound.Trigger`` where it was removed.
        """
        self._switch(on=False)

    def remove(self) -> None:
        """DeleteTrigger (document 18588): it invokes nothing any more. Events that were invoked go on.

        Raises ``ScfApiError`` ``ResourceNotFound.Trigger`` where that was done before.
        """
        self._switch(on=False)
        del self._function._timers[self.name]

    def _switch(self, *, on: bool) -> None:
        if self._function._timers.get(self.name) is not self:
            raise _unknown(self._function, self.name)
        platform: Platform = self._function._platform
        with platform._lockstep.locked():
            platform._lockstep.revoke_lease()  # an instance may move the clock up to what was due before
            if self._enabled is not on:
                self._enabled, self._modified_at = on, platform.clock.now
                self._schedule(platform.clock.now)

    def _schedule(self, after: datetime) -> None:
        """Have its first time behind *after* be due, and no other; the caller has the lock."""
        if self._due is not None:
            self._due.cancel()
        clock, due = self._function._platform.clock, self._first_after(after) if self._enabled else None
        self._due = None if due is None else clock.call_at(to_us(due, self.name), lambda: self._fire(due))

    def _first_after(self, after: datetime) -> datetime | None:
        """Where clocks are put forward, a time that they skip comes an hour later; where back, the first one counts."""
        local: datetime | None = after.astimezone(self.time_zone).replace(tzinfo=None)
        while local is not None and (local := self._times.after(local)) is not None:
            due = local.replace(tzinfo=self.time_zone).astimezone(timezone.utc)
            if due > after:
                return due
        return None

    def _fire(self, now: datetime) -> None:
        """Invoke the function; what becomes of the event is nothing to the timer, which has its next time by then."""
        if self._function._deleted:
            return
        self._schedule(now)
        event = timer_event(self.name, now, self.message)
        try:
            self._function._invoke(event, self.qualifier, TIMER, asynchronous=True, by_trigger=True)
        except ScfApiError as error:
            was_due = f"the timer {self.name!r} of function {self._function.name!r} was due at {now.isoformat()}"
            warnings.warn(f"{was_due}, and the platform refused the event: {error}", ScfAsyncWarning, stacklevel=2)

    def _details(self) -> dict[str, Any]:
        """What the platform says of it (document 44268), its times as they are."""
        return {
            "Enable": int(self._enabled),
            "Qualifier": self.qualifier,
            "TriggerName": self.name,
            "Type": "timer",
            "TriggerDesc": json.dumps({"cron": self.cron}, separators=(",", ":")),
            "AvailableStatus": "Available",
            "CustomArgument": self.message,
            "AddTime": self.added_at,
            "ModTime": self._modified_at,
            "ResourceId": "",
            "BindStatus": "on",
            "TriggerAttribute": "single",
            "Description": self.description,
        }

    def __repr__(self) -> str:
        return f"<Timer {self.name} {self.cron!r} {'on' if self._enabled else 'off'}>"


def _unknown(function: Timed, name: object, of: str = "") -> ScfApiError:
    """The error where *function* has no timer of that *name*, or none *of* that qualifier."""
    has = ", ".join(f"{each.name!r} of {each.qualifier}" for each in function._timers.values()) or "none"
    return api_error("ResourceNotFound.Trigger", function_name=function.name, name=name, of=of, has=has)


def _times_of(cron: object) -> Cron:
    try:
        return Cron(cron if isinstance(cron, str) else "")
    except ValueError as error:
        raise api_error("InvalidParameterValue.TriggerDesc", value=cron, reason=error) from None


def _check_texts(name: object, message: object, description: object) -> None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        valid = "it must have 1 to 60 letters, digits, hyphens and underscores, and start with a letter"
        raise api_error("InvalidParameterValue.TriggerName", value=name, valid=valid)
    if not isinstance(message, str) or not is_unicode(message) or len(message.encode()) > LARGEST_MESSAGE:
        valid = f"it must be a string of at most {LARGEST_MESSAGE:,} bytes"
        raise api_error("InvalidParameterValue.CustomArgument", value=str(message)[:100], valid=valid)
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
        raise api_error("InvalidParameterValue.Description", value=str(description)[:100], valid=DESCRIPTION_RULE)
