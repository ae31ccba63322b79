"""What a case works with: functions that are created when they are needed, events, and their answers."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from .account import Account, Refused, Undecided
from .state import State

_Found = TypeVar("_Found")
Facts = dict[str, Any]
"""What was found: JSON."""
ACCEPTED: Final = "accepted"
GONE: Final = "gone"
"""In place of a function's status."""
AT_REST: Final = ("Active", "CreateFailed", "UpdateFailed", "PublishFailed", "DeleteFailed")
"""Statuses in which a function can be deleted (document 115197)."""
MEMORY_MB: Final = 128
BEGIN_SECONDS: Final = 5.0
"""What an event gets to start and to register its listener, cold start included."""
FUNCTION_STATE_SECONDS: Final = 120
END_SECONDS: Final = 180
"""How long an event may take to end, and a log to be there."""
LAG: Final = 15.0
"""Seconds after which a status is taken for what it is: it may lag behind what has happened."""
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
    "untraced": Kind(trace=False),
    "sync": Kind(asynchronous=False, trace=False),
    "short": Kind(timeout=15),
    "raises": Kind(handler="raises.main_handler"),
    "exits": Kind(handler="exits.main_handler"),
    "slow": Kind(handler="slow.main_handler"),
    "late": Kind(handler="slow.main_handler"),
    "long": Kind(timeout=7200),
}
"""Those that are not as others, each by the end of its name."""


@dataclass(frozen=True)
class Sent:
    """An event that was accepted."""

    function: str
    id: str
    answer: Mapping[str, Any]
    """Invoke's."""
    at: datetime
    """When that had come."""


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


def answer_of(call: Callable[[], object]) -> Facts:
    """``accepted``, or the code of the error, as ``answer``."""
    try:
        call()
    except Refused as refused:
        return {"answer": refused.code}
    return {"answer": ACCEPTED}


