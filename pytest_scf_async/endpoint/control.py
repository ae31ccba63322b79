"""The clock, the events and the faults of a runtime over HTTP, below ``/_scf/``: for test runners of other languages.

The API has nothing of this. A test in Go or JavaScript lets time pass with it, runs an event to a line of its log,
declares that a request fails, and reads a timeline. The table is in docs/reference.md, too.

========================================  ==========================================================================
``GET /_scf/clock``                       the simulated time
``POST /_scf/clock/advance``              ``{"seconds": 60}``: let time pass
``POST /_scf/clock/move_to``              ``{"when": "2026-01-01T08:00:00+08:00"}``
``GET /_scf/events``                      all events, in the order in which they were invoked
``GET /_scf/events/ID``                   one event: status, log, timeline, records, signals, result or error
``POST /_scf/events/ID/wait``             let time pass until it has ended
``POST /_scf/events/ID/settle``           run it at this time until it waits
``POST /_scf/events/ID/wait_for_log``     ``{"text": "page 3"}`` or ``{"pattern": "page \\d"}``, ``{"count": 2}``
``POST /_scf/faults/fail``                ``{"action": "Invoke", "code": "RequestLimitExceeded"}``, ``{"message": ...}``
``POST /_scf/faults/delay``               ``{"action": "Invoke", "seconds": 60}``
``POST /_scf/faults/drop``                ``{"action": "Invoke", "what": "request"}``, or ``"response"``
``POST /_scf/faults/duplicate``           ``{"action": "Invoke"}``
``GET /_scf/faults``                      ``never_happened``: the faults that no request has met
``GET /_scf/calls``                       the requests to the API so far, in the order in which they were answered
``POST /_scf/reset``                      begin anew: the functions that were served at first, no events
========================================  ==========================================================================

A fault may have ``{"when": {"FunctionName": "export"}}``, and ``{"times": 2}`` or ``{"always": true}``, as in Python.
Every answer is a JSON object; one that is refused has ``{"error": {"type": ..., "message": ...}}`` and status 400 (a
value), 403 (who asks), 404 (a path or an event), 405 (a method) or 409 (what the event or the runtime cannot do).

Whoever reaches this moves the clock and begins anew, and no key is asked for. A web page in a browser of this machine
reaches it, too: by a name of its own that leads to the loopback (DNS rebinding), or by requests across sites. The first
names that name as the ``Host``, the second have an ``Origin``: both are refused.
"""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from ..async_event import AsyncEvent
from ..errors import HandlerError, HarnessError, ScfApiError, ScfAsyncError, ScfUsageError
from ..protocol.shortening import shortened_line
from .clients import ConnectionOwner, ip_address_is_of_loopback
from .endpoint import Endpoint
from .http_request import HttpAnswer, HttpRequest
from .parameters import Parameters, Structs, read
from .request import read_json

_HOW_OFTEN: Final = Structs("how_often: when=Object times=Integer always=Boolean")
"""Which requests a fault happens to, and how often."""
_ROUTES: Final = Map(strict_slashes=False, merge_slashes=False)
"""What answers which path: the endpoint of a rule calls a method of `Control`. No path leads on to another one: clients
repeat a POST at another address without its body, or not at all."""

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _at(method: str, path: str, body: str = "", **also: str) -> Callable[[_Method], _Method]:
    """Have a method of `Control` answer requests to *path*, whose *body* is written as in `Structs`; it gets *also*."""
    struct = _HOW_OFTEN.make(path, body)

    def decorate(method_of_control: _Method) -> _Method:
        def call(control: Control, http: HttpRequest, **of_path: str) -> Any:
            sent = read_json(http.body) if http.body else {}  # whatever its content type
            return method_of_control(control, read(sent, struct, typed=True), **also, **of_path)

        _ROUTES.add(Rule(f"/_scf/{path}", endpoint=call, methods=[method]))
        return method_of_control

    return decorate


