"""What ListAsyncEvents and GetAsyncEventStatus answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .model.statuses import Status


@dataclass(frozen=True)
class AsyncEventSummary:
    """One row of ``list_async_events`` (document 52501)."""

    invoke_request_id: str
    invoke_type: str
    qualifier: str
    status: Status
    start_time: datetime
    end_time: datetime | None


@dataclass(frozen=True)
class AsyncEventPage:
    """The answer of ``list_async_events``: ``total_count`` events pass the filters, and this is one page of them."""

    total_count: int
    events: list[AsyncEventSummary]


@dataclass(frozen=True)
class AsyncEventStatus:
    """The answer of ``get_async_event_status`` (document 65704)."""

    status: Status
    status_code: int
    invoke_request_id: str
