"""How often and how long the platform tries an invocation again that nobody waits for (document 41138)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .codes import api_error

MOST_RETRIES: Final = 2
LONGEST_TTL: Final = 6 * 3600


@dataclass(frozen=True)
class EventInvokeConfig:
    """AsyncTriggerConfig of a function: what UpdateFunctionEventInvokeConfig changes."""

    retry_num: int = MOST_RETRIES
    """How many attempts follow one that failed: only of sync functions (document 51519)."""
    msg_ttl: int = LONGEST_TTL
    """Seconds for which an event over the quota is tried again."""


DEFAULT_EVENT_INVOKE: Final = EventInvokeConfig()


def changed_event_invoke(before: EventInvokeConfig, retry_num: object, msg_ttl: object) -> EventInvokeConfig:
    """*before* with what is given; None stands for "as before".

    Raises ScfApiError ``LimitExceeded.RetryNum`` for more than 2, ``LimitExceeded.MsgTTL`` for more than 6 hours, and
    ``InvalidParameterValue.AsyncTriggerConfig`` for what is no such number.
    """
    return EventInvokeConfig(
        _checked("RetryNum", before.retry_num if retry_num is None else retry_num, 0, MOST_RETRIES),
        _checked("MsgTTL", before.msg_ttl if msg_ttl is None else msg_ttl, 1, LONGEST_TTL),
    )


def _checked(name: str, value: object, least: int, most: int) -> int:
    valid = f"it must be a whole number from {least} to {most:,}"
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise api_error("InvalidParameterValue.AsyncTriggerConfig", name=name, value=value, valid=valid)
    if value > most:
        raise api_error(f"LimitExceeded.{name}", value=value, valid=valid)
    return value
