"""Watches a function: terminates events that run too long, gracefully first, and by force if they go on."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_scf_async import AsyncEventSummary, Function, ScfRuntime

LATE = timedelta(hours=1)
PATIENCE = timedelta(minutes=2)
"""How long an event may go on after its graceful termination."""
INTERVAL = 30


def running(platform: ScfRuntime, function_name: str):
    """All events that run, the oldest first, page by page."""
    found: list[AsyncEventSummary] = []
    while True:
        page = platform.list_async_events(function_name, status=["RUNNING"], order="ASC", offset=len(found), limit=100)
        found += page.events
        if len(found) >= page.total_count or not page.events:
            return found


def watch(platform: ScfRuntime, function_name: str):
    """Check again and again until nothing runs; gives what became of the events that were late, by request id."""
    asked: dict[str, datetime] = {}
    while events := running(platform, function_name):
        now = datetime.now(timezone.utc)
        for event in events:
            request_id = event.invoke_request_id
            if request_id in asked:
                if now - asked[request_id] >= PATIENCE:
                    platform.terminate_async_event(function_name, request_id)
            elif now - event.start_time >= LATE:
                platform.terminate_async_event(function_name, request_id, grace_shutdown=True)
                asked[request_id] = now
        time.sleep(INTERVAL)
    return {request_id: platform.get_async_event_status(request_id).status_code for request_id in asked}


def run_again(function: Function, payload: dict[str, int], attempts: int = 3):
    """Invoke *function* until an event succeeds; what the platform itself broke (5xx) is tried again, code is not."""
    while True:
        event = function.invoke_async(payload).wait()
        attempts -= 1
        if event.status_code < 500 or not attempts:
            return event
