"""What Invoke, InvokeFunction, GetRequestStatus and GetFunctionLogs answer (documents 17243, 58400, 65348, 18583).

A record is one attempt of an invocation: a sync function that was invoked asynchronously may have three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ...clock import to_datetime
from ...lockstep.event import Attempt, Event
from ...model.codes import api_error
from ...model.listing import check_choice, check_limit, check_offset, page_of

TAIL_BYTES: Final = 4096
"""What ``LogType=Tail`` gives of a log (document 17243)."""
BILLING_STEP_MS: Final = 100
"""What a duration is rounded up to for the bill (document 18583)."""
MOST_LOGS: Final = 10_000
"""Offset and Limit together (document 18583)."""
DEFAULT_WINDOW_US: Final = 15 * 60 * 1_000_000
"""How far back GetRequestStatus looks without a StartTime (document 65348)."""
LONGEST_WINDOW_US: Final = 24 * 3600 * 1_000_000
"""How far StartTime and EndTime of GetFunctionLogs may be apart (document 18583)."""
_SECOND: Final = 1_000_000

RUNNING: Final = 1
"""The RetCode of GetRequestStatus while it runs; 0 where it succeeded, -1 where not (document 65348)."""
LOG_RUNNING: Final = 2
LOG_INTERRUPTED: Final = 3
"""RetCodes of GetFunctionLogs (document 18583)."""


@dataclass(frozen=True)
class InvocationResult:
    """``Result`` of Invoke and InvokeFunction. For an asynchronous invocation only *function_request_id* says anything.

    Times are milliseconds.
    """

    function_request_id: str
    log: str = ""
    """The last 4 KB of its log, where they were asked for."""
    ret_msg: str = ""
    """What the handler returned, as JSON; the platform's error body where it failed."""
    err_msg: str = ""
    """The errorMessage of that."""
    mem_usage: int = 0
    """Bytes."""
    duration: float = 0.0
    bill_duration: int = 0
    invoke_result: int = 0
    """Of Invoke 0, 1 (an error of the user's code) or -1 (another one); of InvokeFunction the status code."""


@dataclass(frozen=True)
class RequestStatus:
    """One row of GetRequestStatus (document 65348): one attempt of an invocation."""

    function_name: str
    ret_msg: str
    """What the handler returned, as JSON, or the platform's error body; empty while it runs."""
    request_id: str
    start_time: datetime
    ret_code: int
    """0: it succeeded, 1: it runs, -1: it failed or was terminated."""
    duration: float
    """Milliseconds."""
    mem_usage: float
    """MB."""
    retry_num: int


@dataclass(frozen=True)
class RequestStatusPage:
    """The answer of ``request_status``."""

    total_count: int
    data: list[RequestStatus]


@dataclass(frozen=True)
class FunctionLog:
    """One row of GetFunctionLogs (document 18583): one attempt of an invocation, with its log."""

    function_name: str
    ret_msg: str
    """What the handler returned, as JSON, or the platform's error body; empty while it runs."""
    request_id: str
    start_time: datetime
    ret_code: int
    """0: it succeeded, 2: it runs, 3: it was terminated; else it failed, and this is the errorCode of its body."""
    invoke_finished: int
    """1 once it has ended, 0 before."""
    duration: float
    """Milliseconds."""
    bill_duration: int
    """Milliseconds, rounded up to the next 100."""
    mem_usage: int
    """Bytes."""
    log: str
    level: str
    source: str
    retry_num: int


@dataclass(frozen=True)
class FunctionLogPage:
    """The answer of ``function_logs``: ``total_count`` rows pass the filters, and this is one page of them."""

    total_count: int
    data: list[FunctionLog]


# -- Invoke ----------------------------------------------------------------------------------------------------------


def accepted_result(event: Event, *, by_status_code: bool) -> InvocationResult:
    """The answer of an invocation that nobody waits for."""
    return InvocationResult(event.request_id, invoke_result=200 if by_status_code else 0)


def result_of(event: Event, *, tail: bool, by_status_code: bool) -> InvocationResult:
    """The answer of an invocation that has ended; *by_status_code*: InvokeResult is the platform's code of it."""
    attempt = event.attempts[-1]
    error_code, message = attempt.error.get("errorCode", 0), attempt.error.get("errorMessage", "")
    return InvocationResult(
        function_request_id=event.request_id,
        log=_last_bytes(_log_of(event, attempt), TAIL_BYTES) if tail else "",
        ret_msg=attempt.ret_msg,
        err_msg=str(message),
        mem_usage=attempt.mem_usage,
        duration=attempt.duration_us / 1000,
        bill_duration=_billed(attempt),
        invoke_result=attempt.status_code if by_status_code else int(error_code),
    )


def _last_bytes(text: str, count: int) -> str:
    """The end of *text* that has *count* bytes at most in UTF-8."""
    return text.encode("utf-8", "replace")[-count:].decode("utf-8", "ignore")


# -- records ---------------------------------------------------------------------------------------------------------


def check_request_id(request_id: object) -> None:
    """Raise ScfApiError ``InvalidParameterValue.FunctionRequestId`` for what can be no request's id."""
    if not isinstance(request_id, str) or not request_id:
        valid = "it must be the id of an invocation"
        raise api_error("InvalidParameterValue.FunctionRequestId", value=request_id, valid=valid)


