"""One table of cases for every client: what is there, what is called in which order, and what each call answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from pytest_scf_async import ScfRuntime, ScfSettings

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SETTINGS = ScfSettings(start=START, unfinished="ignore", never_run="ignore")
EXPORT = "handlers/export.py:main_handler"
Answered = tuple[Any, str | None]
"""What a call answered: its fields, and the code of a refusal."""
Client = Callable[[str, Mapping[str, Any]], Answered]
"""What sends a call: an action and its parameters."""


@dataclass(frozen=True)
class Prepared:
    """The runtime of a round, and the ids that cases name: ``$running`` stands for that of the event `running`."""

    runtime: ScfRuntime
    ids: Mapping[str, str]

    def filled(self, value: Any) -> Any:
        """*value* with each name of an id replaced by it."""
        if isinstance(value, str):
            return self.ids.get(value[1:], value) if value.startswith("$") else value
        if isinstance(value, Mapping):
            return {key: self.filled(item) for key, item in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value


def prepare(runtime: ScfRuntime) -> Prepared:
    """Functions and events that the cases are about; it is 12 minutes past eight in the time of the wire at the end."""
    function = runtime.deploy(EXPORT, name="export", trace=True)
    sync = runtime.deploy(EXPORT, name="sync", async_run=False)
    nightly = runtime.deploy(EXPORT, name="nightly", namespace="reports")
    events = {"finished": function.invoke_async({"seconds": 60})}
    runtime.clock.advance(120)
    events["failed"] = function.invoke_async({"seconds": 60, "fails": True}, invoke_type="TRIGGER_TIMER")
    runtime.clock.advance(120)
    function.publish_version()
    events["aborted"] = function.invoke_async({"seconds": 3600}, qualifier="1")
    runtime.clock.advance(120)
    runtime.terminate_async_event("export", events["aborted"].request_id)
    events["running"] = function.invoke_async({"seconds": 7200})
    events["unsignalled"] = function.invoke_async({"seconds": 7200}, qualifier="1")
    events["other"] = nightly.invoke_async({"seconds": 7200})
    runtime.clock.advance(360)
    sync.run({"seconds": 1})
    return Prepared(runtime, {name: event.request_id for name, event in events.items()})


@dataclass(frozen=True)
class Case:
    """One call, and its answer: of a success what is in it, of a refusal the code."""

    name: str
    action: str
    parameters: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    error: str | None = None
    untyped: bool = field(default=True)
    """Whether clients that check types themselves can send it."""


def lists(name: str, count: int, ids: list[str], **parameters: Any) -> Case:
    """A case of ListAsyncEvents of the function export that finds *count* events and shows these *ids*."""
    return Case(
        f"list {name}",
        "ListAsyncEvents",
        {"FunctionName": "export", **parameters},
        {"TotalCount": count, "EventList": [{"InvokeRequestId": each} for each in ids]},
    )


def refuses(name: str, error: str, action: str = "ListAsyncEvents", **parameters: Any) -> Case:
    """A case of a refusal."""
    if action != "GetAsyncEventStatus":
        parameters = {"FunctionName": "export", **parameters}
    return Case(f"{action} {name}", action, parameters, error=error)


def status(name: str, status_name: str, code: int) -> Case:
    """A case of GetAsyncEventStatus."""
    return Case(
        f"status of {name}",
        "GetAsyncEventStatus",
        {"InvokeRequestId": f"${name}"},
        {"Result": {"Status": status_name, "StatusCode": code, "InvokeRequestId": f"${name}"}},
    )


def terminates(name: str, **parameters: Any) -> Case:
    """A case of TerminateAsyncEvent that is accepted."""
    sent = {"FunctionName": "export", "InvokeRequestId": f"${name}", **parameters}
    return Case(f"terminate {name} {parameters}", "TerminateAsyncEvent", sent, {})


ALL = ["$unsignalled", "$running", "$aborted", "$failed", "$finished"]
INTERVAL = {"Start": "2026-01-01 08:02:00", "End": "2026-01-01 08:04:00"}

CASES = (
    Case(
        "the fields of an event",
        "ListAsyncEvents",
        {"FunctionName": "export", "InvokeRequestId": "$failed"},
        {
            "TotalCount": 1,
            "EventList": [
                {
                    "InvokeRequestId": "$failed",
                    "InvokeType": "TRIGGER_TIMER",
                    "Qualifier": "$LATEST",
                    "Status": "FAILED",
                    "StartTime": "2026-01-01 08:02:00.000",
                    "EndTime": "2026-01-01 08:03:00.000",
                }
            ],
        },
    ),
    Case(
        "the fields of a running event",
        "ListAsyncEvents",
        {"FunctionName": "nightly", "Namespace": "reports"},
        {"TotalCount": 1, "EventList": [{"Status": "RUNNING", "StartTime": "2026-01-01 08:06:00.000", "EndTime": ""}]},
    ),
    lists("all", 5, ALL),
    lists("ascending", 5, ALL[::-1], Order="ASC"),
    lists("by end", 5, ["$aborted", "$failed", "$finished", "$unsignalled", "$running"], Orderby="EndTime"),
    lists("a page", 5, ALL[1:3], Offset=1, Limit=2),
    lists("beyond the last", 5, [], Offset=5),
    lists("by status", 2, ["$unsignalled", "$running"], Status=["RUNNING"]),
    lists("by two statuses", 2, ["$aborted", "$failed"], Status=["ABORTED", "FAILED"]),
    lists("by type", 1, ["$failed"], InvokeType=["TRIGGER_TIMER"]),
    lists("by version", 2, ["$unsignalled", "$aborted"], Qualifier="1"),
    lists("by start", 1, ["$failed"], StartTimeInterval=INTERVAL),
    lists("by end time", 1, ["$failed"], EndTimeInterval=INTERVAL),
    lists("an unknown id", 0, [], InvokeRequestId="00000000-0000-4000-8000-000000000000"),
    lists("an id of another function", 0, [], InvokeRequestId="$other"),
    Case("list of a sync function", "ListAsyncEvents", {"FunctionName": "sync"}, {"TotalCount": 0, "EventList": []}),
    refuses("an unknown function", "ResourceNotFound.Function", FunctionName="import"),
    refuses("no name of a function", "InvalidParameterValue.FunctionName", FunctionName="-"),
    refuses("an unknown namespace", "ResourceNotFound.Namespace", Namespace="daily"),
    refuses("an unknown version", "ResourceNotFound.Version", Qualifier="2"),
    refuses("a limit of 0", "InvalidParameterValue.Limit", Limit=0),
    refuses("a limit of 101", "InvalidParameterValue.Limit", Limit=101),
    refuses("a negative offset", "InvalidParameterValue.Offset", Offset=-1),
    refuses("an unknown order", "InvalidParameterValue.Order", Order="UP"),
    refuses("an unknown key of the order", "InvalidParameterValue.Order", Orderby="Name"),
    refuses("an unknown status", "InvalidParameterValue.Status", Status=["DONE"]),
    refuses("an unknown type", "InvalidParameterValue.InvokeType", InvokeType=["SMTP"]),
    refuses("an interval that is none", "InvalidParameterValue", StartTimeInterval={"Start": "today", "End": "now"}),
    status("finished", "FINISHED", 200),
    status("failed", "FAILED", 430),
    status("aborted", "ABORTED", 499),
    status("running", "RUNNING", 0),
    refuses("an unknown id", "ResourceNotFound.AsyncEvent", "GetAsyncEventStatus", InvokeRequestId="none"),
    refuses("an unknown id", "ResourceNotFound.AsyncEvent", "TerminateAsyncEvent", InvokeRequestId="none"),
    refuses("another's id", "ResourceNotFound.AsyncEvent", "TerminateAsyncEvent", InvokeRequestId="$other"),
    refuses("an ended event", "FailedOperation.AsyncEventStatus", "TerminateAsyncEvent", InvokeRequestId="$finished"),
    refuses(
        "an unknown function",
        "ResourceNotFound.Function",
        "TerminateAsyncEvent",
        FunctionName="import",
        InvokeRequestId="$running",
    ),
    terminates("running"),
    status("running", "ABORTED", 499),
    terminates("unsignalled", GraceShutdown=True),
    status("unsignalled", "FAILED", 439),
    terminates("other", FunctionName="nightly", Namespace="reports"),
    status("other", "ABORTED", 499),
)


def is_as_expected(answered: Any, expected: Any) -> bool:
    """Whether what was *answered* has at least what is *expected*; lists have as many items."""
    if isinstance(expected, Mapping):
        return isinstance(answered, Mapping) and all(
            name in answered and is_as_expected(answered[name], value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(answered, list)
            and len(answered) == len(expected)
            and all(map(is_as_expected, answered, expected))
        )
    return bool(answered == expected) and type(answered) is type(expected)


def check(case: Case, prepared: Prepared, call: Client) -> None:
    """The answer to *case* is the one that the table has."""
    answered, error = call(case.action, prepared.filled(case.parameters))
    assert error == case.error, f"{case.name}: {answered}"
    if case.answer is not None:
        assert is_as_expected(answered, prepared.filled(case.answer)), f"{case.name}: {answered}"
