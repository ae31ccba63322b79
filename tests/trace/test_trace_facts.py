"""The data of a trace: what events of each kind give, in the documented form, and how large it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any

import pytest
from internals import Waited, event_of
from trace_format import dangling, problems
from trace_internals import OfTest, facts_in, page, trace_facts, trace_facts_module

from pytest_scf_async import AsyncEvent, ScfRuntime, scripted

Facts = dict[str, Any]


@pytest.fixture
def facts_of(request: pytest.FixtureRequest):
    """Give the data of a trace of *events*, by way of its page."""

    def made(*events: AsyncEvent, failure: str | None = None) -> Facts:
        outcome = "passed" if failure is None else "failed"
        tested = OfTest(request.node.nodeid, outcome, str(request.config.rootpath), failure)
        facts = facts_in(page(trace_facts(tested, events, [])), "trace.html")
        assert [*problems(facts, "Trace"), *dangling(facts)] == []
        return facts

    return made


def waits(facts: Facts, number: int = 0) -> list[tuple[str, str, str, int, int | None]]:
    """Lane, text, place, begin and end in seconds, of the waits of an event."""
    found = []
    for begin, end, lane, text, place, *_ in facts["events"][number]["waits"]:
        file, line = ("", 0) if place is None else facts["places"][place][:2]
        seconds = None if end is None else end / 1e6
        found.append((facts["lanes"][lane]["name"], facts["texts"][text], f"{file}:{line}", begin / 1e6, seconds))
    return found


def source_at(facts: Facts, file: str, line: int) -> str:
    """The line of the source that the place of *file* has."""
    (number,) = {each[2] for each in facts["places"] if each[:2] == [file, line]}
    found = facts["files"][number]
    return str(found["lines"][line - found["first"]]).strip()


STOPS = """
import signal, threading, time

stopping = threading.Event()

def beat():
    while not stopping.wait(60):
        pass

def main_handler(event, context):
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=beat, name="a at b.py:3 in c").start()
    time.sleep(100)
    while not stopping.is_set():
        time.sleep(100)
    return "stopped"
"""


@pytest.mark.interpreter
def test_a_stop_has_the_wait_that_each_thread_was_in(runtime: ScfRuntime, deploy, facts_of):
    event = deploy(STOPS, name="stops").invoke_async()
    runtime.clock.advance(150)
    event.terminate(grace_shutdown=True)
    event.wait()
    facts = facts_of(event, failure="expected this")
    (of_event,) = facts["events"]
    (signal,) = of_event["signals"]
    assert (signal["sent"], signal["disposition"], signal["entered"]) == (150_000_000, "handler", 150_000_000)
    found = [(facts["lanes"][lane]["name"], of_event["waits"][row]) for lane, row in signal["waits"]]
    assert sorted((name, facts["texts"][row[3]]) for name, row in found) == [
        ("a at b.py:3 in c", "threading.wait"),
        ("main", "sleep(100)"),
    ]
    main = [each[1:] for each in waits(facts) if each[0] == "main"]
    assert main[1:] == [
        ("sleep(100)", "index.py:13", 0, 100),
        ("sleep(100)", "index.py:15", 100, 150),  # SIGTERM came, and it goes on after that
        ("sleep(100)", "index.py:15", 150, 200),
    ]
    assert [row[5] for row in of_event["waits"] if facts["texts"][row[3]] == "sleep(100)"] == [1, 1, 0]
    assert source_at(facts, "index.py", 15) == "time.sleep(100)"
    assert [row[1:3] for row in of_event["statuses"]] == [["RUNNING", 0], ["FINISHED", 200]]
    (lane,) = (lane for lane in facts["lanes"] if lane["kind"] == "thread")
    assert (lane["instance"], facts["lanes"][lane["parent"]]["name"]) == (0, "main")


HANDLES = """
import signal, time

stopped = []

def stop(*_):
    time.sleep(SECONDS)
    stopped.append("now")
    RAISES

def main_handler(event, context):
    signal.signal(signal.SIGTERM, stop)
    for _ in range(4):
        try:
            time.sleep(100)
        except OSError:
            pass
    return len(stopped)
