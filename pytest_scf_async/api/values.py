"""Values of the wire: times, and texts that stand for switches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from ..model import api_error

__all__ = ["event_time", "interval_of", "renamed", "second", "time_of"]

WRITTEN = "%Y-%m-%d %H:%M:%S"
"""How times are written in requests and in most answers."""
LENGTH = len("2026-01-01 00:00:00.000")
"""Of what is written with milliseconds, without the zone."""


def event_time(when: datetime | None, zone: tzinfo) -> str:
    """A time of an event, with milliseconds; an empty text for an event that has not ended (document 52501)."""
    if when is None:
        return ""
    return when.astimezone(zone).isoformat(" ", "milliseconds")[:LENGTH]


def second(when: datetime, zone: tzinfo) -> str:
    """A time to the second, as of a function's last change."""
    return f"{when.astimezone(zone):{WRITTEN}}"


def time_of(text: str, name: str, zone: tzinfo) -> datetime:
    """The time that *text* writes in *zone*; raises ``ScfApiError`` ``InvalidParameterValue`` for what is none."""
    try:
        return datetime.strptime(text, WRITTEN).replace(tzinfo=zone)
    except ValueError:
        raise api_error(
            "InvalidParameterValue", name=name, value=text, valid="it is a time of the form 2021-01-01 00:00:00"
        ) from None


def interval_of(sent: dict[str, str] | None, name: str, zone: tzinfo) -> tuple[datetime, datetime] | None:
    """The interval of two times; None where none was sent."""
    if sent is None:
        return None
    return time_of(sent["Start"], f"{name}.Start", zone), time_of(sent["End"], f"{name}.End", zone)


def renamed(sent: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The parameters in *names* that were sent, by what Python calls them."""
    return {python: sent[name] for name, python in names.items() if name in sent}
