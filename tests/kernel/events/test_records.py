"""``record``: what a handler or a fake reports is in ``event.records`` and in the timeline, in true order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from internals import Call, Recorded, Written, entry_text, event_of, lockstep_of
from process_support import START, short_log, user_lines

from pytest_scf_async import Record, ScfRuntime

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

IMPORTS = """
import os, signal, sys, threading, time
from pytest_scf_async.inside import record
"""


def names(event) -> list[str]:
    return [each.name for each in event.records]


def kinds(event) -> list[str]:
    """Records, and the lines of user code, in the order of the timeline."""
    lines = set(user_lines(event))

    def is_users(entry) -> bool:
        return isinstance(entry, Recorded) or (isinstance(entry, Written) and entry.text in lines)

    return [entry_text(entry) for entry in event_of(event).timeline if is_users(entry)]


def test_a_record_has_its_time_its_name_and_its_fields_through_json(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    time.sleep(12.5)
    record("put", key="a/b", size=3, ok=True, parts=(1, 2.5, None), name="x", nested={"ü": ["\\ud800"]})
    record("nothing")
"""
    ).invoke_async()
    event.wait()

    at = START + timedelta(seconds=12.5)
    assert event.records == [
        Record(
            time=at,
            name="put",
            fields={
                "key": "a/b",
                "size": 3,
                "ok": True,
                "parts": [1, 2.5, None],
                "name": "x",
                "nested": {"ü": ["\ud800"]},
            },
        ),
        Record(time=at, name="nothing", fields={}),
    ]
    assert event.records[0].time.utcoffset() == timedelta(0)
    assert '+12.5 s  record    put key="a/b" size=3 ok=true parts=[1, 2.5, null] name="x"' in event.timeline


def test_records_keep_their_place_between_the_lines(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    for number in range(200):
        print(f"line {number}")
        record(f"record {number}")
        if number % 50 == 49:
            time.sleep(1)
    print("unfinished", end="")
    record("in the middle of a line")
    print(" line")
"""
    ).invoke_async()
    event.wait()

    wanted = [text for number in range(200) for text in (f"line {number}", f"record {number}")]
    assert kinds(event) == [*wanted, "in the middle of a line", "unfinished line"]
    times = [(each.time - START).total_seconds() for each in event.records]
    assert times == [number // 50 for number in range(200)] + [4]


@pytest.mark.parametrize("leases", [True, False])
def test_records_have_the_time_of_their_sleeps_with_and_without_leases(make_runtime, deploy, leases):
    runtime = make_runtime(leases=leases)
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    for number in range(5):
        time.sleep(3600)
        record("hour", number=number)
""",
        to=runtime,
    ).invoke_async()
    event.wait()

    hours = [timedelta(hours=number + 1) for number in range(5)]
    assert [each.time - START for each in event.records] == hours
    assert [each.fields for each in event.records] == [{"number": number} for number in range(5)]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("record('put', key=object())", r"record\('put', key=...\): object <object object at .*> is not JSON"),
        ("record('put', key=float('inf'))", "record\\('put', key=...\\): float inf is not JSON"),
        ("record('put', key=b'x')", "bytes b'x' is not JSON"),
        ("record('put', key={1, 2})", r"set \{1, 2\} is not JSON .*; a field must be a dict, list, str, int"),
        ("l = []; l.append(l); record('put', key=l)", "is not JSON"),
        ("record(5)", r"record\(5, ...\): the name must be a str, not int"),
        ("record(name='x')", "missing 1 required positional argument"),
    ],
)
def test_what_cannot_be_a_record_is_a_type_error_at_the_users_line(deploy, call, text):
    event = deploy(f"{IMPORTS}def main_handler(event, context):\n    {call}\n").invoke_async()
    event.wait()

    assert event.status_code == 430
    stack = event.error["stackTrace"]
    assert "index.py" in stack
    assert "/pytest_scf_async/" not in stack
    with pytest.raises(TypeError, match=text):
        raise TypeError(stack.strip().rpartition("\n")[2])
    assert stack.strip().rpartition("\n")[2].startswith("TypeError: ")
    assert event.records == []


def test_records_from_threads_from_init_and_from_the_handler_of_sigterm(deploy):
    event = deploy(
        IMPORTS
        + """
record("init")

def stop(signum, frame):
    record("stopping", signum=signum)
    time.sleep(2)
    record("stopped")

signal.signal(signal.SIGTERM, stop)

def work(number):
    time.sleep(number)
    record("thread", number=number)

def main_handler(event, context):
    threads = [threading.Thread(target=work, args=(number,)) for number in (3, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("joined")
    time.sleep(100)
    record("end")
"""
    ).invoke_async()
    event.wait_for_log("joined")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert [(each.name, each.fields, (each.time - START).total_seconds()) for each in event.records] == [
        ("init", {}, 0),
        ("thread", {"number": 1}, 1),
        ("thread", {"number": 2}, 2),
        ("thread", {"number": 3}, 3),
        ("stopping", {"signum": 15}, 3),
        ("stopped", {}, 5),
        ("end", {}, 105),
    ]