"""


@pytest.mark.parametrize(("seconds", "raises"), [(0, ""), (7, ""), (0, "raise OSError")])
def test_a_wait_that_goes_on_after_the_handler_of_a_signal_is_counted_once(
    runtime: ScfRuntime, deploy, facts_of, seconds: int, raises: str
):
    source = HANDLES.replace("SECONDS", str(seconds)).replace("RAISES", raises)
    event = deploy(source).invoke_async()
    for at in (0, 150):
        runtime.clock.advance(at)
        event.terminate(grace_shutdown=True)
    assert event.wait().result == 2
    facts = facts_of(event)
    rows = [row for row in facts["events"][0]["waits"] if facts["texts"][row[3]] == "sleep(100)"]
    assert sum(row[5] for row in rows) == 4
    assert len(rows) == 3


DEADLOCK = """
import asyncio

async def transfer(first, second):
    async with first:
        await asyncio.sleep(1)
        async with second:
            pass

async def work():
    left, right = asyncio.Lock(), asyncio.Lock()
    tasks = [asyncio.create_task(transfer(left, right), name="salaries")]
    tasks += [asyncio.create_task(transfer(right, left), name="rent")]
    await asyncio.gather(*tasks)

def main_handler(event, context):
    asyncio.run(work())
"""


@pytest.mark.interpreter
def test_tasks_that_wait_for_each_other_are_lanes_and_who_holds_each_lock_is_said(deploy, facts_of):
    facts = facts_of(deploy(DEADLOCK, name="sync").invoke_async().wait(), failure="expected FINISHED")
    acquire = "await Lock.acquire"
    assert sorted(waits(facts)[1:]) == [
        ("rent", acquire, "index.py:7", 1, 86_400),
        ("salaries", acquire, "index.py:7", 1, 86_400),
    ]
    (of_event,) = facts["events"]
    assert {row[7] for row in of_event["waits"][1:]} == {"lock"}
    assert sorted(of_event["holders"]) == [
        [f"{acquire} at index.py:7 in rent", "salaries at index.py:7"],
        [f"{acquire} at index.py:7 in salaries", "rent at index.py:7"],
    ]
    assert of_event["why"][0].startswith("likely cause: ")
    assert facts["headline"].startswith("expected FINISHED: ")


LOCKS = """
import threading

def main_handler(event, context):
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire, name="second")
    thread.start()
    thread.join()
"""


@pytest.mark.interpreter
def test_threads_that_wait_for_locks_say_what_alone_can_end_that(deploy, facts_of):
    facts = facts_of(deploy(LOCKS, name="locks", timeout=60).invoke_async().wait())
    assert waits(facts)[1:] == [
        ("main", "join of second", "index.py:9", 0, 60),
        ("second", "Lock.acquire", ":0", 0, 60),
    ]
    assert facts["events"][0]["waits"][-1][7] is not None


JOINS = """
import threading, time

def waits_for(lock):
    lock.acquire()

def main_handler(event, context):
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=waits_for, args=(lock,), name="second")
    thread.start()
    time.sleep(10)
    threading.Timer(5, lock.release).start()
    thread.join({timeout})
    time.sleep(100)
"""


@pytest.mark.interpreter
def test_a_join_tells_when_a_thread_has_ended(deploy, facts_of):
    facts = facts_of(deploy(JOINS.format(timeout=""), name="joins").invoke_async().wait())
    second = [each[1:] for each in waits(facts) if each[0] == "second"]
    assert second == [("Lock.acquire", "index.py:5", 0, pytest.approx(15, abs=1e-5))]


@pytest.mark.interpreter
def test_a_join_with_a_timeout_tells_nothing_of_the_thread(deploy, facts_of):
    source = JOINS.replace("Timer(5,", "Timer(50,").format(timeout="2.5")
    facts = facts_of(deploy(source, name="joins").invoke_async().wait())
    found = waits(facts)
    assert [each[3:] for each in found if each[0] == "second"] == [(0, pytest.approx(112.5, abs=1e-5))]
    assert ("main", "join of second for 2.5 s", "index.py:14", 10, pytest.approx(12.5, abs=1e-5)) in found


RAISES_IN_JOIN = """
import signal, threading, time

