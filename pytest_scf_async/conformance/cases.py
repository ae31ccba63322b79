"""The open readings of docs/fidelity.md that the API can decide, each with the calls that do so.

A case has an id, a question, the readings that are possible (the first is what this project does by default) and a
probe, which finds facts. A reading holds where the facts have all that it expects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Final

from .account import Refused, Undecided
from .bench import ACCEPTED, Bench, Facts, Sent, answer_of, package

Probe = Callable[[Bench], Facts]


class NotYet(Exception):
    """It is too early to ask: *due* is when."""

    def __init__(self, due: datetime) -> None:
        super().__init__(f"it can be asked from {due:%Y-%m-%d %H:%M} UTC on")
        self.due: Final = due


@dataclass(frozen=True)
class Reading:
    """One way to read the documents: *expected* are the facts by which it is known."""

    name: str
    expected: Mapping[str, Any]
    meaning: str
    setting: str = ""
    """What gives it here, where it is not the default."""


@dataclass(frozen=True)
class Later:
    """What decides a case long after its probe; it gets the facts that the probe left."""

    check: Callable[[Bench, Facts], Facts]
    when: str


@dataclass(frozen=True)
class Case:
    """A question that the documents leave open."""

    id: str
    question: str
    readings: tuple[Reading, ...]
    probe: Probe
    functions: tuple[str, ...] = ("traced",)
    """The kinds of functions that it needs."""
    events: tuple[float, ...] = ()
    """Of each event that it sends, the seconds that it runs at most."""
    later: Later | None = None

    @property
    def ours(self) -> Reading:
        """What this project does by default."""
        return self.readings[0]

    def reading_of(self, facts: Facts) -> Reading | None:
        """The reading that *facts* show; None where they show none that was foreseen."""
        for reading in self.readings:
            if all(facts.get(name, ...) == value for name, value in reading.expected.items()):
                return reading
        return None


def _ends(status: str, code: int, meaning: str, setting: str = "") -> Reading:
    return Reading(f"{status} {code}", {"Status": status, "StatusCode": code}, meaning, setting)


def _answers(code: str, meaning: str, setting: str = "") -> Reading:
    return Reading(code, {"answer": code}, meaning, setting)


def _is(name: str, value: Any, meaning: str) -> Reading:
    return Reading(str(value) if value != "" else '""', {name: value}, meaning)


# -- probes: terminating ---------------------------------------------------------------------------------------------

RUNS: Final = 60.0
"""Seconds that an event runs which is terminated long before."""
SHORT: Final = 20.0
LISTENS: Final = 4.0
"""Seconds after SIGTERM in which an event that has listened cannot end: the code waits for 5."""


def _after_sigterm(on_sigterm: str, seconds: float = RUNS, kind: str = "traced") -> Probe:
    """How an event ends that listens, or ignores the signal. It goes on for 5 s at least: one that has ended before was
    not so far yet when the signal came, and what it ended with is no answer."""

    def probe(bench: Bench) -> Facts:
        sent = _started(bench, on_sigterm, seconds, kind)
        signalled = bench.pace.now()
        bench.terminate(sent, graceful=True)
        found = bench.ended(sent)
        took = (bench.pace.now() - signalled).total_seconds()
        if took < LISTENS:
            raise Undecided(f"{found} {took:.1f} s after SIGTERM: it may not have listened yet; try a longer --begin")
        return found

    return probe


def _signalled(bench: Bench, on_sigterm: str) -> Sent:
    sent = _started(bench, on_sigterm)
    bench.terminate(sent, graceful=True)
    return sent


def _started(bench: Bench, on_sigterm: str = "default", seconds: float = RUNS, kind: str = "traced") -> Sent:
    sent = bench.invoke(kind, seconds=seconds, on_sigterm=on_sigterm)
    bench.begin()
    bench.running(sent)
    return sent


def _forced(bench: Bench) -> Facts:
    sent = _started(bench)
    bench.terminate(sent)
    return bench.ended(sent)


def _forced_after_graceful(bench: Bench) -> Facts:
    sent = _signalled(bench, "ignore")
    bench.pace.sleep(2)
    bench.running(sent)
    answer = answer_of(lambda: bench.terminate(sent))
    return {"answer": answer, **bench.ended(sent)}


def _graceful_twice(bench: Bench) -> Facts:
    sent = _signalled(bench, "ignore")
    bench.pace.sleep(2)
    bench.running(sent)
    return {"answer": answer_of(lambda: bench.terminate(sent, graceful=True))}


def _ended_event(bench: Bench) -> Facts:
    sent = bench.invoke("traced", seconds=0)
    bench.ended(sent)
    return {"answer": answer_of(lambda: bench.terminate(sent))}


def _other_function(bench: Bench) -> Facts:
    other = bench.function("other")
    sent = _started(bench)
    return {"answer": answer_of(lambda: bench.terminate(sent, function=other))}


def _returns_when(graceful: bool) -> Probe:
    def probe(bench: Bench) -> Facts:
        sent = _started(bench, "return" if graceful else "default")
        bench.terminate(sent, graceful=graceful)
        return {"status_after_call": bench.status(sent)["Status"]}

    return probe


def _in_init(bench: Bench) -> Facts:
    sent = bench.invoke("slow")
    bench.begin()
    bench.running(sent)
    bench.terminate(sent, graceful=True)
    return bench.ended(sent)


def _terminated(kind: str) -> Probe:
    def probe(bench: Bench) -> Facts:
        sent = bench.invoke(kind, seconds=SHORT)
        bench.begin()
        return {"answer": answer_of(lambda: bench.terminate(sent))}

    return probe


SIGNAL_LINE: Final = "[PLATFORM] Signal reception failed"
RECEIVED_LINE: Final = "[PLATFORM] Signal received successfully"


def _signal_line(bench: Bench) -> Facts:
    sent = _signalled(bench, "default")
    bench.ended(sent)
    log = bench.log(sent, "[PLATFORM] Signal ")
    return {"line": "received" if RECEIVED_LINE in log else "failed" if SIGNAL_LINE in log else log}


def _full_stop(bench: Bench) -> Facts:
    sent = _signalled(bench, "return")
    bench.ended(sent)
    log = bench.log(sent, RECEIVED_LINE)
    return {"full_stop": f"{RECEIVED_LINE}." in log}


def _forced_error_line(bench: Bench) -> Facts:
    sent = _started(bench)
    bench.terminate(sent)
    bench.ended(sent)
    log = bench.log(sent, "END RequestId")
    return {"RequestCanceled": "RequestCanceled" in log}


def _deleted_function(bench: Bench) -> Facts:
    return _after_deletion(bench, _started(bench, seconds=RUNS, kind="deleted"))


def _after_deletion(bench: Bench, sent: Sent, **version: str) -> Facts:
    """What an event is once its function, or the *version* of it, is deleted."""
    try:
        bench.call("DeleteFunction", FunctionName=sent.function, Namespace="default", **version)
        bench.pace.sleep(5)
        return bench.status(sent)
    except Refused as refused:
        return {"answer": refused.code}


# -- probes: running -------------------------------------------------------------------------------------------------


def _event_of(kind: str = "traced", **event: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        return bench.ended(bench.invoke(kind, **event))

    return probe


def _while_running(find: Callable[[Bench, Sent], Facts]) -> Probe:
    def probe(bench: Bench) -> Facts:
        sent = _started(bench, seconds=SHORT)
        return find(bench, sent)

    return probe


def _request_ids(bench: Bench) -> Facts:
    sent = bench.invoke("traced", seconds=0)
    function_request_id = str(sent.answer["Result"]["FunctionRequestId"])
    bench.begin()
    known = {
        name: answer_of(partial(bench.call, "GetAsyncEventStatus", InvokeRequestId=id_))
        for name, id_ in (("RequestId", sent.id), ("FunctionRequestId", function_request_id))
    }
    for name, answer in known.items():
        if answer not in (ACCEPTED, "ResourceNotFound.AsyncEvent"):
            raise Undecided(f"GetAsyncEventStatus of the {name}: {answer}")
    known_by = " and ".join(name for name, answer in known.items() if answer == ACCEPTED)
    return {"same": sent.id == function_request_id, "known_by": known_by}


def _invoke_result(action: str) -> Probe:
    def probe(bench: Bench) -> Facts:
        result = bench.invoke("traced", action=action, seconds=0).answer["Result"]
        texts = [result.get(name) for name in ("Log", "RetMsg", "ErrMsg")]
        return {"InvokeResult": result.get("InvokeResult"), "texts": texts}

    return probe


def _invoke_answer(**parameters: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        return {
            "answer": answer_of(lambda: bench.invoke_with("traced", "Invoke", InvocationType="Event", **parameters))
        }

    return probe


def _qualifier(action: str, **parameters: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        return {"Qualifier": bench.row(bench.invoke_with("traced", action, **parameters))["Qualifier"]}

    return probe


def _no_payload(bench: Bench) -> Facts:
    sent = bench.invoke_with("traced", "Invoke", InvocationType="Event")
    return {"event": str(_returned(bench, sent, "event"))}


def _error_body(name: str, kind: str = "traced", **event: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        return {name: _returned(bench, bench.invoke(kind, **event), name)}

    return probe


def _returned(bench: Bench, sent: Sent, name: str) -> Any:
    """What the RetMsg of an event has under that *name*."""
    bench.ended(sent)
    text = bench.result(sent)
    try:
        return json.loads(text)[name]
    except (ValueError, LookupError, TypeError):
        raise Undecided(f"RetMsg is {text!r}") from None


def _response_of_failure(bench: Bench) -> Facts:
    sent = bench.invoke("traced", then="raise")
    bench.ended(sent)
    return {"Response": "Response RequestId" in bench.log(sent, "END RequestId")}


def _retries(bench: Bench) -> Facts:
    """A sync function that fails, invoked by nobody who waits."""
    function, sent = bench.function("sync"), bench.invoke("sync", then="raise")
    bench.pace.sleep(150)
    rows = bench.call("GetRequestStatus", FunctionName=function, FunctionRequestId=sent.id)["Data"]
    return {"RetryNum": sorted(int(row["RetryNum"]) for row in rows)}


def _init_timeout(bench: Bench) -> Facts:
    found = bench.call("GetFunction", FunctionName=bench.function("traced"), Namespace="default")
    return {"InitTimeout": found["InitTimeout"]}


def _created(**instead: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        kind = f"refused-{len(bench.state.functions)}"
        return {"answer": answer_of(lambda: bench.create(kind, **instead))}

    return probe


def _updated_code(bench: Bench) -> Facts:
    sent = _started(bench, seconds=SHORT, kind="updated")
    bench.call(
        "UpdateFunctionCode",
        FunctionName=sent.function,
        Namespace="default",
        Handler="index.main_handler",
        ZipFile=package(),
    )
    return bench.ended(sent)


# -- probes: querying ------------------------------------------------------------------------------------------------


def _listed(kind: str = "traced", **filters: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        return {"answer": answer_of(lambda: bench.list(bench.function(kind), **filters))}

    return probe


def _listed_none(kind: str, **filters: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        function = bench.function(kind)
        if not filters:
            bench.invoke(kind, seconds=0)
            bench.begin()
        try:
            return {"answer": ACCEPTED, "TotalCount": bench.list(function, **filters)["TotalCount"]}
        except Refused as refused:
            return {"answer": refused.code}

    return probe


def _untraced_status(bench: Bench) -> Facts:
    sent = bench.invoke("untraced", seconds=0)
    bench.begin()
    return {"answer": answer_of(lambda: bench.status(sent))}


def _ids(rows: Any, wanted: list[str]) -> list[str]:
    ids = [str(row["InvokeRequestId"]) for row in rows if row["InvokeRequestId"] in wanted]
    if sorted(ids) != sorted(wanted):
        raise Undecided(f"{len(ids)} of {len(wanted)} events are listed")
    return ids


def _order_by_end(bench: Bench) -> Facts:
    ended = bench.invoke("ordered", seconds=0)
    bench.ended(ended)
    running = _started(bench, seconds=SHORT, kind="ordered")
    rows = bench.list(running.function, Orderby="EndTime", Order="ASC", Limit=100)["EventList"]
    ids = _ids(rows, [ended.id, running.id])
    return {"running": "first" if ids[0] == running.id else "last"}


def _equal_times(bench: Bench) -> Facts:
    """Events that run have the same EndTime: none."""
    first = bench.invoke("ordered", seconds=SHORT)
    bench.pace.sleep(1)
    second = _started(bench, seconds=SHORT, kind="ordered")
    rows = bench.list(first.function, Orderby="EndTime", Order="ASC", Limit=100)["EventList"]
    ids = _ids(rows, [first.id, second.id])
    return {"earlier": "first" if ids[0] == first.id else "last"}


def _start_time(row: Facts) -> datetime:
    return datetime.strptime(str(row["StartTime"]), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)


def _time_zone(bench: Bench) -> Facts:
    sent = bench.invoke("traced", seconds=0)
    invoked = bench.pace.now()
    hours = (_start_time(bench.row(sent)) - invoked) / timedelta(hours=1)
    if abs(hours - round(hours)) > 0.1:
        raise Undecided(f"StartTime is {hours:.2f} hours from the time of this machine")
    return {"hours": round(hours)}


def _start_of_event(bench: Bench) -> Facts:
    """The init takes 20 s: the start is before it, or after. An event without a long init shows the zone, and by how
    much the clocks differ."""
    differences = []
    for kind in ("late", "traced"):
        sent = bench.invoke(kind, seconds=0)
        invoked = bench.pace.now()
        bench.ended(sent)
        differences.append((_start_time(bench.row(sent)) - invoked).total_seconds())
    late, other = differences
    return {"start": "accepted" if late - other < 10 else "begun"}


def _alias_filter(bench: Bench) -> Facts:
    sent = bench.invoke("traced", seconds=0)
    bench.row(sent)
    try:
        rows = bench.list(sent.function, InvokeRequestId=sent.id, Qualifier="$DEFAULT")["EventList"]
    except Refused as refused:
        return {"answer": refused.code}
    return {"answer": ACCEPTED, "rows": len(rows)}


def _trace_off_and_on(bench: Bench) -> Facts:
    sent = bench.invoke("switched", seconds=0)
    bench.ended(sent)
    for switch in ("FALSE", "TRUE"):
        bench.call("UpdateFunctionConfiguration", FunctionName=sent.function, Namespace="default", TraceEnable=switch)
        bench.wait_active("switched")
        found = bench.call("GetFunction", FunctionName=sent.function, Namespace="default")["TraceEnable"]
        if found != switch:
            raise Undecided(f"TraceEnable is {found} after UpdateFunctionConfiguration with {switch}")
    return {"TotalCount": bench.list(sent.function, InvokeRequestId=sent.id)["TotalCount"]}


# -- probes: versions and namespaces ---------------------------------------------------------------------------------


def _published_twice(bench: Bench) -> Facts:
    first = bench.publish("versions")
    try:
        second = bench.publish("versions")
    except Refused as refused:
        return {"second": refused.code}
    return {"second": "the same" if second == first else "another"}


def _order_of_versions(bench: Bench) -> Facts:
    newest = [bench.publish("versions"), bench.publish("versions")]
    answer = bench.call("ListVersionByFunction", FunctionName=bench.name("versions"), Namespace="default")
    listed = [str(version) for version in answer["FunctionVersion"]]
    if listed[:3] == ["$LATEST", *reversed(newest)]:
        return {"order": "$LATEST, then the newest"}
    return {"order": " ".join(listed)}


def _default_alias(bench: Bench) -> Facts:
    found = bench.call("GetAlias", FunctionName=bench.function("versions"), Namespace="default", Name="$DEFAULT")
    return {"FunctionVersion": found["FunctionVersion"]}


def _delete_default_alias(bench: Bench) -> Facts:
    name = bench.function("versions")
    call = {"FunctionName": name, "Namespace": "default", "Name": "$DEFAULT"}
    return {"answer": answer_of(lambda: bench.call("DeleteAlias", **call))}


def _delete_version(bench: Bench) -> Facts:
    version, name = bench.publish("versions"), bench.name("versions")
    bench.call("CreateAlias", FunctionName=name, Namespace="default", Name="live", FunctionVersion=version)
    call = {"FunctionName": name, "Namespace": "default", "Qualifier": version}
    return {"answer": answer_of(lambda: bench.call("DeleteFunction", **call))}


def _delete_latest(bench: Bench) -> Facts:
    bench.publish("versions")
    call = {"FunctionName": bench.name("versions"), "Namespace": "default", "Qualifier": "$LATEST"}
    return {"answer": answer_of(lambda: bench.call("DeleteFunction", **call))}


def _delete_running_version(bench: Bench) -> Facts:
    version = bench.publish("versions")
    sent = bench.invoke_with(
        "versions", "Invoke", InvocationType="Event", ClientContext=json.dumps({"seconds": RUNS}), Qualifier=version
    )
    bench.begin()
    bench.running(sent)
    return _after_deletion(bench, sent, Qualifier=version)


def _mod_time_of_published(bench: Bench) -> Facts:
    def mod_time() -> object:
        return bench.call("GetFunction", FunctionName=bench.function("versions"), Namespace="default")["ModTime"]

    before = mod_time()
    bench.pace.sleep(2)
    bench.publish("versions")
    return {"ModTime": "as before" if mod_time() == before else "later"}


def _delete_namespace(bench: Bench) -> Facts:
    namespace = f"{bench.state.prefix}-ns"
    if namespace not in bench.state.namespaces:
        bench.state.namespaces.append(namespace)
        bench.state.write()
        bench.call("CreateNamespace", Namespace=namespace)
    bench.function("traced", namespace)
    return {"answer": answer_of(lambda: bench.call("DeleteNamespace", Namespace=namespace))}


# -- probes: what takes days -----------------------------------------------------------------------------------------

KEPT: Final = timedelta(hours=72)
LONG: Final = 3600.0


def _one_that_ends(bench: Bench) -> Facts:
    sent = bench.invoke("long", seconds=0)
    bench.ended(sent)
    return {"id": sent.id, "since": bench.pace.now().isoformat()}


def _one_that_runs(bench: Bench) -> Facts:
    since = bench.pace.now().isoformat()
    sent = bench.invoke("long", seconds=LONG)
    bench.begin()
    bench.running(sent)
    return {"id": sent.id, "since": since}


def _known_between(first: timedelta, last: timedelta | None) -> Callable[[Bench, Facts], Facts]:
    """Whether the event is known, asked in the time between *first* and *last* after it was noted."""

    def check(bench: Bench, pending: Facts) -> Facts:
        since, now = datetime.fromisoformat(pending["since"]), bench.pace.now()
        if now < since + first:
            raise NotYet(since + first)
        if last is not None and now > since + last:
            raise Undecided(f"it had to be asked until {since + last:%Y-%m-%d %H:%M} UTC")
        return {"answer": answer_of(lambda: bench.call("GetAsyncEventStatus", InvokeRequestId=pending["id"]))}

    return check


# -- the table -------------------------------------------------------------------------------------------------------

_UNKNOWN: Final = "ResourceNotFound.AsyncEvent"
_RETURN_SETTING: Final = 'graceful_return_status="ABORTED"'
_EXIT_SETTING: Final = 'graceful_exit_status="ABORTED"'
_EXITED: Final = (
    _ends("FAILED", 439, "the process has ended, which is a failure, whoever asked for it"),
    _ends("ABORTED", 439, "the event was terminated; the code says how", _EXIT_SETTING),
    _ends("ABORTED", 499, "the event was terminated, as by force"),
)
_RUNS_ON_TEXTS: Final = ["", "", ""]


def _choice(question: str, id_: str, code: str, name: str, **filters: Any) -> Case:
    return Case(
        id_,
        question,
        (
            _answers(code, "it is refused"),
            _answers(ACCEPTED, "it is taken, or cut to what is valid"),
            _answers("InvalidParameterValue", f"it is refused with the general code, not that of {name}"),
        ),
        _listed(**filters),
    )


CASES: Final[tuple[Case, ...]] = (
    Case(
        "terminate-graceful-return",
        "SIGTERM, and the handler returns: status and code?",
        (
            _ends("FINISHED", 200, "the signal is advice; the event returned normally"),
            _ends("ABORTED", 499, "it was terminated", _RETURN_SETTING),
            _ends("ABORTED", 200, "it was terminated, and returned normally"),
        ),
        _after_sigterm("return"),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-unlistened",
        "SIGTERM, and nothing listens: status?",
        _EXITED,
        lambda bench: bench.ended(_signalled(bench, "default")),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-exit",
        "SIGTERM, and the listener ends the process with exit code 0: status and code?",
        (*_EXITED, _ends("FINISHED", 200, "exit code 0 is a success")),
        _after_sigterm("exit"),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-sys-exit",
        "SIGTERM, and the listener calls sys.exit(0): status and code?",
        (*_EXITED, _ends("FAILED", 430, "it is an exception of the handler"), _ends("FINISHED", 200, "it succeeded")),
        _after_sigterm("sys_exit"),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-raise",
        "SIGTERM, and the listener raises an exception that nobody catches: status and code?",
        (
            _ends("FAILED", 430, "it comes out of the handler's call like any other exception"),
            _ends("ABORTED", 430, "the event was terminated; the code says how"),
            _ends("ABORTED", 499, "the event was terminated, as by force"),
        ),
        _after_sigterm("raise"),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-ignored",
        "SIGTERM, and the process ignores it for 15 s: does anything follow?",
        (
            _ends("FINISHED", 200, "nothing: it runs to its end"),
            _ends("ABORTED", 499, "it is stopped by force after a while"),
            _ends("FAILED", 439, "it is killed after a while"),
        ),
        _after_sigterm("ignore", SHORT),
        events=(SHORT,),
    ),
    Case(
        "terminate-graceful-timeout",
        "SIGTERM is ignored, and the timeout comes: status and code?",
        (
            _ends("FAILED", 433, "the function's timeout goes on"),
            _ends("ABORTED", 433, "it was terminated, and the code says how"),
            _ends("ABORTED", 499, "it was terminated"),
        ),
        _after_sigterm("ignore", kind="short"),
        functions=("short",),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-in-init",
        "SIGTERM during an init: status and code?",
        (
            _ends("FAILED", 439, "the signal goes to the process, and ends it"),
            _ends("ABORTED", 439, "the same, and the event was terminated", _EXIT_SETTING),
            _ends("ABORTED", 499, "the event was terminated"),
            _ends("FINISHED", 200, "the signal does not reach it"),
        ),
        _in_init,
        functions=("slow",),
        events=(25.0,),
    ),
    Case(
        "terminate-graceful-returns-when",
        "When does a graceful termination return?",
        (
            Reading("signal sent", {"status_after_call": "RUNNING"}, "when the signal has reached the process"),
            Reading("event ended", {"status_after_call": "FINISHED"}, "when the event has ended"),
            Reading("event ended, ABORTED", {"status_after_call": "ABORTED"}, "when the event has ended"),
        ),
        _returns_when(graceful=True),
        events=(RUNS,),
    ),
    Case(
        "terminate-forced-returns-when",
        "When does a forced termination return?",
        (
            Reading("event ended", {"status_after_call": "ABORTED"}, "when the instance is gone"),
            Reading("order taken", {"status_after_call": "RUNNING"}, "before the event has ended"),
        ),
        _returns_when(graceful=False),
        events=(RUNS,),
    ),
    Case(
        "terminate-graceful-twice",
        "A second graceful termination?",
        (
            _answers(ACCEPTED, "the event is RUNNING, and gets another signal"),
            _answers("FailedOperation.AsyncEventStatus", "it is being terminated already"),
        ),
        _graceful_twice,
        events=(RUNS,),
    ),
    Case(
        "terminate-forced-after-graceful",
        "A forced termination after a graceful one?",
        (
            Reading(
                "accepted, ABORTED 499",
                {"answer": ACCEPTED, "Status": "ABORTED", "StatusCode": 499},
                "the event is RUNNING, and is stopped by force",
            ),
            _answers("FailedOperation.AsyncEventStatus", "it is being terminated already"),
        ),
        _forced_after_graceful,
        events=(RUNS,),
    ),
    Case(
        "terminate-forced",
        "How does an event end that was terminated by force?",
        (
            _ends("ABORTED", 499, "it was terminated, and its request was interrupted"),
            _ends("ABORTED", 439, "it was terminated, and the code says how its process ended"),
            _ends("FAILED", 439, "its process ended"),
        ),
        _forced,
        events=(RUNS,),
    ),
    Case(
        "terminate-forced-error-line",
        "The ERROR line of a 499?",
        (
            Reading("RequestCanceled", {"RequestCanceled": True}, "it has the name of the table of codes"),
            Reading("none of it", {"RequestCanceled": False}, "there is no such line, or it has another text"),
        ),
        _forced_error_line,
        events=(RUNS,),
    ),
    Case(
        "terminate-ended",
        "Termination of an event that has ended?",
        (
            _answers("FailedOperation.AsyncEventStatus", "its state does not allow it"),
            _answers(ACCEPTED, "nothing is done"),
            _answers(_UNKNOWN, "there is no such event that runs"),
        ),
        _ended_event,
        events=(1.0,),
    ),
    Case(
        "terminate-other-function",
        "Termination under another function's name?",
        (
            _answers(_UNKNOWN, "that function has no such event"),
            _answers(ACCEPTED, "the request id is enough"),
        ),
        _other_function,
        functions=("traced", "other"),
        events=(RUNS,),
    ),
    Case(
        "terminate-without-trace",
        "Termination of an event that was accepted while the status trace was off?",
        (
            _answers(ACCEPTED, "it works"),
            _answers(_UNKNOWN, "the status trace is what gives it", "terminate_without_trace=False"),
        ),
        _terminated("untraced"),
        functions=("untraced",),
        events=(SHORT,),
    ),
    Case(
        "terminate-signal-line-unlistened",
        "Which line does a SIGTERM write that reached a process without a listener?",
        (
            Reading("received", {"line": "received"}, "the signal was delivered: it ended the process"),
            Reading("failed", {"line": "failed"}, "nothing took it", 'unlistened_signal_line="failed"'),
        ),
        _signal_line,
        events=(RUNS,),
    ),
    Case(
        "terminate-signal-line-full-stop",
        "Do the lines about the signal end with a full stop?",
        (
            Reading("with", {"full_stop": True}, "as the Chinese page has it"),
            Reading("without", {"full_stop": False}, "as the English page has it"),
        ),
        _full_stop,
        events=(RUNS,),
    ),
    Case(
        "delete-function-running-event",
        "What happens to events when their function is deleted?",
        (
            _answers(_UNKNOWN, "they are not known any more"),
            _answers("ResourceNotFound.Function", "they are not known any more, as their function"),
            _ends("ABORTED", 499, "they are stopped by force, and still known"),
            Reading("RUNNING", {"Status": "RUNNING"}, "they go on"),
            _answers("FailedOperation.DeleteFunction", "the function cannot be deleted meanwhile"),
        ),
        _deleted_function,
        functions=("deleted",),
        events=(RUNS,),
    ),
    Case(
        "handler-exception",
        "Status of an event whose handler raised?",
        (_ends("FAILED", 430, "it failed"), _ends("FINISHED", 430, "it has ended")),
        _event_of(then="raise"),
        events=(1.0,),
    ),
    Case(
        "handler-sys-exit",
        "sys.exit() in the handler: status and code?",
        (
            _ends("FAILED", 439, "the process has ended"),
            _ends("FAILED", 430, "it is an exception of the handler"),
            _ends("FINISHED", 200, "exit code 0 is a success"),
        ),
        _event_of(then="sys_exit"),
        events=(1.0,),
    ),
    Case(
        "handler-timeout",
        "Status of an event at its timeout?",
        (_ends("FAILED", 433, "it failed"), _ends("ABORTED", 433, "it was stopped")),
        _event_of("short", seconds=RUNS),
        functions=("short",),
        events=(15.0,),
    ),
    Case(
        "handler-timeout-message",
        "errorMessage of a 433?",
        (
            _is("errorMessage", "Invoking task timed out after 15 seconds", "as newer logs have it"),
            _is("errorMessage", "Async invoking task timed out after 15 seconds", "as a log of 2020 has it"),
        ),
        _error_body("errorMessage", "short", seconds=RUNS),
        functions=("short",),
        events=(15.0,),
    ),
    Case(
        "handler-error-code",
        "errorCode where user code raised?",
        (_is("errorCode", 1, "as in published logs"), _is("errorCode", -1, "as in samples of the documents")),
        _error_body("errorCode", then="raise"),
        events=(1.0,),
    ),
    Case(
        "handler-failure-response",
        "ERROR and Response of one event that did not finish?",
        (
            Reading("ERROR only", {"Response": False}, "there is no Response"),
            Reading("both", {"Response": True}, "the Response has the error body"),
        ),
        _response_of_failure,
        events=(1.0,),
    ),
    Case(
        "handler-result-no-json",
        "A result that cannot be written as JSON?",
        (
            _ends("FAILED", 430, "it is an error of the code"),
            _ends("FAILED", 439, "it ends the process"),
            _ends("FINISHED", 200, "it is written in another way"),
        ),
        _event_of(then="no_json"),
        events=(1.0,),
    ),
    Case(
        "sync-function-retries",
        "A sync function that was invoked asynchronously fails: which attempts are there after 150 s?",
        (
            Reading("three", {"RetryNum": [0, 1, 2]}, "two retries, a minute apart, with the same request id"),
            Reading("one", {"RetryNum": [0]}, "no retries, or none that GetRequestStatus shows"),
        ),
        _retries,
        functions=("sync",),
        events=(3.0,),
    ),
    Case(
        "init-timeout-default",
        "Default of the init timeout?",
        (_is("InitTimeout", 65, "as the API says"), _is("InitTimeout", 60, "as the console's page says")),
        _init_timeout,
    ),
    Case(
        "init-raises",
        "A module that raises while it is imported: code?",
        (_ends("FAILED", 443, "the code cannot be loaded"), _ends("FAILED", 430, "it is an exception of the code")),
        _event_of("raises"),
        functions=("raises",),
        events=(5.0,),
    ),
    Case(
        "init-exits",
        "A process that ends in its init: code?",
        (_ends("FAILED", 439, "the process has ended"), _ends("FAILED", 443, "the code cannot be loaded")),
        _event_of("exits"),
        functions=("exits",),
        events=(5.0,),
    ),
    Case(
        "invoke-request-id",
        "Is the id of an invocation that of its event?",
        (
            Reading(
                "one id",
                {"same": True, "known_by": "RequestId and FunctionRequestId"},
                "RequestId and FunctionRequestId are the event's",
            ),
            Reading("RequestId", {"same": False, "known_by": "RequestId"}, "the request's is the event's"),
            Reading("FunctionRequestId", {"same": False, "known_by": "FunctionRequestId"}, "the other one is"),
        ),
        _request_ids,
        events=(1.0,),
    ),
    Case(
        "invoke-result",
        "InvokeResult of an asynchronous Invoke?",
        (_is("InvokeResult", 0, "a success"), _is("InvokeResult", 200, "a status code")),
        _invoke_result("Invoke"),
        events=(1.0,),
    ),
    Case(
        "invoke-function-result",
        "InvokeResult of an asynchronous InvokeFunction?",
        (_is("InvokeResult", 200, "a status code"), _is("InvokeResult", 0, "a success")),
        _invoke_result("InvokeFunction"),
        events=(1.0,),
    ),
    Case(
        "invoke-result-texts",
        "Log, RetMsg and ErrMsg of an invocation that nobody waits for?",
        (
            Reading("empty", {"texts": _RUNS_ON_TEXTS}, "empty texts"),
            Reading("null", {"texts": [None, None, None]}, "no texts"),
        ),
        _invoke_result("Invoke"),
        events=(1.0,),
    ),
    Case(
        "invoke-no-payload",
        "What does the handler get without a payload?",
        (_is("event", "{}", "an empty object"), _is("event", "None", "nothing"), _is("event", "''", "an empty text")),
        _no_payload,
        events=(1.0,),
    ),
    Case(
        "invoke-payload-no-json",
        "ClientContext that is not JSON?",
        (
            _answers("InvalidParameterValue.Param", "the call is refused"),
            _answers(ACCEPTED, "there is an event"),
        ),
        _invoke_answer(ClientContext="{no JSON"),
        events=(1.0,),
    ),
    Case(
        "invoke-payload-too-large",
        "ClientContext over 128 KB, where nobody waits?",
        (
            _answers("InvalidParameter.RequestTooLarge", "the call is refused"),
            _answers("RequestSizeLimitExceeded", "it is refused on the way"),
            _answers(ACCEPTED, "it is taken"),
        ),
        _invoke_answer(ClientContext=json.dumps({"text": "x" * 140_000})),
        events=(1.0,),
    ),
    Case(
        "invoke-unknown-qualifier",
        "An unknown qualifier?",
        (
            _answers("ResourceNotFound.Qualifier", "the error that InvokeFunction lists"),
            _answers("ResourceNotFound.Version", "the error that ListAsyncEvents lists"),
            _answers("ResourceNotFound.Function", "no function with it"),
            _answers(ACCEPTED, "there is an event, which fails"),
        ),
        _invoke_answer(ClientContext="{}", Qualifier="77"),
        events=(1.0,),
    ),
    Case(
        "invoke-without-qualifier",
        "Which version runs without a qualifier?",
        (_is("Qualifier", "$LATEST", "the latest code"), _is("Qualifier", "$DEFAULT", "the alias")),
        _qualifier("Invoke", InvocationType="Event", ClientContext="{}"),
        events=(1.0,),
    ),
    Case(
        "invoke-default-qualifier",
        "Which qualifier has the record of an event that was invoked with $DEFAULT?",
        (_is("Qualifier", "$LATEST", "that of the version"), _is("Qualifier", "$DEFAULT", "as it was given")),
        _qualifier("InvokeFunction", Event="{}", Qualifier="$DEFAULT"),
        events=(1.0,),
    ),
    Case(
        "create-timeout-zero",
        "CreateFunction with Timeout=0?",
        (
            _answers("InvalidParameterValue", "the general code"),
            _answers("InvalidParameterValue.Timeout", "a code of its own"),
            _answers(ACCEPTED, "it is taken, or a default comes instead"),
        ),
        _created(Timeout=0),
        functions=("refused",),
    ),
    Case(
        "create-bad-zip",
        "CreateFunction with a zip that cannot be unpacked?",
        (
            _answers("InvalidParameterValue.ZipFile", "it is refused at once"),
            _answers(ACCEPTED, "the function's status says so later"),
        ),
        _created(Code={"ZipFile": "bm8gemlw"}),
        functions=("refused",),
    ),
    Case(
        "update-running-event",
        "Events that run when $LATEST is updated?",
        (
            _ends("FINISHED", 200, "they finish on the old code"),
            _ends("ABORTED", 499, "they are stopped by force"),
            _ends("FAILED", 439, "their process is ended"),
        ),
        _updated_code,
        functions=("updated",),
        events=(SHORT,),
    ),
    Case(
        "status-code-while-running",
        "Status code while RUNNING?",
        (_is("StatusCode", 0, "none yet"), _is("StatusCode", 202, "that of log records")),
        _while_running(lambda bench, sent: bench.running(sent)),
        events=(SHORT,),
    ),
    Case(
        "end-time-while-running",
        "EndTime in List while RUNNING?",
        (_is("EndTime", "", "an empty text"), _is("EndTime", None, "null, or none")),
        _while_running(lambda bench, sent: {"EndTime": bench.row(sent).get("EndTime")}),
        events=(SHORT,),
    ),
    Case(
        "get-without-trace",
        "GetAsyncEventStatus while the status trace is off?",
        (_answers(_UNKNOWN, "nothing was recorded"), _answers(ACCEPTED, "it is known")),
        _untraced_status,
        functions=("untraced",),
        events=(1.0,),
    ),
    Case(
        "list-without-trace",
        "ListAsyncEvents while the status trace is off?",
        (
            Reading("empty", {"TotalCount": 0}, "an empty list"),
            Reading("listed", {"answer": ACCEPTED}, "the events are listed"),
            _answers("UnsupportedOperation", "it is refused"),
        ),
        _listed_none("untraced"),
        functions=("untraced",),
        events=(1.0,),
    ),
    Case(
        "list-sync-function",
        "ListAsyncEvents of a sync function?",
        (
            Reading("empty", {"TotalCount": 0}, "an empty list"),
            Reading("listed", {"answer": ACCEPTED}, "its asynchronous invocations are listed"),
            _answers("UnsupportedOperation", "it is refused"),
        ),
        _listed_none("sync"),
        functions=("sync",),
        events=(1.0,),
    ),
    Case(
        "terminate-sync-function",
        "TerminateAsyncEvent for an asynchronous invocation of a sync function?",
        (
            _answers(_UNKNOWN, "it has no async events"),
            _answers(ACCEPTED, "it is terminated"),
            _answers("UnsupportedOperation", "it is refused"),
        ),
        _terminated("sync"),
        functions=("sync",),
        events=(SHORT,),
    ),
    Case(
        "list-start-time",
        "When is the start of an event?",
        (
            Reading("accepted", {"start": "accepted"}, "when it was accepted"),
            Reading("begun", {"start": "begun"}, "when its handler was called, after the init"),
        ),
        _start_of_event,
        functions=("late", "traced"),
        events=(25.0, 1.0),
    ),
    Case(
        "list-time-zone",
        "Zone of the times on the wire?",
        (
            Reading("UTC+8", {"hours": 8}, "the time in China"),
            Reading("UTC", {"hours": 0}, "universal time", "time_zone=timezone.utc"),
        ),
        _time_zone,
        events=(1.0,),
    ),
    Case(
        "list-invoke-type",
        "InvokeType of an event that the API invoked?",
        (_is("InvokeType", "OTHERS", "as real answers have it"), _is("InvokeType", "others", "in small letters")),
        _while_running(lambda bench, sent: {"InvokeType": bench.row(sent)["InvokeType"]}),
        events=(SHORT,),
    ),
    Case(
        "list-bad-function-name",
        "A function name in List that breaks the rules for names?",
        (
            _answers("InvalidParameterValue.FunctionName", "its value is wrong"),
            _answers("ResourceNotFound.Function", "there is no such function"),
            _answers("InvalidParameterValue", "its value is wrong, with the general code"),
        ),
        lambda bench: {"answer": answer_of(lambda: bench.list("-no name-"))},
        functions=(),
    ),
    Case(
        "list-unknown-request-id",
        "An unknown request id in List?",
        (
            Reading("empty", {"TotalCount": 0}, "it is a filter"),
            _answers(_UNKNOWN, "it is an error"),
        ),
        _listed_none("traced", InvokeRequestId="00000000-0000-4000-8000-000000000000"),
    ),
    _choice("Limit=0 in List?", "list-limit-zero", "InvalidParameterValue.Limit", "Limit", Limit=0),
    _choice("Limit=101 in List?", "list-limit-101", "InvalidParameterValue.Limit", "Limit", Limit=101),
    _choice("A negative Offset in List?", "list-offset-negative", "InvalidParameterValue.Offset", "Offset", Offset=-1),
    _choice("An unknown Orderby in List?", "list-orderby-unknown", "InvalidParameterValue.Order", "Order", Orderby="X"),
    _choice(
        "An unknown status in List?", "list-status-unknown", "InvalidParameterValue.Status", "Status", Status=["X"]
    ),
    _choice(
        "An unknown invoke type in List?",
        "list-invoke-type-unknown",
        "InvalidParameterValue.InvokeType",
        "InvokeType",
        InvokeType=["X"],
    ),
    Case(
        "list-interval-reversed",
        "An interval in List that ends before it begins?",
        (
            _answers("InvalidParameterValue", "the general code"),
            _answers("InvalidParameterValue.DateTime", "that of times"),
            _answers("InvalidParameterValue.StartTimeOrEndTime", "that of log queries"),
            _answers(ACCEPTED, "nothing lies in it"),
        ),
        _listed(StartTimeInterval={"Start": "2026-01-02 00:00:00", "End": "2026-01-01 00:00:00"}),
    ),
    Case(
        "list-running-by-end-time",
        "Order by end time, ascending: where are running events?",
        (
            Reading("first", {"running": "first"}, "their end is an empty text"),
            Reading("last", {"running": "last"}, "their end is still to come"),
        ),
        _order_by_end,
        functions=("ordered",),
        events=(1.0, SHORT),
    ),
    Case(
        "list-equal-times",
        "Events with the same time (running ones by end time, ascending): in which order?",
        (
            Reading("acceptance", {"earlier": "first"}, "in that of their acceptance"),
            Reading("reverse", {"earlier": "last"}, "the newest first, or in no order"),
        ),
        _equal_times,
        functions=("ordered",),
        events=(SHORT, SHORT),
    ),
    Case(
        "list-alias-filter",
        "Events by an alias as Qualifier in List?",
        (
            Reading("version", {"rows": 1}, "those of the version that it points to"),
            Reading("none", {"rows": 0}, "none: records have versions"),
            _answers("ResourceNotFound.Version", "it is no version"),
        ),
        _alias_filter,
        events=(1.0,),
    ),
    Case(
        "trace-off-and-on",
        "Switching the status trace off and on: which events are left?",
        (
            Reading("none", {"TotalCount": 0}, "the service stops: they are forgotten"),
            Reading("all", {"TotalCount": 1}, "they are there for their 3 days"),
        ),
        _trace_off_and_on,
        functions=("switched",),
        events=(1.0,),
    ),
    Case(
        "publish-unchanged",
        "Publishing twice without a change?",
        (_is("second", "another", "two versions"), _is("second", "the same", "one version")),
        _published_twice,
        functions=("versions",),
    ),
    Case(
        "list-versions-order",
        "Order of ListVersionByFunction without an Order?",
        (_is("order", "$LATEST, then the newest", "as in the example"),),
        _order_of_versions,
        functions=("versions",),
    ),
    Case(
        "alias-default",
        "Where does the alias $DEFAULT point at first?",
        (_is("FunctionVersion", "$LATEST", "to the latest code"),),
        _default_alias,
        functions=("versions",),
    ),
    Case(
        "delete-alias-default",
        "Which error for deleting the alias $DEFAULT?",
        (
            _answers("FailedOperation.DeleteAlias", "the error of the action"),
            _answers("InvalidParameterValue.Alias", "that of the name"),
            _answers(ACCEPTED, "it is deleted, or nothing is done"),
        ),
        _delete_default_alias,
        functions=("versions",),
    ),
    Case(
        "publish-mod-time",
        "Does a published version change the ModTime of the function?",
        (_is("ModTime", "as before", "no: nothing was modified"), _is("ModTime", "later", "yes")),
        _mod_time_of_published,
        functions=("versions",),
    ),
    Case(
        "delete-version-running-event",
        "Running events of a version that is deleted?",
        (
            _ends("ABORTED", 499, "they are stopped by force"),
            Reading("RUNNING", {"Status": "RUNNING"}, "they go on"),
            _answers(_UNKNOWN, "they are not known any more"),
            _answers("FailedOperation.DeleteFunction", "the version cannot be deleted meanwhile"),
        ),
        _delete_running_version,
        functions=("versions",),
        events=(RUNS,),
    ),
    Case(
        "delete-version-with-alias",
        "Which error for deleting a version to which an alias points?",
        (
            _answers("UnsupportedOperation.AliasBind", "the error whose text fits"),
            _answers("FailedOperation.DeleteFunction", "the error of the action"),
            _answers(ACCEPTED, "it is deleted"),
        ),
        _delete_version,
        functions=("versions",),
    ),
    Case(
        "delete-latest",
        "Which error for deleting $LATEST?",
        (
            _answers("InvalidParameterValue.Qualifier", "the value is wrong"),
            _answers("FailedOperation.DeleteFunction", "the error of the action"),
            _answers(ACCEPTED, "it is deleted"),
        ),
        _delete_latest,
        functions=("versions",),
    ),
    Case(
        "delete-namespace-with-functions",
        "A namespace with functions is deleted?",
        (
            _answers("ResourceInUse.Namespace", "it is refused"),
            _answers(ACCEPTED, "its functions are deleted with it"),
        ),
        _delete_namespace,
        functions=("in-a-namespace",),
    ),
    Case(
        "expiry-after-72-hours",
        "Is an event gone 73 hours after its end?",
        (
            _answers(_UNKNOWN, "its status was kept for 72 hours"),
            _answers(ACCEPTED, "it is kept for longer"),
        ),
        _one_that_ends,
        functions=("long",),
        events=(1.0,),
        later=Later(_known_between(KEPT + timedelta(hours=1), None), "73 hours later"),
    ),
    Case(
        "expiry-counts-from",
        "From when do the 72 hours count?",
        (
            _answers(ACCEPTED, "from the end: an event of an hour is known 72.5 hours after its start"),
            _answers(_UNKNOWN, "from the start"),
        ),
        _one_that_runs,
        functions=("long",),
        events=(LONG,),
        later=Later(
            _known_between(KEPT + timedelta(minutes=10), KEPT + timedelta(minutes=50)),
            "between 72 hours 10 minutes and 72 hours 50 minutes later",
        ),
    ),
)
"""In the order in which they are asked. What may spoil a function for others comes last of those that use it."""
