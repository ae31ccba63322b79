"""What a case works with: functions that are created when they are needed, events, and their answers."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from .account import Account, Refused, Undecided
from .state import State

Facts = dict[str, Any]
"""What was found: JSON."""
ACCEPTED: Final = "accepted"
MEMORY_MB: Final = 128
BEGIN_SECONDS: Final = 5.0
"""What an event gets to start and to register its listener, cold start included."""
FUNCTION_STATE_SECONDS: Final = 120
END_SECONDS: Final = 180
"""How long an event may take to end, and a log to be there."""
HANDLERS: Final = Path(__file__).parent / "handlers"
UNKNOWN_EVENT: Final = "ResourceNotFound.AsyncEvent"


@dataclass(frozen=True)
class Kind:
    """A function that the command creates."""

    handler: str = "index.main_handler"
    timeout: int = 120
    asynchronous: bool = True
    trace: bool = True


FUNCTIONS: Final[Mapping[str, Kind]] = {
    "traced": Kind(),
    "other": Kind(),
    "untraced": Kind(trace=False),
    "sync": Kind(asynchronous=False, trace=False),
    "short": Kind(timeout=15),
    "raises": Kind(handler="raises.main_handler"),
    "exits": Kind(handler="exits.main_handler"),
    "slow": Kind(handler="slow.main_handler"),
    "late": Kind(handler="slow.main_handler"),
    "ordered": Kind(),
    "deleted": Kind(),
    "updated": Kind(),
    "switched": Kind(),
    "versions": Kind(),
    "long": Kind(timeout=7200),
}
"""Each by the end of its name."""


@dataclass(frozen=True)
class Sent:
    """An event that was accepted."""

    function: str
    id: str
    answer: Mapping[str, Any]
    """Invoke's."""


