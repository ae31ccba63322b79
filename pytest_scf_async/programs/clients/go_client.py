"""The client of a Go function: calls of ``net/rpc`` in gob on its port (document 30228), without ever waiting.

Who owns this asks it again and again: whether the function listens, and whether it has answered.
"""

from __future__ import annotations

import _socket
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from ...protocol import messages
from ...protocol.limits import RESULT_LIMIT
from ...protocol.shortening import shortened
from .gob import BYTES, INT, STRING, UINT, Decoder, Encoder, GobError, Struct
from .program_client import Answer, Broken, ProgramClient, Stream, await_arrival, connect

LOCALHOST: Final = "127.0.0.1"
SHOWN: Final = 200
"""Characters of a result that is not JSON that are shown."""
_CALL: Final = Struct("Request", {"ServiceMethod": STRING, "Seq": UINT})
_PING: Final = Struct("PingRequest", {})
_INVOKE: Final = Struct(
    "InvokeRequest",
    {
        "Payload": BYTES,
        "RequestId": STRING,
        "TraceId": STRING,
        "Deadline": Struct("InvokeRequest_Timestamp", {"Seconds": INT, "Nanos": INT}),
        "InvokedFunctionUnique": STRING,
        "ClientContext": BYTES,
        "Namespace": STRING,
        "FunctionName": STRING,
        "FunctionVersion": STRING,
        "MemoryLimitInMb": INT,
        "TimeLimitInMs": INT,
        "Environment": STRING,
        "TencentcloudRegion": STRING,
        "TencentcloudAppID": STRING,
        "TencentcloudUin": STRING,
        "FunctionTrace": STRING,
    },
)
"""The messages of github.com/tencentyun/scf-go-lib, whose fields are matched by their names."""


