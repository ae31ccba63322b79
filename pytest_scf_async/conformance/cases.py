"""The open readings of docs/fidelity.md that the API can decide, each with the calls that do so.

A case has an id, a question, the readings that are possible (the first is what this project does by default) and a
probe, which finds facts. A reading holds where the facts have all that it expects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, Final

from .account import Refused, Undecided
from .bench import ACCEPTED, LAG, Bench, Facts, Sent, answer_of, package

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
    """A question that the documents leave open, which is in questions.txt with its readings."""

    id: str
    probe: Probe
    functions: tuple[str, ...] = ("traced",)
    """The kinds of functions that it needs."""
    events: tuple[float, ...] = ()
    """Of each event that it sends, the seconds that it runs at most."""
    later: Later | None = None
    logs: bool = False
    """Whether it reads a log, which GetFunctionLogs alone has."""
    of_user: bool = False
    """Whether it reads what a function of the user's has, which --ckafka-function names."""

    @property
    def question(self) -> str:
        """What is open."""
        return _QUESTIONS[self.id][0]

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The answers that are possible."""
        return _QUESTIONS[self.id][1]

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


# -- probes: terminating ---------------------------------------------------------------------------------------------

RUNS: Final = 60.0
"""Seconds that an event runs which is terminated long before."""
SHORT: Final = 20.0
RETRIED_SECONDS: Final = 150.0
"""After them the two retries of a failed event have begun, each of which comes after a minute (document 41138)."""
LISTENS: Final = 4.0
"""Seconds after SIGTERM in which an event that has listened cannot end: the code waits for 5."""
LATENCY: Final = 2.0
"""Seconds by which a record may begin later than the event was accepted: it may count from the end of the init."""


def _after_sigterm(on_sigterm: str, seconds: float = RUNS, kind: str = "traced") -> Probe:
    """How an event ends that listens, or ignores the signal. It goes on for 5 s at least: one that has ended before was
    not so far yet when the signal came, and what it ended with is no answer."""
    return lambda bench: _stop_of_listener(bench, _started(bench, on_sigterm, seconds, kind))[0]


def _stop_of_listener(bench: Bench, sent: Sent) -> tuple[Facts, float]:
    """How an event ends that is terminated gracefully, and the seconds that the call takes.

    Raises `Undecided` where it cannot have listened.

    A status may lag behind, and then an event that ended at once seems to have gone on: its record has its own times.
    """
    signalled = bench.pace.now()
    bench.terminate(sent, graceful=True)
    call_took = (bench.pace.now() - signalled).total_seconds()
    found = bench.ended(sent)
    took = (bench.pace.now() - signalled).total_seconds()
    row = bench.ended_row(sent)
    lived = (_time(row, "EndTime") - _time(row, "StartTime")) - (signalled - sent.at)
    took = min(took, lived.total_seconds() + LATENCY)
    if took < LISTENS:
        raise Undecided(f"{found} {took:.1f} s after SIGTERM: it may not have listened yet; try a longer --begin")
    return found, call_took


def _stopped(bench: Bench, on_sigterm: str = "default", kind: str = "traced", *, graceful: bool = True) -> Sent:
    sent = _started(bench, on_sigterm, kind=kind)
    bench.terminate(sent, graceful=graceful)
    return sent


def _started(bench: Bench, on_sigterm: str = "default", seconds: float = RUNS, kind: str = "traced") -> Sent:
    sent = bench.invoke(kind, seconds=seconds, on_sigterm=on_sigterm)
    bench.begin()
    bench.running(sent)
    return sent


def _end_of_stopped(kind: str = "traced", *, graceful: bool = True) -> Probe:
    return lambda bench: bench.ended(_stopped(bench, kind=kind, graceful=graceful))


def _terminated_again(bench: Bench, *, graceful: bool) -> Facts:
    sent = _stopped(bench, "ignore")
    bench.pace.sleep(2)
    bench.running(sent)
    answer = answer_of(lambda: bench.terminate(sent, graceful=graceful))
    return answer if graceful else {**answer, **bench.ended(sent)}


def _ran(bench: Bench, kind: str = "traced", **event: Any) -> Sent:
    """An event that has ended."""
    sent = bench.invoke(kind, **event)
    bench.ended(sent)
    return sent


def _ended_event(bench: Bench) -> Facts:
    sent = _ran(bench, seconds=0)
    return answer_of(lambda: bench.terminate(sent))


def _other_function(bench: Bench) -> Facts:
    other = bench.function("other")
    sent = _started(bench)
    return answer_of(lambda: bench.terminate(sent, function=other))


def _graceful_returns_when(bench: Bench) -> Facts:
    """By how long the call takes: the code goes on for 5 s after the signal. What is RUNNING then may have ended."""
    found, took = _stop_of_listener(bench, _started(bench, "return"))
    return {"seconds": round(took, 1), "status_after_call": "RUNNING" if took < LISTENS else found["Status"]}


def _forced_returns_when(bench: Bench) -> Facts:
    """By the platform's own times: an event that is invoked after the call has returned starts after that."""
    sent = _started(bench)
    ordered = bench.pace.now()
    bench.terminate(sent)
    took = (bench.pace.now() - ordered).total_seconds()
    later = bench.invoke("traced", seconds=0)
    found = bench.ended(sent)
    ended_before = _time(bench.ended_row(sent), "EndTime") <= _time(bench.row(later), "StartTime")
    return {"seconds": round(took, 1), "status_after_call": found["Status"] if ended_before else "RUNNING"}


