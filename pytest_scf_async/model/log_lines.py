"""The lines that the platform writes into an event's log, in its current format (document 60336)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

SIGNAL_RECEIVED_LINE: Final = "[PLATFORM] Signal received successfully."
"""A graceful termination's SIGTERM reached the process (document 63969)."""
SIGNAL_FAILED_LINE: Final = "[PLATFORM] Signal reception failed."
"""A graceful termination's SIGTERM reached no process (document 63969)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MEBIBYTE: Final = 1024 * 1024
BARE_RUNTIME: Final = 13 * _MEBIBYTE
"""Bytes that a runtime of the platform has without any code: MemUsage is 13 MB and more in all published logs."""
_ESCAPED_BY_GO: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""What Go's JSON encoder escapes beside what JSON has to: `json.dumps` leaves it as it is."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of an event's log; `source` is the platform's word for who wrote it, Custom being the user's code.

    `retry_num` is 0 for the first attempt of the invocation, and grows with each retry (SCF_RetryNum, document 60336).
    """

    time_us: int
    text: str
    source: Literal["Platform", "Custom"]
    retry_num: int = 0

    @property
    def time(self) -> datetime:
        """When the line was written: an aware datetime in UTC of simulated time."""
        return _EPOCH + timedelta(microseconds=self.time_us)


def start_line(request_id: str, *, cold: bool) -> str:
    """The first line of an event's log; the platform writes a space before the id on cold starts only."""
    return f"START RequestId:{' ' if cold else ''}{request_id}"


def init_report_line(
    request_id: str,
    *,
    coldstart_ms: int,
    pull_code_ms: int,
    init_runtime_ms: int,
    init_function_ms: int,
    memory_mb: int,
    mem_usage_bytes: int,
) -> str:
    """The line that ends a cold start; times in whole milliseconds, memory in MB, its use in bytes."""
    return (
        f"Init Report RequestId: {request_id} Coldstart: {coldstart_ms}ms (PullCode: {pull_code_ms}ms "
        f"InitRuntime: {init_runtime_ms}ms InitFunction: {init_function_ms}ms) "
        f"Memory: {memory_mb}MB MemUsage: {mem_usage_bytes / _MEBIBYTE:.2f}MB"
    )


def error_line(request_id: str, body: Mapping[str, int | str]) -> str:
    """The line of an event that did not finish: its error body as JSON.

    Real logs differ from the body that a sync caller gets: they have no ``requestId``, the ``errorCode`` of a 443 is
    -1, and the JSON is that of Go's encoder, which escapes what means something in HTML.
    """
    shown = {key: value for key, value in body.items() if key != "requestId"}
    if shown.get("statusCode") == 443:
        shown["errorCode"] = -1
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED_BY_GO)
    return f"ERROR RequestId:{request_id} Result:{text}"


def response_line(request_id: str, result_text: str) -> str:
    """The line of an event that finished; `result_text` is the JSON text of what the handler returned."""
    return f"Response RequestId:{request_id} RetMsg:{result_text}"


def end_line(request_id: str) -> str:
    """The line after the last one of the event itself."""
    return f"END RequestId:{request_id}"


def report_line(request_id: str, *, duration_ms: int, memory_mb: int, mem_usage_bytes: int) -> str:
    """The last line of an event's log; duration in whole milliseconds, memory in MB, its use in bytes."""
    return (
        f"Report RequestId:{request_id} Duration:{duration_ms}ms Memory:{memory_mb}MB "
        f"MemUsage:{mem_usage_bytes / _MEBIBYTE:.6f}MB"
    )
