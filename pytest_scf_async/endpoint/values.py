"""Values of the wire: times, texts that stand for switches, and the names that the platform has for ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, TypeVar

from .operations.deployments import platform_name
from .operations.error_texts import api_error
from .operations.functions import switch

T = TypeVar("T")

WRITTEN = "%Y-%m-%d %H:%M:%S"
"""How times are written in requests and in most answers."""
LENGTH = len("2026-01-01 00:00:00.000")
"""Of what is written with milliseconds, without the zone."""
_OTHER_NAMES: Final = {
    "async_run": "AsyncRunEnable",
    "function_type": "Type",
    "namespace_type": "Type",
    "trace": "TraceEnable",
}
"""What the platform calls fields whose names differ in more than their form."""
_PYTHON_NAMES: Final = {"Type": "function_type"}
_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def event_time(when: datetime, zone: tzinfo) -> str:
    """A time of an event, with milliseconds (document 52501)."""
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
            "InvalidParameterValue", name=name, value=text, valid="it must be a time of the form 2021-01-01 00:00:00"
        ) from None


def interval_of(sent: dict[str, str] | None, name: str, zone: tzinfo) -> tuple[datetime, datetime] | None:
    """The interval of two times; None where none was sent."""
    if sent is None:
        return None
    return time_of(sent["Start"], f"{name}.Start", zone), time_of(sent["End"], f"{name}.End", zone)


def called(call: Callable[..., T], sent: Mapping[str, Any], **others: Any) -> T:
    """What *call* gives for the parameters that were *sent*: ``MemorySize`` is its keyword ``memory_size``.

    Parameters for which it has no keyword change nothing. *others* are keywords that are called or read differently.
    """
    python = {_PYTHON_NAMES.get(name) or _WORD.sub("_", name).lower(): value for name, value in sent.items()}
    taken = inspect.signature(call).parameters
    return call(**{name: value for name, value in python.items() if name in taken} | others)


def answered(
    row: Any, zone: tzinfo, write: Callable[[datetime, tzinfo], str] = second, besides: Collection[str] = ()
) -> dict[str, Any]:
    """The fields of *row*, those *besides* left out, by the platform's names: ``function_id`` is ``FunctionId``.

    *write* says how times are written.
    """

    def value_of(value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, datetime):
            return write(value, zone)
        if isinstance(value, bool):
            return switch(value)
        if isinstance(value, (list, tuple)):
            return [value_of(each) for each in value]
        return answered(value, zone) if is_dataclass(value) else value

    found = {}
    for name in (field.name for field in fields(row) if field.name not in besides):
        platform = _OTHER_NAMES.get(name) or platform_name(name)
        found[platform] = value_of(getattr(row, name))
    return found