def _terminated(kind: str) -> Probe:
    def probe(bench: Bench) -> Facts:
        sent = bench.invoke(kind, seconds=SHORT)
        bench.begin()
        return answer_of(lambda: bench.terminate(sent))

    return probe


SIGNAL_LINE: Final = "[PLATFORM] Signal reception failed"
RECEIVED_LINE: Final = "[PLATFORM] Signal received successfully"


def _log_of_stop(bench: Bench, wanted: str, *, on_sigterm: str = "default", graceful: bool = True) -> str:
    """The log of an event that was terminated, once *wanted* is in it."""
    sent = _stopped(bench, on_sigterm, graceful=graceful)
    bench.ended(sent)
    return bench.log(sent, wanted)


def _signal_line(bench: Bench) -> Facts:
    log = _log_of_stop(bench, "[PLATFORM] Signal ")
    return {"line": "received" if RECEIVED_LINE in log else "failed" if SIGNAL_LINE in log else log}


def _full_stop(bench: Bench) -> Facts:
    return {"full_stop": f"{RECEIVED_LINE}." in _log_of_stop(bench, RECEIVED_LINE, on_sigterm="return")}


def _forced_error_line(bench: Bench) -> Facts:
    return {"RequestCanceled": "RequestCanceled" in _log_of_stop(bench, "END RequestId", graceful=False)}


def _deleted_function(bench: Bench) -> Facts:
    return _after_deletion(bench, _started(bench, kind="deleted"))


def _after_deletion(bench: Bench, sent: Sent, **version: str) -> Facts:
    """What an event is once its function, or the *version* of it, is deleted."""
    try:
        bench.call("DeleteFunction", FunctionName=sent.function, Namespace="default", **version)
        bench.pace.sleep(LAG)
        return bench.status(sent)
    except Refused as refused:
        return {"answer": refused.code}


# -- probes: running -------------------------------------------------------------------------------------------------


def _event_of(kind: str = "traced", **event: Any) -> Probe:
    return lambda bench: bench.ended(bench.invoke(kind, **event))


def _request_ids(bench: Bench) -> Facts:
    sent = bench.invoke("traced", seconds=0)
    function_request_id = str(_result_of(sent)["FunctionRequestId"])
    bench.begin()
    ids = {"RequestId": sent.id, "FunctionRequestId": function_request_id}
    known = {name: bench.answer("GetAsyncEventStatus", InvokeRequestId=each)["answer"] for name, each in ids.items()}
    for name, answer in known.items():
        if answer not in (ACCEPTED, "ResourceNotFound.AsyncEvent"):
            raise Undecided(f"GetAsyncEventStatus of the {name}: {answer}")
    known_by = " and ".join(name for name, answer in known.items() if answer == ACCEPTED)
    return {"same": sent.id == function_request_id, "known_by": known_by}


def _result_of(sent: Sent) -> Mapping[str, Any]:
    result = sent.answer.get("Result")
    if not isinstance(result, Mapping):
        raise Undecided("the answer has no Result")
    return result