class GoClient(ProgramClient):
    """The connection to one function: one call at a time.

    *port* is the function's on the loopback of this process's network namespace. *now_ns* gives the time that the
    function sees, in ns since 1970: its deadlines count from it.
    """

    def __init__(self, port: int, now_ns: Callable[[], int]) -> None:
        self._address = LOCALHOST, port
        self._now_ns = now_ns
        self._stream: Stream | None = None
        self._encoder, self._decoder = Encoder(), Decoder()
        self._header: Mapping[str, Any] | None = None
        """The first part of an answer whose second part has not come yet."""
        self._ready = False
        self._asked = False
        self._set: set[str] = set()
        """Variables of single events that the function's process has: the library sets them, and never unsets one."""
        self._broken: str | None = None

    @property
    def connection(self) -> _socket.socket | None:
        return None if self._stream is None else self._stream.socket

    def descriptors(self) -> dict[int, int]:
        """The descriptors to poll, each with its events, before a call of `is_ready` or `receive`."""
        return {} if self._stream is None or self._broken is not None else self._stream.descriptors()

    def is_ready(self) -> bool:
        """Whether the function has answered a ping, ever."""
        if self._ready:
            return True
        if self._stream is None:
            connection = connect(self._address)
            if connection is None:
                return False
            self._stream = Stream(connection)
            self._encoder, self._decoder = Encoder(), Decoder()
            self._call("Function.Ping", _PING, {})
        answer = self._next()
        if self._broken is not None or (answer is not None and answer[0]):
            self._stream.socket.close()  # it was no function yet: the next look tries again
            self._stream = self._broken = self._header = None
        elif answer is not None:
            self._ready = True
        return self._ready

    def ask(self, invocation: messages.Invoke) -> bool:
        """Call the function, whose time limit counts from now; True. The last call has been answered."""
        assert not self._asked, "the last invocation has not been answered"
        self._asked = True
        context = invocation.context
        limit_ms = int(context["time_limit_in_ms"])
        seconds, ns = divmod(self._now_ns() + limit_ms * 1_000_000, 1_000_000_000)
        variables = {**json.loads(context["environment"]), **self._own(invocation)}
        request = {
            "Payload": invocation.payload.encode(),
            "RequestId": context["request_id"],
            "TraceId": context["request_id"],
            "Deadline": {"Seconds": seconds, "Nanos": ns},
            "InvokedFunctionUnique": context["function_name"],
            "ClientContext": b"",
            "Namespace": context["namespace"],
            "FunctionName": context["function_name"],
            "FunctionVersion": context["function_version"],
            "MemoryLimitInMb": int(context["memory_limit_in_mb"]),
            "TimeLimitInMs": limit_ms,
            "Environment": json.dumps(variables),
            "TencentcloudRegion": context["tencentcloud_region"],
            "TencentcloudAppID": context["tencentcloud_appid"],
            "TencentcloudUin": context["tencentcloud_uin"],
            "FunctionTrace": "",
        }
        self._call("Function.Invoke", _INVOKE, request)
        return True

    def await_arrival(self) -> None:
        """Wait until the kernel has brought the function what was sent, which takes a while on a busy machine."""
        if self._stream is not None:
            await_arrival(self._stream.socket)

    def receive(self) -> Answer | None:
        """The answer to the event, once the call is answered; None until then.

        ``fact`` is RETURNED (``text``), RAISED (``trace``), RESULT_NOT_JSON (``trace``) or RESULT_TOO_LARGE; `Broken`
        where the connection is gone, for good: most likely the process is ending, or has ended.
        """
        answer = self._next() if self._asked else None
        if answer is not None:
            self._asked = False
            refusal, response = answer
            if refusal:
                return _raised({"Message": refusal, "Type": "rpc.ServerError"})
            return _result(response)
        if self._broken is not None:
            self._asked = False
            return Broken(f"the connection to the function is gone: {self._broken}")
        return None

    def close(self) -> None:
        """End the connection."""
        if self._stream is not None:
            self._stream.socket.close()
        self._broken = self._broken or "it was closed"

    def _own(self, invocation: messages.Invoke) -> dict[str, str]:
        """The environment of one event; what an earlier one alone had is an empty text."""
        own = invocation.environment
        found = {name: value or "" for name, value in own.items() if value is not None or name in self._set}
        self._set.update(found)
        return found

    # -- the connection ------------------------------------------------------------------------------------------------

    def _call(self, method: str, kind: Struct, value: Mapping[str, Any]) -> None:
        assert self._stream is not None
        self.sent += 1
        header = self._encoder.encode(_CALL, {"ServiceMethod": method, "Seq": self.sent})
        self._stream.send(header + self._encoder.encode(kind, value))

    def _next(self) -> tuple[str, Mapping[str, Any]] | None:
        """The answer to a call, once it is whole: the error by which the server refuses it, and the response."""
        self._exchange()
        try:
            if self._header is None:
                self._header = self._decoder.next()
            if self._header is None:
                return None
            response = self._decoder.next()
        except (GobError, OverflowError) as error:
            self._broken = f"what it sent is not a net/rpc answer: {error}"
            return None
        if response is None:
            return None
        header, self._header = self._header, None
        return header.get("Error", ""), response

    def _exchange(self) -> None:
        """Send and receive what there is."""
        if self._stream is not None and self._broken is None:
            self._stream.send()
            self._decoder.feed(self._stream.receive())
            if self._stream.ended or self._stream.failure:
                self._broken = self._stream.failure or "EOF"


def _raised(error: Mapping[str, Any]) -> messages.Result:
    return messages.Result("RAISED", trace=trace_text(error))


def _result(response: Mapping[str, Any]) -> messages.Result:
    if "Error" in response:
        return _raised(response["Error"])
    payload: bytes = response.get("Payload", b"")
    if len(payload) > RESULT_LIMIT:
        return messages.Result("RESULT_TOO_LARGE", size=len(payload))
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return messages.Result("RESULT_NOT_JSON", trace="the result is not JSON: its bytes are not UTF-8")
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        trace = f"the result is not JSON: {error}: {shortened(text, SHOWN)!r}"
        return messages.Result("RESULT_NOT_JSON", trace=trace)
    return messages.Result("RETURNED", text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def trace_text(error: Mapping[str, Any]) -> str:
    """What the function answered as its *error*, in the form of Python's tracebacks: the last line says what it was."""
    stack = error.get("StackTrace", [])
    frames = [f"  {each.get('Path', '')}:{each.get('Line', 0)}, in {each.get('Label', '')}" for each in reversed(stack)]
    name = error.get("Type") or "error"
    if error.get("ShouldExit"):
        name = f"panic ({name})"
    heading = ["Goroutine (most recent call last):"] if frames else []
    return "\n".join([*heading, *frames, f"{name}: {error.get('Message', '')}"])