def checked_window(start_us: int | None, end_us: int | None, now_us: int, default_us: int) -> tuple[int, int]:
    """The seconds that a query is about, its ends included: without a start the last *default_us*, until *end_us*.

    Raises ScfApiError ``InvalidParameterValue.StartTimeOrEndTime`` for a start without an end, or that is not before
    it.
    """
    if start_us is None:
        start_us = now_us - default_us
        end_us = now_us if end_us is None else end_us
    elif end_us is None:
        raise api_error("InvalidParameterValue.StartTimeOrEndTime", reason="EndTime is missing")
    if start_us >= end_us:
        raise api_error("InvalidParameterValue.StartTimeOrEndTime", reason="EndTime is not after StartTime")
    return _whole_second(start_us), _whole_second(end_us)


def request_status_page(events: Iterable[Event], window: tuple[int, int]) -> RequestStatusPage:
    """The attempts of *events* that began in *window*, the earliest first."""
    rows = [
        RequestStatus(
            function_name=event.record.function_name,
            ret_msg=attempt.ret_msg,
            request_id=event.request_id,
            start_time=to_datetime(attempt.start_us),
            ret_code=RUNNING if attempt.end_us is None else -1 if attempt.error else 0,
            duration=attempt.duration_us / 1000,
            mem_usage=attempt.mem_usage / (1024 * 1024),
            retry_num=attempt.retry_num,
        )
        for event, attempt in _attempts(events, window)
    ]
    return RequestStatusPage(len(rows), rows)


def function_log_page(
    events: Iterable[Event],
    window: tuple[int, int],
    *,
    ret_code: str | None,
    order: str,
    order_by: str,
    offset: int,
    limit: int,
) -> FunctionLogPage:
    """One page of the attempts of *events* that began in *window* and pass the filter *ret_code*.

    Rows that are equal in *order_by* are in the order in which they began. Raises ScfApiError
    ``InvalidParameterValue.RetCode``, ``.Order``, ``.OrderBy``, ``.Offset``, ``InvalidParameterValue`` for *limit*,
    ``LimitExceeded.Offset``, ``InvalidParameterValue.StartTimeOrEndTime`` for a window of more than a day.
    """
    if ret_code is not None:
        check_choice("InvalidParameterValue.RetCode", ret_code, tuple(_PASSES))
    check_choice("InvalidParameterValue.Order", order, ("desc", "asc"), name="Order")
    check_choice("InvalidParameterValue.OrderBy", order_by, tuple(_KEYS))
    check_offset(offset)
    check_limit(limit, code="InvalidParameterValue")
    if offset + limit > MOST_LOGS:
        raise api_error("LimitExceeded.Offset", sum=offset + limit, most=MOST_LOGS)
    if window[1] - window[0] > LONGEST_WINDOW_US:
        raise api_error("InvalidParameterValue.StartTimeOrEndTime", reason="they are more than one day apart")
    passes, key = _PASSES[ret_code] if ret_code is not None else _all, _KEYS[order_by]
    found = [(event, attempt) for event, attempt in _attempts(events, window) if passes(attempt)]
    found.sort(key=lambda row: key(row[1]))
    return FunctionLogPage(len(found), [_function_log(*row) for row in page_of(found, order, offset, limit)])


def _attempts(events: Iterable[Event], window: tuple[int, int]) -> list[tuple[Event, Attempt]]:
    """Those that began in *window*, in the order in which they began."""
    first, last = window
    found = [
        (event, attempt)
        for event in events
        for attempt in event.attempts
        if first <= _whole_second(attempt.start_us) <= last
    ]
    return sorted(found, key=lambda row: row[1].start_us)


def _function_log(event: Event, attempt: Attempt) -> FunctionLog:
    return FunctionLog(
        function_name=event.record.function_name,
        ret_msg=attempt.ret_msg,
        request_id=event.request_id,
        start_time=to_datetime(attempt.start_us),
        ret_code=_log_ret_code(attempt),
        invoke_finished=int(attempt.end_us is not None),
        duration=attempt.duration_us / 1000,
        bill_duration=_billed(attempt),
        mem_usage=attempt.mem_usage,
        log=_log_of(event, attempt),
        level="INFO",
        source="",
        retry_num=attempt.retry_num,
    )


def _log_of(event: Event, attempt: Attempt) -> str:
    return "\n".join(line.text for line in event.lines if line.retry_num == attempt.retry_num)


def _log_ret_code(attempt: Attempt) -> int:
    if attempt.end_us is None:
        return LOG_RUNNING
    return LOG_INTERRUPTED if attempt.status_code == 499 else int(attempt.error.get("errorCode", 0))


def _billed(attempt: Attempt) -> int:
    """The milliseconds on the bill."""
    step_us = BILLING_STEP_MS * 1000
    return -(-attempt.duration_us // step_us) * BILLING_STEP_MS


def _whole_second(us: int) -> int:
    return us - us % _SECOND


def _all(_: Attempt) -> bool:
    return True


_PASSES: Final[Mapping[str, Callable[[Attempt], bool]]] = {
    "not0": lambda attempt: bool(attempt.error),
    "is0": lambda attempt: attempt.end_us is not None and not attempt.error,
    "TimeLimitExceeded": lambda attempt: attempt.status_code == 433,
    "ResourceLimitExceeded": lambda attempt: attempt.status_code in (432, 434),
    "UserCodeException": lambda attempt: attempt.status_code == 430,
}
"""What each value of ``Filter.RetCode`` lets pass (document 18583)."""
_KEYS: Final[Mapping[str, Callable[[Attempt], int]]] = {
    "start_time": lambda attempt: attempt.start_us,
    "function_name": lambda _: 0,
    "duration": lambda attempt: attempt.duration_us,
    "mem_usage": lambda attempt: attempt.mem_usage,
}
"""What ``OrderBy`` sorts by."""