def _unknown_parameter(bench: Bench) -> Facts:
    return bench.answer("GetFunction", FunctionName=bench.function("traced"), Namespace="default", ShowTriggers="TRUE")


def _has_result(bench: Bench) -> Facts:
    return {"Result": bench.invoke("traced", seconds=0).answer.get("Result") is not None}


def _invoke_result(action: str) -> Probe:
    def probe(bench: Bench) -> Facts:
        result = _result_of(bench.invoke("traced", action=action, seconds=0))
        texts = [result.get(name) for name in ("Log", "RetMsg", "ErrMsg")]
        return {"InvokeResult": result.get("InvokeResult"), "texts": texts}

    return probe


def _invoke_answer(**parameters: Any) -> Probe:
    return lambda bench: answer_of(lambda: bench.invoke_with("traced", "Invoke", InvocationType="Event", **parameters))


def _qualifier(action: str, **parameters: Any) -> Probe:
    return lambda bench: {"Qualifier": bench.row(bench.invoke_with("traced", action, **parameters))["Qualifier"]}


def _forced_message(bench: Bench) -> Facts:
    return {"errorMessage": _returned(bench, _stopped(bench, graceful=False), "errorMessage")}


def _no_payload(bench: Bench) -> Facts:
    sent = bench.invoke_with("traced", "Invoke", InvocationType="Event")
    return {"event": str(_returned(bench, sent, "event"))}


def _changed_variable(bench: Bench) -> Facts:
    (first, _), (second, found) = (_returned(bench, bench.invoke("traced"), "own") for _ in range(2))
    if first != second:
        raise Undecided("the second event had another instance than the first one")
    return {"variable": found}


def _error_body(name: str, kind: str = "traced", **event: Any) -> Probe:
    return lambda bench: {name: _returned(bench, bench.invoke(kind, **event), name)}


def _returned(bench: Bench, sent: Sent, name: str) -> Any:
    """What the RetMsg of an event has under that *name*."""
    bench.ended(sent)
    text = str(bench.request(sent)["RetMsg"])
    try:
        return json.loads(text)[name]
    except (ValueError, LookupError, TypeError):
        raise Undecided(f"RetMsg is {text!r}") from None


def _response_of_failure(bench: Bench) -> Facts:
    return {"Response": "Response RequestId" in bench.log(_ran(bench, then="raise"), "END RequestId")}


def _form_of_init_report(bench: Bench) -> Facts:
    """Each init of that module fails, so its log begins with one."""
    report = bench.log(_ran(bench, "raises"), "Init Report").partition("Init Report")[2].partition("\n")[0]
    return {"form": next((name for name in ("Coldstart", "InitDuration") if name in report), report)}


def _bare_memory(bench: Bench) -> Facts:
    megabytes = float(bench.request(_ran(bench, seconds=0))["MemUsage"])
    return {"MB": megabytes, "MemUsage": "13 MB or more" if megabytes >= 13 else "less"}


def _retries(bench: Bench) -> Facts:
    """A sync function that fails, invoked by nobody who waits."""
    function, sent = bench.function("sync"), bench.invoke("sync", then="raise")
    bench.pace.sleep(RETRIED_SECONDS)
    rows = bench.call("GetRequestStatus", FunctionName=function, FunctionRequestId=sent.id)["Data"]
    return {"RetryNum": sorted(int(row["RetryNum"]) for row in rows)}


def _init_timeout(bench: Bench) -> Facts:
    found = bench.call("GetFunction", FunctionName=bench.function("traced"), Namespace="default")
    return {"InitTimeout": found["InitTimeout"]}


def _created(**instead: Any) -> Probe:
    def probe(bench: Bench) -> Facts:
        kind = f"refused-{len(bench.state.functions)}"
        return answer_of(lambda: bench.create(kind, **instead))

    return probe


def _short_ttl(bench: Bench) -> Facts:
    return bench.answer(
        "UpdateFunctionEventInvokeConfig",
        FunctionName=bench.function("sync"),
        Namespace="default",
        AsyncTriggerConfig={"RetryConfig": [{"RetryNum": 2}], "MsgTTL": 59},
    )