class _Refused(Exception):
    """A request that is refused, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status: Final = status


class Control:
    """What answers requests below ``/_scf/``. *reset* begins anew; None where the runtime is a test's own."""

    def __init__(self, endpoint: Endpoint, reset: Callable[[], None] | None = None) -> None:
        self._endpoint = endpoint
        self._runtime = endpoint.runtime
        self._begin_anew = reset

    def answer(self, http: HttpRequest, connection: socket.socket | None = None) -> HttpAnswer:
        """Answer one request that came on *connection*."""
        try:
            self._check_client(http, connection)
            call, of_path = _ROUTES.bind("localhost").match(http.path, method=http.method)
            found = call(self, http, **of_path)
        except HTTPException as error:
            return _error(error.code or 400, type(error).__name__, f"{http.method} {http.path}: {_reason_of(error)}")
        except _Refused as error:
            return _error(error.status, "ScfUsageError", str(error))
        except ScfAsyncError as error:
            status = {HarnessError: 500, ScfUsageError: 400, ScfApiError: 400}.get(type(error), 409)
            return _error(status, type(error).__name__, str(error))
        return _json(found or {})

    def _check_client(self, http: HttpRequest, connection: socket.socket | None) -> None:
        """Refuse what may be a web page, and handlers: time passes in calls of the test, and their event is one."""
        request = f"{http.method} {http.path} is refused:"
        if connection is not None and ConnectionOwner(self._runtime._pool, connection, lambda: False).instance():
            raise _Refused(
                409,
                f"{request} it comes from a handler of this test, whose event would wait for itself; a handler calls "
                "the API, and the test moves the clock",
            )
        host, origin = http.headers.get("host", ""), http.headers.get("origin")
        if not _is_loopback(host):
            raise _Refused(
                403,
                f"{request} its Host is {shortened_line(host, 100)!r}; below /_scf/ it must be an address of the "
                "loopback, such as 127.0.0.1, or localhost, so that no web page has another name for it",
            )
        if origin is not None:
            raise _Refused(
                403,
                f"{request} it has an Origin ({shortened_line(origin, 100)!r}), as what a web page sends; below /_scf/ "
                "only programs are answered",
            )

    # -- the clock ---------------------------------------------------------------------------------------------------

    @_at("GET", "clock")
    def _clock(self, _: Parameters) -> dict[str, Any]:
        return {"now": self._runtime.clock.now.isoformat()}

    @_at("POST", "clock/advance", "seconds!=Float")
    def _advance(self, sent: Parameters) -> dict[str, Any]:
        self._runtime.clock.advance(sent["seconds"])
        return self._clock(sent)

    @_at("POST", "clock/move_to", "when!")
    def _move_to(self, sent: Parameters) -> dict[str, Any]:
        text = sent["when"]
        try:  # Python 3.10 knows no Z
            when = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
        except ValueError:
            raise _Refused(400, f"when={text!r} is not a time, as in '2026-01-01T08:00:00+08:00'") from None
        self._runtime.clock.move_to(when)
        return self._clock(sent)

    # -- events ------------------------------------------------------------------------------------------------------

    @_at("GET", "events")
    def _events(self, _: Parameters) -> dict[str, Any]:
        return {"events": [_summary(event) for event in self._runtime.events]}

    @_at("GET", "events/<request_id>")
    def _event(self, _: Parameters, request_id: str) -> dict[str, Any]:
        return _shown(self._known(request_id))

    @_at("POST", "events/<request_id>/wait")
    def _wait(self, _: Parameters, request_id: str) -> dict[str, Any]:
        return _shown(self._known(request_id).wait())

    @_at("POST", "events/<request_id>/settle")
    def _settle(self, _: Parameters, request_id: str) -> dict[str, Any]:
        return _shown(self._known(request_id).settle())

    @_at("POST", "events/<request_id>/wait_for_log", "text pattern count=Integer")
    def _wait_for_log(self, sent: Parameters, request_id: str) -> dict[str, Any]:
        event = self._known(request_id)
        text, pattern = sent.get("text"), sent.get("pattern")
        if (text is None) == (pattern is None):
            raise _Refused(400, 'wait_for_log takes either "text" or "pattern" (a regular expression)')
        try:
            wanted: str | re.Pattern[str] = re.compile(sent["pattern"]) if text is None else text
        except (re.error, OverflowError, RecursionError) as error:
            raise _Refused(
                400, f"pattern={shortened_line(str(pattern), 100)!r} is not a regular expression: {error}"
            ) from None
        return _shown(event.wait_for_log(wanted, sent.get("count", 1)))

    def _known(self, request_id: str) -> AsyncEvent:
        try:
            return self._runtime.event(request_id)
        except ScfUsageError as error:
            raise _Refused(404, str(error)) from None

    # -- the API -----------------------------------------------------------------------------------------------------

    @_at("POST", "faults/fail", "action! code! message *how_often", fault="fail")
    @_at("POST", "faults/delay", "action! seconds!=Float *how_often", fault="delay")
    @_at("POST", "faults/drop", "action! what! *how_often", fault="drop")
    @_at("POST", "faults/duplicate", "action! *how_often", fault="duplicate")
    def _declare(self, sent: Parameters, fault: str) -> None:
        given = {name: value for name, value in sent.items() if name != "always"}
        if sent.get("always"):
            given["times"] = None  # what Python has for it
        getattr(self._endpoint.faults, fault)(**given)

    @_at("GET", "faults")
    def _faults(self, _: Parameters) -> dict[str, Any]:
        return {"never_happened": self._endpoint.faults.never_happened()}

    @_at("GET", "calls")
    def _calls(self, _: Parameters) -> dict[str, Any]:
        return {
            "calls": [
                {
                    **{name: value for name, value in vars(call).items() if name != "secret_id"},
                    "parameters": dict(call.parameters),
                    "at": call.at.isoformat(),
                }
                for call in list(self._endpoint.calls)
            ]
        }

    # -- all of it ---------------------------------------------------------------------------------------------------

    @_at("POST", "reset")
    def _reset(self, _: Parameters) -> None:
        if self._begin_anew is None:
            raise _Refused(409, "reset: this runtime belongs to a test in Python, and the next test has a fresh one")
        self._begin_anew()