def stop(*_):
    raise InterruptedError

def main_handler(event, context):
    signal.signal(signal.SIGTERM, stop)
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire, name="second", daemon=True)
    thread.start()
    try:
        thread.join()
    except InterruptedError:
        time.sleep(100)
"""


@pytest.mark.interpreter
def test_a_join_that_a_signal_has_ended_tells_nothing_of_the_thread(runtime: ScfRuntime, deploy, facts_of):
    event = deploy(RAISES_IN_JOIN, name="joins").invoke_async()
    runtime.clock.advance(30)
    event.terminate(grace_shutdown=True)
    found = waits(facts_of(event.wait()))
    assert [each[3:] for each in found if each[0] == "second"] == [(0, 130)]
    assert ("main", "join of second", "index.py:14", 0, 30) in found


@pytest.mark.interpreter
def test_what_came_has_the_real_time_at_which_it_did(deploy, facts_of):
    source = "import time\n\ndef main_handler(event, context):\n    print('one')\n    time.sleep(600)\n"
    function = deploy(source, name="sleeps")
    facts = facts_of(function.invoke_async().wait(), function.invoke_async().wait())
    both = [[row[5] for row in event["entries"]] for event in facts["events"]]
    assert both[0][0] == 0
    assert all(row is not None for rows in both for row in rows)
    assert both[0] + both[1] == sorted(both[0] + both[1])
    assert both[1][-1] < 60_000_000  # of 1,200 simulated seconds


def test_several_events_of_one_instance_share_its_lanes(deploy, facts_of):
    function = deploy("import time\n\ndef main_handler(event, context):\n    time.sleep(event)\n", name="twice")
    first, second = function.invoke_async(5).wait(), function.invoke_async(7).wait()
    facts = facts_of(first, second)
    assert [event["instance"] for event in facts["events"]] == [0, 0]
    assert [(lane["name"], lane["instance"]) for lane in facts["lanes"]] == [("main", 0)]
    assert (waits(facts, 0), waits(facts, 1)) == (
        [("main", "sleep(5)", "index.py:4", 0, 5)],
        [("main", "sleep(7)", "index.py:4", 5, 12)],
    )
    assert facts["headline"] == "twice FINISHED after 5 s; twice FINISHED after 7 s"
    (instance,) = facts["instances"]
    assert (instance["cold"], instance["end"], instance["reclaimed"], instance["tmp"]) == (True, None, None, [])


def test_the_files_of_an_instance_that_lives_have_their_sizes(deploy, facts_of):
    source = "def main_handler(event, context):\n    open(f'{tempfile.gettempdir()}/a', 'w').write('abc')\n"
    source = f"import tempfile\n\n{source}"
    facts = facts_of(deploy(source, name="leaves").invoke_async().wait())
    assert facts["instances"][0]["tmp"] == [["a", 3]]


def test_the_attempts_of_a_sync_function_are_in_one_event(runtime: ScfRuntime, deploy, facts_of):
    source = "def main_handler(event, context):\n    raise ValueError('again')\n"
    event = deploy(source, name="again", async_run=False).invoke_async()
    runtime.clock.advance(200)
    facts = facts_of(event)
    texts = [row[2] for row in facts["events"][0]["entries"] if row[1] == "instance"]
    assert texts.count("the platform retries in 60 s") == facts["events"][0]["retry_num"] == 2
    failed = [row for row in facts["events"][0]["entries"] if row[2].startswith("FAILED (430)")]
    assert {source_at(facts, *facts["places"][row[4]][:2]) for row in failed} == {"raise ValueError('again')"}


def test_a_scripted_event_has_no_instance(runtime: ScfRuntime, facts_of):
    facts = facts_of(
        runtime.deploy_scripted("scripted", [scripted.running_for(5), scripted.finished()]).invoke_async().wait()
    )
    assert (facts["instances"], facts["events"][0]["instance"]) == ([], None)
    assert {row[5] for row in facts["events"][0]["entries"]} == {None}


def test_the_waits_of_a_program_are_its_own_lane(runtime: ScfRuntime, facts_of):
    function = runtime.deploy_image(["sleep", "5"], port=-1, name="sleeper")
    facts = facts_of(function.invoke_async().wait())
    assert [lane["kind"] for lane in facts["lanes"]] == ["process"]
    assert [each[0] for each in waits(facts)] == ["sleeper"] * len(waits(facts))
    assert waits(facts)[-1][1:3] == ("clock_nanosleep", ":0")
    assert waits(facts)[-1][4] == 5


def test_what_a_program_starts_has_a_lane_beside_it(runtime: ScfRuntime, facts_of):
    function = runtime.deploy_image(["sh", "-c", "sleep 5; exec sleep 7"], port=-1, name="sleepers")
    facts = facts_of(function.invoke_async().wait())
    first, child = sorted(facts["lanes"], key=lambda lane: lane["kind"], reverse=True)
    assert (first["kind"], first["name"], first["parent"]) == ("process", "sleepers", None)
    assert (child["kind"], child["name"].partition(" (")[0], child["parent"]) == ("child", "sleep", 0)
    assert sorted((each[0], each[1], each[3], each[4]) for each in waits(facts) if each[3] != each[4]) == [
        (child["name"], "clock_nanosleep", 0, 5),
        ("sleepers", "clock_nanosleep", 5, 12),
        ("sleepers", "wait4", 0, 5),
    ]


PROCESSES = """
import json, os, random, select, sys, threading, time