def _updated_code(bench: Bench) -> Facts:
    sent = _started(bench, seconds=SHORT, kind="updated")
    bench.call("UpdateFunctionCode", FunctionName=sent.function, Handler="index.main_handler", ZipFile=package())
    return bench.ended(sent)


# -- probes: querying ------------------------------------------------------------------------------------------------


def _listed(kind: str = "traced", **filters: Any) -> Probe:
    return lambda bench: answer_of(lambda: bench.list(bench.function(kind), **filters))


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
    return answer_of(lambda: bench.status(sent))


def _place_of(bench: Bench, one: Sent, other: Sent) -> str:
    """Where *one* is, in the order of end times."""
    rows = bench.list(one.function, Orderby="EndTime", Order="ASC", Limit=100)["EventList"]
    ids = [row["InvokeRequestId"] for row in rows if row["InvokeRequestId"] in (one.id, other.id)]
    if sorted(ids) != sorted((one.id, other.id)):
        raise Undecided(f"{len(ids)} of 2 events are listed")
    return "first" if ids[0] == one.id else "last"


def _order_by_end(bench: Bench) -> Facts:
    ended = bench.invoke("ordered", seconds=0)
    bench.ended_row(ended)
    running = _started(bench, seconds=SHORT, kind="ordered")
    return {"running": _place_of(bench, running, ended)}


def _equal_times(bench: Bench) -> Facts:
    """Events that run have the same EndTime: none."""
    first = bench.invoke("ordered", seconds=SHORT)
    bench.pace.sleep(1)
    second = _started(bench, seconds=SHORT, kind="ordered")
    return {"earlier": _place_of(bench, first, second)}


def _time(row: Facts, name: str = "StartTime") -> datetime:
    return datetime.strptime(str(row[name]), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)


def _time_zone(bench: Bench) -> Facts:
    sent = bench.invoke("traced", seconds=0)
    invoked = bench.pace.now()
    hours = (_time(bench.row(sent)) - invoked) / timedelta(hours=1)
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
        differences.append((_time(bench.row(sent)) - invoked).total_seconds())
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
    sent = _ran(bench, "switched", seconds=0)
    for switch in ("FALSE", "TRUE"):
        bench.call("UpdateFunctionConfiguration", FunctionName=sent.function, Namespace="default", TraceEnable=switch)
        bench.wait_active("switched")
        found = bench.call("GetFunction", FunctionName=sent.function, Namespace="default")["TraceEnable"]
        if found != switch:
            raise Undecided(f"TraceEnable is {found} after UpdateFunctionConfiguration with {switch}")
    return {"TotalCount": bench.list(sent.function, InvokeRequestId=sent.id)["TotalCount"]}


def _ckafka_trigger(bench: Bench) -> Facts:
    """Whether a failed message is tried again with its own id, as for callers that do not wait; nothing is invoked."""
    named = {"FunctionName": bench.ckafka_function, "Namespace": "default"}
    if bench.call("GetFunction", **named)["AsyncRunEnable"] != "FALSE":
        raise Undecided(f"{bench.ckafka_function} is an async function, which lets no caller wait")
    retries = bench.call("GetFunctionEventInvokeConfig", **named)["AsyncTriggerConfig"]["RetryConfig"]
    if not any(each["RetryNum"] > 0 for each in retries):
        raise Undecided(f"{bench.ckafka_function} has no retries, as its RetryNum is 0")
    failed = bench.call("GetFunctionLogs", **named, Filter={"RetCode": "UserCodeException"}, Order="asc")["Data"]
    if not failed:
        raise Undecided(f"{bench.ckafka_function} has no log of a message that failed")
    bench.pace.sleep(RETRIED_SECONDS)
    rows = bench.call("GetFunctionLogs", **named, FunctionRequestId=failed[0]["RequestId"])["Data"]
    return {"trigger": "does not wait" if any(row["RetryNum"] for row in rows) else "waits"}


# -- probes: versions and namespaces ---------------------------------------------------------------------------------


def _published_twice(bench: Bench) -> Facts:
    first = bench.publish("versions")
    try:
        second = bench.publish("versions")
    except Refused as refused:
        return {"second": refused.code}
    return {"second": "the same" if second == first else "another"}