def _is_loopback(host: str) -> bool:
    """Whether *host*, as a request has it, is an address of the loopback or ``localhost``, with or without a port."""
    name, _, port = host.rpartition(":")
    bare = name if port.isdecimal() and name else host
    return bare == "[::1]" or ip_address_is_of_loopback(bare.lower())


def _reason_of(error: HTTPException) -> str:
    """Why there is no answer at a path, and what there is."""
    if isinstance(error, NotFound):
        known = sorted(f"{method} {rule.rule}" for rule in _ROUTES.iter_rules() for method in _methods(rule))
        return f"there is no such path; valid paths are {', '.join(known).replace('<request_id>', 'ID')}"
    if isinstance(error, MethodNotAllowed):
        return f"it accepts {' and '.join(error.valid_methods or ())}"
    return str(error.description)


def _methods(rule: Rule) -> set[str]:
    return (rule.methods or set()) - {"HEAD", "OPTIONS"}  # werkzeug adds HEAD to GET


def _summary(event: AsyncEvent) -> dict[str, Any]:
    try:
        status = str(event.status)
    except ScfApiError:
        status = None  # it is queued, or was dropped: the platform has none for it
    return {
        "request_id": event.request_id,
        "function_name": event.function_name,
        "status": status,
        "status_code": 0 if status is None else event.status_code,
        "doing": event.doing,
    }


def _shown(event: AsyncEvent) -> dict[str, Any]:
    try:
        result = event.result
    except HandlerError:
        result = None
    content = result if isinstance(result, bytes) else None
    return {
        **_summary(event),
        "qualifier": event.qualifier,
        "started_at": event.started_at.isoformat(),
        "ended_at": None if event.ended_at is None else event.ended_at.isoformat(),
        "retry_num": event.retry_num,
        "result": None if content is not None else json.loads(json.dumps(result), parse_constant=str),
        "result_base64": None if content is None else base64.b64encode(content).decode(),
        "error": event.error,
        "log": [{"time": line.time.isoformat(), "text": line.text, "source": str(line.source)} for line in event.log],
        "signals": [
            {
                "sent_at": signal.sent_at.isoformat(),
                "received": signal.received,
                "disposition": signal.disposition,
                "raised": signal.raised,
            }
            for signal in event.signals
        ],
        "records": [
            {"time": record.time.isoformat(), "name": record.name, "fields": record.fields} for record in event.records
        ],
        "timeline": event.timeline,
    }


def _json(found: Mapping[str, Any], status: int = 200) -> HttpAnswer:
    return HttpAnswer(json.dumps(found, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"), status)


def _error(status: int, kind: str, message: str) -> HttpAnswer:
    return _json({"error": {"type": kind, "message": message}}, status)