begin = time.time()

def now():
    return round(time.time() - begin, 3)

def works(seed):
    chosen = random.Random(seed)
    came_to = []
    for number in range(chosen.randrange(3, 12)):
        seconds, since = chosen.randrange(1, 40) / 4, now()
        if number % 2:
            threading.Semaphore(0).acquire(timeout=seconds)
        else:
            select.select([], [], [], seconds)
        came_to.append([os.getpid(), "futex" if number % 2 else "pselect6", since, now()])
    print(json.dumps(came_to), flush=True)

for number in range(3):
    time.sleep(0.5)
children = []
for number in range(4):
    if not (child := os.fork()):
        works(SEED + number)
        os._exit(0)
    children.append(child)
time.sleep(GATE)
print("half", flush=True)
for child in children:
    os.waitpid(child, 0)
for number in range(3):
    time.sleep(0.5)
"""


@pytest.mark.parametrize("seed", range(0, 40, 4))
@pytest.mark.parametrize("advances", [False, True], ids=["at once", "in steps"])
def test_the_lane_of_each_process_has_what_that_says_of_itself(
    runtime: ScfRuntime, facts_of, tmp_path, seed: int, advances: bool
):
    source = PROCESSES.replace("SEED", str(seed)).replace("GATE", str(seed / 2 + 0.1))
    (tmp_path / "work.py").write_text(source)
    event = runtime.deploy_image([sys.executable, "work.py"], port=-1, cwd=tmp_path, name="four").invoke_async()
    if advances:
        event.wait_for_log("half")
        while event.status == "RUNNING":
            runtime.clock.advance(0.7)
    event.wait()

    facts = facts_of(event)

    said = [row for line in event.log if line.text.startswith("[[") for row in json.loads(line.text)]
    found = [
        (*each[:2], round(each[3], 3), round(each[4], 3))
        for each in waits(facts)
        if each[0] != "four" and each[3] != each[4]
    ]
    assert len(said) > 12
    assert sorted(found) == sorted(
        (next(each[0] for each in found if each[0].endswith(f" ({pid})")), call, since, until)
        for pid, call, since, until in said
    )
    first = sorted((begin, end) for name, _, _, begin, end in waits(facts) if name == "four")
    assert (first[0][0], first[-1][1]) == (0, event.duration.total_seconds())
    assert all(end <= begin for (_, end), (begin, _) in pairwise(first))
    (child,) = (lane["kind"] for lane in facts["lanes"] if lane["name"] == found[0][0])
    assert child == "child"


def test_a_signal_has_the_wait_of_each_process(runtime: ScfRuntime, facts_of):
    script = "trap 'exit 0' TERM; sleep 50 & sh -c 'read line < pipe; exit' & wait"
    function = runtime.deploy_image(["sh", "-c", f"mkfifo pipe; {script}"], port=-1, name="sleepers")
    event = function.invoke_async()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)
    facts = facts_of(event.wait())
    (signal,) = facts["events"][0]["signals"]
    calls = {facts["lanes"][lane]["name"].partition(" (")[0]: row for lane, row in signal["waits"]}
    texts = {name: facts["texts"][facts["events"][0]["waits"][row][3]] for name, row in calls.items()}
    assert texts == {"sleepers": "rt_sigsuspend", "sleep": "clock_nanosleep", "sh": "openat"}


AT_A_GATE = """
import threading, time

