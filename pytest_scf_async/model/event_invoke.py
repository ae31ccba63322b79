"""How often and how long the platform tries an invocation again that nobody waits for (document 41138)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