def test_a_record_of_a_signal_that_comes_in_the_middle_of_another_record(deploy):
    event = deploy(
        IMPORTS
        + """
from pytest_scf_async.python.patches.alarms import real_setitimer

def on_alarm(signum, frame):
    seen.append(1)
    record("signal")
    real_setitimer(signal.ITIMER_REAL, 0.001)  # once: an interval may be shorter than this takes on a busy machine

def main_handler(event, context):
    signal.signal(signal.SIGALRM, on_alarm)
    real_setitimer(signal.ITIMER_REAL, 0.001)
    number = 0
    while len(seen) < 50:
        record("main", number=number)
        number += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return number

seen = []
"""
    ).invoke_async()
    count = event.wait().result

    main = [each.fields["number"] for each in event.records if each.name == "main"]
    assert main == list(range(count))
    assert sum(each.name == "signal" for each in event.records) >= 50


def test_a_record_while_a_gate_is_set_and_at_the_gate(deploy):
    event = deploy(
        IMPORTS
        + """
def stop(signum, frame):
    record("at the gate")

def main_handler(event, context):
    signal.signal(signal.SIGTERM, stop)
    record("before")
    print("here")
    record("after")
"""
    ).invoke_async()
    event.wait_for_log("here")
    assert names(event) == ["before"]

    event.terminate(grace_shutdown=True)

    assert names(event) == ["before", "at the gate"]
    event.wait()
    assert names(event) == ["before", "at the gate", "after"]


def test_a_record_counts_as_progress_of_a_loop_that_polls_the_clock(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    began = time.time()
    for number in range(5000):
        time.time()
        if number % 500 == 0:
            record("still here")
    return time.time() - began
"""
    ).invoke_async()

    assert event.wait().result == 0


def test_a_record_is_progress_of_a_call(deploy, make_runtime, latch):
    runtime = make_runtime(compute_grace=100)
    event = deploy(
        IMPORTS
        + """
def main_handler(fifo, context):
    with open(fifo, "rb", buffering=0) as file:
        for number in range(6):
            file.read(1)
            record("read", number=number)
""",
        to=runtime,
    ).invoke_async(latch.path)
    event.settle()
    for number in range(5):
        before = lockstep_of(runtime).progress
        latch.open()
        received = Call("until it is received", lambda number=number: len(event_of(event).records) > number)
        lockstep_of(runtime).drive(received)
        assert lockstep_of(runtime).progress > before  # from there on real_timeout counts anew
        assert event.doing == "held"
    latch.open()

    assert event.wait().status == "FINISHED"
    assert [each.fields["number"] for each in event.records] == list(range(6))


def test_a_record_of_a_forked_child_is_nowhere(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    record("parent before")
    if os.fork() == 0:
        record("child", what=object())
        os._exit(0)
    os.wait()
    record("parent after")
"""
    ).invoke_async()
    event.wait()

    assert names(event) == ["parent before", "parent after"]


def test_a_warm_instance_reports_to_the_event_that_it_runs(deploy):
    function = deploy(f"{IMPORTS}def main_handler(event, context):\n    record('ran', event=event)\n")
    function.run(1)
    function.run(2)

    first, second = function.events
    assert second.instance.cold is False
    assert [each.fields for each in first.records] == [{"event": 1}]
    assert [each.fields for each in second.records] == [{"event": 2}]


def test_records_of_an_event_that_was_killed_are_kept(deploy):
    event = deploy(
        f"{IMPORTS}def main_handler(event, context):\n    record('put', key='a')\n    time.sleep(100)\n"
    ).invoke_async()
    event.settle()
    event.terminate()

    assert names(event) == ["put"]
    assert short_log(event)[-3] == "ERROR 499"


def test_records_without_pytest(tmp_path):
    (tmp_path / "index.py").write_text(f"{IMPORTS}def main_handler(event, context):\n    record('ran')\n")
    with ScfRuntime(start=START) as runtime:
        event = runtime.deploy(f"{tmp_path}/index.py:main_handler").invoke_async().wait()

        assert event.records == [Record(START, "ran", {})]


def test_what_is_too_large_for_a_record_is_refused_in_the_handler(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    try:
        record("put", data="x" * 16 * 1024 * 1024)
    except TypeError as error:
        return str(error)
"""
    ).invoke_async()
    assert event.wait().result == ("record('put', ...): 16,777,251 bytes of JSON; a record takes at most 16,777,216")


@pytest.mark.filterwarnings("ignore:event .* used .* MB and would be FAILED")
def test_an_exception_with_a_text_of_any_length_is_the_platforms_430(deploy):
    event = deploy("def main_handler(event, context):\n    raise ValueError('x' * 70_000_000 + 'end')").invoke_async()
    assert event.wait().status_code == 430
    trace = event.error["stackTrace"]
    assert trace.startswith("Traceback ")
    assert trace.endswith("xend\n")
    assert " characters left out ..." in trace