def _timer(bench: Bench, name: str, cron: str = "0 0 0 1 1 * 2099") -> Facts:
    sent = {"FunctionName": bench.function("traced"), "Namespace": "default", "TriggerName": name, "Type": "timer"}
    made: Facts = bench.call("CreateTrigger", TriggerDesc=cron, **sent)["TriggerInfo"]
    return {"Enable": made["Enable"]}


def _timer_in_a_minute(bench: Bench) -> Facts:
    """Whether a timer is due in a minute by the time of UTC+8."""
    due = bench.pace.now() + timedelta(hours=8, minutes=1)
    _timer(bench, "zone", f"{due.second} {due.minute} {due.hour} {due.day} {due.month} * {due.year}")
    for _ in range(120):
        bench.pace.sleep(1)
        if bench.list(bench.name("traced"), InvokeType=["TRIGGER_TIMER"])["TotalCount"]:
            return {"zone": "UTC+8"}
    return {"zone": "another"}


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
    return bench.answer("DeleteAlias", FunctionName=bench.function("versions"), Name="$DEFAULT")


def _delete_version(bench: Bench) -> Facts:
    version, name = bench.publish("versions"), bench.name("versions")
    bench.call("CreateAlias", FunctionName=name, Namespace="default", Name="live", FunctionVersion=version)
    return bench.answer("DeleteFunction", FunctionName=name, Qualifier=version)


def _delete_latest(bench: Bench) -> Facts:
    bench.publish("versions")
    return bench.answer("DeleteFunction", FunctionName=bench.name("versions"), Qualifier="$LATEST")


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


def _namespace(bench: Bench) -> str:
    """The namespace of this run, which is there."""
    namespace = f"{bench.state.prefix}-ns"
    if namespace not in bench.state.namespaces:
        bench.state.namespaces.append(namespace)
        bench.state.write()
        bench.call("CreateNamespace", Namespace=namespace)
    return namespace


def _order_of_namespaces(bench: Bench) -> Facts:
    namespace = _namespace(bench)
    names = [each["Name"] for each in bench.call("ListNamespaces", Limit=100)["Namespaces"]]
    return {"first": "newer" if names.index(namespace) < names.index("default") else "older"}


def _delete_namespace(bench: Bench) -> Facts:
    namespace = _namespace(bench)
    bench.function("traced", namespace)
    return bench.answer("DeleteNamespace", Namespace=namespace)


# -- probes: what takes days -----------------------------------------------------------------------------------------

KEPT: Final = timedelta(hours=72)
LONG: Final = 3600.0


def _one_that_ends(bench: Bench) -> Facts:
    sent = _ran(bench, "long", seconds=0)
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
        return bench.answer("GetAsyncEventStatus", InvokeRequestId=pending["id"])

    return check


# -- the questions ---------------------------------------------------------------------------------------------------


def _reading(row: str) -> Reading:
    facts, meaning, *setting = row.strip().split(" | ")
    name, expected = facts, dict[str, Any]()
    if facts.endswith("}") and "=" not in facts:
        name, _, text = facts.partition(" {")
        expected = json.loads("{" + text)
    elif "=" in facts:
        fact, _, text = facts.partition("=")
        expected = {fact: json.loads(text)}
        name = str(expected[fact]) or '""'
    else:
        for each in facts.split(", "):
            status, _, code = each.partition(" ")
            expected |= {"Status": status, "StatusCode": int(code)} if code else {"answer": each}
    return Reading(name, expected, meaning, *setting)


def _question(block: str) -> tuple[str, tuple[str, tuple[Reading, ...]]]:
    """The id of a case, its question and its readings."""
    case, *rows = block.splitlines()
    id_, question = case.split(" | ")
    return id_, (question, tuple(map(_reading, rows)))


_TEXT: Final = Path(__file__).with_name("questions.txt").read_text("utf-8")
"""Each case, its question, and below it its readings: the facts, what they mean, and the setting that gives them here.

The facts are ``STATUS CODE``, the answer to a call, both, ``name=JSON``, or a name and a JSON object.
"""
_QUESTIONS: Final = dict(map(_question, re.split(r"\n(?=\S)", _TEXT.strip())))
"""By the ids of the cases."""