def beat():
    time.sleep(600 if LONG else 300)
    print("beat")

def main_handler(event, context):
    thread = threading.Thread(target=beat, name="heart")
    thread.start()
    time.sleep(300 if LONG else 600)
    print("main")
    time.sleep(900)
    thread.join()
"""


@pytest.mark.parametrize(("line", "still"), [("main", [("heart", "sleep(600)")]), ("beat", [("main", "sleep(600)")])])
def test_who_stands_at_a_gate_is_in_no_wait(runtime: ScfRuntime, deploy, facts_of, line, still):
    event = deploy(f"LONG = {line == 'main'}\n{AT_A_GATE}").invoke_async().wait_for_log(line)
    event.terminate(grace_shutdown=True)
    facts = facts_of(event.wait(), failure="expected FINISHED; found FAILED (439)")
    (of_event,) = facts["events"]
    (signal,) = of_event["signals"]
    found = [(facts["lanes"][lane]["name"], of_event["waits"][row]) for lane, row in signal["waits"]]
    assert signal["sent"] == 300_000_000
    assert [(name, facts["texts"][row[3]]) for name, row in found] == still


def test_a_process_that_sigterm_ended_was_in_a_wait(runtime: ScfRuntime, deploy, facts_of):
    event = deploy("import time\n\ndef main_handler(event, context):\n    time.sleep(600)\n").invoke_async()
    runtime.clock.advance(300)
    event.terminate(grace_shutdown=True)
    facts = facts_of(event.wait(), failure="expected FINISHED; found FAILED (439)")
    (of_event,) = facts["events"]
    assert (of_event["code"], of_event["end"]) == (439, 300_000_000)
    assert of_event["signals"][0]["disposition"] == "default"
    assert of_event["signals"][0]["waits"] == [[0, 0]]
    assert waits(facts) == [("main", "sleep(600)", "index.py:4", 0, 300)]
    assert facts["headline"].startswith(
        "expected FINISHED; found FAILED (439): SIGTERM arrived 300 s after the start; "
    )
    (instance,) = facts["instances"]
    assert (instance["end"], instance["reclaimed"], instance["tmp"]) == (300_000_000, "process exited", None)


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "line \u2028 and \u2029 paragraph",
    "\x1b[31mred\x1b[0m \x00 \x07",
    "\u202egnp.exe",
    "]]> & &amp; \\u003c",
    "😀 ä",
]


def test_hostile_lines_come_back_as_they_were_and_are_no_markup(deploy, facts_of, request: pytest.FixtureRequest):
    source = f"def main_handler(event, context):\n    for line in {HOSTILE!r}:\n        print(line)\n"
    event = deploy(source, name="hostile").invoke_async().wait()
    lines = [row[2] for row in facts_of(event)["events"][0]["entries"] if row[1] == "log"]
    assert lines == [line.text for line in event.log if line.source == "Custom"]
    assert lines[:2] == HOSTILE[:2]
    failure = "</script>\ud800 <b> \udcff"
    text = page(trace_facts(OfTest("test_<b>\ud800.py", "failed", "/", failure), [event], []))
    assert text.encode()  # no half of a character
    data = text[text.index('id="trace">') + len('id="trace">') :]
    data = data[: data.index("</script>")]
    assert not set("<>&\u2028\u2029").intersection(data)
    assert json.loads(data)["failure"] == failure
    assert text.count("<script") == 2
    assert text.isprintable() or "\x00" not in text


def test_of_files_with_the_same_name_none_is_shown(tmp_path, runtime: ScfRuntime, facts_of):
    code = "import time\n\ndef main_handler(event, context):\n    time.sleep(1)\n"
    for directory in ("one", "two"):
        tmp_path.joinpath(directory).mkdir()
        tmp_path.joinpath(directory, "same.py").write_text(code)
    tmp_path.joinpath("index.py").write_text("from one.same import main_handler\n")
    facts = facts_of(runtime.deploy(tmp_path, handler="index.main_handler").invoke_async().wait())
    assert facts["places"] == [["same.py", 4, None, "several files have that name: one/same.py, two/same.py"]]
    assert facts["files"] == []


def test_of_a_long_file_there_are_the_lines_around_each_place(deploy, facts_of):
    source = (
        f"import time\n{'#' * 10}\n"
        + "\n" * 3000
        + "def main_handler(event, context):\n    time.sleep(1)\n"
        + "\n" * 900
    )
    facts = facts_of(deploy(source, name="long").invoke_async().wait())
    (file,) = facts["files"]
    assert 2_800 < file["first"] < 3_000
    assert len(file["lines"]) < 400
    assert source_at(facts, "index.py", 3_004) == "time.sleep(1)"


POLLS = """
import threading, time

