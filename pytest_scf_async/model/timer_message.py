"""The message with which a timer trigger invokes a function (document 9708)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal, TypedDict


class TimerEvent(TypedDict):
    """The event of a function that a timer has triggered."""

    Type: Literal["Timer"]
    TriggerName: str
    Time: str
    """The time at which the timer was due, in UTC, to the second."""
    Message: str
    """The argument of the trigger; empty unless it has one."""


def timer_event(trigger_name: str, due: datetime, message: str = "") -> TimerEvent:
    """The message of the timer *trigger_name* that is due at *due* (aware)."""
    time = due.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"Type": "Timer", "TriggerName": trigger_name, "Time": time, "Message": message}