@lru_cache(maxsize=1)
def package() -> str:
    """The code as a zip in Base64, the same each time."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for path in sorted(HANDLERS.glob("*.py")):
            member = zipfile.ZipInfo(path.name, (2026, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            file.writestr(member, path.read_bytes())
    return base64.b64encode(written.getvalue()).decode()


def answer_of(call: Callable[[], object]) -> str:
    """``accepted``, or the code of the error."""
    try:
        call()
    except Refused as refused:
        return refused.code
    return ACCEPTED


class Bench:
    """The account of a run. Every call raises `Undecided` or `Refused` where it has no answer."""

    def __init__(
        self, account: Account, state: State, begin_seconds: float = BEGIN_SECONDS, note: Callable[[str], None] = print
    ) -> None:
        self.call: Final = account.call
        self.state: Final = state
        self.pace: Final = account.pace
        self.address: Final = account.address
        self._begin_seconds = begin_seconds
        self._note = note
        self._active: set[str] = set()

    def answer(self, action: str, **parameters: Any) -> Facts:
        """``accepted``, or the code of the error, of a call."""
        return {"answer": answer_of(lambda: self.call(action, **parameters))}

    def until(self, found: Callable[[], Any], within: float, what: str) -> Any:
        """What *found* gives that is not None, asked once a second; raises `Undecided` after *within* seconds."""
        for _ in range(round(within)):
            answer = found()
            if answer is not None:
                return answer
            self.pace.sleep(1)
        raise Undecided(f"{what}, after {within:g} s")

    # -- functions ---------------------------------------------------------------------------------------------------

    def name(self, kind: str) -> str:
        """The name of the function *kind*."""
        return f"{self.state.prefix}-{kind}"

    def function(self, kind: str, namespace: str = "default") -> str:
        """The name of the function *kind*, which is created and active."""
        name = self.name(kind)
        if f"{namespace}/{name}" not in self._active:
            if [name, namespace] not in self.state.functions:
                self.create(kind, namespace)
            self.wait_active(kind, namespace)
            self._active.add(f"{namespace}/{name}")
        return name

    def create(self, kind: str, namespace: str = "default", **instead: Any) -> None:
        """Create the function *kind*; *instead* are other parameters than it has."""
        name, of_kind = self.name(kind), FUNCTIONS.get(kind, Kind())
        self.state.functions.append([name, namespace])
        self.state.write()
        parameters = {
            "Code": {"ZipFile": package()},
            "Handler": of_kind.handler,
            "Runtime": "Python3.10",
            "MemorySize": MEMORY_MB,
            "Timeout": of_kind.timeout,
            "AsyncRunEnable": _switch(of_kind.asynchronous),
            "TraceEnable": _switch(of_kind.trace),
            "Description": "pytest-scf-async conformance: can be deleted",
        }
        try:
            self.call("CreateFunction", FunctionName=name, Namespace=namespace, **{**parameters, **instead})
        except Refused as refused:
            if refused.code.startswith("ResourceInUse"):  # it is another's
                self.state.functions.remove([name, namespace])
                self.state.write()
            raise

    def wait_active(self, kind: str, namespace: str = "default") -> None:
        """Wait until the function can be used and changed."""

        def active() -> bool | None:
            status = self.call("GetFunction", FunctionName=self.name(kind), Namespace=namespace)["Status"]
            if str(status).endswith("Failed"):
                raise Undecided(f"{self.name(kind)} is {status}")
            return True if status == "Active" else None

        self.until(active, FUNCTION_STATE_SECONDS, f"{self.name(kind)} is not Active")

    def publish(self, kind: str) -> str:
        """Publish a version; its number."""
        version = self.call("PublishVersion", FunctionName=self.function(kind), Namespace="default")["FunctionVersion"]
        self.wait_active(kind)
        return str(version)

    # -- events ------------------------------------------------------------------------------------------------------

    def invoke(self, kind: str, *, action: str = "Invoke", **event: Any) -> Sent:
        """Invoke the function *kind* asynchronously with *event*."""
        payload = json.dumps(event)
        if action == "InvokeFunction":
            return self.invoke_with(kind, action, Event=payload)
        return self.invoke_with(kind, action, InvocationType="Event", ClientContext=payload)

    def invoke_with(self, kind: str, action: str, **parameters: Any) -> Sent:
        """The same with *parameters* as they are."""
        function = self.function(kind)
        answer = self.call(action, FunctionName=function, Namespace="default", **parameters)
        sent = Sent(function, str(answer["RequestId"]), answer)
        self.state.events.append([sent.function, sent.id])
        self.state.write()
        return sent

    def begin(self) -> None:
        """Give the events that were invoked the time to start."""
        self.pace.sleep(self._begin_seconds)

    def status(self, sent: Sent) -> Facts:
        """Status and StatusCode."""
        result = self.call("GetAsyncEventStatus", InvokeRequestId=sent.id)["Result"]
        return {"Status": result["Status"], "StatusCode": result["StatusCode"]}

    def running(self, sent: Sent) -> Facts:
        """The same, once it is known; raises `Undecided` where it does not run."""
        found: Facts = self.until(lambda: self._status_if_known(sent), END_SECONDS, f"event {sent.id} is not known")
        if found["Status"] != "RUNNING":
            raise Undecided(f"event {sent.id} has ended too early: {found}")
        return found

    def ended(self, sent: Sent) -> Facts:
        """The same, once it has ended."""

        def ended() -> Facts | None:
            found = self._status_if_known(sent)
            return found if found and found["Status"] != "RUNNING" else None

        found: Facts = self.until(ended, END_SECONDS, f"event {sent.id} is RUNNING, or not known")
        self.state.forget(sent.id)
        return found

    def _status_if_known(self, sent: Sent) -> Facts | None:
        """None where it is not known, as may be for a moment after Invoke."""
        try:
            return self.status(sent)
        except Refused as refused:
            if refused.code != UNKNOWN_EVENT:
                raise
            return None

    def terminate(self, sent: Sent, *, graceful: bool = False, function: str | None = None) -> None:
        """Terminate it, under the name of another *function*."""
        name = function or sent.function
        self.call("TerminateAsyncEvent", FunctionName=name, InvokeRequestId=sent.id, GraceShutdown=graceful)

    def row(self, sent: Sent) -> Facts:
        """Its row of ListAsyncEvents, once there is one."""

        def row() -> Facts | None:
            rows = self.list(sent.function, InvokeRequestId=sent.id)["EventList"]
            return rows[0] if rows else None

        found: Facts = self.until(row, END_SECONDS, f"event {sent.id} is not listed")
        return found

    def list(self, function: str, **filters: Any) -> dict[str, Any]:
        """ListAsyncEvents."""
        return self.call("ListAsyncEvents", FunctionName=function, Namespace="default", **filters)

    def log(self, sent: Sent, wanted: str) -> str:
        """Its log by GetFunctionLogs, once *wanted* is in it; raises `Undecided` where that does not come."""

        def log() -> str | None:
            rows = self.call("GetFunctionLogs", FunctionName=sent.function, FunctionRequestId=sent.id)["Data"]
            text = "".join(str(row["Log"]) for row in rows or ())
            return text if wanted in text else None

        found: str = self.until(log, END_SECONDS, f"the log of event {sent.id} has no {wanted!r}")
        return found

    def result(self, sent: Sent) -> str:
        """What its handler returned, by GetRequestStatus."""

        def result() -> str | None:
            rows = self.call("GetRequestStatus", FunctionName=sent.function, FunctionRequestId=sent.id)["Data"]
            return str(rows[0]["RetMsg"]) if rows and rows[0]["RetMsg"] else None

        found: str = self.until(result, END_SECONDS, f"event {sent.id} has no RetMsg")
        return found

    # -- what is left ------------------------------------------------------------------------------------------------

    def end_events(self, besides: frozenset[str] = frozenset()) -> None:
        """Terminate what may still run, but for the ids *besides*."""
        for function, request_id in list(self.state.events):
            if request_id in besides:
                continue
            try:
                self.terminate(Sent(function, request_id, {}))
            except Refused:
                pass  # it has ended
            except Undecided as error:
                self._note(f"{function}: event {request_id} may still run: {error}")
                continue
            self.state.events.remove([function, request_id])
        self.state.write()

    def delete_all(self) -> None:
        """Delete what the state names; what cannot be deleted stays in it, with a note."""
        for name, namespace in list(self.state.functions):
            if self._deleted(f"{namespace}/{name}", "DeleteFunction", FunctionName=name, Namespace=namespace):
                self.state.functions.remove([name, namespace])
                self.state.write()
        for namespace in list(self.state.namespaces):
            if self._deleted(f"namespace {namespace}", "DeleteNamespace", Namespace=namespace):
                self.state.namespaces.remove(namespace)
                self.state.write()

    def _deleted(self, what: str, action: str, **parameters: Any) -> bool:
        """Whether it is gone."""
        try:
            self.call(action, **parameters)
        except (Refused, Undecided) as error:
            gone = isinstance(error, Refused) and error.code.startswith("ResourceNotFound")
            if not gone:
                self._note(f"{what} is still there: {error}")
            return gone
        return True


def _switch(on: bool) -> str:
    return "TRUE" if on else "FALSE"