CASES: Final = (
    Case("terminate-graceful-return", _after_sigterm("return"), events=(RUNS,)),
    Case("terminate-graceful-unlistened", _end_of_stopped(), events=(RUNS,)),
    Case("terminate-graceful-exit", _after_sigterm("exit"), events=(RUNS,)),
    Case("terminate-graceful-sys-exit", _after_sigterm("sys_exit"), events=(RUNS,)),
    Case("terminate-graceful-raise", _after_sigterm("raise"), events=(RUNS,)),
    Case("terminate-graceful-ignored", _after_sigterm("ignore", SHORT), events=(SHORT,)),
    Case("terminate-graceful-timeout", _after_sigterm("ignore", kind="short"), functions=("short",), events=(RUNS,)),
    Case("terminate-graceful-in-init", _end_of_stopped(kind="slow"), functions=("slow",), events=(25.0,)),
    Case("terminate-graceful-returns-when", _graceful_returns_when, events=(RUNS,)),
    Case("terminate-forced-returns-when", _forced_returns_when, events=(RUNS, 1.0)),
    Case("terminate-graceful-twice", partial(_terminated_again, graceful=True), events=(RUNS,)),
    Case("terminate-forced-after-graceful", partial(_terminated_again, graceful=False), events=(RUNS,)),
    Case("terminate-forced", _end_of_stopped(graceful=False), events=(RUNS,)),
    Case("terminate-forced-error-line", _forced_error_line, events=(RUNS,), logs=True),
    Case("terminate-forced-message", _forced_message, events=(RUNS,)),
    Case("terminate-ended", _ended_event, events=(1.0,)),
    Case("terminate-other-function", _other_function, functions=("traced", "other"), events=(RUNS,)),
    Case("terminate-without-trace", _terminated("untraced"), functions=("untraced",), events=(SHORT,)),
    Case("terminate-signal-line-unlistened", _signal_line, events=(RUNS,), logs=True),
    Case("terminate-signal-line-full-stop", _full_stop, events=(RUNS,), logs=True),
    Case("delete-function-running-event", _deleted_function, functions=("deleted",), events=(RUNS,)),
    Case("handler-exception", _event_of(then="raise"), events=(1.0,)),
    Case("handler-sys-exit", _event_of(then="sys_exit"), events=(1.0,)),
    Case("handler-timeout", _event_of("short", seconds=RUNS), functions=("short",), events=(15.0,)),
    Case(
        "handler-timeout-message",
        _error_body("errorMessage", "short", seconds=RUNS),
        functions=("short",),
        events=(15.0,),
    ),
    Case("handler-error-code", _error_body("errorCode", then="raise"), events=(1.0,)),
    Case("handler-failure-response", _response_of_failure, events=(1.0,), logs=True),
    Case("handler-result-no-json", _event_of(then="no_json"), events=(1.0,)),
    Case("handler-result-nan", _event_of(then="nan"), events=(1.0,)),
    Case("mem-usage-bare", _bare_memory, events=(1.0,)),
    Case("init-report-line", _form_of_init_report, functions=("raises",), events=(5.0,), logs=True),
    Case("event-invoke-ttl", _short_ttl, functions=("sync",)),
    Case("handler-changes-variable", _changed_variable, events=(1.0, 1.0)),
    Case("sync-function-retries", _retries, functions=("sync",), events=(3.0,)),
    Case("init-timeout-default", _init_timeout),
    Case("init-raises", _event_of("raises"), functions=("raises",), events=(5.0,)),
    Case("init-exits", _event_of("exits"), functions=("exits",), events=(5.0,)),
    Case("invoke-request-id", _request_ids, events=(1.0,)),
    Case("get-function-unknown-parameter", _unknown_parameter),
    Case("invoke-result-there", _has_result, events=(1.0,)),
    Case("invoke-result", _invoke_result("Invoke"), events=(1.0,)),
    Case("invoke-function-result", _invoke_result("InvokeFunction"), events=(1.0,)),
    Case("invoke-result-texts", _invoke_result("Invoke"), events=(1.0,)),
    Case("invoke-no-payload", _no_payload, events=(1.0,)),
    Case("invoke-payload-no-json", _invoke_answer(ClientContext="{no JSON"), events=(1.0,)),
    Case("invoke-payload-too-large", _invoke_answer(ClientContext=json.dumps({"text": "x" * 140_000})), events=(1.0,)),
    Case("invoke-unknown-qualifier", _invoke_answer(ClientContext="{}", Qualifier="77"), events=(1.0,)),
    Case("invoke-without-qualifier", _qualifier("Invoke", InvocationType="Event", ClientContext="{}"), events=(1.0,)),
    Case("invoke-default-qualifier", _qualifier("InvokeFunction", Event="{}", Qualifier="$DEFAULT"), events=(1.0,)),
    Case("create-timeout-zero", _created(Timeout=0), functions=("refused",)),
    Case("create-bad-zip", _created(Code={"ZipFile": "bm8gemlw"}), functions=("refused",)),
    Case("update-running-event", _updated_code, functions=("updated",), events=(SHORT,)),
    Case("status-code-while-running", lambda bench: bench.running(_started(bench, seconds=SHORT)), events=(SHORT,)),
    Case(
        "end-time-while-running",
        lambda bench: {"EndTime": bench.row(_started(bench, seconds=SHORT)).get("EndTime")},
        events=(SHORT,),
    ),
    Case("get-without-trace", _untraced_status, functions=("untraced",), events=(1.0,)),
    Case("list-without-trace", _listed_none("untraced"), functions=("untraced",), events=(1.0,)),
    Case("list-sync-function", _listed_none("sync"), functions=("sync",), events=(1.0,)),
    Case("terminate-sync-function", _terminated("sync"), functions=("sync",), events=(SHORT,)),
    Case("list-start-time", _start_of_event, functions=("late", "traced"), events=(25.0, 1.0)),
    Case("list-time-zone", _time_zone, events=(1.0,)),
    Case(
        "list-invoke-type",
        lambda bench: {"InvokeType": bench.row(_started(bench, seconds=SHORT))["InvokeType"]},
        events=(SHORT,),
    ),
    Case("list-bad-function-name", lambda bench: answer_of(lambda: bench.list("-no name-")), functions=()),
    Case("list-unknown-request-id", _listed_none("traced", InvokeRequestId="00000000-0000-4000-8000-000000000000")),
    Case("list-limit-zero", _listed(Limit=0)),
    Case("list-limit-101", _listed(Limit=101)),
    Case("list-offset-negative", _listed(Offset=-1)),
    Case("list-orderby-unknown", _listed(Orderby="X")),
    Case("list-status-unknown", _listed(Status=["X"])),
    Case("list-invoke-type-unknown", _listed(InvokeType=["X"])),
    Case(
        "list-interval-reversed",
        _listed(StartTimeInterval={"Start": "2026-01-02 00:00:00", "End": "2026-01-01 00:00:00"}),
    ),
    Case("list-running-by-end-time", _order_by_end, functions=("ordered",), events=(1.0, SHORT)),
    Case("list-equal-times", _equal_times, functions=("ordered",), events=(SHORT, SHORT)),
    Case("list-alias-filter", _alias_filter, events=(1.0,)),
    Case("trace-off-and-on", _trace_off_and_on, functions=("switched",), events=(1.0,)),
    Case("publish-unchanged", _published_twice, functions=("versions",)),
    Case("list-versions-order", _order_of_versions, functions=("versions",)),
    Case("alias-default", _default_alias, functions=("versions",)),
    Case("delete-alias-default", _delete_default_alias, functions=("versions",)),
    Case("publish-mod-time", _mod_time_of_published, functions=("versions",)),
    Case("delete-version-running-event", _delete_running_version, functions=("versions",), events=(RUNS,)),
    Case("delete-version-with-alias", _delete_version, functions=("versions",)),
    Case("delete-latest", _delete_latest, functions=("versions",)),
    Case("timer-enable", lambda bench: _timer(bench, "enable")),
    Case("timer-zone", _timer_in_a_minute, events=(1.0,)),
    Case("trigger-ckafka", _ckafka_trigger, functions=(), logs=True, of_user=True),
    Case("list-namespaces-order", _order_of_namespaces, functions=("in-a-namespace",)),
    Case("delete-namespace-with-functions", _delete_namespace, functions=("in-a-namespace",)),
    Case(
        "expiry-after-72-hours",
        _one_that_ends,
        functions=("long",),
        events=(1.0,),
        later=Later(_known_between(KEPT + timedelta(hours=1), None), "73 hours later"),
    ),
    Case(
        "expiry-counts-from",
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
