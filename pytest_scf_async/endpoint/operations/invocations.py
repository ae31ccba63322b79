"""Invoke, InvokeFunction, GetRequestStatus and GetFunctionLogs (documents 17243, 58400, 65348, 18583).

A record is one attempt of an invocation: a sync function that was invoked asynchronously may have three.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ...clock import to_datetime, to_us
from ...errors import calls_named, hidden_from_users
from ...function import Invocation
from ...inner import event_of, look_at
from ...lockstep.calls import Call
from ...lockstep.event import Attempt, Event
from ...model.listing import check_choice, check_limit, check_offset, is_text, page_of
from ...model.payload import ASYNC_PAYLOAD_LIMIT, SYNC_PAYLOAD_LIMIT, is_unicode
from ...model.versions import DEFAULT_ALIAS
from .error_texts import api_error
from .namespaces import require_namespace
from .platform import Platform

__tracebackhide__ = hidden_from_users

INVOKE_DEADLINE_US: Final = 300 * 1_000_000
"""For how long Invoke waits for the end (document 17243)."""
ROUTING_KEY_LIMIT: Final = 1024
"""The most bytes of a RoutingKey (document 17243)."""

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


# -- the calls ---------------------------------------------------------------------------------------------------------

_PASSES: Final[Mapping[str, Callable[[Attempt], bool]]] = {
    "not0": lambda attempt: bool(attempt.error),
    "is0": lambda attempt: attempt.end_us is not None and not attempt.error,
    "TimeLimitExceeded": lambda attempt: attempt.status_code == 433,
    "ResourceLimitExceeded": lambda attempt: attempt.status_code in (432, 434),
    "UserCodeException": lambda attempt: attempt.status_code == 430,
}
"""What each value of ``Filter.RetCode`` lets pass (document 18583)."""
_KEYS: Final[Mapping[str, Callable[[Event, Attempt], int | str]]] = {
    "start_time": lambda _, attempt: attempt.start_us,
    "function_name": lambda event, _: event.record.function_name,
    "duration": lambda _, attempt: attempt.duration_us,
    "mem_usage": lambda _, attempt: attempt.mem_usage,
}
"""What ``OrderBy`` sorts by."""


@calls_named
class OperationsOnInvocations:
    """Those that ``ScfRuntime`` has as calls."""

    def invoke(
        self: Platform,
        function_name: str,
        client_context: str | None = None,
        *,
        namespace: str = "default",
        qualifier: str | None = None,
        invocation_type: str = "RequestResponse",
        log_type: str = "None",
        routing_key: str | None = None,
    ) -> InvocationResult:
        """Invoke (document 17243): *client_context* is the event as JSON text, *routing_key* such a text, too.

        With *invocation_type* ``"RequestResponse"`` time passes until a sync function has ended, 300 simulated seconds
        at most; ``"Event"``, and an async function in either case, only have the event accepted. *log_type* ``"Tail"``
        gives the last 4 KB of the log. Raises ``ScfApiError``: ``ResourceNotFound.Function``,
        ``ResourceNotFound.Qualifier``, ``InvalidParameter.FunctionName``, ``InvalidParameterValue.Param`` for what is
        not JSON, ``InvalidParameter.RequestTooLarge`` for more than 6 MB (128 KB where nobody waits),
        ``LimitExceeded.Quota``, ``FailedOperation.InvokeFunction`` after the 300 seconds, ``InvalidParameterValue``.
        """
        _check_word("InvocationType", invocation_type, ("RequestResponse", "Event"))
        return _invoke(
            self,
            function_name,
            namespace,
            Invocation("", qualifier, "OTHERS", invocation_type == "Event", by_operation=True),
            text=client_context,
            name="ClientContext",
            log_type=log_type,
            routing_key=routing_key,
            longest_us=INVOKE_DEADLINE_US,
        )

    def invoke_function(
        self: Platform,
        function_name: str,
        event: str | None = None,
        *,
        namespace: str = "default",
        qualifier: str | None = DEFAULT_ALIAS,
        log_type: str = "None",
        routing_key: str | None = None,
    ) -> InvocationResult:
        """InvokeFunction (document 58400): as ``invoke`` with ``"RequestResponse"``, without a longest time.

        Its *qualifier* is the alias ``$DEFAULT`` unless given, and InvokeResult is the status code (200, 430, …).
        """
        return _invoke(
            self,
            function_name,
            namespace,
            Invocation("", qualifier, "OTHERS", asynchronous=False, by_operation=True),
            text=event,
            name="Event",
            log_type=log_type,
            routing_key=routing_key,
            longest_us=None,
        )

    def request_status(
        self: Platform,
        function_name: str,
        request_id: str,
        *,
        namespace: str = "default",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> RequestStatusPage:
        """GetRequestStatus (document 65348): the attempts of one invocation, of sync functions too, the earliest first.

        *start* and *end* are compared in whole seconds; without *start* it is 15 minutes ago, and *end* now unless
        given. Raises ``ScfApiError``: ``ResourceNotFound.Function``, ``InvalidParameterValue.FunctionName``,
        ``InvalidParameterValue.FunctionRequestId``, ``InvalidParameterValue.StartTimeOrEndTime``.
        """
        self._lockstep.refresh()
        function = self._require_function(function_name, namespace, namespace_code="ResourceNotFound.Function")
        if not (is_text(request_id) and request_id):
            valid = "it must be the id of an invocation"
            raise api_error("InvalidParameterValue.FunctionRequestId", value=request_id, valid=valid)
        window = _window(self, start, end, DEFAULT_WINDOW_US)
        found = [event_of(event) for event in function.events if event.request_id == request_id]
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
            for event, attempt in _attempts(found, window)
        ]
        _answered(self, rows)
        return RequestStatusPage(len(rows), rows)

    def function_logs(
        self: Platform,
        function_name: str | None = None,
        *,
        namespace: str = "default",
        qualifier: str | None = None,
        request_id: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ret_code: str | None = None,
        order: str = "desc",
        order_by: str = "start_time",
        offset: int = 0,
        limit: int = 20,
    ) -> FunctionLogPage:
        """GetFunctionLogs (document 18583): the attempts of a function's invocations, each with its log.

        Without *function_name* they are those of all functions of *namespace*, of which *qualifier* is a version then.
        *ret_code* is ``Filter.RetCode``: ``"not0"``, ``"is0"``, ``"TimeLimitExceeded"``, ``"ResourceLimitExceeded"`` or
        ``"UserCodeException"``; *order_by* ``"start_time"``, ``"function_name"``, ``"duration"`` or ``"mem_usage"``.
        *start* and *end* are compared in whole seconds, and are a day apart at most; without *start* it is a day ago,
        and *end* now unless given. Raises ``ScfApiError``: ``ResourceNotFound.Function``,
        ``InvalidParameterValue.RetCode``, ``.Order``, ``.OrderBy``, ``.Offset``, ``.StartTimeOrEndTime``,
        ``LimitExceeded.Offset`` for more than 10,000 of *offset* and *limit* together,
        ``ResourceNotFound.Qualifier``, ….
        """
        self._lockstep.refresh()
        version = qualifier
        if function_name is None:
            require_namespace(self, namespace)
            functions = [each for (of, _), each in list(self._functions.items()) if of == namespace]
        else:
            functions = [self._require_function(function_name, namespace, namespace_code="ResourceNotFound.Function")]
            if qualifier is not None:
                version = functions[0]._versions.resolve(qualifier).version
        window = _window(self, start, end, LONGEST_WINDOW_US)
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
        events = [
            event_of(event)
            for function in functions
            for event in function.events
            if version in (None, event.qualifier) and request_id in (None, event.request_id)
        ]
        found = [row for row in _attempts(events, window) if ret_code is None or _PASSES[ret_code](row[1])]
        found.sort(key=lambda row: _KEYS[order_by](*row))
        rows = [_function_log(*row) for row in page_of(found, order, offset, limit)]
        _answered(self, rows)
        return FunctionLogPage(len(found), rows)


# -- Invoke ----------------------------------------------------------------------------------------------------------


def _result_of(event: Event, *, tail: bool, by_status_code: bool) -> InvocationResult:
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


def _invoke(
    platform: Platform,
    function_name: str,
    namespace: str,
    invocation: Invocation,
    *,
    text: object,
    name: str,
    log_type: str,
    routing_key: object,
    longest_us: int | None,
) -> InvocationResult:
    """Run *invocation* of *text*, the parameter *name*; who waits for its end does so for *longest_us* at most."""
    platform._lockstep.refresh()
    function = platform._require_function(
        function_name,
        namespace,
        name_code="InvalidParameter.FunctionName",
        namespace_code="ResourceNotFound.Function",
    )
    _check_word("LogType", log_type, ("None", "Tail"))
    waits = not (invocation.asynchronous or function.configuration.async_run)
    payload = _checked_payload_text(text, name=name, asynchronous=not waits)
    invocation = replace(invocation, payload=payload, routing_key=_checked_routing_key(routing_key))
    facade = platform._accept(function, invocation)
    event, by_status_code = event_of(facade), longest_us is None
    if not waits:
        return InvocationResult(event.request_id, invoke_result=200 if by_status_code else 0)
    deadline_us = None if longest_us is None else platform.clock.now_us + longest_us

    def done() -> bool:
        if event.ended or deadline_us is None:
            return event.ended
        return platform.clock.now_us >= deadline_us and platform._lockstep.all_quiet(call)

    name = f"the invocation {event.request_id} of {function_name}"
    call = Call(name, done, moves_clock=True, leases=True, target_us=deadline_us, event=event)
    platform._lockstep.drive(call)
    if not event.ended:
        reason = f"it has not ended within {INVOKE_DEADLINE_US // 1_000_000} seconds"
        raise api_error("FailedOperation.InvokeFunction", function_name=function_name, reason=reason)
    look_at(facade)
    return _result_of(event, tail=log_type == "Tail", by_status_code=by_status_code)


def _checked_payload_text(text: object, *, name: str, asynchronous: bool) -> str:
    """The JSON *text* that the parameter *name* of Invoke or InvokeFunction has as an event; ``{}`` where it has none.

    Raises ScfApiError ``InvalidParameterValue.Param`` for what is not JSON (nor are NaN and Infinity), and
    ``InvalidParameter.RequestTooLarge`` for more than 128 KB (*asynchronous*) or 6 MB.
    """
    if text is None or text == "":
        return "{}"
    if not isinstance(text, str) or not is_unicode(text):
        raise api_error("InvalidParameterValue.Param", name=name, reason="it must be a string")
    size = len(text.encode())
    limit = ASYNC_PAYLOAD_LIMIT if asynchronous else SYNC_PAYLOAD_LIMIT
    if size > limit:
        raise api_error("InvalidParameter.RequestTooLarge", name=name, size=size, limit=limit)
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise api_error("InvalidParameterValue.Param", name=name, reason="it is nested too deeply") from None
    except ValueError as error:
        raise api_error("InvalidParameterValue.Param", name=name, reason=str(error)) from None
    return text


def _checked_routing_key(text: object) -> dict[str, str] | None:
    """The pairs of a RoutingKey, which is JSON text, or None where there is none; a number is taken as its text.

    Raises ScfApiError ``InvalidParameterValue``.
    """
    if text is None or text == "":
        return None
    valid = f"it must be the JSON of an object of strings, {ROUTING_KEY_LIMIT:,} bytes at most"
    shown = text[:100] if isinstance(text, str) else text
    error = api_error("InvalidParameterValue", name="RoutingKey", value=shown, valid=valid)
    if not isinstance(text, str) or not is_unicode(text) or len(text.encode()) > ROUTING_KEY_LIMIT:
        raise error
    try:
        pairs = json.loads(text)
    except (ValueError, RecursionError):
        raise error from None
    if not isinstance(pairs, dict) or not all(isinstance(each, (str, int)) for each in pairs.values()):
        raise error
    return {key: str(each) for key, each in pairs.items()}


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# -- records ---------------------------------------------------------------------------------------------------------


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


def _window(platform: Platform, start: datetime | None, end: datetime | None, default_us: int) -> tuple[int, int]:
    """The seconds that a query is about, its ends included: without a start the last *default_us*, until *end*.

    Raises ScfApiError ``InvalidParameterValue.StartTimeOrEndTime`` for a start without an end, or that is not before
    it.
    """
    now_us = platform.clock.now_us
    first_us = now_us - default_us if start is None else to_us(start, "start")
    if start is not None and end is None:
        raise api_error("InvalidParameterValue.StartTimeOrEndTime", reason="EndTime is missing")
    last_us = now_us if end is None else to_us(end, "end")
    if first_us >= last_us:
        raise api_error("InvalidParameterValue.StartTimeOrEndTime", reason="EndTime is not after StartTime")
    return _whole_second(first_us), _whole_second(last_us)


def _answered(platform: Platform, rows: Sequence[RequestStatus | FunctionLog]) -> None:
    """The caller has been given *rows*."""
    for request_id in {row.request_id for row in rows}:
        platform._seen(event_of(platform._events[request_id]).record)


def _check_word(name: str, value: object, valid: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in valid:
        raise api_error("InvalidParameterValue", name=name, value=value, valid=f"valid are {' and '.join(valid)}")