def poll(seconds, count):
    for _ in range(count):
        time.sleep(seconds)

def main_handler(event, context):
    threads = [threading.Thread(target=poll, args=(1 + n / 4, event // 4)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_ten_thousand_waits_are_written_quickly_and_are_small(deploy, facts_of):
    event = deploy(POLLS, name="polls").invoke_async(10_000).wait()
    took: Sequence[float] = []
    for _ in range(3):
        before = perf_counter()
        text = page(trace_facts(OfTest("test_it", "failed", "/", "wrong"), [event], []))
        took = [*took, perf_counter() - before]
    sys.stderr.write(f"{min(took):.3f} s, {len(text):,} characters\n")
    assert len(text) < 2_000_000
    assert min(took) < 1.5  # 0.1 s on a machine with nothing else to do
    facts = facts_of(event)
    assert sum(row[5] for row in facts["events"][0]["waits"]) > 10_000
    assert facts["cut"] == []


def test_of_too_many_events_those_stay_that_failed_and_the_last_ones(
    runtime: ScfRuntime, facts_of, monkeypatch: pytest.MonkeyPatch
):
    well = runtime.deploy_scripted("well", [scripted.finished()])
    badly = runtime.deploy_scripted("badly", [scripted.failed()])
    events = [(badly if number == 2 else well).invoke_async().wait() for number in range(10)]
    monkeypatch.setattr(trace_facts_module, "MOST_EVENTS", 3)
    facts = facts_of(*events)
    kept = [events[number].request_id for number in (2, 8, 9)]
    assert [event["id"] for event in facts["events"]] == kept
    assert facts["cut"] == ["7 of 10 events are left out"]


def test_past_a_limit_the_waits_nearest_to_what_matters_stay(
    runtime: ScfRuntime, deploy, facts_of, monkeypatch: pytest.MonkeyPatch
):
    function = deploy(POLLS.replace("def poll", "def begins(): pass\n\ndef poll"), name="polls")
    event = function.invoke_async(400)
    runtime.clock.advance(30)
    event.terminate(grace_shutdown=True)
    event.wait()
    monkeypatch.setattr(trace_facts_module, "MOST_WAITS", 40)
    facts = facts_of(event)
    (of_event,) = facts["events"]
    whole = sum(isinstance(entry, Waited) for entry in event_of(event).timeline)
    assert facts["cut"] == [f"{whole - 40:,} of {whole:,} waits of event {event.request_id} of polls are left out"]
    begins = [row[0] / 1e6 for row in of_event["waits"]]
    assert len(begins) == 40
    assert not [begin for begin in begins if 10 < begin < 20]
    assert max(begins) > 28