class Bench:
    """The account of a run. Every call raises `Undecided` or `Refused` where it has no answer."""

    def __init__(
        self,
        account: Account,
        state: State,
        begin_seconds: float = BEGIN_SECONDS,
        note: Callable[[str], None] = print,
        topic: Sequence[str] = (),
        *,
        ckafka_function: str = "",
    ) -> None:
        self.call: Final = account.call
        self.state: Final = state
        self.pace: Final = account.pace
        self.address: Final = account.address
        self.ckafka_function: Final = ckafka_function
        self._begin_seconds = begin_seconds
        self._note = note
        self._topic = dict(zip(("ClsLogsetId", "ClsTopicId"), topic, strict=False))
        self._active: set[str] = set()

    def answer(self, action: str, **parameters: Any) -> Facts:
        """``accepted``, or the code of the error, of a call."""
        return answer_of(lambda: self.call(action, **parameters))

    def until(self, found: Callable[[], _Found | None], within: float, what: str) -> _Found:
        """What *found* gives that is not empty, asked once a second; raises `Undecided` after *within* seconds."""
        for _ in range(round(within)):
            answer = found()
            if answer:
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
            "Environment": {"Variables": [{"Key": "OWN", "Value": "configured"}]},
            "Description": "pytest-scf-async conformance: can be deleted",
            **self._topic,
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

        def active() -> bool:
            status = self.call("GetFunction", FunctionName=self.name(kind), Namespace=namespace)["Status"]
            if str(status).endswith("Failed"):
                raise Undecided(f"{self.name(kind)} is {status}")
            return bool(status == "Active")

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
        sent = Sent(function, str(answer["RequestId"]), answer, self.pace.now())
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
        found = self.until(lambda: self._status_if_known(sent), END_SECONDS, f"event {sent.id} is not known")
        if found["Status"] != "RUNNING":
            raise Undecided(f"event {sent.id} has ended too early: {found}")
        return found

    def ended(self, sent: Sent) -> Facts:
        """The same, once it has ended."""

        def ended() -> Facts | None:
            found = self._status_if_known(sent)
            return found if found and found["Status"] != "RUNNING" else None

        found = self.until(ended, END_SECONDS, f"event {sent.id} is RUNNING, or not known")
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
        rows: list[Facts] = self.until(
            lambda: self.list(sent.function, InvokeRequestId=sent.id)["EventList"],
            END_SECONDS,
            f"event {sent.id} is not listed",
        )
        return rows[0]

    def ended_row(self, sent: Sent) -> Facts:
        """The same, once it has an EndTime: what is in it does not lag any more."""

        def ended() -> Facts | None:
            row = self.row(sent)
            return row if row.get("EndTime") else None

        return self.until(ended, END_SECONDS, f"event {sent.id} is listed without an EndTime")

    def list(self, function: str, **filters: Any) -> dict[str, Any]:
        """ListAsyncEvents."""
        return self.call("ListAsyncEvents", FunctionName=function, Namespace="default", **filters)

    def log(self, sent: Sent, wanted: str) -> str:
        """Its log by GetFunctionLogs, once *wanted* is in it; raises `Undecided` where that does not come."""

        def log() -> str | None:
            rows = self.call("GetFunctionLogs", FunctionName=sent.function, FunctionRequestId=sent.id)["Data"]
            text = "".join(str(row["Log"]) for row in rows or ())
            return text if wanted in text else None

        return self.until(log, END_SECONDS, f"the log of event {sent.id} has no {wanted!r}")

    def request(self, sent: Sent) -> Facts:
        """Its row of GetRequestStatus, once that has what the handler returned."""

        def request() -> Facts | None:
            rows = self.call("GetRequestStatus", FunctionName=sent.function, FunctionRequestId=sent.id)["Data"]
            return rows[0] if rows and rows[0]["RetMsg"] else None

        return self.until(request, END_SECONDS, f"event {sent.id} has no RetMsg")

    # -- what is left ------------------------------------------------------------------------------------------------

    def end_events(self, besides: frozenset[str] = frozenset()) -> None:
        """Terminate what may still run, but for the ids *besides*."""
        for function, request_id in list(self.state.events):
            if request_id in besides:
                continue
            try:
                self.terminate(Sent(function, request_id, {}, self.pace.now()))
            except Refused:
                pass  # it has ended
            except Undecided as error:
                self._note(f"{function}: event {request_id} may still run: {error}")
                continue
            self.state.events.remove([function, request_id])
        self.state.write()

    def delete_all(self) -> None:
        """Delete what the state names, and wait until it is gone; what cannot be deleted stays in it, with a note."""
        state = self.state
        asked = [each for each in state.functions if self._done(self._delete_function, *each)]
        for each in asked:
            if self._done(self._settle, *each):
                state.functions.remove(each)
                state.write()
        for namespace in list(state.namespaces):
            if self._done(self._delete_namespace, namespace, "namespace"):
                state.namespaces.remove(namespace)
                state.write()

    def _done(self, step: Callable[..., object], name: str, of: str) -> bool:
        """Whether *step* of a deletion has succeeded; a note says why it has not."""
        try:
            step(name, of)
        except (Refused, Undecided) as error:
            self._note(f"{of}/{name} is still there: {error}")
            return False
        return True

    def _delete_function(self, name: str, namespace: str) -> None:
        """Ask for its deletion, which is refused while it is created, changed or deleted."""
        if self._settle(name, namespace, *AT_REST) != GONE:
            self.call("DeleteFunction", FunctionName=name, Namespace=namespace)

    def _settle(self, name: str, namespace: str, *statuses: str) -> object:
        """Wait until it is gone, or has one of *statuses*: which."""

        def settled() -> str | None:
            try:
                status = str(self.call("GetFunction", FunctionName=name, Namespace=namespace).get("Status"))
            except Refused as refused:
                if not refused.code.startswith("ResourceNotFound"):
                    raise
                status = GONE
            return status if status in (GONE, *statuses) else None

        return self.until(settled, FUNCTION_STATE_SECONDS, "it does not come to rest")

    def _delete_namespace(self, namespace: str, _: str) -> None:
        """Delete it, which is refused while there is still something of a function in it."""

        def deleted() -> str | None:
            answer = str(self.answer("DeleteNamespace", Namespace=namespace)["answer"])
            return None if answer.startswith("ResourceInUse") else answer

        answer = self.until(deleted, FUNCTION_STATE_SECONDS, "it is in use")
        if answer != ACCEPTED and not answer.startswith("ResourceNotFound"):
            raise Undecided(f"DeleteNamespace: {answer}")


def _switch(on: bool) -> str:
    return "TRUE" if on else "FALSE"
